"""run.c under libFuzzer: a minute of whole runs, changed at random, without one wrong step."""

import re
import subprocess

import pytest

from course_lib.files import run_file
from tests.fuzz.fuzz import compile_target, fuzz_command, has_libfuzzer

pytestmark = pytest.mark.slow
SECONDS = 60


@pytest.fixture(scope="module", autouse=True)
def _libfuzzer():
    if not has_libfuzzer():
        pytest.skip("no clang here knows -fsanitize=fuzzer")


def fuzz(program, *options: str) -> subprocess.CompletedProcess:
    command = [*fuzz_command(program, SECONDS), "-seed=1", *options]
    return subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=4 * SECONDS, check=False
    )


def test_a_minute_of_runs_takes_no_wrong_step(tmp_path):
    done = fuzz(compile_target(tmp_path))

    assert done.returncode == 0, done.stderr[-4000:]
    executed = int(re.search(r"stat::number_of_executed_units: (\d+)", done.stderr)[1])
    ended = {kind: int(n) for kind, n in re.findall(r"(\w+) (\d+)", done.stdout)}
    assert executed > 20_000
    # Whole runs, too, in each mode: not only files that are refused at once.
    assert list(ended) == ["completed", "answered", "listed", "refused"]
    assert min(ended.values()) > executed / 500


@pytest.mark.parametrize(
    ("check", "without"),
    [
        ("size > g->file.size - g->at", "0"),
        ("rows > (room - t->offset) / row_size", "0"),
        ("i < n && at + i < end", "i < n"),
        ("i < option['n'] && m->length < m->context_length", "i < option['n']"),
    ],
)
def test_without_one_of_its_checks_it_would_be_caught(check, without, tmp_path):
    text = run_file.SOURCE.read_text(encoding="utf-8")
    assert check in text
    source = tmp_path / "run.c"
    source.write_text(text.replace(check, without), encoding="utf-8")

    done = fuzz(compile_target(tmp_path / "target", source))

    assert done.returncode and "SUMMARY: " in done.stderr
    assert list((tmp_path / "target").glob("crash-*"))
