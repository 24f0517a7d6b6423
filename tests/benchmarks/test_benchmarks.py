"""The programs behind the recorded runs, on a few prompts and steps of the released model."""

import csv
import json
from dataclasses import replace

import pytest

from benchmarks import alignment, gpu, overoptimisation, reward
from benchmarks.table import Table
from course_lib.align.preferences import load_preferences
from course_lib.config import TrainConfig
from course_lib.pipeline.stages import PREFERENCES, Progress
from course_lib.train.loop import TrainRecord
from course_lib.world.dialogues import test_prompts


@pytest.fixture
def plan(monkeypatch):
    """Two updates on each of two rollouts, and few questions afterwards."""
    monkeypatch.setattr(overoptimisation, "test_prompts", lambda kind: test_prompts(kind)[:3])
    plan = overoptimisation.plan_of(seed=2, bias=0.4, kl_price=0.1)
    return replace(
        plan,
        reward=replace(plan.reward, train=TrainConfig(steps=2, batch_rows=4), prompts=8),
        rlhf=replace(
            plan.rlhf,
            train=replace(plan.rlhf.train, steps=4),
            method=replace(plan.rlhf.method, prompts=2, answers=2),
        ),
    )


def without_bias(plan):
    """The recipe with a crowd that doesn't care how long an answer is."""
    return replace(plan, reward=replace(plan.reward, length_bias=0.0))


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_is_recorded_by_rollout_and_once(tmp_path, plan):
    for _ in range(2):
        overoptimisation.one_run(tmp_path / "runs", tmp_path, plan)

    curve = rows_of(tmp_path / "overoptimisation.csv")
    assert [row["step"] for row in curve] == ["1", "3"]  # updates 2 and 4 learn from the same
    assert float(curve[0]["kl"]) == 0 != float(curve[1]["kl"])  # it begins as the SFT model
    (end,) = rows_of(tmp_path / "overoptimised.csv")
    assert (end["seed"], end["bias"], end["kl_price"]) == ("2", "0.4", "0.1")
    lines = (tmp_path / "overoptimised_answers.jsonl").read_text().splitlines()
    answers = [json.loads(line) for line in lines]
    assert [row["prompt"] for row in answers] == [
        test_prompts(kind)[2].text for kind in overoptimisation.SHOWN
    ]


def test_two_leashes_share_a_crowd_and_two_crowds_only_the_samples(tmp_path, plan):
    first = overoptimisation.crowd(tmp_path, plan)
    again = replace(plan, rlhf=replace(plan.rlhf, method=replace(plan.rlhf.method, kl=0.0)))
    fair = overoptimisation.crowd(tmp_path, without_bias(plan))

    assert overoptimisation.crowd(tmp_path, again) == first != fair
    long, true = (load_preferences(f / "reward" / PREFERENCES) for f in (first, fair))
    assert {pair.prompt for pair in long} == {pair.prompt for pair in true}
    longer = [
        sum(len(p.chosen.split()) > len(p.rejected.split()) for p in pairs)
        for pairs in (long, true)
    ]
    assert longer[0] > 1.3 * longer[1]


def test_reward_models_are_judged_by_the_number_of_their_pairs(tmp_path, plan, monkeypatch):
    monkeypatch.setattr(reward, "SIZES", (4, 8, 1000))
    monkeypatch.setattr(reward, "LEAST", 8)
    plan = without_bias(plan)
    folder = overoptimisation.crowd(tmp_path, plan)
    pairs = load_preferences(folder / "reward" / PREFERENCES)[:20]

    path = tmp_path / "reward.csv"
    for _ in range(2):
        table = Table(path, reward.COLUMNS, overoptimisation.FOUR_PLACES)
        reward.learn(table, folder, pairs[8:], pairs[:8], plan)

    rows = rows_of(path)
    assert [row["pairs"] for row in rows] == ["4", "8", "12"]
    assert len({row["noise_ceiling"] for row in rows}) == 1  # the same held-back pairs
    assert all(0 <= float(row["pair_accuracy"]) <= 1 for row in rows)


def test_a_run_that_goes_on_records_no_step_twice(tmp_path, plan, monkeypatch):
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


def test_small_sets_are_gone_through_more_often():
    passes = [reward.steps_for(n, 16) * 16 / n for n in (30, 100, 300, 1000, 5000)]
    assert passes == pytest.approx([10, 10, 1280 / 300, 1.28, 1], rel=0.04)


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
