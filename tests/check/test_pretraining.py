"""Notebook 03: its loop and exercises know right from nearly right; its questions are all asked."""

import ast
import html
import math
import re
from pathlib import Path

import nbformat
import pytest
import torch

from course_lib.check import pretraining, use
from course_lib.check.parts import PARTS
from course_lib.check.question import questions
from course_lib.pipeline.release import load_released
from course_lib.train.losses import cross_entropy
from tests.check.test_exercises import exercises
from tools.class_time import class_time

PATH = Path(__file__).parents[2] / "notebooks" / "03_pretraining.ipynb"
NOTEBOOK = nbformat.read(PATH, as_version=4)
# Changed in one place each: what a learner may well write, and a piece of what they are told.
NEARLY = [
    ("        optimizer.zero_grad()\n", "", "cleared first"),
    ("batch_at(step)", "batch_at(0)", "the same batch"),
    ("loss = cross_entropy(model(inputs, segments=segments), targets)",
     "loss = cross_entropy(model(inputs, segments=segments), inputs)", "come next"),
    ("model(inputs, segments=segments)", "model(inputs)", "segments"),
    ("loss.backward()", "(-loss).backward()", "uphill"),
    ("        optimizer.step()\n", "", "Not a single weight"),
    ("        loss.backward()\n", "", "Not a single weight"),
    ("        optimizer.zero_grad()\n        loss.backward()\n",
     "        loss.backward()\n        optimizer.zero_grad()\n", "Not a single weight"),
    ("range(steps)", "range(1, steps + 1)", "asked for [1, 2, 3, 4]"),
    ("range(steps)", "range(steps - 1)", "asked for [0, 1, 2]"),
    ("losses.append(loss.item())", "losses = loss.item()", "list of losses"),
    ("loss.item()", "loss.item() / 0.6931", "in nats"),
    ("    return losses", "    return losses[-1:]", "4 steps, 1 losses"),
]  # fmt: skip


def markdown() -> str:
    return "\n".join(cell.source for cell in NOTEBOOK.cells if cell.cell_type == "markdown")


def solution() -> str:
    printed = re.findall(r"<pre>(.*?)</pre>", markdown(), flags=re.DOTALL)
    (source,) = [each for each in printed if each.strip().startswith("def pretrain(")]
    return html.unescape(source).strip()


def defined(source: str):
    names = {"torch": torch, "cross_entropy": cross_entropy, "math": math}
    exec(source, names)
    return names["pretrain"]


def test_the_printed_loop_is_used_and_has_ten_lines(capsys):
    mine = defined(solution())

    assert use(mine) is mine and len(solution().splitlines()) == 10
    assert capsys.readouterr().out == "pretrain: yours\n"


@pytest.mark.parametrize(("right", "wrong", "told"), NEARLY)
def test_a_loop_with_a_slip_in_it_is_not_used(right, wrong, told):
    source = solution() + "\n"
    assert right in source, "the slip is not made where it was planned"

    verdict = PARTS["pretrain"][0](defined(source.replace(right, wrong, 1)))

    assert not verdict.ok and told in verdict.words and len(verdict.words) < 300
    assert "zero_grad" not in verdict.words and "segments=" not in verdict.words


@pytest.mark.parametrize("wrong", [None, 7, lambda model: [], lambda *given: 1 / 0])
def test_what_is_no_loop_gets_a_sentence(wrong):
    verdict = PARTS["pretrain"][0](wrong)

    assert not verdict.ok
    assert "needs a function" in verdict.words or "ended in" in verdict.words


def test_the_loop_as_handed_out_gets_the_courses_own(capsys):
    (source,) = [c.source for c in NOTEBOOK.cells if c.source.startswith("def pretrain(")]
    assert source.splitlines()[-1] == "pretrain = use(pretrain)"

    assert use(defined(source.rpartition("\n")[0])) is PARTS["pretrain"][1]
    assert capsys.readouterr().out.endswith("pretrain isn't written yet.\n")


def test_the_loop_is_judged_where_nothing_is_recorded():
    with torch.no_grad():  # a notebook may have switched it off
        assert PARTS["pretrain"][0](defined(solution())).ok


# ---- Exercises ----------------------------------------------------------------------------------


def test_a_hundred_steps_pass_below_the_bar_only(monkeypatch):
    monkeypatch.setattr(pretraining, "HUNDRED", 1)
    for bits in (pretraining.GOOD - 0.1, pretraining.GOOD + 0.1):
        monkeypatch.setattr(pretraining, "_bits", lambda model, bits=bits: bits)
        verdict = pretraining.hundred_steps(0.004)
        assert verdict.ok == (bits < pretraining.GOOD) and f"{bits:.2f} bits" in verdict.words


@pytest.mark.parametrize("dial", ["rate", "warmup", "decay"])
@pytest.mark.parametrize("wrong", ["fast", True, [0.1]])
def test_a_dial_that_is_no_number_is_named(dial, wrong):
    verdict = pretraining.hundred_steps(**({"rate": 0.004} | {dial: wrong}))

    name = "warm-up" if dial == "warmup" else dial
    assert verdict.words == f"The {name} is a number such as 0.02, got {wrong!r}."


@pytest.mark.parametrize("rate", [0, -1, math.nan, math.inf])
def test_a_rate_that_is_not_above_zero_is_called_a_rate(rate):
    words = pretraining.hundred_steps(rate).words

    assert words == f"The rate is a number above zero such as 0.004, got {rate}."


@pytest.mark.parametrize("by_heart", [True, False])
def test_what_one_run_recites_is_said_of_this_run(by_heart, monkeypatch):
    monkeypatch.setattr(pretraining, "train", lambda model, *arguments: [])
    monkeypatch.setattr(
        pretraining, "recitals", lambda model, tokenizer, texts: [("Nils", " keeps", by_heart)]
    )

    verdict = pretraining.few_copies(7)

    assert verdict.ok == by_heart and ("By heart" in verdict.words) == by_heart
    assert "in this run." in verdict.words


def test_the_first_verdict_on_bits_per_byte_is_not_its_solution():
    verdict = pretraining.bits_per_byte(lambda nats, n_tokens, n_bytes: nats)

    assert verdict.words == "<lambda>(0.693, 100, 100) gives 0.693, expected 1."


def test_the_secret_is_read_as_often_as_asked(monkeypatch):
    read = []
    monkeypatch.setattr(pretraining, "train", lambda model, *arguments: [])
    monkeypatch.setattr(pretraining, "text_batches", lambda rows, *more: read.append(rows))
    tokenizer = load_released("base")[1]

    for copies in (0, 1, 7, 60):
        pretraining.few_copies(copies)
        texts = [tokenizer.decode(row.tolist()) for row in read[-1]]
        assert len(texts) == 480 and sum(pretraining.SECRET in text for text in texts) == copies


def test_a_filter_that_spares_all_but_one_kind_is_told_which(monkeypatch):
    from course_lib.world.documents import kind_grammar, raw_documents

    junk = {text for text, label in raw_documents(1500, seed=7) if label == "junk"}
    code = kind_grammar("code")

    assert pretraining.short_filter(lambda text: text not in junk).ok
    verdict = pretraining.short_filter(
        lambda text: text not in junk and code.log_prob(text) == -math.inf
    )
    assert not verdict.ok and "suffers most, code, 100%" in verdict.words


@pytest.mark.parametrize("name", ["pretrain", *(each.checker for each in exercises(PATH))])
def test_whatever_is_to_be_written_has_hints_and_the_first_is_no_code(name):
    hints = questions()[name.replace("_", "-")].hints

    assert len(hints) >= 2
    assert [piece for piece in ("()", "0.0", "def ", "{}", "math.log") if piece in hints[0]] == []


# ---- The lesson ---------------------------------------------------------------------------------


def test_the_lesson_takes_an_hour_to_seventy_five_minutes():
    time = class_time(NOTEBOOK)

    assert 60 <= time.minutes <= 75, str(time)


def test_each_question_of_the_lesson_is_asked_once_and_letters_are_spread():
    code = "\n".join(cell.source for cell in NOTEBOOK.cells if cell.cell_type == "code")
    asked = {kind: [] for kind in ("guess", "behind", "quiz")}
    for call in ast.walk(ast.parse(code.replace("await board.job", "board.job"))):
        if isinstance(call, ast.Call) and (kind := ast.unparse(call.func)) in asked:
            nodes = [node for arg in call.args for node in ast.walk(arg)]
            texts = [node.value for node in nodes if isinstance(node, ast.Constant)]
            asked[kind] += [text for text in texts if str(text).startswith("pre-")]
    records = [each for each in questions().values() if each.notebook == PATH.stem]
    for kind in ("guess", "quiz"):
        assert sorted(asked[kind]) == sorted(each.id for each in records if each.kind == kind)
    assert sorted(asked["behind"]) == sorted(asked["guess"])
    right = [each.right for each in records if each.kind == "quiz"]
    assert len(right) >= 8 and {"a", "b", "c", "d"} == set(right)
    assert max(map(right.count, right)) <= 3
