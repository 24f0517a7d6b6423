"""The exercises of notebook 01: each checker takes what the learner wrote and returns a verdict."""

import subprocess
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from pathlib import Path

from course_lib.check.verdict import Verdict, examine
from course_lib.files.run_file import find_compiler, released, run_chat
from course_lib.measure.held_out import held_out
from course_lib.pipeline.release import load_released
from course_lib.world.documents import held_out_documents

QUESTIONS = ("What is the capital of France?", "What sound does a dog make?", "Who are you?")
MOST_NUMBERS = 1000


def without_feed_forward(program: Path | None) -> Verdict:
    """Is `program` a run file whose feed-forward part was taken out, and nothing else?"""
    if program is None:
        if find_compiler() is None:
            return Verdict(False, "Without a C compiler there is no program to judge here.")
        return Verdict(False, "Put the program that with_change returns in the place of None.")
    try:
        answers = [run_chat(program, released(), question) for question in QUESTIONS]
    except (OSError, TypeError, ValueError, subprocess.SubprocessError) as error:
        return Verdict(False, f"This is no program that can chat: {error}.")
    if "Paris" in answers[0]:
        return Verdict(False, "It still knows the capital: is the call still in its source?")
    if len(set(answers)) == 1:
        return Verdict(False, "It can't see the question: leave attention(m, l) as it was.")
    return Verdict(True, "It hears the question, and has lost the answer.")


def fitting(function: Callable) -> Verdict:
    """Does `function(counts, free_bytes, precision)` name the models that fit, in their order?"""
    counts = {"tiny": 1000, "small": 2000, "large": 1_000_000}
    cases = [
        ((counts, 4000, "F16"), ["tiny", "small"]),  # 2000 numbers take 4000 bytes: they just fit
        ((counts, 4000, "F32"), ["tiny"]),
        ((counts, 3999, "F16"), ["tiny"]),
        ((counts, 2126, "Q8_0"), ["tiny", "small"]),  # 8 bits and the scale: 2125 bytes
        ((counts, 2000, "Q8_0"), ["tiny"]),
        ((counts, 100, "Q4_0"), []),
        (({"a": 3, "b": 1}, 12, "F32"), ["a", "b"]),
    ]
    hint = "Compare n_bytes(n, precision) with free_bytes; a file that just fits does fit."
    return examine(function, cases, hint, "In practice keep some memory free beside the numbers.")


@cache
def _untouched() -> tuple:
    model, tokenizer = load_released("base")
    texts = tuple(held_out_documents(20))
    return model, tokenizer, texts, held_out(model, tokenizer, texts).bits_per_byte


def few_numbers(function: Callable) -> Verdict:
    """Does `function(numbers)` double the base model's loss by setting a few numbers to 0?

    `numbers` is a dictionary name -> table (a tensor) of a copy; the function writes into them.
    """
    if not callable(function):
        return Verdict(False, f"This needs a function, got {function!r:.60}.")
    model, tokenizer, texts, before = _untouched()
    copy = deepcopy(model)
    try:
        function(copy.state_dict())
    except Exception as error:  # whatever a learner's code may raise
        return Verdict(False, f"It ended in {type(error).__name__}: {error}.")
    pairs = list(zip(model.parameters(), copy.parameters(), strict=True))
    n = sum(int((old != new).sum()) for old, new in pairs)
    if n == 0:
        return Verdict(False, 'No number has changed: numbers["norm.weight"][0] = 0 changes one.')
    if any((new[old != new] != 0).any() for old, new in pairs):
        return Verdict(False, "A number may only be set to 0 here, or stay what it was.")
    if n > MOST_NUMBERS:
        return Verdict(False, f"These are {n:,} numbers; {MOST_NUMBERS:,} are the most.")
    after = held_out(copy, tokenizer, texts).bits_per_byte
    told = f"{n:,} numbers set to 0: from {before:.2f} to {after:.2f} bits a byte."
    if not after >= 2 * before:
        return Verdict(False, f"{told} It must at least double.")
    return Verdict(True, f"{told} Can you do with fewer?")
