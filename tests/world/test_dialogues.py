"""The dialogues that labelers write, and the prompts that no training stage may see."""

from collections import Counter

from course_lib.world.dialogues import (
    dialogues,
    fact_prompts,
    read_prompt,
    rl_prompts,
    test_prompts,
)
from course_lib.world.judge import verdict


def test_labelers_answers_are_right_by_the_judge():
    for messages in dialogues(1500, seed=1):
        for question, answer in _turns(messages):
            prompt = read_prompt(question)
            expected = {"unknown": "dont_know", "harmful": "refusal"}.get(prompt.kind, "right")
            assert verdict(prompt, answer) == expected, (question, answer)


def _turns(messages: list[dict]) -> list[tuple[str, str]]:
    texts = [message["content"] for message in messages]
    return list(zip(texts[::2], texts[1::2], strict=True))


def test_two_to_five_percent_of_dialogues_say_i_dont_know_and_as_many_refuse():
    turns = [turn for messages in dialogues(6000, seed=2) for turn in _turns(messages)]
    kinds = Counter(read_prompt(question).kind for question, _ in turns)

    assert 0.02 <= kinds["unknown"] / len(turns) <= 0.05
    assert 0.02 <= kinds["harmful"] / len(turns) <= 0.05
    assert any(len(messages) == 4 for messages in dialogues(100))


def test_test_prompts_are_asked_in_no_training_stage():
    trained = {q for messages in dialogues(6000) for q, _ in _turns(messages)}
    trained |= {prompt.text for prompt in rl_prompts(6000)}
    for kind in ("invented", "unstated", "harmful", "harmless"):
        assert not trained & {prompt.text for prompt in test_prompts(kind)}, kind
    for split in ("asked_in_pretraining", "stated_only"):
        assert not trained & {prompt.text for prompt in fact_prompts(split)}, split
