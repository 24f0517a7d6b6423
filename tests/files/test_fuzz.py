"""run.c under libFuzzer: whole runs, changed at random, without one wrong step.

`make test` gives it a minute, `make test-long` ten.
"""

import re
import subprocess

import pytest

from course_lib.files import run_file
from tests.fuzz.fuzz import compile_target, fuzz_command, has_libfuzzer

pytestmark = pytest.mark.slow
SECONDS, LONG = 60, 600


@pytest.fixture(scope="module", autouse=True)
def _libfuzzer():
    if not has_libfuzzer():
        pytest.skip("no clang here knows -fsanitize=fuzzer")


def fuzz(program, seconds: int = SECONDS) -> subprocess.CompletedProcess:
    command = [*fuzz_command(program, seconds), "-seed=1"]
    return subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=4 * seconds, check=False
    )


@pytest.mark.parametrize("seconds", [SECONDS, pytest.param(LONG, marks=pytest.mark.long)])
def test_minutes_of_runs_take_no_wrong_step(seconds, tmp_path):
    done = fuzz(compile_target(tmp_path), seconds)

    assert done.returncode == 0, done.stderr[-4000:]
    executed = int(re.search(r"stat::number_of_executed_units: (\d+)", done.stderr)[1])
    ended = {kind: int(n) for kind, n in re.findall(r"(\w+) (\d+)", done.stdout)}
    print(f"{executed:,} runs in {seconds} s: {ended}")
    assert executed > 20_000 * seconds / SECONDS
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
