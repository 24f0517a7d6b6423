"""The pictures of attention say in words what they show, and mark what the words say."""

import numpy as np
import pytest

from course_lib.plots import head_wall, looks_and_matters

PIECES = ["(start)", "␣Kohli", "␣a"]
MAPS = np.zeros((2, 2, 3, 3))
MAPS[..., 0] = 1
MAPS[1, 0, 2] = [0.1, 0.88, 0.02]
MAPS[1, 1, 2] = [0.51, 0.49, 0]


def test_a_wall_has_a_map_for_each_head_in_the_place_of_its_number():
    picture = head_wall("One head looks", PIECES, MAPS, row=2, column=1)

    titles = [axes.get_title() for axes in picture.figure.axes]
    assert titles == ["0.0   0%", "0.1   0%", "1.0   88%", "1.1   49%"]
    assert "layer 0: head 0 0%, head 1 0%; layer 1: head 0 88%, head 1 49%" in picture.words
    assert "One head looks" in picture.words and "From ␣a to ␣Kohli" in picture.words
    assert picture.figure.get_suptitle() == "One head looks"


def test_a_wall_frames_the_heads_that_give_half_or_more():
    picture = head_wall("One head looks", PIECES, MAPS, row=-1, column=1)

    widths = [axes.spines["left"].get_linewidth() for axes in picture.figure.axes]
    assert widths == [1, 1, 2, 1]


def test_dots_stand_where_heads_look_and_matter_and_the_crowd_has_no_names():
    looks = {"0.0": 0.01, "1.0": 0.88, "1.1": 0.38}
    costs = {"0.0": -0.04, "1.0": 2.0, "1.1": 7.25}

    picture = looks_and_matters("Looking isn't mattering", looks, costs, "points", to="␣Kohli")

    (axes,) = picture.figure.axes
    dots = next(line for line in axes.lines if line.get_marker() == "o")
    assert dots.get_xydata().tolist() == [[0.01, -0.04], [0.88, 2.0], [0.38, 7.25]]
    named = [text.get_text() for text in axes.texts]
    assert named == ["1.0", "1.1", "points"]
    assert axes.get_xlabel().endswith("gives to ␣Kohli")
    assert picture.words == (
        "Dots, Looking isn't mattering. Across: how much of its attention the head gives to "
        "␣Kohli. Up: points. 0.0 looks 1%, costs 0.0; 1.0 looks 88%, costs 2.0; 1.1 looks 38%, "
        "costs 7.2."
    )


@pytest.mark.parametrize("row", [2, -1])
def test_a_row_may_be_counted_from_the_end(row):
    assert "From ␣a to ␣Kohli" in head_wall("t", PIECES, MAPS, row=row, column=-2).words
