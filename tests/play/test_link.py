"""The state in the address: what is written is read again, and nothing else gets through."""

import json
import random
from urllib.parse import quote, unquote

import pytest

from course_lib.files import run_file
from tests.play.drive import drive, results
from tools.build_page import MODELS

DIALS = {"text": "The cat", "model": "base", "truth": True}
SEEN = [
    {},
    {"text": ""},
    {"text": "né <b>&amp;</b> # % + 日本 👋\n\t\"'\\"},
    {"text": "a" * 3000, "temperature": 0.35, "top_k": 5, "top_p": 0.9, "seed": 2**53 - 1},
    {"model": "after 40 steps", "truth": False, "compare": True, "lens": True, "steps": True},
    {"picked": [1, 2, 3], "chat": True, "off": [[0, 1], [3, 2]], "token": 4, "layer": 0, "head": 1},
    {"part": "chat", "asked": [["Hello!", 0, 0], ["Thank you!", 0.7, 12]], "size": "large"},
]
DAMAGED = "it is damaged, or was cut off on its way"
HOSTILE = {
    "%": DAMAGED,
    "%E0%A4%A": DAMAGED,
    "null": DAMAGED,
    "7": None,  # holds nothing, so it asks for nothing
    '"text"': DAMAGED,
    "[1]": DAMAGED,
    "{": DAMAGED,
    '{"text": NaN}': DAMAGED,
    "<img src=x onerror=alert(1)>": DAMAGED,
    '{"__proto__": {"text": "evil"}}': DAMAGED,
    '{"constructor": 1}': DAMAGED,
    '{"toString": 1}': DAMAGED,
    '{"colour": "red"}': DAMAGED,
    '{"text": 7}': "text must be text: the prompt, got 7",
    '{"text": ["a"]}': 'text must be text: the prompt, got ["a"]',
    '{"temperature": "hot"}': 'temperature must be zero or more, got "hot"',
    '{"temperature": 1e999}': "temperature must be zero or more, got null",
    '{"temperature": -1}': "temperature must be zero or more, got -1",
    '{"bars": 51}': "bars must be a whole number from 1 to 50, got 51",
    '{"samples": 1e9}': "samples must be a whole number from 0 to 1000, got 1000000000",
    '{"top_k": 0.5}': "top_k must be a whole number from 1",
    '{"top_p": 2}': "top_p must be above 0",
    '{"model": 7}': "model must be a model's name, got 7",
    '{"model": null}': "model must be a model's name, got null",
    '{"picked": "12"}': 'picked must be ids of tokens, got "12"',
    '{"picked": [1.5]}': "picked must be ids of tokens, got [1.5]",
    '{"off": [[0]]}': "off must be pairs",
    '{"token": -1}': "token must be a whole number from 0",
    '{"layer": "0"}': "layer must be a whole number from 0",
    '{"head": {}}': "head must be a whole number from 0",
    '{"size": "huge"}': "size must be one of normal, large",
    '{"truth": 1}': DAMAGED,
    '{"chat": "yes"}': DAMAGED,
    '{"samples": true}': DAMAGED,
    '{"part": "shop"}': DAMAGED,
    '{"asked": "Hello!"}': DAMAGED,
    '{"asked": [["Hello!"]]}': DAMAGED,
    '{"asked": [["Hello!", 0, -1]]}': DAMAGED,
    '{"asked": [["Hello!", "0", 0]]}': DAMAGED,
    '{"asked": [[{}, 0, 0]]}': DAMAGED,
    json.dumps({"asked": [["Hello!", 0, 0]] * 21}): DAMAGED,
    json.dumps({"picked": ["x" * 1000]}): "picked must be ids of tokens, got",
    "x" * 100_000: "it has 100001 letters, 8000 are the most",
}


def test_what_is_seen_is_read_again(wasm):
    hashes = results(wasm, *[("written", each, DIALS) for each in SEEN])

    first, *found = results(wasm, ("read", "", DIALS), *[("read", each, DIALS) for each in hashes])

    assert hashes[0] == "" and first["text"] == "The cat" and first["part"] == "explorer"
    for each, hash, read in zip(SEEN, hashes, found, strict=True):
        assert read == first | each
        assert hash.isascii() and not set(hash[1:]) & set("#<>\"' \n")
        assert json.loads(unquote(hash[1:] or "{}")) == each  # what is as ever is not told


def test_what_is_too_long_for_an_address_is_left_out(wasm):
    [hash] = results(wasm, ("written", {"text": "word " * 5000}, DIALS))

    assert hash is None


@pytest.mark.parametrize("as_typed", [True, False])
def test_a_hostile_address_is_refused_in_a_sentence(as_typed, wasm):
    hashes = [f"#{each if as_typed else quote(each)}" for each in HOSTILE]
    hashes = [
        hash for hash, each in zip(hashes, HOSTILE, strict=True) if as_typed or len(each) < 9999
    ]

    first, *answers = drive(wasm, ("read", "", DIALS), *[("read", each, DIALS) for each in hashes])

    for (sent, expected), answer in zip(HOSTILE.items(), answers, strict=False):
        if expected is None:
            assert answer["result"] == first["result"]
        else:
            assert answer["error"].startswith(expected), sent
            assert len(answer["error"]) < 300
    [after] = results(wasm, ("read", "#{}", DIALS))
    assert after == first["result"]  # nothing has stuck to the prototype of all objects


def test_no_address_of_random_parts_does_harm(wasm):
    rng = random.Random(1)
    names = [
        "text",
        "picked",
        "bars",
        "off",
        "asked",
        "part",
        "top_k",
        "__proto__",
        "model",
        "lens",
    ]
    values = [
        0,
        1,
        -1,
        0.5,
        1e308,
        True,
        None,
        "",
        "chat",
        "base",
        "\ud800",
        [],
        [0],
        [[0, 0]],
        {},
        [{}],
    ]
    states = [
        {rng.choice(names): rng.choice(values) for _ in range(rng.randrange(1, 4))}
        for _ in range(600)
    ]
    hashes = ["#" + quote(json.dumps(state)) for state in states]
    hashes += [hash[: rng.randrange(len(hash))] for hash in hashes[:200]]

    first, *answers = drive(wasm, ("read", "", DIALS), *[("read", hash, DIALS) for hash in hashes])

    good = [answer["result"] for answer in answers if "result" in answer]
    assert 20 < len(good) < len(answers) - 200
    load = ("load", "base", run_file.released(MODELS["base"]))
    for state in good:
        assert state.keys() == first["result"].keys()
    shown = results(wasm, load, *[("explore", without_chat(state), []) for state in good])[1:]
    told = {view["error"] for [view] in shown if "rows" not in view}
    known = (
        "There is no token",
        "There is no head",
        "There is no model",
        "layer must be",
        "head must be",
    )
    assert [error for error in told if not error.startswith(known)] == []
    assert len(shown) > len(told) > 0


def without_chat(state):
    """What is the explorer's of it."""
    return {name: value for name, value in state.items() if name not in ("part", "asked")}


LEARNING = {"learning": ["after 10 steps"], "texts": ["The cat", ""]}


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ({}, {"part": "chat"}, "part"),
        ({}, {"text": "The c"}, "text"),
        ({"text": "The c"}, {"text": "The cat"}, "taken"),
        ({"text": "The cat"}, {"text": "The cat", "picked": [300]}, "text"),
        ({"model": "base"}, {"model": "sft"}, "model"),
        ({"model": "base"}, {"model": "after 10 steps"}, "age"),
        ({"model": "after 10 steps"}, {"model": "base"}, "age"),
        ({}, {"compare": True}, "compare"),
        ({"compare": True}, {}, ""),
        ({}, {"lens": True}, "lens"),
        ({"lens": True}, {}, ""),
        ({}, {"token": 0}, "token"),
        ({"token": 0}, {"token": 1}, ""),
        ({}, {"temperature": 0.5, "top_k": 3, "truth": True, "size": "large"}, ""),
    ],
)
def test_what_is_opened_is_a_view_to_go_back_from_and_a_turned_dial_is_none(
    before, after, kind, wasm
):
    [found] = results(wasm, ("step", after, before, LEARNING))

    assert found == kind
