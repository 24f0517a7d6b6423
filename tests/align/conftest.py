"""The models of `tests.align.models` as fixtures, trained once and only read."""

import pytest

from course_lib.align.reward import RewardModel
from course_lib.model.transformer import Transformer
from tests.align.models import likes_yes, yes_or_no


@pytest.fixture
def sft() -> Transformer:
    return yes_or_no()


@pytest.fixture
def reward_model() -> RewardModel:
    return likes_yes()
