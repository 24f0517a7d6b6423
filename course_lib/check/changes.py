"""The workbench of notebook 01: look into run.c, change it, and change what a parameters file says.

A source is a text here, so that a learner sees what was changed. Left out: understanding C.
"""

import re
from pathlib import Path

from course_lib.files.run_file import compile_run_file

PART = re.compile(r"^/\* ---- (.*) ---- \*/$", re.MULTILINE)


def parts(source: str) -> dict[str, int]:
    """The parts that a run file is divided into by its headings, and how many lines each has."""
    _, *found = PART.split(source)
    texts = zip(found[::2], found[1::2], strict=True)
    return {title: len(text.strip().splitlines()) for title, text in texts}


def function(source: str, name: str) -> str:
    """The text of a function in a C source."""
    found = re.search(rf"^static [^\n;]*\b{name}\(.*?^\}}", source, re.MULTILINE | re.DOTALL)
    if found is None:
        raise ValueError(f"this source has no function {name!r:.60}")
    return found[0]


def changed(source: str, old: str, new: str) -> str:
    """The source with `new` in the place of `old`, which must stand in it exactly once."""
    if (n := source.count(old)) != 1:
        raise ValueError(
            f"{old!r:.80} stands {n} times in this source, and not once: copy a longer piece of it"
        )
    return source.replace(old, new)


def compiled(source: str, folder: Path) -> Path:
    """A source as a program that runs; both are kept in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "run.c"
    path.write_text(source, encoding="utf-8", newline="\n")
    return compile_run_file(folder, path)


def with_setting(file: Path, name: str, value: int, to: Path) -> Path:
    """A copy of a parameters file in which a whole number among its settings is another one."""
    data, key = file.read_bytes(), name.encode()
    at = data.find(key) + len(key)
    if at < len(key) or data[at : at + 4] != (4).to_bytes(4, "little"):  # GGUF's type uint32
        raise ValueError(f"{file.name} has no whole number called {name!r:.60}")
    to.write_bytes(data[: at + 4] + value.to_bytes(4, "little") + data[at + 8 :])
    return to
