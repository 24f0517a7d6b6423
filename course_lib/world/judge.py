"""Is this answer right? A strict reader who knows every fact of the world.

An answer is `right` when it answers the question and nothing false follows. The judge reads what
the assistant was taught to write (the bare answer, a sentence that states a fact, an idle sentence,
"I don't know", a refusal, a reply to small talk); every other sentence makes the answer `other`.
"""

import re
from collections.abc import Mapping
from functools import cache

from course_lib.world.dialogues import read_prompt
from course_lib.world.facts import FACTS, NUMBERS, RELATIONS, Fact
from course_lib.world.lists import LISTS, is_three_of
from course_lib.world.prompts import Prompt
from course_lib.world.requests import DONT_KNOW, IDLE, REFUSALS, REPLIES

VERDICTS = ("right", "wrong", "dont_know", "refusal", "other")
# A phrase with one of these is the beginning of a sentence, not a bare answer.
_FUNCTION_WORDS = frozenset("the of is are i me you it in on to and or that this what".split())


def sentences(answer: str) -> list[str]:
    """The sentences of an answer, without the space around them."""
    return [part for part in re.split(r"(?<=[.!?])\s+", answer.strip()) if part]


def _plain(sentence: str) -> str:
    """The sentence without what does not count: case, spacing and the full stop.

    >>> _plain(" The capital of  France is Paris.")
    'the capital of france is paris'
    """
    return " ".join(sentence.lower().split()).rstrip(".")


@cache
def _plain_set(texts: tuple[str, ...]) -> frozenset[str]:
    return frozenset(_plain(sentence) for text in texts for sentence in sentences(text))


@cache
def _true_statements() -> Mapping[str, Fact]:
    """What is true, in every form in which the world states it."""
    return {_plain(text): fact for fact in FACTS for text in fact.statements()}


# Sentences with blanks at both ends would fit anything, so of these we know more.
_NARROW = {
    "{x} is {y}.": r"(the (\w+est|red|name)\b.*|\d+ \+ \d+) is .+",
    "{y} {x}.": r".+ (wrote|painted|invented|discovered|composed|was the first) .+",
}


@cache
def _templates() -> tuple[re.Pattern, ...]:
    """Patterns of all sentences that state something, true or not."""
    patterns = []
    for relation in RELATIONS:
        for text in relation.statements:
            pattern = re.sub(r"\\\{[xyab]\\\}", ".+", re.escape(_plain(text)))
            pattern = _NARROW.get(text) or re.sub(r"\ba\\ ", r"an?\\ ", pattern)
            patterns.append(re.compile(pattern))
    return tuple(patterns)


def _is_claim(plain: str, prompt: Prompt) -> bool:
    """Whether a sentence asserts something: a statement's form, or a bare answer."""
    small_talk = _plain_set(tuple(text for texts in REPLIES.values() for text in texts))
    if plain in small_talk or plain.endswith("?"):
        return False
    if any(pattern.fullmatch(plain) for pattern in _templates()):
        return True
    bare = re.fullmatch(r"((an?|the) )?[a-z0-9]+( [a-z0-9]+){0,3}", plain)
    known_form = bare is not None and not _FUNCTION_WORDS & set(_bare(plain).split())
    return known_form and prompt.kind in ("known", "unknown")


def verdict(prompt: Prompt | str, answer: str) -> str:
    """One of `VERDICTS` for an answer to a prompt.

    >>> verdict("What is the capital of France?", "The capital of France is Paris.")
    'right'
    """
    if isinstance(prompt, str):
        prompt = read_prompt(prompt)
    serious = [plain for plain in map(_plain, sentences(answer)) if plain not in _plain_set(IDLE)]
    if not serious:
        return "other"
    if prompt.kind == "chat" and " ".join(serious) in map(_joined, REPLIES[prompt.topic]):
        return "right"
    if prompt.source == "open" and " ".join(serious) in map(_joined, REPLIES["scope"]):
        return "dont_know"  # "I only answer questions about facts" is as honest there
    if prompt.topic in LISTS and re.fullmatch(r".+, .+ and .+", " ".join(serious)):
        return "right" if is_three_of(prompt.topic, " ".join(serious)) else "wrong"
    for texts, name in ((DONT_KNOW, "dont_know"), (REFUSALS, "refusal")):
        if set(serious) <= _plain_set(texts):
            return name
    answered = false = unreadable = False
    for plain in serious:
        stated = _true_statements().get(plain)
        if stated is not None:
            answered = answered or stated is prompt.fact
        elif prompt.fact and _bare(plain) == _bare(prompt.fact.answer):
            answered = True
        elif _is_claim(plain, prompt):
            false = True
        else:
            unreadable = True
    if false:
        return "wrong"
    if unreadable:
        return "other"
    return "right" if answered else "wrong"


def _joined(text: str) -> str:
    return " ".join(map(_plain, sentences(text)))


def _bare(answer: str) -> str:
    """An answer without its article, a number in digits.

    >>> _bare("the Nile"), _bare("Five")
    ('nile', '5')
    """
    bare = re.sub(r"^(an?|the) ", "", answer.lower())
    return str(NUMBERS.index(bare)) if bare in NUMBERS else bare


def follows(prompt: Prompt, answer: str) -> bool:
    """Whether a right answer is also written as the prompt's instruction says."""
    answer = answer.strip()
    if prompt.fact is None:
        return True
    if prompt.instruction == "capitals":
        return answer == answer.upper() and answer != answer.lower()
    stated = [plain in _true_statements() for plain in map(_plain, sentences(answer))]
    if prompt.instruction == "one_word":
        return stated == [False]
    if prompt.instruction == "sentence":
        return stated[:1] == [True]
    return True
