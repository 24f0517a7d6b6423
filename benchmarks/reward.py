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
from course_lib.align.preferences import Preference, load_preferences
from course_lib.align.reward import RewardModel, reward_batches, reward_loss
from course_lib.machine.cores import set_threads
from course_lib.pipeline.rankings import pair_metrics
from course_lib.pipeline.recipe import Recipe
from course_lib.pipeline.release import load_language_model
from course_lib.pipeline.stages import PREFERENCES
from course_lib.train.loop import train

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
    plan: Recipe,
) -> None:
    """Add a row for each number of pairs: how well a model trained on them orders the rest."""
    model, tokenizer = load_language_model(sft, "sft")
    for n in (*(size for size in SIZES if size < len(pairs)), len(pairs)):
        if (plan.seed, n) in table:
            continue
        config = plan.reward.train
        config = replace(config, steps=steps_for(n, config.batch_rows))
        reward_model = RewardModel.from_sft(model, tokenizer, plan.seed)
        for _ in train(reward_model, reward_batches(pairs[:n], config), reward_loss, config):
            pass
        found = pair_metrics(reward_model.eval(), held_back, plan.reward.noise)
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
        pairs = load_preferences(folder / "reward" / PREFERENCES)
        cut = len(pairs) // 10
        learn(table, folder, pairs[cut:], pairs[:cut], plan)


if __name__ == "__main__":
    main()
