"""The pictures of notebook 06: their words are their numbers, and nothing rests on colour alone."""

from dataclasses import replace

import numpy as np
import pytest

from course_lib.plots.bottleneck import (
    Trend,
    intervals,
    laid_over,
    meeting,
    readable_tokens,
    timeline,
    token_bars,
    tokens_per_parameter,
)
from course_lib.scaling.forecast import PUBLISHED_INPUTS, forecast
from course_lib.scaling.laws import PUBLISHED_LAWS


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


def test_token_bars_tell_every_number():
    picture = token_bars("a mix", 1e9, "billions", {"web": 2e9, "books": 1e9})

    assert picture.words == "Bars, a mix, billions: web 2, books 1."
    assert [bar.get_width() for bar in picture.figure.axes[0].patches] == [2, 1]


def test_a_timeline_names_each_model_in_its_year_and_the_level():
    points = [(2020.4, "GPT-3", 3e11), (2023.5, "Llama 2", 2e12)]

    picture = timeline("years", points, lines={"all text": 3e14})

    assert picture.words == (
        "Dots over the years, years: text: GPT-3 (2020) 300 billion, Llama 2 (2023) 2 trillion; "
        "a line, all text, at 300 trillion."
    )
    assert picture.figure.axes[0].get_yscale() == "log"


def test_a_trend_is_drawn_with_its_edges_beside_hollow_squares():
    trend = Trend("the trend", (2024.0, 10.0), 2.0, (1.5, 3.0))
    assert trend.at(2026.0) == (22.5, 40.0, 90.0)

    text, mixed = [(2024.5, "A", 1e13)], [(2025.5, "B", 4e13)]
    picture = timeline("t", text, mixed, Trend("it", (2024.0, 1e13), 2.0, (1.5, 3.0)), 2026.0)

    axes = picture.figure.axes[0]
    full, hollow, line = axes.lines
    assert (full.get_marker(), hollow.get_marker()) == ("o", "s")
    assert full.get_markerfacecolor() != hollow.get_markerfacecolor() == "white"
    assert line.get_ydata()[-1] == pytest.approx(4e13) and line.get_xdata()[-1] == 2026.0
    assert "text, pictures, sound: B (2025) 40 trillion" in picture.words
    assert "it at 40 trillion in 2026 (22.5 trillion to 90 trillion)" in picture.words


def test_tokens_per_parameter_tell_laws_and_models():
    picture = tokens_per_parameter("best", PUBLISHED_LAWS, {"Chinchilla": (70e9, 1.4e12)})

    assert "replication of 2024 from 24 to 16" in picture.words and "Chinchilla 20" in picture.words


def test_intervals_stand_beside_the_line():
    picture = intervals("dates", "year", {"old": (2023.5, 2024.5, 2025.7)}, ("now", 2026), digits=1)

    assert picture.words == (
        "Dots with intervals, dates: old 2024.5, from 2023.5 to 2025.7; a line, now, at 2026.0."
    )
    told = next(text for text in picture.figure.axes[0].texts if text.get_text() == "2024.5")
    assert told.xy == (2024.5, 0) and told.xyann[1] > 0  # above its dot, so beside no line


def test_forecasts_laid_over_each_other_keep_their_draws_apart_and_pool_them():
    soon, late = forecast(), forecast(replace(PUBLISHED_INPUTS, growth=1.4))

    picture = laid_over("two", {"Ada": soon, "Bo": late}, 2026.9, 2040)

    axes = picture.figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["all together", "Ada", "Bo"]
    rows = [row.get_data() for row in axes.patches]
    assert all(np.ptp(row.values - row.baseline) > 0.5 for row in rows)
    assert f"Ada {soon.median:.0f}, nine in ten" in picture.words
    assert f"Bo {late.median:.0f}, nine in ten" in picture.words


@pytest.mark.parametrize("assumptions", [PUBLISHED_INPUTS, replace(PUBLISHED_INPUTS, growth=1.01)])
def test_the_meeting_is_told_with_its_band(assumptions):
    found = forecast(assumptions)

    picture = meeting("when?", found)

    assert ("about 2028" if assumptions == PUBLISHED_INPUTS else "not before 2100") in picture.words
    below = picture.figure.axes[1:]
    drawn = sum(bar.get_height() for axes in below for bar in axes.patches)
    assert drawn == np.sum(found.dates <= found.years[-1])
