"""The recorded first runs bear out what notebook 03 says of them, in every seed."""

import csv
from dataclasses import replace

import pytest

from benchmarks import compression, first_run
from benchmarks.table import Table
from course_lib.config import ModelConfig
from course_lib.measure.recorded import recorded
from course_lib.world.documents import HITS, documents

SEEDS = (0, 1, 2)
FLOOR, BIGRAM = 1.2, 4.27  # bits per token, as the notebook prints them
PLAYER = "Virat Kohli"
AVERAGE = {hit: sum(all_of[hit] for all_of in HITS.values()) / len(HITS) for hit in HITS[PLAYER]}


@pytest.fixture(scope="module")
def rows():
    """{(run, seed, step): row}"""
    log = recorded("first_run.csv")
    assert log.note == ""
    return {(row["run"], row["seed"], row["step"]): row for row in log}


def test_every_run_was_measured_at_every_step(rows):
    expected = {(r, s, n) for r in first_run.RUNS for s in SEEDS for n in first_run.MEASURED_AT}
    assert set(rows) == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_the_usual_run_learns_the_world_and_no_pages(rows, seed):
    losses = [rows["usual", seed, step]["new_bits"] for step in first_run.MEASURED_AT]

    assert losses == sorted(losses, reverse=True) and FLOOR < losses[-1] < BIGRAM / 2
    last = rows["usual", seed, 250]
    assert abs(last["read_bits"] - last["new_bits"]) < 0.15 and last["recited"] < 0.15


@pytest.mark.parametrize("seed", SEEDS)
def test_a_tiny_corpus_is_learned_by_heart_below_the_floor_and_new_text_gets_worse(rows, seed):
    early, last = (rows["tiny corpus", seed, step] for step in (25, 250))

    assert last["read_bits"] < last["read_floor"] and last["recited"] > 0.5
    assert last["new_bits"] > early["new_bits"] + 1


@pytest.mark.parametrize("seed", SEEDS)
def test_with_a_rate_too_high_counting_pairs_is_better(rows, seed):
    early, last = (rows["rate too high", seed, step] for step in (1, 250))

    assert early["new_bits"] > 15 and last["new_bits"] > BIGRAM


@pytest.mark.parametrize("seed", SEEDS)
def test_junk_costs(rows, seed):
    cost = [rows[run, seed, 250]["new_bits"] for run in ("junk left in", "usual")]

    assert cost[0] > cost[1] + 0.02


def apart(row, truth) -> float:
    """Points of a hundred that the bars would have to move."""
    return 100 * sum(max(0, truth[hit] - row[hit]) for hit in truth)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_bars_are_the_average_players_before_they_are_each_ones_own(rows, seed):
    steps = {step: rows["usual", seed, step] for step in (25, 50, 250)}

    for step in (25, 50):
        assert steps[step]["from_average"] < steps[step]["from_own"]
    assert steps[250]["from_own"] < steps[250]["from_average"]


def test_with_kohli_alone_two_runs_of_three_tell_another_story(rows):
    bars = [rows["usual", seed, 50] for seed in SEEDS]

    assert sum(apart(row, HITS[PLAYER]) < apart(row, AVERAGE) for row in bars) == 2


def test_a_run_of_a_few_steps_is_measured_and_not_run_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(first_run, "USUAL", replace(first_run.USUAL, steps=2, batch_rows=2))
    monkeypatch.setattr(first_run, "MEASURED_AT", (1, 2))
    monkeypatch.setattr(first_run, "ASKED", 2)
    monkeypatch.setattr(first_run, "READ", 2)
    size = ModelConfig(1536, 128, dim=16, n_layers=1, n_heads=2, n_kv_heads=1, ffn_dim=32)
    monkeypatch.setattr(first_run, "model_preset", lambda name: size)
    table = Table(tmp_path / "runs.csv", first_run.COLUMNS, show=False)

    for run in ("usual", "junk left in"):
        first_run.measured(table, run, 0, "float32")
    before = (tmp_path / "runs.csv").read_bytes()
    first_run.measured(table, "usual", 0, "float32")

    assert (tmp_path / "runs.csv").read_bytes() == before
    with (tmp_path / "runs.csv").open() as file:
        found = list(csv.DictReader(file))
    assert [(row["run"], row["step"]) for row in found] == [
        *(("usual", "1"), ("usual", "2")),
        *(("junk left in", "1"), ("junk left in", "2")),
    ]
    assert found[0]["read_bits"] and not found[2]["read_bits"]


def test_the_internet_ends_with_the_tokens_that_were_read():
    texts = list(compression.internet(500, seed=1))

    assert texts == list(documents(len(texts), seed=1)) and 5 < len(texts) < 50


def test_the_model_pays_for_its_file_late_in_its_internet():
    log = recorded("compression.csv")
    size = {(r["program"], r["characters"]): r["bytes"] + r["beside"] for r in log}
    lengths = sorted({r["characters"] for r in log})
    usual, whole = ("xz", "bz2"), lengths[-1]

    assert log.note == "" and 43e6 < whole < 44e6
    for n in lengths[:-1]:
        assert max(size[name, n] for name in usual) < size["model, 8 bits", n]
    assert max(size[f"model, {bits} bits", whole] for bits in (16, 8)) < min(
        size[name, whole] for name in usual
    )
    for bits, program, low, high in ((16, "bz2", 32e6, 34e6), (8, "xz", 17e6, 19e6)):
        model = [size[f"model, {bits} bits", n] for n in lengths[-2:]]
        others = [size[program, n] for n in lengths[-2:]]
        ahead = [m - o for m, o in zip(model, others, strict=True)]
        share = ahead[0] / (ahead[0] - ahead[1])
        assert low < lengths[-2] + share * (whole - lengths[-2]) < high


@pytest.mark.parametrize("seed", SEEDS)
def test_muon_is_further_in_less_time(seed):
    log = recorded("optimizers.csv")
    runs = {(r["optimizer"], r["steps"]): r for r in log if r["seed"] == seed}
    short, long = runs["muon", 75], runs["adamw", 150]

    assert log.note == "" and short["seconds"] < long["seconds"] and short["gap"] < long["gap"]
    for steps in (75, 150):
        muon, adamw = (runs[name, steps] for name in ("muon", "adamw"))
        assert 1.05 < muon["seconds"] / adamw["seconds"] < 1.4
