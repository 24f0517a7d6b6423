"""Copies of copies: what a model writes for the next one to read, and which facts come through.

A fact can be in three places, and they are counted apart: in a text, in a model that has read the
text, and in a model that has read it somewhere before.
"""

import torch

from course_lib.measure.answers import completed
from course_lib.model.sample import generate
from course_lib.model.transformer import Transformer
from course_lib.text.tokenizer import Tokenizer
from course_lib.world.facts import FACTS, Fact


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


def stated(texts: list[str]) -> set[Fact]:
    """The facts of the world that the texts state, in at least one wording."""
    everything = "\n".join(texts)
    return {fact for fact in FACTS if any(text in everything for text in fact.statements())}


def known(model: Transformer, tokenizer: Tokenizer) -> set[Fact]:
    """The facts whose statements the model completes, in each of their wordings."""
    asked = [(fact, text) for fact in FACTS for text in fact.relation.forward]
    right = completed(model, tokenizer, asked)
    missed = {fact for (fact, _), found in zip(asked, right, strict=True) if not found}
    return set(FACTS) - missed
