"""The sweeps behind the data bottleneck, on models of a few thousand weights and a few steps."""

import csv
from itertools import islice

import numpy as np
import pytest
import torch

from benchmarks import cleaning, collapse, repetition, scaling_sweep, sweep
from benchmarks.table import Table
from course_lib.config import TrainConfig
from course_lib.model.transformer import Transformer
from course_lib.pipeline.release import load_released
from course_lib.text.rows import pack
from course_lib.world.documents import documents, kind_grammar
from course_lib.world.facts import FACTS

TINY = sweep.shape(16, 1)
FEW = 4  # documents, steps


@pytest.fixture(autouse=True)
def few_documents(monkeypatch):
    for program in (scaling_sweep, repetition, cleaning, collapse):
        monkeypatch.setattr(program, "DOCUMENTS", FEW)


@pytest.fixture(scope="module")
def tokenizer():
    return load_released("base")[1]


@pytest.fixture
def rows(tokenizer):
    return pack(documents(seed=0), tokenizer, TINY.context_length, 16)


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_only_branch_of_a_trunk_is_a_plain_run(rows, tokenizer):
    """Without a warm-up both have the rates 1, 1, 2/3, 1/3 of the plateau."""
    config = TrainConfig(steps=4, batch_rows=2, warmup=0.0, decay=0.5)

    [(steps, branch)] = sweep.cooled(TINY, rows, tokenizer, config, [4])

    plain = sweep.trained(TINY, rows, tokenizer, config)
    assert steps == 4
    torch.testing.assert_close(branch.state_dict(), plain.state_dict(), rtol=0, atol=0)


def test_a_branch_leaves_the_trunk_as_it_was(rows, tokenizer):
    config = TrainConfig(steps=8, batch_rows=2, warmup=0.0, decay=0.5)

    both = dict(sweep.cooled(TINY, rows, tokenizer, config, [8, 4]))

    [(_, alone)] = sweep.cooled(TINY, rows, tokenizer, config, [8])
    assert list(both) == [4, 8]
    torch.testing.assert_close(both[8].state_dict(), alone.state_dict(), rtol=0, atol=0)


def test_the_scaling_sweep_writes_each_size_and_token_count_once(tmp_path, rows, tokenizer):
    path = tmp_path / "scaling.csv"
    for step_counts in ((2, 4), (2, 4, 6)):
        table = Table(path, scaling_sweep.COLUMNS)
        scaling_sweep.sweep(table, tokenizer, rows, TINY, 0, step_counts)

    found = read(path)
    assert [int(row["tokens"]) for row in found] == [512, 1024, 1536]
    losses = [float(row["bits_per_byte"]) for row in found]
    assert losses == sorted(losses, reverse=True)
    assert {row["parameters"] for row in found} == {str(TINY.n_parameters)}
    assert all(0 < float(row["floor_bits_per_byte"]) < losses[-1] for row in found)


def test_repetition_trains_on_as_many_tokens_from_fewer(tmp_path, tokenizer):
    table = Table(tmp_path / "repetition.csv", repetition.COLUMNS)
    for epochs in (1, 4, 4):
        repetition.run(table, tokenizer, TINY, 0, 4, epochs, 0.1)

    once, often = read(table.path)
    assert once["tokens"] == often["tokens"] == once["unique_tokens"] == "1024"
    assert (often["epochs"], often["unique_tokens"]) == ("4", "256")
    assert once["bits_per_byte"] != often["bits_per_byte"]
    with pytest.raises(ValueError, match="equal epochs"):
        repetition.run(table, tokenizer, TINY, 0, 4, 3, 0.1)


def test_a_mixture_holds_what_its_name_says():
    texts = {name: cleaning.mixture(name, 300, seed=0) for name in cleaning.MIXTURES}
    junk = {
        name: np.mean([kind_grammar("junk").log_prob(text) > -np.inf for text in found])
        for name, found in texts.items()
    }

    assert len(texts["raw"]) == len(texts["clean"]) == 300
    assert len(set(texts["without copies"])) == len(texts["without copies"]) < 300
    assert junk["raw"] > 0.2 and junk["cleaned"] < 0.02 and junk["clean"] == 0
    assert 0 < len(texts["too hard"]) < len(texts["cleaned"]) / 2
    assert all(len(text.split()) >= 40 for text in texts["too hard"])
    with pytest.raises(ValueError, match="one of raw"):
        cleaning.mixture("dirty", 300, seed=0)


def test_cleaning_writes_a_row_for_each_number_of_steps(tmp_path, tokenizer):
    table = Table(tmp_path / "cleaning.csv", cleaning.COLUMNS)
    for _ in range(2):
        cleaning.run(table, tokenizer, TINY, 0, "cleaned", 100, (2, 4))

    assert [(row["mixture"], row["tokens"]) for row in read(table.path)] == [
        ("cleaned", "512"),
        ("cleaned", "1024"),
    ]


@pytest.mark.parametrize("data", collapse.DATA)
def test_each_generation_learns_from_the_texts_of_its_kind(data, tmp_path, monkeypatch):
    """All models write the same text here, so a row tells what its generation was shown."""
    seen = []
    monkeypatch.setattr(collapse, "written", lambda *_: [str(FACTS[0])] * FEW)
    monkeypatch.setattr(collapse, "measured", lambda *_: ((len(seen), *[0] * 6), set()))
    monkeypatch.setattr(collapse, "pack", lambda texts, *_: seen.append(list(texts)))
    monkeypatch.setattr(collapse, "more_trained", lambda model, *_: model)
    table = Table(tmp_path / "collapse.csv", collapse.COLUMNS)

    for _ in range(2):
        collapse.chain(table, Transformer(TINY), None, 0, data, n=FEW, steps=2, generations=2)

    world = list(islice(documents(seed=collapse.FIRST_SEED), 3 * FEW))
    first, made = world[:FEW], [str(FACTS[0])] * FEW
    assert (
        seen
        == {
            "replace": [made, made],
            "accumulate": [first + made, first + made + made],
            "real": [world[FEW : 2 * FEW], world[2 * FEW :]],
        }[data]
    )
    assert [row["generation"] for row in read(table.path)] == ["0", "1", "2"]


def test_a_generation_is_another_model_and_is_measured(tmp_path, tokenizer, monkeypatch):
    monkeypatch.setattr(collapse, "known", lambda *_: set(FACTS[::2]))
    table = Table(tmp_path / "collapse.csv", collapse.COLUMNS)
    model = Transformer(TINY)

    collapse.chain(table, model, tokenizer, 0, "replace", n=8, steps=2, generations=1)

    before, after = read(table.path)
    assert before["bits_per_byte"] != after["bits_per_byte"]
    assert float(before["facts_known"]) == pytest.approx(0.5, abs=0.01)
    assert float(before["kl_cricket"]) > 0
    assert int(after["distinct_facts"]) == 0  # a new model writes no sentence


def test_a_row_tells_unstated_facts_and_those_that_came_back(tokenizer, monkeypatch):
    """The model knows three facts. The text states the second, the model before knew the first."""
    model = Transformer(TINY).eval()
    monkeypatch.setattr(collapse, "known", lambda *_: set(FACTS[:3]))

    row, knows = collapse.measured(model, tokenizer, FACTS[1].statements(), {FACTS[0]})

    assert knows == set(FACTS[:3])
    assert row[2:] == (3 / len(FACTS), 1, len(FACTS) - 1, 2, 1)


def test_repetition_keeps_one_text_and_reads_it_more_often():
    runs = {(repetition.TEXT_STEPS * epochs, epochs) for epochs in repetition.READINGS}

    row_tokens = 2 * repetition.shape(*repetition.SIZE).context_length
    assert {steps // epochs * row_tokens for steps, epochs in runs} == {12_288}
    assert (8, 0.1) in repetition.RUNS and repetition.STEPS == 8 * repetition.TEXT_STEPS
