"""What does a model learn first? python -m benchmarks.learning OUT.csv [SEED ...]

Trains `nano` on the world with the quick budget and measures it on the way: its distance to the
floor overall and for each kind of document, the facts it recalls in each split, and how far its
probabilities are from the true ones. The tokenizer is the released one; the default seeds are 0, 1
and 2. A seed takes about ten minutes on a busy core.
"""

import math
import sys

from benchmarks.table import Table
from course_lib.measure.answers import recalls
from course_lib.measure.choice_points import choice_kls, hit_probs, kl
from course_lib.measure.held_out import losses
from course_lib.model.transformer import Transformer
from course_lib.pipeline.recipe import recipe
from course_lib.pipeline.release import load_released
from course_lib.text.rows import pack, text_batches
from course_lib.train.loop import next_token_loss, train
from course_lib.world.documents import HITS, documents

COLUMNS = (
    "seed,step,tokens,bits_per_byte,floor,gap,"
    "gap_notes,gap_questions,gap_faq,gap_reports,gap_stories,gap_code,"
    "recall_asked_in_sft,recall_asked_in_pretraining,recall_stated_only,kl_choices,kl_cricket"
)
MEASURED_AT = (0, 25, 50, 100, 150, 200, 300, 400, 600, 800, 1000, 1200, 1400)  # steps
DOCUMENTS = 400


def measured(model, tokenizer) -> dict:
    """All that a row says about the model as it is now."""
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


def run(table: Table, seed: int) -> None:
    """Add a row for each of the steps `MEASURED_AT`."""
    if (seed, MEASURED_AT[-1]) in table:
        return
    _, tokenizer = load_released("base")
    plan = recipe("nano", seed, "bfloat16", "quick", "grpo")
    config, model = plan.base.train, Transformer(plan.model, seed)
    n_rows = config.steps * config.batch_rows
    rows = pack(documents(seed=seed), tokenizer, model.config.context_length, n_rows)
    batch_at = text_batches(rows, config.batch_rows, tokenizer.eot_id, seed)

    def add(step: int, tokens: int) -> None:
        if step in MEASURED_AT and (seed, step) not in table:
            so_far = {"seed": seed, "step": step, "tokens": tokens}
            table.add_named(so_far | measured(model, tokenizer))

    add(0, 0)
    for record in train(model, batch_at, next_token_loss, config):
        add(record.step, record.tokens)


def main(out: str, *seeds: str) -> None:
    table = Table(out, COLUMNS)
    for seed in map(int, seeds or (0, 1, 2)):
        run(table, seed)


if __name__ == "__main__":
    main(*sys.argv[1:])
