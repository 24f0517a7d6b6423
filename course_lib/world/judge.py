"""Is this answer right? A strict reader who knows every fact of the world.

An answer is `right` when it answers the question and nothing false follows. The judge reads what
the assistant was taught to write (the bare answer, a sentence that states a fact, an idle sentence,
"I don't know", a refusal, a reply to small talk); every other sentence makes the answer `other`.
"""

import re
from functools import cache

from course_lib.world.dialogues import DONT_KNOW, IDLE, REFUSALS, REPLIES, Prompt, read_prompt
from course_lib.world.facts import FACTS, RELATIONS, Fact

VERDICTS = ("right", "wrong", "dont_know", "refusal", "other")


def sentences(answer: str) -> list[str]:
    """The sentences of an answer, without the space around them."""
    return [part for part in re.split(r"(?<=[.!?])\s+", answer.strip()) if part]


@cache
def _true_statements() -> dict[str, Fact]:
    return {text.lower(): fact for fact in FACTS for text in fact.statements()}


@cache
def _templates() -> tuple[re.Pattern, ...]:
    """Patterns of all sentences that state something, true or not."""
    patterns = []
    for relation in RELATIONS:
        for text in relation.statements:
            pattern = re.escape(text).replace(r"\{x\}", ".+").replace(r"\{y\}", ".+")
            pattern = re.sub(r"\b([aA])\\ ", r"\1n?\\ ", pattern)
            patterns.append(re.compile(pattern, re.IGNORECASE))
    return tuple(patterns)


def _is_claim(sentence: str, prompt: Prompt) -> bool:
    """Whether a sentence asserts something: a statement's form, or a bare answer."""
    if any(pattern.fullmatch(sentence) for pattern in _templates()):
        return True
    bare = re.fullmatch(r"[A-Za-z]+( [A-Za-z]+){0,2}\.?", sentence)
    return bare is not None and prompt.kind in ("known", "unknown")


def verdict(prompt: Prompt | str, answer: str) -> str:
    """One of `VERDICTS` for an answer to a prompt.

    >>> verdict("What is the capital of France?", "The capital of France is Paris.")
    'right'
    """
    if isinstance(prompt, str):
        prompt = read_prompt(prompt)
    answer = answer.strip()
    if prompt.kind == "chat" and answer in REPLIES[prompt.topic]:
        return "right"
    serious = [sentence for sentence in sentences(answer) if sentence not in IDLE]
    for texts, name in ((DONT_KNOW, "dont_know"), (REFUSALS, "refusal")):
        if serious and " ".join(serious) in texts:
            return name
    if not serious:
        return "other"
    answered = false = unreadable = False
    for position, sentence in enumerate(serious):
        stated = _true_statements().get(sentence.lower())
        if stated is not None:
            answered = answered or stated is prompt.fact
        elif (
            position == 0
            and prompt.fact
            and sentence.lower().rstrip(".") == prompt.fact.answer.lower()
        ):
            answered = True
        elif _is_claim(sentence, prompt):
            false = True
        else:
            unreadable = True
    if false or (prompt.kind == "unknown" and not unreadable):
        return "wrong"
    if unreadable:
        return "other"
    return "right" if answered else "wrong"
