"""Recorded runs say which world they are of, and never mix two."""

import pytest

from course_lib.measure import recorded as module
from course_lib.measure.recorded import by_line, by_seed, recorded
from course_lib.world.edition import world_hash


@pytest.fixture
def written(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "measurement", tmp_path.joinpath)

    def write(name: str, text: str):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return name

    return write


def test_numbers_words_and_empty_cells(written):
    name = written(
        "runs.csv", f"seed,run,loss,world\n0,ppo,2.5,{world_hash()}\n1,,,{world_hash()}\n"
    )
    rows = recorded(name)
    assert rows == [{"seed": 0, "run": "ppo", "loss": 2.5}, {"seed": 1, "run": None, "loss": None}]
    assert rows.note == ""


def test_rows_of_an_earlier_world_say_so(written):
    lines = '{"seed": 0, "gold": 0.5, "world": "old"}\n{"seed": 1, "gold": 0.25, "world": "old"}\n'
    rows = recorded(written("cards.jsonl", lines))
    assert [row["gold"] for row in rows] == [0.5, 0.25] and rows.note == " (earlier world)"


def test_two_worlds_in_one_file_are_refused(written):
    name = written("runs.csv", "seed,world\n0,a\n1,b\n")
    with pytest.raises(ValueError, match="rows of 2 worlds, expected one"):
        recorded(name)


def test_the_seeds_of_runs_are_sorted_into_panels_and_rows():
    rows = [
        {"run": run, "step": step, "right": right, "wrong": 1 - right}
        for run, step, right in (("a", 80, 0.5), ("b", 80, 0.25), ("a", 80, 0.75), ("a", 10, 0.0))
    ]

    found = by_seed(rows, {"few": "a", "many": "b"}, {"R": "right", "W": "wrong"}, step=80)

    assert found == {
        "R": {"few": [0.5, 0.75], "many": [0.25]},
        "W": {"few": [0.5, 0.25], "many": [0.75]},
    }
    with pytest.raises(ValueError, match="no run 'many' was measured after 10 steps"):
        by_seed(rows, {"few": "a", "many": "b"}, {"R": "right"}, step=10)


def test_rows_become_lines_with_a_value_for_each_seed():
    rows = [
        {"run": run, "step": step, "loss": loss}
        for run, step, loss in (("a", 1, 9.0), ("a", 25, 4.0), ("b", 1, None), ("a", 1, 8.0))
    ]

    assert by_line(rows, "run", "step", "loss") == {"a": {1: [9.0, 8.0], 25: [4.0]}}
    doubled = by_line(rows, "run", lambda row: 2 * row["step"], "step")
    assert doubled == {"a": {2: [1, 1], 50: [25]}, "b": {2: [1]}}
