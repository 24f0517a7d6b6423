"""The exercises of notebook 06: each checker takes what the learner wrote and returns a verdict."""

import math
from collections.abc import Callable
from dataclasses import replace

from course_lib.check.guesses import Number
from course_lib.check.verdict import Verdict, examine
from course_lib.scaling.forecast import PUBLISHED_INPUTS, forecast
from course_lib.scaling.laws import effective_tokens

TARGET = 2036


def growth_until(growth: Number | None) -> Verdict:
    """Is `growth` the fastest yearly growth of training sets that lasts until `TARGET`?"""
    if growth is None:
        return Verdict(False, "Put a number in the place of None.")
    if isinstance(growth, bool) or not isinstance(growth, Number) or not 1 < growth < math.inf:
        return Verdict(False, f"A growth is a number above 1, as 2.4 is, got {growth!r:.60}.")
    here, faster = (
        forecast(replace(PUBLISHED_INPUTS, growth=g)).median for g in (growth, growth + 0.1)
    )
    told = f"With {growth:g} times a year the date is about {min(here, 2100):.0f}"
    if here < TARGET:
        return Verdict(False, f"{told}, before {TARGET}: slower.")
    if faster >= TARGET:
        return Verdict(False, f"{told}; {growth + 0.1:.3g} times would still do: faster.")
    return Verdict(True, f"{told}. Training sets grew 2.4 times a year until 2024.")


def worth(function: Callable) -> Verdict:
    """Does `function(unique, epochs)` give the fresh tokens that repeated ones are worth?"""
    asked = [(100, 1), (100, 2), (1e9, 4), (1e9, 16), (5e12, 40)]
    cases = [(pair, effective_tokens(*pair)) for pair in asked]
    hint = "unique + unique * R_STAR * (1 - exp(-(epochs - 1) / R_STAR))."
    return examine(function, cases, hint, "At most 16.4 times the unique tokens, however often.")


def years_left(function: Callable) -> Verdict:
    """Does `function(stock, used, growth)` give the years until use has grown to the stock?"""
    cases = [
        ((8, 1, 2), 3.0),
        ((300e12, 15e12, 2.4), math.log(20) / math.log(2.4)),
        ((100, 100, 3), 0.0),
        ((1000, 10, 1.1), math.log(100) / math.log(1.1)),
    ]
    hint = "used * growth ** years == stock: take logarithms."
    return examine(function, cases, hint, "Ten times the stock buys only 2.6 years more at 2.4.")
