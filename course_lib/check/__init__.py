"""What a learner guesses and writes, beside what is so: kept guesses, verdicts on exercises.

`guess` and `beside` keep each guess in a file, so that it is still there after the kernel or the
computer was restarted. The checkers of a notebook's exercises stand in the module named like it; a
checker returns a `Verdict` and never raises, whatever the learner's function does. Left out: marks.
"""

import json
import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

Number = int | float


@dataclass(frozen=True)
class Verdict:
    """Whether an answer is right, and what to think about next; shown as its words."""

    ok: bool
    words: str

    def __repr__(self) -> str:
        return ("✓ Right. " if self.ok else "✗ Not yet. ") + self.words


def guesses_file() -> Path:
    """Where guesses are kept: in the course's folder `artifacts`, or in COURSE_ARTIFACTS."""
    beside_notebooks = "../artifacts" if Path.cwd().name == "notebooks" else "artifacts"
    return Path(os.environ.get("COURSE_ARTIFACTS", beside_notebooks)) / "guesses.json"


def guess(name: str, value: Number | str | None = None) -> str | None:
    """Keeps the guess `value` under `name`; None keeps nothing, and an earlier guess stays.

    Returns a line that says which guess is kept now, or None as long as there is none.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"a guess is a finite number or a text, got {value}")
    if value is not None and not isinstance(value, Number | str):
        raise ValueError(f"a guess is a number or a text, got {type(value).__name__}")
    kept = _load()
    if value is not None and kept.get(name, {}).get("guess") != value:
        kept[name] = {"guess": value}
        _save(kept)
    return f"Your guess is kept: {_show(kept[name]['guess'])}" if name in kept else None


def beside(name: str, truth: Number | str, unit: str = "") -> str:
    """The kept guess and the truth, in one line; the truth is kept beside the guess."""
    truth = truth.item() if hasattr(truth, "item") else truth  # a tensor's or an array's number
    kept = _load()
    told = f"measured: {_show(truth)} {unit}".rstrip()
    if name not in kept:
        return f"your guess: none yet; {told}"
    yours = kept[name]["guess"]
    if kept[name].get("truth") != truth:
        kept[name]["truth"] = truth
        _save(kept)
    return f"your guess: {_show(yours)} {unit}".rstrip() + f"; {told}{_distance(yours, truth)}"


def guesses(notebook: str) -> str:
    """The kept guesses whose names start with `notebook`, each beside its truth."""
    rows = [
        (name.removeprefix(notebook).strip(), _show(row["guess"]), _show(row.get("truth", "?")))
        for name, row in _load().items()
        if name.startswith(notebook)
    ]
    if not rows:
        return "No guesses are kept yet: put one into a cell that asks for it, and run it."
    width = max(len(name) for name, _, _ in rows)
    lines = [f"{name:<{width}}  {yours:>12}  {truth:>12}" for name, yours, truth in rows]
    return "\n".join([f"{'guess':<{width}}  {'yours':>12}  {'measured':>12}", *lines])


def band(what: str, value: float, low: float, high: float) -> str:
    """Whether a measured value lies where three seeds lay; the same words on every machine.

    >>> band("bits a token", 1.71, 1.4, 2.0)
    'bits a token: 1.4 to 2 expected, inside the band'
    """
    if not low < high:
        raise ValueError(f"a band goes from low to high, got {low} and {high}")
    place = "inside the band" if low <= value <= high else "OUTSIDE of the band"
    return f"{what}: {_show(low)} to {_show(high)} expected, {place}"


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
        except Exception as error:  # whatever a learner's code may raise
            return Verdict(False, f"{asked} ended in {type(error).__name__}: {error}. {hint}")
        if not _alike(found, expected):
            told = f"{asked} gives {_brief(found)}, expected {_brief(expected)}. {hint}"
            return Verdict(False, told.strip())
    return Verdict(True, praise or f"All {len(cases)} cases agree.")


def _alike(found: object, expected: object) -> bool:
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
        value = value.tolist()
    if isinstance(value, list | tuple) and all(isinstance(v, Number) for v in value):
        text = "[" + ", ".join(_show(v) for v in value) + "]"
    else:
        text = _show(value) if isinstance(value, Number) else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _show(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, Number):
        return str(value)
    if isinstance(value, int) or value == int(value):
        return f"{int(value):,}"
    return f"{value:,.3g}" if abs(value) < 100 else f"{value:,.0f}"


def _distance(yours: object, truth: object) -> str:
    numbers = all(isinstance(v, Number) and not isinstance(v, bool) for v in (yours, truth))
    if not numbers:
        return " (right)" if str(yours).strip().lower() == str(truth).strip().lower() else ""
    if yours == truth:
        return " (right)"
    if min(yours, truth) <= 0:
        return f" ({_show(abs(yours - truth))} too {'high' if yours > truth else 'low'})"
    ratio = max(yours / truth, truth / yours)
    if ratio < 1.1:
        return " (close)"
    return f" ({ratio:,.1f} times too {'high' if yours > truth else 'low'})"


def _load() -> dict[str, dict]:
    try:
        found = json.loads(guesses_file().read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # a broken file is no reason to stop a lesson
        return {}
    return found if isinstance(found, dict) else {}


def _save(kept: dict[str, dict]) -> None:
    path = guesses_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".part")
    half.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    half.replace(path)  # whole or not at all
