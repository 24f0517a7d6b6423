"""Damage and what is left of it, on two documents and stubs."""

import csv

from benchmarks import breaking
from benchmarks.table import Table
from course_lib.measure.facts_right import Left
from course_lib.pipeline.release import load_released


def test_each_damage_is_measured_once_and_a_stopped_run_goes_on(tmp_path, monkeypatch):
    seen = []

    def left(model, tokenizer, texts):
        first = model.norm.weight[0] + model.layers[0].mlp.up_proj.weight[0, 0]
        seen.append(first.item())
        return Left(0, len(seen), 100)

    monkeypatch.setattr(breaking, "what_is_left", left)
    model, tokenizer = load_released("rlhf")
    table = Table(tmp_path / "b.csv", breaking.COLUMNS, breaking.NUMBER)
    for _ in range(2):
        breaking.run(table, model, tokenizer, 2)

    with table.path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    n_noise = len(breaking.SHARES) * len(breaking.SEEDS)
    kinds = [row["damage"] for row in rows]
    assert kinds == ["none"] + ["noise"] * n_noise + ["layer"] * 4 + ["bits"] * len(breaking.BITS)
    assert len(seen) == len(rows)  # nothing was measured twice
    assert len({round(value, 6) for value in seen[1 : 1 + n_noise]}) == n_noise  # each other noise
    assert float(rows[0]["floor"]) > 0
