"""DPO: preference pairs straight into the language model, without reward model or rollouts.

There is a formula for the best policy on a KL leash: the SFT model's probability times e^(reward /
beta). Solve it for the reward and you get beta ln(policy / SFT model), up to a constant. So every
policy contains a reward, and DPO trains that one on the pairs, with the loss of Bradley and Terry
(Rafailov et al. 2023, arXiv 2305.18290). It is the loop of SFT with two answers to each prompt.

DPO never sees what its model says on the way. With more `rounds` it does, but somebody has to judge
the new answers: Guo et al. 2024 (arXiv 2402.04792) ask in every step, Llama 3 (arXiv 2407.21783)
took six rounds of SFT and DPO.

Shapes: B pairs, T positions.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from course_lib.align.preferences import Preference
from course_lib.config import DPOConfig, TrainConfig
from course_lib.model.transformer import Transformer
from course_lib.text.chat import Question, encode_dialogue, encode_prompt, exchange
from course_lib.text.rows import IGNORE, Batches, pad_right, places_that_count, targets_of
from course_lib.text.tokenizer import Tokenizer
from course_lib.train.losses import dpo, token_log_probs


class DPOBatch(NamedTuple):
    """Two answers to each of B prompts: rows 0 to B - 1 are the chosen, the rest the rejected."""

    inputs: Tensor  # (2 B, T)
    targets: Tensor  # (2 B, T), IGNORE but for the answer
    only: Tensor  # (N,) the places of the answers' tokens in them: `places_that_count`
    reference: Tensor  # (2 B,) the SFT model's ln P of each answer


def answer_rows(tokenizer: Tokenizer, prompts: list[Question], answers: list[str]) -> tuple:
    """Inputs and targets (B, T) of one question and answer each; only the answers are targets."""
    inputs, targets = [], []
    for prompt, answer in zip(prompts, answers, strict=True):
        messages = exchange(prompt, answer)
        ids, mask = encode_dialogue(tokenizer, messages)
        # What the assistant said earlier belongs to the question: nobody compared it.
        n_asked = len(encode_prompt(tokenizer, messages[:-1]))
        mask[:n_asked] = [False] * n_asked
        # No packing: the answers' ln P are added up row by row, so each needs a row of its own.
        inputs.append(ids[:-1])
        targets.append(targets_of(ids, mask))
    return pad_right(inputs, tokenizer.eot_id), pad_right(targets, IGNORE)


def log_prob_of_answers(
    model: Transformer, inputs: Tensor, targets: Tensor, only: Tensor
) -> Tensor:
    """ln P of each row's answer, (2 B,), in nats. Only answers go through the output layer."""
    log_probs = token_log_probs(model(inputs, only=only), targets.flatten()[only])  # (N,)
    # A sum, not a mean: DPO compares it with the same answer's sum under another model.
    return log_probs.new_zeros(len(inputs)).index_add(0, only // inputs.shape[1], log_probs)


def dpo_batches(
    reference: Transformer, tokenizer: Tokenizer, pairs: list[Preference], config: TrainConfig
) -> Callable[[int], DPOBatch]:
    """step -> the pairs of that step, with what `reference`, the SFT model, thinks of them."""
    order = Batches(torch.arange(len(pairs)), config.batch_rows, config.seed)
    device = next(reference.parameters()).device

    def batch_at(step: int) -> DPOBatch:
        batch = [pairs[i] for i in order(step)]
        # All in one batch, so that one pass through the model serves both answers of a pair.
        answers = [pair.chosen for pair in batch] + [pair.rejected for pair in batch]
        inputs, targets = answer_rows(tokenizer, [pair.prompt for pair in batch] * 2, answers)
        only = places_that_count(targets)
        rows = tuple(part.to(device) for part in (inputs, targets, only))
        # The reference never changes, so its ln P could be computed once for all pairs. One more
        # pass per step spares us a table that might go stale.
        with torch.no_grad():
            return DPOBatch(*rows, log_prob_of_answers(reference, *rows))

    return batch_at


def dpo_loss(model: Transformer, batch: DPOBatch, config: DPOConfig) -> tuple[Tensor, Tensor, dict]:
    """DPO's loss, the number of answer tokens, and what to record: gains are in nats per answer."""
    log_prob = log_prob_of_answers(model, batch.inputs, batch.targets, batch.only)  # (2 B,)
    chosen, rejected = log_prob.chunk(2)
    loss = dpo(chosen, rejected, *batch.reference.chunk(2), beta=config.beta)
    counted = batch.targets != IGNORE
    if config.nll:
        # DPO is content if P(chosen) falls too, as long as P(rejected) falls further. This holds
        # it up: plain SFT on the chosen answers, in nats per token.
        n_chosen = counted[: len(chosen)].sum()
        loss = loss - config.nll * chosen.sum() / n_chosen
    with torch.no_grad():
        gain = log_prob - batch.reference  # the implicit reward, over beta
        better, worse = gain.chunk(2)
        extra = {
            "accuracy": (better > worse).float().mean(),
            # Watch these two: often both are below 0.
            "chosen_gain": better.mean(),
            "rejected_gain": worse.mean(),
        }
    return loss, counted.sum(), extra
