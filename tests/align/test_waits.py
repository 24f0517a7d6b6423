"""No loss of alignment reads a number off its device: a GPU would stand still for it.

Tensors on the device "meta" have shapes and no numbers, so whoever asks for one gets an error.
"""

from copy import deepcopy
from dataclasses import fields, replace

import pytest
import torch

from course_lib.align.dpo import DPOBatch, dpo_batches, dpo_loss
from course_lib.align.preferences import Preference
from course_lib.align.reward import reward_loss
from course_lib.align.rlhf import ActorCritic, policy_loss, rollout
from course_lib.config import DPOConfig, GRPOConfig, PPOConfig, TrainConfig
from course_lib.model.transformer import Transformer
from tests.align.models import QUESTIONS, TOKENIZER

PAIRS = [Preference(question, "yes", "no") for question in QUESTIONS]


@pytest.fixture(autouse=True)
def ids_are_not_checked(monkeypatch):
    """What comes in is checked, which reads it; torch.compile leaves the check out, too."""
    monkeypatch.setattr(Transformer, "_check", lambda *_: None)


def assert_unread(loss, n, extra: dict) -> None:
    assert loss.is_meta and n.is_meta and all(value.is_meta for value in extra.values())


@pytest.mark.parametrize("algorithm", ["grpo", "ppo"])
def test_of_rollouts(sft, reward_model, algorithm):
    ppo = algorithm == "ppo"
    config = (PPOConfig if ppo else GRPOConfig)(prompts=2, max_new_tokens=3)
    model = ActorCritic(deepcopy(sft), reward_model) if ppo else sft
    dice = torch.Generator().manual_seed(0)
    batch = rollout(model, sft, reward_model, TOKENIZER, QUESTIONS[:2], config, dice)
    values = {each.name: getattr(batch, each.name) for each in fields(batch)}
    tensors = {n: value.to("meta") for n, value in values.items() if torch.is_tensor(value)}

    assert_unread(*policy_loss(deepcopy(model).to("meta"), replace(batch, **tensors), config))


def test_of_pairs(sft):
    batch = dpo_batches(sft, TOKENIZER, PAIRS, TrainConfig(1, batch_rows=2))(0)
    batch = DPOBatch(*(part.to("meta") for part in batch))

    assert_unread(*dpo_loss(deepcopy(sft).to("meta"), batch, DPOConfig(nll=0.2)))


def test_of_the_reward_model(reward_model):
    loss, n, extra = reward_loss(deepcopy(reward_model).to("meta"), PAIRS)

    assert n == len(PAIRS)
    assert_unread(loss, loss, extra)
