"""Muon beside AdamW, to the same loss: python -m benchmarks.optimizers OUT.csv [SEED ...]

Trains `nano` on the world, in each row of the table from the start and with a decay of its own, for
so many steps, and notes the distance to the floor on held-out documents and the processor time of
the training alone. Both optimizers read the same rows in the same order. One thread; the tokenizer
is the released one; the default seeds are 0, 1 and 2. `--rates` tries Muon's rates first, on seed
100, which the table doesn't use.
"""

import argparse
import time
from dataclasses import replace

import torch

from benchmarks.table import Table
from course_lib.config import TrainConfig
from course_lib.measure.held_out import losses
from course_lib.model.transformer import Transformer
from course_lib.pipeline.recipe import recipe
from course_lib.pipeline.release import load_released
from course_lib.text.rows import pack, text_batches
from course_lib.train.loop import next_token_loss, train
from course_lib.world.documents import documents

STEPS = (150, 300, 500, 700, 1000, 1400)
DOCUMENTS = 400
COLUMNS = "run,seed,optimizer,steps,gap,seconds,bits_per_byte"
# The rate of the tables and gains, and Muon's share of it.
RATES = {"adamw": (4e-3, 0.5), "muon": (1.6e-2, 0.25)}
TRIED = [(rate, share) for rate in (8e-3, 1.6e-2, 2.4e-2) for share in (0.15, 0.25, 0.5)]


def measured(name: str, rates: tuple[float, float], seed: int, steps: int, precision: str) -> dict:
    """One run, from the first step to the held-out documents."""
    _, tokenizer = load_released("base")
    plan = recipe("nano", seed, precision, "quick", "grpo")
    config: TrainConfig = replace(
        plan.base.train, steps=steps, optimizer=name, learning_rate=rates[0], matrix_rate=rates[1]
    )
    model = Transformer(plan.model, seed)
    n_rows = steps * config.batch_rows
    rows = pack(documents(seed=seed), tokenizer, model.config.context_length, n_rows)
    batch_at = text_batches(rows, config.batch_rows, tokenizer.eot_id, seed)
    start = time.process_time()
    for _ in train(model, batch_at, next_token_loss, config):
        pass
    seconds = time.process_time() - start
    loss = losses(model, tokenizer, DOCUMENTS)
    return {
        "run": f"{name} {steps}",
        "seed": seed,
        "optimizer": name,
        "steps": steps,
        "gap": loss["gap"],
        "seconds": seconds,
        "bits_per_byte": loss["bits_per_byte"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out")
    parser.add_argument("seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--rates", action="store_true")
    parser.add_argument("--steps", nargs="+", type=int, default=list(STEPS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = Table(options.out, COLUMNS)
    if options.rates:
        for rate, share in TRIED:
            row = measured("muon", (rate, share), 100, 300, options.precision)
            print(
                f"rate {rate:g}, share {share:g}: {row['gap']:.1%} in {row['seconds']:.0f} s",
                flush=True,
            )
        return
    for seed in options.seeds:
        for steps in options.steps:
            for name, rates in RATES.items():
                if (f"{name} {steps}", seed) not in table:
                    table.add_named(measured(name, rates, seed, steps, options.precision))


if __name__ == "__main__":
    main()
