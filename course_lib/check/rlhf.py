"""The exercises of notebook 05: each checker takes what the learner wrote and returns a verdict."""

import math
from collections.abc import Callable

import torch

from course_lib.check.guesses import Number
from course_lib.check.verdict import Verdict, examine


def reward_gap(gap: Number | None) -> Verdict:
    """Is a reward model 90 % sure, within one point, where one answer scores `gap` more?"""
    if gap is None:
        return Verdict(False, "Put a number in the place of None.")
    if isinstance(gap, bool) or not isinstance(gap, Number):
        return Verdict(False, f"A gap is a number, got {gap!r:.60}.")
    sure = 1 / (1 + math.exp(-max(-700, min(gap, 700))))
    told = f"With a gap of {gap} it is {sure:.0%} sure"
    if abs(sure - 0.9) > 0.01:
        return Verdict(False, f"{told}. Go {'higher' if sure < 0.9 else 'lower'}.")
    return Verdict(True, f"{told}, whatever the two rewards are: only their gap counts.")


def bradley_terry(function: Callable) -> Verdict:
    """Does `function(chosen, rejected)` give the mean of -ln sigmoid(chosen - rejected)?"""
    cases = [
        (([1.0], [1.0]), math.log(2)),
        (([2.0], [0.0]), math.log(1 + math.exp(-2))),
        (([0.0], [2.0]), math.log(1 + math.exp(2))),
        (([101.0, 0.0], [100.0, 0.0]), (math.log(1 + math.exp(-1)) + math.log(2)) / 2),
        (([3.0, -1.0], [0.0, 1.0]), (math.log(1 + math.exp(-3)) + math.log(1 + math.exp(2))) / 2),
    ]
    hint = "First -ln sigmoid(gap) of each pair, that is ln(1 + exp(-gap)); then the mean."
    return examine(function, cases, hint, "A reward of 101 against 100 counts as 1 against 0.")


def leashed(function: Callable) -> Verdict:
    """Does `function(reward, log_probs, reference, price)` give the reward less the leash?"""
    cases = [
        ((1.0, [-1.0, -2.0], [-1.0, -2.0], 0.4), 1.0),  # not moved: nothing to pay
        ((1.0, [-0.5, -1.0], [-1.0, -2.0], 0.4), 1.0 - 0.4 * 1.5),
        ((1.0, [-3.0], [-1.0], 0.5), 1.0 + 0.5 * 2.0),  # less likely than before: paid back
        ((-2.0, [-1.0] * 4, [-2.0] * 4, 0.0), -2.0),
    ]
    hint = "The price times the sum over all tokens of log_prob - reference, taken off the reward."
    return examine(function, cases, hint, "The sum over the answer is its KL, estimated.")


def advantages(function: Callable) -> Verdict:
    """Does `function(groups)` give GRPO's advantages: less the group's mean, over its deviation?"""
    root = math.sqrt(0.5)
    cases = [
        (([[1.0, 0.0]],), [[root, -root]]),
        (([[3.0, 1.0, 2.0]],), [[1.0, -1.0, 0.0]]),
        (([[1.0, 0.0], [11.0, 10.0]],), [[root, -root], [root, -root]]),  # each group by itself
        (([[0.5, 0.5, 0.5]],), [[0.0, 0.0, 0.0]]),
        (([[-1.0, 1.0], [5.0, 5.0]],), [[-root, root], [0.0, 0.0]]),
    ]
    hint = "statistics.mean and statistics.stdev of each group; where all are equal, zeros."
    return examine(function, cases, hint, "An answer is compared with its own group alone.")


def practise(
    loss_of: Callable, reward: list[float], price: float, rounds: int, updates: int
) -> torch.Tensor:
    """The loop around a PPO loss, on a model of three answers: their probabilities afterwards.

    Every answer counts as often as the model would give it, so nothing has to be sampled.
    """
    logits = torch.zeros(len(reward), requires_grad=True)
    reference, rewards = logits.detach().log_softmax(0), torch.tensor(reward)
    for _ in range(rounds):
        old = logits.detach().log_softmax(0)
        for _ in range(updates):
            loss = loss_of(logits.log_softmax(0), old, reference, rewards, price, 0.2)
            (slope,) = torch.autograd.grad(loss, logits)
            with torch.no_grad():
                logits -= 0.3 * slope
    return logits.softmax(0).detach()


def ppo_loss(function: Callable) -> Verdict:
    """Is `function(log_prob, old, reference, reward, price, clip)` a PPO loss that works?"""
    reward = [1.0, 0.0, -1.0]
    try:
        free = practise(function, reward, 0.0, rounds=60, updates=4)
        held = practise(function, reward, 0.5, rounds=200, updates=4)
        long = practise(function, reward, 0.0, rounds=1, updates=400)
    except Exception as error:  # whatever a learner's code may raise
        return Verdict(False, f"The loop ended in {type(error).__name__}: {error}.")
    if not free[0] > 0.8:
        told = f"the best answer has {free[0]:.0%} after 60 rounds, 33 % before"
        return Verdict(False, f"Without a leash {told}. An optimizer makes a loss smaller.")
    # the best policy on a leash: in proportion to reference * exp(reward / price)
    best = (torch.tensor(reward) / 0.5).softmax(0)
    if (held - best).abs().max() > 0.02:
        told = f"on the leash the best answer ends at {held[0]:.0%}; {best[0]:.0%} would be best"
        return Verdict(False, f"It learns, but {told}. What does distance do to the worth?")
    if long.max() > 1.3 / 3:
        told = f"in one round the best answer went from 33 to {long[0]:.0%}"
        return Verdict(False, f"It learns and is leashed, but {told}: the clip does not hold.")
    return Verdict(True, "It learns, the leash holds, and no round goes further than the clip.")
