"""The recorded words of others: what the lesson says of them stands in the files."""

import json

import pytest

from course_lib.machine.folders import measurement
from course_lib.measure.held_out import held_out
from course_lib.measure.public import (
    MODEL,
    TEXTS,
    TOKENS,
    asked,
    public_greedy,
    public_model,
    public_tokens,
    public_units,
    units,
)
from course_lib.pipeline.release import load_released
from course_lib.text.tokenizer import visible
from course_lib.world.documents import held_out_documents

SENTENCE = "In that match Virat Kohli hit a"


def test_each_text_is_recorded_whole_for_each_tokenizer():
    found = public_tokens()

    assert tuple(found) == TEXTS
    for text, cuts in found.items():
        assert len(cuts) == 2
        for pieces in cuts.values():
            if not any("‹" in piece for piece in pieces):
                assert "".join(pieces) == visible(text)


def test_the_zoo_is_as_the_lesson_describes_it():
    punjab, name = public_tokens()["ਪੰਜਾਬ"], public_tokens()[" SolidGoldMagikarp"]
    for cut in public_tokens()["strawberry strawberry STRAWBERRY"].values():
        assert cut[:4] == ["st", "raw", "berry", "␣strawberry"]

    assert [len(cut) for cut in punjab.values()] == [10, 2]
    assert [len(cut) for cut in name.values()] == [1, 5]


def test_a_record_says_how_it_was_made():
    for name in (TOKENS, MODEL):
        record = json.loads(measurement(name).read_text(encoding="utf-8"))
        assert record["command"].startswith("python -m benchmarks.public ")
        assert record["date"] and record["source"]


def test_the_real_model_is_shown_with_what_it_gave():
    best = public_model(SENTENCE, 3)

    assert next(iter(best)) == "␣target" and len(best) == 3 and sum(best.values()) < 0.1
    assert set(public_model(SENTENCE + " ", 10)) == set("0123456789")
    assert public_greedy(SENTENCE).startswith(f"{SENTENCE} target of 1000 in 1000000")
    assert public_units()["bits per byte"] > 4 * 0.4
    with pytest.raises(ValueError, match=r"one of the recorded prompts .* load it"):
        public_model("What is love?", 3)


def test_our_own_model_can_be_asked_the_same():
    model, tokenizer = load_released("base")
    found = asked(model, tokenizer, [SENTENCE], ["six"])[SENTENCE]
    held = list(held_out_documents(5))

    loss, here = held_out(model, tokenizer, held), units(model, tokenizer, held)
    assert next(iter(found["top"])) == "␣six"
    assert found["words"]["six"] == pytest.approx(found["top"]["␣six"], abs=1e-4)
    assert found["greedy"].startswith(" six.")
    assert here["bits per byte"] == pytest.approx(loss.bits_per_byte)
    per_byte = here["bits per token"] / here["bytes per token"]
    assert per_byte == pytest.approx(here["bits per byte"])
