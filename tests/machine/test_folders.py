"""Whatever folder a kernel starts in, the course's files and a learner's lie in the same places."""

from pathlib import Path

import nbformat
import pytest

from course_lib.machine import folders
from course_lib.machine.folders import artifacts_folder, course_folder

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def no_setting(monkeypatch):
    monkeypatch.delenv("COURSE_ARTIFACTS")


@pytest.fixture
def course(tmp_path):
    """A copy of the course, as on a learner's disk: its folders are enough."""
    for name in ("notebooks/mine", "benchmarks/data"):
        (tmp_path / "course" / name).mkdir(parents=True)
    return tmp_path / "course"


@pytest.mark.parametrize("place", [".", "notebooks", "notebooks/mine", "benchmarks"])
def test_files_of_a_learner_lie_beside_the_notebooks(course, monkeypatch, place):
    monkeypatch.chdir(course / place)

    assert artifacts_folder().resolve() == course.resolve() / "artifacts"


def test_a_path_that_is_shown_is_the_same_on_every_machine(course, monkeypatch):
    for place, shown in ((".", "artifacts"), ("notebooks", "../artifacts")):
        monkeypatch.chdir(course / place)
        assert artifacts_folder().as_posix() == shown


def test_in_a_foreign_folder_it_is_the_course_that_runs(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()  # somebody's own: the name says nothing

    for place in (tmp_path, tmp_path / "notebooks"):
        monkeypatch.chdir(place)
        assert course_folder() == ROOT


def test_a_package_without_its_course_stays_in_the_folder_where_it_is_used(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "PACKAGE", tmp_path / "site-packages" / "course_lib")
    monkeypatch.chdir(tmp_path)

    assert artifacts_folder() == Path("artifacts")


@pytest.mark.parametrize(("value", "place"), [("kept", "kept"), ("~/kept", "home/kept")])
def test_a_hub_names_the_place_itself(course, monkeypatch, value, place):
    for home in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(home, str(course / "home"))
    monkeypatch.setenv("COURSE_ARTIFACTS", value)
    monkeypatch.chdir(course)

    assert artifacts_folder().absolute() == Path.cwd() / place


def test_an_empty_setting_is_none(course, monkeypatch):
    monkeypatch.setenv("COURSE_ARTIFACTS", "")
    monkeypatch.chdir(course)

    assert artifacts_folder() == Path("artifacts")


def test_the_first_notebook_deletes_nothing_beside_the_folder_it_is_started_in(
    course, tmp_path, monkeypatch
):
    theirs = tmp_path / "artifacts" / "two_files" / "thesis.txt"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("three years of work")
    cells = nbformat.read(ROOT / "notebooks" / "01_two_files.ipynb", as_version=4).cells
    (cell,) = [cell for cell in cells if "shutil.rmtree" in cell.source]

    monkeypatch.chdir(course)  # so that ../artifacts is theirs
    for _ in range(2):  # the second time it starts afresh
        exec(cell.source, {})

    assert theirs.read_text() == "three years of work"
    ours = course / "artifacts" / "two_files"
    assert sorted(file.name for file in ours.iterdir()) == ["model.gguf", "run.c"]
