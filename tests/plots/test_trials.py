"""Dots of several seeds: each is drawn and told, and the reader's own run stands apart."""

from course_lib.plots import seed_dots

PANELS = {
    "facts": {"few": [0.2, 0.4], "many": [0.7], "yours": [0.5]},
    "refusals": {"few": [0.0, 0.1], "many": [1.0], "yours": [0.25]},
}


def test_every_seed_is_drawn_once_and_means_only_where_there_are_several_runs():
    picture = seed_dots("More is better", "right answers", PANELS, yours="yours")

    for axes, ways in zip(picture.figure.axes, PANELS.values(), strict=True):
        dots = [x for line in axes.lines if line.get_marker() == "o" for x in line.get_xdata()]
        assert dots == [value for values in ways.values() for value in values]
        means = [line.get_xdata()[0] for line in axes.lines if line.get_marker() != "o"]
        assert means == [sum(ways[way]) / len(ways[way]) for way in ("few", "many")]
    assert picture.figure.axes[0].get_ylim()[0] > picture.figure.axes[0].get_ylim()[1]


def test_the_words_tell_the_spread_and_keep_the_readers_number_apart():
    words = seed_dots("More is better", "right answers", PANELS, yours="yours").words

    assert words == (
        "Dots, More is better: facts few 20% to 40%, mean 30%; many 70%; yours: 50%. "
        "refusals few 0% to 10%, mean 5%; many 100%; yours: 25%."
    )
    one = seed_dots("One", "", {"facts": {"few": [0.2, 0.4]}}).words
    assert one == "Dots, One: few 20% to 40%, mean 30%."
