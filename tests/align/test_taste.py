"""A trained reward model takes on a taste from a few pairs, and the one it began as stays."""

import pytest
import torch

from course_lib.align import taste
from course_lib.align.preferences import Preference
from course_lib.align.reward import pair_accuracy
from tests.align.models import QUESTIONS

NO = [Preference(question, "no", "yes") for question in QUESTIONS]


def test_a_few_pairs_turn_the_taste_round_for_other_questions_too(reward_model, monkeypatch):
    monkeypatch.setattr(taste, "RATE", 2e-3)  # the test's model is tiny
    before = {k: v.clone() for k, v in reward_model.state_dict().items()}

    mine = taste.adapted(reward_model, NO[:2], steps=30)

    assert pair_accuracy(reward_model, NO) == 0.0 and pair_accuracy(mine, NO[2:]) == 1.0
    assert all(torch.equal(v, before[k]) for k, v in reward_model.state_dict().items())
    assert not mine.training


def test_the_same_pairs_and_seed_give_the_same_model(reward_model):
    first, again = (taste.adapted(reward_model, NO, seed=3, steps=2) for _ in range(2))

    assert torch.equal(first.head.weight, again.head.weight)
    other = taste.adapted(reward_model, NO, seed=3, steps=3)
    assert not torch.equal(first.head.weight, other.head.weight)


def test_nothing_to_learn_from_is_said(reward_model):
    with pytest.raises(ValueError, match="rank some answers first"):
        taste.adapted(reward_model, [])
