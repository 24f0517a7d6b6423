"""What does a damaged model still know? python -m benchmarks.breaking OUT.csv

Damages the released chat model in three ways (noise on every number, a layer left out, fewer bits
per number) and measures both halves: its loss on documents that nobody trained on, and how many of
200 questions about facts it answers right. Noise has five seeds, the rest nothing to roll dice for.
A few minutes on one core.
"""

import sys
from collections.abc import Iterator

from benchmarks.table import Table
from course_lib.measure.damage import changed, coarse, with_noise, without_layer
from course_lib.measure.facts_right import what_is_left
from course_lib.measure.held_out import held_out
from course_lib.model.transformer import Transformer
from course_lib.pipeline.release import load_released
from course_lib.world.documents import held_out_documents

COLUMNS = "damage,amount,seed,bits_per_byte,floor,facts_right"
NUMBER = "{:.4g}".format
SHARES = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)  # of each table's own size
BITS = (8, 6, 5, 4, 3, 2)
SEEDS, DOCUMENTS = range(5), 60


def damaged(model: Transformer) -> Iterator[tuple[tuple, Transformer]]:
    """(damage, amount, seed) and the copy; the seed is 0 where nothing depends on one."""
    yield ("none", 0.0, 0), model
    for share in SHARES:
        for seed in SEEDS:
            yield ("noise", share, seed), with_noise(model, share, seed)
    for number in range(len(model.layers)):
        yield ("layer", float(number), 0), without_layer(model, number)
    for bits in BITS:
        yield ("bits", float(bits), 0), changed(model, lambda table, b=bits: coarse(table, b))


def run(table: Table, model: Transformer, tokenizer, n_documents: int = DOCUMENTS) -> None:
    """Add the rows that are not there yet."""
    texts = list(held_out_documents(n_documents))
    floor = held_out(model, tokenizer, texts).floor_bits_per_byte
    for row, copy in damaged(model):
        if row not in table:
            left = what_is_left(copy, tokenizer, texts)
            table.add(*row, left.bits, floor, left.facts)


def main(out: str) -> None:
    run(Table(out, COLUMNS, NUMBER), *load_released("rlhf"))


if __name__ == "__main__":
    main(*sys.argv[1:])
