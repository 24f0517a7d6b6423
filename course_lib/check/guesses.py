"""What a learner guessed, beside what is so.

`guess` and `beside` keep each guess in a file, so that it is still there after the kernel or the
computer was restarted.
"""

import math
import os
from pathlib import Path

from course_lib.machine.disk import locked, read_json, write_json
from course_lib.machine.folders import artifacts_folder

Number = int | float


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
    kept = _load()
    if value is not None and kept.get(name, {}).get("guess") != value:
        kept[name] = {"guess": value}
        _keep(name, kept[name])
    return f"Your guess is kept: {shown(kept[name]['guess'])}" if name in kept else None


def kept_guess(name: str) -> Number | str | None:
    """The guess that is kept under `name`, or None as long as there is none."""
    return _load().get(name, {}).get("guess")


def beside(name: str, truth: Number | str, unit: str = "") -> str:
    """The kept guess and the truth, in one line; the truth is kept beside the guess."""
    truth = truth.item() if hasattr(truth, "item") else truth  # a tensor's or an array's number
    kept = _load()
    told = f"measured: {shown(truth)} {unit}".rstrip()
    if name not in kept:
        return f"your guess: none yet; {told}"
    yours = kept[name]["guess"]
    if kept[name].get("truth") != truth:
        _keep(name, kept[name] | {"truth": truth})
    return f"your guess: {shown(yours)} {unit}".rstrip() + f"; {told}{_distance(yours, truth)}"


def guesses(notebook: str) -> str:
    """The kept guesses whose names start with `notebook`, each beside its truth."""
    rows = [
        (name.removeprefix(notebook).strip(), shown(row["guess"]), shown(row.get("truth", "?")))
        for name, row in _load().items()
        if name.startswith(notebook)
    ]
    if not rows:
        return "No guesses are kept yet: put one into a cell that asks for it, and run it."
    width = max(len(name) for name, _, _ in rows)
    lines = [f"{name:<{width}}  {yours:>12}  {truth:>12}" for name, yours, truth in rows]
    return "\n".join([f"{'guess':<{width}}  {'yours':>12}  {'measured':>12}", *lines])


def band(what: str, value: float, low: float, high: float) -> str:
    """What came out here, and where it should lie. Stored outputs are compared without the number.

    >>> band("bits a token", 1.71, 1.4, 2.0)
    'bits a token; yours: 1.71 (1.4 to 2 expected)'
    """
    outside = "" if low <= value <= high else ": this is OUTSIDE"
    found = shown(value) if math.isfinite(value) else value
    return f"{what}; yours: {found} ({shown(low)} to {shown(high)} expected{outside})"


def shown(value: object) -> str:
    """A whole number whole, another to three digits at least, anything else as its text."""
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
        return f" ({shown(abs(yours - truth))} too {'high' if yours > truth else 'low'})"
    ratio = max(yours / truth, truth / yours)
    if ratio < 1.1:
        return " (close)"
    return f" ({ratio:,.1f} times too {'high' if yours > truth else 'low'})"


def _load() -> dict[str, dict]:
    try:
        return read_json(guesses_file())
    except (FileNotFoundError, ValueError):  # a broken file is no reason to stop a lesson
        return {}


def _keep(name: str, row: dict) -> None:
    """Keep a guess among the others, also among those that another kernel keeps meanwhile."""
    path = guesses_file()
    with locked(path):
        kept = _load()
        if not kept and path.exists():  # broken: somebody may still want to repair it
            os.replace(path, f"{path}.broken")
        write_json(path, kept | {name: row}, indent=1)
