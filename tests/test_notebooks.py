"""The committed notebooks keep the house rules; nbval, beside this, runs and compares them."""

from pathlib import Path

import nbformat
import pytest

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
