"""The committed notebooks keep the house rules; nbval, beside this, runs and compares them."""

import re
from pathlib import Path

import nbformat
import pytest

from course_lib.machine.folders import measurement
from tools.freeze_notebooks import problems

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"


def test_there_are_notebooks():
    assert list(NOTEBOOKS.glob("*.ipynb")), f"no notebook in {NOTEBOOKS}: the rules hold for none"


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebook_is_frozen_and_keeps_the_rules(path):
    notebook = nbformat.read(path, as_version=4)

    found = problems(notebook, path.parent)

    assert not found, "mend this, then run `make notebooks`:\n- " + "\n- ".join(found)


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebook_is_valid_nbformat(path):
    nbformat.validate(nbformat.read(path, as_version=4))


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_no_cell_relies_on_the_folder_that_the_kernel_starts_in(path):
    # VS Code and Colab start it elsewhere, and there ../artifacts is somebody else's folder.
    cells = nbformat.read(path, as_version=4).cells
    code = [cell.source for cell in cells if cell.cell_type == "code"]

    assert [source for source in code if "../" in source or "getcwd" in source] == []


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_the_measurements_are_read_from_any_folder(path, tmp_path, monkeypatch):
    cells = nbformat.read(path, as_version=4).cells
    names = [
        name
        for cell in cells
        if cell.cell_type == "code"
        for name in re.findall(r'recorded\("([^"]+)"\)', cell.source)
    ]

    monkeypatch.chdir(tmp_path)
    assert all(measurement(name).stat().st_size for name in names)
    assert bool(names) == (path.stem[:2] in ("03", "04", "05", "06"))
