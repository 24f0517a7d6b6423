"""RLHF: rollout -> reward -> advantage -> update, leashed to the SFT model by a KL term.

The model answers prompts, and the reward model grades the answers. Those that did better than
expected become more probable, the others less. PPO and GRPO share this loop and differ in who does
the expecting. PPO trains a second network, the critic, to foresee the reward at each token (Ouyang
et al. 2022, arXiv 2203.02155, section 3.5). GRPO answers each prompt several times and takes the
group's mean (Shao et al. 2024, arXiv 2402.03300). A prompt is one user message; the reward comes
once, at the answer's end.

Shapes: P prompts, G answers to each, B = P G rows, T positions of prompt and answer, A of the
answer.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from course_lib.align.reward import RewardModel
from course_lib.config import PPOConfig, RLConfig
from course_lib.model.sample import generate
from course_lib.model.transformer import Transformer
from course_lib.text.chat import decode_answer, encode_prompt
from course_lib.text.rows import IGNORE, pad_left, pad_right
from course_lib.text.tokenizer import Tokenizer
from course_lib.train.losses import (
    gae,
    group_advantages,
    kl_k1,
    kl_k3,
    masked_mean,
    ppo_clip,
    token_log_probs,
)


class Critic(nn.Module):
    """The reward that the answer will get, foreseen before each of its tokens.

    It starts as a copy of the reward model, as InstructGPT's did.
    """

    # A critic that knows nothing would first have to learn what a good answer is, and until then
    # its advantages are noise. Many share one network between actor and critic; ours are two, so
    # that learning to judge can't damage what the model says.

    def __init__(self, reward_model: RewardModel) -> None:
        super().__init__()
        self.backbone = deepcopy(reward_model.backbone)
        device = reward_model.head.weight.device
        self.head = nn.Linear(self.backbone.config.dim, 1, device=device)
        with torch.no_grad():  # the same scale as the rewards: head(x) - mean, over std
            self.head.weight.copy_(reward_model.head.weight / reward_model.std)
            self.head.bias.copy_(-reward_model.mean / reward_model.std)

    def forward(self, ids: Tensor, padding: Tensor, n_answer: int) -> Tensor:
        """Values (B, A): what the critic expects where it has seen all before a token."""
        # The last A positions are the answer. One earlier, the token in question isn't known yet.
        hidden = self.backbone.hidden(ids, padding=padding)[:, -n_answer - 1 : -1]  # (B, A, C)
        return self.head(hidden.float()).squeeze(-1)


class ActorCritic(nn.Module):
    """What PPO trains: the language model and its critic."""

    def __init__(self, actor: Transformer, reward_model: RewardModel) -> None:
        super().__init__()
        self.actor, self.critic = actor, Critic(reward_model)


Policy = Transformer | ActorCritic


def _parts(model: Policy) -> tuple[Transformer, Critic | None]:
    return (model.actor, model.critic) if isinstance(model, ActorCritic) else (model, None)


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
    reward: Tensor  # (B,) by the reward model
    advantage: Tensor  # (B, A)
    returns: Tensor | None  # (B, A) what the critic should have foreseen; PPO only


def answer_log_probs(model: Transformer, ids: Tensor, padding: Tensor, targets: Tensor) -> Tensor:
    """ln P of each answer token given all before it: (B, A), 0 after the answer's end."""
    A = targets.shape[1]
    # The output layer is the widest of all, so the prompt's positions don't go through it.
    hidden = model.hidden(ids, padding=padding)[:, -A - 1 : -1]  # (B, A, C)
    return token_log_probs(model.lm_head(hidden), targets)


@torch.no_grad()
def rollout(
    model: Policy,
    reference: Transformer,
    reward_model: RewardModel,
    tokenizer: Tokenizer,
    prompts: list[str],
    config: RLConfig,
    generator: torch.Generator,
) -> Rollout:
    """`config.answers` answers to each prompt, graded; the answers to one prompt are neighbours."""
    actor, critic = _parts(model)
    device = next(actor.parameters()).device
    asked = [prompt for prompt in prompts for _ in range(config.answers)]
    encoded = [encode_prompt(tokenizer, [{"role": "user", "content": prompt}]) for prompt in asked]
    # No dials. The update believes that an answer was drawn with the probability which
    # `answer_log_probs` gives, and that is only so at temperature 1 without top-k and top-p.
    new = generate(
        actor, encoded, config.max_new_tokens, stop=tokenizer.end_ids, generator=generator
    )
    answers = [decode_answer(tokenizer, ids) for ids in new]
    context = actor.config.context_length
    room = context - max(map(len, encoded))
    targets = pad_right(new, IGNORE, room).to(device)
    left, padding = pad_left(encoded, tokenizer.eot_id, context - targets.shape[1])
    ids = torch.cat((left, pad_right(new, tokenizer.eot_id, room)), dim=1).to(device)
    padding = padding.to(device)
    # `generate` knew these ln P and threw them away. Computed anew, they come out of the same code
    # as in the update, so that there the ratio really begins at 1.
    log_prob = answer_log_probs(actor, ids, padding, targets)
    before = answer_log_probs(reference, ids, padding, targets)
    # The answer is graded as people would type it: its text, encoded anew. The ids in `new` can be
    # other ones, as a model may spell a word in pieces that the tokenizer would have merged.
    reward = reward_model(asked, answers)
    # Without a price for it the model finds out that an answer which never ends is never bad.
    finished = torch.tensor([row[-1] == tokenizer.im_end_id for row in new], device=device)
    reward = reward.where(finished, config.unfinished)
    if critic is None:
        # Every token of an answer gets the same advantage: which one earned it, nobody says.
        groups = reward.view(-1, config.answers)
        advantage = group_advantages(groups, config.divide_by_std).flatten()
        advantage, returns = advantage[:, None].expand(targets.shape), None
    else:
        mask = targets != IGNORE
        # The leash is part of the reward: each token pays for its distance from the SFT model.
        # GRPO has it in the loss instead, where it doesn't blur the comparison within a group.
        rewards = -config.kl * kl_k1(log_prob, before)
        last = mask.sum(1) - 1
        rewards[torch.arange(len(last), device=device), last] += reward
        values = critic(ids, padding, targets.shape[1])
        advantage, returns = gae(rewards, values, mask, config.gae_lambda)
    return Rollout(
        asked, answers, ids, padding, targets, log_prob, before, reward, advantage, returns
    )


def policy_loss(model: Policy, batch: Rollout, config: RLConfig) -> tuple[Tensor, Tensor, dict]:
    """PPO's clipped loss, and with GRPO the KL leash, with PPO the critic's error.

    Comes with the number of answer tokens and with what to record. Tokens count equally whatever
    the length of their answer, as in DAPO (arXiv 2503.14476, equation 12). GRPO's paper averages
    within each answer first; that spreads the blame for a long wrong answer thin.
    """
    actor, critic = _parts(model)
    log_prob = answer_log_probs(actor, batch.ids, batch.padding, batch.targets)
    mask = batch.targets != IGNORE
    loss = masked_mean(ppo_clip(log_prob, batch.log_prob, batch.advantage, config.clip), mask)
    if critic is None:
        loss = loss + config.kl * masked_mean(kl_k3(log_prob, batch.reference), mask)
    else:
        # The critic learns beside the actor, from how the answers really went.
        error = critic(batch.ids, batch.padding, mask.shape[1]) - batch.returns
        loss = loss + config.value_weight * masked_mean(error.square(), mask)
    with torch.no_grad():
        extra = {
            "reward": batch.reward.mean(),
            # of whole answers, in nats, by the model that wrote them: as old as the rollout
            "kl": kl_k1(batch.log_prob, batch.reference).sum(1).mean(),
            "answer_tokens": mask.sum(1).float().mean(),
        }
    return loss, mask.sum(), extra


def rollout_batches(
    model: Policy,
    reference: Transformer,
    reward_model: RewardModel,
    tokenizer: Tokenizer,
    prompts: list[str],
    config: RLConfig,
    seed: int = 0,
) -> Callable[[int], Rollout]:
    """step -> the rollout of that step: a new one every `config.updates` steps.

    Unlike other batches it depends on the model as it is at that step. Prompts and dice are a
    function of (seed, step), so a run that stopped between two rollouts continues as if it hadn't.
    """
    if len(prompts) < config.prompts:
        raise ValueError(
            f"{len(prompts)} prompts are fewer than the {config.prompts} of one rollout"
        )
    if isinstance(model, ActorCritic) != isinstance(config, PPOConfig):
        raise ValueError("PPO trains an ActorCritic, GRPO a Transformer: give the right one")
    last: tuple[int, Rollout] | None = None

    def batch_at(step: int) -> Rollout:
        nonlocal last
        number = step // config.updates
        if last is None or last[0] != number:
            # A large prime keeps the dice of one seed's rollouts apart from those of the next seed.
            generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
            drawn = torch.randperm(len(prompts), generator=generator)[: config.prompts]
            chosen = [prompts[i] for i in drawn]
            models = (model, reference, reward_model, tokenizer)
            last = number, rollout(*models, chosen, config, generator)
        return last[1]

    return batch_at
