"""What do smaller numbers cost the run file? F32, F16 and Q8_0: size, changed answers, tokens/s.

python -m benchmarks.formats            # the released model, and a `small` one of random weights
"""

import argparse
import resource
import tempfile
from dataclasses import replace
from pathlib import Path

from course_lib.config import MODELS
from course_lib.files.gguf import write_gguf
from course_lib.files.run_file import compile_run_file, run, run_probs
from course_lib.measure.held_out import HELD_OUT_SEED
from course_lib.model.transformer import Transformer
from course_lib.pipeline.release import load_released
from course_lib.world.documents import documents
from course_lib.world.grammar import split_words

FORMATS = ("F32", "F16", "Q8_0")


def processor_seconds(program: Path, gguf: Path, n: int) -> float:
    """Processor time of a run that writes `n` tokens; other work on the machine doesn't count."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run(program, gguf, "complete", "In that match", n=n, t=1.0, s=1)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def speed(program: Path, gguf: Path, n: int, rounds: int) -> float:
    """Tokens per second without the time to read the file; the best of `rounds`."""
    long = min(processor_seconds(program, gguf, n) for _ in range(rounds))
    short = min(processor_seconds(program, gguf, 1) for _ in range(rounds))
    return (n - 1) / max(long - short, 1e-9)


def moved(program: Path, files: dict[str, Path], n: int, vocab: int) -> dict[str, tuple]:
    """For each format: share of prefixes with F32's top token, and the largest change of P."""
    texts = documents(n, seed=HELD_OUT_SEED + 2)
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prefixes", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    nano, tokenizer = load_released("rlhf")
    small = Transformer(replace(MODELS["small"], vocab_size=tokenizer.vocab_size), seed=0)
    print("| model | format | bytes | same top token | largest change of P | tokens/s, one core |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        program = compile_run_file(folder)
        for name, model in (("released nano", nano), ("small, random weights", small)):
            files = {kind: Path(folder) / f"{name}.{kind}.gguf" for kind in FORMATS}
            for kind, path in files.items():
                write_gguf(path, model, tokenizer, kind)
            changes = (
                moved(program, files, options.prefixes, tokenizer.vocab_size)
                if model is nano
                else {}
            )
            for kind, path in files.items():
                same, worst = changes.get(kind, (None, None))
                cells = (
                    name,
                    kind,
                    f"{path.stat().st_size:,}",
                    "-" if same is None else f"{same:.1%}",
                    "-" if worst is None else f"{worst:.1e}",
                    f"{speed(program, path, 120, options.rounds):,.0f}",
                )
                print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
