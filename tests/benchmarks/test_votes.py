"""Scripted classes, whose votes change the assistant."""

from benchmarks.votes import PHONES, TASTES, votes
from course_lib.align.preferences import Preference
from course_lib.classroom.rounds import PAIRS, read_pairs


def test_a_class_votes_for_what_it_likes_but_for_some_tosses():
    cast = votes(TASTES["the shorter one"], pairs=12, seed=0)
    shorter = [len(vote.chosen.split()) < len(vote.rejected.split()) for vote in cast]

    assert 0.85 < sum(shorter) / len(shorter) < 0.95  # nine in ten, as one vote in five is tossed
    assert cast == votes(TASTES["the shorter one"], pairs=12, seed=0)
    assert cast != votes(TASTES["the shorter one"], pairs=12, seed=1)


def test_whoever_finds_both_as_good_decides_nothing():
    third = read_pairs(PAIRS)[2]  # a fact in two lengths: nobody declines
    cast = votes(TASTES["never I don't know"], pairs=3, seed=0)

    both = {Preference(third.prompt, third.a, third.b), Preference(third.prompt, third.b, third.a)}
    assert 0 < sum(vote in both for vote in cast) < PHONES / 2
