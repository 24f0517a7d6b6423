"""Rows and batches hold the right tokens, targets and document numbers, in a reproducible order."""

import numpy as np
import pytest
import torch

from course_lib.config import ModelConfig
from course_lib.model.transformer import Transformer
from course_lib.text import rows as data
from course_lib.text.chat import encode_dialogue
from course_lib.text.rows import IGNORE
from course_lib.text.tokenizer import Tokenizer

BYTES = Tokenizer()  # no merges: one token a byte
TALK = [
    [{"role": "user", "content": "hi"}, {"role": "assistant", "content": f"answer {n}"}]
    for n in range(5)
]


def test_every_row_starts_where_a_document_starts():
    texts = [f"document {n}" for n in range(40)]

    rows = data.pack(texts, BYTES, context_length=30)

    assert rows.shape[1] == 31 and rows.dtype == np.uint16
    for row in rows:
        text = BYTES.decode(row.tolist())
        assert text.startswith("<|endoftext|>document ")
        for part in text.split("<|endoftext|>")[1:-1]:
            assert part in texts  # only the last one of a row is cut


def test_pack_stops_when_it_has_enough_and_says_when_it_has_not():
    endless = (f"text {n}" for n in iter(int, 1))
    assert len(data.pack(endless, BYTES, 16, n_rows=7)) == 7
    with pytest.raises(ValueError, match="add text"):
        data.pack(["short"], BYTES, 16)
    with pytest.raises(ValueError, match="5 are needed"):
        data.pack(["a longer text than that"] * 2, BYTES, 16, n_rows=5)


def test_an_epoch_shows_every_row_once_in_an_order_of_its_own():
    batches = data.Batches(np.arange(12), batch_rows=4, seed=3)

    first = np.concatenate([batches(step) for step in range(3)])
    second = np.concatenate([batches(step) for step in range(3, 6)])

    assert sorted(first) == sorted(second) == list(range(12))
    assert first.tolist() != second.tolist()


def test_a_batch_depends_on_the_step_alone():
    forward = [data.Batches(np.arange(20), 4, seed=1)(step).tolist() for step in range(10)]
    batches = data.Batches(np.arange(20), 4, seed=1)
    backward = [batches(step).tolist() for step in reversed(range(10))]

    assert forward == backward[::-1]
    with pytest.raises(ValueError, match="21 rows can't be drawn from 20"):
        data.Batches(np.arange(20), 21)


def test_targets_are_the_inputs_shifted_by_one():
    inputs, targets = data.inputs_and_targets(np.array([[5, 6, 7, 8]], dtype=np.uint16))

    assert inputs.tolist() == [[5, 6, 7]] and targets.tolist() == [[6, 7, 8]]


def test_what_is_not_said_by_the_assistant_is_no_target():
    assert data.targets_of([5, 6, 7, 8], [False, True, False, True]) == [6, IGNORE, 8]


def test_packed_dialogues_ask_for_the_assistants_words_only():
    rows = data.pack_dialogues(TALK, BYTES, context_length=200)

    said = [BYTES.decode([i for i in row[1] if i != IGNORE]) for row in rows]
    assert "".join(said) == "".join(f"answer {n}<|im_end|>" for n in range(5))
    for row in rows:
        assert row[0][0] == BYTES.eot_id  # a row starts with a dialogue
    whole = data.pack_dialogues(
        TALK, BYTES, context_length=200, targets_of=lambda ids, mask: ids[1:]
    )
    assert (whole[:, 1] != IGNORE).sum() == sum(len(encode_dialogue(BYTES, t)[0]) - 1 for t in TALK)


def test_a_packed_system_message_is_read_and_no_target():
    told = [{"role": "system", "content": "Be brief."}, *TALK[0]]

    (row,) = data.pack_dialogues([told, TALK[1]], BYTES, context_length=200)

    assert BYTES.decode(row[0].tolist()).startswith("<|endoftext|><|im_start|>system\nBe brief.<|")
    said = BYTES.decode([id for id in row[1] if id != IGNORE])
    assert said == "answer 0<|im_end|>answer 1<|im_end|>"


def test_a_dialogue_longer_than_the_context_is_refused():
    with pytest.raises(ValueError, match="doesn't fit a context of 20"):
        data.pack_dialogues(TALK, BYTES, context_length=20)
    with pytest.raises(ValueError, match="no dialogue"):
        data.pack_dialogues([], BYTES, context_length=20)


def test_padding_fills_up_on_the_side_that_its_name_says():
    assert data.pad_right([[1, 2, 3], [4]], 0).tolist() == [[1, 2, 3], [4, 0, 0]]
    padded, pads = data.pad_left([[1, 2, 3], [4]], 0)
    assert padded.tolist() == [[1, 2, 3], [0, 0, 4]] and torch.equal(pads, torch.tensor([0, 2]))


@pytest.mark.parametrize(("longest", "length"), [(1, 16), (16, 16), (17, 32), (33, 40), (40, 40)])
def test_padding_makes_few_lengths_where_it_is_told_how_long_is_too_long(longest, length):
    rows = [[1] * longest, [2]]

    right = data.pad_right(rows, 0, most=40)
    left, pads = data.pad_left(rows, 0, most=40)

    assert right.tolist() == [row + [0] * (length - len(row)) for row in rows]
    assert left.tolist() == [[0] * (length - len(row)) + row for row in rows]
    assert pads.tolist() == [length - longest, length - 1]


@pytest.mark.parametrize(
    ("n_counted", "n_places"), [(0, 0), (1, 128), (128, 128), (129, 256), (290, 300)]
)
def test_places_that_count_come_first_and_make_few_lengths(n_counted, n_places):
    targets = torch.full((3, 100), data.IGNORE)
    where = torch.randperm(300, generator=torch.Generator().manual_seed(1))[:n_counted].sort()[0]
    targets.view(-1)[where] = 7

    places = data.places_that_count(targets)

    assert torch.equal(places[:n_counted], where)
    # 300 are no multiple of 128, but there are no more.
    assert len(places) == len(set(places.tolist())) == n_places
    assert (targets.flatten()[places[n_counted:]] == data.IGNORE).all()


def test_documents_that_share_a_row_are_read_as_if_each_stood_alone():
    config = ModelConfig(
        vocab_size=259, context_length=64, dim=32, n_layers=2, n_heads=2, n_kv_heads=1, ffn_dim=64
    )
    model = Transformer(config, seed=4)
    texts = ["one text", "another one", "a third"]
    rows = data.pack([*texts, "x" * 60], BYTES, context_length=40)
    inputs, _, numbers = data.text_batches(rows, 1, BYTES.eot_id)(0)

    together = model(inputs, segments=numbers)[0]

    start = 0
    for text in texts:
        ids = [BYTES.eot_id, *BYTES.encode(text)]
        alone = model(torch.tensor([ids]))[0]
        torch.testing.assert_close(together[start : start + len(ids)], alone, atol=1e-5, rtol=1e-4)
        start += len(ids)
    leaking = model(inputs)[0]
    assert (leaking[10:20] - together[10:20]).abs().max() > 1e-3
