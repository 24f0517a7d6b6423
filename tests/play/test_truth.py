"""The page's truth against Python's: the same tokens, the same shares."""

import gzip
import random

import pytest

from course_lib.files import run_file
from course_lib.pipeline.release import load_released
from course_lib.widgets.explorer_engine import INSIDE_A_TOKEN, OUTSIDE
from course_lib.world.documents import held_out_documents
from course_lib.world.truth import true_next_tokens
from tests.play.drive import drive, results, write_truth

CLOSE = 1e-9
ODD = ["", " ", "\n", "été", "Hello there", "In that match Virat Kohli hit a ", "The capital of  "]


def prefixes(tokenizer) -> list[str]:
    """200 texts: documents cut at a letter and after a token, some led out of the world."""
    rng, found = random.Random(4), []
    for text in held_out_documents(80, seed=4):
        ids = tokenizer.encode(text)
        found.append(text[: rng.randrange(len(text) + 1)])
        found.append(tokenizer.decode(ids[: rng.randrange(len(ids) + 1)]))
    for text in held_out_documents(200 - len(found) - len(ODD), seed=5):
        at = rng.randrange(len(text))
        found.append(text[:at] + rng.choice([" zebra", "?", "  ", "É"]) + text[at : at + 9])
    return [*found, *ODD]


@pytest.fixture(scope="module")
def tokenizer():
    return load_released("base")[1]


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    return write_truth(tmp_path_factory.mktemp("truth"))


def test_shares_are_those_of_python(wasm, truth, tokenizer):
    texts = prefixes(tokenizer)

    load = ("load", "base", run_file.released("base-f16.gguf"))
    found = drive(wasm, load, *[("truth", text) for text in texts] * 2, truth=truth)[1:]

    inside = 0
    for text, once, again in zip(texts, found, found[len(texts) :], strict=False):
        shares, expected = dict(once["result"]["shares"]), true_next_tokens(tokenizer, text)
        assert shares.keys() == expected.keys(), text
        assert all(abs(shares[id] - p) < CLOSE for id, p in expected.items()), text
        assert bool(once["result"]["note"]) != bool(expected)
        assert once["result"] == again["result"]
        inside += bool(expected)
    assert len(texts) == 200 and 100 < inside < 180
    times = sorted(each["milliseconds"] for each in found[len(texts) :])
    assert times[len(times) // 2] < 10


def test_what_has_been_kept_can_be_forgotten(wasm, truth):
    load = ("load", "base", run_file.released("base-f16.gguf"))
    ask = ("truth", "In that match Virat Kohli hit a")

    _, before, _, after = results(wasm, load, ask, ("forget",), ask, truth=truth)

    assert before == after and len(before["shares"]) == 4


def test_where_there_is_no_truth_a_sentence_says_why(wasm, truth):
    load = ("load", "base", run_file.released("base-f16.gguf"))
    texts = ["zebra zebra", "In that match Virat Kohli hit a "]

    outside, inside_a_token = results(wasm, load, *[("truth", t) for t in texts], truth=truth)[1:]
    (without,) = results(wasm, load, ("truth", texts[0]))[1:]

    assert outside == {"shares": [], "note": OUTSIDE}
    assert inside_a_token == {"shares": [], "note": INSIDE_A_TOKEN}
    assert without == {"shares": [], "note": "This page came without the world's truth."}


def test_the_whole_truth_is_small(truth):
    assert len(gzip.compress(truth.read_bytes())) < 100_000
