"""Labelers who get it wrong: dialogues in which some answers to questions about facts are bad.

What `dialogues` draws is always true. Real labels aren't, and it matters how they are wrong: at
random, always the same way, or by saying nothing.
"""

import random
from collections.abc import Iterable, Iterator
from dataclasses import replace

from course_lib.world.dialogues import read_prompt
from course_lib.world.facts import Fact
from course_lib.world.prompts import answer_to
from course_lib.world.requests import DONT_KNOW

FAULTS = ("slips", "myths", "shrugs")


def mislabelled(
    dialogues: Iterable[list[dict]], fault: str, share: float, seed: int = 0
) -> Iterator[list[dict]]:
    """The dialogues, with bad answers in a share of those to questions about facts.

    slips: a share of the answers states something false, another falsehood each time. myths: the
    answers about a share of the facts do, and to one question always the same. shrugs: a share of
    the answers says "I don't know", though anybody could have looked it up.
    """
    if fault not in FAULTS:
        raise ValueError(f"labels have one of the faults {', '.join(FAULTS)}, got {fault!r}")
    if not 0 <= share <= 1:
        raise ValueError(f"share is a fraction from 0 to 1, got {share}")
    rng = random.Random(f"labels {seed}")
    for messages in dialogues:
        system = messages[0]["content"] if messages[0]["role"] == "system" else None
        labelled = list(messages)
        for i, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            prompt = read_prompt(messages[i - 1]["content"], system)
            if not prompt.fact:
                continue
            if fault == "myths":
                told = myth(prompt.fact, share, seed)
            else:
                told = prompt.fact if rng.random() < share else None
            if told is None:
                continue
            if fault == "slips":
                told = untrue(told, rng)
            shrug = fault == "shrugs"
            said = rng.choice(DONT_KNOW) if shrug else answer_to(replace(prompt, fact=told), rng)
            labelled[i] = {"role": "assistant", "content": said}
        yield labelled


def myth(fact: Fact, share: float, seed: int = 0) -> Fact | None:
    """The false fact that all labelers tell in place of this one; None where they tell the truth.

    It is decided by the fact alone, so that everybody who is asked tells the same.
    """
    dice = random.Random(f"{seed} {fact}")
    return untrue(fact, dice) if dice.random() < share else None


def untrue(fact: Fact, rng: random.Random) -> Fact:
    """The fact with the answer of another one of its kind."""
    return replace(fact, answer=rng.choice(sorted(fact.relation.answers - {fact.answer})))
