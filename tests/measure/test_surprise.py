"""Surprise inside a document, and whether a model is as sure as it says."""

import math

import pytest

from course_lib.measure.held_out import world_log_prob
from course_lib.measure.log_probs import document_log_probs
from course_lib.measure.surprise import calibrated, token_bits
from course_lib.pipeline.release import load_released
from course_lib.world.documents import held_out_documents

MODEL, TOKENIZER = load_released("base")
HELD = list(held_out_documents(12))


@pytest.mark.parametrize("text", [HELD[1], HELD[2], HELD[7]])
def test_the_tokens_bits_add_up_to_the_documents(text):
    names, mine, world = token_bits(MODEL, TOKENIZER, text)

    assert "".join(names[:-1]) == text and names[-1] == "(end)"
    assert sum(mine) == pytest.approx(
        -document_log_probs(MODEL, TOKENIZER, [text])[0] / math.log(2)
    )
    assert sum(world) == pytest.approx(-world_log_prob(text) / math.log(2))


def test_what_the_world_never_writes_costs_it_infinitely_many_bits():
    _, mine, world = token_bits(MODEL, TOKENIZER, "In that match Virat Kohli hit a hat.")

    assert math.inf in world[6:] and math.inf not in world[:6] and math.inf not in mine


def test_a_models_favourites_come_about_as_often_as_it_says():
    groups = calibrated(MODEL, TOKENIZER, HELD * 2)

    n_tokens = sum(len(TOKENIZER.encode(text)) + 1 for text in HELD)
    assert sum(n for _, _, n in groups) == 2 * n_tokens
    assert [said for said, _, _ in groups] == sorted(said for said, _, _ in groups)
    assert all(0 <= came <= 1 for _, came, _ in groups)
    said, came, n = groups[-1]
    assert said > 0.95 and came > 0.97 and n > n_tokens
