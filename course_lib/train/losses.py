"""Every loss of the course as a pure function of tensors.

Each is a line of its paper; nothing here knows a model, an optimizer or a text. Logarithms are
natural, so losses are in nats.

Shapes: B rows, T positions, A positions of an answer, V vocabulary, P prompts, G answers to each
prompt. A mask is 1 (or True) where a token counts.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib.text.rows import IGNORE


def token_log_probs(logits: Tensor, targets: Tensor) -> Tensor:
    """ln P(target): logits (..., V), targets (...) -> (...); 0 where ignored."""
    # float32 even if the model runs in bfloat16, whose two or three digits can't sum a vocabulary.
    log_probs = logits.float().log_softmax(dim=-1)
    # An ignored target is -100 and no index: look up any number in its place, it becomes 0 below.
    picked = log_probs.gather(-1, targets.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return picked.masked_fill(targets == IGNORE, 0.0)


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean of -ln P(target) over the targets that are not `IGNORE`, in nats per token.

    The loss of pretraining (every token counts) and of SFT (only the assistant's tokens do).
    """
    # torch has this as one function; written out, because you should have seen it once.
    # Counted where the targets are: on the CPU, nobody waits until a GPU has computed the logits.
    counted = int((targets != IGNORE).sum())
    if not counted:
        raise ValueError("no target counts: every one of them is IGNORE, so there is no loss")
    return -token_log_probs(logits, targets.to(logits.device)).sum() / counted


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of `values` where `mask` is 1; 0 if that is nowhere."""
    mask = mask.to(values.dtype)
    return (values * mask).sum() / mask.sum().clamp(min=1)


def bradley_terry(chosen_reward: Tensor, rejected_reward: Tensor) -> Tensor:
    """-ln P(chosen beats rejected) = -ln sigmoid(r_chosen - r_rejected), averaged over pairs.

    Bradley & Terry 1952; Ouyang et al. 2022 (arXiv 2203.02155), equation 1.
    """
    # Only the difference enters: add 5 to every reward and the loss is the same. That is why a
    # reward means nothing by itself, and why its scale must be fixed later.
    # logsigmoid, because ln(sigmoid(x)) is ln(0) for a pair that is very wrong.
    return -F.logsigmoid(chosen_reward - rejected_reward).mean()


def dpo(
    policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta: float
) -> Tensor:
    """Bradley-Terry on the implicit reward beta ln(policy / reference), averaged over pairs.

    The four tensors are ln P of the answers, each (B,). Rafailov et al. 2023 (arXiv 2305.18290),
    equation 7.
    """
    # The trick of the paper: the real reward would be this plus a term of the prompt alone. That
    # term can't be computed, and it needn't be, because it is the same for both answers.
    return bradley_terry(
        beta * (policy_chosen - reference_chosen), beta * (policy_rejected - reference_rejected)
    )


def kl_k1(log_prob: Tensor, reference: Tensor) -> Tensor:
    """ln(policy / reference) of sampled tokens, in nats; on average KL(policy || reference).

    A single one can be below 0, though no KL is: the policy also samples tokens that it likes less
    than the reference does.
    """
    return log_prob - reference


def kl_k3(log_prob: Tensor, reference: Tensor) -> Tensor:
    """r - 1 - ln r with r = reference / policy of sampled tokens: `kl_k1`'s average, never below 0.

    Schulman 2020, "Approximating KL divergence"; DeepSeekMath (arXiv 2402.03300), equation 4.
    """
    # Why may one add r - 1 to k1? Its average over the policy's tokens is 0, as the reference's
    # probabilities sum to 1 too. And since ln r is never above r - 1, no token says "below 0".
    # The doubt: on average the value is right, but its gradient is that of the KL the other way
    # round, KL(reference || policy). Either pulls the policy back, so nobody minds much.
    log_ratio = reference - log_prob
    return log_ratio.exp() - 1 - log_ratio


def ppo_clip(log_prob: Tensor, old_log_prob: Tensor, advantage: Tensor, clip: float) -> Tensor:
    """PPO's policy loss of each token: -min(ratio A, clamp(ratio, 1 - clip, 1 + clip) A).

    Schulman et al. 2017 (arXiv 1707.06347), equation 7.
    """
    # The answers were sampled before the update. The ratio makes up for that, but only near the
    # model that wrote them. So once a token has moved by more than `clip` where its advantage wants
    # it, it gets no more gradient. The minimum sees to it that only such tokens stop: one that has
    # moved the wrong way keeps its gradient and comes back.
    ratio = (log_prob - old_log_prob).exp()
    return -torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)


def gae(rewards: Tensor, values: Tensor, mask: Tensor, lam: float) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimation: advantages and returns (B, A), 0 after the answer's end.

    Rewards and values (what the critic expects from this token on) are (B, A). The surprise of a
    token is delta_t = r_t + V_(t+1) - V_t; the advantage sums lam^k delta_(t+k) over the tokens
    that follow. Rewards aren't discounted (gamma = 1): an answer is short.
    Schulman et al. 2015 (arXiv 1506.02438), equation 16.
    """
    # How much credit does a token get for what came later? lam = 0 asks the critic right after it:
    # little noise, all of the critic's errors. lam = 1 waits for the end: the other way round.
    mask = mask.to(values.dtype)
    advantages, advantage = torch.zeros_like(values), torch.zeros_like(values[:, 0])
    following = torch.zeros_like(advantage)  # V after the last token: nothing more will come
    # From the end to the beginning, as each advantage is its surprise and lam times the next one.
    for t in reversed(range(values.shape[1])):
        surprise = rewards[:, t] + following - values[:, t]
        advantage = (surprise + lam * advantage) * mask[:, t]
        following = values[:, t] * mask[:, t]
        advantages[:, t] = advantage
    # What the critic should have said: its own guess, corrected by how much better it went.
    return advantages, (advantages + values) * mask


def group_advantages(rewards: Tensor, divide_by_std: bool = False) -> Tensor:
    """GRPO's advantage: each reward less the mean of its group; rewards (P, G) -> (P, G).

    A group of equal rewards teaches nothing: its advantages are 0. `divide_by_std` also divides by
    the group's standard deviation, as the paper does (Shao et al. 2024, arXiv 2402.03300, section
    4.1.1).
    """
    if rewards.dim() != 2 or rewards.shape[1] < 2:
        raise ValueError(
            f"rewards must be (prompts, 2 or more answers), got {tuple(rewards.shape)}"
        )
    # PPO trains a whole network to foresee the reward. Here the other answers to the same prompt
    # say what could be expected.
    advantages = rewards - rewards.mean(1, keepdim=True)
    # We don't divide, as Dr. GRPO doesn't (arXiv 2503.20783): answers that are equally good differ
    # by the reward model's noise alone, and division would make it as loud as a real difference.
    return advantages / (rewards.std(1, keepdim=True) + 1e-4) if divide_by_std else advantages
