"""Damaged copies of a model: noise on its numbers, a layer left out, fewer bits per number.

How much of this does a model survive? The answer tells you where its knowledge sits. A copy has the
same shape and runs as before; the model that you pass in stays as it is.
"""

import math
from collections.abc import Callable
from copy import deepcopy

import numpy as np
import torch

from course_lib.files.gguf import rounded_as
from course_lib.model.transformer import Transformer

TYPES = {8: "Q8_0", 4: "Q4_0"}


@torch.no_grad()
def with_noise(model: Transformer, share: float, seed: int = 0) -> Transformer:
    """A copy with normal noise on every number.

    `share` is the size of the noise, divided by the size of the numbers that it is added to. Size
    is the root mean square, table by table: the numbers of a norm lie close together around 1, and
    noise a fifth of their *spread* would be next to nothing. The same seed gives noise in the same
    direction, whatever the share, so a curve over shares is smooth. A tied table gets it once.
    """
    if not 0 <= share < math.inf:  # "not a number" fails too
        raise ValueError(f"share must be a finite number of 0 or more, 0.05 for 5%, got {share}")
    copy, generator = deepcopy(model), torch.Generator().manual_seed(seed)
    for weight in copy.parameters():
        noise = torch.randn(weight.shape, generator=generator).to(weight)
        weight += share * weight.square().mean().sqrt() * noise
    return copy


@torch.no_grad()
def without_layer(model: Transformer, number: int) -> Transformer:
    """A copy whose layer `number`, counted from 0, adds nothing to the residual stream.

    It still reads and computes. Only the two matrices with which it writes are set to 0.
    """
    if number not in range(len(model.layers)):
        raise ValueError(f"the layers are 0 to {len(model.layers) - 1}, got {number!r}")
    copy = deepcopy(model)
    copy.layers[number].self_attn.o_proj.weight.zero_()
    copy.layers[number].mlp.down_proj.weight.zero_()
    return copy


@torch.no_grad()
def changed(model: Transformer, change: Callable[[np.ndarray], np.ndarray]) -> Transformer:
    """A copy with `change(matrix)` in place of each matrix, in float32; the norms stay."""
    copy = deepcopy(model)
    for name, weight in copy.named_parameters():
        if weight.dim() == 2:
            new = np.asarray(change(weight.float().cpu().numpy()), dtype=np.float32)
            if new.shape != tuple(weight.shape):
                raise ValueError(
                    f"change must keep the shape {tuple(weight.shape)} of {name}, got {new.shape}"
                )
            weight.copy_(torch.from_numpy(new))
    return copy


def coarse(table: np.ndarray, bits: int) -> np.ndarray:
    """The table with `bits` per number: 32 neighbours share a scale, each is so many steps of it.

    The notebook's own five lines. With 8 bits it is GGUF's Q8_0, but for exact middles.
    """
    blocks = table.reshape(-1, 32)
    steps = 2 ** (bits - 1) - 1  # up, and as many down: 127 with 8 bits, 7 with 4
    step = abs(blocks).max(axis=1, keepdims=True) / steps
    # a block of zeros has no step, and stays
    counts = np.round(np.divide(blocks, step, where=step > 0, out=np.zeros_like(blocks)))
    return (counts * np.float16(step)).reshape(table.shape)


def rounded(model: Transformer, bits: int) -> Transformer:
    """A copy with every matrix as GGUF's Q8_0 or Q4_0 would give it back; the norms stay.

    32 neighbours in a row share a scale of 16 bits, and each of them takes `bits` more, 8 or 4.
    """
    if bits not in TYPES:
        raise ValueError(f"bits must be 8 or 4, got {bits!r}")
    return changed(model, lambda matrix: rounded_as(matrix, TYPES[bits]))
