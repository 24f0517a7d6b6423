"""LoRA: fine-tuning that leaves the model's tables alone and trains two thin ones beside each.

    table(x) + up(down(x))        down: C numbers -> rank, up: rank -> as many as the table gives

The thin tables of a small rank hold few numbers, so the optimizer has little to remember, and a
habit is a small file beside one large model. Hu et al. 2021, arXiv 2106.09685. Left out: the
scaling alpha / rank, dropout, and adding the product to the table when all is done.
"""

from collections.abc import Callable, Iterable
from copy import deepcopy

import torch
from torch import Tensor, nn

from course_lib.model.transformer import Transformer

TABLES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def low_rank(x: Tensor, table: nn.Module, down: Tensor, up: Tensor) -> Tensor:
    """What the frozen `table` makes of x (..., C), and what the detour through `rank` numbers adds.

    `down` is (rank, C), `up` is (N, rank), where the table gives N numbers.
    """
    return table(x) + x @ down.T @ up.T


class LoRA(nn.Module):
    """A frozen table with two thin ones beside it."""

    def __init__(self, table: nn.Linear, rank: int, adapted: Callable = low_rank) -> None:
        super().__init__()
        n_out, n_in = table.weight.shape
        self.table, self.adapted = table, adapted
        self.down = nn.Parameter(torch.randn(rank, n_in) / n_in**0.5)
        self.up = nn.Parameter(torch.zeros(n_out, rank))  # zeros: at first nothing is changed

    def forward(self, x: Tensor) -> Tensor:
        return self.adapted(x, self.table, self.down, self.up)


def with_lora(
    model: Transformer,
    rank: int,
    tables: Iterable[str] = TABLES,
    adapted: Callable = low_rank,
    seed: int = 0,
) -> Transformer:
    """A copy of `model`, frozen, with LoRA of this rank beside its `tables` in every layer."""
    tables = list(tables)
    if rank < 1 or not tables or not set(tables) <= set(TABLES):
        raise ValueError(
            f"LoRA needs a rank of 1 or more and some of the tables {', '.join(TABLES)}, got "
            f"{rank} and {tables!r:.100}"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        copy = deepcopy(model).requires_grad_(False)
        for layer in copy.layers:
            for part in (layer.self_attn, layer.mlp):
                for name in [name for name, _ in part.named_children() if name in tables]:
                    setattr(part, name, LoRA(getattr(part, name), rank, adapted))
    return copy


def n_trained(model: nn.Module) -> int:
    """How many numbers an optimizer may change in this model."""
    return sum(weights.numel() for weights in model.parameters() if weights.requires_grad)
