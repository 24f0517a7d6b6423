"""Facts that a model completes, and what it writes after a bare question."""

import pytest

from course_lib.measure.answers import bare_questions, recalls, watched, went_on_with
from course_lib.world.dialogues import fact_prompts, read_prompt, test_prompts
from course_lib.world.documents import note_on
from course_lib.world.facts import FACTS, SPLITS, facts_of, fill
from tests.measure.models import MODEL, TOKENIZER, say

FRANCE = "What is the capital of France?"


def test_recall_counts_a_model_that_knows_nothing_as_nothing():
    assert recalls(MODEL, TOKENIZER) == {
        "asked_in_sft": 0.0,
        "asked_in_pretraining": 0.0,
        "stated_only": 0.0,
    }


def test_recall_counts_exact_answers_however_long(monkeypatch):
    known = {}
    for fact in FACTS:
        for template in fact.relation.forward:
            prefix = note_on(fact, fill(template, fact.subject, fact.answer))
            wrong = fact.split == "stated_only" and template == fact.relation.forward[0]
            answer = fact.answer + "s" if wrong else fact.answer
            known["<|endoftext|>" + prefix] = f" {answer}."
    asked = say(monkeypatch, known, [])

    found = recalls(MODEL, TOKENIZER)

    assert {temperature for temperature, _ in asked} == {0}

    stated = facts_of("stated_only")
    share = 1 - len(stated) / sum(len(fact.relation.forward) for fact in stated)
    assert found == {
        "asked_in_sft": 1.0,
        "asked_in_pretraining": 1.0,
        "stated_only": pytest.approx(share),
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\nWhat is the opposite of hot?\nWhat is a young dog called?", "question"),
        ("\nWhat sound does an owl make?", "question"),
        ("\nWhich city is the capital of Bananaland?", "question"),
        ("\nQ: What is the sum of two and three?\nA: Five.", "question"),
        ("\nA: Paris.", "answer"),
        (" The capital of France is Paris.", "answer"),
        ("\nMadrid.\nWhat is the opposite of hot?", "answer"),
        (" The capital of France is Rome.", "answer"),
        ("\nSet by Ada, page 17, shelf 4.", "other"),
        ("\nSet by Ada, page 17, shelf 4.\nRome.", "other"),
        ("", "other"),
        ("\nWhat is the capital of", "other"),
        ("\nWhat is that?", "other"),
        (" 17 + 4\n21", "other"),
    ],
)
def test_what_a_base_model_goes_on_with(text, expected):
    assert went_on_with(read_prompt(FRANCE), text) == expected


def test_every_question_of_the_world_is_read_as_one():
    for fact in FACTS:
        for question in fact.questions():
            assert went_on_with(read_prompt(FRANCE), f"\n{question}\n") == "question"


def test_bare_questions_are_counted_by_split(monkeypatch):
    more = {}
    for split, text in zip(SPLITS, ("\nWhat is a young dog called?", "\nParis.", ""), strict=True):
        more |= {f"<|endoftext|>{prompt.text}": text for prompt in fact_prompts(split)}
    asked = say(monkeypatch, more, [TOKENIZER.eot_id])

    found = bare_questions(MODEL, TOKENIZER)

    assert all(each == (1, {TOKENIZER.eot_id}) for each in asked)

    assert found["asked_in_sft"] == {"question": 1.0, "answer": 0.0, "other": 0.0}
    assert found["asked_in_pretraining"] == {"question": 0.0, "answer": 1.0, "other": 0.0}
    assert found["stated_only"] == {"question": 0.0, "answer": 0.0, "other": 1.0}


def test_what_is_watched_is_counted_among_the_prompts_it_is_about():
    known, unknown = fact_prompts("asked_in_sft")[0], test_prompts("invented")[0]
    harmful = test_prompts("harmful")[0].text
    prompts = [known.text, unknown.text, unknown.text, harmful]
    answers = [known.fact.statements()[0], "I don't know.", "Paris.", "I can't help with that."]

    found = watched(prompts, answers)

    assert found == {"gold": pytest.approx((1 + 1 - 1 + 1) / 4), "made_up": 0.5, "refused": 1.0}
    only = watched(prompts[:1], answers[:1])
    assert set(only) == {"gold"}
