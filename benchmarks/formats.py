"""The run file's formats: what smaller numbers cost, and its speed beside llama.cpp's.

    python -m benchmarks.formats --rounds 7                  # every compiler that is here
    python -m benchmarks.formats --compilers zig --threads 2 # what a second core brings

F32, F16 and Q8_0: bytes and changed answers of the released model; then tokens a second at four
shapes, counted from the ids that were written (a text may end early), with the time to read the
file taken off. Programs and llama.cpp take turns, so that whatever else the machine does slows them
all alike; with one thread it is processor time that counts, with more the wall clock. llama.cpp is
skipped where it isn't installed (`pip install llama-cpp-python`, built for this processor). Prints
the tables for `benchmarks/RESULTS.md`.
"""

import argparse
import importlib.util
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

from course_lib.config import MODELS, ModelConfig
from course_lib.files.gguf import write_gguf
from course_lib.files.run_file import compile_run_file, run, run_probs
from course_lib.model.transformer import Transformer
from course_lib.pipeline.release import load_released
from course_lib.world.documents import held_out_documents
from course_lib.world.grammar import split_words

FORMATS = ("F32", "F16", "Q8_0")
PROMPT = "In that"
COMPILERS = {"gcc": "gcc", "clang": "clang", "zig": f"{sys.executable} -m ziglang cc"}
LLAMA = """
import sys, time
from llama_cpp import Llama
path, n, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
clock = time.process_time if threads == 1 else time.perf_counter
model = Llama(path, n_ctx=256, n_threads=threads, n_threads_batch=threads, verbose=False)
ids = model.tokenize(sys.argv[4].encode(), add_bos=True)
for _ in sys.stdin:  # a line asks for a round
    model.reset()
    tokens = model.generate(ids, temp=0.0)
    next(tokens)
    start = clock()
    for _ in range(n):
        next(tokens)
    print(n / (clock() - start), flush=True)
"""


def written(program: Path, gguf: Path, n: int, threads: int) -> tuple[int, float]:
    """How many ids a run wrote, of at most `n`, and how long it took."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    printed = run(program, gguf, "complete", PROMPT, n=n, t=0, x=1, j=threads)
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if threads == 1:
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return len(printed.splitlines()[-1].split()), seconds


def speed(program: Path, gguf: Path, n: int, threads: int) -> float:
    """Tokens a second, without the time to read the file and the prompt."""
    short, long = (min(written(program, gguf, k, threads) for _ in range(2)) for k in (1, n + 1))
    return (long[0] - short[0]) / max(long[1] - short[1], 1e-9)


class LlamaCpp:
    """llama.cpp with a model, in a process of its own; `speed()` is one more round."""

    def __init__(self, gguf: Path, n: int, threads: int):
        command = [sys.executable, "-c", LLAMA, str(gguf), str(n), str(threads), PROMPT]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def speed(self) -> float:
        print("go", file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def shapes() -> dict[str, tuple[ModelConfig | None, int]]:
    """The models of the speed table, None for the released one, and how many tokens they write."""
    small = replace(MODELS["small"], context_length=256)
    llama = replace(small, vocab_size=32_000)  # Llama's table, and a key head for each head
    return {
        "nano, released": (None, 100),
        "384 x 6": (small, 100),
        "288 x 6, 32,000 tokens": (replace(llama, dim=288, n_kv_heads=6, ffn_dim=768), 60),
        "768 x 12, 32,000 tokens": (
            replace(llama, dim=768, n_layers=12, n_heads=12, n_kv_heads=12, ffn_dim=2048),
            40,
        ),
    }


def moved(program: Path, files: dict[str, Path], n: int, vocab: int) -> dict[str, tuple]:
    """For each format: share of prefixes with F32's top token, and the largest change of P."""
    texts = held_out_documents(n, seed=2)
    prefixes = ["".join(split_words(text)[: 2 + i % 20]) for i, text in enumerate(texts)]
    exact = [run_probs(program, files["F32"], prefix, n=vocab) for prefix in prefixes]
    found = {}
    for name, path in files.items():
        same, worst = 0, 0.0
        for prefix, expected in zip(prefixes, exact, strict=True):
            rough = {t.id: t.probability for t in run_probs(program, path, prefix, n=vocab)}
            same += max(rough, key=rough.get) == expected[0].id
            worst = max(worst, *(abs(rough[t.id] - t.probability) for t in expected))
        found[name] = same / len(prefixes), worst
    return found


def compiled(names: list[str], folder: Path) -> dict[str, Path]:
    """The run file by each of these compilers that is here."""
    found = {}
    for name in names:
        command = COMPILERS[name]
        if not shutil.which(command.split()[0]) or (
            name == "zig" and not importlib.util.find_spec("ziglang")
        ):
            print(f"(no {name} here: skipped)", file=sys.stderr)
            continue
        os.environ["CC"] = command
        found[name] = compile_run_file(folder / name)
    return found


def print_moved(options: argparse.Namespace, folder: Path, program: Path) -> None:
    model, tokenizer = load_released("rlhf")
    files = {kind: folder / f"moved.{kind}.gguf" for kind in FORMATS}
    for kind, path in files.items():
        write_gguf(path, model, tokenizer, kind)
    print("| format | bytes | same top token | largest change of P |\n|---|---|---|---|")
    for kind, (same, worst) in moved(
        program, files, options.prefixes, tokenizer.vocab_size
    ).items():
        print(f"| {kind} | {files[kind].stat().st_size:,} | {same:.1%} | {worst:.1e} |", flush=True)


def print_speed(options: argparse.Namespace, folder: Path, programs: dict[str, Path]) -> None:
    beside = importlib.util.find_spec("llama_cpp") is not None
    if not beside:
        print("(llama.cpp isn't installed: skipped)", file=sys.stderr)
    base, tokenizer = load_released("base")
    names = [*programs, *(["llama.cpp"] if beside else [])]
    heads = " | ".join(f"{who}, tokens/s" for who in names)
    print(f"\n| model | format | {heads} | best to llama.cpp |")
    print("|---|---|" + "---|" * (len(names) + 1))
    for name, (config, n) in shapes().items():
        model = base if config is None else Transformer(config, seed=1)
        for kind in FORMATS:
            path = folder / "speed.gguf"
            write_gguf(path, model, tokenizer, kind)
            rounds: dict[str, list[float]] = {who: [] for who in names}
            takes: dict[str, Callable[[], float]] = {
                who: partial(speed, program, path, n, options.threads)
                for who, program in programs.items()
            }
            if beside:
                llama = LlamaCpp(path, n, options.threads)
                llama.speed()  # the first round warms it up
                takes["llama.cpp"] = llama.speed
            for _ in range(options.rounds):
                for who, take in takes.items():
                    rounds[who].append(take())
            if beside:
                llama.close()
            best = max(programs, key=lambda who: median(rounds[who]))
            ratio = "-"
            if beside:
                pairs = zip(rounds[best], rounds["llama.cpp"], strict=True)
                ratio = f"{median(ours / theirs for ours, theirs in pairs):.2f} ({best})"
            cells = (f"{median(rounds[who]):,.0f}" for who in names)
            print(f"| {name} | {kind} | {' | '.join(cells)} | {ratio} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prefixes", type=int, default=400, help="0 leaves out the first table")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compilers", nargs="+", choices=COMPILERS, default=list(COMPILERS))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        programs = compiled(options.compilers, Path(folder))
        if not programs:
            parser.error("no compiler that was asked for is here")
        if options.prefixes:
            print_moved(options, Path(folder), next(iter(programs.values())))
        print_speed(options, Path(folder), programs)


if __name__ == "__main__":
    main()
