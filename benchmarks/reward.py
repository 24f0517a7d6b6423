"""How many pairs does a reward model need? python -m benchmarks.reward

Each seed takes the unbiased crowd of `benchmarks.overoptimisation`. A reward model trains on the
first 30, 100, 300 and 1,000 of its pairs and on all of them, and is judged on the same held-back
tenth. A small set is read several times. Each model is a row of `reward.csv`.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from benchmarks.overoptimisation import FOUR_PLACES, crowd, plan_of
from benchmarks.table import DATA, Table
from course_lib import stages
from course_lib.device import set_threads
from course_lib.preferences import Preference, load_preferences
from course_lib.reward import RewardModel, reward_batches, reward_loss
from course_lib.train import train

SIZES = (30, 100, 300, 1000)
LEAST = 1280  # pairs to train on: a smaller set is read again until it comes to so many
PASSES = 10  # but no more often than this
COLUMNS = "seed,pairs,pair_accuracy,gold_order,noise_ceiling,gold_accuracy"


def steps_for(n_pairs: int, batch_rows: int) -> int:
    passes = min(PASSES, max(1, LEAST / n_pairs))
    return max(1, round(passes * n_pairs / batch_rows))


def learn(
    table: Table,
    sft: Path,
    pairs: list[Preference],
    held_back: list[Preference],
    plan: stages.Recipe,
) -> None:
    """Add a row for each number of pairs: how well a model trained on them orders the rest."""
    model, tokenizer = stages.load_stage(sft, "sft")
    for n in (*(size for size in SIZES if size < len(pairs)), len(pairs)):
        if (plan.seed, n) in table:
            continue
        config = replace(plan.reward, steps=steps_for(n, plan.reward.batch_rows))
        reward_model = RewardModel.from_sft(model, tokenizer, plan.seed)
        for _ in train(reward_model, reward_batches(pairs[:n], config), reward_loss, config):
            pass
        found = stages.judged(reward_model.eval(), held_back, plan.ranking_noise)
        table.add_named({"seed": plan.seed, "pairs": n} | found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("artifacts/overoptimisation"))
    parser.add_argument("--data", type=Path, default=DATA)
    options = parser.parse_args()
    set_threads(1)
    table = Table(options.data / "reward.csv", COLUMNS, FOUR_PLACES)
    for seed in options.seeds:
        plan = plan_of(seed, bias=0.0, kl_price=0.0)
        folder = crowd(options.out, plan)
        pairs = load_preferences(folder / "reward" / stages.PREFERENCES)
        cut = len(pairs) // 10
        learn(table, folder, pairs[cut:], pairs[:cut], plan)


if __name__ == "__main__":
    main()
