"""The guesses of the whole course, counted."""

import pytest

from course_lib.check import bets, guess
from course_lib.check.question import questions


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_ARTIFACTS", str(tmp_path))


def test_without_a_guess_there_is_nothing_to_count():
    assert repr(bets()).startswith("No guess is kept yet.")


def test_choices_are_counted_beside_blind_luck():
    guess("deciding-name", "b")
    guess("inside-which-head", "a")

    assert repr(bets()) == "Choices: 1 of 2 right. Blind luck would get 0.7."


def test_numbers_are_close_too_high_or_too_low():
    guess("six-share", 45)
    guess("merge-saves", 129)
    guess("below-floor", 1)

    assert repr(bets()) == "Numbers: 1 of 3 close enough, 1 too high, 1 too low."


def test_whoever_always_errs_to_one_side_is_told():
    for name in ("six-share", "merge-saves", "below-floor"):
        guess(name, float(questions()[name].high + 1))

    assert repr(bets()).splitlines()[-1] == "You mostly guess too high."
