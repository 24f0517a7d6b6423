"""The forecast with sliders: what its settings say, what it keeps, what is stored of it."""

import re
from dataclasses import replace

import pytest

from course_lib.check import guesses
from course_lib.scaling.forecast import PUBLISHED_INPUTS, forecast
from course_lib.widgets import compare, run_out
from course_lib.widgets.forecast import (
    DIALS,
    chart,
    date_in_words,
    kept_forecasts,
    shift_table,
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_ARTIFACTS", str(tmp_path))


def test_every_dial_begins_at_the_published_input():
    assert run_out().assumptions == PUBLISHED_INPUTS
    assert all(getattr(PUBLISHED_INPUTS, dial.name) in dial.settings for dial in DIALS)
    assert all(list(dial.settings) == sorted(set(dial.settings)) for dial in DIALS)


def test_the_words_follow_the_sliders():
    widget = run_out()
    assert "reach the stock about 2028 (nine in ten draws: 2026 to 2030)" in widget._said.value

    widget.dials["growth"].value = 1.5

    assert "about 2033" in widget._said.value and "about 2033" in repr(widget)
    assert 'role="status" aria-live="polite"' in widget._said.value


def test_each_change_alone_tells_by_how_much_it_moves_the_date():
    changed = replace(PUBLISHED_INPUTS, usable=0.4, overtraining=5.0)

    shown = shift_table(changed)

    assert "Usable after filtering: 20% → 40%</th><td>0.8 years later" in shown
    assert "Over-training: none → 5 times</th><td>1.0 years earlier" in shown
    assert "These are the published inputs" in shift_table(PUBLISHED_INPUTS)


def test_a_line_that_never_comes_is_said():
    never = replace(PUBLISHED_INPUTS, growth=1.1, stock_growth=0.2)

    assert "reach the stock not before 2100" in date_in_words(never, forecast(never))
    assert "beyond 2100" in shift_table(replace(PUBLISHED_INPUTS, growth=1.01))


def test_the_reset_button_brings_the_published_inputs_back():
    widget = run_out(replace(PUBLISHED_INPUTS, usable=0.7, epochs=8))

    widget.reset.click()

    assert widget.assumptions == PUBLISHED_INPUTS
    assert "about 2028" in widget._said.value


def test_an_assumption_between_the_settings_gets_a_setting():
    assert run_out(replace(PUBLISHED_INPUTS, usable=0.33)).dials["usable"].label == "33%"


def test_kept_assumptions_are_there_the_next_time_under_their_names():
    widget = run_out()
    assert "Nothing of yours is kept yet" in widget._kept.value
    widget.dials["usable"].value = 1.0
    widget.keep.click()
    widget.name.value, widget.dials["usable"].value = " Ada: <b>of row  3 ", 0.1
    widget.keep.click()

    later = run_out()

    assert kept_forecasts() == {
        "me": replace(PUBLISHED_INPUTS, usable=1.0),
        "Ada <b>of row 3": replace(PUBLISHED_INPUTS, usable=0.1),
    }
    assert "Kept: 2." in later._kept.value and "usable=0.1" in later._kept.value
    assert "<b>" not in later._kept.value
    (row,) = [line for line in guesses("06").splitlines() if line.startswith("run-out year")]
    assert row.split()[-1] == "2028"


def test_a_name_that_is_kept_again_takes_the_place_of_the_earlier_one():
    widget = run_out()
    for growth in (1.5, 2.0):
        widget.dials["growth"].value = growth
        widget.keep.click()

    assert kept_forecasts() == {"me": replace(PUBLISHED_INPUTS, growth=2.0)}


def test_kept_and_pasted_forecasts_are_laid_over_the_published_one():
    assert "One forecast so far" in compare().words
    widget = run_out()
    widget.dials["growth"].value = 1.5
    widget.keep.click()

    picture = compare("\nBo: growth=1.01\n")

    assert picture.words.startswith("Rows of draws over the years, 3 forecasts")
    for told in ("published 2028", "me 2033", "Bo not before 2100"):
        assert told in picture.words
    with pytest.raises(ValueError, match="a line is"):
        compare("no forecast")
    with pytest.raises(ValueError, match="too many for a picture"):
        compare("\n".join(f"p{i}: growth=2" for i in range(60)))


def test_one_year_is_a_year():
    assert "2 forecasts from the same formula, 1 year apart" in compare("Bo: growth=2").words


def test_what_another_version_kept_is_passed_over(monkeypatch):
    monkeypatch.setattr(
        "course_lib.widgets.forecast.kept_guess", lambda _: "me: colour=2\nBo: growth=2"
    )

    assert kept_forecasts() == {"Bo": replace(PUBLISHED_INPUTS, growth=2.0)}


def test_the_chart_draws_both_bands_and_the_draws():
    shown = chart(forecast())

    assert shown.count("<polygon") == shown.count("<polyline") == 2
    assert shown.count("<rect") == 48
    heights = [float(height) for height in re.findall(r'height="([\d.]+)"/>', shown)]
    assert max(heights) == 24 and sum(heights) > 100
    assert ">2028</span>" in shown and ">100 trillion</span>" in shown


def test_what_is_stored_is_a_picture_in_words():
    data, metadata = run_out()._repr_mimebundle_()

    assert data["text/plain"] == metadata["image/png"]["alt"] == repr(run_out())
    assert "about 2028 (nine in ten draws: 2026 to 2030)" in data["text/plain"]


def test_other_things_than_assumptions_are_refused():
    with pytest.raises(ValueError, match="needs Assumptions, got dict"):
        run_out({"usable": 0.5})
