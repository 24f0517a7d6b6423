"""Verdicts on what a learner wrote.

The checkers of a notebook's exercises stand in the module named like it. A checker returns a
`Verdict` and never raises, whatever the learner's function does. Left out: grades.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from course_lib.check.numbers import Number, shown


@dataclass(frozen=True)
class Verdict:
    """Whether an answer is right, and what to think about next; shown as its words."""

    ok: bool
    words: str

    def __repr__(self) -> str:
        return ("✓ Right. " if self.ok else "✗ Not yet. ") + self.words


def examine(
    function: Callable, cases: Iterable[tuple[tuple, object]], hint: str = "", praise: str = ""
) -> Verdict:
    """The verdict on a function from (arguments, expected result) pairs, with the first that fails.

    Numbers may differ by rounding (one in a million).
    """
    if not callable(function):
        return Verdict(False, f"This needs a function, got {function!r:.60}.")
    cases = list(cases)
    for arguments, expected in cases:
        asked = f"{getattr(function, '__name__', 'it')}({', '.join(map(_brief, arguments))})"
        try:
            found = function(*arguments)
        except NotImplementedError:
            return Verdict(False, f"{asked.partition('(')[0]} isn't written yet.")
        except Exception as error:  # whatever a learner's code may raise
            return Verdict(False, f"{asked} ended in {type(error).__name__}: {error}. {hint}")
        if not _alike(found, expected):
            told = f"{asked} gives {_brief(found)}, expected {_brief(expected)}. {hint}"
            return Verdict(False, told.strip())
    return Verdict(True, praise or f"All {len(cases)} cases agree.")


def _alike(found: object, expected: object) -> bool:
    if hasattr(expected, "tolist"):
        expected = expected.tolist()
    if isinstance(expected, bool | str) or expected is None:
        return found is expected or (type(found) is type(expected) and found == expected)
    if isinstance(expected, Number):
        try:
            return math.isclose(float(found), expected, rel_tol=1e-6, abs_tol=1e-9)
        except (TypeError, ValueError, RuntimeError):
            return False
    if isinstance(expected, dict):
        same_keys = isinstance(found, dict) and found.keys() == expected.keys()
        return same_keys and all(_alike(found[key], expected[key]) for key in expected)
    try:
        found = list(found)
    except TypeError:
        return False
    return len(found) == len(expected) and all(map(_alike, found, expected))


def _brief(value: object) -> str:
    if hasattr(value, "tolist"):  # an array or a tensor
        text = _rounded(value.tolist())
    elif isinstance(value, list | tuple) and all(isinstance(v, Number) for v in value):
        text = "[" + ", ".join(shown(v) for v in value) + "]"
    else:
        text = shown(value) if isinstance(value, Number) else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _rounded(value: object) -> str:
    """A table's numbers to three digits, without commas for thousands: they part the numbers."""
    if isinstance(value, list):
        return f"[{', '.join(_rounded(v) for v in value[:80])}]"
    return shown(value).replace(",", "")
