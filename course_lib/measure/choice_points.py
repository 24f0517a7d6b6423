"""Where more than one word can follow: the model's probabilities beside the true ones.

A low loss says that a model is close to the world on average. This looks at single places, from the
six that Virat Kohli hits to a hundred in documents that no model has read.
"""

import math
import random
from collections.abc import Iterable, Mapping
from functools import cache
from types import MappingProxyType

from course_lib.measure.held_out import kind_of
from course_lib.measure.log_probs import char_class, word_log_probs, word_probs
from course_lib.model.transformer import Transformer
from course_lib.text.tokenizer import Tokenizer
from course_lib.world.documents import HITS, KINDS, held_out_documents, world_grammar
from course_lib.world.grammar import END, split_words

MOST_WORDS = 40  # each word that can follow costs a row: where there are more we don't look


def hit_probs(model: Transformer, tokenizer: Tokenizer, player: str) -> dict[str, float]:
    """What does the player hit? The model's probabilities; the world's are `HITS[player]`."""
    if player not in HITS:
        raise ValueError(f"a player is one of {', '.join(HITS)}, got {player!r}")
    words = [f" {hit}" for hit in HITS[player]]
    found = word_probs(model, tokenizer, f"In that match {player} hit a", words)
    return {word.strip(): p for word, p in found.items()}


def kl(truth: Mapping[str, float], log_probs: Mapping[str, float]) -> float:
    """KL(truth || model) in nats; `log_probs`: the model's ln P of every word that can follow."""
    return sum(p * (math.log(p) - log_probs[word]) for word, p in truth.items() if p)


@cache
def choice_points(
    n: int = 100, seed: int = 0
) -> tuple[tuple[tuple[str, str, Mapping[str, float]], ...], int]:
    """`n` (prefix, kind, true probabilities of the next word), and how many were left out.

    Held-out documents, each cut after a random word, if more than one word can follow there. Left
    out are points with more than `MOST_WORDS` words, and those whose last word may be the beginning
    of a longer one ("1" of "17"): there the text and its tokens ask different questions.
    """
    if n < 1:
        raise ValueError(f"the number of choice points must be 1 or more, got {n}")
    rng, points, left_out, texts = random.Random(seed), [], 0, held_out_documents()
    while len(points) < n:
        text = next(texts)
        words = split_words(text)
        prefix = "".join(words[: rng.randint(1, len(words))])
        truth = world_grammar().next_word(prefix)
        last = char_class(prefix[-1])
        if len(truth) > MOST_WORDS or any(w != END and char_class(w[0]) == last for w in truth):
            left_out += 1
        elif len(truth) > 1:
            points.append((prefix, kind_of(text), MappingProxyType(truth)))
    return tuple(points), left_out


def choice_kls(model: Transformer, tokenizer: Tokenizer) -> dict:
    """KL(truth || model) at the choice points, in nats: mean and worst, of all and by kind."""
    points, left_out = choice_points()
    pairs = [(prefix, word) for prefix, _, truth in points for word in truth]
    log_probs = iter(word_log_probs(model, tokenizer, pairs))
    found = [
        (kl(truth, {word: next(log_probs) for word in truth}), kind, prefix)
        for prefix, kind, truth in points
    ]

    def row(kinds: Iterable[str]) -> dict:
        kls = [kl for kl, kind, _ in found if kind in kinds]
        return {"points": len(kls), "mean_kl": sum(kls) / len(kls), "worst_kl": max(kls)}

    by_kind = {kind: row([kind]) for kind in KINDS if any(kind == k for _, k, _ in found)}
    return row(KINDS) | {"left_out": left_out, "worst_prefix": max(found)[2], "by_kind": by_kind}
