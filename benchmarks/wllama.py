"""The page's engine beside wllama, which is llama.cpp in WebAssembly, in one and the same browser.

    python -m benchmarks.wllama              # npm fetches wllama into a temporary folder
    python -m benchmarks.wllama --rounds 1

The released base model in F16 writes one document from a prompt to its end, greedy, on one thread
and without a GPU; each visit in a browser without a cache, both from a server of this machine, in
turns. "To the first token" is from the start of the visit, downloads included, which here cost next
to nothing: over a network the larger program waits longer. wllama computes in a worker and sends
each token to the page; "by its own clock" is without that. Prints what `benchmarks/RESULTS.md`
holds.
"""

import argparse
import gzip
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.latency import served
from course_lib.files.run_file import released
from course_lib.play.page import FOLDER as PLAY
from tests.browser import real_browser
from tools import build_wasm

VERSION = "3.8.1"
PROMPT = "In that match Virat Kohli hit a"
MOST = 100  # tokens; with the prompt they fit into the model's context of 128
RUN = "async ([who, ...all]) => (await import('/wllama.mjs'))[who](...all)"


def fetch(folder: Path) -> None:
    """wllama's npm package, unpacked as `folder`/package."""
    if shutil.which("npm") is None:
        sys.exit("npm fetches wllama, and this machine has none: install Node.js with npm")
    command = ["npm", "pack", f"@wllama/wllama@{VERSION}", "--silent"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    [archive] = folder.glob("*.tgz")
    with tarfile.open(archive) as files:
        files.extractall(folder, filter="data")


def program(folder: Path, *names: str) -> tuple[int, int]:
    """Bytes of these files, as they are and as gzip."""
    all_bytes = [(folder / name).read_bytes() for name in names]
    return sum(map(len, all_bytes)), sum(len(gzip.compress(each, mtime=0)) for each in all_bytes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fetch(folder)
        shutil.copytree(PLAY, folder / "play")
        shutil.copy(released("base-f16.gguf"), folder / "base.gguf")
        shutil.copy(Path(__file__).with_suffix(".mjs"), folder)
        shutil.copy(build_wasm.build(folder / "wasm"), folder)
        (folder / "index.html").write_text("<!doctype html><title>wllama</title>")
        sizes = {
            "ours": program(folder, "inside.wasm", "play/engine_wasm.js", "play/sampler.js"),
            "theirs": program(folder, "package/esm/wasm/wllama.wasm", "package/esm/index.min.js"),
        }
        found = {who: [] for who in sizes}
        with real_browser() as browser, served(folder) as address:
            print(f"Chromium {browser.version}, wllama {VERSION}, {options.rounds} rounds")
            for _ in range(options.rounds):
                for who, rounds in found.items():
                    page = browser.new_context().new_page()
                    page.goto(address)
                    rounds.append(page.evaluate(RUN, [who, PROMPT, MOST]))
                    page.context.close()
    print("| | js and wasm, kB | as gzip, kB | to the first token, ms | tokens/s |")
    print("|---|---|---|---|---|")
    for who, rounds in found.items():
        raw, packed = (f"{size / 1000:,.0f}" for size in sizes[who])
        first, speed = (median(each[what] for each in rounds) for what in ("first", "speed"))
        print(f"| {who} | {raw} | {packed} | {first:.0f} | {speed:,.0f} |")
    own = [each["own"] for each in found["theirs"] if each.get("own")]
    if own:
        print(f"theirs by its own clock: {median(own):,.0f} tokens/s")
    texts = {each["text"] for rounds in found.values() for each in rounds}
    print("the same text:" if len(texts) == 1 else "different texts:", *map(repr, texts))


if __name__ == "__main__":
    main()
