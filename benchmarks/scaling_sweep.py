"""How does loss fall with size and tokens? python -m benchmarks.scaling_sweep OUT.csv [SEED ...]

Models of four sizes train on five amounts of fresh text each; nothing is read twice. All are judged
on the same held-out documents, beside the loss that no model can beat. The tokenizer is the
released one; the default seeds are 0 and 1. A seed takes a quarter of an hour on a third of a core.
"""

import sys
from itertools import islice

import numpy as np

from benchmarks.sweep import BATCH_ROWS, cooled, shape
from benchmarks.table import Table
from course_lib.config import ModelConfig, TrainConfig
from course_lib.measure.held_out import held_out
from course_lib.pipeline.release import load_released
from course_lib.text.rows import pack
from course_lib.world.documents import documents, held_out_documents

COLUMNS = "seed,dim,n_layers,parameters,tokens,bits_per_byte,nats_per_token,floor_bits_per_byte"
SIZES = ((24, 2), (48, 2), (64, 3), (96, 4))  # dim, layers
STEPS = (120, 240, 480, 960, 1920)
DOCUMENTS = 300


def learning_rate(dim: int) -> float:
    """The plateau of the schedule: larger models want smaller steps."""
    return 4e-3 * (48 / dim) ** 0.5


def sweep(table: Table, tokenizer, rows: np.ndarray, size: ModelConfig, seed: int, step_counts):
    """Add the rows of one size and one seed."""
    begins = (seed, size.dim, size.n_layers, size.n_parameters)
    row_tokens = BATCH_ROWS * size.context_length
    missing = [n for n in step_counts if (*begins, n * row_tokens) not in table]
    config = TrainConfig(
        steps=max(step_counts),
        batch_rows=BATCH_ROWS,
        learning_rate=learning_rate(size.dim),
        warmup=0.0125,
        decay=0.3,
        seed=seed,
    )
    texts = list(islice(held_out_documents(), DOCUMENTS))
    for steps, model in cooled(size, rows, tokenizer, config, missing):
        loss = held_out(model, tokenizer, texts)
        nats = loss.model_nats / loss.n_tokens
        found = (loss.bits_per_byte, nats, loss.floor_bits_per_byte)
        table.add(*begins, steps * row_tokens, *found)


def main(out: str, *seeds: str) -> None:
    table, (_, tokenizer) = Table(out, COLUMNS), load_released("base")
    for seed in map(int, seeds or (0, 1)):
        sizes = [shape(*size) for size in SIZES]
        n_rows = max(STEPS) * BATCH_ROWS
        rows = pack(documents(seed=seed), tokenizer, sizes[0].context_length, n_rows)
        for size in sizes:
            sweep(table, tokenizer, rows, size, seed, STEPS)


if __name__ == "__main__":
    main(*sys.argv[1:])
