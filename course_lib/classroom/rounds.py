"""What a class can be asked: a guess of the notebooks, the next word, which answer is better, and
whether it is done or stuck.

Nobody types a question here. A round names a record by its id, and whatever is voted for must be
one of its answers: so no text of a stranger ever comes onto the board.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from course_lib.check.numbers import Number
from course_lib.check.question import LETTERS, Question, question, questions
from course_lib.classroom.store import Round
from course_lib.machine.disk import read_json, read_json_lines
from course_lib.plans import load_plans

FOLDER = Path(__file__).parent
PAIRS, WORDS = FOLDER / "pairs.jsonl", FOLDER / "words.json"  # of the released models: `prepare`
KINDS = {
    "guess": "Guess",
    "word": "What comes next?",
    "pairs": "Which answer is better?",
    "stuck": "Done or stuck?",
}
PAIR_CHOICES = {"a": "A", "b": "B", "tie": "As good as each other", "bad": "Both bad"}
STUCK = {"done": "Done", "stuck": "Stuck"}
WHOLE = ("",)  # the one part of a round that has no others
PAIR_SHAPE = '{"prompt": "...", "a": "...", "b": "..."}'
LONGEST = 400  # letters of a prompt or an answer: more can't be read on a phone
MOST_PAIRS = 30  # in a round


@dataclass(frozen=True)
class Pair:
    """Two answers to a prompt."""

    prompt: str
    a: str
    b: str

    @cached_property
    def id(self) -> str:
        """The same for the same texts, in every room."""
        text = json.dumps([self.prompt, self.a, self.b])
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Word:
    """The beginning of a text, with the true chance of each next word and what a model gives it."""

    text: str
    truth: Mapping[str, float]
    model: Mapping[str, float]


@dataclass(frozen=True)
class Part:
    """One thing to answer. Without `choices` (value -> text) it is a number of `unit`."""

    id: str
    ask: str
    choices: Mapping[str, str]
    unit: str = ""
    answers: tuple[str, ...] = ()  # the two of a pair


class Material:
    """All that can be asked in this room."""

    def __init__(self, pairs: Path = PAIRS, words: Path = WORDS) -> None:
        self.pairs = {pair.id: pair for pair in read_pairs(pairs)}
        self.words = {row["text"]: Word(**row) for row in read_json(words)["words"]}
        self.guesses = {q.id: q for q in questions().values() if q.kind in ("guess", "quiz")}

    def about(self, kind: str, about: str, used: Sequence[str] = (), n: int = 10) -> tuple:
        """(about, items) of a new round; ValueError where there is nothing of that name.

        Pairs are the `n` next ones that no round has used.
        """
        if kind == "pairs":
            left = [id for id in self.pairs if id not in used]
            if not left:
                raise ValueError("every pair has been asked: remove a round, or bring other pairs")
            if not 1 <= n <= MOST_PAIRS:
                raise ValueError(f"a round has 1 to {MOST_PAIRS} pairs, got {n}")
            return "", tuple(left[:n])
        if kind == "stuck":
            return "", WHOLE
        if kind == "word" and about in self.words:
            return about, WHOLE
        if kind == "guess" and about in self.guesses:
            return about, WHOLE
        if kind in KINDS:
            raise ValueError(f"there is no {kind} {about!r:.60} in this room")
        raise ValueError(f"a round is one of {', '.join(KINDS)}, got {kind!r:.60}")

    @cached_property
    def plans(self) -> list[dict]:
        """Title and guesses of each plan, or session, in its order; none where no course is."""
        try:
            parts = [part for plan in load_plans().values() for part in plan.parts]
        except (OSError, ValueError):  # installed without its notebooks, or a broken plan
            return []
        named = [(part.title, [v for step in part.steps for v in step.votes]) for part in parts]
        return [
            {"title": title, "votes": [vote for vote in votes if vote in self.guesses]}
            for title, votes in named
        ]

    def question(self, one: Round) -> Question | None:
        """The record that a round asks, where it asks one."""
        return question(one.about) if one.kind == "guess" else None

    def title(self, one: Round) -> str:
        """What a list calls the round."""
        if one.kind == "pairs":
            return f"{len(one.items)} pairs of answers"
        return self.part(one, "").ask

    def part(self, one: Round, item: str) -> Part:
        """One part of a round, as it is asked."""
        if one.kind == "pairs":
            pair = self.pairs[item]
            return Part(item, pair.prompt, PAIR_CHOICES, answers=(pair.a, pair.b))
        if one.kind == "stuck":
            return Part("", "How far are you?", STUCK)
        if one.kind == "word":
            word = self.words[one.about]
            return Part("", word.text, {each: each for each in word.truth})
        asked = question(one.about)
        texts = (option.text for option in asked.options)
        return Part("", asked.ask, dict(zip(LETTERS, texts, strict=False)), asked.unit)

    def understood(self, one: Round, item: object, value: object) -> str:
        """A vote in the form in which it is kept; ValueError says what is wrong with it."""
        if not isinstance(item, str) or item not in one.items:
            raise ValueError(f"this round has no part {item!r:.60}")
        if isinstance(value, str) and len(value) > LONGEST:
            raise ValueError(f"an answer has {LONGEST} letters at most")
        if asked := self.question(one):
            return _readable(asked.understood(value))
        choices = self.part(one, item).choices
        if not isinstance(value, str) or value not in choices:
            raise ValueError(f"expected one of {', '.join(choices)}, got {value!r:.60}")
        return value

    def knows(self, one: Round) -> bool:
        """Whether all that the round asks is still there: a course may be newer than its room."""
        if one.kind == "pairs":
            return set(one.items) <= set(self.pairs)
        return one.kind == "stuck" or one.about in (self.words | self.guesses)


def _readable(value: str | Number) -> str:
    """A guess as it is kept. Numbers that no picture can hold aren't guesses."""
    if isinstance(value, str):
        return value
    if value and not 1e-9 <= abs(value) <= 1e15:
        raise ValueError(f"expected a number between 1e-9 and 1e15, got {float(value):.3g}")
    return str(float(f"{value:.12g}")) if isinstance(value, float) else str(value)


def read_pairs(path: Path) -> list[Pair]:
    """The pairs of a JSON Lines file; ValueError names the line that is wrong."""
    found = []
    for number, record in read_json_lines(path, PAIR_SHAPE):
        texts = [record.get(name) for name in ("prompt", "a", "b")]
        for text in texts:
            if not isinstance(text, str) or not text.strip() or len(text) > LONGEST:
                why = f"three texts of at most {LONGEST} letters, as in {PAIR_SHAPE}"
                raise ValueError(f"{path}, line {number}: expected {why}, got {text!r:.60}")
        if texts[1] == texts[2]:
            raise ValueError(f"{path}, line {number}: both answers are {texts[1]!r:.60}")
        found.append(Pair(*texts))
    if not found:
        raise ValueError(f"{path} holds no pairs: expected lines as {PAIR_SHAPE}")
    return found
