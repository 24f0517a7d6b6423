"""Every plot draws its numbers and says the same in words."""

import base64
import subprocess
import sys

import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter

from course_lib.plots import (
    DPI,
    Picture,
    curves,
    file_sizes,
    heat_map,
    histogram,
    loss_curve,
    probability_bars,
)
from course_lib.plots.picture import INK

HITS = dict(model=[0.4412, 0.3149], world=[0.45, 0.3])


def bars() -> Picture:
    return probability_bars("after 'hit a'", ["six", "century"], **HITS)


def test_a_notebook_shows_a_picture_and_the_same_in_words():
    data, metadata = DisplayFormatter().format(bars())

    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert set(data) == {"image/png", "text/plain"}
    assert data["text/plain"] == metadata["image/png"]["alt"] == repr(bars())


def test_the_words_are_the_numbers_of_the_bars():
    picture = bars()

    assert repr(picture) == (
        "Bars, after 'hit a': six model 44%, world 45%; century model 31%, world 30%."
    )
    heights = [bar.get_height() for bar in picture.figure.axes[0].patches]
    assert heights == [*HITS["model"], *HITS["world"]]


def test_bars_differ_in_more_than_colour():
    first, second = bars().figure.axes[0].containers

    assert first[0].get_hatch() != second[0].get_hatch()
    assert [text.get_text() for text in bars().figure.axes[0].get_legend().texts] == list(HITS)


def test_bars_of_zeros_are_drawn():
    assert "six model 0%" in repr(probability_bars("none at all", ["six"], model=[0.0]))


def test_histogram_counts_every_number_but_the_rare_ones():
    numbers = np.arange(-4000, 4001).reshape(63, 127) / 10_000
    numbers[0, 0] = -9  # far out: it would squeeze all the others into one bar

    picture = histogram(numbers, "weights")

    heights = [bar.get_height() for bar in picture.figure.axes[0].patches]
    assert sum(heights) == 8001 - 80  # one in 200 on either side
    assert repr(picture) == (
        "Histogram, weights: 8,001 numbers from -9.00 to 0.40; half of them lie between -0.20 and "
        "0.20, 99 of 100 between -0.40 and 0.40."
    )


def test_a_histogram_of_equal_numbers_is_drawn():
    assert "3 numbers from 2.00 to 2.00" in repr(histogram([2, 2, 2], "the same"))


def test_file_sizes_stand_on_a_logarithmic_axis_in_the_given_order():
    picture = file_sizes("two files", {"ours": 3_500_000, "theirs": 140_000_000_000})

    axes = picture.figure.axes[0]
    assert axes.get_xscale() == "log" and axes.yaxis_inverted()
    assert [text.get_text() for text in axes.get_yticklabels()] == ["ours", "theirs"]
    assert repr(picture) == "Dots on a logarithmic axis, two files: ours 3.50 MB, theirs 140.00 GB."


def test_the_png_has_the_size_of_the_figure():
    png = bars().png

    width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))
    assert (width, height) == (round(6.4 * DPI), round(3.2 * DPI))


def test_pyplot_and_its_global_state_stay_out():
    script = (
        "import sys; from course_lib.plots import histogram; histogram([1, 2], 'a b c').png; "
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert done.stdout + done.stderr == "False\n"


def test_a_heat_map_names_the_largest_of_each_row():
    picture = heat_map("looks", ["a", "b"], ["x", "y"], [[1, 0], [0.25, 0.75]])

    assert picture.words == "Heat map, looks: in each row the largest: a x 100%; b y 75%."
    assert "25%" in [text.get_text() for text in picture.figure.axes[0].texts]


@pytest.mark.parametrize("values", [[[1, 0], [2, 0]], [[1, 0], [float("nan"), 0]]])
def test_a_heat_map_needs_shares(values):
    with pytest.raises(ValueError, match="0 to 1"):
        heat_map("looks", ["a", "b"], ["x", "y"], values)


def test_curves_tell_both_ends():
    picture = curves("time", "tokens", "ms", [1, 2], with_cache=[1.0, 1.5], without=[1.0, 4.0])

    assert picture.words == "Lines, time: with cache from 1 to 1.5, without from 1 to 4."


def test_a_loss_curve_tells_how_far_it_fell_and_beside_what():
    picture = loss_curve("run", [100, 200], [10.0, 4.0], [10.0, 5.5], {"floor": 1.25})

    assert picture.words == "Loss curve, run: from 10.00 to 5.50 bits a token; lines: floor 1.25."
    assert loss_curve("run", [], [], [], {}).words == "Loss curve, run: nothing has been read yet."


def test_the_floors_name_does_not_hide_where_a_curve_ends_just_above_it():
    loss = [10.0, 6.0, 3.0, 2.0, 1.7, 1.65, 1.62]
    picture = loss_curve("run", list(range(1, 8)), loss, loss, {"uniform": 10.6, "floor": 1.2})

    picture.figure.canvas.draw()
    axes = picture.figure.axes[0]
    (floor,) = [text for text in axes.texts if text.get_text().startswith("floor")]
    curve = axes.transData.transform(list(zip(range(1, 8), loss, strict=True)))
    box = floor.get_window_extent()
    assert not any(box.contains(x, y) for x, y in curve) and box.x1 < curve[-2][0]


def test_a_loss_curve_says_its_finding_and_names_its_lines_in_ink_or_softly():
    lines = {"uniform": 10.0, "floor": 1.25}
    picture = loss_curve("run", [100, 200], [9.0, 4.0], [9.0, 5.5], lines, end=1000, resumed=150)

    axes = picture.figure.axes[0]
    assert axes.get_title(loc="left") == "5.50 bits per token after 200 tokens"
    assert axes.get_xlim() == (0, 1000) and axes.get_legend() is None
    named = {text.get_text(): text.get_color() for text in axes.texts}
    assert named["floor 1.25"] == INK != named["uniform 10.00"]
    assert "resumed here" in named
