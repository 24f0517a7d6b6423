"""The reward model learns what people prefer, and gives a text the same reward in any company."""

import pytest
import torch

from course_lib.align.preferences import Preference
from course_lib.align.reward import RewardModel, pair_accuracy, reward_loss
from course_lib.text.chat import encode_dialogue, exchange
from tests.align.models import QUESTIONS, TOKENIZER


def test_an_untrained_reward_model_can_not_tell_and_a_trained_one_can(sft, reward_model):
    pairs = [Preference(question, "yes", "no") for question in QUESTIONS]
    swapped = [Preference(question, "no", "yes") for question in QUESTIONS]

    assert pair_accuracy(reward_model, pairs) == 1.0
    assert pair_accuracy(reward_model, swapped) == 0.0
    fresh = RewardModel.from_sft(sft, TOKENIZER)
    assert reward_loss(fresh, pairs)[0].item() == pytest.approx(0.69, abs=0.5)  # near ln 2


def test_a_reward_does_not_depend_on_its_neighbours_in_the_batch(reward_model):
    alone = reward_model(["What?"], ["yes"])
    padded = reward_model(["What?", "Is it yes?"], ["yes", "no no no no"])

    torch.testing.assert_close(alone[0], padded[0], atol=1e-5, rtol=1e-5)


def test_a_reward_is_read_where_the_answer_ends(reward_model):
    ids, ends = reward_model.encoded(["What?", "Is it yes?"], ["yes", "no no no no"])
    changed = ids.clone()
    changed[0, ends[0] + 1 :] += 1  # after the shorter answer there is padding only

    assert ids[range(2), ends].tolist() == [TOKENIZER.im_end_id] * 2
    rewards = reward_model.forward(ids, ends)
    assert torch.equal(reward_model.forward(changed, ends), rewards)
    assert not torch.allclose(reward_model.forward(ids, ends - 1), rewards, atol=1e-3)


def test_batches_of_dialogues_have_few_lengths(reward_model):
    lengths = {
        reward_model.encoded(["What?"], ["no" + " no" * n])[0].shape[1] for n in range(40)
    }  # the context has 48 tokens

    assert lengths == {32, 48}


def test_a_reward_is_given_with_the_system_message_in_view(reward_model):
    prompt = ("no?", "What?")

    ids, ends = reward_model.encoded([prompt], ["yes"])

    told = [{"role": "system", "content": "no?"}, *exchange("What?", "yes")]
    assert ids[0, : ends[0] + 1].tolist() == encode_dialogue(TOKENIZER, told)[0][: ends[0] + 1]
    assert (reward_model([prompt], ["yes"]) - reward_model(["What?"], ["yes"])).abs() > 1e-3


def test_scores_are_the_rewards_in_order_whatever_the_batch(reward_model):
    prompts, answers = ["Hello", "Who are you?", "Hello"], ["Hi.", "I am a model.", "No, never."]

    scores = reward_model.score(prompts, answers, batch_rows=2)

    assert scores == pytest.approx(reward_model(prompts, answers).tolist(), abs=1e-5)
    with pytest.raises(ValueError, match="shorter"):
        reward_model.score(prompts, answers[:2])


def test_normalised_rewards_have_mean_zero_and_deviation_one(reward_model):
    rewards = reward_model(QUESTIONS * 2, ["yes"] * 4 + ["no"] * 4)

    assert rewards.mean().item() == pytest.approx(0, abs=1e-5)
    assert rewards.std().item() == pytest.approx(1, abs=1e-4)


def test_a_reward_model_comes_back_from_its_folder(reward_model, tmp_path):
    reward_model.save(tmp_path / "reward")
    again = RewardModel.load(tmp_path / "reward")

    found, expected = (m(QUESTIONS, ["yes", "no"] * 2) for m in (again, reward_model))
    torch.testing.assert_close(found, expected)
    with pytest.raises(ValueError, match="no reward model"):
        RewardModel.load(tmp_path)


def test_an_answer_longer_than_the_context_is_graded_by_its_end(reward_model):
    rewards = reward_model(["What?", "What?"], ["\ufffd" * 60, "yes " * 200])

    assert rewards.isfinite().all()
