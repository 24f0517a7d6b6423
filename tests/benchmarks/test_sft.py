"""The recorded runs of SFT bear out what notebook 04 says of them, in every seed."""

import csv

import pytest

from benchmarks.table import DATA

UNASKED = ("asked_in_pretraining", "stated_only")


def runs(name):
    """{(run, seed, step): shares} of a recorded file."""
    with (DATA / name).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    shares = ("asked_in_sft", *UNASKED, "made_up")
    return {
        (row["run"], int(row["seed"]), int(row["step"])): {k: float(row[k]) for k in shares}
        for row in rows
    }


@pytest.fixture(scope="module")
def long():
    return runs("sft.csv")


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_what_no_dialogue_asks_is_forgotten_without_plain_text(long, seed):
    for split in UNASKED:
        alone = [long["3000 dialogues, no text", seed, step][split] for step in (10, 80, 320)]
        mixed = [long["3000 dialogues", seed, step][split] for step in (10, 80, 320)]
        assert alone[0] + 0.3 < alone[1] and alone[2] < alone[1] - 0.15
        assert mixed[0] + 0.3 < mixed[1] and mixed[2] > mixed[1] - 0.05


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_counting_the_questions_too_is_slower(long, seed):
    for split in ("asked_in_sft", *UNASKED):
        masked, whole = (long[f"3000 dialogues{x}", seed, 40][split] for x in ("", ", whole"))
        assert masked > whole


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_thirty_dialogues_are_too_few_and_three_thousand_spare_what_is_not_asked(long, seed):
    few, some, many = (long[f"{n} dialogues", seed, 320] for n in (30, 300, 3000))

    assert few["asked_in_sft"] < 0.6 and min(some["asked_in_sft"], many["asked_in_sft"]) > 0.9
    assert many["asked_in_pretraining"] > some["asked_in_pretraining"] + 0.15


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_notebooks_short_runs_lie_in_its_bands(seed):
    short = runs("sft_short.csv")
    right, wrong = (short[f"1000 dialogues{x}", seed, 80] for x in ("", ", whole"))

    assert right["asked_in_sft"] > wrong["asked_in_sft"] + 0.2
    assert 0.57 < right["asked_in_sft"] < 0.77 and 0.62 < right["asked_in_pretraining"] < 0.82
    assert 0.35 < right["stated_only"] < 0.55
    assert right["made_up"] > 0.6
