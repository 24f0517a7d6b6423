"""How likely does a model find a text, an answer, a word? ln P, in nats.

Everything else in this room asks here. Multiply by -1 / ln 2 and you have the bits of surprise.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from course_lib.model.transformer import Transformer
from course_lib.text.rows import pad_right
from course_lib.text.tokenizer import Tokenizer
from course_lib.world.grammar import END

Ids = list[int]


@torch.no_grad()
def next_log_probs(
    model: Transformer, rows: list[Ids], batch_rows: int = 32
) -> Iterator[tuple[int, Tensor]]:
    """For each row: its index, and ln P of every token after each of its positions, (T, V).

    Short rows come first. T may include pads at the end.
    """
    device = next(model.parameters()).device
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))  # so that few positions are pads
    for start in range(0, len(rows), batch_rows):
        batch = order[start : start + batch_rows]
        logits = model(pad_right([rows[i] for i in batch], 0).to(device))
        yield from zip(batch, logits.float().log_softmax(-1), strict=True)


def completion_log_probs(
    model: Transformer, prompts: list[Ids], completions: list[Ids], batch_rows: int = 32
) -> list[float]:
    """ln P(completion | prompt) of each pair, in nats."""
    # The last id is only predicted, never read: a document may fill the whole context.
    rows = [[*before, *after[:-1]] for before, after in zip(prompts, completions, strict=True)]
    found = [0.0] * len(rows)
    for i, log_probs in next_log_probs(model, rows, batch_rows):
        first = len(prompts[i]) - 1  # the position that predicts the completion's first token
        at = range(first, first + len(completions[i]))
        found[i] = log_probs[list(at), completions[i]].sum().item()
    return found


def document_log_probs(
    model: Transformer, tokenizer: Tokenizer, texts: list[str], batch_rows: int = 32
) -> list[float]:
    """ln P(document, its end included) of each text, each alone after `<|endoftext|>`."""
    ids = [[*tokenizer.encode(text), tokenizer.eot_id] for text in texts]
    return completion_log_probs(model, [[tokenizer.eot_id]] * len(ids), ids, batch_rows)


def char_class(char: str) -> str:
    """Letters, digits, marks, or a space: GPT-2's pre-tokenizer cuts a text where this changes."""
    if char in " \n":
        return char
    return "letter" if char.isalpha() else "digit" if char.isdigit() else "mark"


def word_log_probs(
    model: Transformer, tokenizer: Tokenizer, pairs: list[tuple[str, str]]
) -> list[float]:
    """ln P(the next word is `word` | the document starts with `prefix`) of each (prefix, word).

    The world speaks in words, the model in tokens, so we translate. A word may be several tokens:
    multiply their probabilities. And " cent" may go on to be " century": multiply by the
    probability that a word boundary follows. `END` is one token, and nothing follows it.
    """
    if not all(word for _, word in pairs):
        raise ValueError("a word has one character or more, got an empty one")
    # What each token begins with. A word ends where that isn't what the word's last letter is.
    starts = ["special"] * model.config.vocab_size  # so do ids that stand for nothing
    for id in filter(tokenizer.is_text, range(model.config.vocab_size)):
        starts[id] = char_class(tokenizer.token_bytes(id)[:1].decode("ascii", "replace"))
    new_word = {last: [first != last for first in starts] for last in set(starts)}
    end = [tokenizer.eot_id]
    before = [end + tokenizer.encode(prefix) for prefix, _ in pairs]
    after = [end if word == END else tokenizer.encode(word) for _, word in pairs]
    rows = [b if a == end else b + a for b, a in zip(before, after, strict=True)]
    found = [0.0] * len(pairs)
    for i, log_probs in next_log_probs(model, rows):
        t, word = len(before[i]) - 1, pairs[i][1]
        found[i] = sum(log_probs[t + n, id].item() for n, id in enumerate(after[i]))
        if word != END:
            boundary = torch.tensor(new_word[char_class(word[-1])], device=log_probs.device)
            found[i] += log_probs[t + len(after[i])][boundary].logsumexp(-1).item()
    return found


def word_probs(
    model: Transformer, tokenizer: Tokenizer, prefix: str, words: list[str]
) -> dict[str, float]:
    """P(the next word is `word` | the document starts with `prefix`) for each of `words`."""
    found = word_log_probs(model, tokenizer, [(prefix, word) for word in words])
    return {word: math.exp(log_prob) for word, log_prob in zip(words, found, strict=True)}
