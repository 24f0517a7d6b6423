"""How long a class takes for a notebook: python -m tools.class_time FILES

Reading takes a minute for 150 words or 6 lines of code, a guess 3 minutes, a function to write 8.
Counted is what stands before the quiz, the exercises and an appendix. What is folded away isn't,
nor a function whose cell has the tag `at-home`. An estimate: nobody has stood there with a watch.
"""

import argparse
import ast
import glob
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

WORDS, LINES = 150, 6  # in a minute
GUESS, FUNCTION = 3, 8  # minutes
AT_HOME = "at-home"
AFTER_CLASS = re.compile(r"^## (Appendix|Quiz|Exercises|Where the figures)", re.MULTILINE)


@dataclass(frozen=True)
class ClassTime:
    """What a class does with a notebook."""

    words: int
    lines: int
    guesses: int
    functions: int

    @property
    def minutes(self) -> float:
        reading = self.words / WORDS + self.lines / LINES
        return reading + GUESS * self.guesses + FUNCTION * self.functions

    def __str__(self) -> str:
        return (
            f"{self.minutes:.0f} minutes: {self.words:,} words, {self.lines} lines of code, "
            f"{self.guesses} guesses, {self.functions} functions to write"
        )


def class_time(notebook: NotebookNode) -> ClassTime:
    """What stands in `notebook` for a class."""
    words = lines = guesses = functions = 0
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            if AFTER_CLASS.search(cell.source):
                break
            words += len(read_aloud(cell.source).split())
        elif cell.cell_type == "code":
            if is_stub(cell.source):
                functions += is_in_class(cell)
            else:
                lines += sum(1 for line in cell.source.splitlines() if line.strip())
                guesses += calls(cell.source).count("guess")
    return ClassTime(words, lines, guesses, functions)


def read_aloud(source: str) -> str:
    """A markdown cell without what is folded, pictures, marks and the addresses of links."""
    text = re.sub(r"<details>.*?</details>", " ", source, flags=re.DOTALL)
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)|<[^>]+>", " ", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    return re.sub(r"(?m)^\s*([-#|]|\d+\.)+\s", " ", text)


def is_stub(source: str) -> bool:
    """Whether a cell is one in which the reader writes a function."""
    return any(
        isinstance(node, ast.Raise) and "NotImplementedError" in ast.unparse(node)
        for node in ast.walk(ast.parse(source))
    )


def is_in_class(cell: NotebookNode) -> bool:
    """Whether a cell is such a stub, and is written in class."""
    return is_stub(cell.source) and AT_HOME not in cell.metadata.get("tags", [])


def calls(source: str) -> list[str]:
    """The names of the functions that a cell calls."""
    nodes = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return [ast.unparse(node.func) for node in nodes]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Estimate how long a class takes for notebooks.")
    parser.add_argument("files", nargs="+", help="notebooks, or patterns such as notebooks/*.ipynb")
    patterns = parser.parse_args(arguments).files
    paths = [Path(name) for pattern in patterns for name in sorted(glob.glob(pattern))]
    if not paths:
        parser.error(f"no notebook found under {' '.join(patterns)}")
    for path in paths:
        print(f"{path.stem}: {class_time(nbformat.read(path, as_version=4))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
