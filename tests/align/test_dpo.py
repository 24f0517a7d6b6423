"""DPO learns from pairs what a reward model would have learned, and grades answers only."""

from copy import deepcopy

import pytest
import torch

from course_lib.align.dpo import answer_rows, dpo_batches, dpo_loss, log_prob_of_answers
from course_lib.align.preferences import Preference
from course_lib.config import DPOConfig, TrainConfig
from course_lib.text.rows import IGNORE
from course_lib.train.loop import train
from tests.align.models import CONFIG, QUESTIONS, TOKENIZER, first_token_probs


def test_dpo_learns_what_people_chose(sft):
    pairs = [Preference(question, "yes", "no") for question in QUESTIONS] * 4
    model, plan = deepcopy(sft), DPOConfig(beta=0.5)
    config = TrainConfig(steps=30, batch_rows=4, learning_rate=5e-4, weight_decay=0.0)
    batches = dpo_batches(sft, TOKENIZER, pairs, config)

    records = list(train(model, batches, lambda m, b: dpo_loss(m, b, plan), config))

    assert records[0].loss == pytest.approx(0.6931, abs=1e-3)  # ln 2: no opinion yet
    assert records[-1].loss < 0.5 and records[-1].extra["accuracy"] == 1
    # Only the distance between the two counts, so this is what it promises: not P(yes) itself.
    before, after = first_token_probs(sft), first_token_probs(model)
    assert after["yes"] / after["no"] > 2 * before["yes"] / before["no"]
    gained = records[-1].extra
    assert gained["chosen_gain"] - gained["rejected_gain"] > 1


def test_an_answer_has_the_sum_of_its_tokens_log_probs_and_no_other_token_is_computed(sft):
    pairs = [Preference("What?", "yes", "no"), Preference("Is it yes?", "no, yes", "yes yes yes")]
    batch = dpo_batches(sft, TOKENIZER, pairs * 7, TrainConfig(1, batch_rows=14))(0)
    n_tokens, shapes = (batch.targets != IGNORE).sum(), []
    hook = sft.lm_head.register_forward_hook(lambda *args: shapes.append(args[-1].shape))

    found = log_prob_of_answers(sft, batch.inputs, batch.targets, batch.only)
    hook.remove()

    log_probs = sft(batch.inputs).log_softmax(-1)
    expected = [
        sum(log_probs[row, at, id] for at, id in enumerate(ids) if id != IGNORE)
        for row, ids in enumerate(batch.targets.tolist())
    ]
    torch.testing.assert_close(found, torch.stack(expected))
    # No other but those that fill up to the next multiple of 128.
    assert shapes == [(128, CONFIG.vocab_size)]
    assert len(found) == 28 and n_tokens < 128 < batch.targets.numel()


def test_dpo_grades_the_answers_and_not_the_questions(sft):
    prompts, answers = ["What?", "Is it?", ("Yes or no.", "Is it?")], ["yes", "no", "no"]

    inputs, targets = answer_rows(TOKENIZER, prompts, answers)

    assert TOKENIZER.decode(inputs[2].tolist()).startswith(
        "<|endoftext|><|im_start|>system\nYes or"
    )
    for row, answer in enumerate(answers):
        counted = targets[row][targets[row] != IGNORE].tolist()
        assert counted == [*TOKENIZER.encode(answer), TOKENIZER.im_end_id]
        at = (targets[row] != IGNORE).nonzero()[0].item()
        assert TOKENIZER.decode(inputs[row, : at + 1].tolist()).endswith("assistant\n")
    with pytest.raises(ValueError, match="beta"):
        DPOConfig(beta=0)
