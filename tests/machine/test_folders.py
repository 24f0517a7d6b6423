"""Whatever folder a kernel starts in, the course's files and a learner's lie in the same places."""

import shutil
from pathlib import Path

import nbformat
import pytest

from course_lib.check.guesses import guess, kept_guess
from course_lib.machine import folders
from course_lib.machine.folders import artifacts_folder, course_folder, measurement

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def no_setting(monkeypatch):
    monkeypatch.delenv("COURSE_ARTIFACTS")


@pytest.fixture
def course(tmp_path):
    """A copy of the course, as on a learner's disk: a few folders and the root's mark will do."""
    for name in ("notebooks/mine", "workbook/mine", "benchmarks"):
        (tmp_path / "course" / name).mkdir(parents=True)
    shutil.copy(ROOT / "pyproject.toml", tmp_path / "course")
    return tmp_path / "course"


PLACES = [".", "notebooks", "notebooks/mine", "workbook", "workbook/mine", "benchmarks"]


@pytest.mark.parametrize("place", PLACES)
def test_files_of_a_learner_lie_beside_the_notebooks(course, monkeypatch, place):
    monkeypatch.chdir(course / place)

    assert artifacts_folder().resolve() == course.resolve() / "artifacts"


def test_a_path_that_is_shown_is_the_same_on_every_machine(course, monkeypatch):
    for place, shown in ((".", "artifacts"), ("workbook", "../artifacts")):
        monkeypatch.chdir(course / place)
        assert artifacts_folder().as_posix() == shown


@pytest.mark.parametrize(
    "mark", [None, "", "[project]\nname = 'thesis'", "[project", "project = 1", "\xff"]
)
def test_in_a_foreign_folder_it_is_the_course_that_runs(tmp_path, monkeypatch, mark):
    for name in ("notebooks", "benchmarks/data"):  # somebody's own: the names say nothing
        (tmp_path / name).mkdir(parents=True)
    if mark is not None:
        (tmp_path / "pyproject.toml").write_text(mark, encoding="latin-1")

    for place in (tmp_path, tmp_path / "notebooks"):
        monkeypatch.chdir(place)
        assert course_folder() == ROOT
        assert artifacts_folder() == ROOT / "artifacts"
        assert measurement("scaling.csv").is_file()


def test_a_guess_made_in_one_folder_of_the_course_is_found_in_another(course, monkeypatch):
    monkeypatch.chdir(course)
    guess("01 bytes", 7)

    for place in PLACES:
        monkeypatch.chdir(course / place)
        assert kept_guess("01 bytes") == 7, place
    assert list(course.rglob("guesses.json")) == [course / "artifacts" / "guesses.json"]


def test_a_package_without_its_course_stays_in_the_folder_where_it_is_used(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "PACKAGE", tmp_path / "site-packages" / "course_lib")
    monkeypatch.chdir(tmp_path)

    assert artifacts_folder() == Path("artifacts")
    with pytest.raises(FileNotFoundError, match=r"benchmarks/data/scaling.csv.* from the course"):
        measurement("scaling.csv")


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
