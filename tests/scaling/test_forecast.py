"""The run-out forecast: the published inputs give the published date, and each dial turns it."""

import math
from dataclasses import replace

import numpy as np
import pytest

from course_lib.scaling.forecast import (
    DRAWS,
    PUBLISHED_INPUTS,
    START,
    Assumptions,
    as_line,
    forecast,
    from_line,
    in_words,
    readable_year,
    sets_in,
    shifts,
)


def test_the_published_inputs_give_the_published_date():
    found = forecast()

    low, high = found.interval(0.95)
    assert found.median == pytest.approx(2028, abs=1)  # Villalobos et al.: median 2028
    assert 2025 <= low <= 2027 and 2030 <= high <= 2033  # ... range 2026-2032
    assert found.share_before(2032) > 0.9  # ... "very likely by 2032"


def test_the_published_inputs_give_the_published_stock():
    # 320 trillion tokens, adjusted for quality and repetition; about 400 trillion in 2028
    assert PUBLISHED_INPUTS.effective_stock == pytest.approx(320e12, rel=0.05)
    found = forecast(until=2028)
    assert found.stock[1, -1] == pytest.approx(4e14, rel=0.1)
    low, _, high = found.stock[:, 0]
    assert math.log10(high / low) == pytest.approx(math.log10(1700 / 65) * 3.29 / 3.92, rel=0.05)


def test_five_times_overtraining_comes_a_year_earlier():
    earlier = forecast(replace(PUBLISHED_INPUTS, overtraining=5)).median - forecast().median

    assert earlier == pytest.approx(-1, abs=0.25)  # the paper: about one year


def test_without_uncertainty_of_the_stock_the_lines_meet_where_the_sum_says():
    # log10(300 / 15) / 0.38 = 3.42 years, with a stock that stands still
    still = Assumptions(stock=300e12, usable=1.0, epochs=1.0, stock_growth=0.0)

    assert forecast(still).median - START == pytest.approx(math.log10(20) / 0.38, abs=0.15)


@pytest.mark.parametrize(
    ("change", "later"),
    [
        (dict(stock=1000e12), True),
        (dict(usable=0.1), False),
        (dict(epochs=1.0), False),
        (dict(growth=1.5), True),
        (dict(stock_growth=0.2), True),
        (dict(overtraining=10), False),
        (dict(start=30e12), False),
    ],
)
def test_each_assumption_moves_the_date_its_way(change, later):
    moved = forecast(replace(PUBLISHED_INPUTS, **change)).median - forecast().median

    assert (moved > 0.1) if later else (moved < -0.1)
    assert shifts(replace(PUBLISHED_INPUTS, **change)) == {next(iter(change)): pytest.approx(moved)}


def test_what_is_not_changed_shifts_nothing():
    assert shifts(PUBLISHED_INPUTS) == {}


def test_lines_that_never_meet_have_no_date():
    never = forecast(replace(PUBLISHED_INPUTS, growth=1.0, stock_growth=0.5))

    assert never.median == math.inf
    assert in_words(never).startswith("not before 2100")
    assert never.share_before(2100) < 0.5


def test_what_has_run_out_already_runs_out_now():
    assert set(forecast(replace(PUBLISHED_INPUTS, stock=1e9)).dates) == {START}


def test_a_forecast_is_a_function_of_its_seed():
    first, again, other = (forecast(seed=seed) for seed in (1, 1, 2))

    assert np.array_equal(first.dates, again.dates)
    assert not np.array_equal(first.dates, other.dates)
    assert first.median == pytest.approx(other.median, abs=0.1)
    assert len(first.dates) == DRAWS


def test_the_bands_begin_where_we_are_and_lie_in_order():
    found = forecast()

    assert found.demand[:, 0] == pytest.approx([15e12] * 3)
    assert (np.diff(found.demand, axis=0) >= 0).all() and (np.diff(found.stock, axis=0) > 0).all()


def test_a_date_in_words():
    assert in_words(forecast()) == "about 2028 (nine in ten draws: 2026 to 2030)"
    assert [readable_year(year) for year in (2027.6, 2100.5, math.inf)] == [
        "2028",
        "not before 2100",
        "not before 2100",
    ]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Assumptions(stock=0), "stock must be a finite number above 0"),
        (lambda: Assumptions(growth=float("nan")), "growth must be"),
        (lambda: Assumptions(usable=1.5), "usable is a share"),
        (lambda: Assumptions(stock_growth=-0.1), "stock_growth must be"),
    ],
)
def test_what_gives_no_forecast_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_sets_of_a_year_have_the_published_middle_and_band():
    drawn = sets_in(2026.9)

    low, middle, high = np.quantile(drawn, [0.025, 0.5, 0.975])
    assert middle == pytest.approx(15e12 * 2.4**2.6, rel=0.02)
    assert low == pytest.approx(15e12 * 10 ** (0.27 * 2.6), rel=0.05)
    assert high == pytest.approx(15e12 * 10 ** (0.48 * 2.6), rel=0.05)
    assert len(drawn) == DRAWS and set(sets_in(START)) == {15e12}


def test_assumptions_go_through_a_line_of_text_and_back():
    mine = Assumptions(stock=3.1e15, usable=0.4, growth=1.5)

    line = as_line("Ada, from row 3", mine)

    assert from_line(line) == ("Ada, from row 3", mine)
    assert from_line("Bo: growth=2") == ("Bo", Assumptions(growth=2))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("growth=2", "a line is"),
        ("Bo: growth 2", "a line is"),
        ("Bo:", "a line is"),
        (": growth=2", "a line is"),
        ("Bo: greed=2", "'greed' is no assumption"),
        ("Bo: start=2", "'start' is no assumption"),
        ("Bo: growth=fast", "Bo: could not convert"),
        ("Bo: usable=2", "a share of the stock"),
        ("Bo: growth=nan", "a finite number"),
    ],
)
def test_a_line_that_is_none_is_refused_with_words(line, said):
    with pytest.raises(ValueError, match=said):
        from_line(line)
