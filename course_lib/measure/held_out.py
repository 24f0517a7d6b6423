"""The loss on documents that no model was trained on, beside the floor.

The floor is what the world itself would pay for them: it knows every rule, and still can't know how
the dice fall. Both are in bits per byte, because bits per token can't be compared between models
with different tokenizers.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from functools import cache, lru_cache
from itertools import pairwise
from types import MappingProxyType

from course_lib.measure.log_probs import completion_log_probs, document_log_probs
from course_lib.model.transformer import Transformer
from course_lib.text.tokenizer import Tokenizer
from course_lib.world.documents import (
    KINDS,
    held_out_documents,
    kind_grammar,
    world_grammar,
)


@dataclass(frozen=True)
class HeldOut:
    """A model's loss on documents, beside the loss that no model can beat."""

    model_nats: float
    world_nats: float
    n_bytes: int
    n_tokens: int

    @property
    def bits_per_byte(self) -> float:
        return self.model_nats / math.log(2) / self.n_bytes

    @property
    def floor_bits_per_byte(self) -> float:
        return self.world_nats / math.log(2) / self.n_bytes

    @property
    def gap(self) -> float:
        """How far above the floor the model is, as a share of the floor."""
        return self.model_nats / self.world_nats - 1


@lru_cache(maxsize=1 << 14)  # many models are judged on the same documents
def world_log_prob(text: str) -> float:
    """ln P(document) of the world, in nats."""
    log_prob = world_grammar().log_prob(text)
    if log_prob == -math.inf:
        raise ValueError(f"the world never writes this document, so it has no floor: {text!r:.200}")
    return log_prob


def held_out(model: Transformer, tokenizer: Tokenizer, texts: Iterable[str]) -> HeldOut:
    """The model's and the world's negative log-probability of the same documents."""
    texts = list(texts)
    if not texts:
        raise ValueError("a loss needs one document or more, got none")
    return HeldOut(
        model_nats=-sum(document_log_probs(model, tokenizer, texts)),
        world_nats=-sum(map(world_log_prob, texts)),
        n_bytes=sum(len(text.encode()) + 1 for text in texts),  # the end counts as one
        n_tokens=sum(len(tokenizer.encode(text)) + 1 for text in texts),
    )


def kind_of(text: str) -> str:
    """The kind of a document: the one whose grammar can write it (no other can)."""
    return max(KINDS, key=lambda kind: kind_grammar(kind).log_prob(text))


@cache
def held_out_set(n: int) -> Mapping[str, tuple[str, ...]]:
    """The first `n` held-out documents of the mixture, by kind."""
    found = {kind: [] for kind in KINDS}
    for text in held_out_documents(n):
        found[kind_of(text)].append(text)
    return MappingProxyType({kind: tuple(texts) for kind, texts in found.items() if texts})


def losses(model: Transformer, tokenizer: Tokenizer, n_documents: int) -> dict:
    """Bits per byte beside the floor, of all held-out documents and by kind.

    The floors include the choice of kind, because the model has to guess that, too.
    """

    def row(loss: HeldOut, n: int) -> dict:
        names = ("bits_per_byte", "floor_bits_per_byte", "gap")
        return {"documents": n} | {name: getattr(loss, name) for name in names}

    texts = held_out_set(n_documents)
    found = {kind: held_out(model, tokenizer, texts[kind]) for kind in texts}
    together = HeldOut(*map(sum, zip(*map(astuple, found.values()), strict=True)))
    by_kind = {kind: row(loss, len(texts[kind])) for kind, loss in found.items()}
    return row(together, n_documents) | {"by_kind": by_kind}


def baselines(
    tokenizer: Tokenizer, read: list[str], texts: list[str], unseen: float = 0.1
) -> dict[str, float]:
    """Bits per token on `texts`: three models that only count what is in `read`, and the floor.

    uniform: all tokens alike; unigram: by frequency; bigram: by the token before. What they never
    saw counts as seen `unseen` times, or a single such token would cost infinitely many bits.
    """
    if not read or not texts:
        raise ValueError(f"baselines need texts to read and to judge: {len(read)}, {len(texts)}")
    V, end = tokenizer.vocab_size, tokenizer.eot_id
    known = [[end, *tokenizer.encode(text), end] for text in read]
    pairs = [pair for ids in known for pair in pairwise(ids)]
    single, double = Counter(right for _, right in pairs), Counter(pairs)
    before = Counter(left for left, _ in pairs)
    asked = [pair for text in texts for pair in pairwise([end, *tokenizer.encode(text), end])]
    unigram = [(single[b] + unseen) / (len(pairs) + unseen * V) for _, b in asked]
    bigram = [(double[a, b] + unseen) / (before[a] + unseen * V) for a, b in asked]
    return {
        "uniform": math.log2(V),
        "unigram": -sum(map(math.log2, unigram)) / len(asked),
        "bigram": -sum(map(math.log2, bigram)) / len(asked),
        "floor": -sum(map(world_log_prob, texts)) / math.log(2) / len(asked),
    }


def text_loss(model: Transformer, tokenizer: Tokenizer, texts: Iterable[str]) -> float:
    """Bits per byte of documents of any length, for real text. It has no floor that we know.

    Each document is read alone after `<|endoftext|>`, and its end counts as a byte. One that is
    longer than the context is read in windows, as in training. At the start of a window the model
    sees nothing of the one before, so this loss is a bit higher than it would have to be.
    """
    prompts, completions, n_bytes = [], [], 0
    T, V = model.config.context_length, model.config.vocab_size
    for text in texts:
        ids = [tokenizer.eot_id, *tokenizer.encode(text), tokenizer.eot_id]
        n_bytes += len(text.encode()) + 1
        for start in range(0, len(ids) - 1, T):
            prompts.append(ids[start : start + 1])
            completions.append(ids[start + 1 : start + T + 1])
    if not prompts:
        raise ValueError("a loss needs one document or more, got none")
    batch_rows = max(1, min(32, (1 << 26) // (T * V)))  # logits of 256 MB at most
    nats = -sum(completion_log_probs(model, prompts, completions, batch_rows))
    return nats / math.log(2) / n_bytes
