"""Bars of what may come next: nothing leaves the picture, and the truth is a mark."""

import pytest
from matplotlib.colors import to_rgba

from course_lib.plots import calibration, next_tokens, surprises
from course_lib.plots.bars import percent
from course_lib.plots.picture import BASE, INK

MODEL, TRUTH = {"six": 0.44, "four": 0.2}, {"four": 0.25, "six": 0.75}


def test_what_the_others_have_together_is_the_last_bar():
    picture = next_tokens("Six leads", {"model": MODEL})

    bars = picture.figure.axes[0].patches
    assert picture.words == "Bars, Six leads: model: six 44%, four 20%, all others 36%."
    assert [bar.get_width() for bar in bars] == pytest.approx([0.44, 0.2, 0.36])
    assert bars[0].get_facecolor() == to_rgba(BASE) != bars[2].get_facecolor()


def test_the_truth_is_a_mark_in_ink_at_its_own_name():
    picture = next_tokens("Six leads", {"model": MODEL}, {"model": TRUTH})

    marks = [line for line in picture.figure.axes[0].lines if line.get_color() == INK]
    assert [line.get_xdata()[0] for line in marks] == [0.75, 0.25, 0.0]  # in the bars' order
    assert "six 44% (truth 75%), four 20% (truth 25%), all others 36% (truth 0%)" in picture.words
    texts = [text.get_text() for text in picture.figure.axes[0].texts]
    assert "bars: the model; ink: the truth" in texts


def test_six_panels_stand_in_two_rows_on_one_scale():
    picture = next_tokens("all", {str(i): {"six": i / 10} for i in range(6)})

    axes = picture.figure.axes
    assert len(axes) == 6 and len({axis.get_xlim() for axis in axes}) == 1
    assert axes[0].get_position().y0 > axes[3].get_position().y0


def test_what_was_cut_is_an_outline_and_says_so():
    picture = next_tokens("cut", {"top-k 1": MODEL}, gone={"top-k 1": ["four", "all others"]})

    bars = picture.figure.axes[0].patches
    assert [bar.get_facecolor()[3] for bar in bars] == [1, 0, 0]
    assert picture.words.endswith("six 44%, four 20% cut, all others 36% cut.")


@pytest.mark.parametrize("shares", [{"six": 0.7, "four": 0.4}, {"six": -0.1}])
def test_shares_that_are_none_are_refused(shares):
    with pytest.raises(ValueError, match="shares from 0 to 1 are expected"):
        next_tokens("wrong", {"model": shares})


def test_rounding_is_no_token():
    assert "all others 0%" in next_tokens("t", {"model": {"a": 0.6, "b": 0.4 + 1e-7}}).words
    assert [percent(p) for p in (0, 0.001, 0.0049, 0.006, 0.45)] == [
        "0%",
        "<1%",
        "<1%",
        "1%",
        "45%",
    ]


def test_a_surprise_has_the_models_bits_above_the_worlds():
    picture = surprises("a report", ["In", " six", "\n"], [2.5, 1.25, 0.0], [2.0, 1.5, -0.0])

    texts = [text.get_text() for text in picture.figure.axes[0].texts]
    assert "2.5\n2.0" in texts and "1.2\n1.5" in texts and "␣six" in texts
    assert not any("0.0" in text for text in texts)
    assert picture.words == (
        "Text, a report: “In six”; 3 tokens; bits of the model 3.8 in all, of the world 3.5; of a "
        "bit or more: In 2.5 and 2.0, six 1.2 and 1.5."
    )


def test_a_long_text_goes_on_in_the_next_line():
    picture = surprises("long", [" word"] * 40, [0.9] * 40, [1.0] * 40)

    boxes = picture.figure.axes[0].patches
    assert len({round(box.get_y(), 2) for box in boxes}) == 4  # 13 tokens fit into a line
    assert picture.words.endswith("of a bit or more: none.")


def test_calibration_shows_each_group_where_it_belongs():
    picture = calibration("sure", [0.1, 0.8], [0.0, 0.9], [10, 1200])

    _, dots = picture.figure.axes[0].lines
    assert list(dots.get_xdata()) == [0.1, 0.8] and list(dots.get_ydata()) == [0.0, 0.9]
    assert picture.words == "Dots, sure: 10% came 0% of 10 times, 80% came 90% of 1,200 times."
