"""What a model learns when: python benchmarks/learning.py OUT.csv [SEED ...]

Trains `nano` on the world with the quick budget, three seeds unless told, and measures it on its
way: distance to the floor in all and by kind of document, facts recalled by split, distance of its
probabilities to the true ones. The tokenizer is the released one. A seed takes about ten minutes on
a busy core.
"""

import csv
import math
import sys
import time
from pathlib import Path

from course_lib.answers import recalls
from course_lib.choice_points import choice_kls, hit_probs, kl
from course_lib.data import pack, text_batches
from course_lib.held_out import losses
from course_lib.model import Transformer
from course_lib.recipe import recipe
from course_lib.release import load_released
from course_lib.train import next_token_loss, train
from course_lib.world.documents import HITS, documents

MEASURED_AT = (0, 25, 50, 100, 150, 200, 300, 400, 600, 800, 1000, 1200, 1400)  # steps
DOCUMENTS = 400


def measured(model, tokenizer) -> dict:
    """One row: every figure of the model as it is."""
    model.eval()
    loss = losses(model, tokenizer, DOCUMENTS)
    hits = []
    for player, truth in HITS.items():
        found = hit_probs(model, tokenizer, player)
        hits.append(kl(truth, {hit: math.log(max(p, 1e-12)) for hit, p in found.items()}))
    row = {"bits_per_byte": loss["bits_per_byte"], "floor": loss["floor_bits_per_byte"]}
    row |= {"gap": loss["gap"]} | {f"gap_{k}": r["gap"] for k, r in loss["by_kind"].items()}
    row |= {f"recall_{split}": share for split, share in recalls(model, tokenizer).items()}
    row |= {"kl_choices": choice_kls(model, tokenizer)["mean_kl"], "kl_cricket": max(hits)}
    model.train()
    return row


def run(seed: int):
    _, tokenizer = load_released("base")
    plan = recipe("nano", seed, "bfloat16", "quick", "grpo")
    config, model = plan.base, Transformer(plan.model, seed)
    n_rows = config.steps * config.batch_rows
    rows = pack(documents(seed=seed), tokenizer, model.config.context_length, n_rows)
    batch_at = text_batches(rows, config.batch_rows, tokenizer.eot_id, seed)
    yield {"seed": seed, "step": 0, "tokens": 0} | measured(model, tokenizer)
    for record in train(model, batch_at, next_token_loss, config):
        if record.step in MEASURED_AT:
            so_far = {"seed": seed, "step": record.step, "tokens": record.tokens}
            yield so_far | measured(model, tokenizer)


def main(out: str, *seeds: str) -> None:
    started = time.time()
    writer, path = None, Path(out)
    with path.open("w", newline="") as file:
        for seed in map(int, seeds or (0, 1, 2)):
            for row in run(seed):
                if writer is None:
                    writer = csv.DictWriter(file, list(row))
                    writer.writeheader()
                shown = {k: f"{v:.5g}" if isinstance(v, float) else v for k, v in row.items()}
                writer.writerow(shown)
                file.flush()
                print(f"{time.time() - started:.0f} s: seed {seed}, step {row['step']}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
