"""The page's engine, driven from Python: many calls, one process."""

import json
from pathlib import Path

from course_lib.world.documents import world_grammar
from course_lib.world.export import grammar_as_json
from tests.node import run_node

DRIVER = Path(__file__).with_name("drive.mjs")


def drive(wasm: Path, *calls: tuple, truth: Path | None = None) -> list[dict]:
    """For each call what it gave, as {"result": ...} or {"error": ...}, and its milliseconds."""
    calls = json.loads(json.dumps(calls, default=str))
    told = {"wasm": str(wasm), "truth": truth and str(truth), "calls": calls}
    answers = run_node(DRIVER, told)
    assert len(answers) == len(calls)
    return answers


def results(wasm: Path, *calls: tuple, truth: Path | None = None) -> list:
    """What each call returned; all must go well."""
    answers = drive(wasm, *calls, truth=truth)
    assert [each["error"] for each in answers if "error" in each] == []
    return [each["result"] for each in answers]


def write_truth(folder: Path) -> Path:
    """The world's grammar as the page has it."""
    path = folder / "truth.json"
    text = json.dumps(grammar_as_json(world_grammar()), separators=(",", ":"), ensure_ascii=False)
    path.write_text(text, encoding="utf-8")
    return path
