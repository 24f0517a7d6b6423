"""The minutes of a class: what is read, what is typed, what is folded away."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tools.class_time import class_time, main, read_aloud

STUB = "def f(x):\n    raise NotImplementedError  # one line\n\n\nf = use(f)"


def notebook(*cells):
    return new_notebook(cells=list(cells))


def test_words_lines_guesses_and_functions_are_counted():
    found = class_time(
        notebook(
            new_markdown_cell("# A title\n\n" + "word " * 298),
            new_code_cell('guess("how-many")'),
            new_code_cell("a = 1\n\nb = 2\n" + "c = 3\n" * 3),
            new_code_cell(STUB),
        )
    )

    assert (found.words, found.lines, found.guesses, found.functions) == (300, 6, 1, 1)
    assert found.minutes == 2 + 1 + 3 + 8
    assert str(found).startswith("14 minutes: 300 words, 6 lines of code, 1 guesses, 1 functions")


def test_what_comes_after_the_class_takes_none_of_its_time():
    class_ = [new_markdown_cell("# One two"), new_code_cell(STUB)]
    for heading in ("Appendix: more", "Quiz", "Exercises", "Where the figures come from"):
        after = [new_markdown_cell(f"## {heading}\n\nmany words"), new_code_cell("x = 1")]
        assert class_time(notebook(*class_, *after)) == class_time(notebook(*class_))
    assert class_time(notebook(*class_, new_markdown_cell("## A quiz"))).words == 4


def test_a_function_for_the_evening_costs_the_class_nothing():
    cell = new_code_cell(STUB, metadata={"tags": ["at-home"]})

    assert class_time(notebook(cell)).minutes == 0


@pytest.mark.parametrize(
    ("source", "read"),
    [
        ("see [this page](https://x.y/z)", "see this page"),
        ("![a picture of a cat](cat.png) a cat", "a cat"),
        ("one <details><summary>Solution</summary>\n\nf(x) = 3</details> two", "one two"),
        ("1. first\n2. second", "first second"),
        ("- **bold**\n- plain", "**bold** plain"),
    ],
)
def test_only_what_is_read_is_counted(source, read):
    assert read_aloud(source).split() == read.split()


def test_it_prints_a_line_for_each_notebook(tmp_path, capsys):
    nbformat.write(notebook(new_markdown_cell("# A b c")), tmp_path / "07_more.ipynb")

    assert main([str(tmp_path / "*.ipynb")]) == 0
    assert capsys.readouterr().out.startswith("07_more: 0 minutes: 3 words")


def test_no_notebook_is_an_error(capsys):
    with pytest.raises(SystemExit):
        main(["nothing/*.ipynb"])
    assert "no notebook found under nothing/*.ipynb" in capsys.readouterr().err
