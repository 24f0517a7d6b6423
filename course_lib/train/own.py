"""A handful of own examples, mixed with the course's usual dialogues.

On thirty examples alone a model would soon do nothing else: whatever it was asked, it would answer
as they do. So half of what it reads is what it was taught before.
"""

from collections.abc import Callable

import numpy as np
from torch import Tensor

from course_lib.config import TrainConfig
from course_lib.text.chat import Message
from course_lib.text.rows import pack_dialogues
from course_lib.text.tokenizer import Tokenizer
from course_lib.train.sft import sft_batches
from course_lib.world.dialogues import dialogues


def own_batches(
    examples: list[list[Message]],
    tokenizer: Tokenizer,
    context_length: int,
    config: TrainConfig,
    usual: int = 150,
) -> Callable[[int], tuple[Tensor, Tensor, Tensor]]:
    """step -> inputs, targets and segments (B, T) of the examples and of `usual` dialogues.

    A few examples are repeated until they are half of all rows; fewer would be drowned out. With
    `usual=0` there is nothing else.
    """
    rows = pack_dialogues(examples, tokenizer, context_length)
    talks = dialogues(usual, seed=0, chatty=True)  # as the released model has read
    others = pack_dialogues(talks, tokenizer, context_length) if usual else None
    n_wanted = max(len(rows), config.batch_rows if others is None else len(others))
    rows = np.tile(rows, (-(-n_wanted // len(rows)), 1, 1))[:n_wanted]
    rows = rows if others is None else np.concatenate((rows, others))
    return sft_batches(rows, None, config, tokenizer.eot_id, text_share=0)
