"""Own examples among usual ones: half and half, or alone."""

from course_lib.config import TrainConfig
from course_lib.pipeline.release import load_released
from course_lib.text.chat import exchange
from course_lib.train.own import own_batches


def texts(usual, n, rows=4, steps=60):
    tokenizer = load_released("base")[1]
    examples = [exchange(f"As a pirate: {i}?", "Arr!") for i in range(n)]
    batch_at = own_batches(examples, tokenizer, 128, TrainConfig(steps, rows), usual)
    return [tokenizer.decode(row.tolist()) for step in range(steps) for row in batch_at(step)[0]]


def test_half_of_the_rows_are_own_ones():
    found = ["pirate" in text for text in texts(usual=150, n=3)]

    assert 0.4 < sum(found) / len(found) < 0.6


def test_many_own_examples_are_all_read_and_no_usual_ones_need_be_there():
    assert all("pirate" in text for text in texts(usual=0, n=1, steps=2))
    read = " ".join(texts(usual=3, n=60))
    assert all(f"pirate: {i}?" in read for i in range(60))
