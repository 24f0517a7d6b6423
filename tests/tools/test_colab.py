"""Pages for Colab: the first cell adds what is missing and changes nothing; results stay away.

A machine of Colab's is played by a virtual environment, its packages by wheels of one empty module.
"""

import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from zipfile import ZipFile

import nbformat
import packaging
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.test_environment import PROJECT, PYTHONS
from tools.colab_pages import FIRST_CELL, LINK, main, page
from tools.course_files import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "course_lib"
version = "0.1"
dependencies = {needs}
"""
BACKEND = """
import shutil
def build_editable(folder, *_):
    return shutil.copy("course.whl", folder + "/course_lib-0.1-py3-none-any.whl").split("/")[-1]
"""
COLAB = """
class output:
    def enable_custom_widget_manager():
        print("Widgets are on.")
"""
# What `!` and `%run` of a cell do, for IPython isn't there.
SHELL = """
import runpy, subprocess, sys
for line in sys.argv[1].splitlines():
    if line.startswith("!"):
        subprocess.run(line[1:], shell=True, check=True)
    elif line.startswith("%run "):
        runpy.run_path(line[5:], run_name="__main__")
import course_lib, added
"""


def wheel(path: Path, *needs: str) -> Path:
    name, version = path.name.split("-")[:2]
    info = f"{name}-{version}.dist-info"
    metadata = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {n}" for n in needs)]
    with ZipFile(path, "w") as file:
        file.writestr(f"{name}.py" if name != "course_lib" else f"{name}.pth", "")
        file.writestr(f"{info}/METADATA", "\n".join(["Metadata-Version: 2.1", *metadata, ""]))
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n")
        file.writestr(f"{info}/RECORD", "")
    return path


class Machine:
    """An environment with `kept` in version 1; pip could bring version 2, and `added`."""

    def __init__(self, folder: Path) -> None:
        self.folder, index = folder, folder / "index"
        index.mkdir()
        wheel(index / "kept-1.0-py3-none-any.whl")
        wheel(index / "kept-2.0-py3-none-any.whl")
        wheel(index / "added-1.0-py3-none-any.whl", "kept")
        wheel(index / "added-2.0-py3-none-any.whl", "kept>=2")
        wheel(index / "greedy-1.0-py3-none-any.whl", "kept>=2")
        shutil.copytree(Path(packaging.__file__).parent, folder / "packaging")
        (folder / "google/colab").mkdir(parents=True)
        (folder / "google/colab/__init__.py").write_text(COLAB)
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
        self.env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(folder), "PIP_NO_INDEX": "1"}
        self.env |= {"PIP_FIND_LINKS": str(index), "PIP_CONFIG_FILE": os.devnull}
        self.run("-m", "pip", "install", "kept==1.0")

    def run(self, *arguments: object) -> subprocess.CompletedProcess:
        return subprocess.run(
            [self.folder / "venv/bin/python", *arguments],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
        )

    def first_cell(self, *needs: str) -> subprocess.CompletedProcess:
        """What the first cell does where the course needs these packages."""
        name = "-".join(need.partition(">")[0] + need[-1] for need in needs)
        there, course = self.folder / f"github-{name}", self.folder / f"content-{name}"
        if not there.exists():
            (there / "tools").mkdir(parents=True)
            shutil.copy(ROOT / "tools/on_colab.py", there / "tools")
            (there / "pyproject.toml").write_text(PYPROJECT.format(needs=list(needs)))
            (there / "backend.py").write_text(BACKEND)
            (there / "course_lib.py").touch()
            wheel(there / "course_lib-0.1").rename(there / "course.whl")
            git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", there]
            for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "A course"]):
                subprocess.run([*git, *command], check=True)
        cell = FIRST_CELL.format(where="WHERE").replace("https://github.com/WHERE", there.as_uri())
        return self.run("-c", SHELL, cell.replace("{course}", str(course)))

    def has(self, name: str) -> str:
        asked = f"from importlib.metadata import version; print(version('{name}'))"
        return self.run("-c", asked).stdout.strip()


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    if os.name == "nt":
        pytest.skip("Colab is a Linux")
    return Machine(tmp_path_factory.mktemp("machine"))


def test_the_first_cell_adds_what_is_missing_and_changes_nothing_even_twice(machine):
    first = machine.first_cell("kept>=1", "added")

    # added 2.0 is newer, and would have brought kept 2.0
    assert (machine.has("kept"), machine.has("added")) == ("1.0", "1.0"), first.stderr
    told = ["Widgets are on.", "Added to what Colab has: added. Changed: nothing."]
    assert first.returncode == 0 and first.stdout.splitlines()[:2] == told
    assert machine.has("course_lib") == "0.1"  # so that a new kernel finds it, too
    artifacts = machine.folder / "content-kept1-addedd" / "artifacts"
    assert f"what you make goes to {artifacts}." in first.stdout
    again = machine.first_cell("kept>=1", "added")
    assert (again.returncode, again.stderr) == (0, "") and "has: nothing, all is" in again.stdout


@pytest.mark.parametrize(
    ("needs", "told"),
    [("kept>=2", "the course needs kept>=2 (here: 1.0)"), ("greedy", "depends on kept>=2")],
)
def test_the_first_cell_gives_up_where_it_would_have_to_change_a_package(machine, needs, told):
    done = machine.first_cell(needs)

    assert done.returncode and told in done.stderr and "run this cell again" in done.stderr
    assert (machine.has("kept"), machine.has("greedy")) == ("1.0", "")


def colab() -> dict[str, str]:
    """The version of each package there, and of Python."""
    lines = (ROOT / "tests/colab_pins.txt").read_text(encoding="utf-8").splitlines()
    pins = (line.split("==") for line in lines if not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in pins}


def added_to(there: dict[str, str], needs: list[str]) -> set[str]:
    """The packages that pip would bring, by what is known here of what they need themselves."""
    waiting, added = [Requirement(need) for need in needs], set()
    while waiting:
        need = waiting.pop()
        name = canonicalize_name(need.name)
        if name in added or (need.marker and not need.marker.evaluate({"extra": ""})):
            continue
        if name in there:
            assert there[name] in need.specifier, f"{need}, and Colab has {there[name]}"
        else:
            added.add(name)
            waiting += map(Requirement, metadata.requires(name) or [])
    return added


def test_what_the_course_needs_replaces_nothing_that_colab_has():
    there = colab()

    assert there.pop("python") in PYTHONS
    assert added_to(there, PROJECT["dependencies"]) == {"gguf"}
    with pytest.raises(AssertionError, match="ipykernel"):  # so it is kept out
        added_to(there, PROJECT["optional-dependencies"]["lab"][:1])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_page_is_the_notebook_without_results_and_leads_out_of_colab(path):
    notebook = nbformat.read(path, as_version=4)
    copy = page(notebook, "some/course", "main")

    nbformat.validate(copy)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in copy.cells)
    code = [[c.source for c in nb.cells if c.cell_type == "code"] for nb in (notebook, copy)]
    assert code[1] == [FIRST_CELL.format(where="some/course"), *code[0]]
    text = "\n".join(cell.source for cell in copy.cells if cell.cell_type == "markdown")
    assert not LINK.search(text)
    assert any(cell.get("outputs") for cell in notebook.cells), "the notebook itself has changed"


def test_relative_links_lead_to_github_and_to_other_pages():
    cell = nbformat.v4.new_markdown_cell(
        "![Two files](../diagrams/two-files.svg) [next](02_x.ipynb) [plans](../TEACHING.md) "
        "[a site](https://ollama.com) [above](#top)"
    )
    copy = page(nbformat.v4.new_notebook(cells=[cell]), "some/course", "dev")

    assert copy.cells[1].source.split(") ") == [
        "![Two files](https://github.com/some/course/raw/dev/diagrams/two-files.svg",
        "[next](https://colab.research.google.com/github/some/course/blob/dev/colab/02_x.ipynb",
        "[plans](https://github.com/some/course/blob/dev/TEACHING.md",
        "[a site](https://ollama.com",
        "[above](#top)",
    ]


def test_the_command_writes_all_pages_and_says_the_buttons(tmp_path, capsys):
    assert main(["some/course", "--out", str(tmp_path / "colab")]) == 0

    written = sorted(path.name for path in (tmp_path / "colab").iterdir())
    assert written == [path.name for path in NOTEBOOKS]
    buttons = capsys.readouterr().out.splitlines()
    assert all(
        f"/some/course/blob/main/colab/{n}" in b for n, b in zip(written, buttons, strict=True)
    )
    assert main(["https://github.com/some/course"]) == 1
    assert "expected OWNER/REPOSITORY" in capsys.readouterr().err
