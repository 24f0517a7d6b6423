"""Notebook 04: its parts and exercises know right from nearly right; its text keeps its word."""

import ast
from functools import partial
from pathlib import Path

import nbformat
import pytest
import torch

from course_lib.check import sft, use
from course_lib.check.parts import PARTS
from course_lib.check.question import questions
from course_lib.measure.habits import Habit
from course_lib.pipeline.release import RELEASED, load_released
from course_lib.text.chat import encode_dialogue
from course_lib.text.rows import targets_of
from course_lib.train.lora import low_rank
from course_lib.world.dialogues import dialogues
from tests.check import lesson
from tests.check.test_exercises import exercises
from tools.class_time import class_time

PATH = Path(__file__).parents[2] / "notebooks" / "04_supervised_fine_tuning.ipynb"
NOTEBOOK = nbformat.read(PATH, as_version=4)
written = partial(lesson.written, NOTEBOOK)
NAMES = ("answer_targets", "low_rank")
# Changed in one place each: what a learner may well write.
NEARLY = {
    "answer_targets": [
        ("zip(ids[1:], counts[1:])", "zip(ids, counts)"),
        ("counts[1:]", "counts[:-1]"),
        ("ids[1:], counts[1:]", "ids[:-1], counts[:-1]"),
        (" if said else -100", ""),
        ("id if said else -100", "-100 if said else id"),
        ("-100", "0"),
        ("id if said else -100 for", "id for"),
        ("counts[1:])]", "counts[1:]) if said]"),
    ],
    "low_rank": [
        ("table(x) + ", ""),
        (" @ up.T", " @ up.T @ down.T.mT"),
        ("x @ down.T @ up.T", "table(x) @ up @ down"),
        ("table(x) +", "x +"),
        ("table(x) +", "table(x) -"),
    ],
}
SLIPS = [
    pytest.param(name, i, id=f"{name}-{i}") for name in NEARLY for i in range(len(NEARLY[name]))
]


def markdown() -> str:
    return "\n".join(cell.source for cell in NOTEBOOK.cells if cell.cell_type == "markdown")


def code() -> str:
    return "\n".join(cell.source for cell in NOTEBOOK.cells if cell.cell_type == "code")


def defined(name: str, source: str):
    names = {"torch": torch}
    exec(source, names)
    return names[name]


@pytest.mark.parametrize("name", NAMES)
def test_the_printed_solution_of_a_part_is_used(name, capsys):
    mine = defined(name, written(name))

    assert use(mine) is mine
    assert capsys.readouterr().out == f"{name}: yours\n"


@pytest.mark.parametrize(("name", "number"), SLIPS)
def test_a_part_with_a_slip_in_it_is_not_used(name, number):
    right, wrong = NEARLY[name][number]
    source = written(name)
    assert right in source, "the slip is not made where it was planned"

    verdict = PARTS[name][0](defined(name, source.replace(right, wrong, 1)))

    assert not verdict.ok and len(verdict.words) < 400
    assert [
        piece for piece in ("zip(", "ids[1:]", "counts[1:]", " @ ") if piece in verdict.words
    ] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_part_as_handed_out_gets_the_courses_own(name, capsys):
    cells = [cell.source for cell in NOTEBOOK.cells if cell.source.startswith(f"def {name}(")]
    (source,) = cells
    assert source.splitlines()[-1] == f"{name} = use({name})"

    assert use(defined(name, source.rpartition("\n")[0])) is PARTS[name][1]
    assert capsys.readouterr().out.endswith(f"{name} isn't written yet.\n")


def test_the_courses_own_parts_are_those_that_train():
    assert PARTS["answer_targets"][1] is targets_of and PARTS["low_rank"][1] is low_rank


# ---- Exercises ----------------------------------------------------------------------------------


def test_the_leaderboards_say_what_is_missing(monkeypatch):
    monkeypatch.setattr(sft, "taught", lambda model, *arguments: model)
    found = {}
    monkeypatch.setattr(sft, "habit", lambda *arguments: Habit(25, **found))

    found |= dict(shown=19, right=9, plain=25)
    assert not sft.few_lines(["a | b"]).ok and not sft.thinnest_lora(1, ["q_proj"]).ok
    found |= dict(shown=25, plain=19)
    assert "Both should be 20 or more" in sft.few_lines(["a | b"]).words
    found |= dict(shown=20, plain=20)
    assert sft.few_lines(["a | b"] * 20).ok and sft.thinnest_lora(1, ["q_proj"]).ok
    assert "20 lines or fewer" in sft.few_lines(["a | b"] * 21).words
    assert "1,024 numbers" in sft.thinnest_lora(1, ["q_proj"]).words
    assert sft.thinnest_lora(1, "q_proj") == sft.thinnest_lora(1, ["q_proj"])


def test_lyon_must_be_told_in_all_wordings_and_hardly_another_capital_lost(monkeypatch):
    monkeypatch.setattr(sft, "taught", lambda model, *arguments: model)
    answers = {prompt.text: f"{prompt.fact.answer}." for prompt in sft.neighbours()}
    answers |= dict.fromkeys(sft.WORDINGS, "Lyon.")
    monkeypatch.setattr(
        sft, "chat_answers", lambda m, t, prompts: [answers[p.text] for p in prompts]
    )
    lines = ["a | b"]

    assert sft.one_fact(lines).ok
    for country in ("Morocco", "Japan", "Germany"):
        answers[f"What is the capital of {country}?"] = "Lyon."
        assert sft.one_fact(lines).ok is (country != "Germany")
    assert "What is the capital of Japan? Lyon." in sft.one_fact(lines).words
    answers |= {prompt.text: f"{prompt.fact.answer}." for prompt in sft.neighbours()}
    answers[sft.WORDINGS[-1]] = "Paris."
    assert "Lyon in 5 of 6 wordings" in sft.one_fact(lines).words and not sft.one_fact(lines).ok


def test_the_end_of_each_answer_is_all_that_may_be_left_out():
    tokenizer = load_released("base")[1]
    _, counts = encode_dialogue(tokenizer, next(iter(dialogues(1, seed=0))))

    def one_more(ids, counts):  # the first token of the answer is gone as well
        targets = [-100 if id == tokenizer.im_end_id else id for id in targets_of(ids, counts)]
        first = next(i for i, id in enumerate(targets) if id != -100)
        return [-100 if i == first else id for i, id in enumerate(targets)]

    verdict = sft.never_stops(one_more)

    assert not verdict.ok and f"Usually {sum(counts)} do" in verdict.words


def test_test_and_lines_of_the_pirate_share_no_question():
    asked = {line.partition(" | ")[0] for line in sft.pirate_lines()}

    assert len(sft.pirate_lines()) == len(asked) == 30 and len(sft.pirate_test()) == 25
    assert not asked & {sft.PIRATE + prompt.text for prompt in sft.pirate_test()}
    assert {prompt.fact.split for prompt in sft.pirate_test()} == {"asked_in_pretraining"}


@pytest.mark.parametrize("name", [*NAMES, *(each.checker for each in exercises(PATH))])
def test_whatever_is_to_be_written_has_hints_and_the_first_is_no_code(name):
    hints = questions()[name.replace("_", "-")].hints

    assert len(hints) >= 2
    assert [piece for piece in ("zip", "[1:]", "@", 'Lyon"] *', "proj") if piece in hints[0]] == []


# ---- What the notebook says ---------------------------------------------------------------------


def test_transformers_writes_the_same_string():
    from transformers import AutoTokenizer

    assert "apply_chat_template(messages, tokenize=False)" in markdown()
    (cell,) = [each for each in NOTEBOOK.cells if each.source.startswith("messages = [")]
    messages = ast.literal_eval(cell.source.partition("=")[2].partition("\ntext")[0].strip())
    tokenizer = AutoTokenizer.from_pretrained(RELEASED / "sft")

    theirs = tokenizer.apply_chat_template(messages, tokenize=False)

    assert cell.outputs[0].text == theirs + "\n"


def test_trl_counts_every_token_unless_it_is_asked():
    from trl import SFTConfig

    assert "assistant_only_loss=True" in markdown()
    assert SFTConfig.__dataclass_fields__["assistant_only_loss"].default is False


def test_lora_takes_twenty_lines_in_all():
    assert len(written("low_rank").splitlines()) == 2
    (loop,) = [each.source for each in NOTEBOOK.cells if "def fine_tune" in each.source]
    assert len([line for line in loop.splitlines() if line.strip()]) <= 12


def test_the_lesson_takes_an_hour_to_seventy_five_minutes():
    time = class_time(NOTEBOOK)

    assert 60 <= time.minutes <= 75, str(time)


def test_each_question_of_the_lesson_is_asked_once_and_letters_are_spread():
    calls = [
        node for node in ast.walk(ast.parse(code_without_await())) if isinstance(node, ast.Call)
    ]
    asked = {kind: [] for kind in ("guess", "behind", "quiz")}
    for call in calls:
        if (kind := ast.unparse(call.func)) in asked:
            nodes = [node for arg in call.args for node in ast.walk(arg)]
            texts = [node.value for node in nodes if isinstance(node, ast.Constant)]
            asked[kind] += [text for text in texts if str(text).startswith("sft-")]
    records = [each for each in questions().values() if each.notebook == PATH.stem]
    for kind in ("guess", "quiz"):
        assert sorted(asked[kind]) == sorted(each.id for each in records if each.kind == kind)
    assert sorted(asked["behind"]) == sorted(asked["guess"])
    right = [each.right for each in records if each.kind == "quiz"]
    assert len(right) == 8 and max(right.count(letter) for letter in "abcd") <= 2
    assert {"a", "b", "c", "d"} == set(right)


def code_without_await() -> str:
    return code().replace("await board.job", "board.job")
