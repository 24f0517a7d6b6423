"""Documents of real text: from your files, from Python's own library, or from Hugging Face's Hub.

We read one document at a time, when it is needed, so a source may be larger than the memory. When
something can't be read, the error names the file and the line.
"""

import hashlib
import json
import os
import random
import re
import sysconfig
import tokenize
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from course_lib.machine.disk import file_hash, read_json_lines, read_lines
from course_lib.text.tokenizer import SPECIALS

END_OF_TEXT = SPECIALS[0]


def read_texts(source: str | Path) -> Iterator[str]:
    """The documents of a file, of a folder, of Python itself, or of a Hugging Face data set.

    A file is .txt (one document, or several with a line `<|endoftext|>` between them), .jsonl or
    .parquet (the field `text` of each record), or .py (one document). A folder's files come in a
    shuffled order, the same each time. "python" is the documentation and the standard library of
    this Python: megabytes of text that need no network. Any other name, "owner/name" or
    "owner/name:configuration", is streamed from the Hub.
    """
    path = Path(source)
    if source == "python":  # for a folder of that name, write ./python
        return _python_texts()
    if os.path.isdir(source) and not _files(path):
        raise ValueError(f"{path} holds no text: expected files of type {', '.join(_READERS)}")
    if os.path.exists(source):  # pathlib raises where a whole text is taken for a name
        return chain.from_iterable(map(_file_texts, _shuffled(_files(path))))
    name, _, configuration = str(source).partition(":")
    if path.suffix.lower() in _READERS or not re.fullmatch(
        r"[\w.-]+(/[\w.-]+)?(:[\w.-]+)?", str(source)
    ):
        raise ValueError(f"there is no file or folder '{source!s:.200}': check its spelling")
    return _hub_texts(name, configuration or None)


def text_hash(source: str | Path) -> str | None:
    """SHA-256 of a source's files and their names, so that it is noticed when one was edited.

    None for Python's library and for data sets of the Hub, which nobody edits.
    """
    path = Path(source)
    if source == "python" or not os.path.exists(source):
        return None
    hashes = {file.relative_to(path).as_posix(): file_hash(file) for file in _files(path)}
    return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()


def _files(path: Path) -> list[Path]:
    """The files of a source: itself, or those of a folder that are no hidden ones."""
    if not path.is_dir():
        return [path]
    return [p for p in path.rglob("*") if p.suffix.lower() in _READERS and _visible(p, path)]


def record_texts(records: Iterable[dict], name: str) -> Iterator[str]:
    """The field `text` of each record of a streamed data set. Errors call the set `name`."""
    for number, record in enumerate(records, 1):
        yield _text_of(record, f"{name}, record {number}")


def _text_of(record: dict, where: str) -> str:
    if isinstance(record.get("text"), str):
        # JSON can spell out half of a surrogate pair, and UTF-8 can't.
        return re.sub("[\ud800-\udfff]", "\ufffd", record["text"])
    found = f"text = {record['text']!r}" if "text" in record else f"fields {', '.join(record)}"
    raise ValueError(f'{where}: expected a field "text" that holds a string, found {found:.200}')


def _visible(path: Path, folder: Path) -> bool:
    return path.is_file() and not any(p.startswith(".") for p in path.relative_to(folder).parts)


def _shuffled(items: Iterable) -> list:
    """The items in a random order, always the same one."""
    # Whoever stops early has a fair sample then, and not everything that begins with A.
    items = sorted(items)
    random.Random(0).shuffle(items)
    return items


def _file_texts(path: Path) -> Iterator[str]:
    kind = path.suffix.lower()  # cameras, scanners and Windows 95 liked .TXT
    if kind not in _READERS:
        raise ValueError(f"{path}: expected a file of type {', '.join(_READERS)}")
    empty = kind != ".py"  # nobody minds an empty __init__.py
    for text in _READERS[kind](path):
        if text.strip():
            yield text
            empty = False
    if empty:
        raise ValueError(f"{path} holds no text: fill it, or take it away")


def _txt_texts(path: Path) -> Iterator[str]:
    lines = []
    for _, line in read_lines(path):
        if line.strip() == END_OF_TEXT:
            yield "".join(lines).strip("\n")
            lines = []
        else:
            lines.append(line)
    yield "".join(lines).strip("\n")


def _jsonl_texts(path: Path) -> Iterator[str]:
    for number, record in read_json_lines(path, '{"text": "..."}'):
        yield _text_of(record, f"{path}, line {number}")


def _parquet_texts(path: Path) -> Iterator[str]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise ValueError(f"{path}: to read .parquet, `pip install pyarrow`") from error
    try:
        with parquet.ParquetFile(path) as file:
            columns = file.schema_arrow.names
            wanted = ["text"] if "text" in columns else columns
            for batch in file.iter_batches(columns=wanted):
                yield from record_texts(batch.to_pylist(), str(path))
    except (OSError, ArrowException) as error:
        raise ValueError(f"{path} can't be read as .parquet: {error}") from error


def _py_texts(path: Path) -> Iterator[str]:
    try:
        with tokenize.open(path) as file:  # it heeds a line such as `# -*- coding: latin-1 -*-`
            yield file.read()
    except (SyntaxError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no Python source in UTF-8: {error}") from error


def _python_texts() -> Iterator[str]:
    from pydoc_data.topics import topics

    # No tests: many are odd on purpose. And nothing that was installed: it differs from machine to
    # machine.
    library = Path(sysconfig.get_path("stdlib"))
    left_out = {"site-packages", "dist-packages", "test", "tests", "pydoc_data"}
    files = [path for path in library.rglob("*.py") if not left_out & set(path.parts)]
    documents = [*sorted(topics.values()), *sorted(files)]
    random.Random(0).shuffle(documents)
    for document in documents:
        yield from [document] if isinstance(document, str) else _file_texts(document)


def _hub_texts(name: str, configuration: str | None) -> Iterator[str]:
    try:
        from datasets import load_dataset
        from huggingface_hub import HfApi
    except ImportError as error:
        raise ValueError(
            f"there is no file or folder {name!r:.200} here; to look for it on the "
            "Hugging Face Hub, `pip install datasets`"
        ) from error
    try:
        HfApi().dataset_info(name, timeout=10)  # offline, load_dataset alone tries for 23 seconds
        dataset = load_dataset(name, configuration, split="train", streaming=True)
    except Exception as error:  # no network, name or configuration: the errors share no class
        raise ValueError(
            f"there is no file or folder {name!r:.200} here, and the Hugging Face Hub can't "
            f"stream it: {' '.join(str(error).split())[:300]}"
        ) from error
    return record_texts(dataset, name)


_READERS = {
    ".txt": _txt_texts,
    ".jsonl": _jsonl_texts,
    ".parquet": _parquet_texts,
    ".py": _py_texts,
}
