"""The programs behind the recorded runs, on a few prompts and steps of the released model."""

import csv

import pytest

from benchmarks import alignment, gpu
from benchmarks.table import Table
from course_lib.pipeline.recipe import recipe
from course_lib.pipeline.stages import Progress
from course_lib.train.loop import TrainRecord


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_that_goes_on_records_no_step_twice(tmp_path, monkeypatch):
    plan = recipe("nano", seed=2)

    def steps(first, last):
        for step in range(first, last + 1):
            record = TrainRecord(step, 0.0, 0.0, 0.0, 0, 0.0, 0.0, {"reward": step / 3, "lost": 1})
            yield Progress("rlhf", step, 3, record=record)

    for first, last in ((1, 2), (2, 3)):  # stopped at the second step, which wasn't saved yet
        monkeypatch.setattr(
            "benchmarks.alignment.run_stage", lambda *_, ends=(first, last): steps(*ends)
        )
        curves = Table(tmp_path / "alignment.csv", alignment.COLUMNS, alignment.NUMBER)
        alignment.run(tmp_path, ["rlhf"], plan, curves=curves, name="ppo")

    rows = [(row["run"], row["step"], row["reward"], row["gold"]) for row in rows_of(curves.path)]
    assert rows == [
        ("ppo", "1", "0.3333", ""),
        ("ppo", "2", "0.6667", ""),
        ("ppo", "3", "1.0000", ""),
    ]


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA H200", 989e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA A10G", 70e12),
        ("NVIDIA L40S", 362e12),
        ("NVIDIA GeForce RTX 4090", 165e12),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", None),  # a seventh of the GPU
        ("NVIDIA A1000", None),  # not an A100
        ("Tesla T4", None),
    ],
)
def test_the_peak_of_a_gpu_is_found_by_its_name(name, peak):
    assert gpu.peak_flops(name) == peak
