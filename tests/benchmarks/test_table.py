"""Measurements are kept row by row, and the recorded ones are what the programs would write."""

import csv

import pytest

from benchmarks import (
    alignment,
    cleaning,
    collapse,
    learning,
    overoptimisation,
    repetition,
    reward,
    scaling_sweep,
    sft,
)
from benchmarks.table import DATA, Table


def test_a_table_goes_on_where_it_stopped(tmp_path):
    path = tmp_path / "table.csv"
    Table(path, "seed,share,loss").add(0, 0.1, 1 / 3)

    again = Table(path, "seed,share,loss")
    assert (0, 0.1) in again and (0, 0.2) not in again and (1,) not in again
    again.add(1, 0.1, 2.0)
    assert path.read_text() == "seed,share,loss\n0,0.1,0.33333\n1,0.1,2\n"
    with pytest.raises(ValueError, match="3 values"):
        again.add(1, 0.1)
    with pytest.raises(ValueError, match="columns"):
        Table(path, "seed,loss")


def test_a_torn_row_is_measured_again(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(b"seed,loss\n0,2.5\n1,2.7")  # was it 2.7, or 2.75?

    table = Table(path, "seed,loss")
    assert (0, 2.5) in table and (1,) not in table
    table.add(1, 2.75)
    assert path.read_bytes() == b"seed,loss\n0,2.5\n1,2.75\n"


RECORDED = {
    "alignment": (alignment.COLUMNS, alignment.NUMBER),
    "alignment_gpu": (alignment.COLUMNS, alignment.NUMBER),
    "cleaning": (cleaning.COLUMNS,),
    "collapse": (collapse.COLUMNS,),
    "learning": (learning.COLUMNS,),
    "overoptimisation": (overoptimisation.CURVE, overoptimisation.FOUR_PLACES),
    "overoptimised": (overoptimisation.ENDS, overoptimisation.FOUR_PLACES),
    "repetition": (repetition.COLUMNS,),
    "reward": (reward.COLUMNS, overoptimisation.FOUR_PLACES),
    "scaling": (scaling_sweep.COLUMNS,),
    "sft": (sft.COLUMNS, sft.NUMBER),
    "sft_short": (sft.COLUMNS, sft.NUMBER),
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
    """Three of the files have Windows' line ends, from the writer before this one."""
    recorded = (DATA / f"{name}.csv").read_text(encoding="utf-8")
    again = Table(tmp_path / "again.csv", *RECORDED[name])
    for row in list(csv.reader(recorded.splitlines()))[1:]:
        again.add(*map(value, row))

    assert again.path.read_text(encoding="utf-8") == recorded
