"""Makes the pages that open on Colab: python -m tools.colab_pages OWNER/REPOSITORY

Colab opens a notebook from GitHub, and nothing else of the course comes along. So each notebook has
a copy in the folder `colab`, whose first cell fetches the rest from where you say, and whose
pictures and links lead there. The copies have no results, which would give away what a learner
should guess. Commit them, and paste the buttons that this prints wherever you want them.
"""

import argparse
import re
import sys
from copy import deepcopy
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from course_lib.workbook import without_results
from tools.course_files import ROOT
from tools.freeze_notebooks import cell_id
from tools.program import status_of

FOLDER = "colab"
COLAB = "https://colab.research.google.com"
LINK = re.compile(r"(!?)(\[[^\]]*\])\((?![a-z]+:|#)([^)\s]+)\)")  # relative; with ! an image
FIRST_CELL = """\
# Colab has only this page yet. Fetch the course, and add the packages that Colab lacks.
course = "/content/inside-an-llm"
!test -d {{course}} || git clone --quiet --depth=1 https://github.com/{where} {{course}}
%run {{course}}/tools/on_colab.py"""


def page(notebook: NotebookNode, where: str, branch: str) -> NotebookNode:
    """The copy of `notebook` for Colab, of a course at `where` (OWNER/REPOSITORY) on GitHub."""
    copy = without_results(deepcopy(notebook))
    first = new_code_cell(FIRST_CELL.format(where=where))
    first.id = cell_id(first, set())
    copy.cells.insert(0, first)
    for cell in copy.cells:
        if cell.cell_type == "markdown":
            cell.source = LINK.sub(lambda link: _led(*link.groups(), where, branch), cell.source)
    return copy


def _led(image: str, words: str, target: str, where: str, branch: str) -> str:
    """The link (with `!` the image) in Markdown, leading to GitHub, or for a page to Colab."""
    file = target.removeprefix("../")
    if image:
        url = f"https://github.com/{where}/raw/{branch}/{file}"
    elif file.endswith(".ipynb"):
        url = address(file, where, branch)
    else:
        url = f"https://github.com/{where}/blob/{branch}/{file}"
    return f"{image}{words}({url})"


def address(file: str, where: str, branch: str) -> str:
    """What opens the page `file` on Colab."""
    return f"{COLAB}/github/{where}/blob/{branch}/{FOLDER}/{file}"


def button(file: str, where: str, branch: str) -> str:
    """In Markdown, the button that Colab suggests."""
    badge = f"![Open {Path(file).stem} in Colab]({COLAB}/assets/colab-badge.svg)"
    return f"[{badge}]({address(file, where, branch)})"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("where", help="OWNER/REPOSITORY of the course on GitHub")
    parser.add_argument("--branch", default="main")
    parser.add_argument("--out", type=Path, default=ROOT / FOLDER)
    options = parser.parse_args(arguments)

    def write() -> None:
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", options.where):
            raise ValueError(f"expected OWNER/REPOSITORY, such as ada/course, got {options.where}")
        options.out.mkdir(exist_ok=True)
        for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
            copy = page(nbformat.read(path, as_version=4), options.where, options.branch)
            nbformat.write(copy, options.out / path.name)
            print(button(path.name, options.where, options.branch))

    return status_of(write)


if __name__ == "__main__":
    sys.exit(main())
