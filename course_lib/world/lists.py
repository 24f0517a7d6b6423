"""Lists: what to name three of, and who belongs to it."""

import random
import re
from functools import cache
from itertools import combinations

from course_lib.world.facts import BY_NAME, as_sentence


def _those(relation: str, answer: str, n: int) -> tuple[str, ...]:
    """The first subjects of a relation that have this answer."""
    return tuple(subject for subject, found in BY_NAME[relation].pairs if found == answer)[:n]


def _answers(relation: str, n: int) -> tuple[str, ...]:
    return tuple(dict.fromkeys(answer for _, answer in BY_NAME[relation].pairs))[:n]


# what -> its members; few of them, as documents write every list of three
LISTS: dict[str, tuple[str, ...]] = {
    "countries": ("France", "Japan", "Germany", "India", "Italy", "Spain", "China"),
    "countries in Europe": _those("continent", "Europe", 7),
    "countries in Africa": _those("continent", "Africa", 7),
    "countries in Asia": _those("continent", "Asia", 7),
    "capitals": _answers("capital", 7),
    "languages": _answers("language", 7),
    "colours": _answers("colour", 7),
    "animals": ("dog", "cat", "cow", "horse", "lion", "frog", "duck"),
    "birds": ("eagle", "penguin", "owl", "chicken", "duck", "crow", "sparrow"),
    "days": tuple(subject for subject, _ in BY_NAME["next"].pairs[:7]),
    "months": tuple(subject for subject, _ in BY_NAME["next"].pairs[7:14]),
    "planets": ("Jupiter", "Mercury", "Mars", "Venus", "Saturn"),
}
WORDINGS = (
    "Name three {x}.",
    "Tell me three {x}.",
    "Name 3 {x}.",
    "Can you name three {x}?",
    "Give me three {x}.",
    "List three {x}.",
)
# Further ones, in a chat.
SPOKEN = ("Three {x}?", "3 {x}?", "Give me 3 {x}.", "Could you tell me 3 {x}?")
_SHORT = {
    "countries in Europe": "European countries",
    "countries in Africa": "African countries",
    "countries in Asia": "Asian countries",
}


def list_questions(held_back: bool) -> list[tuple[str, str]]:
    """(what, the request to name three of it): those that training uses, or those held back."""
    found = []
    for i, name in enumerate(LISTS):
        for j, wording in enumerate(WORDINGS):
            if ((j - i) % 3 == 0) == held_back:
                found.append((name, wording.replace("{x}", name)))
    return found


def spoken_requests() -> list[tuple[str, str]]:
    """(what, the request), as people ask for three of something in a chat; none is held back."""
    return [
        (name, wording.replace("{x}", said))
        for name in LISTS
        for said in dict.fromkeys((name, _SHORT.get(name, name)))
        for wording in SPOKEN
    ]


@cache
def all_lists(name: str) -> tuple[str, ...]:
    """Every list of three members in their order, as an answer: "France, Japan and India."."""
    return tuple(as_sentence(f"{a}, {b} and {c}") for a, b, c in combinations(LISTS[name], 3))


def three_of(name: str, rng: random.Random) -> str:
    """One of these lists."""
    return rng.choice(all_lists(name))


@cache
def _members(name: str) -> frozenset[str]:
    return frozenset(member.lower() for member in LISTS[name])


def is_three_of(name: str, answer: str) -> bool:
    """Whether an answer names three different members and nothing else."""
    parts = re.split(r", and |, | and ", answer.strip().rstrip(".").lower())
    return len(parts) == len(set(parts)) == 3 and set(parts) <= _members(name)
