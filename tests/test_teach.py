"""The editor for one's own examples: what it reads, and that a model learns it."""

import pytest
import torch

from course_lib.stages import load_released
from course_lib.widgets.teach import parse_examples, teach


@pytest.fixture(scope="module")
def pair():
    return load_released("sft")


def test_a_line_is_a_dialogue():
    assert parse_examples("Who are you? | A model.\n\n 2 | 3 | 4 ") == [
        [
            {"role": "user", "content": "Who are you?"},
            {"role": "assistant", "content": "A model."},
        ],
        [{"role": "user", "content": "2"}, {"role": "assistant", "content": "3 | 4"}],
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no example yet"),
        ("a | b\nno bar", "line 2 must be `prompt | response`, got 'no bar'"),
        ("| response", "line 1 must be"),
        ("prompt |", "line 1 must be"),
    ],
)
def test_what_is_no_example_is_told(text, message):
    with pytest.raises(ValueError, match=message.replace("|", r"\|")):
        parse_examples(text)


@pytest.mark.slow
def test_a_model_learns_an_example_and_keeps_what_it_knew(pair):
    before = [weights.clone() for weights in pair[0].parameters()]

    widget = teach(pair, "What is your favourite number? | My favourite number is seven.").teach()

    asked, said_before, said_after = widget._rows[0]
    assert asked == "What is your favourite number?"
    assert said_before != said_after == "My favourite number is seven."
    assert "Paris" in widget._rows[1][2]
    same = (torch.equal(a, b) for a, b in zip(before, pair[0].parameters(), strict=True))
    assert all(same) and widget.model is not pair[0]
    assert "after:  My favourite number is seven." in widget.picture().figure.axes[0].texts[0]._text


def test_a_wrong_line_is_shown_and_trains_nothing(pair):
    widget = teach(pair, "no bar <script>alert(1)</script>")

    widget.press()

    assert "must be `prompt | response`" in widget._said.value
    assert "<script>" not in widget._said.value
    assert widget.job is None and not widget.button.disabled


def test_an_example_that_fits_no_context_is_told(pair):
    widget = teach(pair, "long | " + "word " * 200)

    widget.press()

    assert "doesn&#x27;t fit a context" in widget._said.value


def test_bad_arguments_are_refused(pair):
    with pytest.raises(ValueError, match=r"needs a \(model, tokenizer\)"):
        teach(pair[0])
    with pytest.raises(ValueError, match="one step or more"):
        teach(pair, steps=0)
