"""How does loss fall with size and tokens? python -m benchmarks.scaling_sweep OUT.csv [SIZE ...]

Models of six sizes train on four amounts of fresh text; nothing is read twice. The largest has
the shape of the course's own, nano. All are judged on the same held-out documents, beside the loss
that no model can beat. The tokenizer is the released one. `PLAN` says which seeds each size gets,
and how long their runs are: the large ones are dear. A size is its width; without one all are run.
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
STEPS = (120, 480, 1920, 7680)  # of 256 tokens
SHORT, LONG = STEPS[-2:]
PLAN = {  # (dim, layers) -> the longest run of each seed, from 0 on
    (24, 2): (LONG, SHORT, SHORT),
    (32, 2): (LONG, SHORT, SHORT),
    (48, 2): (LONG, SHORT, SHORT),
    (64, 3): (LONG,),
    (96, 4): (SHORT,),
    (128, 4): (LONG,),
}
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


def main(out: str, *widths: str) -> None:
    table, (_, tokenizer) = Table(out, COLUMNS), load_released("base")
    for (dim, n_layers), longest in PLAN.items():
        if widths and str(dim) not in widths:
            continue
        size = shape(dim, n_layers)
        for seed, last in enumerate(longest):
            rows = pack(documents(seed=seed), tokenizer, size.context_length, last * BATCH_ROWS)
            step_counts = [steps for steps in STEPS if steps <= last]
            sweep(table, tokenizer, rows, size, seed, step_counts)


if __name__ == "__main__":
    main(*sys.argv[1:])
