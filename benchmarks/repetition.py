"""How often can you read the same text? python -m benchmarks.repetition OUT.csv [SEED ...]

A small model trains on the same number of tokens each time: on fresh text once, or on a half, a
quarter, ... of it 2, 4, 8, 16 or 32 times. Weight decay is the usual one; 8 and 32 passes are also
tried with a stronger one. Then the text stays the same and the training grows: 12,288 tokens, read
once, or 2, 4, 8, 16 or 32 times. All models are judged on the same held-out documents, beside the
loss that no model can beat. The tokenizer is the released one; the default seeds are 0, 1 and 2.
"""

import sys
from itertools import islice

from benchmarks.sweep import BATCH_ROWS, shape, trained
from benchmarks.table import Table
from course_lib.config import ModelConfig, TrainConfig
from course_lib.measure.held_out import held_out
from course_lib.pipeline.release import load_released
from course_lib.text.rows import pack
from course_lib.world.documents import documents, held_out_documents

COLUMNS = "seed,epochs,unique_tokens,tokens,weight_decay,bits_per_byte,floor_bits_per_byte"
SIZE = (48, 2)  # dim, layers
STEPS = 384  # a multiple of all epochs
RUNS = [(epochs, 0.1) for epochs in (1, 2, 4, 8, 16, 32)] + [(8, 1.0), (32, 1.0)]
TEXT_STEPS = 48  # of one reading of 12,288 tokens, the text that stays the same
READINGS = (1, 2, 4, 16, 32)  # of that text; 8 readings of it stand in RUNS already
DOCUMENTS = 300


def run(table: Table, tokenizer, size: ModelConfig, seed: int, steps: int, epochs: int, decay):
    """Add one row: `steps` of training, `epochs` times over the same text."""
    if steps % epochs:
        raise ValueError(f"{steps} steps can't be cut into {epochs} equal epochs")
    row_tokens = BATCH_ROWS * size.context_length
    begins = (seed, epochs, steps // epochs * row_tokens, steps * row_tokens, float(decay))
    if begins in table:
        return
    n_rows = steps // epochs * BATCH_ROWS
    rows = pack(documents(seed=seed), tokenizer, size.context_length, n_rows)
    config = TrainConfig(
        steps=steps, batch_rows=BATCH_ROWS, decay=0.5, weight_decay=decay, seed=seed
    )
    model = trained(size, rows, tokenizer, config)
    loss = held_out(model, tokenizer, islice(held_out_documents(), DOCUMENTS))
    table.add(*begins, loss.bits_per_byte, loss.floor_bits_per_byte)


def main(out: str, *seeds: str) -> None:
    table, (_, tokenizer) = Table(out, COLUMNS), load_released("base")
    for seed in map(int, seeds or (0, 1, 2)):
        for epochs, decay in RUNS:
            run(table, tokenizer, shape(*SIZE), seed, STEPS, epochs, decay)
        for epochs in READINGS:
            run(table, tokenizer, shape(*SIZE), seed, TEXT_STEPS * epochs, epochs, 0.1)


if __name__ == "__main__":
    main(*sys.argv[1:])
