"""A learner's own copies of the notebooks, in the folder `workbook` beside `notebooks`.

The course's notebooks carry their outputs, for those who read them on GitHub, and these would give
away what a learner should guess. The copies have none. Once somebody has worked in a copy it is
theirs, and nothing here writes into it again.
"""

import hashlib
import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import nbformat

from course_lib.machine.disk import locked, read_json, write_json, write_text

FOLDER = "workbook"
NOTEBOOKS = "[!.]*.ipynb"  # a Mac puts a file ._X beside every X on a stick
RECORD = ".course.json"  # notebook -> its versions that were handed out, the last one last


def renew(course: Path) -> list[str]:
    """Brings the copies in the folder `course` up to date; returns what a learner should know."""
    originals = _originals(course)
    if not originals:
        raise FileNotFoundError(
            f"expected the course's notebooks in {course / 'notebooks'}, and there are none: get "
            "the whole course, not only its package, and type the command in the course's folder"
        )
    folder = course / FOLDER
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(
            f"{folder} is a file, and your copies of the notebooks need a folder of this name: "
            "move the file away"
        )
    told = []
    if not folder.exists():
        told.append(f"Your own copies of the notebooks are in {folder}: write in them as you like.")
    try:
        with locked(folder / RECORD):  # another lab may start now, too
            versions = _versions(folder / RECORD)
            for original in originals:
                told += _renew(original, folder, versions.setdefault(original.name, []))
            write_json(folder / RECORD, versions)
    except OSError as error:
        raise OSError(
            f"your copies of the notebooks can't be kept in {folder} ({error.strerror or error}): "
            "make room there, or copy the course into a folder of your own and start it there"
        ) from error
    return told


def find(course: Path, wanted: str | None) -> Path:
    """The copy whose name begins with `wanted`, such as "03"; the first of all for None."""
    folder, begins = course / FOLDER, Path(wanted or "").name.removesuffix(".ipynb")
    own = sorted(folder.glob(NOTEBOOKS))  # behind the course's, whatever their names begin with
    names = dict.fromkeys(path.stem for path in [*_originals(course), *own])
    found = [name for name in names if name.startswith(begins)]
    if not found:
        raise ValueError(f"expected the beginning of one of {', '.join(names)}, got {wanted}")
    return folder / f"{begins if begins in found else found[0]}.ipynb"


def _originals(course: Path) -> list[Path]:
    return sorted((course / "notebooks").glob(NOTEBOOKS))


def _renew(original: Path, folder: Path, given: list[str]) -> Iterator[str]:
    """Brings one copy up to date and adds its version to those `given`; yields what to tell."""
    try:
        fresh = _read(original)
    except Exception:  # a file may be damaged in any way
        yield f"{original} is no readable notebook: fetch it anew. A copy that you have stays."
        return
    version, place = _version(fresh), folder / original.name
    known = [*(one for one in given if one != version), version]
    if place.exists():
        try:
            yours = _read(place)
        except Exception:
            yield (
                f"{place} is no readable notebook any more and stays as it is: move it away, and "
                "the next start makes a fresh copy."
            )
            return
        if version in (_version(yours), *given[-1:]):  # it has been handed out
            given[:] = known
            return
        if not _untouched(place, known):
            place = _free_place(place, known)
            yield (
                f"The course has a newer {original.name}: yours stays as it is, and the new one is "
                f"beside it as {place.name}."
            )
    write_text(place, nbformat.writes(without_results(fresh)) + "\n")
    given[:] = known


def _free_place(place: Path, known: list[str]) -> Path:
    """Beside `place`, where nothing is or only an earlier copy that nobody has touched."""
    # In front, for JupyterLab's list of files shows only the beginning of a long name.
    names = (f"(new{f' {n}' if n > 1 else ''}) {place.name}" for n in count(1))
    places = map(place.with_name, names)
    return next(one for one in places if not one.exists() or _untouched(one, known))


def _untouched(place: Path, known: list[str]) -> bool:
    """Whether the copy at `place` is as it was handed out: no cell changed, none run."""
    try:
        notebook = _read(place)
    except Exception:  # whatever it is, it isn't ours
        return False
    run = any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)
    return not run and _version(notebook) in known


def _read(path: Path) -> nbformat.NotebookNode:
    notebook = nbformat.reader.reads(path.read_text(encoding="utf-8"))
    _version(notebook)  # of what is no notebook after all there is none
    return notebook


def _version(notebook: nbformat.NotebookNode) -> str:
    """A digest of what stands in the cells; running them or opening the notebook leaves it."""
    cells = [[cell.cell_type, cell.source] for cell in notebook.cells]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()


def without_results(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook without what running it left, and without the seal over that."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    kept = {"kernelspec", "language_info"} & set(notebook.metadata)
    notebook.metadata = nbformat.from_dict({name: notebook.metadata[name] for name in kept})
    return notebook


def _versions(record: Path) -> dict[str, list[str]]:
    try:
        versions = read_json(record)
    except (FileNotFoundError, ValueError):  # without it all copies count as touched, and stay
        return {}
    return {name: given for name, given in versions.items() if isinstance(given, list)}
