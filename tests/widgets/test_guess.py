"""A question with a field or buttons, the result that waits behind it, and the quiz."""

import json
import sys

import pytest

from course_lib import plots
from course_lib.check import asking
from course_lib.check.guesses import guesses_file, keep_guess
from course_lib.widgets import behind, guess, quiz, skip

SIX, NAME, OUT, DIAL = "six-share", "deciding-name", "what-comes-out", "what-temperature-changes"
MODULE = sys.modules["course_lib.widgets.guess"]  # `widgets.guess` is the function
LINE = "You guessed 30%; it is 45% (15 points too low)."


class Place:
    """What a cell shows in one place: all that was ever shown there, in order."""

    def __init__(self, shown):
        self.shown = [shown]

    def update(self, shown):
        self.shown.append(shown)


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """The places of a cell's output, from a kernel in which nothing was guessed or skipped."""
    monkeypatch.setenv("COURSE_ARTIFACTS", str(tmp_path))
    monkeypatch.delenv("COURSE_GUESS")
    monkeypatch.setattr(asking, "_skipped", set())
    monkeypatch.setattr(MODULE, "_waiting", {})
    found = []

    def display(one, **options):
        found.append(Place(one))
        return found[-1]

    monkeypatch.setattr(MODULE, "display", display)
    return found


def now(places):
    """What is to be seen, without the places that are still empty."""
    return [str(place.shown[-1]) for place in places if place.shown[-1] is not MODULE.EMPTY]


def press(widget, **message):
    widget._on_message(widget, message, [])


def test_a_guess_from_the_page_is_kept():
    widget = guess(SIX)
    assert widget.view["kept"] == widget.view["said"] == widget.view["problem"] == ""

    press(widget, guess="0.3")

    assert widget.view["kept"] == "30" and widget.view["said"].startswith(
        "Your guess is kept: 30%."
    )
    assert json.loads(guesses_file().read_text(encoding="utf-8")) == {SIX: {"guess": 30}}
    again = guess(SIX)  # as after a restart
    assert (again.view["kept"], again.view["said"]) == ("30", "Your guess is kept: 30%.")


@pytest.mark.parametrize("typed", ["", "half", "450", "45 tokens"])
def test_what_is_no_guess_gets_a_sentence_and_the_kept_one_stays(typed):
    widget = guess(SIX)
    press(widget, guess="30")

    for _ in range(2):  # the page hears of it each time
        before = widget.view
        press(widget, guess=typed)
        assert widget.view != before

    assert widget.view["problem"].endswith(". Nothing was changed.")
    assert (widget.view["kept"], widget.view["said"]) == ("30", "")


def test_a_guess_that_cannot_be_kept_is_told(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COURSE_ARTIFACTS", str(tmp_path / "file" / "below"))
    widget = guess(NAME)

    press(widget, guess="a")

    assert widget.view["problem"].startswith("That is not kept: ") and widget.view["kept"] == ""


def test_a_call_answers_at_once_and_older_names_work():
    assert repr(guess(SIX, 30)) == "Your guess is kept: 30%."
    assert guess(SIX, "x").endswith("Nothing was changed.")
    assert guess("02 six, percent", None) is None
    assert guess("02 six, percent", 30) == "Your guess is kept: 30"


def test_nothing_is_shown_before_the_guess_and_everything_when_it_comes(places):
    calls = []

    behind(SIX, "a text", lambda: calls.append(1) or "made")
    assert now(places) == [MODULE.CLOSED] and calls == []
    press(guess(SIX), guess="many")
    assert now(places) == [MODULE.CLOSED] and calls == []

    press(guess(SIX), guess="30")

    assert now(places)[:2] == ["a text", "made"] and calls == [1]
    assert now(places)[2].startswith(LINE)
    press(guess(SIX), guess="31")  # it is open: a change of mind calls nothing again
    assert calls == [1]


def test_a_guess_made_before_opens_at_once(places):
    guess(SIX, 30)

    behind(SIX, "a text", 7, None)

    assert now(places)[:2] == ["a text", "7"] and now(places)[2].startswith(LINE)
    assert all(len(place.shown) == 1 for place in places)


@pytest.mark.parametrize("name", [(), (SIX,)])
def test_a_skip_opens_what_waits(places, name):
    behind(SIX, "a text")
    skip(NAME)
    assert now(places) == [MODULE.CLOSED]

    skip(*name)

    assert now(places)[0] == "a text" and now(places)[1].startswith("The answer: 45%.")


def test_where_nobody_is_here_to_guess_everything_is_shown(places, monkeypatch):
    monkeypatch.setenv("COURSE_GUESS", "skip")

    behind(SIX, "a text")
    behind(NAME)

    assert now(places)[0] == "a text" and now(places)[1].startswith("The answer: 45%.")
    assert now(places)[2].startswith("The answer: “Sachin Tendulkar's”.")


def test_a_cell_that_was_run_again_opens_once(places):
    calls = []
    behind(SIX, lambda: calls.append("old") or "")
    behind(SIX, lambda: calls.append("new") or "")

    guess(SIX, 30)

    assert calls == ["new"]


def test_a_guess_of_another_kernel_opens_when_the_cell_is_run_again(places):
    calls = []
    behind(SIX, lambda: calls.append("old") or "")
    keep_guess(SIX, 30)  # as another kernel does: nobody here hears of it

    behind(SIX, lambda: calls.append("new") or "")
    guess(SIX, 31)

    assert calls == ["new"]


def test_two_cells_wait_for_one_guess(places, monkeypatch):
    for cell in ("one", "other"):
        monkeypatch.setattr(MODULE, "_cell", lambda cell=cell: cell)
        behind(SIX, cell)

    guess(SIX, 30)

    assert [each for each in now(places) if not each.startswith("You")] == ["one", "other"]


def test_a_result_that_fails_later_says_so_and_takes_no_guess_with_it(places):
    behind(SIX, lambda: 1 / 0, "a text")

    assert repr(guess(SIX, 30)) == "Your guess is kept: 30%."

    assert now(places)[0].startswith("ZeroDivisionError: division by zero. So the result can't")


def test_a_function_that_only_prints_is_refused_at_once():
    guess(SIX, 30)

    with pytest.raises(ValueError, match="let it return its text instead of printing it"):
        behind(SIX, lambda: print("lost, where the guess comes from a widget"))


def test_guesses_that_come_at_once_open_each_result_once(places, monkeypatch):
    """JupyterLab has a thread for each widget: one may open a result while another does."""
    monkeypatch.setattr(MODULE, "_cell", iter("ab").__next__)
    calls = []
    behind(SIX, lambda: calls.append("six") or guess(NAME, "a"))  # as another thread might, now
    behind(NAME, lambda: calls.append("name") or "")

    press(guess(SIX), guess="30")

    assert calls == ["six", "name"] and MODULE._waiting == {}


def test_a_kept_guess_is_told_before_its_result_is_made(places):
    widget = guess(SIX)
    behind(SIX, lambda: widget.view["said"])

    press(widget, guess="30")

    assert now(places)[0].startswith("Your guess is kept: 30%.")


def test_an_unknown_question_is_named():
    with pytest.raises(ValueError, match="did you mean six-share"):
        behind("six-shar")
    with pytest.raises(ValueError, match="six-share is no quiz: ask it with guess"):
        quiz(SIX)
    with pytest.raises(ValueError, match="which questions"):
        quiz()


def test_without_a_kernel_the_question_stays_as_text():
    data, _ = guess(NAME)._repr_mimebundle_()

    assert data["text/plain"].split("\n")[1] == "  a  Virat Kohli's"
    assert '<ol type="a"><li>Virat Kohli&#x27;s</li>' in data["text/html"]
    for text in (data["text/plain"], data["text/html"]):
        assert "No guess yet: answer it in JupyterLab, or run guess(" in text
        assert "attention head" not in text  # what it says to those who have guessed


def test_without_a_kernel_the_answers_of_a_quiz_are_folded_away():
    data, _ = quiz(OUT, DIAL)._repr_mimebundle_()

    words, html = data["text/plain"], data["text/html"]
    assert words.count("\n  b  ") == 2 and "1,536" not in words
    assert html.count("<details><summary>Answer</summary>") == 2 == html.count(" is right. ")
    shown = html.split("<details>")[0]
    assert "A sentence" in shown and "1,536" not in shown and "✓" not in shown


def test_an_answer_to_a_quiz_is_kept_and_shown_again():
    widget = quiz(OUT, DIAL, OUT)
    assert [one["kept"] for one in widget.questions] == ["", ""]

    press(widget, id=DIAL, letter="a")

    assert [one["kept"] for one in quiz(OUT, DIAL).questions] == ["", "a"]
    options = widget.questions[0]["options"]
    assert [option["right"] for option in options] == [False, True, False]
    assert [option["feedback"].split(".")[0] for option in options] == [
        "✗ Not yet",
        "✓ Right",
        "✗ Not yet",
    ]


def test_a_picture_behind_a_question_stays_a_picture(places):
    picture = plots.text_card("A title", "a text", "below")
    behind(SIX, picture)

    skip()

    assert places[0].shown[-1] is picture
