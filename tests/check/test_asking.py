"""A question is asked, its guess kept, and the right answer stays behind until then."""

import json
import subprocess
import sys

import pytest

from course_lib.check import asking, band, guess, guesses, hint, skip
from course_lib.check.asking import Sentences, find, is_open, outcome
from course_lib.check.guesses import guesses_file

SIX, NAME = "six-share", "deciding-name"


@pytest.fixture(autouse=True)
def fresh_kernel(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_ARTIFACTS", str(tmp_path))
    monkeypatch.delenv("COURSE_GUESS")
    monkeypatch.setattr(asking, "_skipped", set())
    monkeypatch.setattr(asking, "_hints", asking.Counter())
    monkeypatch.setattr(asking, "listeners", [])


def test_a_question_without_a_guess_says_how_to_make_one():
    assert repr(guess(SIX)).endswith(
        'No guess yet: answer it in JupyterLab, or run guess("six-share", your_number).'
    )
    assert repr(guess(NAME)).splitlines()[1:] == [
        "  a  Virat Kohli's",
        "  b  Sachin Tendulkar's",
        "  c  something halfway between the two",
        'No guess yet: answer it in JupyterLab, or run guess("deciding-name", "a").',
    ]


def test_a_guess_is_kept_over_a_restart_and_shown():
    assert repr(guess(SIX, "0.3")) == "Your guess is kept: 30%."
    assert repr(guess(NAME, 3)) == "Your guess is kept: “something halfway between the two”."

    # what a fresh kernel has is the file alone
    kept = json.loads(guesses_file().read_text(encoding="utf-8"))
    assert kept == {SIX: {"guess": 30}, NAME: {"guess": "c"}}
    assert guess(SIX).endswith("Your guess is kept: 30%.")


@pytest.mark.parametrize("value", ["abc", "450%", "", [1], float("nan"), True])
def test_what_is_no_guess_gets_a_sentence_and_the_kept_one_stays(value):
    guess(SIX, 30)

    said = guess(SIX, value)

    assert said[0].isupper() and said.endswith(". Nothing was changed.") and "\n" not in said
    assert guess(SIX).endswith("30%.")


def test_an_unknown_question_is_named_and_the_older_names_still_work():
    with pytest.raises(ValueError, match="did you mean six-share"):
        guess("six-shar")
    with pytest.raises(ValueError, match=r"there is no guess 7: one is files-shouting"):
        guess(7)
    with pytest.raises(ValueError, match="what-comes-out is no guess: ask it with quiz"):
        guess("what-comes-out")
    assert guess("05 pairs, percent", None) is None
    assert guess("05 pairs, percent", 70) == "Your guess is kept: 70"


@pytest.mark.parametrize(
    ("id", "value", "told"),
    [
        (SIX, None, "The answer: 45%. Nobody told the model"),
        (SIX, 45, "You guessed 45%; it is 45%: exactly right. Nobody told"),
        (SIX, 48, "You guessed 48%; it is 45%: close enough. Nobody told"),
        (SIX, 30, "You guessed 30%; it is 45% (15 points too low). Nobody told"),
        (SIX, 100, "You guessed 100%; it is 45% (55 points too high). A model doesn't settle"),
        ("merge-saves", 129, "it is 41 tokens (3.1 times too high). One token saved per merge"),
        ("merge-saves", 20, "You guessed 20 tokens; it is 41 tokens (2.0 times too low)."),
        (NAME, None, "The answer: “Sachin Tendulkar's”. The last token"),
        (NAME, "b", "✓ You guessed “Sachin Tendulkar's”, and that's right. The last token"),
        (NAME, "a", "✗ You guessed “Virat Kohli's”. You expected the first name"),
        (NAME, "a", "The answer: “Sachin Tendulkar's”. The last token"),
    ],
)
def test_what_is_so_stands_beside_the_guess_with_what_to_think_about(id, value, told):
    guess(id, value)

    words = outcome(find(id))

    assert told in words
    assert told in " ".join(repr(words).split()) and max(map(len, repr(words).split("\n"))) <= 100
    assert "<script>" not in Sentences(f"{words}<script>")._repr_html_()


def test_a_result_stays_behind_until_there_is_a_guess():
    six, name = find(SIX), find(NAME)
    assert not is_open(six)

    guess(SIX, "abc")
    assert not is_open(six)
    guess(SIX, 0)

    assert is_open(six) and not is_open(name)


def test_a_result_is_shown_after_a_skip_of_it_or_of_all():
    assert (
        skip(SIX)
        == "Skipped: the result of six-share is shown without a guess until this kernel ends."
    )
    assert is_open(find(SIX)) and not is_open(find(NAME))
    assert skip().startswith("Skipped: every result is shown")
    assert is_open(find(NAME))
    with pytest.raises(ValueError, match="did you mean six-share"):
        skip("six-shape")


@pytest.mark.parametrize(("setting", "opened"), [("skip", True), ("", False), ("no", False)])
def test_where_nobody_is_here_to_guess_everything_is_shown(setting, opened, monkeypatch):
    monkeypatch.setenv("COURSE_GUESS", setting)

    assert is_open(find(SIX)) is opened


def test_whoever_listens_hears_of_guesses_and_skips():
    heard = []
    asking.listeners.append(heard.append)

    guess(SIX, 30)
    guess(SIX, "abc")  # kept nothing
    skip(NAME)
    skip()

    assert heard == [SIX, NAME, None]


@pytest.mark.parametrize("row", [7, None, [], {}, {"guess": None}, {"guess": "z"}, {"guess": [1]}])
def test_a_guess_that_was_broken_by_hand_is_none(row):
    guesses_file().write_text(json.dumps({NAME: row, SIX: {"guess": 30}}), encoding="utf-8")

    assert not is_open(find(NAME)) and is_open(find(SIX))
    guess(NAME, "b")
    assert is_open(find(NAME)) and is_open(find(SIX))


def test_the_guesses_of_a_notebook_are_listed_old_and_new():
    guess("02 greedy texts", 1)
    guess(SIX, 30)

    lines = guesses("02").split("\n")

    assert [line.split() for line in lines[1:]] == [
        ["greedy", "texts", "1", "?"],
        [SIX, "30%", "45%"],
    ]
    assert len({len(line) for line in lines}) == 1
    assert guesses("03").startswith("No guesses are kept yet")


def test_a_hint_at_a_time():
    assert hint("rms_norm").startswith("Hint 1 of 3: Root mean square")
    assert hint("softmax").startswith("Hint 1 of 3")
    assert hint("rms-norm").startswith("Hint 2 of 3")
    assert hint("rms norm".replace(" ", "_")).startswith("Hint 3 of 3")
    everything = hint("rms_norm")
    assert [f"Hint {i} of 3" in everything for i in (1, 2, 3)] == [True] * 3
    assert everything.endswith("There are no more hints.")
    with pytest.raises(ValueError, match="there is no exercise 'rms-nrm': did you mean rms-norm"):
        hint("rms_nrm")


def test_a_number_without_end_is_told_in_a_band():
    assert band("bits", float("inf"), 1, 2) == "bits; yours: inf (1 to 2 expected: this is OUTSIDE)"


GUESS = """
import sys
from course_lib.check import guess

for i in range(40):
    guess(sys.argv[1], sys.argv[2])
    guess(sys.argv[1], sys.argv[3])
"""


def test_two_kernels_keep_the_guesses_of_both():
    runs = [
        subprocess.Popen([sys.executable, "-c", GUESS, *arguments])
        for arguments in ((SIX, "30", "31"), (NAME, "a", "b"))
    ]

    assert [run.wait(timeout=120) for run in runs] == [0, 0]
    kept = json.loads(guesses_file().read_text(encoding="utf-8"))
    assert kept == {SIX: {"guess": 31}, NAME: {"guess": "b"}}


def test_asking_does_not_wait_for_torch():
    code = "import sys, course_lib.check; assert 'torch' not in sys.modules"

    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
