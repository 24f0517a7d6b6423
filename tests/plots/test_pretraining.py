"""The pictures of lesson 03: the slope touches its curve, every seed is drawn, names stay apart."""

import pytest

from course_lib.plots import one_weight, run_lines, share_panels
from course_lib.plots.picture import BASE, INK, SOFT


def test_the_slope_is_drawn_through_the_weight_with_its_steepness():
    picture = one_weight("Left", [0.0, 1.0, 2.0], [3.0, 4.0, 6.0], here=1.0, slope=1.5)

    curve, tangent, dot = picture.figure.axes[0].lines
    (x0, x1), (y0, y1) = tangent.get_xdata(), tangent.get_ydata()
    assert (y1 - y0) / (x1 - x0) == pytest.approx(1.5)
    assert (y0 + y1) / 2 == pytest.approx(4.0) and (x0 + x1) / 2 == pytest.approx(1.0)
    assert (dot.get_xdata()[0], dot.get_ydata()[0]) == (1.0, 4.0)
    assert curve.get_color() == BASE
    assert picture.words == (
        "Line, Left: from 3 at 0 to 6 at 2; at the weight, 1, 4 with slope 1.5."
    )


def test_the_words_tell_the_valley_beside_the_weight():
    picture = one_weight("Right", [0.0, 1.0, 2.0, 3.0], [9.0, 8.0, 7.5, 8.5], here=1.0, slope=-1.0)

    assert "from 9 at 0, down to 7.5 at 2, to 8.5 at 3;" in picture.words


def test_each_share_has_its_bar_on_one_scale():
    picture = share_panels(
        "Two mixtures", {"ours": {"notes": 0.4, "code": 0.045}, "theirs": {"a": 1}}
    )

    axes = picture.figure.axes
    widths = [[bar.get_width() for bar in each.patches] for each in axes]
    assert widths == [[0.4, 0.045], [1]] and len({each.get_xlim() for each in axes}) == 1
    assert picture.words == "Bars, Two mixtures: ours: notes 40%, code 4.5%; theirs: a 100%."


RUNS = {"loss": {1: [9.0, 8.0], 250: [2.0, 2.5]}, "other": {1: [9.5], 250: [2.3]}}


def test_every_seed_is_drawn_and_their_mean_is_thicker():
    picture = run_lines("It falls", "bits", "steps", {"": RUNS}, soft=["other"])

    lines = picture.figure.axes[0].lines
    assert [list(line.get_ydata()) for line in lines] == [
        *([9.0, 2.0], [8.0, 2.5], [8.5, 2.25]),
        *([9.5, 2.3], [9.5, 2.3]),
    ]
    assert lines[2].get_linewidth() > 2 * lines[0].get_linewidth()
    assert [line.get_color() for line in lines] == [BASE] * 3 + [SOFT] * 2
    assert picture.words == (
        "Lines, It falls: loss from 8.5 at 1 to 2.25 at 250; other from 9.5 at 1 to 2.3 at 250."
    )


def test_the_words_tell_where_a_line_turns_and_spare_what_is_level():
    up_and_down = {x: [y] for x, y in enumerate([5.0, 30.0, 9.0, 8.0, 1.0, 6.0, 4.0, 3.0])}
    level = {x: [y] for x, y in enumerate([9.0, 9.1, 7.0, 5.0, 4.0, 3.0, 2.9, 3.0])}

    words = run_lines("It turns", "bits", "steps", {"": {"one": up_and_down, "two": level}}).words

    assert "one from 5 at 0, up to 30 at 1, down to 1 at 4, to 3 at 7;" in words
    assert "two from 9 at 0 to 3 at 7." in words


def test_the_words_of_few_points_tell_each():
    own = {1: [50], 2: [29, 30], 3: [12]}
    words = run_lines("Few", "points", "steps", {"": {"own": own}}).words

    assert words == "Lines, Few: own from 50 at 1, 29.5 at 2, to 12 at 3."


def test_names_at_close_ends_stand_apart():
    picture = run_lines("It falls", "bits", "steps", {"": RUNS})

    picture.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in picture.figure.axes[0].texts if text.get_text()]
    names = [box for box, text in zip(boxes, picture.figure.axes[0].texts, strict=True)
             if text.get_text() in RUNS]  # fmt: skip
    assert len(names) == 2 and not names[0].overlaps(names[1])


def test_lines_that_never_move_are_named_in_ink_and_in_words():
    picture = run_lines("It falls", "bits", "steps", {"": RUNS}, lines={"floor": 1.2})

    (floor,) = [t for t in picture.figure.axes[0].texts if t.get_text().startswith("floor")]
    assert floor.get_color() == INK
    assert picture.words.endswith("; a line, floor, at 1.2.")


def test_axes_of_factors_begin_above_zero():
    panels = {"a": {"one": {10: [1.0], 1000: [50.0]}}, "b": {"two": {10: [1.0], 1000: [90.0]}}}
    picture = run_lines("It grows", "bytes", "characters", panels, log="xy")

    for axes in picture.figure.axes:
        assert axes.get_xscale() == axes.get_yscale() == "log" and axes.get_ylim()[0] > 0
