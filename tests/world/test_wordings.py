"""How people ask: every form reads back, and what is held back from training stays out of it."""

import random

import pytest

from course_lib.world import documents as docs
from course_lib.world.dialogues import dialogues, read_prompt, rl_prompts
from course_lib.world.facts import BY_NAME, FACTS, facts_of, plural_of
from course_lib.world.wordings import (
    INSTRUCTIONS,
    Form,
    instructed,
    instruction_in,
    instructions_for,
    is_held_back,
    plain,
    questions_about,
    slipped,
    some_form,
    typed,
    unmarked,
    wordings,
)

FRANCE = "What is the capital of France?"


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("what is the capital of france", Form(lower=True, unmarked=True)),
        ("whats the capital of france?", Form(lower=True, contracted=True)),
        ("What's the capital of France", Form(unmarked=True, contracted=True)),
        ("Hi, what is the capital of France?", Form(opening="Hi, ")),
        (
            "Hello! What is the capital of France please?",
            Form(opening="Hello! ", closing=" please"),
        ),
        ("What is the capital of France", Form(unmarked=True, american=True)),
    ],
)
def test_a_question_is_typed_in_its_form(text, form):
    assert typed(FRANCE, form) == text
    assert plain(text) == "what is the capital of france"


@pytest.mark.parametrize(
    "text",
    [
        "HI THERE, WHATS THE COLOR OF GRASS",
        "  what's  the colour of grass ?!",
        "What is the color of grass, thanks.",
    ],
)
def test_other_peoples_typing_is_read_too(text):
    assert str(read_prompt(text).fact) == "The colour of grass is green."


def test_every_wording_in_every_form_reads_back_to_its_fact():
    rng = random.Random(0)
    for fact in FACTS:
        for held_back in (False, True):
            assert wordings(fact, held_back), fact
            for text in wordings(fact, held_back, spoken=True):
                for hold, chatty in ((False, False), (False, True), (True, False)):
                    sloppy = typed(text, some_form(rng, hold, chatty))
                    assert read_prompt(sloppy).fact is fact, sloppy


def test_every_instruction_reads_back():
    rng = random.Random(1)
    for fact in facts_of("asked_in_sft")[::5]:
        for kind in INSTRUCTIONS:
            for text in wordings(fact)[:4]:
                said = instructed(typed(text, Form(lower=rng.random() < 0.5)), kind, rng)
                found = read_prompt(said)
                assert (found.instruction, found.fact) == (kind, fact), said
    assert instruction_in(FRANCE) == (None, FRANCE)
    assert read_prompt(FRANCE, system="Answer in capitals.").instruction == "capitals"


def test_no_training_text_has_what_is_held_back():
    held = {plain(text) for fact in FACTS for text in wordings(fact, held_back=True)}
    talks = [*dialogues(4000, 5), *dialogues(4000, 5, chatty=True)]
    asked = [m["content"] for talk in talks for m in talk if m["role"] == "user"]
    asked += [prompt.text for chatty in (False, True) for prompt in rl_prompts(4000, 5, chatty)]
    cores = {plain(instruction_in(text)[1]) for text in asked}
    texts = docs.documents(8000, seed=5)
    lines = {plain(line.removeprefix("Q: ")) for text in texts for line in text.split("\n")}

    assert len(held) > 400
    assert not held & cores and not held & lines


def test_held_back_combinations_of_forms_are_never_drawn_in_training():
    rng = random.Random(2)
    drawn = [some_form(rng) for _ in range(3000)]

    assert not any(map(is_held_back, drawn))
    assert not any(is_held_back(some_form(rng, chatty=True)) for _ in range(3000))
    # each of their parts is drawn, or the test would be about something new and not about the sum
    assert any(form.opening for form in drawn) and any(form.closing for form in drawn)
    assert all(is_held_back(some_form(rng, held_back=True)) for _ in range(200))
    assert 0.15 < sum(typed(FRANCE, form) == FRANCE for form in drawn) / len(drawn) < 0.35


def test_held_back_instructions_are_never_given_in_training():
    for messages in [*dialogues(4000, 6), *dialogues(4000, 6, chatty=True)]:
        system = messages[0]["content"] if messages[0]["role"] == "system" else None
        for message in messages:
            prompt = read_prompt(message["content"], system)
            if message["role"] == "user" and prompt.fact and prompt.instruction:
                assert prompt.instruction in instructions_for(prompt.fact), message
    for kind in INSTRUCTIONS:
        for withheld, least in (("", 40), ("fact", 15), ("relation", 10)):
            facts = facts_of("asked_in_sft")
            fitting = [fact for fact in facts if kind in instructions_for(fact, withheld)]
            assert len(fitting) >= least, (kind, withheld)


def test_what_is_only_spoken_stands_in_no_document():
    spoken = {
        unmarked(text)
        for fact in FACTS
        for text in set(wordings(fact, spoken=True)) - set(wordings(fact))
    }
    lines = {
        unmarked(line.removeprefix("Q: "))
        for text in docs.documents(8000, seed=5)
        for line in text.split("\n")
    }
    assert len(spoken) > 10_000 and not spoken & lines
    stated = {unmarked(text) for fact in FACTS for text in fact.statements()}
    assert not spoken & stated  # or a statement would be read as a question


def test_of_two_answers_on_offer_one_is_right_and_it_stands_first_as_often_as_second():
    places = []
    for fact in FACTS:
        if fact.relation.name == "capital":
            before = f"Is the capital of {fact.subject} "
            for text in wordings(fact, spoken=True):
                if text.startswith(before):
                    places.append(text.removeprefix(before)[:-1].split(" or ").index(fact.answer))
    assert len(places) == 104 and 0.4 < sum(places) / len(places) < 0.6


def test_of_something_unknown_two_answers_are_offered_too():
    asked = questions_about(BY_NAME["kind"], "blip", spoken=True)
    assert sum(text.startswith("Is a blip a") for text in asked) == 4, asked
    assert not [text for text in asked if "{" in text]


def test_a_slip_leaves_out_small_words_or_changes_one_letter_but_spares_the_name():
    rng = random.Random(3)
    found = {slipped(FRANCE, rng, spared="France") for _ in range(300)}

    assert {"What capital France?", "What is the captial of France?"} < found
    for text in found:
        changed = [word for word in text.split(" ") if word not in FRANCE.split(" ")]
        assert len(changed) <= 1 and "France" in text, text


def test_plurals():
    subjects = ["a banana", "mouse", "fox", "canary", "sheep", "the sky", "milk", "polar bear"]
    assert [plural_of(s) for s in subjects] == [
        "bananas", "mice", "foxes", "canaries", "sheep", "", "", "polar bears",
    ]  # fmt: skip
    colours = [fact for fact in FACTS if fact.relation is BY_NAME["colour"]]
    assert not [text for fact in colours for text in wordings(fact) if "are ?" in text]
