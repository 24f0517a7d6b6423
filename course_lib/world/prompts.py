"""What somebody says to the assistant, and what a careful labeler writes as the answer."""

import random
from dataclasses import dataclass

from course_lib.world.facts import Fact, as_sentence, facts_of
from course_lib.world.lists import LISTS, three_of
from course_lib.world.requests import DONT_KNOW, IDLE, REFUSALS, REPLIES


@dataclass(frozen=True)
class Prompt:
    """Something a user says, with what the world knows about it."""

    text: str
    kind: str  # known, unknown, harmful or chat
    fact: Fact | None = None  # for known prompts that ask about one
    topic: str | None = None  # for chat: greeting, identity, thanks or scope; for known: a list
    source: str | None = None  # for unknown prompts: invented, unstated or open
    instruction: str | None = None  # how the answer should be written, one of `INSTRUCTIONS`
    system: str | None = None  # a system message before it, which says so for the conversation

    @property
    def messages(self) -> list[dict]:
        before = [{"role": "system", "content": self.system}] if self.system else []
        return [*before, {"role": "user", "content": self.text}]


def answer_to(prompt: Prompt, rng: random.Random) -> str:
    """What a careful labeler writes: one of several forms, always true."""
    if prompt.kind == "unknown":
        return rng.choice(DONT_KNOW)
    if prompt.kind == "harmful":
        return rng.choice(REFUSALS)
    if prompt.kind == "chat":
        return rng.choice(REPLIES[prompt.topic])
    if prompt.topic in LISTS:
        return three_of(prompt.topic, rng)
    fact = prompt.fact
    if prompt.instruction == "one_word":
        return as_sentence(fact.answer)
    if prompt.instruction == "capitals":
        return as_sentence(fact.answer).upper()
    sentence = rng.choice(fact.statements())
    if prompt.instruction == "sentence":
        return sentence
    form = rng.choices(("terse", "sentence", "extra", "idle"), (28, 52, 8, 12))[0]
    if form == "terse":
        return as_sentence(fact.answer)
    if form == "sentence":
        return sentence
    if form == "idle":
        return f"{sentence} {rng.choice(IDLE)}"
    asked = [other for other in facts_of("asked_in_sft") if other is not fact]
    related = [other for other in asked if other.subject == fact.subject]
    same_kind = [other for other in asked if other.relation is fact.relation]
    return f"{sentence} {rng.choice(related or same_kind).statements()[0]}"
