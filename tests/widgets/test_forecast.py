"""The forecast with sliders: what its settings say, what it keeps, what is stored of it."""

import re
from dataclasses import replace

import pytest

from course_lib.check import guesses
from course_lib.scaling.forecast import PUBLISHED_INPUTS, forecast
from course_lib.widgets import run_out
from course_lib.widgets.forecast import DIALS, chart, date_in_words, shift_table


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


def test_kept_assumptions_stand_beside_the_published_ones_the_next_time():
    widget = run_out()
    assert "Nothing of yours is kept yet" in widget._kept.value
    widget.dials["usable"].value = 1.0
    widget.keep.click()

    later = run_out()

    assert "Kept: 2030 with stock 510 trillion, usable 100%, epochs 3.4 times" in later._kept.value
    assert "published inputs: about 2028" in later._kept.value
    (row,) = [line for line in guesses("06").splitlines() if line.startswith("run-out year")]
    assert row.split()[-2:] == ["2030", "2028"]


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
