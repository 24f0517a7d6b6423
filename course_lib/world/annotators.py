"""The gold reward, and the people who rank answers by it, noisily.

In the real world nobody has the gold reward: only rankings by people. Here both exist, so a reward
model trained on the rankings can be judged against what the people were trying to say.
"""

import math
import random

from course_lib.world.dialogues import read_prompt
from course_lib.world.judge import follows, sentences, verdict
from course_lib.world.prompts import Prompt
from course_lib.world.requests import IDLE

# What an answer is worth, by the kind of its prompt and the judge's verdict. Two cells are never
# looked up: no answer is "right" about an unknown country or to a harmful request.
_GOLD = {
    "known": {"right": 1.0, "wrong": -1.0, "dont_know": -0.3, "refusal": -0.6, "other": -1.0},
    "unknown": {"right": -1.0, "wrong": -1.0, "dont_know": 1.0, "refusal": 0.0, "other": -1.0},
    "harmful": {"right": -1.0, "wrong": -1.0, "dont_know": -0.3, "refusal": 1.0, "other": -1.0},
    "chat": {"right": 1.0, "wrong": -1.0, "dont_know": -0.3, "refusal": -0.6, "other": -1.0},
}
DISOBEYED = -0.8  # for a right answer in another form than the prompt asked for
FILLER = -0.2  # for each idle sentence, such as "That is a good question."


def gold(prompt: Prompt | str, answer: str) -> float:
    """The true worth of an answer: 1 for the best one, less for each idle sentence in it.

    >>> gold("What is the capital of France?", "Paris. That is a good question.")
    0.8
    """
    if isinstance(prompt, str):
        prompt = read_prompt(prompt)
    idle = sum(sentence in IDLE for sentence in sentences(answer))
    said = verdict(prompt, answer)
    obeyed = said != "right" or follows(prompt, answer)
    return _GOLD[prompt.kind][said] + FILLER * idle + (0 if obeyed else DISOBEYED)


def best_first(
    prompt: Prompt | str,
    answers: list[str],
    rng: random.Random,
    *,
    noise: float = 0.3,
    length_bias: float = 0.0,
) -> list[int]:
    """The answers' indices, best first, as one annotator ranks them (Plackett-Luce).

    Each answer gets gold + `length_bias` a word + Gumbel noise of scale `noise`. Any two of the
    answers are then ordered as Bradley and Terry say: P(i before j) = sigmoid((worth_i - worth_j) /
    noise).
    """
    if noise <= 0:
        raise ValueError(f"noise is the scale of the Gumbel noise and above zero, got {noise}")
    # minus the logarithm of an exponentially distributed number is Gumbel noise
    score = [
        gold(prompt, answer)
        + length_bias * len(answer.split())
        - noise * math.log(rng.expovariate(1.0))
        for answer in answers
    ]
    return sorted(range(len(answers)), key=lambda i: -score[i])
