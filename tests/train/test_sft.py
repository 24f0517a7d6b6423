"""SFT mixes conversations and text in its batches, and teaches a model to answer."""

import subprocess
import sys

import pytest

from course_lib.config import TrainConfig
from course_lib.text.chat import exchange
from course_lib.text.rows import IGNORE, pack, pack_dialogues
from course_lib.train.sft import add_dialogues, load_dialogues, save_dialogues, sft_batches
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


ADD = """
import sys, time
from pathlib import Path
from course_lib.text.chat import exchange
from course_lib.train.sft import add_dialogues

file, name, other = sys.argv[1:]
Path(file + name).touch()
while not Path(file + other).exists():  # both begin at once
    time.sleep(0.001)
for i in range(50):
    add_dialogues(file, [exchange(f"{name} {i}?", "Yes.")])
"""


def test_processes_that_add_to_one_file_lose_nothing(tmp_path):
    path = tmp_path / "mine.jsonl"

    command = [sys.executable, "-c", ADD, str(path)]
    runs = [subprocess.Popen([*command, *names]) for names in ("ab", "ba")]

    assert [run.wait(timeout=120) for run in runs] == [0, 0]
    asked = sorted(messages[0]["content"] for messages in load_dialogues(path))
    assert asked == sorted(f"{name} {i}?" for name in "ab" for i in range(50))


def test_dialogues_are_replaced_only_by_a_later_state_of_themselves(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text("")
    one, two, three = (exchange(f"{n}?", "Yes.") for n in "123")
    both = exchange("1?", "Yes.") + exchange("2?", "No.")

    assert add_dialogues(path, [one, both]) == 0
    assert add_dialogues(path, [two, three], instead_of=[one]) == 1
    assert load_dialogues(path) == [both, two, three]
    assert add_dialogues(path, [three]) == 2  # the same again is no second one
    assert load_dialogues(path) == [both, two, three]


def test_a_system_message_stays_in_its_file(tmp_path):
    path = tmp_path / "mine.jsonl"
    told = [{"role": "system", "content": "Answer in one word."}, *exchange("1?", "Yes.")]
    save_dialogues(path, [told])

    assert add_dialogues(path, [exchange("1?", "Yes.")]) == 1  # another dialogue, not the same
    assert load_dialogues(path) == [told, exchange("1?", "Yes.")]
    assert add_dialogues(path, [exchange("2?", "No.")], instead_of=[told]) == 1
    assert load_dialogues(path) == [exchange("1?", "Yes."), exchange("2?", "No.")]


def test_a_file_that_holds_something_else_is_not_written_over(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text("Notes of mine.\n")

    with pytest.raises(ValueError, match="line 1: expected one JSON object per line"):
        add_dialogues(path, [exchange("1?", "Yes.")])

    assert path.read_text() == "Notes of mine.\n"
    save_dialogues(path, [exchange("1?", "Yes.")])  # whoever says so may
    assert len(load_dialogues(path)) == 1
