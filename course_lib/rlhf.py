"""RLHF with GRPO: rollout -> reward -> advantage -> KL -> update.

The model answers each prompt several times; the reward model grades the answers; those above their
group's mean become more probable, the others less; a KL term leashes the model to the SFT model
(Shao et al. 2024, arXiv 2402.03300). There is no value network: the group's mean is the baseline.
One prompt is one user message; rewards come once, at the answer's end.

Shapes: P prompts, G answers to each, B = P G rows, T positions of prompt and answer, A of the
answer.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from course_lib.chat import decode_answer, encode_prompt
from course_lib.config import RLConfig
from course_lib.data import pad_left, pad_right
from course_lib.losses import (
    IGNORE,
    group_advantages,
    kl_k3,
    masked_mean,
    ppo_clip,
    token_log_probs,
)
from course_lib.model import Transformer
from course_lib.reward import RewardModel
from course_lib.sample import generate
from course_lib.tokenizer import Tokenizer


@dataclass(frozen=True)
class Rollout:
    """Answers that the model gave, and all that the update needs to know of them."""

    prompts: list[str]
    answers: list[str]
    ids: Tensor  # (B, T): prompt, padded on the left, then answer, padded on the right
    padding: Tensor  # (B,) pads on the left
    targets: Tensor  # (B, A) the answer's tokens, IGNORE after its end
    log_prob: Tensor  # (B, A) by the model that wrote them
    reference: Tensor  # (B, A) by the SFT model
    reward: Tensor  # (B,)
    advantage: Tensor  # (B,)


def answer_log_probs(model: Transformer, ids: Tensor, padding: Tensor, targets: Tensor) -> Tensor:
    """ln P of each answer token given all before it: (B, A), 0 after the answer's end."""
    A = targets.shape[1]
    hidden = model.hidden(ids, padding=padding)[:, -A - 1 : -1]  # (B, A, C)
    return token_log_probs(model.lm_head(hidden), targets)


@torch.no_grad()
def rollout(
    model: Transformer,
    reference: Transformer,
    reward_model: RewardModel,
    tokenizer: Tokenizer,
    prompts: list[str],
    config: RLConfig,
    generator: torch.Generator,
) -> Rollout:
    """`config.answers` answers to each prompt, graded."""
    device = next(model.parameters()).device
    prompts = [prompt for prompt in prompts for _ in range(config.answers)]
    encoded = [encode_prompt(tokenizer, [{"role": "user", "content": p}]) for p in prompts]
    new = generate(
        model, encoded, config.max_new_tokens, temperature=config.temperature,
        stop=(tokenizer.im_end_id, tokenizer.eot_id), generator=generator,
    )  # fmt: skip
    answers = [decode_answer(tokenizer, ids) for ids in new]
    left, padding = pad_left(encoded, tokenizer.eot_id)
    ids = torch.cat((left, pad_right(new, tokenizer.eot_id)), dim=1).to(device)
    targets = pad_right(new, IGNORE).to(device)
    padding = padding.to(device)
    reward = reward_model(prompts, answers)
    finished = torch.tensor([row[-1] == tokenizer.im_end_id for row in new], device=device)
    reward = reward.where(finished, config.unfinished)
    advantage = group_advantages(reward.view(-1, config.answers), config.divide_by_std).flatten()
    return Rollout(
        prompts, answers, ids, padding, targets,
        answer_log_probs(model, ids, padding, targets),
        answer_log_probs(reference, ids, padding, targets),
        reward, advantage,
    )  # fmt: skip


def grpo_loss(model: Transformer, batch: Rollout, config: RLConfig) -> tuple[Tensor, int, dict]:
    """Clipped policy loss plus the KL leash, averaged over the answers' tokens.

    Tokens count equally whatever the length of their answer (as in DAPO, arXiv 2503.14476, equation
    12; the paper averages within each answer first, which favours long wrong answers).
    """
    log_prob = answer_log_probs(model, batch.ids, batch.padding, batch.targets)
    mask = batch.targets != IGNORE
    policy = ppo_clip(log_prob, batch.log_prob, batch.advantage[:, None], config.clip)
    kl = kl_k3(log_prob, batch.reference)
    loss = masked_mean(policy, mask) + config.kl * masked_mean(kl, mask)
    with torch.no_grad():
        extra = {
            "reward": batch.reward.mean().item(),
            # of whole answers, in nats: sampled from the model that wrote them
            "kl": (batch.log_prob - batch.reference).sum(1).mean().item(),
            "answer_tokens": mask.sum(1).float().mean().item(),
        }
    return loss, int(mask.sum()), extra


def grpo_batches(
    model: Transformer,
    reference: Transformer,
    reward_model: RewardModel,
    tokenizer: Tokenizer,
    prompts: list[str],
    config: RLConfig,
    seed: int = 0,
) -> Callable[[int], Rollout]:
    """step -> the rollout of that step: a new one every `config.updates` steps.

    Prompts and random numbers are a function of (seed, step), so a run resumes at a rollout.
    """
    if len(prompts) < config.prompts:
        raise ValueError(
            f"{len(prompts)} prompts are fewer than the {config.prompts} of one rollout"
        )
    last: tuple[int, Rollout] | None = None

    def batch_at(step: int) -> Rollout:
        nonlocal last
        number = step // config.updates
        if last is None or last[0] != number:
            generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
            drawn = torch.randperm(len(prompts), generator=generator)[: config.prompts]
            chosen = [prompts[i] for i in drawn]
            last = (
                number,
                rollout(model, reference, reward_model, tokenizer, chosen, config, generator),
            )
        return last[1]

    return batch_at
