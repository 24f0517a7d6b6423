"""A recorded run played back: the slider's step decides what is shown."""

import re

import pytest

from course_lib.widgets.replay import replay


def row(step, reward, gold, answer) -> dict:
    said = [("Thank you!", answer, reward, gold)]
    return {"step": step, "reward": reward, "gold": gold, "kl": step / 10, "answers": said}


ROWS = [row(0, 0.0, 0.6, "You are welcome."), row(4, 1.5, -0.8, "You <i>are</i> one and one.")]


def test_the_slider_shows_the_answers_and_rewards_of_its_step():
    widget = replay("It loves long answers", ROWS)
    assert "You are welcome." in widget._shown.value and "gold +0.60" in widget._shown.value

    widget.at.value = 4

    shown = widget._shown.value
    assert "learned reward +1.50, gold -0.80, 0.4 nats" in shown
    assert "&lt;i&gt;are" in shown and "<i>" not in shown and "You are welcome." not in shown
    assert 'role="status" aria-live="polite"' in shown
    assert widget.row["step"] == 4


def test_the_picture_tells_how_it_began_and_ended_wherever_the_slider_stands():
    widget = replay("It loves long answers", ROWS)

    words = repr(widget)

    assert "learned reward from 0.00 to 1.50; gold reward from 0.60 to -0.80" in words
    assert "Thank you! You are welcome. -> You <i>are</i> one and one." in words


@pytest.mark.parametrize("gold", [1.45, 1.5, 1.55])
def test_names_of_curves_that_end_together_stand_apart(gold):
    shown = replay("Both rise", [ROWS[0], row(4, 1.5, gold, "Yes.")])._shown.value

    tops = [float(top) for top in re.findall(r'style="top:([-\d.]+)%"', shown)]
    assert len(tops) == 4 and all(abs(tops[i] - tops[i + 1]) >= 12.9 for i in (0, 2))


def test_the_chart_says_how_high_both_curves_begin_and_end_and_after_which_step():
    chart = re.sub("<[^>]+>", "|", replay("It loves long answers", ROWS)._chart())

    told = [part for part in chart.split("|") if part]
    assert told == ["+0.00", "+0.60", "learned +1.50", "gold -0.80", "step 0", "step 4"]


def test_an_empty_run_is_refused():
    with pytest.raises(ValueError, match="nothing to play back"):
        replay("nothing", [])
