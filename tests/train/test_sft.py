"""SFT mixes conversations and text in its batches, and teaches a model to answer."""

import pytest

from course_lib.config import TrainConfig
from course_lib.text.chat import exchange
from course_lib.text.rows import IGNORE, pack, pack_dialogues
from course_lib.train.sft import sft_batches
from tests.align.models import first_token_probs, yes_or_no
from tests.tiny import YES_OR_NO as TOKENIZER


def test_sft_batches_mix_dialogues_and_text():
    rows = pack_dialogues([exchange("a", "b")] * 40, TOKENIZER, 48)
    text = pack(["It is yes. " * 9] * 40, TOKENIZER, 48)
    config = TrainConfig(steps=5, batch_rows=8)

    eot = TOKENIZER.eot_id
    inputs, targets, numbers = sft_batches(rows, text, config, eot, text_share=0.25)(0)

    assert inputs.shape == targets.shape == numbers.shape == (8, 48)
    assert ((targets != IGNORE).all(dim=1)).sum() == 2  # the rows of plain text
    alone, _, _ = sft_batches(rows, text, config, eot, text_share=0)(0)
    assert alone.shape == (8, 48)
    with pytest.raises(ValueError, match="text_share"):
        sft_batches(rows, text, config, eot, text_share=1.0)


def test_sft_teaches_the_form_of_an_answer():
    probs = first_token_probs(yes_or_no())

    assert sum(probs.values()) > 0.9 and min(probs.values()) > 0.2
