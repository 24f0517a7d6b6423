"""Notebook 05: its part and its exercises know right from nearly right; its text keeps its word."""

import csv
import json
from collections import Counter
from pathlib import Path
from statistics import mean

import nbformat
import pytest
import torch

from course_lib.check import rlhf
from course_lib.check.question import questions
from course_lib.machine.folders import measurement
from course_lib.train.losses import bradley_terry
from course_lib.world.edition import world_hash
from tools.class_time import class_time

PATH = Path(__file__).parents[2] / "notebooks" / "05_rlhf.ipynb"
NOTEBOOK = nbformat.read(PATH, as_version=4)
MINE = {name: one for name, one in questions().items() if one.notebook == PATH.stem}


def test_the_loss_is_accepted_and_what_is_nearly_right_is_not():
    logsigmoid = torch.nn.functional.logsigmoid

    assert rlhf.check_bradley_terry(bradley_terry).ok
    for nearly in (
        lambda chosen, rejected: -logsigmoid(rejected - chosen).mean(),  # the wrong one wins
        lambda chosen, rejected: logsigmoid(chosen - rejected).mean(),  # likely is bad
        lambda chosen, rejected: -logsigmoid(chosen - rejected),  # no mean
        lambda chosen, rejected: -logsigmoid((chosen - rejected).mean()),  # the mean too early
        lambda chosen, rejected: -torch.sigmoid(chosen - rejected).mean(),  # no logarithm
    ):
        assert not rlhf.check_bradley_terry(nearly).ok


@pytest.mark.parametrize(
    ("verdict", "told"),
    [
        (rlhf.leash(None), "Put a price"),
        (rlhf.leash(True), "A price is a number from 0 to 1000, got True"),
        (rlhf.own_reward(lambda prompt: 1), "Your reward ended in TypeError"),
        (rlhf.own_reward(lambda prompt, answer: float("nan")), "a reward is a number, got nan"),
        (rlhf.worse_of_n("odd", 4), "The kinds are invented, unstated"),
        (rlhf.worse_of_n("chat", 5), "Choose from 2, 4 or 8 answers, got 5"),
        (rlhf.worse_of_n("unstated", 32), "Choose from 2, 4 or 8 answers, got 32"),
        (rlhf.own_taste(lambda prompt, answer: 1), "finds all answers alike"),
        (rlhf.own_taste(lambda prompt, answer: 1 / 0), "Your taste ended in ZeroDivisionError"),
    ],
)
def test_a_verdict_says_what_is_wrong_and_not_what_is_right(verdict, told):
    assert not verdict.ok and told in verdict.words


@pytest.mark.parametrize(
    ("best", "ok", "told"),
    [
        (0.6, False, "gold 0.50 for any answer, 0.60 for the best of 2. The reward model still"),
        (0.5, False, "That's hardly a difference: it should be worse by 0.03 or more"),
        (0.48, False, "That's hardly a difference"),
        (0.4, True, "worse than no taste at all"),
    ],
)
def test_a_best_of_n_is_called_better_or_worse_only_where_it_is(monkeypatch, best, ok, told):
    rewards, worths = [1.0, 0.0] * 16, [best, 1 - best] * 16
    monkeypatch.setattr(rlhf, "_many", lambda kind: (rewards, worths))

    verdict = rlhf.worse_of_n("chat", 2)

    assert verdict.ok == ok and told in verdict.words


def test_gold_that_sinks_a_little_is_said_to_sink_too_little(monkeypatch):
    before, after = {"reward": 0.0, "gold": 0.82}, {"reward": 1.0, "gold": 0.68}
    monkeypatch.setattr(rlhf, "_after", lambda reward, price: (before, after))

    verdict = rlhf.own_reward(lambda prompt, answer: 1.0)

    assert not verdict.ok
    assert "0.82 to 0.68. Gold has to sink by 0.2 or more: that's no hack yet." in verdict.words


def test_the_quiz_has_eight_questions_and_its_right_answers_are_spread():
    quiz = [one for one in MINE.values() if one.kind == "quiz"]
    guesses = [one for one in MINE.values() if one.kind == "guess"]

    assert len(quiz) >= 8 and len(guesses) >= 4
    assert max(Counter(one.answer for one in quiz).values()) <= len(quiz) / 2
    asked = "\n".join(cell.source for cell in NOTEBOOK.cells if cell.cell_type == "code")
    assert [
        name for name, one in MINE.items() if one.kind != "exercise" and name not in asked
    ] == []


def test_a_class_has_time_for_it():
    assert class_time(NOTEBOOK).minutes <= 75


def leash(price: float) -> dict[int, list[dict]]:
    """seed -> its rows in the order of their steps."""
    with measurement("leash.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if float(row["price"]) == price]
    assert {row["world"] for row in rows} == {world_hash()}
    return {seed: [row for row in rows if int(row["seed"]) == seed] for seed in range(3)}


def test_without_a_leash_the_learned_reward_rises_and_gold_falls_in_every_seed():
    for rows in leash(0.0).values():
        first, last = rows[0], rows[-1]
        # up by 0.43, 0.29 and 0.12, down by 0.40, 0.59 and 0.10: the third comes back from 0.44
        assert float(last["reward"]) > float(first["reward"]) + 0.1
        assert float(last["gold"]) < float(first["gold"]) - 0.1


def test_the_tighter_the_leash_the_nearer_it_stays():
    far = [mean(float(rows[-1]["kl"]) for rows in leash(p).values()) for p in (0.0, 0.2, 1.0)]

    assert far == sorted(far, reverse=True) and far[0] > 2 * far[2]


def test_the_rollouts_of_the_slider_are_those_of_the_runs():
    lines = measurement("hacked.jsonl").read_text(encoding="utf-8").splitlines()
    rows = list(map(json.loads, lines))

    steps = [int(row["step"]) for row in leash(0.0)[0]]
    assert [row["step"] for row in rows if row["seed"] == 0] == steps
    assert all(len(row["answers"]) == 6 and row["world"] == world_hash() for row in rows)
