"""How large the house is: a reader holds the engine in one evening, and no room grows unnoticed.

Counted are lines of code: blank lines, comments and docstrings cost nothing, so nobody saves there.
`pytest -s tests/test_house.py` prints the largest of each.
"""

import ast
import io
import re
import tokenize
from collections import defaultdict
from functools import cache
from pathlib import Path

import nbformat

from tests.test_layers import FLOOR

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "course_lib"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

ENGINE = ("config", "text.tokenizer", "text.rows", "model", "train", "align")  # what learns
ENGINE_LINES, MODULE_LINES, ROOM_LINES = 2500, 300, 900
LARGER_ROOMS = {"measure": 1200}
# Worlds, texts, pictures, exercises and widgets have as much to show as they have to show.
OPEN_ROOMS = {"world", "text", "plots", "check", "widgets", "classroom"}
REPEATED = 10  # lines in a row that may not stand twice


def code_lines(source: str) -> list[str]:
    """The lines of a Python source that are code, without the white space around them."""
    marked = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        layout = (tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.COMMENT)
        if token.type not in (*layout, tokenize.ENDMARKER):
            marked |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node
        ):
            text = node.body[0]
            marked -= set(range(text.lineno, text.end_lineno + 1))
    return [line.strip() for number, line in enumerate(source.split("\n"), 1) if number in marked]


@cache
def sizes() -> dict[str, int]:
    """Lines of code of each module, by its dotted name in the package."""
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): len(
            code_lines(path.read_text(encoding="utf-8"))
        )
        for path in sorted(PACKAGE.rglob("*.py"))
    }


def total(*names: str) -> int:
    """Lines of code of modules and rooms."""
    return sum(
        n for module, n in sizes().items() for name in names if f"{module}.".startswith(f"{name}.")
    )


def show(title: str, counts: dict[str, int]) -> None:
    largest = sorted(counts.items(), key=lambda item: -item[1])[:3]
    print(f"{title}: " + ", ".join(f"{name} {n}" for name, n in largest))


def test_only_code_is_counted():
    source = '''"""Docstring.

It has three lines."""
import os  # counted, once

# a comment
def f(x):
    """Docstring."""
    return (
        x,
        "a string that is "
        "no docstring",
    )
'''
    assert code_lines(source)[:2] == ["import os  # counted, once", "def f(x):"]
    assert len(code_lines(source)) == 7


def test_the_engine_is_read_in_one_evening():
    parts = {name: total(name) for name in ENGINE}

    show("the engine's largest parts", parts)
    assert all(parts.values()), "a part of the engine has gone"
    assert sum(parts.values()) <= ENGINE_LINES


def test_no_room_grows_over_its_size():
    rooms = {module.partition(".")[0] for module in sizes()}
    rooms = {name: total(name) for name in rooms}

    show("the largest rooms", rooms)
    assert OPEN_ROOMS <= set(rooms)
    too_large = {
        name: n
        for name, n in rooms.items()
        if name not in OPEN_ROOMS and n > LARGER_ROOMS.get(name, ROOM_LINES)
    }
    assert too_large == {}


def test_no_module_grows_over_its_size():
    show("the largest modules", sizes())

    assert {name: n for name, n in sizes().items() if n > MODULE_LINES} == {}


@cache
def rooms_of(notebook: Path) -> set[str]:
    """The rooms that the code of a notebook imports from."""
    cells = nbformat.read(notebook, as_version=4).cells
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    return set(re.findall(r"^(?:from|import) course_lib\.(\w+)", code, re.M))


def number(notebook: Path) -> str:
    """Its number in the course: 01, 02b."""
    return notebook.stem.partition("_")[0]


def test_the_readme_shows_every_room_once_with_its_floor_notebooks_and_lines():
    row = r"^\| (\d+) \| \[`(\w+)`\]\(course_lib/(\S+)\) \| .+? \| ([^|]*) ?\| ([\d,]+) \|$"
    rows = re.findall(row, (ROOT / "README.md").read_text(encoding="utf-8"), re.M)

    assert sorted(room for _, room, _, _, _ in rows) == sorted(FLOOR)
    assert [int(floor) for floor, *_ in rows] == sorted(int(floor) for floor, *_ in rows)
    for floor, room, path, notebooks, lines in rows:
        assert int(floor) == FLOOR[room] + 1 and path.removesuffix(".py") == room
        importing = ", ".join(number(each) for each in NOTEBOOKS if room in rooms_of(each))
        everywhere = ", ".join(map(number, NOTEBOOKS))
        assert notebooks.strip() == ("all" if importing == everywhere else importing), room
        assert_about(lines, total(room), room)


def test_the_readme_says_how_long_the_files_to_read_first_are():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    read_first = re.findall(r"^\d\. \[`(\S+)`\]\(course_lib/\1\), (\d+) lines", readme, re.M)
    (engine,) = re.findall(r"engine, ([\d,]+)\s+lines", readme)

    assert read_first[0][0] == "text/tokenizer.py" and read_first[-1][0] == "files/run.c"
    for path, lines in read_first:
        source = (PACKAGE / path).read_text(encoding="utf-8")
        count = code_lines if path.endswith(".py") else page_lines
        assert_about(lines, len(count(source)), path)
    assert_about(engine, sum(map(total, ENGINE)), "the engine")


def assert_about(said: str, lines: int, what: str) -> None:
    """The README rounds to the nearest 50 lines."""
    near = abs(int(said.replace(",", "")) - lines) <= 25
    assert near, f"{what} has {lines} lines: write {50 * round(lines / 50):,} in the README"


def page_lines(source: str) -> list[str]:
    """The lines of a script, a style sheet or C that are neither blank nor a comment."""
    without = re.sub(r"/\*.*?\*/|(?m:^\s*//[^\n]*$)", "", source, flags=re.DOTALL)
    return [" ".join(line.split()) for line in without.split("\n") if line.strip()]


def repeated(files: dict[str, list[str]]) -> list[str]:
    """Where `REPEATED` lines in a row stand that stand elsewhere too."""
    places = defaultdict(list)
    for name, lines in files.items():
        for i in range(len(lines) - REPEATED + 1):
            places[tuple(lines[i : i + REPEATED])].append((name, lines[i]))
    return [f"{found[0]} ~ {found[1]}" for found in places.values() if len(found) > 1]


def test_nothing_stands_twice():
    files = {}
    for path in sorted(PACKAGE.rglob("*")):
        if path.suffix in (".py", ".js", ".css", ".c"):
            source = path.read_text(encoding="utf-8")
            files[path.name] = code_lines(source) if path.suffix == ".py" else page_lines(source)

    assert repeated(files) == []
    once, twice = [str(i) for i in range(REPEATED)], ["a", *map(str, range(REPEATED))]
    assert repeated({"one": once, "other": twice}) == ["('one', '0') ~ ('other', '0')"]
