"""The exercises of notebook 02: each checker takes what the learner wrote and returns a verdict."""

from collections.abc import Callable

import torch

from course_lib.check.guesses import Number
from course_lib.check.verdict import Verdict, examine
from course_lib.model.sample import probs_at
from course_lib.pipeline.release import load_released


def temperature_for_six(temperature: Number | None) -> Verdict:
    """Is `temperature` one at which *six* has 60 % after the sentence, within one point?"""
    if temperature is None:
        return Verdict(False, "Put a number in the place of None.")
    model, tokenizer = load_released("base")
    ids = [tokenizer.eot_id, *tokenizer.encode("In that match Virat Kohli hit a")]
    logits = model.next_logits(torch.tensor([ids]))[0].detach()
    try:
        probs = probs_at(logits, temperature)
    except (TypeError, ValueError) as error:
        return Verdict(False, f"That is no temperature: {error}.")
    six = probs[tokenizer.encode(" six")[0]].item()
    told = f"At a temperature of {temperature}, six has {six:.0%}."
    if abs(six - 0.6) <= 0.01:
        return Verdict(True, told)
    return Verdict(False, f"{told} Go {'lower' if six < 0.6 else 'higher'}.")


def min_p(function: Callable) -> Verdict:
    """Does `function(probs, share)` keep what has `share` of the largest, scaled to a sum of 1?"""
    probs = [0.45, 0.3, 0.2, 0.05]
    cases = [
        ((probs, 0.5), [0.6, 0.4, 0, 0]),
        ((probs, 0.1), probs),  # 5 % is more than a tenth of 45 %
        ((probs, 1.0), [1, 0, 0, 0]),
        (([0.25] * 4, 0.9), [0.25] * 4),
        (([0.1, 0.7, 0.2], 0.25), [0, 7 / 9, 2 / 9]),  # the largest need not come first
    ]
    hint = "Keep what has at least share * (the largest), then divide by the sum of what is kept."
    return examine(function, cases, hint, "It adapts to how sure the model is.")


def perplexity(function: Callable) -> Verdict:
    """Does `function(probabilities)` give 2 to the power of the mean surprise in bits?"""
    cases = [
        (([0.5, 0.5],), 2),
        (([1.0],), 1),
        (([0.5, 0.125],), 4),  # the mean of 1 and 3 bits is 2
        (([0.1] * 7,), 10),
    ]
    hint = "Take the mean of the bits -log2(p), then 2 to the power of it."
    return examine(function, cases, hint, "It is one over the geometric mean.")
