"""The pictures of damaged models draw both halves, and say in words what they draw."""

import numpy as np
import pytest

from course_lib.plots import facts_bars, four_histograms, loss_and_facts, losses_beside_facts

ONE = [(0, 0.4, 190), (20, 0.5, 120), (40, 2.0, 0)]
OTHER = [(0, 0.4, 190), (20, 0.6, 140), (40, 2.4, 10)]


def test_the_thick_line_is_the_mean_of_the_thin_ones():
    picture = loss_and_facts("They go", "noise", [ONE, OTHER], 0.38)

    loss, facts = picture.figure.axes
    thin, thick = loss.lines[:2], loss.lines[2]
    assert [list(line.get_ydata()) for line in thin] == [[0.4, 0.5, 2.0], [0.4, 0.6, 2.4]]
    assert thick.get_ydata() == pytest.approx([0.4, 0.55, 2.2])
    assert list(facts.lines[2].get_ydata()) == [190, 130, 5]
    assert thick.get_linewidth() > 2 * thin[0].get_linewidth()
    assert "2 seeds and their mean" in picture.words
    assert "20: 0.55 bits per byte, 130 facts" in picture.words and "Floor 0.38." in picture.words


def test_answers_stand_below_and_a_dot_of_ones_own_is_named():
    picture = loss_and_facts(
        "t", "x", [ONE, OTHER], 0.38, answers={20: "P$r$s."}, yours=(20, 0.52, 125)
    )

    loss, facts = picture.figure.axes
    assert [text.get_text() for text in loss.texts if text.get_text() == "yours"] == ["yours"]
    assert "P$r$s." in [text.get_text() for text in facts.texts]
    assert "130 facts, it says P$r$s." in picture.words
    assert picture.words.endswith("Loss, yours: 0.52; facts, yours: 125.")
    assert picture.png.startswith(b"\x89PNG")  # dollars are no formula


def test_one_line_has_no_seeds_and_names_stand_at_the_axis():
    picture = loss_and_facts("t", "bits", [ONE], 0.38, names={0: "none", 20: "some", 40: "all"})

    facts = picture.figure.axes[1]
    assert [label.get_text() for label in facts.get_xticklabels()] == ["none", "some", "all"]
    assert list(facts.get_xticks()) == [0, 20, 40] and len(facts.lines) == 1
    assert "none: 0.40 bits per byte, 190 facts" in picture.words and "one line" in picture.words


def test_bars_stand_side_by_side_in_one_colour():
    rows = {"whole": (0, 0.42, 192), "without layer 0": (0, 4.1, 0)}

    picture = losses_beside_facts("All are needed", rows, {"floor": 0.4, "alike": 3.5})

    left, right = picture.figure.axes
    assert [bar.get_width() for bar in left.patches] == [0.42, 4.1]
    assert [bar.get_width() for bar in right.patches] == [192, 0]
    assert len({bar.get_facecolor() for bar in [*left.patches, *right.patches]}) == 1
    assert picture.figure.get_suptitle() == "All are needed"
    assert "without layer 0: 4.10 bits per byte, 0 facts" in picture.words
    assert "Lines: floor 0.40, alike 3.50." in picture.words


def test_bars_of_facts_are_as_long_as_there_are_facts():
    picture = facts_bars("One", {"as it is": 192, "broken": 3})

    frames, bars = picture.figure.axes[0].containers
    assert [bar.get_width() for bar in bars] == [192, 3]
    assert [frame.get_width() for frame in frames] == [200, 200]
    assert picture.words == "Bars, One: of 200 questions right: as it is 192; broken 3."


def test_each_family_of_numbers_has_its_own_panel():
    families = {"hill": np.linspace(-1, 1, 1001), "far away": np.full(50, 3.0) + np.eye(50)[0]}

    picture = four_histograms("Two", families)

    assert len(picture.figure.axes) == 2
    assert "hill, 1,001 numbers of size 0.58, from -0.99 to 0.99" in picture.words
    low, high = picture.figure.axes[1].get_xlim()
    assert low < 0 < 3 < high  # the line at zero is always to be seen
