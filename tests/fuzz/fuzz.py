"""Lets libFuzzer try whole runs of `run.c`, changed at random: `make fuzz TIME=600`.

It goes on where it stopped. A run that takes a wrong step, or never ends, is left in the folder.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from course_lib.files import run_file
from tests.fuzz.seeds import write_dictionary, write_seeds

TARGET = Path(__file__).with_name("run_c.c")
CHECKS = ("-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all")
# By default libFuzzer looks at both sides of each comparison, too. Without, as the dictionary has
# the words and numbers that matter, a run takes less than half the time.
SWIFT = "-fno-sanitize-coverage=trace-cmp"
SLOWEST, LARGEST = 20, 2048  # seconds and MB of a run


def has_libfuzzer() -> bool:
    """Whether a clang here can compile a target. Apple's can't, and Windows has no `fmemopen`."""
    if os.name == "nt" or not shutil.which("clang"):
        return False
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "any.c"
        source.write_text("int LLVMFuzzerTestOneInput(void) { return 0; }", encoding="utf-8")
        command = ["clang", *CHECKS, "-o", source.with_suffix(""), source]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


def compile_target(folder: Path, source: Path = run_file.SOURCE) -> Path:
    """The target as a program in `folder`, around this `run.c`."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["clang", "-g", "-O1", *CHECKS, SWIFT, f"-I{source.parent}"]
    subprocess.run([*command, "-o", folder / "run_c", TARGET, "-lm"], check=True)
    return folder / "run_c"


def fuzz_command(program: Path, seconds: int) -> list[str | Path]:
    """What fuzzes for so long, with seeds, findings and what it learns in the program's folder."""
    folder = program.parent
    write_seeds(folder / "seeds")
    write_dictionary(folder / "dictionary.txt")
    (folder / "learned").mkdir(exist_ok=True)
    options = {
        "max_total_time": seconds,
        "timeout": SLOWEST,
        "malloc_limit_mb": LARGEST,
        "rss_limit_mb": 0,  # Linux may report the peak of the process that started it
        "dict": folder / "dictionary.txt",
        "artifact_prefix": f"{folder}/",
        "print_final_stats": 1,
        "reload": 0,
    }
    settings = [f"-{name}={value}" for name, value in options.items()]
    return [program, *settings, folder / "learned", folder / "seeds"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("seconds", type=int)
    asked = parser.parse_args()
    if not has_libfuzzer():
        sys.exit("no clang here knows -fsanitize=fuzzer: on Debian, apt-get install clang")
    sys.exit(subprocess.call(fuzz_command(compile_target(asked.folder), asked.seconds)))
