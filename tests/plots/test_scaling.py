"""The pictures of scaling laws and of runs with several seeds: every run is drawn, and told."""

import numpy as np
import pytest

from course_lib.plots.scaling import scaling_curves, seed_lines
from course_lib.scaling.laws import Law

LAW = Law(E=0.4, A=60.0, B=3000.0, a=0.55, b=0.75)
SWEEP = {n: {d: [float(LAW.loss(n, d))] * 2 for d in (1e5, 1e6)} for n in (5e4, 8e5)}


def test_seed_lines_draw_the_mean_and_each_seed():
    picture = seed_lines("t", "bits", "x", {"a": {1: [1.0, 3.0], 2: [4.0, 4.0]}}, floor=0.5)

    line, dots = picture.figure.axes[0].lines[:2]
    assert list(line.get_ydata()) == [2.0, 4.0]
    assert list(dots.get_ydata()) == [1.0, 3.0, 4.0, 4.0]
    assert picture.words == "Lines, t, bits: a 2 at 1, 4 at 2; a line, the floor, at 0.5."


def test_the_least_value_is_told_wherever_it_lies():
    turned = {1: [2.0], 8: [1.4, 1.5], 16: [1.3, 1.7], 32: [1.7, 1.9]}

    words = seed_lines("t", "bits", "x", {"": turned}).words

    assert words == "Lines, t, bits: 2 at 1, 1.45 at 8, 1.5 at 16, 1.8 at 32 (seeds 1.7 to 1.9)."


def test_of_many_values_only_the_ends_are_told():
    picture = seed_lines("t", "y", "x", {"a": {x: [x] for x in range(10)}})

    assert picture.words == "Lines, t, y: a from 0 at 0 to 9 at 9."


def test_shares_are_told_in_percent():
    picture = seed_lines("t", "facts", "x", {"a": {0: [1.0], 4: [0.75]}}, percent=True)

    assert picture.words == "Lines, t, facts: a 100% at 0, 75% at 4."


def test_lines_have_their_own_marker_and_dashes_and_names_that_do_not_touch():
    axes = seed_lines("t", "y", "x", {"a": {1: [1], 2: [1]}, "b": {1: [2], 2: [1]}}).figure.axes[0]

    first, _, second, _ = axes.lines[:4]
    dots = axes.lines[1], axes.lines[3]
    assert first.get_linestyle() != second.get_linestyle()
    assert dots[0].get_marker() != dots[1].get_marker()
    names = {text.get_text(): text.xy for text in axes.texts if text.get_text() in "ab"}
    points = 72 * axes.figure.get_figheight() * 0.7
    assert points * abs(names["a"][1] - names["b"][1]) > 9  # points: about a line of letters


@pytest.mark.parametrize("above", [False, True])
def test_the_curves_run_through_losses_that_obey_the_law(above):
    picture = scaling_curves("sweep", SWEEP, LAW, floor=0.399, above=above)

    dots, curve = picture.figure.axes[0].lines[:2]
    assert curve.get_ydata()[0] == pytest.approx(dots.get_ydata()[0])
    assert dots.get_ydata()[0] == pytest.approx(SWEEP[5e4][1e5][0] - 0.399 * above)
    assert ("a line, the floor, at 0.399" in picture.words) == (not above)
    assert "50,000 parameters from" in picture.words


def test_a_law_below_the_floor_ends_where_it_leaves_the_axis():
    low = Law(E=0.3, A=1.0, B=3000.0, a=0.55, b=0.75)
    runs = {5e4: {1e5: [1.0], 1e6: [0.5]}}

    curve = scaling_curves("t", runs, low, floor=0.4, above=True).figure.axes[0].lines[1]

    assert np.isnan(curve.get_ydata()[-1]) and curve.get_ydata()[0] > 0
