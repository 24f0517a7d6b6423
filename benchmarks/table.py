"""Where the benchmarks keep what they measure: CSV files that grow row by row.

A run of hours gets stopped. So each row goes to its file the moment it is measured, and a program
that is started again skips the rows it finds there. The last column is the hash of the world that
was measured: rows of two worlds never share a file.
"""

import argparse
import csv
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from course_lib.world.edition import world_hash

DATA = Path(__file__).parent / "data"  # the recorded runs that the notebooks show


def seeds_and_data(description: str) -> argparse.Namespace:
    """`seeds` and `data`, a folder that is made, from the command line of a program over seeds."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--data", type=Path, default=DATA)
    options = parser.parse_args()
    options.data.mkdir(parents=True, exist_ok=True)
    return options


class Table:
    """A CSV file; `(first, second) in table` says whether one of its rows begins like this.

    `number` writes a float. Words and whole numbers stay as they are, and None is an empty cell.
    With `show`, each new row is printed too.
    """

    def __init__(
        self,
        path: str | Path,
        columns: str,
        number: Callable[[float], object] = "{:.5g}".format,
        show: bool = True,
        world: str | None = None,  # the hash of another world than today's
    ) -> None:
        self.path, self.columns, self._number = Path(path), columns.split(","), number
        self.world = world or world_hash()
        wanted = [*self.columns, "world"]
        self._show, self._started = show, time.monotonic()
        if not self.path.exists():
            self.path.write_bytes(f"{','.join(wanted)}\n".encode())
        content = self.path.read_bytes()
        complete = content[: content.rfind(b"\n") + 1]
        if complete != content:
            # The machine went down in mid-row. Drop that row: half a number reads like a number.
            os.truncate(self.path, len(complete))
        header, *rows = csv.reader(complete.decode().splitlines())
        if header != wanted:
            raise ValueError(f"{path} has the columns {header}, not {wanted}: move it away")
        if others := {row[-1] for row in rows} - {self.world}:
            raise ValueError(
                f"{path} was measured in another world ({', '.join(sorted(others))}, today's is "
                f"{self.world}): move it away"
            )
        self._beginnings = set()
        for row in rows:
            self._remember(row)

    def __contains__(self, beginning: Iterable) -> bool:
        return tuple(map(self._cell, beginning)) in self._beginnings

    def add(self, *row) -> None:
        """Write a row, whole or not at all: a value for each column, in their order."""
        if len(row) != len(self.columns):
            raise ValueError(f"a row has {len(self.columns)} values, got {len(row)}: {row}")
        cells = [self._cell(value) for value in row]
        with self.path.open("a", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow([*cells, self.world])
        self._remember(cells)
        if self._show:
            print(f"{time.monotonic() - self._started:.0f} s: {','.join(cells)}", flush=True)

    def add_named(self, row: dict) -> None:
        """Write a row whose values are given by the names of their columns."""
        self.add(*(row[name] for name in self.columns))

    def _remember(self, cells: list[str]) -> None:
        self._beginnings |= {tuple(cells[:n]) for n in range(1, len(cells) + 1)}

    def _cell(self, value) -> str:
        if value is None:
            return ""
        return str(self._number(value) if isinstance(value, float) else value)
