"""What every page, picture and message of the course has in common, letter for letter."""

import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
APART = re.compile(r"[\d}] %(?![\w(%])")  # "45 %", and f"{share:.0f} %", but no printf's "7 %d"
PAGES = [
    *ROOT.glob("*.md"),
    ROOT / "diagrams" / "README.md",
    *(ROOT / "site").rglob("*.md"),
    *(ROOT / "site").rglob("*.js"),
    *(ROOT / "diagrams").glob("*.svg"),
    *(ROOT / "notebooks").glob("*.ipynb"),  # their outputs, too, and the alt texts of pictures
    *(path for kind in ("html", "js", "toml") for path in (ROOT / "course_lib").rglob(f"*.{kind}")),
]
MODULES = [*(ROOT / "course_lib").rglob("*.py"), *(ROOT / "tools").rglob("*.py")]


def strings(source: str) -> str:
    """The strings of a Python source, a line each; what is code may write % as it likes."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return "\n".join(token.string for token in tokens if token.type == tokenize.STRING)


def apart(text: str) -> list[str]:
    """Where a percent sign stands apart from its number, with what is around it."""
    return [text[max(0, at.start() - 40) : at.end() + 10] for at in APART.finditer(text)]


def test_a_percent_sign_apart_is_found_in_text_and_in_code():
    assert apart("six 45 %, ball 5%") and apart(strings('print(f"{100 * p:.0f} %")'))
    assert not apart("45% of 100") and not apart(strings('odd = 7 % 2\nprint("%d %s" % pair)'))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_percent_sign_stands_at_its_number(path):
    assert apart(path.read_text(encoding="utf-8")) == []


def test_a_percent_sign_stands_at_its_number_in_what_the_code_says():
    found = {path.name: apart(strings(path.read_text(encoding="utf-8"))) for path in MODULES}

    assert {name: places for name, places in found.items() if places} == {}
