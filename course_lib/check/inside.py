"""The parts of a Transformer that notebook 02b asks for, the course's own, and its exercises.

A checker compares with what the course computes. Where it knows a slip that gives just these wrong
numbers it says what is wrong with them, never what to write.
"""

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib.check.anatomy import (
    KOHLI,
    NANO,
    TENDULKAR,
    Edit,
    attention,
    base,
    block,
    causal_mask,
    feed_forward,
    gap,
    join_heads,
    rms_norm,
    rotate,
    shares,
    split_heads,
    tables,
    without,
)
from course_lib.check.verdict import Verdict, examine
from course_lib.model.transformer import rope_tables

MOST_HEADS, CLOSE, TOGETHER = 5, 5, 0.9  # heads, points, share of the four endings
Heads = list[tuple[int, int]]  # (layer, head), both counted from 0


class Slip(NamedTuple):
    """A function with a common mistake in it, and what to tell somebody who made it."""

    wrong: Callable
    words: str


# ---- Comparing ----------------------------------------------------------------------------------


def compare(function: Callable, ours: Callable, cases: list[tuple], slips: list[Slip]) -> Verdict:
    """The verdict on a function of tensors that should give what `ours` gives."""
    name = getattr(function, "__name__", "it")
    if not callable(function):
        return Verdict(False, f"This needs a function, got {function!r:.60}.")
    for case in cases:
        try:
            found = function(*_copies(case))
        except NotImplementedError:
            return Verdict(False, f"{name} isn't written yet.")
        except Exception as error:  # whatever a learner's code may raise
            return Verdict(False, f"{name} ended in {type(error).__name__}: {error!s:.200}")
        right = ours(*case)
        if not isinstance(found, Tensor) or found.shape != right.shape:
            got = f"{tuple(found.shape)}" if isinstance(found, Tensor) else f"{found!r:.60}"
            return Verdict(False, f"A tensor {tuple(right.shape)} is expected, {name} gives {got}.")
        if _same(found, right):
            continue
        words = [slip.words for slip in slips if _same(found, slip.wrong(*case))]
        return Verdict(False, words[0] if words else _first_difference(name, found, right))
    return Verdict(True, f"It agrees with the course's own in all {len(cases)} cases.")


def _copies(case: tuple) -> tuple:
    """So that a function which writes into its arguments can't change what it is compared with."""
    return tuple(each.clone() if isinstance(each, Tensor) else each for each in case)


def _same(found: Tensor, right: Tensor) -> bool:
    if found.shape != right.shape or (found.dtype == torch.bool) != (right.dtype == torch.bool):
        return False
    return torch.allclose(found.double(), right.double(), rtol=1e-4, atol=1e-5)


def _first_difference(name: str, found: Tensor, right: Tensor) -> str:
    if right.dtype == torch.bool:
        if found.dtype != torch.bool:
            return f"True and False are expected, {name} gives {found.dtype}."
        row, column = (found != right).nonzero()[0].tolist()
        sees = "sees" if found[row, column] else "doesn't see"
        which = "itself" if row == column else f"position {column}"
        return f"In yours, position {row} {sees} {which}."
    place = (~torch.isclose(found.double(), right.double(), rtol=1e-4, atol=1e-5)).nonzero()[0]
    mine, course = found[tuple(place)].item(), right[tuple(place)].item()
    return f"At {place.tolist()} {name} gives {mine:.4g}, the course's own {course:.4g}."


def _random(*shape: int) -> Tensor:
    """The same numbers each time, whatever was drawn before."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def _mixed_by(q: Tensor, k: Tensor, v: Tensor, scale: float, dim: int = -1) -> Tensor:
    scores = (scale * q @ k.mT).masked_fill(~causal_mask(q.shape[-2]), -torch.inf)
    return scores.softmax(dim).nan_to_num() @ v


# ---- The parts: what each checker asks ----------------------------------------------------------


def check_causal_mask(function: Callable) -> Verdict:
    """Does `function(T)` say which position may look at which?"""
    upside_down = "True should mean that a position may look there. Yours says it the other way."
    slips = [Slip(lambda T: ~causal_mask(T), upside_down)]
    return compare(function, causal_mask, [(2,), (1,), (5,)], slips)


def check_attention(function: Callable) -> Verdict:
    """Does `function(q, k, v)` mix the values, for one head and for four at once?"""
    slips = [
        Slip(
            F.scaled_dot_product_attention,
            "It looks ahead: its first position knows what comes later.",
        ),
        Slip(lambda q, k, v: _mixed_by(q, k, v, 1), "The scores are too large for softmax."),
        Slip(
            lambda q, k, v: _mixed_by(q, k, v, 1 / q.shape[-1]),
            "The scores are too small: they were divided by too much.",
        ),
        Slip(
            lambda q, k, v: _mixed_by(q, k, v, q.shape[-1] ** -0.5, -2),
            "Each query's shares should sum to 1. In yours, each key's do.",
        ),
        Slip(
            lambda q, k, v: attention(k, q, v),
            "Queries and keys have changed places.",
        ),
    ]
    cases = [tuple(_random(3, *shape, 8)) for shape in [(3,), (6,), (4, 5)]]
    return compare(function, attention, cases, slips)


def check_rotate(function: Callable) -> Verdict:
    """Does `function(x, cos, sin)` turn each pair by its position's angle?"""

    def of_neighbours(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        a, b = x[..., ::2], x[..., 1::2]
        return torch.stack((a * cos - b * sin, b * cos + a * sin), -1).flatten(-2)

    slips = [
        Slip(of_neighbours, "Neighbours are paired in yours. Here a pair is D/2 places apart."),
        Slip(lambda x, cos, sin: rotate(x, cos, -sin), "It turns the other way round."),
        Slip(
            lambda x, cos, sin: x * torch.cat((cos, cos), -1),
            "The pairs shrink. A turn changes no length.",
        ),
    ]
    cases = [(_random(T, 8), *rope_tables(T, 8, 10_000.0)) for T in (1, 5)]
    cases.append((_random(4, 6, 32), *rope_tables(6, 32, 10_000.0)))
    return compare(function, rotate, cases, slips)


def check_feed_forward(function: Callable) -> Verdict:
    """Does `function(x, gate, up, down)` widen, choose and come back?"""

    def like(act: Callable) -> Callable:
        return lambda x, gate, up, down: (act(x @ gate.T) * (x @ up.T)) @ down.T

    slips = [
        Slip(like(lambda y: y), "Nothing is chosen: without SiLU it all passes."),
        Slip(like(torch.sigmoid), "That is the sigmoid alone. SiLU is y times sigmoid(y)."),
        Slip(like(F.relu), "That is ReLU's choice. SiLU is softer near zero."),
        Slip(
            lambda x, gate, up, down: feed_forward(x, up, gate, down),
            "Gate and up have changed places: which of the two does SiLU act on?",
        ),
        Slip(
            lambda x, gate, up, down: F.silu(x @ gate.T) @ down.T,
            "The gate opens, but nothing goes through: where is up?",
        ),
    ]
    cases = [
        (_random(T, 6), _random(16, 6), _random(16, 6).flip(0), _random(6, 16)) for T in (1, 4)
    ]
    return compare(function, feed_forward, cases, slips)


def check_block(function: Callable) -> Verdict:
    """Does `function(x, w, cos, sin, edit)` do what a layer of the course's model does?"""
    w = tables(base()[0], 2)
    slips = [
        Slip(
            _block_slip(first=0), "What attention found replaces the stream instead of joining it."
        ),
        Slip(_block_slip(second=0), "What the feed-forward found replaces the stream."),
        Slip(_block_slip(norm1=False), "Attention reads the stream as it is. What comes before?"),
        Slip(_block_slip(norm2=False), "The feed-forward reads the stream as it is."),
        Slip(_block_slip(parallel=True), "The feed-forward doesn't see what attention has added."),
        Slip(_block_slip(turned=False), "No query and no key knows where it stands."),
        Slip(_block_slip(edited=False), "What `edit` changes has no effect."),
    ]
    cos, sin = rope_tables(6, NANO.head_dim, NANO.rope_theta)
    x = _random(6, NANO.dim)
    off = partial(without((2, 1)), 2)
    return compare(function, block, [(x, w, cos, sin, off), (3 * x, w, cos, sin, _as_is)], slips)


def _as_is(found: Tensor) -> Tensor:
    return found


def _block_slip(
    first=1, second=1, norm1=True, norm2=True, parallel=False, turned=True, edited=True
) -> Callable:
    """A layer with a mistake in it."""

    def wrong(x: Tensor, w: SimpleNamespace, cos: Tensor, sin: Tensor, edit: Edit) -> Tensor:
        n = rms_norm(x, w.norm1) if norm1 else x
        q, k, v = (split_heads(n @ each.T) for each in (w.q, w.k, w.v))
        if turned:
            q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        found = attention(q, k, v)
        y = first * x + join_heads(edit(found) if edited else found) @ w.o.T
        read = x if parallel else y
        read = rms_norm(read, w.norm2) if norm2 else read
        return second * y + feed_forward(read, w.gate, w.up, w.down)

    return wrong


def check_gap(function: Callable) -> Verdict:
    """Does `function(*off)` say how many points two players are apart, with heads switched off?"""
    slips = {
        "Yours is a share, from 0 to 1. Points are percent.": lambda *off: gap(*off) / 100,
        "The two players have changed places.": lambda *off: -gap(*off),
        "The heads stay on: it makes no difference which are switched off.": lambda *off: gap(),
        "That is one player's share. The gap is between two.": lambda *off: (
            100 * shares(KOHLI, without(*off))[0]
        ),
    }

    def told(*off: tuple[int, int]) -> Tensor:
        return torch.tensor([round(float(function(*off)), 2)])

    def ours(f: Callable) -> Callable:
        return lambda *off: torch.tensor([round(f(*off), 2)])

    if callable(function):
        told.__name__ = getattr(function, "__name__", "it")
    wrong = [Slip(ours(f), words) for words, f in slips.items()]
    cases = [((2, 0),), (), ((3, 1), (0, 2))]
    return compare(told if callable(function) else function, ours(gap), cases, wrong)


PARTS = {
    "causal_mask": (check_causal_mask, causal_mask),
    "attention": (check_attention, attention),
    "rotate": (check_rotate, rotate),
    "feed_forward": (check_feed_forward, feed_forward),
    "block": (check_block, block),
    "gap": (check_gap, gap),
}


# ---- The exercises at the end -------------------------------------------------------------------


def few_heads(off: Heads | None) -> Verdict:
    """Do these heads, switched off, make the model forget which of two players it was?"""
    if off is None:
        return Verdict(False, "Put a list of heads in the place of None, [(0, 0), (0, 1)] say.")
    layers, heads = NANO.n_layers, NANO.n_heads
    every = {(layer, head) for layer in range(layers) for head in range(heads)}
    try:
        chosen = {(layer, head) for layer, head in off}
    except (TypeError, ValueError):
        return Verdict(False, f"A list of pairs (layer, head) is expected, got {off!r:.60}.")
    if not chosen <= every:
        strange = sorted(map(str, chosen - every))[0]
        return Verdict(False, f"There is no head {strange:.60}: layers and heads are 0 to 3.")
    both = [shares(player, without(*chosen)) for player in (KOHLI, TENDULKAR)]
    apart, kept = 100 * abs(both[0][0] - both[1][0]), min(map(sum, both))
    told = f"{len(chosen)} heads off: six is {apart:.1f} points apart"
    if kept < TOGETHER:
        return Verdict(
            False,
            f"{told}, but the four endings have only {kept:.0%} together. You broke the "
            "sentence and not just the name.",
        )
    if apart >= CLOSE:
        return Verdict(False, f"{told}. Less than {CLOSE} are asked for.")
    if len(chosen) > MOST_HEADS:
        return Verdict(False, f"{told}. That works, and {MOST_HEADS} heads are the most allowed.")
    return Verdict(True, f"{told}. Of all 65,536 choices none does it with fewer than 4.")


def window_mask(function: Callable) -> Verdict:
    """Does `function(T, width)` let each position see the last `width`, itself included?"""

    def windowed(T: int, width: int) -> Tensor:
        return causal_mask(T).triu(1 - width)

    slips = [
        Slip(lambda T, width: causal_mask(T), "Your window has no left edge."),
        Slip(lambda T, width: windowed(T, width + 1), "Your window is one position too wide."),
        Slip(lambda T, width: windowed(T, width - 1), "Your window is one position too narrow."),
        Slip(
            lambda T, width: windowed(T, width) | windowed(T, width).mT,
            "Your window opens to both sides. What may nobody see?",
        ),
    ]
    return compare(function, windowed, [(4, 2), (3, 1), (3, 9), (6, 3)], slips)


def transplant(function: Callable) -> Verdict:
    """Does `function(donor, heads)` give an edit that moves the donor's findings into these?"""
    donor = [_random(4, 5, 3) + layer for layer in range(4)]
    heads = [(1, 2), (1, 3), (3, 0)]

    def ours(layer: int, found: Tensor) -> Tensor:
        rows = [head for each, head in heads if each == layer]
        return found.index_copy(0, torch.tensor(rows, dtype=torch.long), donor[layer][rows])

    def yours(layer: int, found: Tensor) -> Tensor:
        return function(donor, heads)(layer, found)

    slips = [
        Slip(lambda layer, found: found, "Nothing was moved: the patient's own findings stay."),
        Slip(
            lambda layer, found: donor[layer], "All heads of the layer were moved, not yours only."
        ),
        Slip(
            lambda layer, found: ours(layer, found) * (found == ours(layer, found)),
            "The heads were switched off. They should say what the donor's say.",
        ),
    ]
    if callable(function):
        yours.__name__ = getattr(function, "__name__", "it")
    cases = [(layer, _random(4, 5, 3).flip(0)) for layer in (1, 0, 3)]
    return compare(yours if callable(function) else function, ours, cases, slips)


def kv_bytes(function: Callable) -> Verdict:
    """Does `function(layers, kv_heads, head_dim, tokens)` count a cache's bytes, 2 per number?"""
    cases = [
        ((4, 2, 32, 1), 1024),
        ((4, 2, 32, 100), 102_400),
        ((80, 8, 128, 4096), 1_342_177_280),  # Llama 2 70B
        ((80, 64, 128, 4096), 10_737_418_240),  # Llama 1 65B, whose heads share nothing
    ]
    return examine(function, cases, praise="The third case is Llama 2 70B: 1.34 GB.")
