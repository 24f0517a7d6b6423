"""The recorded runs that come with the course, and which world they were measured in."""

import csv
import json

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


def _value(cell: str) -> float | str | None:
    try:
        return float(cell)
    except ValueError:
        return cell or None
