"""The exercises of notebook 03: each checker takes what the learner wrote and returns a verdict."""

import math
from collections.abc import Callable

from course_lib.check.guesses import Number
from course_lib.check.verdict import Verdict, examine
from course_lib.text.clean import n_stop_words
from course_lib.world.documents import documents


def low_limit(low: Number | None) -> Verdict:
    """Would a rule "at least `low` stop words" lose 30 % of the clean documents or more?"""
    if low is None:
        return Verdict(False, "Put a number in the place of None.")
    if isinstance(low, bool) or not isinstance(low, Number):
        return Verdict(False, f"A limit is a number, got {low!r:.60}.")
    counts = [n_stop_words(text) for text in documents(500)]
    lost = sum(count < low for count in counts) / len(counts)
    told = f"With at least {low} stop words {lost:.0%} of the clean documents are lost"
    if lost < 0.3:
        return Verdict(False, f"{told}, and 30 % were asked for. Go higher.")
    return Verdict(True, f"{told}: scores, lists and code have few of them.")


def bits_per_byte(function: Callable) -> Verdict:
    """Does `function(loss_nats, n_tokens, n_bytes)` give bits a byte?"""
    cases = [
        ((math.log(2), 100, 100), 1),
        ((math.log(2), 100, 400), 0.25),
        ((1.0, 10, 20), 0.5 / math.log(2)),
        ((0.0, 7, 9), 0),
    ]
    hint = "Nats of all tokens, divided by ln 2 and by the number of bytes."
    return examine(function, cases, hint, "Now any two tokenizers can be compared.")


def training_days(function: Callable) -> Verdict:
    """Does `function(n_parameters, n_tokens, n_gpus, peak, mfu)` give the days of a training?"""
    cases = [
        ((1e9, 1e9, 1, 1e12, 1.0), 6e6 / 86_400),
        ((1e9, 1e9, 10, 1e12, 0.5), 1.2e6 / 86_400),
        ((7e9, 2e12, 1000, 300e12, 0.4), 8.4e22 / 1.2e17 / 86_400),
    ]
    hint = "6 N D operations over n_gpus * peak * mfu a second, over 86,400 seconds a day."
    return examine(function, cases, hint, "Llama 2 70B: 12 days on 6,000 cards.")
