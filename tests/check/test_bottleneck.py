"""What the exercises of notebook 06 ask, and what they hand out: runs, cards, readings."""

import math

import pytest

from course_lib.check import bottleneck, hint, use
from course_lib.check.bottleneck import (
    CLOSE,
    FURTHER,
    bits_after,
    extrapolated,
    extrapolations,
    kept,
    readings,
    real_cards,
    years_left,
)
from course_lib.scaling.laws import fit


def test_what_is_predicted_lies_beyond_all_that_is_handed_out():
    for used, target in extrapolations():
        assert len(used) >= 6
        assert max(row["parameters"] for row in used) < target["parameters"]
        assert max(row["tokens"] for row in used) * FURTHER <= target["tokens"]


def test_the_error_is_told_as_a_share_of_what_is_left_above_the_floor():
    targets = [target for _, target in extrapolations()]
    found = {(t["parameters"], t["tokens"]): t["bits_per_byte"] for t in targets}
    floor = targets[0]["floor_bits_per_byte"]

    def off(share):
        return lambda _, n, d: floor + (1 + share) * (found.get((n, d), floor) - floor)

    assert extrapolated(off(0)).ok and extrapolated(off(0)).words.count("+0% of what is left") == 2
    assert extrapolated(off(-0.2)).ok and not extrapolated(off(0.5)).ok
    assert f"within {CLOSE:.0%}" in extrapolated(off(0.5)).words
    assert extrapolated(off(0.5)).words.count("+50% of what is left above the floor") == 2


def test_a_law_that_promises_less_than_the_floor_is_refused():
    def law(runs, n, d):
        keys = ("parameters", "tokens", "bits_per_byte")
        return fit(*[[run[key] for run in runs] for key in keys]).loss(n, d)

    assert "so that can't be" in extrapolated(law).words and not extrapolated(law).ok


def test_a_learner_who_changes_the_runs_changes_no_later_verdict():
    def spoil(runs, n, d):
        for run in runs:
            run["bits_per_byte"] = 0.0
        return 1.0

    before = extrapolated(lambda runs, n, d: runs[0]["bits_per_byte"])
    extrapolated(spoil)
    assert extrapolated(lambda runs, n, d: runs[0]["bits_per_byte"]) == before


def test_real_cards_keep_the_rare_word_and_none_lose_it():
    shares = [kept(real) for real in (0, 2, 10, 40)]

    assert shares == sorted(shares) and shares[0] < 15
    # only real cards: two balls in forty are missed with probability 0.95 to the power of 40
    assert shares[-1] == pytest.approx(100 * (1 - 0.95**40), abs=2)


@pytest.mark.parametrize(
    ("real", "said"),
    [(2, "should be 60 or more"), (20, "Fewer would do"), (True, "A whole number"), (None, "None")],
)
def test_another_number_of_cards_is_refused_with_what_it_gives(real, said):
    verdict = real_cards(real)

    assert not verdict.ok and said in verdict.words


@pytest.mark.parametrize("times", [None, 0, 25, 2.0, True, "often"])
def test_readings_that_are_no_number_are_refused_without_a_training(times, monkeypatch):
    monkeypatch.setattr(bottleneck, "bits_after", lambda *_: pytest.fail("it was trained"))

    assert not readings(times).ok


def test_a_second_reading_of_the_text_helps():
    assert bits_after(2) < 0.9 * bits_after(1)


@pytest.mark.parametrize(
    "mine",
    [
        lambda stock, used, growth: (stock - used) / (used * (growth - 1)),  # a straight line
        lambda stock, used, growth: math.log(stock / used),
        lambda stock, used, growth: math.log(stock / used) / growth,
        lambda stock, used, growth: math.log(used / stock) / math.log(growth),
    ],
)
def test_a_wrong_sum_of_years_is_not_used(mine, capsys):
    assert use(mine, "years_left") is years_left

    told = capsys.readouterr().out
    assert "expected" in told and "log" not in told


def test_a_right_sum_of_years_is_used(capsys):
    def mine(stock, used, growth):
        years = 0
        while used * growth**years < stock * (1 - 1e-12):
            years += 1e-3
        return years

    def right(stock, used, growth):
        return math.log2(stock / used) / math.log2(growth)

    assert use(mine, "years_left") is years_left  # only to three digits
    assert use(right, "years_left") is right
    assert capsys.readouterr().out.endswith("years_left: yours\n")


@pytest.mark.parametrize("name", ["years_left", "extrapolated", "readings", "real_cards"])
def test_each_exercise_has_hints(name):
    assert repr(hint(name)).startswith("Hint 1 of ")
