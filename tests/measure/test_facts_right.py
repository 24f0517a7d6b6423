"""Facts right: always the same questions, counted by the judge, whoever answers."""

import pytest

from course_lib.measure import facts_right as module
from course_lib.measure.answers import chat_answers
from course_lib.measure.damage import without_layer
from course_lib.measure.facts_right import (
    Left,
    fact_questions,
    facts_right,
    facts_right_of,
    recorded_damage,
    what_is_left,
)
from course_lib.pipeline.release import load_released
from course_lib.world.documents import held_out_documents


def test_the_questions_are_the_same_each_time_and_no_two_are_alike():
    asked = fact_questions(200)

    fact_questions.cache_clear()
    assert fact_questions(200) == asked
    assert len({prompt.text for prompt in asked}) == 200
    assert all(prompt.fact for prompt in asked)


def test_right_answers_are_counted_and_others_are_not():
    answers = {prompt.text: prompt.fact.statements()[0] for prompt in fact_questions(20)}
    first, *_ = answers

    assert facts_right_of(answers.get, 20) == 20
    assert facts_right_of(lambda question: "I don't know.", 20) == 0
    assert facts_right_of(lambda q: answers[q] if q == first else "Paris.", 20) in (1, 2)


def test_a_model_is_asked_as_a_program_is():
    model, tokenizer = load_released("rlhf")
    said = dict(
        zip(
            (prompt.text for prompt in fact_questions(30)),
            chat_answers(model, tokenizer, list(fact_questions(30))),
            strict=True,
        )
    )

    assert facts_right(model, tokenizer, 30) == facts_right_of(said.get, 30) >= 27
    assert facts_right(without_layer(model, 0), tokenizer, 30) == 0


def test_both_halves_at_once(monkeypatch):
    monkeypatch.setattr(module, "facts_right", lambda model, tokenizer: 17)
    model, tokenizer = load_released("rlhf")

    left = what_is_left(model, tokenizer, list(held_out_documents(5)), 20)

    assert left == Left(20, left.bits, 17) and 0.2 < left.bits < 0.8


def test_recorded_noise_has_a_list_for_each_seed_and_begins_whole():
    noise, bits = recorded_damage("noise"), recorded_damage("bits")

    assert len(noise) == 5 and len(bits) == 1
    assert {line[0] for line in noise} == {noise[0][0]} and noise[0][0].amount == 0
    assert [left.amount for left in noise[3]][:6] == [0, 1, 2, 5, 10, 15]
    assert [left.amount for left in bits[0]] == [8, 6, 5, 4, 3, 2]
    with pytest.raises(ValueError, match="expected one of bits, layer, noise, got 'noises'"):
        recorded_damage("noises")


@pytest.mark.parametrize("n", [0, 5000])
def test_an_impossible_number_of_questions_is_refused(n):
    with pytest.raises(ValueError, match=r"expected 1 to 1,0\d\d questions"):
        fact_questions(n)
