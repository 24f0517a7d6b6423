"""The recorded runs of SFT bear out what notebook 04 says of them, in every seed."""

import csv
import re
from pathlib import Path

import nbformat
import pytest
import torch

from benchmarks import sft
from benchmarks.sft import TRIALS, Trial, batches, loss_with, tells
from benchmarks.table import DATA
from course_lib.pipeline.release import load_released
from course_lib.text.rows import IGNORE
from course_lib.train.loop import next_token_loss
from course_lib.world.facts import FACTS

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "04_supervised_fine_tuning.ipynb"
SPLITS = ("asked_in_sft", "asked_in_pretraining", "stated_only")


@pytest.fixture(scope="module")
def runs():
    """{(run, seed): shares} after 80 steps."""
    with (DATA / "sft.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["step"] == "80"]
    names = sft.COLUMNS.split(",")[3:]
    return {(r["run"], int(r["seed"])): {name: float(r[name]) for name in names} for r in rows}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_takes_pretraining_and_sft(runs, seed):
    both, alone = (runs[name, seed] for name in ("1000 dialogues", "no pretraining"))

    assert both["asked_in_sft"] > 0.6 and both["asked_in_pretraining"] > 0.6
    assert both["stated_only"] > 0.35
    assert max(alone[split] for split in SPLITS) < 0.1


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_counting_the_questions_hurts_here_and_plain_text_does_not(runs, seed):
    answers, text, questions, alike = (
        runs[name, seed]
        for name in ("1000 dialogues", "half text", "half questions", "all tokens alike")
    )

    for split in SPLITS:
        assert answers[split] > alike[split] + 0.2 and text[split] > questions[split] + 0.05
    assert text["asked_in_sft"] > answers["asked_in_sft"] - 0.1


def test_the_recorded_runs_lie_in_the_bands_of_the_notebook(runs):
    printed = {}
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        for output in cell.get("outputs", []):
            text = output.get("text", "") or output.get("data", {}).get("text/plain", "")
            found = re.findall(r"^(.+); yours: \S+ \((\S+) to (\S+) expected", text, re.M)
            printed |= {what: (float(low), float(high)) for what, low, high in found}

    for what, name, split in (
        ("asked in SFT, of 100", "1000 dialogues", "asked_in_sft"),
        ("asked in FAQs, of 100", "1000 dialogues", "asked_in_pretraining"),
        ("only stated, of 100", "1000 dialogues", "stated_only"),
    ):
        low, high = printed[what]
        assert high - low <= 25, what
        for seed in range(3):
            assert low <= 100 * runs[name, seed][split] <= high, (what, seed)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_bad_labels_hurt_facts_that_no_label_mentions(runs, seed):
    right = runs["1000 dialogues", seed]["asked_in_pretraining"]

    assert max(runs[f"50% {f}", seed]["asked_in_pretraining"] for f in ("slips", "myths")) < right


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_shrug_is_learned_and_hurts_more_than_a_lie(runs, seed):
    shrugs = runs["50% shrugs", seed]

    assert 0.3 < shrugs["declined"] < 0.6 and shrugs["asked_in_sft"] < 0.3
    for fault in ("slips", "myths"):
        assert runs[f"50% {fault}", seed]["asked_in_sft"] > shrugs["asked_in_sft"] + 0.1
        assert runs[f"50% {fault}", seed]["declined"] < 0.1


def test_an_answer_tells_a_fact_in_each_of_its_wordings_and_no_other_fact():
    fact, other = FACTS[:2]

    assert all(tells(fact, f"Hello! {text}") for text in (*fact.statements(), fact.answer.upper()))
    assert not any(tells(fact, text) for text in (*other.statements(), other.answer, ""))


def test_half_of_the_loss_is_the_answers_whatever_the_other_half_is():
    model, tokenizer = load_released("base")
    with torch.no_grad():
        for name in ("half text", "half questions", "1000 dialogues"):
            trial = TRIALS[name]
            inputs, targets, answers, segments = batches(trial, tokenizer, 128, 0)(0)
            loss, _, _ = loss_with(trial.weights)(model, (inputs, targets, answers, segments))
            alone = targets.masked_fill(~answers, IGNORE)
            parts = [next_token_loss(model, (inputs, alone, segments))[0]]
            if trial.weights[1]:
                others = targets.masked_fill(answers, IGNORE)
                parts.append(next_token_loss(model, (inputs, others, segments))[0])
            assert loss.item() == pytest.approx(sum(parts).item() / len(parts), rel=1e-4)


def test_all_trials_read_the_same_answers_in_the_same_order():
    tokenizer = load_released("base")[1]
    asked = {"1000 dialogues", "half text", "half questions", "all tokens alike"}

    said = []
    for name in asked:
        _, targets, answers, _ = batches(TRIALS[name], tokenizer, 128, 1)(3)
        said.append(targets[answers].tolist())

    assert said == [said[0]] * len(asked) and len(said[0]) > 50


def test_a_trial_of_few_dialogues_fills_its_batches():
    tokenizer = load_released("base")[1]

    inputs, _, _, _ = batches(Trial(dialogues=3), tokenizer, 128, 0)(0)

    assert inputs.shape == (sft.ROWS, 128)
