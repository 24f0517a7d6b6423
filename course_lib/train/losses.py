"""Every loss of the course as a pure function of tensors.

Shapes: B rows, T positions, V vocabulary, P prompts, G answers to each prompt. A mask is 1 (or
True) where a token counts.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib.text.rows import IGNORE


def token_log_probs(logits: Tensor, targets: Tensor) -> Tensor:
    """ln P(target): logits (B, T, V), targets (B, T) -> (B, T); 0 where ignored."""
    log_probs = logits.float().log_softmax(dim=-1)
    picked = log_probs.gather(-1, targets.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return picked.masked_fill(targets == IGNORE, 0.0)


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean of -ln P(target) over the targets that are not `IGNORE`, in nats a token.

    The loss of pretraining (every token counts) and of SFT (only the assistant's tokens do).
    """
    counted = (targets != IGNORE).sum()
    if not counted:
        raise ValueError("no target counts: every one of them is IGNORE, so there is no loss")
    return -token_log_probs(logits, targets).sum() / counted


def sequence_log_prob(logits: Tensor, targets: Tensor) -> Tensor:
    """ln P(answer) of each row, summed over its tokens: (B,)."""
    return token_log_probs(logits, targets).sum(dim=-1)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of `values` where `mask` is 1."""
    mask = mask.to(values.dtype)
    return (values * mask).sum() / mask.sum().clamp(min=1)


def bradley_terry(chosen_reward: Tensor, rejected_reward: Tensor) -> Tensor:
    """-ln P(chosen beats rejected) = -ln sigmoid(r_chosen - r_rejected), averaged over pairs.

    Bradley & Terry 1952; Ouyang et al. 2022 (arXiv 2203.02155), equation 1.
    """
    return -F.logsigmoid(chosen_reward - rejected_reward).mean()


def dpo(
    policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta: float
) -> Tensor:
    """Bradley-Terry on the implicit reward beta ln(policy / reference); arguments ln P(answer),
    (B,).

    Rafailov et al. 2023 (arXiv 2305.18290), equation 7.
    """
    return bradley_terry(
        beta * (policy_chosen - reference_chosen), beta * (policy_rejected - reference_rejected)
    )


def kl_k1(log_prob: Tensor, reference: Tensor) -> Tensor:
    """ln(policy / reference) of sampled tokens: unbiased for KL(policy || reference), but can be
    below 0."""
    return log_prob - reference


def kl_k3(log_prob: Tensor, reference: Tensor) -> Tensor:
    """r - 1 - ln r with r = reference / policy, of sampled tokens: unbiased and never below 0.

    Schulman 2020, "Approximating KL divergence"; used by DeepSeekMath (arXiv 2402.03300), equation
    4.
    """
    log_ratio = reference - log_prob
    return log_ratio.exp() - 1 - log_ratio


def ppo_clip(log_prob: Tensor, old_log_prob: Tensor, advantage: Tensor, clip: float) -> Tensor:
    """PPO's policy loss of each token: -min(ratio A, clamp(ratio, 1 - clip, 1 + clip) A).

    Schulman et al. 2017 (arXiv 1707.06347), equation 7.
    """
    ratio = (log_prob - old_log_prob).exp()
    return -torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)


def gae(rewards: Tensor, values: Tensor, mask: Tensor, lam: float) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimation: advantages and returns (B, A), 0 after the answer's end.

    Rewards and values (what the critic expects from this token on) are (B, A). The surprise of a
    token is delta_t = r_t + V_(t+1) - V_t; the advantage sums lam^k delta_(t+k) over the tokens
    that follow. Rewards aren't discounted (gamma = 1): an answer is short.
    Schulman et al. 2015 (arXiv 1506.02438), equation 16.
    """
    mask = mask.to(values.dtype)
    advantages, advantage = torch.zeros_like(values), torch.zeros_like(values[:, 0])
    following = torch.zeros_like(advantage)  # V after the last token: nothing more will come
    for t in reversed(range(values.shape[1])):
        surprise = rewards[:, t] + following - values[:, t]
        advantage = (surprise + lam * advantage) * mask[:, t]
        following = values[:, t] * mask[:, t]
        advantages[:, t] = advantage
    return advantages, (advantages + values) * mask


def group_advantages(rewards: Tensor, divide_by_std: bool = False) -> Tensor:
    """GRPO's advantage: each reward less its group's mean, in the group's standard deviations.

    Rewards (P, G) -> (P, G). A group of equal rewards teaches nothing: its advantages are 0.
    Without the division it is Dr. GRPO's (arXiv 2503.20783): among answers that are equally good,
    dividing by a tiny deviation would blow up the noise of the reward model.
    Shao et al. 2024 (arXiv 2402.03300), section 4.1.1.
    """
    if rewards.dim() != 2 or rewards.shape[1] < 2:
        raise ValueError(
            f"rewards must be (prompts, 2 or more answers), got {tuple(rewards.shape)}"
        )
    advantages = rewards - rewards.mean(1, keepdim=True)
    return advantages / (rewards.std(1, keepdim=True) + 1e-4) if divide_by_std else advantages
