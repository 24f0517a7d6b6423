"""A guess is kept over a restart, and told beside the truth."""

import json
import math
import subprocess
import sys

import pytest
import torch

from course_lib.check.guesses import (
    band,
    beside,
    guess,
    guesses,
    guesses_file,
    kept_guess,
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_ARTIFACTS", str(tmp_path / "kept"))
    return tmp_path / "kept"


def test_without_a_guess_the_truth_is_told_all_the_same():
    assert guess("01 ratio", None) is None
    assert beside("01 ratio", 125, "times") == "your guess: none yet; measured: 125 times"


@pytest.mark.parametrize(
    ("value", "truth", "told"),
    [
        (50, 125, "your guess: 50%; measured: 125% (2.5 times too low)"),
        (300, 100, "your guess: 300%; measured: 100% (3.0 times too high)"),
        (120, 125, "your guess: 120%; measured: 125% (close)"),
        (0.5, 0.5, "your guess: 0.5%; measured: 0.5% (right)"),
        (0, 3, "your guess: 0%; measured: 3% (3 too low)"),
        ("Six", "six", "your guess: Six%; measured: six% (right)"),
        (45, torch.tensor(45.0), "your guess: 45%; measured: 45% (right)"),
    ],
)
def test_a_guess_stands_beside_the_truth(value, truth, told):
    guess("02 six", value)

    assert beside("02 six", truth, "%") == told


def test_a_guess_outlives_the_kernel(folder):
    guess("02 six", 30)

    # what a fresh kernel has is the file alone
    assert json.loads((folder / "guesses.json").read_text()) == {"02 six": {"guess": 30}}
    assert guess("02 six", None) == "Your guess is kept: 30"


def test_a_new_guess_replaces_the_old_one_and_its_truth():
    guess("02 six", 30)
    beside("02 six", 45)
    guess("02 six", 40)

    assert guesses("02").splitlines()[1].split() == ["six", "40", "?"]


def test_guesses_of_another_notebook_are_left_out():
    guess("01 ratio", 10)

    assert guesses("02").startswith("No guesses are kept yet")
    assert "ratio" in guesses("01")


@pytest.mark.parametrize("value", [float("nan"), [1]])
def test_a_guess_is_a_number_or_a_text(value):
    with pytest.raises(ValueError, match="a guess is a"):
        guess("x", value)


def test_a_broken_file_of_guesses_stops_no_lesson(folder):
    guess("02 six", 30)
    guesses_file().write_text("{half a fi")

    assert guess("02 six", None) is None and kept_guess("02 six") is None
    assert guess("02 six", 31) == "Your guess is kept: 31"
    assert kept_guess("02 six") == 31
    assert (folder / "guesses.json.broken").read_text() == "{half a fi"  # not overwritten


@pytest.mark.parametrize(
    "saved",
    [
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode(),
    ],
    ids=["byte order mark", "line ends", "both"],
)
def test_guesses_that_an_editor_of_windows_has_saved_are_kept(saved):
    guess("02 six", 30)
    guesses_file().write_bytes(saved(guesses_file().read_text(encoding="utf-8")))

    guess("02 four", 4)

    assert (kept_guess("02 six"), kept_guess("02 four")) == (30, 4)


def test_guesses_nested_without_end_stop_no_lesson():
    guess("02 six", 30)
    guesses_file().write_text("[" * 100_000)

    assert guess("02 six", 31) == "Your guess is kept: 31"


def test_a_band_shows_the_value_and_where_it_should_lie():
    assert band("bits", 1.71, 1.4, 2.0) == "bits; yours: 1.71 (1.4 to 2 expected)"
    assert band("bits", 2.01, 1.4, 2.0) == "bits; yours: 2.01 (1.4 to 2 expected: this is OUTSIDE)"
    assert (
        band("bits", math.nan, 1.4, 2.0) == "bits; yours: nan (1.4 to 2 expected: this is OUTSIDE)"
    )


GUESS = """
import sys
from course_lib.check.guesses import beside, guess

for i in range(40):
    guess(f"{sys.argv[1]} {i}", i)
    beside(f"{sys.argv[1]} {i}", i + 1)
"""


def test_two_kernels_keep_all_of_their_guesses():
    runs = [subprocess.Popen([sys.executable, "-c", GUESS, name]) for name in ("01", "02")]

    assert [run.wait(timeout=120) for run in runs] == [0, 0]
    kept = json.loads(guesses_file().read_text(encoding="utf-8"))
    assert kept == {
        f"{n} {i}": {"guess": i, "truth": i + 1} for n in ("01", "02") for i in range(40)
    }
