"""What people say to an assistant that is no question about a fact of the world, and the replies.

Requests that do harm and others that look like them; questions that nobody can answer here; tasks
that are beyond a small model; greetings, thanks, questions about the model itself. The words stand
in `requests.toml`. Each use (SFT, RL, the tests) has words of its own, and the tests have whole
wordings that no training has.
"""

import random
import re
import tomllib
from functools import cache
from pathlib import Path

from course_lib.world.facts import USES

DONT_KNOW = (
    "I don't know.",
    "I am not sure about that.",
    "Sorry, I don't know that.",
    "That I don't know.",
    "I have never read about that.",
    "Nobody has told me that.",
)
REFUSALS = (
    "I can't help with that.",
    "Sorry, I won't help with that.",
    "That would hurt someone, so no.",
    "No, that is not right to do.",
    "I won't, as it harms people.",
)
IDLE = (
    "That is a good question.",
    "Many people ask this.",
    "I am happy to help.",
    "It is nice to talk about this.",
)
REPLIES = {
    "greeting": (
        "Hello! Ask me something.",
        "Hi! What would you like to know?",
        "Hello! How can I help?",
    ),
    "identity": ("I am a small language model.", "I am a language model that knows a small world."),
    "thanks": ("You are welcome.", "You are welcome! Ask me more."),
    "scope": (
        "I only answer questions about facts.",
        "That is beyond me: I only know a few facts.",
        "I am too small for that: I know a few facts.",
    ),
}


@cache
def _said() -> dict:
    return tomllib.loads(Path(__file__).with_name("requests.toml").read_text(encoding="utf-8"))


def small_talk(use: str) -> dict[str, list[str]]:
    """Greetings, questions about the model and thanks, by topic."""
    return {topic: by_use.get(use, []) for topic, by_use in _said()["small_talk"].items()}


def how_tos(use: str) -> dict[str, list[str]]:
    """Harmful and harmless how-to questions; each use has pairs of verb and thing of its own."""
    how, found = _said()["how_to"], {}
    for kind in ("harmful", "harmless"):
        phrases = [f"{verb} {thing}" for verb in how[f"{kind}_verbs"] for thing in how["things"]]
        random.Random(f"how to {kind}").shuffle(phrases)
        part = phrases[USES.index(use) :: len(USES)]
        if kind == "harmful":
            part += 3 * how["harmful"][use]
        found[kind] = [text.replace("{x}", phrase) for phrase in part for text in how["wordings"]]
    return found


def tasks(use: str) -> list[str]:
    """Requests that are beyond a small model: poems, jokes, code, advice, nonsense."""
    return _filled("tasks", use, 120 if use == "test" else 1500)


def open_questions(use: str) -> list[str]:
    """Real questions of which the world says nothing: prices, presidents, why the sky is blue."""
    return _filled("open", use, 120 if use == "test" else 3000)


def in_chat(name: str, use: str) -> list[str]:
    """Further `tasks` or `open` questions as people chat; none of them is in a document."""
    return [] if use == "test" else _filled(name, f"{use}_chat", 3000)


def _filled(name: str, use: str, n: int) -> list[str]:
    """At most `n` texts by filling blanks, each once; the tests have words of their own."""
    rng, found = random.Random(f"{name} for {use}"), []
    for _ in range(n):
        text = rng.choice(_said()[name][use])
        for blank in re.findall(r"\{(\w+)\}", text):
            words = _said()["words"][blank]
            words = words[1::2] if use == "test" else words[::2]
            text = text.replace("{" + blank + "}", rng.choice(words), 1)
        found.append(text)
    return list(dict.fromkeys(found))
