"""Shares, bits and agreements: what a class said beside the right answer."""

import math
import random
from dataclasses import replace

import pytest

from course_lib.check.question import question
from course_lib.classroom.rounds import PAIR_CHOICES, Material
from course_lib.classroom.store import Round
from course_lib.classroom.tally import agreement, bits, judged, result, smoothed
from course_lib.world.annotators import gold
from course_lib.world.documents import world_grammar

MATERIAL = Material()
KOHLI = "In that match Virat Kohli hit a"
CLOSED = dict(state="closed", shown=True)


def a_round(kind, about="", items=("",), **more) -> Round:
    return Round(1, kind, about, items, **(CLOSED | more))


def scores(told) -> dict:
    return {row["who"]: row["bits"] for row in told["bits"]}


def test_bits_are_the_surprise_on_average():
    assert bits([1.0, 0.0], [0.25, 0.75]) == 2
    assert bits([0.5, 0.5], [0.5, 0.5]) == 1
    assert bits([0.0, 1.0], [0.0, 1.0]) == 0  # what never comes surprises nobody
    assert smoothed([0, 0]) == [0.5, 0.5] and sum(smoothed([7, 2, 0])) == pytest.approx(1)


def test_a_class_is_scored_as_the_model_is_and_nobody_beats_the_truth():
    truth = world_grammar().next_word(KOHLI)
    floor = -sum(p * math.log2(p) for p in truth.values())
    word = a_round("word", KOHLI)
    votes = {name.strip(): round(1000 * p) for name, p in truth.items()}

    told = result(MATERIAL, word, {1: {"": votes}})
    assert scores(told)["the truth itself"] == round(floor, 2)
    assert floor < scores(told)["the model"] + 0.005 < floor + 0.1
    assert scores(told)["you"] == pytest.approx(floor, abs=0.02)
    all_six = result(MATERIAL, word, {1: {"": {"six": 25}}})
    assert scores(all_six)["you"] > 3  # who all bet on the likeliest is far off
    rows = {bar["value"]: (bar["truth"], bar["votes"]) for bar in told["bars"]}
    assert rows["six"] == (0.45, [450]) and rows["ball"] == (0.05, [50])


@pytest.mark.parametrize(("kind", "about"), [("word", KOHLI), ("guess", "deciding-name")])
def test_before_it_is_shown_nothing_tells_what_is_so(kind, about):
    told = result(MATERIAL, a_round(kind, about, shown=False), {1: {"": {"a": 3}}})

    assert set(told) == {"ballots", "bars"}
    assert all(set(bar) == {"value", "text", "votes"} for bar in told["bars"])


def test_a_choice_is_scored_by_the_share_of_those_who_are_right():
    one, right = a_round("guess", "deciding-name", ballot=2), question("deciding-name").right
    told = result(MATERIAL, one, {1: {"": {"a": 6, right: 2}}, 2: {"": {right: 8}}})

    first, again = (-math.log2((n + 0.5) / 9.5) for n in (2, 8))
    assert scores(told) == {
        "you, vote 1": round(first, 2),
        "you, vote 2": round(again, 2),
        "somebody who rolls a die": round(math.log2(3), 2),
    }
    assert [bar["right"] for bar in told["bars"]] == [False, True, False]


def test_numbers_have_a_middle_and_a_band_that_counts_as_found():
    asked = question("six-share")  # 45, found from 40 to 50
    votes = {"45": 3, "50": 1, "90": 2, "0.5": 1}
    told = result(MATERIAL, a_round("guess", asked.id), {1: {"": votes}})

    assert told["middle"] == ["45"] and told["found"] == ["4 of 7"]
    assert told["answer"] == {"value": 45, "text": "45%"}
    assert scores(told) == {"you": round(-math.log2(4.5 / 8), 2)}
    assert sum(bar["votes"][0] for bar in told["bins"]) == 7
    hidden = result(MATERIAL, a_round("guess", asked.id, shown=False), {1: {"": votes}})
    assert set(hidden) == {"ballots", "unit", "bins", "middle"}


@pytest.mark.parametrize(
    "values",
    [["7"], ["7", "7.5"], ["0", "-3"], ["1e15", "-1e15"], ["1e-9", "1e15"], ["1e-9", "2e-9"],
     [str(i) for i in range(40)], [*map(str, range(40)), "999999999"], ["0.1", "0.2", "0.3"]],
)  # fmt: skip
def test_every_number_stands_in_one_bar(values):
    one = a_round("guess", "merge-saves")

    told = result(MATERIAL, one, {1: {"": dict.fromkeys(values, 2)}})
    bins = told["bins"]
    assert sum(bar["votes"][0] for bar in bins) == 2 * len(values) and 1 <= len(bins) <= 13
    assert all(bar["low"] < bar["high"] for bar in bins)
    ordinary = [v for v in map(float, values) if bins[0]["low"] <= v < bins[-1]["high"]]
    assert len(ordinary) >= 0.9 * len(values)  # only what is far off stands in a bar of others


def test_nobody_voted():
    guesses = [a_round("guess", about) for about in ("six-share", "deciding-name")]
    pairs = a_round("pairs", items=tuple(MATERIAL.pairs)[:3])
    for one in (*guesses, a_round("word", KOHLI), pairs):
        told = result(MATERIAL, one, {1: {}})
        assert "you" not in [row["who"] for row in told.get("bits", [])]
        assert all(row["share"] is None for row in told.get("agree", []))


def test_agreement_is_that_of_two_voters_drawn_by_lot():
    count, rng = [{"a": 5, "b": 2, "tie": 3}, {"a": 1, "bad": 4}, {"b": 3}], random.Random(0)
    assert agreement(count[:1]) == (5 * 4 + 2 * 1) / (7 * 6)
    assert agreement(count[1:2]) is None  # nobody to agree with
    votes = [(i, side) for i, c in enumerate(count) for side in "ab" for _ in range(c.get(side, 0))]
    drawn = [rng.sample(votes, 2) for _ in range(40_000)]
    alike = [x == y for (i, x), (j, y) in drawn if i == j]
    assert agreement(count) == pytest.approx(sum(alike) / len(alike), abs=0.02)


def test_a_room_that_judges_as_the_gold_reward_agrees_with_it():
    pairs = [pair for pair in MATERIAL.pairs.values() if judged(pair)[0]][:12]
    one = a_round("pairs", items=tuple(pair.id for pair in pairs))
    best = {
        pair.id: {"a" if gold(pair.prompt, pair.a) > gold(pair.prompt, pair.b) else "b": 4}
        for pair in pairs
    }
    worst = {id: {"ab"["a" in votes]: 4} for id, votes in best.items()}

    agree = [row["share"] for row in result(MATERIAL, one, {1: best})["agree"]]
    assert agree[0] == agree[2] == 1 and 0.7 < agree[1] < 1  # the crowd is noisy
    against = [row["share"] for row in result(MATERIAL, one, {1: worst})["agree"]]
    assert against[0] == 1 and against[2] == 0 and against[1] == pytest.approx(1 - agree[1])
    hidden = result(MATERIAL, replace(one, shown=False), {1: best})
    assert len(hidden["agree"]) == 1 and "gold" not in str(hidden)


def test_ties_and_bad_pairs_are_shown_and_decide_nothing():
    pair = next(iter(MATERIAL.pairs.values()))
    one = a_round("pairs", items=(pair.id,))

    told = result(MATERIAL, one, {1: {pair.id: {"tie": 5, "bad": 2}}})
    assert told["pairs"][0]["votes"] == {"a": 0, "b": 0, "tie": 5, "bad": 2}
    assert set(told["pairs"][0]["votes"]) == set(PAIR_CHOICES)
    assert {row["share"] for row in told["agree"]} == {None}


def test_the_crowd_judges_as_its_noise_says():
    pairs = list(MATERIAL.pairs.values())
    expected = [1 / (1 + math.exp(-judged(pair)[0] / 0.3)) for pair in pairs]

    apart = [judged(pair)[1] - p for pair, p in zip(pairs, expected, strict=True)]
    assert abs(sum(apart)) / len(apart) < 0.02 and max(map(abs, apart)) < 0.15
