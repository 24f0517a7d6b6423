"""SFT, the reward model and GRPO on a model of a few thousand weights."""

import pytest
import torch

from course_lib.chat import encode_prompt
from course_lib.config import ModelConfig, RLConfig, TrainConfig
from course_lib.data import pack, pack_dialogues
from course_lib.losses import IGNORE, kl_k3, token_log_probs
from course_lib.model import Transformer
from course_lib.preferences import Preference
from course_lib.reward import RewardModel, pair_accuracy, reward_batches, reward_loss
from course_lib.rlhf import answer_log_probs, grpo_batches, grpo_loss, rollout
from course_lib.sft import sft_batches
from course_lib.tokenizer import Tokenizer
from course_lib.train import next_token_loss, train

TOKENIZER = Tokenizer.train("What is it? It is yes. It is no. I am not sure. yes no " * 50, 280)
CONFIG = ModelConfig(
    vocab_size=280, context_length=48, dim=32, n_layers=2, n_heads=2, n_kv_heads=1, ffn_dim=64
)
QUESTIONS = ["Is it?", "What?", "Is it yes?", "no?"]
RL = RLConfig(prompts=4, answers=6, max_new_tokens=6, kl=0.05, updates=2)


def dialogue(question: str, answer: str) -> list[dict]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


@pytest.fixture(scope="module")
def sft() -> Transformer:
    """A model that answers yes or no to everything, as often one as the other."""
    model = Transformer(CONFIG, seed=1)
    talk = [dialogue(question, answer) for question in QUESTIONS for answer in ("yes", "no")] * 4
    rows = pack_dialogues(talk, TOKENIZER, CONFIG.context_length)
    text = pack(["It is yes. It is no. " * 3] * 20, TOKENIZER, CONFIG.context_length)
    config = TrainConfig(steps=150, batch_rows=8, learning_rate=5e-3)
    list(train(model, sft_batches(rows, text, config, TOKENIZER.eot_id), next_token_loss, config))
    return model.eval()


@pytest.fixture(scope="module")
def reward_model(sft) -> RewardModel:
    """A reward model that likes yes."""
    pairs = [Preference(question, "yes", "no") for question in QUESTIONS] * 4
    model = RewardModel.from_sft(sft, TOKENIZER)
    config = TrainConfig(steps=30, batch_rows=4, learning_rate=2e-3)
    list(train(model, reward_batches(pairs, config), reward_loss, config))
    model.eval()
    model.normalise(QUESTIONS * 2, ["yes"] * 4 + ["no"] * 4)
    return model


def test_sft_batches_mix_dialogues_and_text():
    rows = pack_dialogues([dialogue("a", "b")] * 40, TOKENIZER, 48)
    text = pack(["It is yes. " * 9] * 40, TOKENIZER, 48)
    config = TrainConfig(steps=5, batch_rows=8)

    eot = TOKENIZER.eot_id
    inputs, targets, numbers = sft_batches(rows, text, config, eot, text_share=0.25)(0)

    assert inputs.shape == targets.shape == numbers.shape == (8, 48)
    assert ((targets != IGNORE).all(dim=1)).sum() == 2  # the rows of plain text
    alone, _, _ = sft_batches(rows, text, config, eot, text_share=0)(0)
    assert alone.shape == (8, 48)
    with pytest.raises(ValueError, match="text_share"):
        sft_batches(rows, text, config, eot, text_share=1.0)


def test_sft_teaches_the_form_of_an_answer(sft):
    ids = torch.tensor([encode_prompt(TOKENIZER, dialogue("What?", "")[:1])])

    probs = sft(ids)[0, -1].softmax(-1)

    yes, no = (probs[TOKENIZER.encode(word)[0]].item() for word in ("yes", "no"))
    assert yes + no > 0.9 and min(yes, no) > 0.2


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


def test_answer_log_probs_in_a_padded_batch_equal_those_of_each_row_alone(sft, reward_model):
    generator = torch.Generator().manual_seed(0)
    batch = rollout(sft, sft, reward_model, TOKENIZER, QUESTIONS, RL, generator)

    for row in range(len(batch.answers)):
        answer = [i for i in batch.targets[row].tolist() if i != IGNORE]
        prompt = encode_prompt(TOKENIZER, dialogue(batch.prompts[row], "")[:1])
        ids = torch.tensor([prompt + answer])
        alone = token_log_probs(sft(ids[:, :-1]), ids[:, 1:])[0, -len(answer) :]
        torch.testing.assert_close(batch.log_prob[row, : len(answer)], alone, atol=1e-4, rtol=1e-4)
        assert not batch.log_prob[row, len(answer) :].any()


def test_answers_that_never_end_are_punished(sft, reward_model):
    config = RLConfig(prompts=4, answers=8, max_new_tokens=1, unfinished=-7.0)
    generator = torch.Generator().manual_seed(0)

    batch = rollout(sft, sft, reward_model, TOKENIZER, QUESTIONS, config, generator)

    finished = batch.targets[:, 0] == TOKENIZER.im_end_id
    assert (batch.reward[~finished] == -7.0).all() and (~finished).any()


def test_on_policy_the_loss_is_minus_the_mean_advantage_and_the_kl_is_zero(sft, reward_model):
    generator = torch.Generator().manual_seed(1)
    batch = rollout(sft, sft, reward_model, TOKENIZER, QUESTIONS, RL, generator)

    loss, n_tokens, extra = grpo_loss(sft, batch, RL)

    mask = batch.targets != IGNORE
    expected = -(batch.advantage[:, None] * mask).sum() / mask.sum()
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    assert extra["kl"] == pytest.approx(0, abs=1e-5) and n_tokens == mask.sum()


def test_the_kl_term_is_the_one_of_the_paper(sft, reward_model):
    generator = torch.Generator().manual_seed(1)
    other = Transformer(CONFIG, seed=9)
    batch = rollout(sft, other, reward_model, TOKENIZER, QUESTIONS, RL, generator)

    without, _, _ = grpo_loss(sft, batch, RLConfig(kl=0.0))
    with_kl, _, _ = grpo_loss(sft, batch, RLConfig(kl=1.0))

    log_prob = answer_log_probs(sft, batch.ids, batch.padding, batch.targets)
    mask = batch.targets != IGNORE
    expected = kl_k3(log_prob, batch.reference)[mask].mean()
    assert (with_kl - without).item() == pytest.approx(expected.item(), rel=1e-4)


def test_grpo_finds_the_answer_that_is_rewarded(sft, reward_model):
    model = Transformer(CONFIG)
    model.load_state_dict(sft.state_dict())
    leashed = RLConfig(prompts=4, answers=6, max_new_tokens=6, kl=0.5)
    batches = grpo_batches(model, sft, reward_model, TOKENIZER, QUESTIONS, leashed)
    config = TrainConfig(steps=40, learning_rate=1e-3, weight_decay=0.0)

    records = list(train(model, batches, lambda m, b: grpo_loss(m, b, leashed), config))

    assert records[-1].extra["reward"] > records[0].extra["reward"] + 0.5
    assert 0 < records[-1].extra["kl"] < 2  # always yes instead of either: ln 2, in nats
    ids = torch.tensor([encode_prompt(TOKENIZER, dialogue("What?", "")[:1])])
    yes = TOKENIZER.encode("yes")[0]
    before, after = (m(ids)[0, -1].softmax(-1)[yes].item() for m in (sft, model))
    assert after > before + 0.15


def test_rollouts_are_a_function_of_the_step(sft, reward_model):
    def first_two(start: int):
        batches = grpo_batches(sft, sft, reward_model, TOKENIZER, QUESTIONS, RL, seed=4)
        return batches(start)

    batches = grpo_batches(sft, sft, reward_model, TOKENIZER, QUESTIONS, RL, seed=4)
    in_a_row = [batches(step) for step in range(4)]

    assert in_a_row[0] is in_a_row[1]  # two updates on each rollout
    assert in_a_row[2].answers == first_two(2).answers
    assert in_a_row[0].answers != in_a_row[2].answers
    with pytest.raises(ValueError, match="fewer than"):
        grpo_batches(sft, sft, reward_model, TOKENIZER, QUESTIONS[:2], RL)
