"""Questions: the course's records are whole, a wrong one is named, an answer is understood."""

import pytest

from course_lib.check.question import FOLDER, question, questions, read_questions
from tests.test_house import NOTEBOOKS

CHOICE = """
[a-choice]
kind = "guess"
ask = "Which?"
options = [{ text = "this", why = "No." }, { text = "that", why = "Yes." }]
answer = 1
"""
NUMBER = """
[a-number]
kind = "guess"
ask = "How many?"
answer = 41
low = 40
high = 50
unit = "tokens"
traps = [{ low = 120, high = 130, why = "You counted merges." }]
"""
EXERCISE = '[an-exercise]\nkind = "exercise"\nhints = ["Look up.", "Look down."]\n'


def read(folder, **files):
    for name, text in files.items():
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    return read_questions(folder)


def test_every_question_of_the_course_is_whole_and_belongs_to_a_notebook():
    numbers = {path.name[:2] for path in NOTEBOOKS}

    assert len(questions()) >= 5
    assert {path.stem[:2] for path in FOLDER.glob("*.toml")} <= numbers
    for each in questions().values():
        if each.kind != "exercise":
            assert each.understood(str(each.right)) == each.right


def test_records_are_read(tmp_path):
    found = read(tmp_path, one=CHOICE + NUMBER, two=EXERCISE)

    assert list(found) == ["a-choice", "a-number", "an-exercise"]
    assert found["a-choice"].right == "b" and found["a-choice"].told("b") == "“that”"
    assert found["a-number"].notebook == "one" and found["a-number"].told(1200) == "1,200 tokens"
    assert found["an-exercise"].hints == ("Look up.", "Look down.")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[a-b\n", r"one\.toml is not TOML"),
        ("a-b = 1\n", r"\[a-b\]: a table \[a-b\] is expected, got 1"),
        (CHOICE.replace('"guess"', '"poll"'), "kind is one of guess, quiz, exercise, got 'poll'"),
        (CHOICE.replace("a-choice", "choice"), "an id has two or more words"),
        (CHOICE.replace("a-choice", "A-Choice"), "an id has two or more words"),
        (CHOICE.replace("answer = 1", ""), "answer missing: a choice has answer, ask, kind"),
        (CHOICE.replace("answer = 1", "answer = 2"), "the right option's place, 0 to 1, got 2"),
        (CHOICE.replace("answer = 1", "answer = [0, 1]"), "the right option's place, 0 to 1"),
        (CHOICE.replace("answer = 1", "answer = true"), "the right option's place, 0 to 1"),
        (CHOICE.replace(', why = "Yes."', ""), "an option has text and why, got"),
        (CHOICE.replace('"Yes."', '" "'), "why is a text with something in it, got ' '"),
        (CHOICE.replace('"that"', '"This"'), "two options have the same text"),
        (CHOICE.replace('{ text = "this", why = "No." }, ', ""), "2 to 4 options, got 1"),
        (CHOICE.replace('"Which?"', "7"), "ask is a text with something in it, got 7"),
        (CHOICE + 'hint = "?"\n', "a choice knows no hint"),
        (
            NUMBER.replace("low = 40\n", ""),
            "low missing: a number has answer, ask, high, kind, low",
        ),
        (
            NUMBER.replace("low = 40\n", "low = 42\n"),
            "low <= answer <= high is expected, got 42 <=",
        ),
        (NUMBER.replace("answer = 41", "answer = nan"), "answer is a finite number, got nan"),
        (NUMBER.replace("low = 120", "low = 50"), "a trap reaches from low to high outside of 40"),
        (NUMBER + "most = 45\n", "least <= low, high <= most is expected, got 0 and 45"),
        (NUMBER + "least = 41\n", "least <= low, high <= most is expected, got 41 and inf"),
        (NUMBER + 'most = "many"\n', "most is a finite number, got 'many'"),
        (NUMBER.replace('"guess"', '"quiz"'), "a quiz has options to choose from"),
        (EXERCISE.replace('["Look up.", "Look down."]', "[]"), "an exercise has one hint or more"),
    ],
)
def test_a_wrong_record_is_named_with_what_is_wrong(text, says, tmp_path):
    with pytest.raises(ValueError, match=says) as caught:
        read(tmp_path, one=text)

    assert str(caught.value).startswith("one.toml")


def test_an_id_stands_once_in_the_course(tmp_path):
    with pytest.raises(
        ValueError, match=r"two\.toml, \[a-choice\]: this id stands in one\.toml too"
    ):
        read(tmp_path, one=CHOICE, two=CHOICE)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        *[(given, 45) for given in ("45", "45%", "45 %", "45 percent", "0.45", "0,45", 0.45, 45)],
        *[("0.5%", 0.5), ("100", 100), ("1", 1), ("0", 0), ("0.07", 7)],
    ],
)
def test_a_percentage_is_understood(given, kept):
    assert question("six-share").understood(given) == kept


@pytest.mark.parametrize("given", ["b", "B", " b ", "2", 2, "THAT"])
def test_an_option_is_understood(given, tmp_path):
    assert read(tmp_path, one=CHOICE)["a-choice"].understood(given) == "b"


def test_a_number_may_bring_its_unit(tmp_path):
    asked = read(tmp_path, one=NUMBER)["a-number"]

    assert [asked.understood(given) for given in ("41 tokens", "1,200", "4.1e1")] == [41, 1200, 41]


@pytest.mark.parametrize(
    ("id", "given", "says"),
    [
        ("six-share", "many", "expected a percentage such as 45, 45% or 0.45, got 'many'"),
        ("six-share", "450", "a percentage lies between 0% and 100%, got '450'"),
        ("six-share", "-1", "a percentage lies between 0% and 100%, got '-1'"),
        ("six-share", " ", "nothing is written there: a percentage"),
        ("six-share", True, "expected a percentage such as 45, 45% or 0.45, got True"),
        ("six-share", float("nan"), "expected a percentage such as"),
        ("merge-saves", "45%", "expected a number of tokens such as 45, 1,200 or 1.2e3, got '45%'"),
        ("sft-thirty", 26, "expected 0 to 25 answers, got '26'"),
        ("data-chains-with-ball", 130, "expected 0 to 100 classes, got '130'"),
        ("data-years-to-read", -1, "expected 0 years or more, got '-1'"),
        ("data-trend-today", "146e12", "expected 0 to 100,000 trillion tokens, got '146e12'"),
        ("merge-saves", [1], r"expected a number of tokens such as .*, got \[1\]"),
        ("deciding-name", "d", "expected one of the letters a, b, c, got 'd'"),
        ("deciding-name", 0, "expected one of the letters a, b, c, got '0'"),
        ("deciding-name", 1.5, "expected one of the letters a, b, c, got '1.5'"),
    ],
)
def test_what_is_no_answer_gets_a_sentence(id, given, says):
    with pytest.raises(ValueError, match=says):
        question(id).understood(given)


def test_an_unknown_question_is_met_with_the_nearest_ones():
    with pytest.raises(ValueError, match=r"no question 'six-shares': did you mean six-share\?"):
        question("six-shares")
    with pytest.raises(ValueError, match="six-share is no quiz: ask it with guess"):
        question("six-share", "quiz")


def test_where_less_than_nothing_can_come_out_it_may_be_guessed():
    assert question("inside-gap-without").understood("-5 points") == -5
