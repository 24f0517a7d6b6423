"""Probabilities where more than one word can follow, beside the true ones."""

import math

import pytest

from course_lib.measure.choice_points import MOST_WORDS, choice_kls, choice_points, hit_probs, kl
from course_lib.measure.held_out import kind_of
from course_lib.world.documents import HITS, held_out_documents
from course_lib.world.grammar import END, split_words
from tests.measure.models import MODEL, TOKENIZER


def test_the_hits_of_a_player_are_probabilities():
    hits = hit_probs(MODEL, TOKENIZER, "Virat Kohli")

    assert hits.keys() == HITS["Virat Kohli"].keys()
    assert all(0 < p < 1 for p in hits.values()) and sum(hits.values()) < 1
    with pytest.raises(ValueError, match="Joe Root"):
        hit_probs(MODEL, TOKENIZER, "Pele")


def test_kl_of_two_coins():
    fair, ln = {"heads": 0.5, "tails": 0.5}, math.log

    assert kl(fair, {"heads": ln(0.5), "tails": ln(0.5)}) == 0
    assert kl(fair, {"heads": ln(0.8), "tails": ln(0.2)}) == pytest.approx(
        0.5 * ln(0.5 / 0.8) + 0.5 * ln(0.5 / 0.2)
    )
    assert kl({"heads": 1.0, "tails": 0.0}, {"heads": ln(0.25)}) == pytest.approx(ln(4))


def test_choice_points_are_held_out_documents_cut_where_there_is_a_choice():
    points, left_out = choice_points(40)
    held_out = list(held_out_documents(400))

    assert len(points) == 40 and left_out > 0
    assert len({kind for _, kind, _ in points}) > 3
    for prefix, kind, truth in points:
        (text,) = [text for text in held_out if text.startswith(prefix)][:1]
        assert kind_of(text) == kind
        assert 2 <= len(truth) <= MOST_WORDS
        assert sum(truth.values()) == pytest.approx(1)
        for word in truth:  # each is a whole word, which the prefix does not break off
            cut = [*split_words(prefix), word]
            assert word == END or split_words(prefix + word) == cut, (prefix, word)
    assert any(END in truth for _, _, truth in points)
    assert any(prefix in held_out for prefix, _, _ in points)  # the last word may be the cut
    assert choice_points(40, seed=1)[0] != points
    with pytest.raises(ValueError, match="1 or more"):
        choice_points(0)
    with pytest.raises(TypeError):  # they are kept for the next model, so no caller may change them
        points[0][2][END] = 0.5


def test_a_model_that_knows_the_truth_has_no_kl_and_the_worst_point_is_named(monkeypatch):
    points, left_out = choice_points()
    truth = {(prefix, word): math.log(p) for prefix, _, ps in points for word, p in ps.items()}
    assert len(truth) > len(points)
    monkeypatch.setattr(
        "course_lib.measure.choice_points.word_log_probs",
        lambda *args: [truth[pair] for pair in args[2]],
    )

    found = choice_kls(MODEL, TOKENIZER)
    assert found["mean_kl"] == found["worst_kl"] == pytest.approx(0)
    assert found["points"] == len(points) and found["left_out"] == left_out

    worst, kind, _ = points[7]
    for pair in truth:
        truth[pair] -= 2 if pair[0] == worst else 0
    found = choice_kls(MODEL, TOKENIZER)
    assert found["worst_prefix"] == worst and found["worst_kl"] == pytest.approx(2)
    assert found["mean_kl"] == pytest.approx(2 / len(points))
    assert {k for k, row in found["by_kind"].items() if row["worst_kl"] > 1} == {kind}
    assert sum(row["points"] for row in found["by_kind"].values()) == len(points)
