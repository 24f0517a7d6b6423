"""The page's sampler against run.c, Python's sampler and the published numbers of splitmix64."""

import numpy as np
import pytest
import torch

from course_lib.config import Sampling
from course_lib.files import run_file
from course_lib.model.sample import sampling_probs
from tests.play.drive import drive, results

# The first outputs of splitmix64 for the seed 1234567, as its author's program prints them.
SPLITMIX64 = [
    6457827717110365317,
    3203168211198807973,
    9817491932198370423,
    4593380528125082431,
    16408922859458223821,
]
DIALS = [(1, None, None), (0.3, None, None), (2, 5, None), (1, None, 0.5), (0.8, 40, 0.9)]
TEXTS = [
    "In that match Virat Kohli hit a",
    "The capital of",
    "Once upon a time",
    "What is",
    "zebra 日本",
    " cat" * 119,  # nearly all of the context
]


def test_the_dice_are_splitmix64(wasm):
    (thrown,) = results(wasm, ("throws", 1234567, 5))

    assert thrown == [(number >> 11) / 2**53 for number in SPLITMIX64]


@pytest.mark.parametrize("seed", [-1, 0.5, 1e300, "7", None])
def test_a_seed_is_a_whole_number(seed, wasm):
    (refused,) = drive(wasm, ("throws", seed, 1))

    assert refused["error"].startswith("a seed is a whole number, zero or more")


def test_the_dials_leave_what_python_leaves(wasm):
    logits = torch.randn(400, generator=torch.manual_seed(1)) * 3
    order = logits.argsort(descending=True)
    logits[order[3]] = logits[order[2]]  # top-k of 3 can't part them
    dials = [*DIALS, (1, 3, None), (0, None, None), (0, 3, 0.1)]

    calls = [
        ("nextTokens", logits.tolist(), dict(temperature=t, topK=k, topP=p)) for t, k, p in dials
    ]
    answers = results(wasm, *calls)

    for found, (t, k, p) in zip(answers, dials, strict=True):
        expected = sampling_probs(logits, Sampling(t, k, p)).numpy()
        shares = np.zeros(len(logits))
        shares[found["ids"]] = found["shares"]
        np.testing.assert_allclose(shares, expected, atol=1e-5)
        assert (np.diff(found["shares"]) <= 0).all()
    assert len(answers[len(DIALS)]["ids"]) == 4


def test_a_draw_falls_where_the_shares_lie(wasm):
    found = {"ids": [9, 4, 2], "shares": [0.5, 0.25, 0.25]}

    thrown = [0, 0.4999, 0.5, 0.7499, 0.75, 0.999999]
    drawn = results(wasm, *[("draw", found, each) for each in thrown])

    assert drawn == [9, 9, 4, 4, 2, 2]


def test_a_seed_gives_the_text_that_run_c_writes(wasm, tmp_path):
    program, model = run_file.compile_run_file(tmp_path), run_file.released("base-f16.gguf")
    expected, calls = [], []
    for seed, text in enumerate(TEXTS, 7):
        for t, k, p in [*DIALS, (0, None, None)]:
            options = {"t": float(t), "s": seed, "n": 100, "k": k, "p": p}
            options = {name: value for name, value in options.items() if value is not None}
            lines = run_file.run(program, model, "complete", text, x=1, **options).splitlines()
            prompt, said = ([int(id) for id in line.split()] for line in lines[:2])
            expected.append(said)
            dials = {"temperature": t, "topK": k, "topP": p}
            calls.append(("continuation", "base", prompt, dials, {"seed": seed, "most": 100}))

    found = results(wasm, ("load", "base", model), *calls)[1:]

    assert found == expected
    assert sum(map(len, expected)) > 500
    whole = [len(call[2]) + len(said) for call, said in zip(calls, expected, strict=True)]
    assert max(whole) == 128  # one of them goes on to where the context is full
