"""What a learner guessed, beside the right answer.

`guess` and `beside` keep each guess in a file, so that it is still there after the kernel or the
computer was restarted.
"""

import math
import os
from pathlib import Path

from course_lib.check.numbers import Number, shown
from course_lib.machine.disk import locked, read_json, write_json
from course_lib.machine.folders import artifacts_folder


def guesses_file() -> Path:
    """Where the guesses are kept."""
    return artifacts_folder() / "guesses.json"


def guess(name: str, value: Number | str | None = None) -> str | None:
    """Keeps the guess `value` under `name`; None keeps nothing, and an earlier guess stays.

    Returns a line that says which guess is kept now, or None as long as there is none.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"a guess is a finite number or a text, got {value}")
    if value is not None and not isinstance(value, Number | str):
        raise ValueError(f"a guess is a number or a text, got {type(value).__name__}")
    if value is not None:
        keep_guess(name, value)
    kept = _load()
    return f"Your guess is kept: {shown(kept[name]['guess'])}" if name in kept else None


def keep_guess(name: str, value: Number | str) -> None:
    """Keeps a guess in place of an earlier one and of its truth; the same once more is nothing."""
    if _load().get(name, {}).get("guess") != value:
        _keep(name, {"guess": value})


def kept_guess(name: str) -> Number | str | None:
    """The guess that is kept under `name`, or None as long as there is none."""
    return _load().get(name, {}).get("guess")


def beside(name: str, truth: Number | str, unit: str = "") -> str:
    """The kept guess and the truth, in one line; the truth is kept beside the guess."""
    truth = truth.item() if hasattr(truth, "item") else truth  # a tensor's or an array's number
    kept = _load()
    unit = unit if unit == "%" else f" {unit}".rstrip()
    told = f"measured: {shown(truth)}{unit}"
    if name not in kept:
        return f"your guess: none yet; {told}"
    yours = kept[name]["guess"]
    if kept[name].get("truth") != truth:
        _keep(name, kept[name] | {"truth": truth})
    return f"your guess: {shown(yours)}{unit}; {told}{distance(yours, truth)}"


def rows_of(notebook: str) -> list[tuple[str, str, str]]:
    """(name, guess, truth) of the kept guesses whose names start with `notebook`."""
    return [
        (name.removeprefix(notebook).strip(), shown(row["guess"]), shown(row.get("truth", "?")))
        for name, row in _load().items()
        if name.startswith(notebook)
    ]


def table(rows: list[tuple[str, str, str]]) -> str:
    """Guesses in lines, each beside its truth."""
    if not rows:
        return "No guesses are kept yet: put one into a cell that asks for it, and run it."
    rows = [("guess", "yours", "measured"), *rows]
    names, yours, truths = (max(map(len, column)) for column in zip(*rows, strict=True))
    yours, truths = max(yours, 12), max(truths, 12)
    return "\n".join(f"{n:<{names}}  {y:>{yours}}  {t:>{truths}}" for n, y, t in rows)


def guesses(notebook: str) -> str:
    """The kept guesses whose names start with `notebook`, each beside its truth."""
    return table(rows_of(notebook))


def band(what: str, value: float, low: float, high: float) -> str:
    """What came out here, and where it should lie. Stored outputs are compared without the number.

    >>> band("bits a token", 1.71, 1.4, 2.0)
    'bits a token; yours: 1.71 (1.4 to 2 expected)'
    """
    outside = "" if low <= value <= high else ": this is OUTSIDE"
    return f"{what}; yours: {shown(value)} ({shown(low)} to {shown(high)} expected{outside})"


def distance(yours: object, truth: object) -> str:
    """How far off a guess is, in brackets; nothing where that can't be said."""
    numbers = all(isinstance(v, Number) and not isinstance(v, bool) for v in (yours, truth))
    if not numbers:
        return " (right)" if str(yours).strip().lower() == str(truth).strip().lower() else ""
    if yours == truth:
        return " (right)"
    if min(yours, truth) <= 0:
        return f" ({shown(abs(yours - truth))} too {'high' if yours > truth else 'low'})"
    ratio = max(yours / truth, truth / yours)
    if ratio < 1.1:
        return " (close)"
    return f" ({ratio:,.1f} times too {'high' if yours > truth else 'low'})"


def _load() -> dict[str, dict]:
    try:
        kept = read_json(guesses_file())
    except (FileNotFoundError, ValueError):  # a broken file is no reason to stop a lesson
        return {}
    # nor is a broken row
    return {name: row for name, row in kept.items() if isinstance(row, dict) and "guess" in row}


def _keep(name: str, row: dict) -> None:
    """Keep a guess among the others, also among those that another kernel keeps meanwhile."""
    path = guesses_file()
    with locked(path):
        kept = _load()
        if not kept and path.exists():  # broken: somebody may still want to repair it
            os.replace(path, f"{path}.broken")
        write_json(path, kept | {name: row}, indent=1)
