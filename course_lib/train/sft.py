"""Supervised fine-tuning: the base model learns to answer by reading dialogues.

It is the loop and the loss of pretraining, and only the assistant's tokens count. A share of each
batch stays pretraining text: without it, facts that no dialogue asks about fade. Dialogues are kept
in files of JSON lines, one `{"messages": [...]}` each: what TRL and `datasets` read.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from course_lib.config import TrainConfig
from course_lib.machine.disk import locked, read_json_lines, write_json_lines
from course_lib.text.chat import Message, dialogue_of
from course_lib.text.rows import Batches, inputs_and_targets, segments_of


def sft_batches(
    dialogue_rows: np.ndarray,
    text_rows: np.ndarray | None,
    config: TrainConfig,
    eot_id: int,
    text_share: float = 0.25,
) -> Callable[[int], tuple[Tensor, Tensor, Tensor]]:
    """step -> inputs, targets and segments (B, T): dialogues and a share of plain text.

    `dialogue_rows` (N, 2, T) come from `pack_dialogues`, `text_rows` (M, T + 1) from `pack`: none
    are needed where the share of text is 0.
    """
    if not 0 <= text_share < 1:
        raise ValueError(f"text_share is a fraction from 0 to below 1, got {text_share}")
    n_text = round(config.batch_rows * text_share)
    talk = Batches(dialogue_rows, config.batch_rows - n_text, config.seed)
    text = Batches(text_rows, n_text, config.seed) if n_text else None

    def batch_at(step: int) -> tuple[Tensor, Tensor, Tensor]:
        inputs, targets = torch.as_tensor(talk(step)).unbind(1)
        if text is not None:
            # Plain text has no mask: in these rows every token is a target, as in pretraining.
            more_inputs, more_targets = inputs_and_targets(text(step))
            inputs = torch.cat((inputs, more_inputs))
            targets = torch.cat((targets, more_targets))
        return inputs, targets, segments_of(inputs, eot_id)

    return batch_at


def save_dialogues(path: str | Path, dialogues: Iterable[list[Message]]) -> None:
    """Writes one JSON line per dialogue."""
    write_json_lines(path, ({"messages": messages} for messages in dialogues))


def add_dialogues(
    path: str | Path, dialogues: list[list[Message]], instead_of: Iterable[list[Message]] = ()
) -> int:
    """Writes dialogues into a file beside those that are there; returns how many others it holds.

    Those of `instead_of` are taken out: an earlier state of the same dialogues. Several processes
    may add to one file at once.
    """
    path, gone = Path(path), [*instead_of, *dialogues]
    with locked(path):
        there = load_dialogues(path) if path.exists() and path.stat().st_size else []
        others = [messages for messages in there if messages not in gone]
        save_dialogues(path, [*others, *dialogues])
    return len(others)


def load_dialogues(path: str | Path) -> list[list[Message]]:
    """The dialogues of a file in the `messages` format; empty lines don't count."""
    found, shape = [], '{"messages": [...]}'
    for number, record in read_json_lines(Path(path), shape):
        try:
            found.append(dialogue_of(record.get("messages")))
        except ValueError as error:
            wanted = f"expected {shape}, with user and assistant in turn"
            raise ValueError(f"{path}, line {number}: {wanted} ({error})") from error
    if not found:
        raise ValueError(f"{path} holds no dialogue")
    return found
