"""The pictures of notebook 05 tell in words what they show, from the same numbers."""

from course_lib.plots.alignment import best_of, crossing, frontier, small_curves
from course_lib.plots.picture import BASE, INK


def test_small_curves_tell_where_each_begins_and_ends():
    panels = {"reward": [[1, 0.0, 0.0], [2, 1.0, 0.5]], "KL": [], "a": [], "b": []}
    picture = small_curves("run", panels)

    assert "reward from 0.00 to 0.50" in picture.words and "KL not measured yet" in picture.words
    assert picture.png.startswith(b"\x89PNG")
    titles = [axes.get_title(loc="left") for axes in picture.figure.axes]
    assert titles == ["reward  0.50", "KL", "a", "b", "", ""]


def test_a_small_curve_of_a_share_ends_at_one_and_has_its_lines_named():
    points = [[1, 0.4, 0.4], [2, 0.6, 0.5]]
    picture = small_curves("run", {"right": points}, {"right": {"a coin": 0.5}}, steps=40)

    axes = picture.figure.axes[0]
    assert (axes.get_xlim(), axes.get_ylim()) == ((0, 40), (0, 1))
    assert [text.get_text() for text in axes.texts] == ["a coin 0.5"]


def test_a_crossing_tells_both_rewards_and_what_was_written():
    picture = crossing("hacked", [(0, 0.1, 0.6), (4, 1.5, -0.2)], [("Hi!", "Hello!", "Hello! 7")])

    assert "learned reward from 0.10 to 1.50; gold reward from 0.60 to -0.20" in picture.words
    assert "Hi! Hello! -> Hello! 7" in picture.words
    assert picture.png.startswith(b"\x89PNG")
    drawn = [text.get_text() for axes in picture.figure.axes for text in axes.texts]
    assert "at last: Hello! 7" in drawn[-1]


def test_the_best_of_more_answers_has_both_rewards_and_gold_is_ink():
    picture = best_of("a hump", [1, 4], {"learned": [0.0, 1.0], "gold": [0.5, 0.7]}, "reward")

    assert "learned 1: 0.00, 4: 1.00; gold 1: 0.50, 4: 0.70" in picture.words
    assert [line.get_color() for line in picture.figure.axes[0].lines] == [BASE, INK]


def test_the_frontier_tells_where_each_leash_begins_and_ends():
    runs = {"none": [[(0, 0.6), (2, 0.1)], [(0, 0.6), (3, 0.3)]], "0.4": [[(0, 0.6), (1, 0.5)]]}
    picture = frontier("one line", runs)

    told = "none from 0.60 to 0.20 after 2.50 nats; 0.4 from 0.60 to 0.50 after 1.00 nats."
    assert told in picture.words  # and nothing of equal distance: no two points have it
    assert picture.png.startswith(b"\x89PNG")


def test_the_frontier_compares_the_two_tightest_leashes_where_both_have_been():
    loose, tight = [(0, 0.8), (0.4, 0.7), (0.9, 0.1)], [(0, 0.8), (0.1, 0.2), (0.5, 0.6)]
    picture = frontier("a line", {"none": [[(0, 0.8), (5, 0.0)]], "1": [loose], "2": [tight]})

    assert "at equal distance, 0.40 to 0.50 nats, 1 0.70, 2 0.60." in picture.words
