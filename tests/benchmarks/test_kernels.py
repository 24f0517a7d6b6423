"""Kernels beside each other: the part of a notebook that trains is found, and turns are kept."""

import asyncio
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from benchmarks import kernels
from benchmarks.kernels import Run, measure, row, training

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
BEFORE, TRAINING = 0.2, 0.6  # seconds
LIVE = f"""
import asyncio
from types import SimpleNamespace
board = SimpleNamespace(job=asyncio.sleep({TRAINING}))
"""


@pytest.fixture
def notebook(tmp_path):
    """A notebook whose training only sleeps, and whose last cell nobody should reach."""
    sources = [f"import time; time.sleep({BEFORE})", LIVE, "1 / 1", "await board.job", "1 / 0"]
    cells = [new_markdown_cell("# Title"), *map(new_code_cell, sources)]
    nbformat.write(new_notebook(cells=cells), path := tmp_path / "one.ipynb")
    return path


@pytest.mark.parametrize("name", ["03", "04", "05", "06"])
def test_the_live_training_of_a_notebook_is_found(name):
    (path,) = NOTEBOOKS.glob(f"{name}_*.ipynb")
    notebook = nbformat.read(path, as_version=4)

    first, last = training(notebook)

    assert "board = train_live(" in notebook.cells[first].source
    assert notebook.cells[last].source.startswith("await board.job") and first < last


def test_a_notebook_without_a_training_is_refused():
    with pytest.raises(ValueError, match=r"live training.*`await X\.job`"):
        training(new_notebook(cells=[new_code_cell("job = 1")]))


@pytest.mark.parametrize("turns", [1, 2])
def test_kernels_wait_for_their_turn_and_only_for_that(notebook, turns, monkeypatch):
    monkeypatch.setattr(kernels, "LOOK", 0.05)

    runs, most = asyncio.run(measure(notebook, 2, turns))

    assert all(run.before >= BEFORE and run.trained >= TRAINING for run in runs)
    waited = [run.waited > TRAINING / 3 for run in runs]  # the other began hardly earlier
    assert waited.count(True) == 2 - turns
    assert 2 * 20e6 < most["uss"] <= most["pss"]  # a kernel alone has more than 20 MB


def test_a_row_shows_the_quickest_and_the_slowest_kernel():
    runs = [Run(10, 0, 60), Run(12, 58.6, 61)]

    assert row(runs, {"pss": 1_234_500_000, "uss": 900_000_000}, 1) == (
        "| 2 | 1 | 10 to 12 | 0 to 59 | 60 to 61 | 132 | 1,234 | 900 |"
    )
