"""The pictures of notebook 05 tell in words what they show, from the same numbers."""

import numpy as np
import pytest

from course_lib.plots.alignment import (
    accuracy_by_pairs,
    dial,
    gold_against_kl,
    learned_and_gold,
    length_and_score,
    root,
    small_curves,
)


def test_small_curves_tell_where_each_begins_and_ends():
    panels = {"reward": [[1, 0.0, 0.0], [2, 1.0, 0.5]], "KL": [], "a": [], "b": []}
    picture = small_curves("run", panels)

    assert "reward from 0.00 to 0.50" in picture.words and "KL not measured yet" in picture.words
    assert picture.png.startswith(b"\x89PNG")
    titles = [axes.get_title() for axes in picture.figure.axes]
    assert titles == ["reward", "KL", "a", "b", "", ""]


def test_each_kind_of_answer_has_its_means():
    picture = length_and_score("answers", {"right": [(2, 1.0), (4, 2.0)], "wrong": [(6, -1.0)]})

    assert "right: 3.0 words, score 1.50" in picture.words
    assert "wrong: 6.0 words, score -1.00" in picture.words


def test_accuracy_is_averaged_over_the_runs():
    runs = [[(100, 0.5), (1900, 0.7)], [(100, 0.6), (1880, 0.8)]]
    picture = accuracy_by_pairs("RM", runs, {"ceiling": 0.82})

    assert "100 55%, 1,900 75%" in picture.words and "ceiling 82%" in picture.words
    with pytest.raises(ValueError, match="shorter"):
        accuracy_by_pairs("RM", [runs[0], runs[1][:1]], {})


def test_gold_against_kl_gives_the_means_of_the_ends():
    picture = gold_against_kl("three ways", [(0, 0.2), (0, 0.4)], {"PPO": [(0.2, 0.5), (0.4, 0.7)]})

    assert "SFT 0.30 at KL 0" in picture.words and "PPO 0.60 at KL 0.30" in picture.words
    with pytest.raises(ValueError, match="shorter"):  # a seed is missing
        gold_against_kl("three ways", [(0, 0.2), (0, 0.4)], {"PPO": [(0.2, 0.5)]})


def test_learned_rises_and_gold_falls_in_words_too():
    d = np.linspace(0, 2, 21)
    learned, gold = list(zip(d, d, strict=True)), list(zip(d, 1 - d, strict=True))
    picture = learned_and_gold("unleashed", learned, gold, {"gold reward": lambda d: 1 - d})

    assert "learned reward 0.20, later 1.80" in picture.words
    assert "gold reward 0.80, later -0.80" in picture.words
    assert "the fitted form" in picture.words


def test_a_dial_gives_the_mean_of_its_seeds():
    picture = dial("leash", [0, 0.4], {"gold": [[0.1, 0.3], [0.5, 0.7]]})

    assert "gold 0: 0.20, 0.4: 0.60" in picture.words


def test_an_estimate_below_zero_has_the_root_zero():
    assert root(-0.01) == 0.0 and root(4.0) == 2.0
