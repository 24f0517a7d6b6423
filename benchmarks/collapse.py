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

import torch

from benchmarks.sweep import BATCH_ROWS, more_trained
from benchmarks.table import Table
from course_lib.config import TrainConfig
from course_lib.measure.answers import recalls
from course_lib.measure.choice_points import hit_probs, kl
from course_lib.measure.held_out import held_out
from course_lib.model.sample import generate
from course_lib.model.transformer import Transformer
from course_lib.pipeline.release import load_released
from course_lib.text.rows import pack
from course_lib.text.tokenizer import Tokenizer
from course_lib.world.documents import HITS, documents, held_out_documents
from course_lib.world.facts import FACTS

COLUMNS = "seed,data,generation,bits_per_byte,kl_cricket,facts_recalled,distinct_facts"
STEPS = 100
TEXTS = 500  # documents of a generation
GENERATIONS = 4  # after the first
DATA = ("replace", "accumulate", "real")
DOCUMENTS = 150
FIRST_SEED = 500  # the released model has read the documents of seed 0


def written(model: Transformer, tokenizer: Tokenizer, n: int, seed: int) -> list[str]:
    """`n` documents sampled from the model, cut where they would outgrow its context."""
    generator = torch.Generator().manual_seed(seed)
    start, most = [tokenizer.eot_id], model.config.context_length
    texts = []
    for first in range(0, n, 256):
        starts = [start] * min(256, n - first)
        drawn = generate(model, starts, most, stop=start, generator=generator)
        texts += [tokenizer.decode([id for id in ids if id != tokenizer.eot_id]) for ids in drawn]
    return texts


def stated(texts: list[str]) -> int:
    """How many of the world's facts the texts state, in at least one wording."""
    everything = "\n".join(texts)
    return sum(any(text in everything for text in fact.statements()) for fact in FACTS)


def measured(model: Transformer, tokenizer: Tokenizer, texts: list[str]) -> tuple:
    """Bits per byte; mean KL to the truth over the players (nats); facts recalled and stated."""
    loss = held_out(model, tokenizer, islice(held_out_documents(), DOCUMENTS))
    kls = []
    for player, truth in HITS.items():
        found = hit_probs(model, tokenizer, player)
        kls.append(kl(truth, {hit: math.log(max(p, 1e-12)) for hit, p in found.items()}))
    recall = recalls(model, tokenizer).values()
    return loss.bits_per_byte, sum(kls) / len(kls), sum(recall) / len(recall), stated(texts)


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
    model = deepcopy(model)
    for generation in range(generations + 1):
        if generation:
            real = data == "real"
            draw_seed = 1000 * seed + generation
            new = list(islice(world, n)) if real else written(model, tokenizer, n, draw_seed)
            texts = texts + new if data == "accumulate" else new
            rows = pack(texts, tokenizer, model.config.context_length)
            model = more_trained(model, rows, tokenizer, replace(config, seed=draw_seed))
        if (seed, data, generation) not in table:
            table.add(seed, data, generation, *measured(model, tokenizer, texts))


def main(out: str, *seeds: str) -> None:
    table, (model, tokenizer) = Table(out, COLUMNS), load_released("base")
    for data in DATA:
        for seed in map(int, seeds or (0, 1, 2)):
            chain(table, model, tokenizer, seed, data, TEXTS, STEPS, GENERATIONS)


if __name__ == "__main__":
    main(*sys.argv[1:])
