"""Measurements are kept row by row, and the recorded ones are what the programs would write."""

import csv

import pytest

from benchmarks import (
    alignment,
    breaking,
    cleaning,
    collapse,
    leash,
    repetition,
    roads,
    scaling_sweep,
    sft,
    taste,
)
from benchmarks.table import DATA, Table
from course_lib.world.edition import world_hash


def test_a_table_goes_on_where_it_stopped(tmp_path):
    path = tmp_path / "table.csv"
    Table(path, "seed,share,loss", world="w1").add(0, 0.1, 1 / 3)

    again = Table(path, "seed,share,loss", world="w1")
    assert (0, 0.1) in again and (0, 0.2) not in again and (1,) not in again
    again.add(1, 0.1, 2.0)
    assert path.read_text() == "seed,share,loss,world\n0,0.1,0.33333,w1\n1,0.1,2,w1\n"
    with pytest.raises(ValueError, match="3 values"):
        again.add(1, 0.1)
    with pytest.raises(ValueError, match="columns"):
        Table(path, "seed,loss", world="w1")


def test_rows_of_two_worlds_never_share_a_file(tmp_path):
    path = tmp_path / "table.csv"
    Table(path, "seed,loss", world="w1").add(0, 2.5)
    with pytest.raises(ValueError, match=r"another world \(w1, today's is w2\)"):
        Table(path, "seed,loss", world="w2")

    today = Table(tmp_path / "today.csv", "seed,loss")
    today.add(0, 2.5)
    assert today.path.read_text() == f"seed,loss,world\n0,2.5,{world_hash()}\n"


def test_a_torn_row_is_measured_again(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(b"seed,loss,world\n0,2.5,w\n1,2.7")  # was it 2.7, or 2.75?

    table = Table(path, "seed,loss", world="w")
    assert (0, 2.5) in table and (1,) not in table
    table.add(1, 2.75)
    assert path.read_bytes() == b"seed,loss,world\n0,2.5,w\n1,2.75,w\n"


RECORDED = {
    "alignment_gpu": (alignment.COLUMNS, alignment.NUMBER),
    "breaking": (breaking.COLUMNS, breaking.NUMBER),
    "cleaning": (cleaning.COLUMNS,),
    "collapse": (collapse.COLUMNS,),
    "leash": (leash.COLUMNS, leash.NUMBER),
    "repetition": (repetition.COLUMNS,),
    "roads": (roads.COLUMNS, roads.NUMBER),
    "scaling": (scaling_sweep.COLUMNS,),
    "sft": (sft.COLUMNS, sft.NUMBER),
    "taste": (taste.COLUMNS, taste.NUMBER),
}


def value(cell: str) -> int | float | str | None:
    for kind in (int, float):
        try:
            return kind(cell)
        except ValueError:
            pass
    return cell or None


@pytest.mark.parametrize("name", RECORDED)
def test_the_recorded_runs_come_again_to_the_digit(name, tmp_path):
    recorded = (DATA / f"{name}.csv").read_text(encoding="utf-8")
    rows = list(csv.reader(recorded.splitlines()))[1:]
    again = Table(tmp_path / "again.csv", *RECORDED[name], world=rows[0][-1])
    for row in rows:
        again.add(*map(value, row[:-1]))

    assert again.path.read_text(encoding="utf-8") == recorded
