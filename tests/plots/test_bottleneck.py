"""The pictures of notebook 06: their words are their numbers, and nothing rests on colour alone."""

from dataclasses import replace

import numpy as np
import pytest

from course_lib.plots.bottleneck import (
    intervals,
    meeting,
    readable_tokens,
    scaling_curves,
    seed_lines,
    timeline,
    token_bars,
    tokens_per_parameter,
)
from course_lib.scaling.forecast import PUBLISHED_INPUTS, forecast
from course_lib.scaling.laws import PUBLISHED_LAWS, Law

LAW = Law(E=0.4, A=60.0, B=3000.0, a=0.55, b=0.75)
SWEEP = {n: {d: [float(LAW.loss(n, d))] * 2 for d in (1e5, 1e6)} for n in (5e4, 8e5)}


def test_tokens_in_words():
    counts = (950, 60_000, 1.5e6, 5.9e10, 1.21e12, 3e14, 1e16)

    assert [readable_tokens(count) for count in counts] == [
        "950",
        "60,000",
        "1.5 million",
        "59 billion",
        "1.21 trillion",
        "300 trillion",
        "10,000 trillion",
    ]


def test_token_bars_tell_every_number_and_differ_by_hatch():
    picture = token_bars("a mix", 1e9, "billions", there={"web": 2e9}, read={"web": 3e9})

    assert picture.words == "Bars, a mix, billions: there: web 2; read: web 3."
    first, second = picture.figure.axes[0].containers
    assert first[0].get_hatch() != second[0].get_hatch()
    assert [bars[0].get_width() for bars in (first, second)] == [2, 3]


def test_a_timeline_names_each_model_and_the_level():
    picture = timeline("years", [(2020.4, "GPT-3", 3e11)], ("all text", 3e14))

    assert picture.words == (
        "Dots over the years, years: GPT-3 (2020) 300 billion; a dashed line at all text."
    )
    assert picture.figure.axes[0].get_yscale() == "log"


def test_seed_lines_draw_the_mean_and_the_whole_range():
    picture = seed_lines("t", "x", "y", {"a": {1: [1.0, 3.0], 2: [4.0, 4.0]}}, {"floor": 0.5})

    axes = picture.figure.axes[0]
    assert list(axes.lines[0].get_ydata()) == [2.0, 4.0]
    band = axes.collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == 1.0 and band[:, 1].max() == 4.0
    assert picture.words == "Lines, t: a from 2 at 1 to 4 at 2; a line, floor, at 0.5."


def test_lines_have_their_own_marker_and_dashes():
    lines = seed_lines("t", "x", "y", {"a": {1: [1]}, "b": {1: [2]}}).figure.axes[0].lines

    assert lines[0].get_marker() != lines[1].get_marker()
    assert lines[0].get_linestyle() != lines[1].get_linestyle()


def test_the_curves_run_through_losses_that_obey_the_law():
    picture = scaling_curves("sweep", SWEEP, LAW, floor=0.399)

    dots, curve = picture.figure.axes[0].lines[:2]
    assert curve.get_ydata()[0] == pytest.approx(dots.get_ydata()[0])
    assert "E of the fit, 0.400, and the world's entropy, 0.399" in picture.words


def test_tokens_per_parameter_tell_laws_and_models():
    picture = tokens_per_parameter("best", PUBLISHED_LAWS, {"Chinchilla": (70e9, 1.4e12)})

    assert "replication of 2024 from 24 to 16" in picture.words and "Chinchilla 20" in picture.words


def test_intervals_stand_beside_the_line():
    picture = intervals("dates", "year", {"old": (2023.5, 2024.5, 2025.7)}, ("now", 2026), digits=1)

    assert picture.words == (
        "Dots with intervals, dates: old 2024.5, from 2023.5 to 2025.7; "
        "a dashed line, now, at 2026.0."
    )


@pytest.mark.parametrize("assumptions", [PUBLISHED_INPUTS, replace(PUBLISHED_INPUTS, growth=1.01)])
def test_the_meeting_is_told_with_its_band(assumptions):
    found = forecast(assumptions)

    picture = meeting("when?", found)

    assert ("about 2028" if assumptions == PUBLISHED_INPUTS else "not before 2100") in picture.words
    below = picture.figure.axes[1:]
    drawn = sum(bar.get_height() for axes in below for bar in axes.patches)
    assert drawn == np.sum(found.dates <= found.years[-1])
