"""The recorded runs that come with the course, and which world they were measured in."""

import csv
import json
from collections.abc import Callable

from course_lib.machine.folders import measurement
from course_lib.world.edition import world_hash


class Recorded(list):
    """Rows as dictionaries, numbers as floats; empty cells are None.

    `note` is empty, or " (earlier world)": where the rows were measured before the world was what
    it is now, a picture of them must say so and may show nothing of today's models beside them.
    """

    def __init__(self, rows: list[dict], note: str) -> None:
        super().__init__(rows)
        self.note = note


def recorded(name: str) -> Recorded:
    """The rows of `benchmarks/data/<name>`, a .csv or .jsonl file."""
    path = measurement(name)
    with path.open(encoding="utf-8", newline="") as file:
        if path.suffix == ".jsonl":
            rows = [json.loads(line) for line in file]
        else:
            rows = [
                {column: _value(cell) for column, cell in row.items()}
                for row in csv.DictReader(file)
            ]
    worlds = {row.pop("world") for row in rows}
    if len(worlds) != 1:
        raise ValueError(f"{path} holds rows of {len(worlds)} worlds, expected one: {worlds}")
    return Recorded(rows, "" if worlds == {world_hash()} else " (earlier world)")


def by_seed(
    rows: list[dict], ways: dict[str, str], columns: dict[str, str], step: int
) -> dict[str, dict[str, list[float]]]:
    """What the seeds of several runs measured after `step` steps: panel -> row -> a share each.

    `ways` names the rows of a picture by their runs, `columns` its panels by what was measured.
    """
    found = {
        panel: {
            name: [row[column] for row in rows if (row["run"], row["step"]) == (run, step)]
            for name, run in ways.items()
        }
        for panel, column in columns.items()
    }
    if missing := [name for name in ways if not all(panel[name] for panel in found.values())]:
        raise ValueError(f"no run {', '.join(map(repr, missing))} was measured after {step} steps")
    return found


def by_line(
    rows: list[dict],
    name: str,
    x: str | Callable[[dict], float],
    y: str | Callable[[dict], float],
) -> dict[str, dict[float, list[float]]]:
    """The lines of a picture: what a column calls them -> x -> y of each seed.

    x and y are columns, or functions of a row. A row without its y is left out.
    """
    found: dict[str, dict[float, list[float]]] = {}
    for row in rows:
        at, value = (row[what] if isinstance(what, str) else what(row) for what in (x, y))
        if value is not None:
            found.setdefault(row[name], {}).setdefault(at, []).append(value)
    return found


def _value(cell: str) -> float | str | None:
    try:
        return float(cell)
    except ValueError:
        return cell or None
