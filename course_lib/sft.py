"""Supervised fine-tuning: the base model learns to answer by reading dialogues.

The same loop and loss as pretraining; only the assistant's tokens count, and a share of each batch
stays pretraining text, without which facts that no dialogue asks about fade.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from course_lib.config import TrainConfig
from course_lib.data import Batches, inputs_and_targets


def sft_batches(
    dialogue_rows: np.ndarray, text_rows: np.ndarray, config: TrainConfig, text_share: float = 0.25
) -> Callable[[int], tuple[Tensor, Tensor]]:
    """step -> inputs and targets (B, T): dialogues, and a share of plain text.

    `dialogue_rows` (N, 2, T) come from `pack_dialogues`, `text_rows` (M, T + 1) from `pack`.
    """
    if not 0 <= text_share < 1:
        raise ValueError(f"text_share is a fraction from 0 to below 1, got {text_share}")
    n_text = round(config.batch_rows * text_share)
    talk = Batches(dialogue_rows, config.batch_rows - n_text, config.seed)
    text = Batches(text_rows, n_text, config.seed) if n_text else None

    def batch_at(step: int) -> tuple[Tensor, Tensor]:
        inputs, targets = torch.as_tensor(talk(step)).unbind(1)
        if text is None:
            return inputs, targets
        more_inputs, more_targets = inputs_and_targets(text(step))
        return torch.cat((inputs, more_inputs)), torch.cat((targets, more_targets))

    return batch_at
