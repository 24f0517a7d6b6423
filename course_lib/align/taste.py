"""A reward model that learns the taste of one person, or one room, from a few dozen clicks.

Such a taste can be learned from the SFT model, too (`benchmarks/taste.py`), but then the model has
seen no other ranking: in these nobody says that a short truth is better than a short lie. A trained
reward model has seen thousands of other pairs. So a copy of it trains on for a few steps, on these
pairs alone: the loss is the old one, of Bradley and Terry.
"""

from copy import deepcopy

from course_lib.align.preferences import Preference
from course_lib.align.reward import RewardModel, reward_batches, reward_loss
from course_lib.config import TrainConfig
from course_lib.train.loop import train

STEPS, PAIRS, RATE = 24, 24, 2e-4


def adapted(
    reward_model: RewardModel, pairs: list[Preference], seed: int = 0, steps: int = STEPS
) -> RewardModel:
    """A copy of the reward model after `steps` steps on 24 of these pairs each, or on all.

    Its scale is no longer right: call `normalise` before a policy is trained on it.
    """
    if not pairs:
        raise ValueError("there is no pair to learn from: rank some answers first")
    copy = deepcopy(reward_model)
    rows = min(PAIRS, len(pairs))  # three rankings may give fewer
    config = TrainConfig(
        steps, batch_rows=rows, learning_rate=RATE, warmup=0.1, decay=0.5, seed=seed
    )
    for _ in train(copy, reward_batches(pairs, config), reward_loss, config):
        pass
    return copy.eval()
