"""A learner's copies of the notebooks: clean at first, and theirs from the first touch on."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

from course_lib import __main__ as cli
from course_lib import workbook

ROOT = Path(__file__).parent.parent
NAMES = ["01_bytes.ipynb", "02_tokens.ipynb"]


@pytest.fixture
def course(tmp_path) -> Path:
    """A course of two notebooks with outputs, in a folder such as people have."""
    folder = tmp_path / "Mein Kurs, größer"
    (folder / "notebooks").mkdir(parents=True)
    shutil.copy(ROOT / "pyproject.toml", folder)
    for name in NAMES:
        publish(folder, name, "1 + 1")
    return folder


def publish(course: Path, name: str, *sources: str) -> None:
    """Gives `course` the notebook `name` with these cells, run and sealed as the committed are."""
    cells = [nbformat.v4.new_code_cell(source, id=f"c{i}") for i, source in enumerate(sources)]
    for cell in cells:
        cell.outputs = [nbformat.v4.new_output("stream", text="the answer\n")]
        cell.execution_count = 1
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)"}
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata.update(kernelspec=kernel, seal="0123", widgets={"state": "the answer"})
    nbformat.write(notebook, course / "notebooks" / name)


def change(path: Path, source: str | None = None, output: str | None = None) -> bytes:
    """Saves the copy at `path` as JupyterLab does, with another first cell; its new bytes."""
    notebook = nbformat.read(path, as_version=4)
    if source is not None:
        notebook.cells[0].source = source
    if output is not None:
        notebook.cells[0].outputs = [nbformat.v4.new_output("stream", text=output)]
    notebook.metadata.language_info = {"name": "python", "version": "3.12.1"}
    notebook.cells[0].metadata.trusted = True
    nbformat.write(notebook, path)
    return path.read_bytes()


def source_of(path: Path) -> str:
    return nbformat.read(path, as_version=4).cells[0].source


def copies(course: Path) -> list[str]:
    return sorted(path.name for path in (course / "workbook").glob("[!.]*"))


@pytest.fixture
def jupyter(monkeypatch) -> list[list[str]]:
    """What JupyterLab would be started with; it isn't."""
    started = []
    monkeypatch.delenv("JUPYTERHUB_USER", raising=False)
    monkeypatch.setitem(sys.modules, "jupyterlab.labapp", SimpleNamespace(main=started.append))
    return started


def test_the_copies_keep_every_cell_and_no_answer(course):
    (told,) = workbook.renew(course)

    assert told.startswith("Your own copies") and str(course / "workbook") in told
    assert copies(course) == NAMES
    for name in NAMES:
        text = (course / "workbook" / name).read_text("utf-8")
        notebook = nbformat.reads(text, as_version=4)
        nbformat.validate(notebook)
        assert "the answer" not in text and "seal" not in notebook.metadata
        assert [cell.execution_count for cell in notebook.cells] == [None]
        assert source_of(course / "notebooks" / name) == "1 + 1" == notebook.cells[0].source
        assert notebook.metadata.kernelspec.name == "python3"


def test_the_courses_own_notebooks_lose_their_outputs_and_nothing_else(tmp_path):
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    workbook.renew(tmp_path)

    for original in sorted((ROOT / "notebooks").glob("*.ipynb")):
        notebook = nbformat.read(original, as_version=4)
        copy = nbformat.read(tmp_path / "workbook" / original.name, as_version=4)
        assert not any(cell.get("outputs") for cell in copy.cells), original.name
        assert copy.metadata == {k: v for k, v in notebook.metadata.items() if k != "seal"}
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        assert copy.cells == notebook.cells, original.name
        for target in re.findall(r"\]\((\.\.?/[^)#\s]+|\w[^):#\s]*)\)", str(copy.cells)):
            there = (ROOT / "workbook" / target).resolve()  # which may be a copy itself
            assert (ROOT / "notebooks" / there.name).exists() or there.exists(), target


def test_what_a_mac_leaves_beside_each_file_is_no_notebook(course):
    for folder in ("notebooks", "workbook"):
        (course / folder).mkdir(exist_ok=True)
        (course / folder / "._01_bytes.ipynb").write_bytes(b"\0\5\x16\7")

    assert workbook.renew(course) == [] and copies(course) == NAMES
    assert workbook.find(course, None).name == NAMES[0]


def test_an_untouched_copy_is_renewed_without_a_word(course):
    workbook.renew(course)
    change(course / "workbook" / NAMES[0])  # opened and saved: no cell is another
    publish(course, NAMES[0], "2 + 2", "3 + 3")

    assert workbook.renew(course) == []

    assert copies(course) == NAMES
    assert source_of(course / "workbook" / NAMES[0]) == "2 + 2"


@pytest.mark.parametrize("work", [{"source": "my own"}, {"output": "hours of training\n"}])
def test_a_copy_that_somebody_worked_in_stays_and_the_newer_one_is_put_beside_it(course, work):
    workbook.renew(course)
    theirs = change(course / "workbook" / NAMES[0], **work)
    assert workbook.renew(course) == [] and copies(course) == NAMES  # nothing is newer

    publish(course, NAMES[0], "2 + 2")
    (told,) = workbook.renew(course)

    assert told == (
        "The course has a newer 01_bytes.ipynb: yours stays as it is, and the new one is beside it "
        "as (new) 01_bytes.ipynb."
    )
    assert (course / "workbook" / NAMES[0]).read_bytes() == theirs
    assert copies(course) == ["(new) 01_bytes.ipynb", *NAMES]
    assert source_of(course / "workbook" / "(new) 01_bytes.ipynb") == "2 + 2"
    assert workbook.renew(course) == []  # it is said once


def test_a_cell_that_ran_without_output_counts_as_work(course):
    workbook.renew(course)
    path = course / "workbook" / NAMES[0]
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[0].execution_count = 3
    nbformat.write(notebook, path)
    publish(course, NAMES[0], "2 + 2")

    assert len(workbook.renew(course)) == 1 and source_of(path) == "1 + 1"


def test_a_new_copy_beside_is_renewed_as_long_as_it_is_untouched(course):
    workbook.renew(course)
    change(course / "workbook" / NAMES[0], "my own")
    for n in (2, 3):
        publish(course, NAMES[0], f"{n} + {n}")
        (told,) = workbook.renew(course)
        assert "(new) 01_bytes.ipynb" in told
    assert source_of(course / "workbook" / "(new) 01_bytes.ipynb") == "3 + 3"

    change(course / "workbook" / "(new) 01_bytes.ipynb", "my own, too")
    publish(course, NAMES[0], "4 + 4")
    (told,) = workbook.renew(course)

    assert "(new 2) 01_bytes.ipynb" in told
    names = ["(new 2) 01_bytes.ipynb", "(new) 01_bytes.ipynb", NAMES[0]]
    found = [source_of(course / "workbook" / name) for name in names]
    assert found == ["4 + 4", "my own, too", "my own"]


def test_who_deletes_the_copy_beside_is_not_given_it_again_but_who_deletes_a_copy_is(course):
    workbook.renew(course)
    change(course / "workbook" / NAMES[0], "my own")
    publish(course, NAMES[0], "2 + 2")
    workbook.renew(course)

    (course / "workbook" / "(new) 01_bytes.ipynb").unlink()
    assert workbook.renew(course) == [] and copies(course) == NAMES
    (course / "workbook" / NAMES[0]).unlink()
    assert workbook.renew(course) == [] and copies(course) == NAMES
    assert source_of(course / "workbook" / NAMES[0]) == "2 + 2"


@pytest.mark.parametrize("record", [None, b"", b'{"01_bytes.ipynb": 7}', b"[]", b"\xff"])
def test_without_its_record_no_work_is_lost(course, record):
    workbook.renew(course)
    theirs = change(course / "workbook" / NAMES[0], "my own")
    (course / "workbook" / ".course.json").unlink()
    if record is not None:
        (course / "workbook" / ".course.json").write_bytes(record)

    (told,) = workbook.renew(course)  # of the second it sees that it is the course's

    assert "(new) 01_bytes.ipynb" in told
    assert (course / "workbook" / NAMES[0]).read_bytes() == theirs
    assert workbook.renew(course) == []


@pytest.mark.parametrize(
    "damage",
    [b"", b'{"cells": [', b"<<<<<<< HEAD\n", b"[1]", b"{}", b'{"cells": [1]}', b"\xff\xfe", None],
    ids=repr,
)
def test_a_damaged_copy_is_left_alone_and_named(course, damage):
    workbook.renew(course)
    path = course / "workbook" / NAMES[0]
    path.unlink()
    if damage is None:
        path.mkdir()
    else:
        path.write_bytes(damage)
    publish(course, NAMES[0], "2 + 2")

    for _ in range(2):  # until somebody does something about it
        (told,) = workbook.renew(course)
        assert told.startswith(f"{path} is no readable notebook any more and stays as it is")
    assert path.is_dir() if damage is None else path.read_bytes() == damage
    assert copies(course) == NAMES and source_of(path.with_name(NAMES[1])) == "1 + 1"


def test_a_damaged_notebook_of_the_course_costs_no_copy(course):
    workbook.renew(course)
    (course / "notebooks" / NAMES[0]).write_text("<<<<<<< HEAD\n")

    (told,) = workbook.renew(course)

    assert told.startswith(f"{course / 'notebooks' / NAMES[0]} is no readable notebook: fetch")
    assert source_of(course / "workbook" / NAMES[0]) == "1 + 1"


@pytest.mark.parametrize("fails", [errno.ENOSPC, errno.EROFS, errno.EACCES])
@pytest.mark.parametrize("what", ["os.replace", "course_lib.machine.disk.FileLock"])
def test_a_folder_that_takes_no_files_is_named_and_keeps_what_it_has(
    course, monkeypatch, fails, what
):
    workbook.renew(course)
    before = (course / "workbook" / NAMES[0]).read_bytes()
    publish(course, NAMES[0], "2 + 2")

    def no(*_):
        raise OSError(fails, os.strerror(fails))

    monkeypatch.setattr(what, no)
    with pytest.raises(OSError, match="can't be kept") as caught:
        workbook.renew(course)

    for part in (str(course / "workbook"), os.strerror(fails), "folder of your own"):
        assert part in str(caught.value)
    assert (course / "workbook" / NAMES[0]).read_bytes() == before and copies(course) == NAMES


def test_a_disk_that_was_full_half_way_is_filled_up_the_next_time(course, monkeypatch):
    workbook.renew(course)
    for name in NAMES:
        change(course / "workbook" / name, "my own")
        publish(course, name, "2 + 2")

    def full_after_one(source, target, replace=os.replace):
        if "01" not in str(target):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full_after_one)
        with pytest.raises(OSError, match="No space left"):
            workbook.renew(course)
    workbook.renew(course)

    assert copies(course) == sorted([*NAMES, "(new) 01_bytes.ipynb", "(new) 02_tokens.ipynb"])


def test_a_file_in_the_place_of_the_folder_is_not_overwritten(course):
    (course / "workbook").write_text("my diary")

    with pytest.raises(FileExistsError, match=r"workbook is a file.*move the file away"):
        workbook.renew(course)

    assert (course / "workbook").read_text() == "my diary"


@pytest.mark.parametrize("wanted", ["02", "02_tokens", "notebooks/02_tokens.ipynb", "02_tok"])
def test_lab_opens_the_copy_that_is_asked_for_below_the_courses_folder(
    course, jupyter, monkeypatch, wanted
):
    monkeypatch.chdir(course / "notebooks")

    assert cli.main(["lab", wanted]) == 0

    ((root, url, *_),) = jupyter
    assert root == f"--ServerApp.root_dir={course.resolve()}"
    assert url == "--LabApp.default_url=/lab/tree/workbook/02_tokens.ipynb"


def test_lab_opens_what_a_learner_made(course, jupyter, monkeypatch):
    monkeypatch.chdir(course)
    workbook.renew(course)
    for name in ("(new) 02_tokens.ipynb", "Übung.ipynb"):
        shutil.copy(course / "workbook" / NAMES[0], course / "workbook" / name)

    assert [workbook.find(course, w).name for w in ("02", "(new) 02_tokens", "Ü", None)] == [
        "02_tokens.ipynb",
        "(new) 02_tokens.ipynb",
        "Übung.ipynb",
        "01_bytes.ipynb",
    ]
    assert cli.main(["lab", "(new) 02_tokens"]) == 0
    assert jupyter[0][1].endswith("/workbook/%28new%29%2002_tokens.ipynb")


def test_on_a_hub_lab_makes_the_copies_and_starts_no_second_jupyterlab(
    course, jupyter, monkeypatch, capsys
):
    monkeypatch.chdir(course)
    monkeypatch.setenv("JUPYTERHUB_USER", "ada")

    assert cli.main(["lab"]) == 0

    assert f"open {Path('workbook', NAMES[0])} in its file browser" in capsys.readouterr().out
    assert copies(course) == NAMES and jupyter == []


def test_lab_names_the_notebooks_that_there_are(course, jupyter, monkeypatch, capsys):
    monkeypatch.chdir(course)

    assert cli.main(["lab", "07"]) == 1

    assert "one of 01_bytes, 02_tokens, got 07" in capsys.readouterr().err
    assert jupyter == []


def test_what_stands_behind_the_dashes_is_jupyterlabs(course, jupyter, monkeypatch, capsys):
    monkeypatch.chdir(course)
    own = ["--no-browser", "--port", "9000", "--", "x"]

    assert cli.main(["lab", "--", *own]) == 0
    assert jupyter[0][-len(own) :] == own
    with pytest.raises(SystemExit):
        cli.main(["lab", "--no-browser"])
    assert "--no-browser: write JupyterLab's own options behind --" in capsys.readouterr().err


def test_without_jupyterlab_lab_says_how_to_install_it(course, monkeypatch, capsys):
    monkeypatch.chdir(course)
    monkeypatch.setitem(sys.modules, "jupyterlab", None)

    assert cli.main(["lab"]) == 1

    said = capsys.readouterr().err
    assert "JupyterLab isn't installed" in said and '-e ".[lab]"' in said
    assert len(said.splitlines()) == 1 and not (course / "workbook").exists()


def test_a_package_without_notebooks_says_what_is_missing(tmp_path, jupyter, monkeypatch, capsys):
    monkeypatch.setattr("course_lib.machine.folders.PACKAGE", tmp_path / "lib" / "course_lib")
    monkeypatch.chdir(tmp_path)

    assert cli.main(["lab"]) == 1

    assert f"notebooks in {tmp_path / 'notebooks'}, and there are none" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [] and jupyter == []


def lab(cwd: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """`python -m course_lib lab` as a learner types it; JupyterLab only tells its version."""
    return subprocess.run(
        [sys.executable, "-m", "course_lib", "lab", *arguments, "--", "--version"],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
def test_two_labs_may_start_at_once(course):
    with ThreadPoolExecutor(2) as both:
        done = list(both.map(lambda place: lab(course / place), ["notebooks", "."]))

    assert [one.returncode for one in done] == [0, 0], done
    assert copies(course) == NAMES
    assert sorted(json.loads((course / "workbook" / ".course.json").read_text())) == NAMES
    assert not list((course / "workbook").glob("*.partial"))


@pytest.mark.slow
def test_both_commands_work_from_any_folder(course, tmp_path):
    shutil.copytree(
        ROOT / "course_lib", course / "course_lib", ignore=shutil.ignore_patterns("released")
    )
    for name in ("Makefile", "constraints.txt"):
        shutil.copy(ROOT / name, course)
    path = os.pathsep.join([str(course), os.environ["PYTHONPATH"]])

    done = lab(tmp_path, PYTHONPATH=path)  # the course is where the package is

    assert done.returncode == 0 and str(course / "workbook") in done.stdout, done.stderr
    if make := shutil.which("make"):
        shutil.rmtree(course / "workbook")
        bin = course / ".venv" / "bin"
        bin.mkdir(parents=True)
        (bin / "pip").touch()
        (bin / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        (bin / "python").chmod(0o755)
        (course / ".venv" / ".course").touch()  # so that it installs nothing
        command = [make, "-C", str(course), "lab", "NOTEBOOK=02", "LAB_FLAGS=--version"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0 and copies(course) == NAMES, done.stderr
