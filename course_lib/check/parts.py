"""What a learner wrote is used: their function once its checker accepts it, else the course's.

So a notebook that is full of stubs still runs to its end. Each part has a checker and a function
with the same arguments; a new one is a line in `PARTS`.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from course_lib.check import bottleneck, inside, next_token, pretraining, rlhf, sft
from course_lib.check.anatomy import rms_norm
from course_lib.check.verdict import Verdict, examine


def softmax(scores: Tensor) -> Tensor:
    """Shares of e to the power of each score, along the last dimension."""
    return scores.softmax(dim=-1)


def check_softmax(function: Callable) -> Verdict:
    """Does `function(scores)` give shares along the last dimension, for large scores too?"""
    # float64, so that rounding can't be mistaken for an error
    rows = torch.tensor([[0.0, 1.0, 2.0], [3.0, 3.0, 3.0]], dtype=torch.float64)
    large = torch.tensor([1000.0, 1001.0], dtype=torch.float64)
    hidden = torch.tensor([0.0, -torch.inf], dtype=torch.float64)
    return agree(function, softmax, [(rows[0],), (rows,), (rows[None],), (hidden,), (large,)])


def check_rms_norm(function: Callable) -> Verdict:
    """Does `function(x, gain)` bring each position to one size, then apply the gain?"""
    # beside numbers as large as these it doesn't show how little somebody adds under the root
    x = torch.tensor([[100.0, -200.0, 200.0, 50.0], [3e3, 1e3, -2e3, 5e2]], dtype=torch.float64)
    ones, gain = torch.ones(4, dtype=torch.float64), torch.arange(4.0, dtype=torch.float64)
    return agree(function, rms_norm, [(x[0], ones), (x, ones), (x, gain), (0 * x, ones)])


def agree(function: Callable, reference: Callable, arguments: list[tuple]) -> Verdict:
    """The verdict on a function that should give tensors as `reference` does."""
    cases = [(each, reference(*each)) for each in arguments]
    return examine(function, cases, praise=f"All {len(cases)} cases agree with the course's own.")


PARTS: dict[str, tuple[Callable[[Callable], Verdict], Callable]] = {
    "softmax": (check_softmax, softmax),
    "rms_norm": (check_rms_norm, rms_norm),
    **next_token.PARTS,
    **inside.PARTS,
    **pretraining.PARTS,
    **sft.PARTS,
    **rlhf.PARTS,
    **bottleneck.PARTS,
}


def use(mine: Callable | None, name: str = "") -> Callable:
    """The learner's function if its checker accepts it, else the course's; prints which it is.

    >>> softmax = use(softmax)
    softmax: the course's, until yours passes: softmax([0, 1, 2]) gives nothing.
    """
    name = name or getattr(mine, "__name__", "")
    key = name.strip().lower().replace(" ", "_").replace("-", "_")
    if key not in PARTS:
        raise ValueError(
            f"expected one of the parts {', '.join(PARTS)}, got {name!r:.60}: write "
            'use(my_function, "softmax"), or call the function by the name of its part'
        )
    checker, ours = PARTS[key]
    verdict = checker(mine)
    if verdict.ok:
        print(f"{key}: yours")
        return mine
    print(f"{key}: the course's, until yours passes: {verdict.words}")
    return ours
