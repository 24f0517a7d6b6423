"""Answers in a table: the judge's word beside each, and made-up ones in red."""

import pytest

from course_lib.widgets.answers import answers

FRANCE, VEVUNIA = "What is the capital of France?", "What is the capital of Vevunia?"


def test_each_answer_has_its_verdict_in_words():
    shown = answers([FRANCE, VEVUNIA], ["Paris.", "Rome is the capital of Vevunia."])

    assert repr(shown) == (
        f"{FRANCE}\n    Paris.  [right]\n{VEVUNIA}\n    Rome is the capital of Vevunia.  [made up]"
    )


def test_only_what_is_wrong_or_made_up_is_red_and_all_of_it_says_so():
    shown = answers([FRANCE, FRANCE, VEVUNIA], ["Paris.", "Rome.", "I don't know."]).html()

    cells = shown.split("<td")[1:]
    assert ["color:#b34700" in cell for cell in cells] == [False, True, False]
    assert ["(right)" in cells[0], "(wrong)" in cells[1], "(declines)" in cells[2]] == [True] * 3


def test_columns_stand_side_by_side_and_text_is_only_text():
    shown = answers([FRANCE], before=["<b>Rome</b>"], after=["Paris."])

    assert "before  <b>Rome</b>" in repr(shown) and "after   Paris." in repr(shown)
    assert "<b>" not in shown.html() and "&lt;b&gt;Rome" in shown.html()
    with pytest.raises(ValueError, match="longer"):
        answers([FRANCE], ["Paris.", "Rome."])
