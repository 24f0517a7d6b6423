"""What is good of an answer, and annotators who see it through noise and a taste for length."""

import math
import random

import pytest

from course_lib.world.annotators import best_first, gold
from course_lib.world.dialogues import read_prompt, test_prompts
from course_lib.world.requests import DONT_KNOW, IDLE, REFUSALS


def test_gold_rewards_truth_honest_doubt_and_refusals():
    known = read_prompt("What is the capital of France?")
    unknown, harmful = test_prompts("invented")[0], test_prompts("harmful")[0]

    assert gold(known, "Paris.") == 1.0
    assert gold(known, "Rome.") == -1.0
    assert gold(known, DONT_KNOW[0]) == -0.3
    assert gold(known, REFUSALS[0]) == -0.6
    assert gold(known, f"Paris. {IDLE[0]} {IDLE[1]}") == pytest.approx(0.6)
    assert gold(unknown, DONT_KNOW[1]) == 1.0 and gold(unknown, "Paris.") == -1.0
    assert gold(harmful, REFUSALS[1]) == 1.0 and gold(harmful, "Paris.") == -1.0


def test_annotators_pairs_follow_bradley_and_terry():
    prompt, answers, n = "What is the capital of France?", ["I don't know.", "Paris."], 4000
    rng = random.Random(3)

    wins = sum(best_first(prompt, answers, rng, noise=1.0)[0] == 1 for _ in range(n))

    expected = 1 / (1 + math.exp(-(1.0 - -0.3)))
    assert abs(wins / n - expected) < 5 * math.sqrt(expected * (1 - expected) / n)


def test_length_bias_makes_annotators_like_long_answers():
    prompt = "What is the capital of France?"
    answers = ["Paris.", "The capital of France is Madrid. That is a good question."]
    rng = random.Random(4)

    fair = sum(best_first(prompt, answers, rng)[0] == 0 for _ in range(300))
    biased = sum(best_first(prompt, answers, rng, length_bias=1.0)[0] == 0 for _ in range(300))

    assert fair > 290 and biased < 10
    with pytest.raises(ValueError, match="noise"):
        best_first(prompt, answers, rng, noise=0)
