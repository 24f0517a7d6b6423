"""The exercises of notebook 01: each checker takes what the learner wrote and returns a verdict."""

import re
import tempfile
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from pathlib import Path

from course_lib.check.changes import compiled, function
from course_lib.check.verdict import Verdict, examine
from course_lib.files.run_file import (
    SOURCE,
    compile_run_file,
    find_compiler,
    released,
    run_chat,
    run_probs,
)
from course_lib.measure.facts_right import facts_right
from course_lib.pipeline.release import load_released
from course_lib.world.dialogues import read_prompt
from course_lib.world.judge import verdict

MOST_NUMBERS, HALF = 1000, 100  # numbers set to 0; facts right, of 200
NO_COMPILER = "Without a C compiler there is no program to judge here."


# ---- Two spellings ------------------------------------------------------------------------------


@cache
def _program() -> Path:
    return compile_run_file(Path(tempfile.mkdtemp(prefix="course_lib-check-")), SOURCE)


def one_apart(one: str, other: str) -> bool:
    """Whether one text becomes the other by changing, adding or leaving out one character."""
    short, long = sorted((one, other), key=len)
    start = 0
    while start < len(short) and short[start] == long[start]:
        start += 1
    if len(short) == len(long):
        return one != other and short[start + 1 :] == long[start + 1 :]
    return len(long) == len(short) + 1 and short[start:] == long[start + 1 :]


def two_spellings(pair: tuple[str, str] | None) -> Verdict:
    """Two questions, one character apart: the first answered right, the second with another fact.

    The second may not be a question of its own that is answered right: nothing stumbled there.
    The model is asked by the run file as it is, with temperature 0.
    """
    if pair is None:
        return Verdict(False, "Put two questions in the place of None, in brackets.")
    texts = isinstance(pair, tuple | list) and len(pair) == 2
    if not texts or not all(isinstance(text, str) for text in pair):
        return Verdict(False, f"Two texts in brackets are expected, got {pair!r:.60}")
    if not one_apart(*pair):
        return Verdict(False, "They must differ in exactly one character.")
    if find_compiler() is None:
        return Verdict(False, NO_COMPILER)
    try:
        first, second = (run_chat(_program(), released(), text) for text in pair)
    except ValueError as error:
        return Verdict(False, f"The model can't be asked this: {error}.")
    asked = read_prompt(pair[0])
    if asked.fact is None or verdict(asked, first) != "right":
        return Verdict(False, f"The first isn't answered right, but with {first!r:.80}")
    # whatever the second means to a person: what would answer the first, and what states nothing?
    found = verdict(asked, second)
    if found == "right":
        return Verdict(False, f"The second is answered right as well: {second!r:.80}")
    if found != "wrong":
        return Verdict(False, f"To the second it tells you about nothing: {second!r:.80}")
    other = read_prompt(pair[1])
    if other.fact is not None and verdict(other, second) == "right":
        return Verdict(False, f"The second is another question, and answered right: {second!r:.80}")
    return Verdict(True, f"{first} {second} One character!")


# ---- Your own change ----------------------------------------------------------------------------


def _bare(source: str) -> str:
    """A C source without comments and white space."""
    return re.sub(r"/\*.*?\*/|//[^\n]*|\s+", "", source, flags=re.DOTALL)


def _around(source: str) -> str:
    """A source without the two functions that this exercise may change."""
    for name in ("feed_forward", "forward"):
        source = source.replace(function(source, name), "")
    return _bare(source)


def _likely(program: Path, file: Path, text: str) -> dict[int, float]:
    return {token.id: token.probability for token in run_probs(program, file, text, 2000)}


def without_feed_forward(source: str | None) -> Verdict:
    """Is this run.c with the feed-forward network taken out of each layer, and nothing else?

    Its source may differ in two functions only, and it must compute what torch computes with these
    tables at zero.
    """
    if source is None:
        return Verdict(False, "Put the changed source in the place of None.")
    if not isinstance(source, str):
        return Verdict(False, f"The text of a source is expected, got {source!r:.60}")
    if find_compiler() is None:
        return Verdict(False, NO_COMPILER)
    ours = SOURCE.read_text(encoding="utf-8")
    try:
        if _bare(source) == _bare(ours):
            return Verdict(False, "Nothing has changed: it is run.c as it was.")
        if _around(source) != _around(ours):
            return Verdict(False, "Something else has changed than forward and feed_forward.")
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
            return _computes_without(compiled(source, Path(name)))
    except ValueError as error:  # a function is gone, or it doesn't compile
        return Verdict(False, f"It's no run file any more: {error!s:.300}")


def _computes_without(program: Path) -> Verdict:
    """Does the program compute what torch computes without the feed-forward networks?"""
    import torch

    model, tokenizer = load_released("rlhf")
    for layer in model.layers:
        layer.mlp.down_proj.weight.data.zero_()
    for text in ("The capital of France is", "In that match", "What sound"):
        try:
            found = _likely(program, released(), text)
        except ValueError as error:
            return Verdict(False, f"It compiles, but doesn't run: {error!s:.200}")
        with torch.no_grad():
            ids = [tokenizer.eot_id, *tokenizer.encode(text)]
            expected = model(torch.tensor([ids]))[0, -1].softmax(dim=-1)
        if abs(sum(found.values()) - 1) > 0.01:
            return Verdict(False, "Its probabilities don't sum to 1.")
        if max(abs(expected[id].item() - p) for id, p in found.items()) > 1e-3:
            return Verdict(
                False,
                f"After {text!r} it computes something else than a model whose feed-forward "
                "networks add nothing. Look at what is added to x, and where that comes from.",
            )
    return Verdict(True, "Every layer adds what attention found, and nothing more.")


# ---- Counting -----------------------------------------------------------------------------------


def parameters(function: Callable) -> Verdict:
    """Does `function(V, C, L, F, KV, tied)` count a Llama's parameters?"""
    cases = [
        ((1536, 128, 4, 352, 64, True), 935_040),
        ((32_000, 8192, 80, 28_672, 1024, False), 68_976_648_192),
        ((49_152, 576, 30, 1536, 192, True), 134_515_008),  # SmolLM2-135M
        ((128_256, 16_384, 126, 53_248, 1024, False), 405_853_388_800),
    ]
    hint = "Begin with count() of the notebook, and ask what tied means for the tables."
    return examine(function, cases, hint, "All four models come out to the last number.")


# ---- How few? -----------------------------------------------------------------------------------


def few_numbers(function: Callable) -> Verdict:
    """Does `function(numbers)` cost the chat model half of its facts by setting a few to 0?

    `numbers` is a dictionary name -> table (a tensor) of a copy; the function writes into them.
    """
    if not callable(function):
        return Verdict(False, f"This needs a function, got {function!r:.60}.")
    model, tokenizer = load_released("rlhf")
    copy = deepcopy(model)
    try:
        function(copy.state_dict())
    except Exception as error:  # whatever a learner's code may raise
        return Verdict(False, f"It ended in {type(error).__name__}: {error!s:.200}.")
    pairs = list(zip(model.parameters(), copy.parameters(), strict=True))
    n = sum(int((old != new).sum()) for old, new in pairs)
    if n == 0:
        return Verdict(False, "No number has changed: write into the tables of numbers.")
    if any((new[old != new] != 0).any() for old, new in pairs):
        return Verdict(False, "A number may only be set to 0 here, or stay what it was.")
    if n > MOST_NUMBERS:
        return Verdict(False, f"These are {n:,} numbers; {MOST_NUMBERS:,} are the most.")
    right = facts_right(copy, tokenizer)
    told = f"{n:,} numbers set to 0, and {right} of 200 facts are right."
    if right >= HALF:
        return Verdict(False, f"{told} It must be fewer than {HALF}.")
    return Verdict(True, f"{told} Can you do it with fewer?")
