"""Shards hold every document once, survive crashes, and give each rank its part of a batch."""

import errno
import json
import math
import os
import random

import numpy as np
import pytest
import torch

from course_lib.config import ModelConfig
from course_lib.measure.held_out import text_loss
from course_lib.measure.log_probs import document_log_probs
from course_lib.model.transformer import Transformer
from course_lib.text import shards as library
from course_lib.text.shards import PIECE, Shards, pieces, shard_batches, write_shards
from course_lib.text.tokenizer import Tokenizer

BYTES = Tokenizer()  # no merges: one token a byte
END = "<|endoftext|>"


def stories(n: int) -> list[str]:
    """Documents of very different lengths."""
    rng = random.Random(5)
    return [f"Story {i}: " + "la " * rng.choice([0, 3, 20, 200]) for i in range(n)]


def whole(shards: Shards, split: str) -> str:
    """A split's stream of tokens as text."""
    return BYTES.decode(shards.tokens(0, shards.n_tokens(split), split).tolist())


def files(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards") / "stories"
    write_shards(stories(300), BYTES, folder, source="stories", shard_tokens=5000)
    return folder


def test_every_document_is_in_one_split_in_its_order_begun_by_end_of_text(folder):
    shards = Shards(folder, BYTES)

    found = {split: list(shards.texts(BYTES, split)) for split in library.TEXT_SPLITS}

    held_out = set(found["validation"])
    assert 0 < len(held_out) < 30
    assert found["train"] == [text for text in stories(300) if text not in held_out]
    assert whole(shards, "train") == "".join(END + text for text in found["train"])


def test_the_manifest_counts_what_is_there(folder):
    manifest = json.loads((folder / "manifest.json").read_text())

    documents, tokens, n_bytes = 0, 0, 0
    for split in manifest["splits"].values():
        sizes = [shard["tokens"] for shard in split["shards"]]
        assert all(size == 5000 for size in sizes[:-1]) and sum(sizes) == split["tokens"]
        documents += split["documents"]
        tokens += split["tokens"]
        n_bytes += split["bytes"]
    assert (manifest["source"], manifest["dtype"]) == ("stories", "uint16")
    assert len(manifest["splits"]["train"]["shards"]) > 5
    assert documents == 300
    assert n_bytes == sum(map(len, stories(300))) and tokens == n_bytes + documents


def test_four_workers_write_the_same_bytes_as_one(tmp_path):
    texts = [*stories(1500), "long " * 20_000]

    for workers in (1, 4):
        options = dict(shard_tokens=7000, max_tokens=300_000, workers=workers)
        write_shards(iter(texts), BYTES, tmp_path / f"{workers}", **options)

    assert files(tmp_path / "1") == files(tmp_path / "4")


def test_equal_documents_share_a_split_and_more_text_moves_none(tmp_path):
    few, many = tmp_path / "few", tmp_path / "many"
    write_shards(stories(1000), BYTES, few)
    write_shards([*stories(1000), *stories(1000), "More."], BYTES, many)

    held_out = list(Shards(few).texts(BYTES))

    assert list(Shards(many).texts(BYTES)) == held_out * 2
    assert not set(held_out) & set(Shards(many).texts(BYTES, "train"))


def test_one_book_has_pages_to_train_on_and_pages_to_be_judged_on(tmp_path):
    book = "\n".join(f"Line {n} of a very long book." for n in range(20_000))
    assert "".join(pieces(book)) == book and max(map(len, pieces(book))) <= PIECE
    assert "".join(pieces("x" * 50_000)) == "x" * 50_000 and pieces("") == [""]

    write_shards([book], BYTES, tmp_path / "book")
    shards = Shards(tmp_path / "book")

    pages = [page for split in library.TEXT_SPLITS for page in shards.texts(BYTES, split)]
    assert sorted("".join(pages)) == sorted(book) and all(page in book for page in pages)
    assert len(pages) <= 4  # pages that follow each other are one document
    assert shards.n_tokens("validation") < 0.2 * shards.n_tokens("train")


@pytest.mark.parametrize("most", [100, 20_000])
def test_reading_stops_when_there_are_tokens_enough(tmp_path, most):
    endless = (f"Document {n}." for n in iter(int, 1))
    texts = (text for part in (stories(5000), endless) for text in part)

    manifest = write_shards(texts, BYTES, tmp_path / "some", max_tokens=most, workers=2)

    tokens = manifest["splits"]["train"]["tokens"]
    assert most <= tokens < most + 700  # the last document is whole
    assert manifest["splits"]["validation"]["tokens"] > 0


def test_too_little_text_is_refused(tmp_path):
    for texts, message in (([], "gave no document"), (["One."], "both trained on and judged on")):
        with pytest.raises(ValueError, match=message):
            write_shards(texts, BYTES, tmp_path)
    with pytest.raises(ValueError, match="must be 1 or more"):
        write_shards(["One.", "Two."], BYTES, tmp_path, workers=0)
    write_shards(["One.", "Two."], BYTES, tmp_path)
    assert sorted([*Shards(tmp_path).texts(BYTES), *Shards(tmp_path).texts(BYTES, "train")]) == [
        "One.",
        "Two.",
    ]


def test_an_interrupt_or_a_full_disk_leaves_no_manifest_and_the_next_call_starts_anew(
    folder, tmp_path, monkeypatch
):
    def interrupted():
        yield from stories(300) * 10
        raise KeyboardInterrupt

    options = dict(source="stories", shard_tokens=5000)
    with pytest.raises(KeyboardInterrupt):
        write_shards(interrupted(), BYTES, tmp_path, **options)
    assert len(files(tmp_path)) > 20 and "manifest.json" not in files(tmp_path)
    with pytest.raises(ValueError, match="holds no finished shards"):
        Shards(tmp_path)

    def full(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("course_lib.machine.disk._flush", full)
        with pytest.raises(OSError, match="No space left"):
            write_shards(stories(300), BYTES, tmp_path, **options)

    write_shards(stories(300), BYTES, tmp_path, **options)
    assert files(tmp_path) == files(folder)
    with pytest.raises(ValueError, match="holds finished shards"):
        write_shards(stories(300), BYTES, tmp_path, **options)


def test_shards_that_are_not_what_was_written_are_refused_by_name(folder, tmp_path):
    def damaged(name: str, contents: bytes | None) -> str:
        for path in folder.iterdir():
            (tmp_path / path.name).write_bytes(path.read_bytes())
        (tmp_path / name).unlink()
        if contents is not None:
            (tmp_path / name).write_bytes(contents)
        with pytest.raises(ValueError, match=name) as caught:
            Shards(tmp_path)
        return str(caught.value)

    right = (folder / "train_00001.bin").read_bytes()
    assert "has 9,998 bytes, expected 10,000" in damaged("train_00001.bin", right[:-2])
    assert "has 0 bytes" in damaged("train_00001.bin", None)
    changed = bytes([right[0] ^ 1]) + right[1:]
    assert "is not what was written" in damaged("train_00001.bin", changed)
    other = (folder / "train_00000.bin").read_bytes()
    assert "is not what was written" in damaged("train_00001.bin", other)
    for manifest in (b"{", b"{}", b"[]", b'{"format": "tokens 2"}'):
        assert "is no manifest of" in damaged("manifest.json", manifest)
    with pytest.raises(ValueError, match="another tokenizer"):
        Shards(folder, Tokenizer([(1, 2)]))


def test_a_large_vocabulary_gets_32_bits(tmp_path):
    class Wide(Tokenizer):
        def encode(self, text):
            return [id + 70_000 for id in super().encode(text)]

    wide = Wide()
    wide.vocab_size = 70_259

    assert write_shards(stories(20), wide, tmp_path)["dtype"] == "uint32"
    assert Shards(tmp_path).tokens(1, 6).tolist() == wide.encode("Story")


def test_an_epoch_is_the_stream_of_tokens_cut_at_fixed_strides(folder):
    shards = Shards(folder)
    T, rows = 32, (shards.n_tokens() - 1) // 32
    batch_at = shard_batches(shards, T, batch_rows=1)

    found = {}
    for step in range(rows):
        inputs, targets, _ = batch_at(step)
        assert inputs[0, 1:].tolist() == targets[0, :-1].tolist()
        found[BYTES.decode([*inputs[0].tolist(), targets[0, -1].item()])] = True

    stream = shards.tokens(0, shards.n_tokens()).tolist()
    expected = [BYTES.decode(stream[r * T : r * T + T + 1]) for r in range(rows)]
    assert set(found) == set(expected)  # a document longer than a row goes on in the next one


@pytest.mark.parametrize("world_size", [2, 3])
def test_the_ranks_parts_are_the_batch_of_one_process(folder, world_size):
    shards = Shards(folder)
    alone = shard_batches(shards, 40, 6, seed=2)
    parts = [shard_batches(shards, 40, 6, 2, rank, world_size) for rank in range(world_size)]

    for step in (0, 7, 1000):
        together = zip(*(batch_at(step) for batch_at in parts), strict=True)
        for whole_batch, ranks in zip(alone(step), together, strict=True):
            assert {len(part) for part in ranks} == {6 // world_size}
            assert torch.equal(torch.cat(ranks), whole_batch)


def test_a_batch_is_a_function_of_seed_and_step(folder):
    first, again = (shard_batches(Shards(folder), 32, 4, seed=1) for _ in range(2))
    forward = [first(step)[0] for step in range(6)]

    for step in (5, 0, 3):
        assert torch.equal(again(step)[0], forward[step])
    other = shard_batches(Shards(folder), 32, 4, seed=2)
    assert not torch.equal(other(0)[0], forward[0])


def test_batches_that_can_not_be_made_are_refused(folder):
    shards = Shards(folder)
    with pytest.raises(ValueError, match=r"holds \d rows of 9000 tokens for train.*add text"):
        shard_batches(shards, 9000, 16)
    with pytest.raises(ValueError, match="3 processes can't take equal parts of 4 rows"):
        shard_batches(shards, 32, 4, world_size=3)


def small_model(context_length: int) -> Transformer:
    config = ModelConfig(
        vocab_size=259, context_length=context_length, dim=32, n_layers=2, n_heads=2, ffn_dim=64
    )
    return Transformer(config, seed=4).eval()


def test_no_token_of_a_row_sees_another_document(folder):
    model = small_model(64)
    inputs, _, numbers = shard_batches(Shards(folder), 64, 64)(0)
    row = numbers.amax(dim=1).argmax()  # the one that holds most documents
    assert numbers[row].max() >= 2

    together = model(inputs, segments=numbers)[row]

    for number in range(1, int(numbers[row].max()) + 1):
        part = numbers[row] == number
        alone = model(inputs[row][part][None])[0]
        torch.testing.assert_close(together[part], alone, atol=1e-5, rtol=1e-4)
    assert (model(inputs)[row] - together).abs().max() > 1e-3  # without numbers it leaks


def test_text_loss_is_the_loss_of_each_document_alone():
    model, texts = small_model(64), ["One.", "Another text é.", "x" * 63]

    nats = -sum(document_log_probs(model, BYTES, texts))
    n_bytes = sum(len(text.encode()) + 1 for text in texts)

    assert text_loss(model, BYTES, texts) == pytest.approx(nats / math.log(2) / n_bytes)
    with pytest.raises(ValueError, match="one document or more"):
        text_loss(model, BYTES, [])


def test_text_loss_reads_a_long_document_in_windows():
    model, text = small_model(16), "A text that is longer than the context."
    ids = [BYTES.eot_id, *BYTES.encode(text), BYTES.eot_id]

    nats = 0.0
    for start in range(0, len(ids) - 1, 16):
        row = torch.tensor([ids[start : start + 17]])
        log_probs = model(row[:, :-1]).log_softmax(-1)[0]
        nats -= log_probs[range(len(log_probs)), row[0, 1:]].sum().item()

    expected = nats / math.log(2) / (len(text) + 1)
    assert text_loss(model, BYTES, [text]) == pytest.approx(expected)


def test_tokens_cross_the_borders_of_shards(folder):
    shards = Shards(folder)
    files = sorted(folder.glob("train_*.bin"))
    stream = np.concatenate([np.fromfile(path, "<u2") for path in files])

    for start, stop in ((0, 1), (4990, 5010), (4999, 5000), (5000, 5001), (0, len(stream))):
        assert np.array_equal(shards.tokens(start, stop), stream[start:stop])
