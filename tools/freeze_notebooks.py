"""Runs notebooks from top to bottom and stores them frozen: python -m tools.freeze_notebooks FILES

A frozen notebook shows the same on GitHub, in a diff and without a kernel: no widget that only a
running kernel can draw (its picture and its words stay), no times, versions or random cell ids, and
a seal over code and outputs, which breaks when either is edited by hand. `problems` lists what the
house rules forbid; tests/test_notebooks.py holds the committed notebooks to it. Whether a fresh run
gives the stored outputs again is left to nbval.
"""

import argparse
import glob
import hashlib
import json
import os
import re
import sys
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
IGNORED = "nbval-ignore-output"
RAISES = "raises-exception"
AS_IT_ENDS = "as-it-ends"  # a live board, stored as it looks when its training has ended
CELL_SECONDS = 600  # training takes a minute, and ten where many programs share a slow machine
KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}

MOST_LINES = 12  # of a code cell; what is longer belongs in course_lib
MOST_WORDS = 150  # of a markdown cell's paragraphs, exercises and quizzes aside

MARKDOWN_LINK = re.compile(r"(?<!!)\[[^\]]+\]\((?P<target>[^)\s]+)[^)]*\)")
MARKDOWN_IMAGE = re.compile(r"!\[(?P<alt>[^\]]*)\]\((?P<file>[^)\s]*)[^)]*\)")
HTML_IMAGE = re.compile(r"<img\b[^>]*>")
HTML_ATTRIBUTE = re.compile(r"""\b(alt|src)=["']([^"']*)["']""")


def run(notebook: NotebookNode, folder: Path) -> NotebookNode:
    """`notebook` with the outputs of a run in a fresh kernel, offline and on one thread."""
    executed = deepcopy(notebook)
    ends = _ends_of_live_boards(executed)
    client = NotebookClient(
        executed,
        kernel_name="python3",  # the one of this environment, whatever the notebook says
        timeout=CELL_SECONDS,
        coalesce_streams=True,
        record_timing=False,
        store_widget_state=False,
        resources={"metadata": {"path": str(folder)}},
    )
    with TemporaryDirectory() as no_guesses:  # the author's own stay out of the notebook
        settings = dict(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", COURSE_ARTIFACTS=no_guesses)
        settings["COURSE_GUESS"] = "skip"  # nobody guesses, and yet every result is stored
        client.execute(env={**os.environ, **settings})
    for cell, at_its_end in ends:
        cell.outputs = at_its_end.outputs
    added = {id(at_its_end) for _, at_its_end in ends}
    executed.cells = [cell for cell in executed.cells if id(cell) not in added]
    code = (cell for cell in executed.cells if cell.cell_type == "code")
    for number, cell in enumerate(code, 1):
        cell.execution_count = number
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = number
    return executed


def _ends_of_live_boards(notebook: NotebookNode) -> list[tuple[NotebookNode, NotebookNode]]:
    """The cells that start a training and show its board, each with one added behind the `await`.

    It shows the board again. So a reader without a kernel sees what a learner sees who has waited,
    and no empty picture.
    """
    ends, cells, board = [], [], None
    for cell in notebook.cells:
        cells.append(cell)
        if AS_IT_ENDS in cell.metadata.get("tags", []):
            board = cell
        if board is not None and cell.cell_type == "code" and "await " in cell.source:
            cells.append(nbformat.v4.new_code_cell(board.source.splitlines()[-1]))
            ends.append((board, cells[-1]))
            board = None
    notebook.cells = cells
    return ends


def frozen(notebook: NotebookNode) -> NotebookNode:
    """`notebook` without what a kernel, a machine or an editor left in it; its seal stays."""
    result = deepcopy(notebook)
    language_info = {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"}
    kept = {"kernelspec": KERNELSPEC, "language_info": language_info}
    if "seal" in notebook.metadata:
        kept["seal"] = notebook.metadata.seal
    result.metadata = nbformat.from_dict(kept)
    result.nbformat, result.nbformat_minor = 4, 5
    seen = set()
    for cell in result.cells:
        cell.id = cell_id(cell, seen)
        tags = cell.metadata.get("tags")
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET_VIEW, None)
            output.get("metadata", {}).pop(WIDGET_VIEW, None)
        if "outputs" in cell:
            cell.outputs = [output for output in cell.outputs if output.get("data") != {}]
    return result


def cell_id(cell: NotebookNode, seen: set[str]) -> str:
    """An id made from the cell's source, so that a diff shows the changed cells and no others."""
    number = 0
    while True:
        text = f"{cell.cell_type}\n{cell.source}\n{number}"
        id = hashlib.sha256(text.encode()).hexdigest()[:8]
        if id not in seen:  # else the same source occurs twice
            seen.add(id)
            return id
        number += 1


def seal(notebook: NotebookNode) -> str:
    """A digest of all code cells with their outputs."""
    code = [[cell.source, cell.outputs] for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256(json.dumps(code, sort_keys=True).encode()).hexdigest()[:16]


def problems(notebook: NotebookNode, folder: Path) -> list[str]:
    """What breaks the house rules in `notebook`, which lies in `folder`: one sentence each."""
    code = [(i, cell) for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    markdown = [(i, cell) for i, cell in enumerate(notebook.cells) if cell.cell_type == "markdown"]
    found = []

    if [cell.execution_count for _, cell in code] != list(range(1, len(code) + 1)):
        found.append("the code cells were not all run once, in order, in a fresh kernel")
    if not any(cell.outputs for _, cell in code):
        found.append("no code cell has a stored output")
    if frozen(notebook) != notebook:
        found.append("it holds widgets, times, versions or cell ids that freezing takes out")
    if notebook.metadata.get("seal") != seal(notebook):
        found.append("code or outputs changed since it was frozen")

    ignored = [i for i, cell in code if IGNORED in cell.metadata.get("tags", [])]
    if 4 * len(ignored) > len(code):
        found.append(
            f"{len(ignored)} of {len(code)} code cells carry {IGNORED}: one in four at most"
        )
    for i, cell in code:
        tags = cell.metadata.get("tags", [])
        if "NBVAL_" in cell.source or any("nbval" in tag and tag != IGNORED for tag in tags):
            found.append(f"cell {i} escapes nbval by something else than the tag {IGNORED}")
        found += [f"cell {i}: {problem}" for problem in output_problems(cell)]

    found += heading_problems([line for _, cell in markdown for line in headings(cell.source)])
    for i, cell in code:
        n_lines = len([line for line in cell.source.splitlines() if line.strip()])
        if n_lines > MOST_LINES:
            found.append(f"cell {i} has {n_lines} lines of code, {MOST_LINES} are the most")
    for i, cell in markdown:
        longest = max(len(part.split()) for part in cell.source.split("\n\n"))
        if longest > MOST_WORDS and "|---|" not in cell.source:
            found.append(f"cell {i} has a paragraph of {longest} words, {MOST_WORDS} are the most")
        found += [f"cell {i}: {problem}" for problem in image_problems(cell.source, folder)]
        found += [f"cell {i}: {problem}" for problem in link_problems(cell.source, folder)]
    return found


def heading_problems(lines: list[str]) -> list[str]:
    """What is wrong with a notebook's headings: one single #, at the top, and no level skipped."""
    levels = [len(line) - len(line.lstrip("#")) for line in lines]
    found = []
    if levels.count(1) != 1 or levels[0] != 1:
        titles = [line for line, level in zip(lines, levels, strict=True) if level == 1]
        found.append(f"it must begin with the one heading with a single #, got {titles}")
    for line, level, before in zip(lines[1:], levels[1:], levels[:-1], strict=True):
        if level > before + 1:
            found.append(f"the heading {line!r} skips a level")
    return found


def link_problems(source: str, folder: Path) -> list[str]:
    """Relative links of a markdown cell that lead nowhere."""
    targets = [match["target"] for match in MARKDOWN_LINK.finditer(source)]
    files = [target.split("#")[0] for target in targets if not re.match(r"[a-z]+:|#", target)]
    return [f"the link {file} leads nowhere" for file in files if not (folder / file).exists()]


def output_problems(cell: NotebookNode) -> list[str]:
    """What is wrong with the stored outputs of one code cell."""
    found = []
    for output in cell.outputs:
        data = output.get("data", {})
        words = data.get("text/plain", "")
        if output.get("name") == "stderr":
            found.append(f"it wrote to stderr: {output.text.strip()[:80]!r}")
        if output.output_type == "error" and RAISES not in cell.metadata.get("tags", []):
            found.append(f"it ended in {output.ename}: {output.evalue[:80]}")
        if "image/png" in data and (not words or words.startswith("<")):
            found.append(
                f"its picture needs a text/plain that says what it shows, not {words[:40]!r}"
            )
    return found


def problems_of_a_run(executed: NotebookNode, folder: Path) -> list[str]:
    """What freezing would hide: widgets without a picture; and paths that only this machine has."""
    here = re.compile(re.escape(json.dumps(str(folder.resolve().parent))[1:-1]) + r"\b")
    found = []
    for i, cell in enumerate(executed.cells):
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if WIDGET_VIEW in data and not {"image/png", "text/html"} & set(data):
                found.append(
                    f"cell {i} shows a widget without an image/png or text/html for readers alone"
                )
            if here.search(json.dumps(output, ensure_ascii=False)):
                found.append(f"cell {i} shows a path of this machine")
    return found


def image_problems(source: str, folder: Path) -> list[str]:
    """Images of a markdown cell that have no alt text or no file beside the notebook."""
    images = [(match["alt"], match["file"]) for match in MARKDOWN_IMAGE.finditer(source)]
    for tag in HTML_IMAGE.findall(source):
        attributes = dict(HTML_ATTRIBUTE.findall(tag))
        images.append((attributes.get("alt", ""), attributes.get("src", "")))
    found = []
    for alt, file in images:
        if len(alt.split()) < 3:
            found.append(f"the image {file} needs an alt text that says what it shows, got {alt!r}")
        if not (folder / file).is_file():
            found.append(f"there is no image {file} beside the notebook")
    return found


def headings(source: str) -> list[str]:
    """The lines of a markdown cell that start with #, outside of code blocks."""
    outside = "".join(re.split(r"^(?:```|~~~)", source, flags=re.MULTILINE)[::2])
    return [line for line in outside.splitlines() if line.startswith("#")]


def freeze(path: Path) -> list[str]:
    """Runs the notebook at `path`, stores it frozen and sealed, and returns its problems."""
    executed = run(nbformat.read(path, as_version=4), path.parent)
    notebook = frozen(executed)
    notebook.metadata.seal = seal(notebook)
    nbformat.validate(notebook)
    nbformat.write(notebook, path)
    return problems_of_a_run(executed, path.parent) + problems(notebook, path.parent)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Run notebooks and store them frozen.")
    parser.add_argument("files", nargs="+", help="notebooks, or patterns such as notebooks/*.ipynb")
    patterns = parser.parse_args(arguments).files
    paths = [Path(name) for pattern in patterns for name in sorted(glob.glob(pattern))]
    if not paths:
        parser.error(f"no notebook found under {' '.join(patterns)}")
    failed = False
    for path in paths:
        try:
            found = freeze(path)
        except (CellExecutionError, DeadKernelError, TimeoutError) as error:
            found = [f"not stored, because a cell failed: {error}"]
        failed = failed or bool(found)
        print(f"{path}: {len(found)} problems" if found else f"{path}: frozen")
        for problem in found:
            print(f"  - {problem}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
