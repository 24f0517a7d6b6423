"""The head browser without a browser: what its page gets, and what is refused."""

import numpy as np
import pytest
import torch

from course_lib.check.anatomy import ids_of, probabilities
from course_lib.pipeline.release import load_released
from course_lib.widgets import head_browser
from course_lib.widgets.explorer_engine import switched_off

TEXTS = {name: f"In that match {name} hit a" for name in ("Virat Kohli", "Sachin Tendulkar")}
WORDS = [" six", " century", " four", " ball"]


@pytest.fixture(scope="module")
def base():
    return load_released("base")


def logits(browser, of: list) -> torch.Tensor:
    """What came with the widget as the answer to a question for logits."""
    found = next(one for one in browser.known if (one["ask"], one["of"]) == ("logits", of))
    return torch.tensor(np.frombuffer(found["data"], dtype=np.float32).copy())


@torch.inference_mode()
@pytest.mark.parametrize("off", [(), ((2, 0), (3, 1))])
def test_the_first_view_asks_nobody(base, off):
    model, _ = base
    browser = head_browser(base, TEXTS, WORDS, 5, layer=2, off=off)

    assert [word["name"] for word in browser.about["words"]] == [
        "␣six",
        "␣century",
        "␣four",
        "␣ball",
    ]
    for name in TEXTS:
        ids = ids_of(name)
        for gone in ([], [list(head) for head in off]):
            with switched_off(model, gone):
                expected = probabilities(model(torch.tensor([ids]))[0, -1])
            assert probabilities(logits(browser, ["model", ids, gone])) == pytest.approx(
                expected, abs=1e-5
            )
    maps = [one for one in browser.known if one["ask"] == "attention"]
    assert [one["of"] for one in maps] == [
        ["model", ids_of("Virat Kohli"), [list(head) for head in off]]
    ]


def test_the_page_is_answered_as_the_explorers_is(base):
    browser, said = head_browser(base, TEXTS, WORDS, 5), []
    browser.send = lambda content, buffers=(): said.append((content, buffers))

    ids = ids_of("Sachin Tendulkar")
    question = {"number": 1, "page": "p", "ask": "attention", "of": ["model", ids, [[2, 0]]]}
    browser._on_message(None, question, [])
    browser._on_message(None, {**question, "of": ["model", ids, [[9, 0]]]}, [])

    (answer, data), (refused, _) = said
    assert (answer["layers"], answer["heads"], answer["length"]) == (4, 4, len(ids))
    assert len(data[0]) == 4 * 4 * 4 * len(ids) ** 2
    assert "there is no head 0 in layer 9" in refused["error"]


def test_the_stored_picture_says_what_each_head_looks_at(base):
    browser = head_browser(base, TEXTS, WORDS, 5, off=[(2, 0)])
    words = repr(browser)

    assert "Where ␣a looks, head by head, with 2.0 off" in words
    assert "From ␣a to ␣Kohli: layer 0: head 0" in words and words.count("layer ") == 4
    assert "layer 2: head 0 off, " in words
    now, before = (
        probabilities(logits(browser, ["model", ids_of("Virat Kohli"), off]))[0]
        for off in ([[2, 0]], [])
    )
    assert f"Virat Kohli: ␣six {now:.0%}, was {before:.0%}; " in words and now < before - 0.05
    browser.now = {**browser.now, "text": 1, "off": []}  # as its page writes it
    assert "From ␣a to ␣Tendulkar" in repr(browser) and "off" not in repr(browser)
    assert f"Virat Kohli: ␣six {before:.0%}; " in repr(browser) and "was" not in repr(browser)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (dict(texts={"one": "In that match"}), "texts must be two, each with its name"),
        (dict(texts=["In that", "In this"]), "texts must be two, each with its name"),
        (dict(words=[" six", " sixteenth"]), "each of the words must be one token, but ' sixteen"),
        (dict(words=[]), "words must be one token or more"),
        (dict(column=8), "column must be a token of each text, from 0 to 7"),
        (dict(column=-1), "column must be a token of each text, from 0 to 7"),
        (dict(texts={"a": "a " * 200, "b": "b"}, column=0), "at most 128 tokens long"),
        (dict(layer=4), "has 4 layers with 4 heads each, counted from 0; got 4, 0"),
        (dict(off=[(0, 4)]), "has 4 layers with 4 heads each"),
        (dict(off=[(0, 1, 2)]), "has 4 layers with 4 heads each"),
        (dict(head="1"), "has 4 layers with 4 heads each"),
    ],
)
def test_bad_arguments_are_refused_in_words(base, changes, told):
    good = dict(texts=TEXTS, words=WORDS, column=5)

    with pytest.raises(ValueError, match=told):
        head_browser(base, **good | changes)
