"""Muon, for the matrices: a step that turns every direction by the same amount.

The gradient of a matrix mostly points in a few directions, and AdamW, which looks at each number
alone, follows them. Muon keeps the directions and makes all of them count the same: it takes the
orthogonal matrix that is nearest to the running mean of the gradients (Jordan et al. 2024,
https://kellerjordan.github.io/posts/muon/). What is no map from vectors to vectors, the table of
embeddings and the gains of the norms, stays with AdamW.
"""

from collections import defaultdict

import torch
from torch import Tensor, nn

from course_lib.config import TrainConfig
from course_lib.machine.ranks import split_as, whole

# Of a polynomial x -> a x + b x^3 + c x^5 that lifts small singular values fast and leaves those
# near 1 between 0.7 and 1.2 or so: five rounds of it, and all are near enough (Jordan et al. 2024).
A, B, C = 3.4445, -4.7750, 2.0315
ROUNDS = 5
MOMENTUM = 0.95  # Nesterov's: the mean remembers some twenty steps


def orthogonal(matrices: Tensor) -> Tensor:
    """The matrices (n, rows, cols), each with its singular values brought close to 1.

    That is U V^T in place of U S V^T, without an SVD: products of matrices do it. A run in bfloat16
    rounds them, too, as the authors do: near enough is all they need.
    """
    wide = matrices if matrices.shape[-2] <= matrices.shape[-1] else matrices.mT
    # Divided by its length a matrix has no singular value above 1, where the polynomial would
    # throw it out instead of drawing it in.
    x = wide / wide.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(ROUNDS):
        gram = x @ x.mT  # (n, rows, rows), the smaller side
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=B, alpha=C), x, beta=A)
    return x if wide is matrices else x.mT


class Muon(torch.optim.AdamW):
    """One optimizer for all of a model: Muon where a group says `"muon": True`, else AdamW.

    `rate` of a group is its share of the learning rate: `lr` is set anew before each step.
    """

    @torch.no_grad()
    def step(self) -> None:
        """Moves every weight that has a gradient."""
        ours = [group for group in self.param_groups if group["muon"]]
        gradients = {p: p.grad for group in ours for p in group["params"] if p.grad is not None}
        for p in gradients:
            p.grad = None  # AdamW passes over what has none
        super().step()
        for p, gradient in gradients.items():
            p.grad = gradient
        for group in ours:
            self._turn([p for p in group["params"] if p in gradients], group)

    def _turn(self, matrices: list[nn.Parameter], group: dict) -> None:
        # Many small products take a processor longer than one large one, so matrices of one shape
        # are stacked, and those that lie on their side are set up first.
        stacks = defaultdict(list)
        for p in matrices:
            state = self.state[p]
            if not state:
                state["momentum"] = torch.zeros_like(p)
                state["step"] = torch.zeros(())  # nobody counts here: AdamW looks for it on loading
            mean = state["momentum"].lerp_(p.grad, 1 - MOMENTUM)
            ahead = whole(
                p.grad.lerp(mean, MOMENTUM)
            )  # Nesterov: the mean after one more such step
            tall = ahead.shape[0] > ahead.shape[1]
            stacks[tuple(sorted(ahead.shape))].append((p, tall, ahead.mT if tall else ahead))
        for (_, longer), stack in stacks.items():
            turned = orthogonal(torch.stack([matrix for *_, matrix in stack]))
            # An orthogonal matrix has numbers of 1 / sqrt(longer) or so, AdamW's steps of 0.2 to
            # 0.4. So one rate and one decay serve both (Liu et al. 2025, arXiv 2502.16982).
            step = group["lr"] * 0.2 * longer**0.5
            for (p, tall, _), update in zip(stack, turned, strict=True):
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(split_as(p, (update.mT if tall else update).contiguous()), alpha=-step)


def muon(model: nn.Module, config: TrainConfig) -> Muon:
    """Muon for the matrices inside the layers, AdamW for the tables and the gains."""
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    inside = [p for name, p in named if p.dim() == 2 and "layers." in name]
    outside = [p for name, p in named if p.dim() >= 2 and "layers." not in name]
    gains = [p for _, p in named if p.dim() < 2]
    decay, rate = config.weight_decay, config.matrix_rate
    groups = [
        {"params": inside, "muon": True, "rate": rate, "weight_decay": decay},
        {"params": outside, "muon": False, "rate": 1.0, "weight_decay": decay},
        {"params": gains, "muon": False, "rate": 1.0, "weight_decay": 0.0},
    ]
    return Muon(groups, lr=config.learning_rate, betas=(0.9, 0.95), eps=1e-8, fused=True)
