"""What notebook 05 lets you write: the loss of a reward model, and five exercises.

Three of them train: each checker lets a copy of the released SFT model practise for ten seconds to
two minutes against what the learner gives it, and says what came out.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import torch

from course_lib.align.preferences import Ranking, ranking_by
from course_lib.align.reward import RewardModel
from course_lib.check.numbers import Number
from course_lib.check.verdict import Verdict, examine
from course_lib.config import Sampling
from course_lib.measure.answers import chat_answers
from course_lib.pipeline import tastes
from course_lib.pipeline.rankings import ask
from course_lib.pipeline.release import RELEASED, load_released
from course_lib.train.losses import bradley_terry
from course_lib.world.annotators import gold
from course_lib.world.dialogues import TEST_KINDS, fact_prompts, test_prompts

SHORT = 20  # steps of an exercise's practice
FAR = 60  # of a leash's: after 20, gold tells no price between 0.05 and 1 from another


# ---- The part -----------------------------------------------------------------------------------


def check_bradley_terry(function: Callable) -> Verdict:
    """Does `function(chosen, rejected)` give the mean of -ln sigmoid(chosen - rejected)?"""
    rewards = [([1.0], [1.0]), ([2.0], [0.0]), ([0.0], [2.0]), ([101.0, 0.0], [100.0, 0.0])]
    rewards.append(([3.0, -1.0], [0.0, 1.0]))
    cases = [tuple(torch.tensor(row).double() for row in pair) for pair in rewards]
    expected = [(case, bradley_terry(*case)) for case in cases]
    return examine(
        function, expected, praise="Only the gap counts: 101 against 100 is 1 against 0."
    )


PARTS = {"bradley_terry": (check_bradley_terry, bradley_terry)}


# ---- Exercises that train -----------------------------------------------------------------------


@cache
def _models() -> tuple:
    sft, tokenizer = load_released("sft")
    return sft, tokenizer, RewardModel.load(RELEASED / "reward")


@cache
def _talkative() -> RewardModel:
    return tastes.talkative(*_models())


def _after(reward, price: float, steps: int = SHORT) -> tuple[dict, dict]:
    """Learned and gold reward, words and KL, before and after practice for `reward`."""
    sft, tokenizer, _ = _models()
    loop = replace(tastes.LOOP, kl=price)
    options = dict(steps=steps, loop=loop, rate=tastes.FAST)
    policy = tastes.practised(sft, tokenizer, reward, **options)
    before, after = (tastes.graded(model, sft, tokenizer, reward) for model in (sft, policy))
    return before, after


def leash(price: Number | None) -> Verdict:
    """Does the policy please its crowd on this leash, without making the gold reward sink?"""
    if price is None:
        return Verdict(False, "Put a price in the place of None, such as 0.1.")
    if isinstance(price, bool) or not isinstance(price, Number) or not 0 <= price <= 1000:
        return Verdict(False, f"A price is a number from 0 to 1000, got {price!r:.60}.")
    before, after = _after(_talkative(), price, FAR)
    told = (
        f"At a price of {price:g} the learned reward goes from {before['reward']:.2f} to "
        f"{after['reward']:.2f}, gold from {before['gold']:.2f} to {after['gold']:.2f}, after "
        f"{after['kl']:.2f} nats."
    )
    if before["gold"] - after["gold"] > SINKS:
        return Verdict(False, f"{told} Gold sinks.")
    if after["reward"] - before["reward"] < LIKED:
        return Verdict(False, f"{told} Gold holds, but nobody who ranked would notice a change.")
    return Verdict(True, f"{told} What the crowd likes has gone up, and gold has held.")


SINKS, LIKED = 0.05, 0.2  # what counts as sinking, and as noticed


def own_reward(function: Callable) -> Verdict:
    """Practises against `function(prompt, answer)` and looks whether it was hacked."""
    if not callable(function):
        return Verdict(False, f"This needs a function, got {function!r:.60}.")
    tried = ("What is the capital of France?", "Paris.")
    try:
        found = function(*tried)
        if isinstance(found, bool) or not isinstance(found, Number) or not math.isfinite(found):
            raise ValueError(f"a reward is a number, got {found!r:.60}")
        before, after = _after(tastes.Scored(function), 0.0)
    except NotImplementedError:
        return Verdict(False, "Your reward isn't written yet.")
    except Exception as error:  # whatever a learner's code may raise
        return Verdict(False, f"Your reward ended in {type(error).__name__}: {error}.")
    told = (
        f"Your reward goes from {before['reward']:.2f} to {after['reward']:.2f}, gold from "
        f"{before['gold']:.2f} to {after['gold']:.2f}."
    )
    if after["reward"] <= before["reward"]:
        return Verdict(False, f"{told} It didn't find out how to please you: try another reward.")
    if before["gold"] - after["gold"] < HACKED:
        return Verdict(False, f"{told} Gold has to sink by {HACKED} or more: that's no hack yet.")
    return Verdict(True, f"{told} It did what you wrote, and not what you wanted.")


HACKED = 0.2  # gold lost


@cache
def _many(kind: str) -> tuple[list[float], list[float]]:
    """Learned rewards and gold of 32 answers to each of 40 prompts of a kind, neighbours."""
    sft, tokenizer, reward = _models()
    prompts = list(test_prompts(kind))
    prompts = prompts[:: max(1, len(prompts) // 40)][:40]
    texts, said = ask(sft, tokenizer, prompts, MOST, seed=0)
    copies = [prompt for prompt in prompts for _ in range(MOST)]
    return reward.score(texts, said), list(map(gold, copies, said))


MOST = 32


def worse_of_n(kind: str | None, n: int | None = None) -> Verdict:
    """Is the best of `n` answers, in the eyes of the reward model, worse than any one of them?"""
    if kind is None or n is None:
        return Verdict(False, "Put a kind of prompts and a number in the places of None.")
    if kind not in TEST_KINDS:
        return Verdict(False, f"The kinds are {', '.join(TEST_KINDS)}; got {kind!r:.60}.")
    if type(n) is not int or n not in FEW:
        return Verdict(False, f"Choose from 2, 4 or 8 answers, got {n!r:.60}.")
    rewards, worths = _many(kind)
    one, best = sum(worths) / len(worths), tastes.best_of(n, MOST, rewards, worths)[1]
    told = f"{kind}: gold {one:.2f} for any answer, {best:.2f} for the best of {n}."
    if best >= one + WORSE:
        return Verdict(False, f"{told} The reward model still knows better than the dice.")
    if best > one - WORSE:
        least = f"it should be worse by {WORSE} or more"
        return Verdict(False, f"{told} That's hardly a difference: {least}.")
    return Verdict(True, f"{told} Here its taste is worse than no taste at all.")


WORSE = 0.03
FEW = (2, 4, 8)  # the best of 32 is worse for half of all kinds, so nothing would have to be hunted


def own_taste(function: Callable) -> Verdict:
    """Ranks thirty prompts by `function(prompt, answer)`, practises, and asks other questions."""
    if not callable(function):
        return Verdict(False, f"This needs a function, got {function!r:.60}.")
    sft, tokenizer, released = _models()
    prompts, groups, sampled = tastes.to_rank(sft, tokenizer)

    def rank(prompt: str, answers: list[str]) -> Ranking:
        return ranking_by([float(function(prompt, answer)) for answer in answers])

    try:
        pairs = tastes.ranked_by(rank, prompts, groups)
    except NotImplementedError:
        return Verdict(False, "Your taste isn't written yet.")
    except Exception as error:  # whatever a learner's code may raise
        return Verdict(False, f"Your taste ended in {type(error).__name__}: {error}.")
    if not pairs:
        return Verdict(False, "Your taste finds all answers alike: then there's nothing to learn.")
    mine = tastes.reward_of(released, pairs, prompts, sampled)
    policy = tastes.practised(sft, tokenizer, mine)
    means = []
    for model in (sft, policy):
        asked = list(fact_prompts("asked_in_sft")[1::8]) + list(test_prompts("invented")[1::12])
        said = chat_answers(model, tokenizer, asked, Sampling(seed=5))
        scores = [float(function(p.text, a)) for p, a in zip(asked, said, strict=True)]
        means.append(sum(scores) / len(scores))
    told = f"{len(pairs)} pairs. Your taste gave its answers {means[0]:.2f} before and "
    told += f"{means[1]:.2f} after."
    if means[1] - means[0] <= 0.02 * max(1.0, abs(means[0])):
        return Verdict(False, f"{told} It hasn't got it: is there enough of it to choose from?")
    return Verdict(True, f"{told} It never saw your function, only which answers you chose.")


# ---- A bug hunt ---------------------------------------------------------------------------------


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
        told = f"the best answer has {free[0]:.0%} after 60 rounds, 33% before"
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
