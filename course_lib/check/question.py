"""The course's questions: what is asked, the right answer, and what a wrong answer usually means.

They stand in `questions/`, one TOML file for each notebook, one table for each question, so that
the notebook, the pages, the classroom and the answer key all ask the same. A record is checked when
it is read. Left out: questions with several right answers.
"""

import math
import re
import tomllib
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from course_lib.check.numbers import Number, number_in, shown

FOLDER = Path(__file__).parent / "questions"
LETTERS = "abcd"  # of the options: 2 to 4
KINDS = ("guess", "quiz", "exercise")
# A guess under an older name, such as "05 pairs", has a space. So two words with a dash are ours.
ID = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)+")
PERCENT = re.compile(r"\s*(%|per ?cent)\s*$", re.IGNORECASE)
EXERCISE_ID = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
FIELDS = {
    "choice": ({"kind", "ask", "options", "answer"}, set()),  # those needed, those allowed
    "number": (
        {"kind", "ask", "answer", "low", "high"},
        {"unit", "why", "traps", "least", "most"},
    ),
    "exercise": ({"kind", "hints"}, set()),
}


@dataclass(frozen=True)
class Option:
    """One of the answers to choose from, and what to tell somebody who chose it."""

    text: str
    why: str


@dataclass(frozen=True)
class Trap:
    """Numbers that somebody guesses who holds a certain wrong idea, and what to tell them."""

    low: Number
    high: Number
    why: str


@dataclass(frozen=True)
class Question:
    """A record. A number counts as found from `low` to `high`; a choice has `options` instead.

    What lies below `least` or above `most` is no answer: of a hundred classes, 130.
    """

    id: str
    notebook: str  # the name of its file: "02_next_token_prediction"
    kind: str  # one of KINDS
    ask: str = ""
    answer: Number = 0  # a choice: which option, from 0
    options: tuple[Option, ...] = ()
    unit: str = ""
    low: Number = 0
    high: Number = 0
    least: Number = 0
    most: Number = math.inf
    why: str = ""
    traps: tuple[Trap, ...] = ()
    hints: tuple[str, ...] = ()

    @property
    def right(self) -> str | Number:
        """The right answer, in the form in which a guess is kept: "b", or a number."""
        return LETTERS[self.answer] if self.options else self.answer

    def option(self, letter: str) -> Option:
        """The option with this letter."""
        return self.options[LETTERS.index(letter)]

    def told(self, value: str | Number) -> str:
        """A kept answer as one reads it: “the last name”, 45%, 1,200 tokens."""
        if self.options:
            return f"“{self.option(value).text}”"
        return f"{shown(value)}{'' if self.unit in ('', '%') else ' '}{self.unit}"

    def understood(self, given: object) -> str | Number:
        """What somebody answered, in the form in which it is kept; ValueError says what is wrong.

        An option may be given as its letter, its number from 1 or its text; a number as written.
        """
        if isinstance(given, bool) or not isinstance(given, Number | str):
            raise ValueError(f"expected {self._wanted()}, got {given!r:.60}")
        if isinstance(given, str) and not given.strip():
            raise ValueError(f"nothing is written there: {self._wanted()} is expected")
        return self._chosen(str(given).strip()) if self.options else self._number(str(given))

    def _wanted(self) -> str:
        if self.options:
            return f"one of the letters {', '.join(LETTERS[: len(self.options)])}"
        if self.unit == "%":
            return "a percentage such as 45, 45% or 0.45"
        return f"a number{' of ' if self.unit else ''}{self.unit} such as 45, 1,200 or 1.2e3"

    def _chosen(self, given: str) -> str:
        for letter, option in zip(LETTERS, self.options, strict=False):
            if given.casefold() in (letter, str(LETTERS.index(letter) + 1), option.text.casefold()):
                return letter
        raise ValueError(f"expected {self._wanted()}, got {given!r:.60}")

    def _number(self, given: str) -> Number:
        wrong = ValueError(f"expected {self._wanted()}, got {given!r:.60}")
        bare = PERCENT.sub("", given)
        percent = bare != given
        if percent and self.unit != "%":
            raise wrong
        if self.unit and bare.strip().casefold().endswith(self.unit.casefold()):
            bare = bare.strip()[: -len(self.unit)]
        try:
            value = number_in(bare)
        except ValueError:
            raise wrong from None
        if self.unit == "%" and not percent and 0 < value < 1:
            value = number_in(f"{100 * value:.10g}")  # 0.45 of all is 45%
        if self.unit == "%" and not 0 <= value <= 100:
            raise ValueError(f"a percentage lies between 0% and 100%, got {given!r:.60}")
        if not self.least <= value <= self.most:
            least, unit = shown(self.least), f" {self.unit}".rstrip()
            to = f" to {shown(self.most)}{unit}" if self.most < math.inf else f"{unit} or more"
            raise ValueError(f"expected {least}{to}, got {given!r:.60}")
        return value


@cache
def questions() -> dict[str, Question]:
    """All questions of the course by their ids, in order."""
    return read_questions(FOLDER)


def question(name: str, *kinds: str) -> Question:
    """The question with the id `name`; ValueError where there is none, or none of these kinds."""
    found = questions().get(name) if isinstance(name, str) else None
    if found is None:
        known = [each.id for each in questions().values() if not kinds or each.kind in kinds]
        near = get_close_matches(str(name), known, n=3)
        meant = f"did you mean {' or '.join(near)}?" if near else f"one is {known[0]}"
        raise ValueError(f"there is no {' or '.join(kinds) or 'question'} {name!r:.60}: {meant}")
    if kinds and found.kind not in kinds:
        raise ValueError(f"{name} is no {' or '.join(kinds)}: ask it with {found.kind}({name!r})")
    return found


def read_questions(folder: Path) -> dict[str, Question]:
    """The questions of all TOML files in a folder; ValueError says which record is wrong, and how.

    >>> read_questions(FOLDER)["six-share"].answer
    45
    """
    found: dict[str, Question] = {}
    for path in sorted(folder.glob("*.toml")):
        try:
            records = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{path.name} is not TOML: {error}") from error
        for id, record in records.items():
            try:
                if id in found:
                    raise ValueError(f"this id stands in {found[id].notebook}.toml too")
                found[id] = _checked(id, path.stem, record)
            except ValueError as error:
                raise ValueError(f"{path.name}, [{id}]: {error}") from error
    return found


def _checked(id: str, notebook: str, record: object) -> Question:
    if not isinstance(record, dict):
        raise ValueError(f"a table [{id}] is expected, got {record!r:.60}")
    kind = record.get("kind")
    if kind not in KINDS:
        raise ValueError(f"kind is one of {', '.join(KINDS)}, got {kind!r:.60}")
    if not (EXERCISE_ID if kind == "exercise" else ID).fullmatch(id):
        raise ValueError("an id has two or more words in lower case with dashes, as six-share")
    form = "exercise" if kind == "exercise" else "choice" if "options" in record else "number"
    if kind == "quiz" and form == "number":
        raise ValueError("a quiz has options to choose from")
    needed, allowed = FIELDS[form]
    if missing := sorted(needed - set(record)):
        raise ValueError(f"{', '.join(missing)} missing: a {form} has {', '.join(sorted(needed))}")
    if unknown := sorted(set(record) - needed - allowed):
        raise ValueError(f"a {form} knows no {', '.join(unknown)}")
    ask = _text(record["ask"], "ask") if form != "exercise" else ""
    return {"exercise": _exercise, "choice": _choice, "number": _numeric}[form](
        Question(id, notebook, kind, ask), record
    )


def _exercise(empty: Question, record: dict) -> Question:
    hints = _list(record["hints"], "hints")
    if not hints:
        raise ValueError("an exercise has one hint or more")
    return replace(empty, hints=tuple(_text(hint, "a hint") for hint in hints))


def _choice(empty: Question, record: dict) -> Question:
    rows = [
        _table(row, {"text", "why"}, "an option") for row in _list(record["options"], "options")
    ]
    if not 2 <= len(rows) <= len(LETTERS):
        raise ValueError(f"a choice has 2 to {len(LETTERS)} options, got {len(rows)}")
    options = tuple(Option(_text(r["text"], "text"), _text(r["why"], "why")) for r in rows)
    if len({option.text.casefold() for option in options}) < len(options):
        raise ValueError("two options have the same text")
    answer = record["answer"]
    if type(answer) is not int or not 0 <= answer < len(options):
        last = len(options) - 1
        raise ValueError(f"answer is the right option's place, 0 to {last}, got {answer!r:.60}")
    return replace(empty, options=options, answer=answer)


def _numeric(empty: Question, record: dict) -> Question:
    answer, low, high = (_size(record[field], field) for field in ("answer", "low", "high"))
    if not low <= answer <= high:
        raise ValueError(f"low <= answer <= high is expected, got {low} <= {answer} <= {high}")
    least = _size(record.get("least", 0), "least")
    most = _size(record["most"], "most") if "most" in record else math.inf
    if not least <= low <= high <= most:
        raise ValueError(f"least <= low, high <= most is expected, got {least} and {most}")
    unit = record.get("unit", "")
    if not isinstance(unit, str):
        raise ValueError(f"unit is a text such as % or tokens, got {unit!r:.60}")
    if unit == "%" and not 0 <= answer <= 100:
        raise ValueError(f"a percentage lies between 0 and 100, got {answer}")
    traps = []
    for row in _list(record.get("traps", []), "traps"):
        _table(row, {"low", "high", "why"}, "a trap")
        trap = Trap(_size(row["low"], "low"), _size(row["high"], "high"), _text(row["why"], "why"))
        if trap.low > trap.high or (trap.low <= high and low <= trap.high):
            raise ValueError(
                f"a trap reaches from low to high outside of {low} to {high}, which count as "
                f"found, got {trap.low} to {trap.high}"
            )
        traps.append(trap)
    why = _text(record["why"], "why") if "why" in record else ""
    limits = dict(low=low, high=high, least=least, most=most)
    return replace(empty, answer=answer, unit=unit, why=why, traps=tuple(traps), **limits)


def _text(value: object, what: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{what} is a text with something in it, got {value!r:.60}")
    return " ".join(value.split())


def _size(value: object, what: str) -> Number:
    if isinstance(value, bool) or not isinstance(value, Number) or value - value != 0:
        raise ValueError(f"{what} is a finite number, got {value!r:.60}")
    return value


def _list(value: object, what: str) -> list:
    if not isinstance(value, list):
        raise ValueError(f"{what} is a list in [ ], got {value!r:.60}")
    return value


def _table(value: object, fields: set[str], what: str) -> dict:
    if not isinstance(value, dict) or set(value) != fields:
        raise ValueError(f"{what} has {' and '.join(sorted(fields))}, got {value!r:.60}")
    return value
