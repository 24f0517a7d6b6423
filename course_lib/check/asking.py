"""Asking before showing: a question, its guess, and the right answer once there is one.

`guess` keeps an answer, `is_open` says whether what stands behind a question may be shown by now,
and `outcome` sets both side by side. All of it is words; `widgets` adds the field and the buttons.
"""

import os
import textwrap
from collections import Counter
from collections.abc import Callable
from html import escape

from course_lib.check import guesses as kept
from course_lib.check.numbers import Number, shown
from course_lib.check.question import ID, LETTERS, Question, question, questions

WIDTH = 100  # letters of a line


class Words(str):
    """A text that a cell shows as it is, without quotes."""

    __slots__ = ()
    __repr__ = str.__str__


class Sentences(Words):
    """Lines that are read and not compared, so a page may break them where it likes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "\n".join(
            part
            for line in self.split("\n")
            for part in textwrap.wrap(line, WIDTH, subsequent_indent=" " * _indent(line))
        )

    def _repr_html_(self) -> str:
        return "".join(f"<p>{escape(line)}</p>" for line in self.split("\n"))


def _indent(line: str) -> int:
    """Where the text of an option begins, so that its second line begins there too."""
    return 5 if line.startswith("  ") else 0


# Called by `tell`. JupyterLab handles a widget's messages in threads of their own, so these may run
# beside a cell, and beside each other.
listeners: list[Callable[[str | None], None]] = []
_skipped: set[str | None] = set()  # in this kernel; None stands for all
_hints: Counter[str] = Counter()  # given so far, by exercise


def find(name: str) -> Question | None:
    """The record that `guess(name)` asks; None where the name is one of the older kind."""
    older = isinstance(name, str) and name not in questions() and not ID.fullmatch(name)
    return None if older else question(name, "guess")


def guess(name: str, value: Number | str | None = None) -> str | None:
    """Keeps a guess. Shows the question, what counts as an answer, or what is wrong with this one.

    >>> guess("six-share", "45%")
    Your guess is kept: 45%.
    """
    asked = find(name)
    if asked is None:
        return kept.guess(name, value)
    if value is None:
        return in_words(asked, standing(asked))
    try:
        told = keep(asked, value)
    except ValueError as error:
        # a sentence, no error: whoever runs all cells should not be stopped by a slip
        return wrong(error)
    tell(asked.id)
    return told


def keep(asked: Question, given: object) -> Sentences:
    """Keeps an answer and says which; ValueError where it is none."""
    kept.keep_guess(asked.id, asked.understood(given))
    return standing(asked)


def tell(id: str | None) -> None:
    """Lets all who listen know that a guess was kept or skipped; None stands for all of them."""
    for listener in listeners:
        listener(id)


def wrong(error: ValueError) -> Sentences:
    """What was wrong with an answer, as a sentence."""
    words = str(error)
    return Sentences(f"{words[0].upper()}{words[1:]}. Nothing was changed.")


def answer_to(asked: Question) -> str | Number | None:
    """The kept answer; None as long as there is none, or none that this question understands."""
    try:
        return asked.understood(kept.kept_guess(asked.id))
    except ValueError:  # kept before the question was changed
        return None


def skip(name: str | None = None) -> Sentences:
    """Shows what stands behind a question without a guess; behind all of them without a name."""
    if name is not None:
        question(name, "guess")
    _skipped.add(name)
    tell(name)
    behind = "every result is" if name is None else f"the result of {name} is"
    return Sentences(f"Skipped: {behind} shown without a guess until this kernel ends.")


def is_open(asked: Question) -> bool:
    """Whether what stands behind a question may be shown: guessed, skipped, or nobody is here."""
    nobody = os.environ.get("COURSE_GUESS") == "skip"  # tests, and notebooks that are being frozen
    return nobody or bool(_skipped & {asked.id, None}) or answer_to(asked) is not None


def standing(asked: Question) -> Sentences:
    """Which guess is kept, or how to make one."""
    value = answer_to(asked)
    if value is not None:
        return Sentences(f"Your guess is kept: {asked.told(value)}.")
    example = '"a"' if asked.options else "your_number"
    return Sentences(
        f'No guess yet: answer it in JupyterLab, or run guess("{asked.id}", {example}).'
    )


def in_words(asked: Question, *end: str) -> Sentences:
    """The question with its options, and `end` below."""
    options = zip(LETTERS, asked.options, strict=False)
    rows = [f"  {letter}  {option.text}" for letter, option in options]
    return Sentences("\n".join([asked.ask, *rows, *end]))


def outcome(asked: Question) -> Sentences:
    """What was guessed, the right answer, and why one might have thought otherwise."""
    value, so = answer_to(asked), asked.told(asked.right)
    if asked.options:
        why = asked.option(asked.right).why
        if value is None:
            told = f"The answer: {so}. {why}"
        elif value == asked.right:
            told = f"✓ You guessed {so}, and that's right. {why}"
        else:
            mine = f"✗ You guessed {asked.told(value)}. {asked.option(value).why}"
            told = f"{mine} The answer: {so}. {why}"
    elif value is None:
        told = f"The answer: {so}. {asked.why}"
    else:
        trap = next((t.why for t in asked.traps if t.low <= value <= t.high), "")
        told = f"You guessed {asked.told(value)}; it is {so}{_apart(asked, value)}."
        told = f"{told} {trap or asked.why}"
    return Sentences(told.strip())


def _apart(asked: Question, value: Number) -> str:
    if value == asked.answer:
        return ": exactly right"
    if asked.low <= value <= asked.high:
        return ": close enough"
    if asked.unit == "%":
        points = shown(abs(value - asked.answer))
        return f" ({points} points too {'high' if value > asked.answer else 'low'})"
    return kept.distance(value, asked.answer)


def guesses(notebook: str) -> str:
    """The guesses of the notebook with this number, each beside the right answer."""
    rows = kept.rows_of(notebook)
    for asked in questions().values():
        value = answer_to(asked) if asked.kind == "guess" else None
        if value is not None and asked.notebook.startswith(notebook):
            rows.append((asked.id, asked.told(value), asked.told(asked.right)))
    return kept.table(rows)


def hint(exercise: str) -> Sentences:
    """The next hint for an exercise, each time it is called; after the last one all of them.

    >>> hint("softmax")
    Hint 1 of 3: e to the power of each score, then something that makes them sum to 1.
    """
    asked = question(str(exercise).replace("_", "-"), "exercise")
    _hints[asked.id] += 1
    n = len(asked.hints)
    lines = [f"Hint {i} of {n}: {text}" for i, text in enumerate(asked.hints, 1)]
    if _hints[asked.id] <= n:
        lines = lines[_hints[asked.id] - 1 : _hints[asked.id]]
    else:
        lines.append("There are no more hints.")
    return Sentences("\n".join(lines))
