"""What happens to models that learn from models? python -m benchmarks.collapse OUT.csv [SEED ...]

Generation 0 is the released base model, which learned from the world. Each later generation starts
from the weights of the one before and trains for the same number of steps on documents which that
one wrote: on these alone (replace), or together with all earlier ones and the first real ones
(accumulate). But more training changes a model in any case, so "real" trains each generation on new
documents of the world. The default seeds are 0, 1 and 2; a generation takes half a minute of
processor time.
"""

import math
import sys
from copy import deepcopy
from dataclasses import replace
from itertools import islice

from benchmarks.sweep import BATCH_ROWS, more_trained
from benchmarks.table import Table
from course_lib.config import TrainConfig
from course_lib.measure.choice_points import hit_probs, kl
from course_lib.measure.copies import known, stated, written
from course_lib.measure.held_out import held_out
from course_lib.model.transformer import Transformer
from course_lib.pipeline.release import load_released
from course_lib.text.rows import pack
from course_lib.text.tokenizer import Tokenizer
from course_lib.world.documents import HITS, documents, held_out_documents
from course_lib.world.facts import FACTS

COLUMNS = (
    "seed,data,generation,bits_per_byte,kl_cricket,facts_known,distinct_facts,"
    "unstated,unstated_known,returned"
)
STEPS = 100
TEXTS = 500  # documents of a generation
GENERATIONS = 4  # after the first
DATA = ("replace", "accumulate", "real")
DOCUMENTS = 150
FIRST_SEED = 500  # the released model has read documents of a small seed


def measured(model: Transformer, tokenizer: Tokenizer, texts: list[str], before: set) -> tuple:
    """What a row holds of a model that has read `texts`, and the facts that it knows.

    Bits per byte; mean KL to the truth over the players (nats); the share of facts it knows; how
    many facts the texts state; how many they don't, how many of these the model knows, and how many
    of *these* the model `before` it did not know: facts that came back from nowhere.
    """
    loss = held_out(model, tokenizer, islice(held_out_documents(), DOCUMENTS))
    kls = []
    for player, truth in HITS.items():
        found = hit_probs(model, tokenizer, player)
        kls.append(kl(truth, {hit: math.log(max(p, 1e-12)) for hit, p in found.items()}))
    told, knows = stated(texts), known(model, tokenizer)
    unstated = knows - told
    facts = len(told), len(FACTS) - len(told), len(unstated), len(unstated - before)
    return (loss.bits_per_byte, sum(kls) / len(kls), len(knows) / len(FACTS), *facts), knows


def chain(
    table: Table,
    model: Transformer,
    tokenizer: Tokenizer,
    seed: int,
    data: str,
    n: int,
    steps: int,
    generations: int,
) -> None:
    """Add a row for `model` and one for each generation after it."""
    if (seed, data, generations) in table:
        return
    config = TrainConfig(
        steps=steps,
        batch_rows=BATCH_ROWS,
        learning_rate=1e-3,
        warmup=0.1,
        decay=0.5,
        weight_decay=0.0,
        seed=seed,
    )
    world = documents(seed=FIRST_SEED + seed)
    texts = list(islice(world, n))
    model, knows = deepcopy(model), set(FACTS)
    for generation in range(generations + 1):
        if generation:
            real = data == "real"
            draw_seed = 1000 * seed + generation
            new = list(islice(world, n)) if real else written(model, tokenizer, n, draw_seed)
            texts = texts + new if data == "accumulate" else new
            rows = pack(texts, tokenizer, model.config.context_length)
            model = more_trained(model, rows, tokenizer, replace(config, seed=draw_seed))
        row, knows = measured(model, tokenizer, texts, knows)
        if (seed, data, generation) not in table:
            table.add(seed, data, generation, *row)


def main(out: str, *seeds: str) -> None:
    table, (model, tokenizer) = Table(out, COLUMNS), load_released("base")
    for data in DATA:
        for seed in map(int, seeds or (0, 1, 2)):
            chain(table, model, tokenizer, seed, data, TEXTS, STEPS, GENERATIONS)


if __name__ == "__main__":
    main(*sys.argv[1:])
