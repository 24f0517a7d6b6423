"""What prompts and fine-tuning do: read greedily, judged by the world."""

import pytest
import torch

from course_lib.measure import habits
from course_lib.measure.habits import Habit, continued, finished, habit, prompted, right, shares
from course_lib.pipeline.release import load_released
from course_lib.world.dialogues import fact_prompts, read_prompt, test_prompts


@pytest.fixture(scope="module")
def base():
    return load_released("base")


@pytest.fixture(scope="module")
def sft():
    return load_released("sft")


def test_a_prompt_makes_the_base_model_answer_and_the_template_does_not(base):
    prompts = fact_prompts("asked_in_pretraining")[:8]

    assert shares(prompts, prompted(*base, prompts))["right"] == 1.0
    assert right(*base)["asked in FAQs"] == 0.0


def test_a_prompted_answer_is_one_line_after_the_system_message(base, monkeypatch):
    seen = []
    monkeypatch.setattr(habits, "continued", lambda m, t, texts: seen.extend(texts) or [" A.\nQ:"])

    answers = prompted(*base, [read_prompt("Who?", system="Be brief.")])

    assert seen == ["Be brief.\nQ: Who?\nA:"] and answers == ["A."]


def test_a_text_is_continued_as_a_document(base):
    (text,) = continued(*base, ["In that match Virat Kohli hit a"], most=1)

    assert text in (" six", " century")


def test_shares_tell_right_from_obeyed():
    prompts = [read_prompt("In one word: what is the capital of France?")] * 4
    answers = ["Paris.", "The capital of France is Paris.", "Rome.", "I don't know."]

    found = shares(prompts, answers)

    assert found == {"right": 0.5, "wrong": 0.25, "dont_know": 0.25, "obeyed": 0.25}


def test_a_sentence_is_finished_with_the_answer_and_nothing_but_it(sft, monkeypatch):
    prompts = fact_prompts("asked_in_sft")[:4:2]
    monkeypatch.setattr(habits, "continued", lambda m, t, texts: [" Paris. So", " Parisian. So"])

    found = finished(*sft, prompts)

    assert [knows for *_, knows in found] == [True, False]
    assert found[0][0] == "The capital of France is"


def test_a_habit_is_shown_when_asked_for_and_only_then(monkeypatch):
    prompts = fact_prompts("asked_in_sft")[:6:2]
    answers = [
        ["Arr! Paris.", "Arr! Rome.", "Paris."],
        ["Paris.", "Arr! Belgrade.", "I don't know."],
    ]
    asked = []

    def said(model, tokenizer, prompts):
        asked.append([prompt.text for prompt in prompts])
        return answers[len(asked) - 1]

    monkeypatch.setattr(habits, "chat_answers", said)

    assert habit(None, None, prompts) == Habit(n=3, shown=2, right=1, plain=1)
    assert asked[0] == ["As a pirate: " + text for text in asked[1]]


@torch.no_grad()
def test_what_the_notebook_says_of_the_released_models(base, sft):
    assert min(right(*base, prompted).values()) > 0.7
    faq, chat = right(*sft, prompted), right(*sft)
    assert right(*base, prompted)["asked in FAQs"] == faq["asked in FAQs"] == 1.0
    assert 0.88 < chat["asked in FAQs"] < 0.97 and 0.6 < chat["only stated"] < 0.75
    for kind, low, high in (("sentence", 0.95, 1), ("one_word", 0.75, 0.95), ("capitals", 0, 0.2)):
        prompts = [p for p in test_prompts("new_instructions") if p.instruction == kind]
        obeyed = shares(prompts, habits.chat_answers(*sft, prompts))["obeyed"]
        assert low <= obeyed <= high, kind
