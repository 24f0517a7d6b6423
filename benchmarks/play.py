"""The page that needs no Python: how large it is, how fast its engine in node beside run.c.

    python -m benchmarks.play                         # in the node of Playwright's wheel
    python -m benchmarks.play --node /usr/bin/node    # in another one

The released base model in F16, one thread, tokens a second of processor time; node and the programs
take turns. Encoding and truth are timed by the wall clock, on 200 held-out documents cut anywhere,
each asked a second time. Prints what `benchmarks/RESULTS.md` holds.
"""

import argparse
import json
import random
import subprocess
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.formats import compiled, speed
from course_lib.files.run_file import released
from course_lib.world.documents import held_out_documents
from tests.node import NODE
from tests.play.drive import write_truth
from tools.build_page import build


def cut_documents(n: int) -> list[str]:
    rng = random.Random(7)
    return [text[: rng.randrange(len(text) + 1)] for text in held_out_documents(n, seed=7)]


def in_node(node: str, data: dict) -> dict:
    script = Path(__file__).with_suffix(".mjs")
    command = [node, str(script)]
    done = subprocess.run(command, input=json.dumps(data).encode(), stdout=subprocess.PIPE)
    done.check_returncode()
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--node", default=str(NODE))
    options = parser.parse_args()
    gguf, texts = released("base-f16.gguf"), cut_documents(200)
    with tempfile.TemporaryDirectory() as folder:
        pages = build(Path(folder))
        for path in (Path(folder) / "wasm" / "inside.wasm", *pages):
            print(f"{path.name}: {path.stat().st_size:,} bytes")
        data = {"wasm": str(Path(folder) / "wasm" / "inside.wasm"), "model": str(gguf)}
        data |= {"truth": str(write_truth(Path(folder))), "texts": texts}
        programs = compiled(["gcc", "zig"], Path(folder))
        native: dict[str, list[float]] = {name: [] for name in programs}
        rounds = []
        for _ in range(options.rounds):
            rounds.append(in_node(options.node, data))
            for name, program in programs.items():
                native[name] += [speed(program, gguf, 100, 1) for _ in range(5)]
    version = subprocess.run([options.node, "--version"], capture_output=True, text=True).stdout
    print(f"node {version.strip()}, {options.rounds} rounds")
    for name in rounds[0]["speeds"]:
        found = median(each for found in rounds for each in found["speeds"][name])
        print(f"{name}: {found:,.0f} tokens/s")
    for name, found in native.items():
        print(f"run.c, {name}: {median(found):,.0f} tokens/s")
    for name in ("load", "truthReady"):
        print(f"{name}: {median(found[name] for found in rounds):.1f} ms")
    for name in ("encode", "truth"):
        times = sorted(each for found in rounds for each in found["times"][name])
        at = [times[int(share * (len(times) - 1))] for share in (0.5, 0.9, 1)]
        print(f"{name}: {at[0]:.2f} ms at the median, {at[1]:.2f} in nine of ten, {at[2]:.1f} most")


if __name__ == "__main__":
    main()
