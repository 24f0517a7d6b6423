"""What the exercises of notebook 06 ask, and what they hand out: runs, cards, readings."""

import math

import numpy as np
import pytest
from scipy.optimize import least_squares

from course_lib.check import bottleneck, hint, use
from course_lib.check.bottleneck import (
    CLOSE,
    FURTHER,
    bits_after,
    extrapolated,
    extrapolations,
    growth_until,
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
        return lambda _, n, d: (
            floor + (1 + share) * (found.get((n, d), floor + 1e10 / n / d) - floor)
        )

    assert extrapolated(off(0)).ok and extrapolated(off(0)).words.count("+0% of what is left") == 2
    assert extrapolated(off(-0.2)).ok and not extrapolated(off(0.5)).ok
    assert f"within {CLOSE:.0%}" in extrapolated(off(0.5)).words
    assert extrapolated(off(0.5)).words.count("+50% of what is left above the floor") == 2


def test_a_law_that_promises_less_than_the_floor_is_refused():
    def law(runs, n, d):
        keys = ("parameters", "tokens", "bits_per_byte")
        return fit(*[[run[key] for run in runs] for key in keys]).loss(n, d)

    assert "so that can't be" in extrapolated(law).words and not extrapolated(law).ok


def logs(runs, n, d, features, digits=9):
    """A straight line through logarithms: what is left above the floor, over sizes and tokens."""
    floor = runs[0]["floor_bits_per_byte"]
    size, tokens, bits = (
        np.array([run[key] for run in runs]) for key in ("parameters", "tokens", "bits_per_byte")
    )
    x = features(np.log(size / 1e5), np.log(tokens / 1e5))
    slopes = np.linalg.lstsq(np.stack(x, axis=1), np.log(bits - floor), rcond=None)[0]
    asked = np.array(features(np.log([n / 1e5]), np.log([d / 1e5])))[:, 0]
    return round(float(floor + np.exp(slopes @ asked)), digits)


def additive(runs, n, d):
    """The course's formula with the floor as E."""
    floor = runs[0]["floor_bits_per_byte"]
    size, tokens, bits = (
        np.array([run[key] for run in runs]) for key in ("parameters", "tokens", "bits_per_byte")
    )

    def law(theta, size, tokens):
        a, slope_a, b, slope_b = theta
        return np.exp(a - slope_a * np.log(size / 1e5)) + np.exp(b - slope_b * np.log(tokens / 1e5))

    found = least_squares(lambda theta: law(theta, size, tokens) - bits + floor, [-1, 0.5, -1, 0.7])
    return floor + law(found.x, n, d)


def above_the_floor(runs, n, d):
    floor = runs[0]["floor_bits_per_byte"]
    left = [run["bits_per_byte"] - floor for run in runs]
    columns = ([run[key] for run in runs] for key in ("parameters", "tokens"))
    return floor + fit(*columns, left).loss(n, d)


@pytest.mark.parametrize(
    "honest",
    [
        lambda *a: logs(*a, lambda x, y: [x**0, x, y]),
        lambda *a: logs(*a, lambda x, y: [x**0, x, y], digits=3),
        lambda *a: logs(*a, lambda x, y: [x**0, x, y, x * y]),
        lambda *a: logs(*a, lambda x, y: [x**0, x, y, x * y, x * x, y * y]),
        lambda *a: logs(*a, lambda x, y: [x**0, x + y]),  # of the operations alone
        lambda runs, *a: logs(
            [r for r in runs if r["tokens"] > 5e4], *a, lambda x, y: [y**0, x, y]
        ),
        additive,
        above_the_floor,
    ],
)
def test_whoever_fits_another_curve_above_the_floor_is_right(honest):
    assert extrapolated(honest).ok, extrapolated(honest)


@pytest.mark.parametrize(
    ("cheat", "depends"),
    [
        (lambda runs, n, d: 0.5, "d"),
        (lambda runs, n, d: 1.28 * runs[0]["floor_bits_per_byte"], "d"),
        (lambda runs, n, d: 0.5 - 1e-3 * (d > 2e6), "d"),
        (lambda runs, n, d: 0.39 + 2.2e5 / d, "n"),
    ],
)
def test_a_number_that_hits_the_first_run_by_luck_is_refused(cheat, depends):
    assert f"What in your answer depends on {depends}?" in extrapolated(cheat).words
    assert not extrapolated(cheat).ok


@pytest.mark.parametrize("least", [0, 1e-5, 0.01])  # above the floor
def test_a_law_that_is_held_up_by_the_floor_is_refused(least):
    def held_up(runs, n, d):
        keys = ("parameters", "tokens", "bits_per_byte")
        law = fit(*[[run[key] for run in runs] for key in keys])
        return max(runs[0]["floor_bits_per_byte"] + least, law.loss(n, d))

    assert "911,104 parameters after 7,864,320 tokens" in extrapolated(held_up).words
    assert not extrapolated(held_up).ok


def test_a_learner_who_changes_the_runs_changes_no_later_verdict():
    def spoil(runs, n, d):
        for run in runs:
            run["bits_per_byte"] = 0.0
        return 1.0

    before = extrapolated(lambda runs, n, d: runs[0]["bits_per_byte"])
    extrapolated(spoil)
    assert extrapolated(lambda runs, n, d: runs[0]["bits_per_byte"]) == before


def test_one_card_is_a_card():
    assert "With 1 real card of 40" in real_cards(1).words


@pytest.mark.parametrize("growth", [1.25, 1.35, 2.401])
def test_a_growth_has_one_decimal(growth):
    verdict = growth_until(growth)

    assert not verdict.ok and verdict.words == f"One decimal is enough, got {growth:g}."


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
