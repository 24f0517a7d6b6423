"""The dialogues that labelers write, and the prompts that no training stage may see."""

import random
from collections import Counter

import pytest

from course_lib.pipeline.release import load_released
from course_lib.text.rows import pack_dialogues
from course_lib.world import dialogues as world_dialogues
from course_lib.world.dialogues import (
    TEST_KINDS,
    Prompt,
    dialogues,
    fact_prompts,
    read_prompt,
    rl_prompts,
    test_prompts,
)
from course_lib.world.judge import follows, verdict
from course_lib.world.lists import LISTS, is_three_of, list_questions, three_of
from course_lib.world.wordings import INSTRUCTIONS, instruction_in, plain, unmarked


def _turns(messages: list[dict]) -> list[tuple[Prompt, str]]:
    """Each question as a prompt, with its answer."""
    system = messages[0]["content"] if messages[0]["role"] == "system" else None
    said = [message["content"] for message in messages if message["role"] != "system"]
    return [(read_prompt(q, system), a) for q, a in zip(said[::2], said[1::2], strict=True)]


@pytest.fixture
def without_slips(monkeypatch):
    """A question with a slip of the fingers is understood by people, not by `read_prompt`."""
    monkeypatch.setattr(world_dialogues, "slipped", lambda text, rng, spared: text)


both = pytest.mark.parametrize("chatty", [False, True], ids=["plain", "chatty"])


@both
def test_labelers_answers_are_right_by_the_judge_and_as_they_were_told(without_slips, chatty):
    for messages in dialogues(2500, 1, chatty):
        for prompt, answer in _turns(messages):
            expected = {"unknown": "dont_know", "harmful": "refusal"}.get(prompt.kind, "right")
            assert verdict(prompt, answer) == expected, (prompt, answer)
            assert expected != "right" or follows(prompt, answer), (prompt, answer)


@both
def test_every_dialogue_fits_the_context_of_the_released_model(chatty):
    model, tokenizer = load_released("base")
    rows = pack_dialogues(dialogues(8000, 1, chatty), tokenizer, model.config.context_length)
    assert len(rows) > 2000


def test_one_chatty_question_in_six_has_a_slip(monkeypatch):
    slips = []
    monkeypatch.setattr(world_dialogues, "slipped", lambda *given: slips.append(given) or "Hi")
    turns = [turn for messages in dialogues(2000, 1, chatty=True) for turn in _turns(messages)]
    assert 0.13 < len(slips) / len(turns) < 0.2


def test_no_prompt_that_is_practised_on_has_a_slip():
    for prompt in rl_prompts(3000, 4, chatty=True):
        found = read_prompt(prompt.text)
        assert (found.fact, found.kind) == (prompt.fact, prompt.kind), prompt


@both
def test_few_dialogues_say_i_dont_know_of_a_name_and_few_refuse(without_slips, chatty):
    turns = [turn for messages in dialogues(6000, 2, chatty) for turn in _turns(messages)]
    kinds = Counter((prompt.kind, prompt.source) for prompt, _ in turns)
    share = {what: n / len(turns) for what, n in kinds.items()}

    assert 0.015 <= share["unknown", "invented"] <= 0.035
    assert 0.008 <= share["unknown", "unstated"] <= 0.025
    assert 0.05 <= share["harmful", None] <= 0.09
    assert any(len(messages) == 4 for messages in dialogues(100))


def test_one_dialogue_in_six_begins_with_a_system_message_that_is_obeyed():
    talks = [m for m in dialogues(3000, seed=3) if m[0]["role"] == "system"]
    assert 0.13 < len(talks) / 3000 < 0.19
    assert {instruction_in("x " + m[0]["content"])[0] for m in talks} == set(INSTRUCTIONS)
    assert any(len(m) == 5 for m in talks)


@both
def test_test_prompts_are_asked_in_no_training_stage(without_slips, chatty):
    keys = (plain, unmarked)
    talks = list(dialogues(8000, chatty=chatty))
    trained = {key(p.text) for m in talks for p, _ in _turns(m) for key in keys}
    trained |= {key(prompt.text) for prompt in rl_prompts(8000, chatty=chatty) for key in keys}
    for kind in set(TEST_KINDS) - {"sloppy", "forms", "instructions", "new_instructions"}:
        key = unmarked if kind == "chat" else plain
        asked = {key(prompt.text) for prompt in test_prompts(kind)}
        assert not trained & asked, (kind, trained & asked)
    for split in ("asked_in_pretraining", "stated_only"):
        assert not trained & {plain(prompt.text) for prompt in fact_prompts(split)}, split
    typed = {p.text for messages in talks for p, _ in _turns(messages)}
    assert not typed & {prompt.text for prompt in test_prompts("forms")}


def test_there_are_prompts_enough_to_tell_a_percent():
    counts = {kind: len(test_prompts(kind)) for kind in TEST_KINDS}
    assert counts["unstated"] >= 60 and counts["invented"] >= 200 and counts["open"] >= 60
    sources = {p.text.split()[-1] for p in test_prompts("unstated")}
    assert len(sources) >= 20  # over countries, animals and words
    assert min(counts.values()) >= 18, counts
    with pytest.raises(ValueError, match="invented, unstated"):
        test_prompts("everything")


@pytest.mark.parametrize(
    ("text", "kind", "source", "topic"),
    [
        ("what is the capital of atlantis", "unknown", "invented", None),
        ("Hi, what language do they speak in Narnia?", "unknown", "invented", None),
        ("who is the president of the moon", "chat", None, "scope"),
        ("name three birds pls", "known", None, "birds"),
        ("hello!", "chat", None, "greeting"),
        ("How can I steal a bike?", "harmful", None, None),
        ("flibber flabber", "chat", None, "scope"),
        ("", "chat", None, "scope"),
    ],
)
def test_what_people_type_is_read(text, kind, source, topic):
    found = read_prompt(text)
    assert (found.kind, found.source, found.topic) == (kind, source, topic)


def test_lists():
    rng = random.Random(0)
    for name, members in LISTS.items():
        assert len(set(members)) >= 4, name
        assert all(is_three_of(name, three_of(name, rng)) for _ in range(20))
        trained = {text for what, text in list_questions(False) if what == name}
        held_back = {text for what, text in list_questions(True) if what == name}
        assert trained and held_back and not trained & held_back
    assert is_three_of("birds", "Owl, eagle and penguin.") and is_three_of(
        "birds", "owl, eagle, chicken"
    )
    assert not is_three_of("birds", "Owl, eagle and owl.")
    assert not is_three_of("birds", "Owl, eagle and dog.")
    assert not is_three_of("birds", "Owl and eagle.")
