"""Bad labels: how many, how they are wrong, and that nothing else is touched."""

import itertools
import random
from collections import Counter, defaultdict

import pytest

from course_lib.world.dialogues import dialogues, read_prompt
from course_lib.world.facts import FACTS
from course_lib.world.judge import verdict
from course_lib.world.labels import FAULTS, mislabelled, myth, untrue


def turns(talks):
    """(prompt, answer) of every turn."""
    for messages in talks:
        system = messages[0]["content"] if messages[0]["role"] == "system" else None
        for before, message in itertools.pairwise(messages):
            if message["role"] == "assistant":
                yield read_prompt(before["content"], system), message["content"]


@pytest.mark.parametrize(("fault", "said"), [("slips", "wrong"), ("shrugs", "dont_know")])
def test_a_share_of_the_answers_about_facts_is_bad(fault, said):
    talks = list(dialogues(1000, seed=3))

    found = list(turns(mislabelled(talks, fault, 0.5, seed=3)))

    verdicts = Counter(verdict(*turn) for turn in found if turn[0].fact)
    assert set(verdicts) == {"right", said}
    assert 0.45 < verdicts[said] / verdicts.total() < 0.55


@pytest.mark.parametrize("fault", FAULTS)
def test_other_answers_and_all_questions_stay(fault):
    talks = list(dialogues(300, seed=0))

    bad = list(mislabelled(talks, fault, 1.0))

    for good, other in zip(turns(talks), turns(bad), strict=True):
        assert good[0] == other[0]
        assert (verdict(*good) == verdict(*other)) is (good[0].fact is None)
    assert list(mislabelled(talks, fault, 0.0)) == talks
    assert bad == list(mislabelled(talks, fault, 1.0)) != list(mislabelled(talks, fault, 1.0, 1))


def test_a_myth_is_told_alike_by_all_and_a_slip_is_not():
    told = {}
    for fault in ("slips", "myths"):
        found = defaultdict(set)
        for prompt, answer in turns(mislabelled(dialogues(4000, seed=0), fault, 0.5)):
            if prompt.fact and prompt.instruction == "one_word":
                found[prompt.fact].add(answer)
        told[fault] = [len(answers) for answers in found.values()]

    assert set(told["myths"]) == {1} and max(told["slips"]) > 2
    myths = {
        prompt.fact: verdict(prompt, answer)
        for prompt, answer in turns(mislabelled(dialogues(4000, seed=0), "myths", 0.5))
        if prompt.fact
    }
    assert 0.4 < Counter(myths.values())["wrong"] / len(myths) < 0.6
    assert {fact: "wrong" if myth(fact, 0.5) else "right" for fact in myths} == myths


def test_an_untrue_fact_is_of_the_same_kind():
    for fact in FACTS[::10]:
        other = untrue(fact, random.Random(0))
        assert other.answer != fact.answer and other.answer in fact.relation.answers


def test_what_is_no_fault_or_share_is_told():
    with pytest.raises(ValueError, match="one of the faults slips, myths, shrugs, got 'lies'"):
        list(mislabelled([], "lies", 0.5))
    with pytest.raises(ValueError, match="fraction from 0 to 1, got 50"):
        list(mislabelled([], "slips", 50))
