"""A clone by Git for Windows, which by default rewrites the line ends of text files."""

import shutil
import subprocess
from pathlib import Path

import pytest

from course_lib.pipeline.release import load_language_model

ROOT = Path(__file__).parents[1]


def git(*arguments: str, folder: Path = ROOT) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """The course as Git for Windows checks it out; skipped where it came as an archive."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("this is no clone, or there is no git to make another one with")
    folder = tmp_path_factory.mktemp("windows") / "clone"
    git("clone", "--quiet", "-c", "core.autocrlf=true", str(ROOT), str(folder))
    return folder


def test_line_ends_stay_as_they_are(clone):
    rows = [line.split("\t") for line in git("ls-files", "--eol", folder=clone).splitlines()]

    changed = [name for kinds, name in rows if "i/lf" in kinds and "w/crlf" in kinds]
    assert len(rows) > 100 and changed == []


@pytest.mark.parametrize("stage", ["base", "sft", "rlhf"])
def test_a_released_model_loads_even_if_its_text_files_were_rewritten(clone, stage):
    """As in clones that were made before the attributes forbade it."""
    folder = clone / "course_lib" / "released" / stage
    for path in folder.glob("*.json"):
        path.write_bytes(path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))

    model, tokenizer = load_language_model(folder.parent, stage)

    assert model.config.vocab_size == tokenizer.vocab_size
