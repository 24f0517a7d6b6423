"""Files that are written whole or not at all, safetensors and JSON among them.

A new file is written beside its place, flushed to the disk and then renamed into it. Whoever is
killed in the middle leaves the old file as it was.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def staged(directory: Path, last: str) -> Iterator[Path]:
    """A folder to write new files in, which move into `directory` when all of them are complete.

    The file called `last` moves last: whoever finds a new one finds all the others new, too.
    """
    staging = directory / ".saving"
    shutil.rmtree(staging, ignore_errors=True)  # left by a save that was killed
    staging.mkdir(parents=True)
    try:
        yield staging
        names = sorted(os.listdir(staging), key=lambda name: name == last)
        for name in names:
            with open(staging / name, "r+b") as file:
                os.fsync(file.fileno())  # else a power cut could leave a renamed, empty file
        for name in names:
            os.replace(staging / name, directory / name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def write_json(path: Path, value: dict) -> None:
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8", newline="\n")


def read_json(path: Path) -> dict:
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} must hold a JSON object, got {type(value).__name__}")
    return value


def file_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
