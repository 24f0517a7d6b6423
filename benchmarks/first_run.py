"""A minute of pretraining, and how to spoil it: python -m benchmarks.first_run OUT.csv [SEED ...]

Trains `nano` as notebook 03 does, once as usual and once with each of the faults in `RUNS`, and
looks at it on the way: the loss on documents that it has read and on others that it has not, how
many of the former it can recite, what it says Virat Kohli hits, and, in the usual run, how near its
bars for the six players are to their own. One thread; the tokenizer is the released one; the
default seeds are 0, 1 and 2.
"""

import argparse
import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from benchmarks.table import Table
from course_lib.config import TrainConfig, model_preset
from course_lib.measure.choice_points import hit_probs
from course_lib.measure.held_out import HeldOut, held_out
from course_lib.measure.recited import recited
from course_lib.model.transformer import Transformer
from course_lib.pipeline.release import load_released
from course_lib.text.rows import pack, text_batches
from course_lib.text.tokenizer import Tokenizer
from course_lib.train.loop import next_token_loss, train
from course_lib.world.documents import HITS, documents, held_out_documents, raw_documents

COLUMNS = (
    "run,seed,step,read_bits,read_floor,new_bits,recited,six,century,four,ball,"
    "from_own,from_average"
)
USUAL = TrainConfig(
    steps=250, batch_rows=16, learning_rate=1.6e-2, decay=0.6, optimizer="muon", matrix_rate=0.25
)
MEASURED_AT = (1, 25, 50, 100, 175, 250)
TINY_ROWS = 80  # 250 steps of 16 rows read them fifty times
RUNS = ("usual", "rate too high", "tiny corpus", "junk left in")
TOO_HIGH = 60  # times the usual rate
ASKED = 150  # documents that are not in the training text
READ = 60  # of those that are
COMMON = ("six", "century", "four", "ball")  # what every player hits


def text_of(run: str, seed: int) -> Iterator[str]:
    """The documents that a run reads, in their order."""
    if run == "junk left in":
        return (text for text, _ in raw_documents(40_000, seed=seed))
    return documents(seed=seed)


def whole_documents(rows: np.ndarray, tokenizer: Tokenizer, n: int) -> list[str]:
    """The first `n` documents that stand in the rows from their beginning to their end."""
    found = []
    for row in rows:
        # behind the last mark stands what was cut off at the end of the row
        found += tokenizer.decode(row.tolist()).split("<|endoftext|>")[1:-1]
        if len(found) >= n:
            return found[:n]
    raise ValueError(f"{len(rows)} rows hold {len(found)} whole documents, {n} are needed")


def players(model: Transformer, tokenizer: Tokenizer) -> dict[str, float]:
    """How far are its bars for a player from that player's own, and from the average player's?

    In points of a hundred that would have to move, the mean over all six.
    """
    average = {hit: sum(each[hit] for each in HITS.values()) / len(HITS) for hit in COMMON}
    own, common = 0.0, 0.0
    for player, truth in HITS.items():
        bars = hit_probs(model, tokenizer, player)
        own += 100 * sum(max(0.0, truth[hit] - bars[hit]) for hit in COMMON) / len(HITS)
        common += 100 * sum(max(0.0, average[hit] - bars[hit]) for hit in COMMON) / len(HITS)
    return {"from_own": own, "from_average": common}


def per_token(nats: float, loss: HeldOut) -> float:
    """Bits per token."""
    return nats / math.log(2) / loss.n_tokens


def measured(table: Table, run: str, seed: int, precision: str) -> None:
    """Add a row for each of the steps `MEASURED_AT`."""
    if (run, seed, MEASURED_AT[-1]) in table:
        return
    _, tokenizer = load_released("base")
    config = replace(USUAL, seed=seed, precision=precision)
    if run == "rate too high":
        config = replace(config, learning_rate=TOO_HIGH * config.learning_rate)
    model = Transformer(model_preset("nano"), seed)
    n_rows = TINY_ROWS if run == "tiny corpus" else config.steps * config.batch_rows
    rows = pack(text_of(run, seed), tokenizer, model.config.context_length, n_rows)
    batch_at = text_batches(rows, config.batch_rows, tokenizer.eot_id, seed)
    new = list(held_out_documents(ASKED))
    # Junk is no text of the world, so it has no floor, and we don't ask about it.
    read = [] if run == "junk left in" else whole_documents(rows, tokenizer, READ)
    for record in train(model, batch_at, next_token_loss, config):
        if record.step in MEASURED_AT and (run, seed, record.step) not in table:
            model.eval()
            found = {"run": run, "seed": seed, "step": record.step}
            loss = held_out(model, tokenizer, new)
            found |= {"new_bits": per_token(loss.model_nats, loss)}
            found |= dict.fromkeys(("read_bits", "read_floor", "recited"))
            if read:
                loss = held_out(model, tokenizer, read)
                found["read_bits"] = per_token(loss.model_nats, loss)
                found["read_floor"] = per_token(loss.world_nats, loss)
                found["recited"] = recited(model, tokenizer, read)
            found |= hit_probs(model, tokenizer, "Virat Kohli")
            found |= dict.fromkeys(("from_own", "from_average"))
            if run == "usual":
                found |= players(model, tokenizer)
            table.add_named(found)
            model.train()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out")
    parser.add_argument("seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--runs", nargs="+", choices=RUNS, default=list(RUNS))
    parser.add_argument("--precision", default="bfloat16")
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = Table(options.out, COLUMNS)
    for seed in options.seeds:
        for run in options.runs:
            measured(table, run, seed, options.precision)


if __name__ == "__main__":
    main()
