"""DPO: preference pairs straight into the language model, without reward model or rollouts.

The best model under a KL leash prefers an answer by beta ln(policy / SFT model). DPO reads that
backwards: it takes this quantity for the reward and trains it on the pairs with the loss of Bradley
and Terry (Rafailov et al. 2023, arXiv 2305.18290). The same loop as SFT, with two answers a row.

It never hears what its own model says on the way. With more `rounds` it does, at the price of a
judge of new answers: Guo et al. 2024 (arXiv 2402.04792) ask one in every step, Llama 3 (arXiv
2407.21783) took six rounds of SFT and DPO.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from course_lib.align.preferences import Preference
from course_lib.config import DPOConfig, TrainConfig
from course_lib.model.transformer import Transformer
from course_lib.text.chat import encode_dialogue, exchange
from course_lib.text.rows import IGNORE, Batches, pad_right, targets_of
from course_lib.text.tokenizer import Tokenizer
from course_lib.train.losses import dpo, sequence_log_prob


class DPOBatch(NamedTuple):
    """Two answers to each of B prompts: rows 0 to B - 1 are the chosen, the rest the rejected."""

    inputs: Tensor  # (2 B, T)
    targets: Tensor  # (2 B, T), IGNORE but for the answer
    reference: Tensor  # (2 B,) the SFT model's ln P of each answer


def answer_rows(tokenizer: Tokenizer, prompts: list[str], answers: list[str]) -> tuple:
    """Inputs and targets (B, T) of dialogues of one turn; only the answers' tokens are targets."""
    inputs, targets = [], []
    for prompt, answer in zip(prompts, answers, strict=True):
        ids, mask = encode_dialogue(tokenizer, exchange(prompt, answer))
        inputs.append(ids[:-1])
        targets.append(targets_of(ids, mask))
    return pad_right(inputs, tokenizer.eot_id), pad_right(targets, IGNORE)


def dpo_batches(
    reference: Transformer, tokenizer: Tokenizer, pairs: list[Preference], config: TrainConfig
) -> Callable[[int], DPOBatch]:
    """step -> the pairs of that step, with what `reference`, the SFT model, thinks of them."""
    order = Batches(torch.arange(len(pairs)), config.batch_rows, config.seed)
    device = next(reference.parameters()).device

    def batch_at(step: int) -> DPOBatch:
        batch = [pairs[i] for i in order(step)]
        answers = [pair.chosen for pair in batch] + [pair.rejected for pair in batch]
        rows = answer_rows(tokenizer, [pair.prompt for pair in batch] * 2, answers)
        inputs, targets = (part.to(device) for part in rows)
        with torch.no_grad():
            return DPOBatch(inputs, targets, sequence_log_prob(reference(inputs), targets))

    return batch_at


def dpo_loss(model: Transformer, batch: DPOBatch, config: DPOConfig) -> tuple[Tensor, int, dict]:
    """DPO's loss; the accuracy is that of the implicit reward."""
    log_prob = sequence_log_prob(model(batch.inputs), batch.targets)  # (2 B,)
    chosen, rejected = log_prob.chunk(2)
    loss = dpo(chosen, rejected, *batch.reference.chunk(2), beta=config.beta)
    counted = batch.targets != IGNORE
    if config.nll:
        # Without it P(chosen) may fall too, as long as P(rejected) falls further.
        n_chosen = counted[: len(chosen)].sum()
        loss = loss - config.nll * chosen.sum() / n_chosen
    with torch.no_grad():
        gain = log_prob - batch.reference
        better, worse = gain.chunk(2)
        extra = {
            "accuracy": (better > worse).float().mean().item(),
            # Often both fall: DPO only cares that the rejected one falls further.
            "chosen_gain": better.mean().item(),
            "rejected_gain": worse.mean().item(),
        }
    return loss, int(counted.sum()), extra
