"""The model as a compressor: nothing is lost, and little more is written than -log2 P."""

import gzip
import lzma
import math
import random

import pytest
import torch

from course_lib.config import ModelConfig
from course_lib.measure.compress import (
    MAGIC,
    Decoder,
    Encoder,
    _cumulative,
    compress,
    decompress,
    weights_checksum,
)
from course_lib.measure.held_out import held_out
from course_lib.model.transformer import Transformer
from course_lib.pipeline.release import load_released
from course_lib.world.documents import held_out_documents


@pytest.fixture(scope="module")
def released():
    return load_released("base")


def unread(n_characters: int) -> list[str]:
    texts, found = held_out_documents(), []
    while sum(map(len, found)) < n_characters:
        found.append(next(texts))
    return found


@pytest.mark.parametrize("shares", [[1, 1], [1, 999_999], [5, 3, 1, 1], [1] * 1000])
def test_symbols_come_back_and_cost_their_information(shares):
    rng, total = random.Random(0), sum(shares)
    ends = torch.tensor([0, *shares]).cumsum(0).tolist()
    symbols = rng.choices(range(len(shares)), shares, k=3000)

    encoder = Encoder()
    for symbol in symbols:
        encoder.encode(ends[symbol], ends[symbol + 1], total)
    code = encoder.finish()

    decoder, found = Decoder(code), []
    for _ in symbols:
        target = decoder.target(total)
        symbol = next(s for s in range(len(shares)) if ends[s] <= target < ends[s + 1])
        decoder.decode(ends[symbol], ends[symbol + 1], total)
        found.append(symbol)
    bits = -sum(math.log2(shares[s] / total) for s in symbols)
    assert found == symbols
    assert bits <= 8 * len(code) <= bits * 1.001 + 16


def test_improbable_symbols_cost_much_and_break_nothing():
    encoder = Encoder()
    for _ in range(100):
        encoder.encode(2**24, 2**24 + 1, 2**24 + 1)

    assert len(encoder.finish()) == pytest.approx(100 * 24 / 8, abs=2)


def test_every_token_keeps_a_share():
    shares = _cumulative(torch.tensor([[1.0, 0.0, 0.0]]))

    assert shares.tolist() == [[0, 2**24 + 1, 2**24 + 2, 2**24 + 3]]


def test_ten_thousand_characters_come_back_from_fewer_bytes_than_others_need(released):
    texts = unread(10_000)

    data = compress(*released, texts)

    assert decompress(*released, data) == texts
    information = held_out(*released, texts).model_nats / math.log(2)
    assert information <= 8 * len(data) <= 1.06 * information
    together = "\n".join(texts).encode()
    others = [gzip.compress(together, 9), lzma.compress(together, preset=9 | lzma.PRESET_EXTREME)]
    assert len(data) < min(map(len, others)) / 4


@pytest.mark.parametrize(
    "texts",
    [
        [],
        [""],
        ["", "a", ""],
        ["It was a dark and stormy night."],
        ["日本語 🎉 naïve\r\n\t \x00 ünï"],
        ["<|endoftext|> typed by hand"],
        ["a six. " * 100],  # longer than the context
        ["one"] * 70,  # more than are read side by side
    ],
    ids=["none", "empty", "among empty", "outside", "unicode", "control", "long", "many"],
)
def test_any_text_comes_back(released, texts):
    assert decompress(*released, compress(*released, texts)) == texts


def test_a_better_model_compresses_better(released):
    model, tokenizer = released
    untrained = Transformer(model.config, seed=1)
    texts = unread(500)

    assert len(compress(model, tokenizer, texts)) < 0.4 * len(compress(untrained, tokenizer, texts))


def test_another_model_is_refused(released):
    model, tokenizer = released
    data = compress(model, tokenizer, ["A puppy is a young dog."])
    other = Transformer(ModelConfig(vocab_size=model.config.vocab_size, n_layers=1), seed=1)

    with pytest.raises(ValueError, match="another model"):
        decompress(other, tokenizer, data)
    assert weights_checksum(other) != weights_checksum(model)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 a zip file", MAGIC + b"short"])
def test_a_foreign_file_is_refused(released, data):
    with pytest.raises(ValueError, match="no file of `compress`"):
        decompress(*released, data)


def test_a_file_that_was_cut_off_is_refused_and_ends(released):
    data = compress(*released, unread(2000))

    with pytest.raises(ValueError, match="damaged or cut off"):
        decompress(*released, data[:40])
