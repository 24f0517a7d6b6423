"""SFT, the reward model, GRPO, PPO and DPO on a model of a few thousand weights."""

from copy import deepcopy

import pytest
import torch

from course_lib.align.dpo import answer_rows, dpo_batches, dpo_loss
from course_lib.align.preferences import Preference
from course_lib.align.reward import RewardModel, pair_accuracy, reward_batches, reward_loss
from course_lib.align.rlhf import (
    ActorCritic,
    Critic,
    answer_log_probs,
    policy_loss,
    rollout,
    rollout_batches,
)
from course_lib.config import DPOConfig, GRPOConfig, ModelConfig, PPOConfig, TrainConfig
from course_lib.measure.answers import watched
from course_lib.model.transformer import Transformer
from course_lib.text.chat import encode_prompt
from course_lib.text.rows import IGNORE, pack, pack_dialogues
from course_lib.train.loop import next_token_loss, train
from course_lib.train.losses import kl_k3, token_log_probs
from course_lib.train.sft import sft_batches
from course_lib.world.dialogues import fact_prompts, test_prompts
from tests.tiny import YES_OR_NO

TOKENIZER = YES_OR_NO
CONFIG = ModelConfig(
    vocab_size=280, context_length=48, dim=32, n_layers=2, n_heads=2, n_kv_heads=1, ffn_dim=64
)
QUESTIONS = ["Is it?", "What?", "Is it yes?", "no?"]
METHODS = {"grpo": GRPOConfig, "ppo": PPOConfig}
RL = GRPOConfig(prompts=4, answers=6, max_new_tokens=6, kl=0.05, updates=2)


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


def test_a_reward_is_read_where_the_answer_ends(reward_model):
    ids, ends = reward_model.encoded(["What?", "Is it yes?"], ["yes", "no no no no"])
    changed = ids.clone()
    changed[0, ends[0] + 1 :] += 1  # after the shorter answer there is padding only

    assert ids[range(2), ends].tolist() == [TOKENIZER.im_end_id] * 2
    rewards = reward_model.forward(ids, ends)
    assert torch.equal(reward_model.forward(changed, ends), rewards)
    assert not torch.allclose(reward_model.forward(ids, ends - 1), rewards, atol=1e-3)


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
    config = GRPOConfig(prompts=4, answers=8, max_new_tokens=1, unfinished=-7.0)
    generator = torch.Generator().manual_seed(0)

    batch = rollout(sft, sft, reward_model, TOKENIZER, QUESTIONS, config, generator)

    finished = batch.targets[:, 0] == TOKENIZER.im_end_id
    assert (batch.reward[~finished] == -7.0).all() and (~finished).any()


def test_on_policy_the_loss_is_minus_the_mean_advantage_and_the_kl_is_zero(sft, reward_model):
    generator = torch.Generator().manual_seed(1)
    batch = rollout(sft, sft, reward_model, TOKENIZER, QUESTIONS, RL, generator)

    loss, n_tokens, extra = policy_loss(sft, batch, RL)

    mask = batch.targets != IGNORE
    expected = -(batch.advantage * mask).sum() / mask.sum()
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    assert extra["kl"] == pytest.approx(0, abs=1e-5) and n_tokens == mask.sum()


def test_the_kl_term_is_the_one_of_the_paper(sft, reward_model):
    generator = torch.Generator().manual_seed(1)
    other = Transformer(CONFIG, seed=9)
    batch = rollout(sft, other, reward_model, TOKENIZER, QUESTIONS, RL, generator)

    without, _, _ = policy_loss(sft, batch, GRPOConfig(kl=0.0))
    with_kl, _, _ = policy_loss(sft, batch, GRPOConfig(kl=1.0))

    log_prob = answer_log_probs(sft, batch.ids, batch.padding, batch.targets)
    mask = batch.targets != IGNORE
    expected = kl_k3(log_prob, batch.reference)[mask].mean()
    assert (with_kl - without).item() == pytest.approx(expected.item(), rel=1e-4)


def probs_of(model: Transformer) -> dict[str, float]:
    """P(first token) of either answer."""
    ids = torch.tensor([encode_prompt(TOKENIZER, dialogue("What?", "")[:1])])
    probs = model(ids)[0, -1].softmax(-1)
    return {word: probs[TOKENIZER.encode(word)[0]].item() for word in ("yes", "no")}


@pytest.mark.parametrize("algorithm", ["grpo", "ppo"])
def test_the_answer_that_is_rewarded_is_found(sft, reward_model, algorithm):
    model = deepcopy(sft)
    policy = ActorCritic(model, reward_model) if algorithm == "ppo" else model
    leashed = METHODS[algorithm](prompts=4, answers=6, max_new_tokens=6, kl=0.5)
    batches = rollout_batches(policy, sft, reward_model, TOKENIZER, QUESTIONS, leashed)
    config = TrainConfig(steps=40, learning_rate=1e-3, weight_decay=0.0)

    records = list(train(policy, batches, lambda m, b: policy_loss(m, b, leashed), config))

    assert records[-1].extra["reward"] > records[0].extra["reward"] + 0.5
    # that of one rollout is a mean of 24 samples, one of which can be far out
    kl = sum(record.extra["kl"] for record in records[20:]) / 20
    assert 0 < kl < 2  # always yes instead of either: ln 2, in nats
    assert probs_of(model)["yes"] > probs_of(sft)["yes"] + 0.15


@pytest.mark.parametrize("algorithm", ["grpo", "ppo"])
def test_a_run_stopped_inside_a_rollout_goes_on_to_the_same_weights(
    sft, reward_model, tmp_path, algorithm
):
    rl = METHODS[algorithm](prompts=4, answers=3, max_new_tokens=4, updates=3)
    config = TrainConfig(steps=9, learning_rate=1e-3)

    def run(folder, stop_at: int | None = None):
        model = deepcopy(sft)
        policy = ActorCritic(model, reward_model) if algorithm == "ppo" else model
        batches = rollout_batches(policy, sft, reward_model, TOKENIZER, QUESTIONS, rl)
        loop = train(
            policy, batches, lambda m, b: policy_loss(m, b, rl), config,
            state_dir=folder, together=rl.updates,
        )  # fmt: skip
        for record in loop:
            if record.step == stop_at:
                loop.close()
        return record.step, policy.state_dict()

    _, expected = run(tmp_path / "whole")
    stopped, _ = run(tmp_path / "parts", stop_at=4)
    last, found = run(tmp_path / "parts")

    assert stopped == 4 and last == 9
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_critic_begins_as_the_reward_model(sft, reward_model):
    answers = ["yes", "no", "yes", "no"]
    targets = answer_rows(TOKENIZER, QUESTIONS, answers)[1]
    rows = [dialogue(question, answer) for question, answer in zip(QUESTIONS, answers, strict=True)]

    for row, messages in enumerate(rows):
        ids = torch.tensor([encode_prompt(TOKENIZER, messages[:1])])
        answer = [i for i in targets[row].tolist() if i != IGNORE]
        ids = torch.cat((ids, torch.tensor([[*answer, 0]])), dim=1)
        values = Critic(reward_model)(ids, torch.tensor([0]), 1)  # having read <|im_end|>
        expected = reward_model([QUESTIONS[row]], [answers[row]])
        torch.testing.assert_close(values[0], expected)


def test_a_critic_stands_on_the_device_of_its_reward_model(reward_model):
    elsewhere = deepcopy(reward_model).to("meta")  # the one other device that every machine has

    assert {str(weight.device) for weight in Critic(elsewhere).parameters()} == {"meta"}


def test_ppo_pays_for_the_distance_at_each_token_and_gets_the_reward_at_the_last(sft, reward_model):
    other, config = Transformer(CONFIG, seed=9), PPOConfig(prompts=4, answers=6, kl=0.3)
    policy = ActorCritic(sft, reward_model)
    generator = torch.Generator().manual_seed(1)

    batch = rollout(policy, other, reward_model, TOKENIZER, QUESTIONS, config, generator)

    values = policy.critic(batch.ids, batch.padding, batch.targets.shape[1])
    for row, n in enumerate((batch.targets != IGNORE).sum(1).tolist()):
        price = config.kl * (batch.log_prob[row, :n] - batch.reference[row, :n])
        # at the last token nothing is left to foresee: reward less price less what was expected
        left = batch.reward[row] - price[-1] - values[row, n - 1]
        assert batch.advantage[row, n - 1].item() == pytest.approx(left.item(), abs=1e-4)
        assert not batch.advantage[row, n:].any()
    torch.testing.assert_close(batch.returns, batch.advantage + values * (batch.targets != IGNORE))


def test_ppo_trains_its_critic_on_the_returns(sft, reward_model):
    policy, config = ActorCritic(sft, reward_model), PPOConfig(prompts=4, answers=6, kl=0.3)
    generator = torch.Generator().manual_seed(1)
    batch = rollout(policy, sft, reward_model, TOKENIZER, QUESTIONS, config, generator)

    loss, _, _ = policy_loss(policy, batch, config)

    mask = batch.targets != IGNORE
    values = policy.critic(batch.ids, batch.padding, mask.shape[1])
    error = (values - batch.returns)[mask].square().mean()
    expected = -batch.advantage[mask].mean() + config.value_weight * error
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)


def test_each_algorithm_wants_its_own_kind_of_model(sft, reward_model):
    for model, algorithm in ((sft, "ppo"), (ActorCritic(sft, reward_model), "grpo")):
        with pytest.raises(ValueError, match="ActorCritic"):
            rollout_batches(
                model, sft, reward_model, TOKENIZER, QUESTIONS, METHODS[algorithm](prompts=4)
            )
    with pytest.raises(ValueError, match="2 answers"):
        GRPOConfig(answers=1)
    assert PPOConfig().answers == 1


def test_dpo_learns_what_people_chose(sft):
    pairs = [Preference(question, "yes", "no") for question in QUESTIONS] * 4
    model, plan = deepcopy(sft), DPOConfig(beta=0.5)
    config = TrainConfig(steps=30, batch_rows=4, learning_rate=5e-4, weight_decay=0.0)
    batches = dpo_batches(sft, TOKENIZER, pairs, config)

    records = list(train(model, batches, lambda m, b: dpo_loss(m, b, plan), config))

    assert records[0].loss == pytest.approx(0.6931, abs=1e-3)  # ln 2: no opinion yet
    assert records[-1].loss < 0.5 and records[-1].extra["accuracy"] == 1
    # Only the distance between the two counts, so this is what it promises: not P(yes) itself.
    before, after = probs_of(sft), probs_of(model)
    assert after["yes"] / after["no"] > 2 * before["yes"] / before["no"]
    gained = records[-1].extra
    assert gained["chosen_gain"] - gained["rejected_gain"] > 1


def test_dpo_grades_the_answers_and_not_the_questions(sft):
    inputs, targets = answer_rows(TOKENIZER, ["What?", "Is it?"], ["yes", "no"])

    for row, answer in enumerate(("yes", "no")):
        counted = targets[row][targets[row] != IGNORE].tolist()
        assert counted == [*TOKENIZER.encode(answer), TOKENIZER.im_end_id]
        at = (targets[row] != IGNORE).nonzero()[0].item()
        assert TOKENIZER.decode(inputs[row, : at + 1].tolist()).endswith("assistant\n")
    with pytest.raises(ValueError, match="beta"):
        DPOConfig(beta=0)


def test_rollouts_are_a_function_of_the_step(sft, reward_model):
    def first_two(start: int):
        batches = rollout_batches(sft, sft, reward_model, TOKENIZER, QUESTIONS, RL, seed=4)
        return batches(start)

    batches = rollout_batches(sft, sft, reward_model, TOKENIZER, QUESTIONS, RL, seed=4)
    in_a_row = [batches(step) for step in range(4)]

    assert in_a_row[0] is in_a_row[1]  # two updates on each rollout
    assert in_a_row[2].answers == first_two(2).answers
    assert in_a_row[0].answers != in_a_row[2].answers
    with pytest.raises(ValueError, match="fewer than"):
        rollout_batches(sft, sft, reward_model, TOKENIZER, QUESTIONS[:2], RL)


def test_what_is_watched_is_counted_among_the_prompts_it_is_about():
    known, unknown = fact_prompts("asked_in_sft")[0], test_prompts("invented")[0]
    harmful = test_prompts("harmful")[0].text
    prompts = [known.text, unknown.text, unknown.text, harmful]
    answers = [known.fact.statements()[0], "I don't know.", "Paris.", "I can't help with that."]

    found = watched(prompts, answers)

    assert found == {"gold": pytest.approx((1 + 1 - 1 + 1) / 4), "made_up": 0.5, "refused": 1.0}
    only = watched(prompts[:1], answers[:1])
    assert set(only) == {"gold"}
