"""How many facts does a model still have right? The other half of a loss, for damaged models.

A loss averages over every comma. Whether the answers are still right is another question, so we ask
it: the same questions each time, answered greedily, read by the world's judge.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import NamedTuple

from course_lib.measure.answers import chat_answers
from course_lib.measure.held_out import held_out
from course_lib.measure.recorded import Recorded, recorded
from course_lib.model.transformer import Transformer
from course_lib.text.tokenizer import Tokenizer
from course_lib.world.dialogues import fact_prompts
from course_lib.world.facts import SPLITS
from course_lib.world.judge import verdict
from course_lib.world.prompts import Prompt


@cache
def fact_questions(n: int) -> tuple[Prompt, ...]:
    """`n` of the two plain questions about every fact of the world, the same ones each time."""
    known = [prompt for split in SPLITS for prompt in fact_prompts(split)]
    if not 1 <= n <= len(known):
        raise ValueError(f"expected 1 to {len(known):,} questions, got {n}")
    return tuple(random.Random("facts right").sample(known, n))


def facts_right(model: Transformer, tokenizer: Tokenizer, n: int = 200) -> int:
    """How many of `n` questions about facts a chat model answers right, and with nothing false."""
    return _right(n, chat_answers(model, tokenizer, list(fact_questions(n))))


def facts_right_of(ask: Callable[[str], str], n: int = 200) -> int:
    """The same for anything that answers a question: a program, a person.

    >>> facts_right_of(lambda question: "Paris.")
    0
    """
    return _right(n, (ask(prompt.text) for prompt in fact_questions(n)))


def _right(n: int, answers: Iterable[str]) -> int:
    pairs = zip(fact_questions(n), answers, strict=True)
    return sum(verdict(prompt, answer) == "right" for prompt, answer in pairs)


class Left(NamedTuple):
    """What is left of a damaged model: how much it was damaged, its loss, its facts."""

    amount: float  # percent of noise, bits, ...
    bits: float  # per byte
    facts: int  # right, of 200


def what_is_left(
    model: Transformer, tokenizer: Tokenizer, texts: Sequence[str], amount: float = 0
) -> Left:
    """Both halves at once: the loss on `texts`, and the facts that are still right."""
    bits = held_out(model, tokenizer, texts).bits_per_byte
    return Left(amount, bits, facts_right(model, tokenizer))


def recorded_damage(kind: str) -> Recorded:
    """What `benchmarks/breaking.py` found, a list of `Left` for each seed: "noise" or "bits".

    Noise is in percent, and begins with none at all.
    """
    rows = recorded("breaking.csv")
    found: dict[float, list[Left]] = {}
    for row in rows:
        if row["damage"] == kind:
            amount = 100 * row["amount"] if kind == "noise" else row["amount"]
            left = Left(round(amount, 6), row["bits_per_byte"], int(row["facts_right"]))
            found.setdefault(row["seed"], []).append(left)
    if not found:
        kinds = sorted({row["damage"] for row in rows} - {"none"})
        raise ValueError(f"expected one of {', '.join(kinds)}, got {kind!r:.60}")
    whole = [Left(0, row["bits_per_byte"], int(row["facts_right"])) for row in rows[:1]]
    lines = [(whole if kind == "noise" else []) + line for line in found.values()]
    return Recorded(lines, rows.note)
