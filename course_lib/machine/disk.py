"""Files that change whole or not at all.

A new file is written beside its place, flushed to the disk and then renamed into it. Whoever is
killed in the middle, or finds the disk full, leaves the old file as it was. The trick is as old as
Unix: a rename within a folder happens or it doesn't, and nobody ever sees half of it.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """A path to write to, beside `path`, which becomes `path` when the block ends without an error.

    The folder is made where there is none.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Beside its place and not in /tmp, which may be another disk: nothing is renamed across disks.
    partial = path.with_name(path.name + ".partial")
    try:
        yield partial
        _flush(partial)
        os.replace(partial, path)
    except OSError as error:  # no room or no permission: of Python's words only these say why
        why = error.strerror or error
        raise OSError(f"{path} can't be written, what was there before stays: {why}") from error
    finally:
        partial.unlink(missing_ok=True)  # what an error left; after a rename there is nothing


@contextmanager
def whole_folder(directory: Path, last: str) -> Iterator[Path]:
    """A folder to write new files in, which move into `directory` when all of them are complete.

    The file called `last` moves last: whoever finds a new one finds all the others new, too.
    """
    staging = directory / ".saving"
    shutil.rmtree(staging, ignore_errors=True)  # left by a save that was killed
    staging.mkdir(parents=True)
    try:
        yield staging
        names = sorted(os.listdir(staging), key=lambda name: name == last)
        # All flushed before any moves: a full disk should not be noticed with half of them moved.
        for name in names:
            _flush(staging / name)
        for name in names:
            os.replace(staging / name, directory / name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _flush(path: Path) -> None:
    """To the disk itself: else a power cut could leave a file that is renamed, but empty."""
    with open(path, "r+b") as file:
        os.fsync(file.fileno())


def write_text(path: str | Path, text: str) -> None:
    """Writes `text` as UTF-8, whole or not at all, with the same bytes on every system."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: str | Path, value: object, indent: int = 2) -> None:
    """Writes `value` as JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=indent, ensure_ascii=False) + "\n")


def read_json(path: Path) -> dict:
    """The JSON object that a file holds; ValueError where it holds anything else."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}")
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))  # Notepad's mark is no JSON
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error!s:.200}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} must hold a JSON object, got {type(value).__name__}")
    return value


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 file with their numbers, one at a time; only a line feed ends a line."""
    # Python's `splitlines` would also cut at U+2028 and its like, which may stand in any text.
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            try:
                # Windows likes to begin a file with a byte order mark.
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                what = f"byte {error.start + 1} is {line[error.start]:#04x}, which is not UTF-8"
                message = f"{path}, line {number}: {what}: save the file as UTF-8"
                raise ValueError(message) from error
            yield number, text.replace("\r\n", "\n")


def read_json_lines(path: Path, shape: str) -> Iterator[tuple[int, dict]]:
    """The objects of a JSON Lines file with the numbers of their lines; empty lines don't count.

    `shape` shows what a line should look like to whoever has one that is no JSON.
    """
    for number, line in read_lines(path):
        if line.strip():
            try:
                value = json.loads(line)
                if not isinstance(value, dict):
                    raise ValueError(f"got {value!r:.200}")
            except (ValueError, RecursionError) as error:
                why = f"expected one JSON object per line, such as {shape} ({error!s:.200})"
                raise ValueError(f"{path}, line {number}: {why}") from error
            yield number, value


def write_json_lines(path: str | Path, values: Iterable[object]) -> None:
    """Writes one JSON value per line, whole or not at all."""
    text = "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)
    # Half an emoji can be typed, but UTF-8 can't hold it: better a sign for it than no file.
    write_text(path, re.sub("[\ud800-\udfff]", "\ufffd", text))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Alone with `path` while it is read, changed and written back: other processes wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        yield


def json_hash(path: Path) -> str:
    """SHA-256 of what a JSON file says, however its lines end and its keys are sorted."""
    return hashlib.sha256(json.dumps(read_json(path), sort_keys=True).encode()).hexdigest()


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with open(path, "rb") as file:  # which may be larger than the memory
        return hashlib.file_digest(file, "sha256").hexdigest()
