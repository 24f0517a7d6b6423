"""Surprise, token by token, beside the world's; and is a model as sure as it says?

`log_probs` has whole documents and answers, this looks inside one.
"""

import math
from collections.abc import Iterable

from course_lib.measure.log_probs import next_log_probs
from course_lib.model.transformer import Transformer
from course_lib.text.tokenizer import Tokenizer
from course_lib.world.truth import true_next_tokens

# Where groups of predictions end. The last is wide: what is nearly sure is most of a text.
EDGES = (0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95, 1.0)


def token_bits(
    model: Transformer, tokenizer: Tokenizer, document: str
) -> tuple[list[str], list[float], list[float]]:
    """The tokens of a whole document, the model's bits for each, and the world's; its end is one.

    The world's are infinite from where it would not have written this.
    """
    ids = [tokenizer.eot_id, *tokenizer.encode(document), tokenizer.eot_id]
    [(_, log_probs)] = next_log_probs(model, [ids[:-1]])
    mine = [-log_probs[i, id].item() / math.log(2) for i, id in enumerate(ids[1:])]
    world = []
    for i in range(1, len(ids)):
        truth = true_next_tokens(tokenizer, tokenizer.decode(ids[1:i]))
        world.append(-math.log2(truth[ids[i]]) if ids[i] in truth else math.inf)
    return [*map(tokenizer.decode, ([id] for id in ids[1:-1])), "(end)"], mine, world


def calibrated(
    model: Transformer, tokenizer: Tokenizer, documents: Iterable[str]
) -> list[tuple[float, float, int]]:
    """The likeliest token of each place, in groups: (its mean share, how often it came, places)."""
    rows = [[tokenizer.eot_id, *tokenizer.encode(text), tokenizer.eot_id] for text in documents]
    groups = [[0.0, 0, 0] for _ in EDGES]
    for number, log_probs in next_log_probs(model, [row[:-1] for row in rows]):
        came = rows[number][1:]
        best = log_probs[: len(came)].max(dim=-1)
        for said, id, truly in zip(
            best.values.exp().tolist(), best.indices.tolist(), came, strict=True
        ):
            group = groups[sum(said > edge + 1e-6 for edge in EDGES)]
            group[0] += said
            group[1] += id == truly
            group[2] += 1
    return [(said / n, right / n, n) for said, right, n in groups if n]
