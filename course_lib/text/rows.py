"""Texts -> token rows -> batches.

A row holds context_length + 1 tokens and starts where a document starts; what does not fit at its
end is dropped, so no row begins in the middle of a thought. Batches are a pure function of (rows,
seed, step): a run that stops can continue at any step without remembering anything else.

Shapes: N rows, B rows of a batch, T positions.
"""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor

from course_lib.text.chat import encode_dialogue
from course_lib.text.tokenizer import Tokenizer

IGNORE = -100  # a target that counts for nothing, as in torch's cross_entropy


def pack(
    documents: Iterable[str], tokenizer: Tokenizer, context_length: int, n_rows: int | None = None
) -> np.ndarray:
    """Rows (N, context_length + 1) of ids, `<|endoftext|>` before and after each document.

    Stops after `n_rows` rows. Without it, all documents are read, and an unfinished last row is
    dropped.
    """
    # One more than the context, as every position needs a next token to predict.
    width = context_length + 1
    # Two bytes per token where they suffice: rows are the largest thing that a run holds.
    dtype = np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.uint32
    rows: list[np.ndarray] = []
    row: list[int] = [tokenizer.eot_id]
    for document in documents:
        if n_rows is not None and len(rows) >= n_rows:
            break
        row += [*tokenizer.encode(document), tokenizer.eot_id]
        if len(row) >= width:
            # What overhangs is thrown away. Many pretraining codes carry it over to the next row;
            # that wastes nothing, but then most rows begin in the middle of something.
            rows.append(np.array(row[:width], dtype=dtype))
            row = [tokenizer.eot_id]
    if not rows or (n_rows is not None and len(rows) < n_rows):
        raise ValueError(
            f"the text gives {len(rows)} rows of {width} tokens, {n_rows or 1} are needed: add text"
        )
    return np.stack(rows)


class Batches:
    """Shuffled batches of rows: every row once per epoch, and the same ones at the same step."""

    def __init__(self, rows: np.ndarray | Tensor, batch_rows: int, seed: int = 0):
        if not 1 <= batch_rows <= len(rows):
            raise ValueError(f"a batch of {batch_rows} rows can't be drawn from {len(rows)} rows")
        self.rows, self.batch_rows, self.seed = rows, batch_rows, seed
        self._epoch, self._order = -1, np.empty(0, dtype=np.int64)

    def __call__(self, step: int) -> np.ndarray | Tensor:
        """The `batch_rows` rows of optimizer step `step` (counted from 0)."""
        # Rows that don't fill a batch at the end of an epoch sit this one out; the next shuffle
        # leaves out others.
        epoch, position = divmod(step, len(self.rows) // self.batch_rows)
        if epoch != self._epoch:
            # Kept for speed only. Dice seeded by the epoch's number would throw the same again, and
            # that is what lets a stopped run continue.
            dice = np.random.default_rng((self.seed, epoch))
            self._epoch, self._order = epoch, dice.permutation(len(self.rows))
        start = position * self.batch_rows
        return self.rows[self._order[start : start + self.batch_rows]]


def inputs_and_targets(rows: np.ndarray | Tensor) -> tuple[Tensor, Tensor]:
    """What the model reads and what it must predict, (B, T) each: the same ids, shifted by one."""
    # T + 1 ids make T exercises: each asks for the next id, given all before it.
    ids = torch.as_tensor(np.asarray(rows).astype(np.int64))  # torch won't index by two bytes
    return ids[:, :-1], ids[:, 1:]


def segments_of(inputs: Tensor, eot_id: int) -> Tensor:
    """For each position (B, T) the number of its document: each begins with `<|endoftext|>`.

    The model needs it to read documents that share a row as if each stood alone.
    """
    # Counting the beginnings up to a place gives the number of the document that it stands in.
    return (inputs == eot_id).cumsum(dim=1)


def text_batches(
    rows: np.ndarray, batch_rows: int, eot_id: int, seed: int = 0
) -> Callable[[int], tuple[Tensor, Tensor, Tensor]]:
    """step -> inputs, targets and segments (B, T) of rows that `pack` made."""
    order = Batches(rows, batch_rows, seed)

    def batch_at(step: int) -> tuple[Tensor, Tensor, Tensor]:
        inputs, targets = inputs_and_targets(order(step))
        return inputs, targets, segments_of(inputs, eot_id)

    return batch_at


def targets_of(ids: list[int], mask: list[bool]) -> list[int]:
    """What to predict after each id but the last: the next one if its mask is True, else `IGNORE`.

    `ids` and `mask` are what `encode_dialogue` gives; the inputs to these targets are `ids[:-1]`.
    """
    # Ignored targets are still read as inputs: the model sees the question, it isn't asked for it.
    return [id if counts else IGNORE for id, counts in zip(ids[1:], mask[1:], strict=True)]


def pack_dialogues(
    dialogues: Iterable[list[dict]],
    tokenizer: Tokenizer,
    context_length: int,
    targets_of: Callable[[list[int], list[bool]], list[int]] = targets_of,
) -> np.ndarray:
    """Rows (N, 2, context_length) of inputs and targets, as many whole dialogues in a row as fit.

    Targets are `IGNORE` but for what the assistant says, unless another `targets_of` is given: what
    counts is a choice, and notebook 04 lets you make it.
    """
    rows, inputs, targets = [], [], []  # finished rows, and the one that is being filled

    def flush() -> None:
        # Pads stand after all that counts, and none is a target: what they are makes no difference.
        gap = context_length - len(inputs)
        rows.append((inputs + [tokenizer.eot_id] * gap, targets + [IGNORE] * gap))

    for messages in dialogues:
        ids, mask = encode_dialogue(tokenizer, messages)
        if len(ids) > context_length + 1:
            raise ValueError(
                f"a dialogue of {len(ids)} tokens doesn't fit a context of {context_length}"
            )
        # A conversation is never cut: half an answer would be a bad example. So a row ends where
        # the next one doesn't fit; we don't search for one that would.
        if len(inputs) + len(ids) - 1 > context_length:
            flush()
            inputs, targets = [], []
        inputs = inputs + ids[:-1]
        targets = targets + targets_of(ids, mask)
    if inputs:
        flush()
    if not rows:
        raise ValueError("there is no dialogue to train on")
    return np.array(rows, dtype=np.int64)


def places_that_count(targets: Tensor) -> Tensor:
    """The places (N,) of the targets that count, row after row; some that don't at the end.

    The others are there to make N a multiple of 128, and their targets are still `IGNORE`.
    """
    # Why the others? In bfloat16 the library that multiplies on a CPU writes a program for each
    # shape it meets, and keeps it. Half of SFT's targets count, in no two batches as many: the
    # programs of 250 steps took 0.8 GB.
    counts = (targets != IGNORE).flatten()
    places = counts.nonzero()[:, 0]
    return torch.cat((places, (~counts).nonzero()[: -len(places) % 128, 0]))


# Pads on which side? On the right for reading: a causal model never looks at what comes later. On
# the left for writing: then the next token of every row belongs in the same column.


def pad_right(rows: list[list[int]], value: int, most: int | None = None) -> Tensor:
    """The rows as one tensor (B, T), each filled up with `value` to the length of the longest.

    With `most`, T is a multiple of 16, but `most` at most: so batches have few shapes, as in
    `places_that_count`.
    """
    length = _length(rows, most)
    return torch.tensor([row + [value] * (length - len(row)) for row in rows])


def pad_left(rows: list[list[int]], value: int, most: int | None = None) -> tuple[Tensor, Tensor]:
    """The rows as one tensor (B, T) filled up on the left, and each row's number of pads (B,)."""
    length = _length(rows, most)
    padded = torch.tensor([[value] * (length - len(row)) + row for row in rows])
    return padded, torch.tensor([length - len(row) for row in rows])


def _length(rows: list[list[int]], most: int | None) -> int:
    longest = max(map(len, rows))
    return longest if most is None else min(longest + -longest % 16, most)
