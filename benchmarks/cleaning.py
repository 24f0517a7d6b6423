"""Can better text stand in for more text? python -m benchmarks.cleaning OUT.csv [SEED ...]

The same crawl (30% junk, 20% copies) five times: as it came; without exact copies; filtered, and
without near copies too; filtered too hard; and, for comparison, as many clean documents as the
crawl holds. A small model learns from each and is judged on the same clean held-out documents.
A mixture that is too short for the tokens asked is read again. The tokenizer is the released one;
the default seeds are 0, 1 and 2.
"""

import sys
from itertools import islice

from benchmarks.sweep import BATCH_ROWS, cooled, shape
from benchmarks.table import Table
from course_lib.config import ModelConfig, TrainConfig
from course_lib.measure.held_out import held_out
from course_lib.pipeline.release import load_released
from course_lib.text.clean import KEPT, RULES, Rule, clean, drop_copies, n_words
from course_lib.text.rows import pack
from course_lib.world.documents import documents, held_out_documents, raw_documents

COLUMNS = "seed,mixture,tokens,bits_per_byte,floor_bits_per_byte"
SIZE = (48, 2)  # dim, layers
STEPS = (128, 384)
CRAWL = 4000  # documents
DOCUMENTS = 300
# Keeps only long prose: a filter by somebody who tuned it while looking at one kind of text.
TOO_HARD = (*RULES, Rule("not long", n_words, low=40, for_code=True))
MIXTURES = ("raw", "without copies", "cleaned", "too hard", "clean")


def mixture(name: str, n: int, seed: int) -> list[str]:
    """The texts of a mixture, made from a crawl of `n` documents."""
    raw = [text for text, _ in raw_documents(n, seed=seed)]
    if name == "raw":
        return raw
    if name == "without copies":
        return list(drop_copies(raw))
    if name == "cleaned":
        return [text for text, verdict in clean(raw) if verdict == KEPT]
    if name == "too hard":
        return [text for text, verdict in clean(raw, TOO_HARD) if verdict == KEPT]
    if name == "clean":
        return list(documents(n, seed=seed))
    raise ValueError(f"a mixture is one of {', '.join(MIXTURES)}, got {name!r}")


def run(table: Table, tokenizer, size: ModelConfig, seed: int, name: str, n: int, step_counts):
    """Add a row for each number of steps on one mixture."""
    row_tokens = BATCH_ROWS * size.context_length
    missing = [steps for steps in step_counts if (seed, name, steps * row_tokens) not in table]
    if not missing:
        return
    rows = pack(mixture(name, n, seed), tokenizer, size.context_length)
    config = TrainConfig(
        steps=max(step_counts), batch_rows=BATCH_ROWS, warmup=0.05, decay=0.5, seed=seed
    )
    texts = list(islice(held_out_documents(), DOCUMENTS))
    for steps, model in cooled(size, rows, tokenizer, config, missing):
        loss = held_out(model, tokenizer, texts)
        table.add(seed, name, steps * row_tokens, loss.bits_per_byte, loss.floor_bits_per_byte)


def main(out: str, *seeds: str) -> None:
    table, (_, tokenizer) = Table(out, COLUMNS), load_released("base")
    for seed in map(int, seeds or (0, 1, 2)):
        for name in MIXTURES:
            run(table, tokenizer, shape(*SIZE), seed, name, CRAWL, STEPS)


if __name__ == "__main__":
    main(*sys.argv[1:])
