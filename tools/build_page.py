"""Builds the page that runs our models without Python: python -m tools.build_page [FOLDER]

Files that open by a double click, each with all that it needs: inside-an-llm.html has the base, SFT
and RLHF model, inside-an-llm-base.html the base model alone, inside-an-llm-learns.html the base
model with checkpoints of its training. And a page for a server: index.html has everything, and
fetches it file by file. All of them know the truth.
"""

import shutil
import sys
from pathlib import Path

from course_lib.files.run_file import RELEASED, released
from course_lib.play.page import as_bytes, page
from course_lib.world.documents import world_grammar
from course_lib.world.export import grammar_as_json
from tools import build_wasm
from tools.program import status_of

MODELS = {"base": "base-f16.gguf", "sft": "sft-f16.gguf", "rlhf": "model-f16.gguf"}
BASE = {"base": MODELS["base"]}
CHECKPOINTS = sorted((RELEASED / "checkpoints").glob("step-*.gguf"))
LEARNING = {  # without the last one: that is the base model, which comes in 16 bits
    f"after {int(path.stem.removeprefix('step-')):,} steps": f"checkpoints/{path.name}"
    for path in CHECKPOINTS[:-1]
}
PAGES = {  # file -> models and checkpoints that lie in it
    "inside-an-llm.html": (MODELS, {}),
    "inside-an-llm-base.html": (BASE, {}),
    "inside-an-llm-learns.html": (BASE, LEARNING),
}


def build(folder: Path, home: str = "") -> list[Path]:
    """The pages, written into `folder`; those that index.html fetches beside it.

    `home` is the address to which index.html leads back.
    """
    wasm, truth = build_wasm.build(folder / "wasm"), grammar_as_json(world_grammar())
    texts = {}
    for name, kinds in PAGES.items():
        held = [{key: released(file).read_bytes() for key, file in kind.items()} for kind in kinds]
        texts[name] = page(wasm.read_bytes(), held[0], truth, held[1])
    beside = [{key: Path(file).name for key, file in kind.items()} for kind in (MODELS, LEARNING)]
    texts["index.html"] = page("wasm/inside.wasm", beside[0], "truth.json", beside[1], home)
    for file in (*MODELS.values(), *LEARNING.values()):
        shutil.copyfile(released(file), folder / Path(file).name)
    (folder / "truth.json").write_bytes(as_bytes(truth))
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    return [folder / name for name in texts]


def main(arguments: list[str]) -> int:
    def work() -> None:
        for path in build(Path(*arguments[:1] or ["build/play"])):
            print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")

    return status_of(work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
