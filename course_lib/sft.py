"""Supervised fine-tuning: the base model learns to answer by reading dialogues.

The same loop and loss as pretraining; only the assistant's tokens count, and a share of each batch
stays pretraining text, without which facts that no dialogue asks about fade.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from course_lib.config import TrainConfig
from course_lib.data import Batches, document_numbers, inputs_and_targets


def sft_batches(
    dialogue_rows: np.ndarray,
    text_rows: np.ndarray,
    config: TrainConfig,
    eot_id: int,
    text_share: float = 0.25,
) -> Callable[[int], tuple[Tensor, Tensor, Tensor]]:
    """step -> inputs, targets and document numbers (B, T): dialogues and a share of plain text.

    `dialogue_rows` (N, 2, T) come from `pack_dialogues`, `text_rows` (M, T + 1) from `pack`.
    """
    if not 0 <= text_share < 1:
        raise ValueError(f"text_share is a fraction from 0 to below 1, got {text_share}")
    n_text = round(config.batch_rows * text_share)
    talk = Batches(dialogue_rows, config.batch_rows - n_text, config.seed)
    text = Batches(text_rows, n_text, config.seed) if n_text else None

    def batch_at(step: int) -> tuple[Tensor, Tensor, Tensor]:
        inputs, targets = torch.as_tensor(talk(step)).unbind(1)
        if text is not None:
            more_inputs, more_targets = inputs_and_targets(text(step))
            inputs = torch.cat((inputs, more_inputs))
            targets = torch.cat((targets, more_targets))
        return inputs, targets, document_numbers(inputs, eot_id)

    return batch_at
