"""Power cuts and full disks: a killed run goes on to the same weights, no checkpoint is lost.

This file is also the program that is killed: `python -m tests.pipeline.test_faults FOLDER`.
"""

import contextlib
import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from course_lib.config import ModelConfig, TrainConfig
from course_lib.files.pretrained import load_pretrained, save_pretrained
from course_lib.model.transformer import Transformer
from course_lib.pipeline import stages
from course_lib.pipeline.stages import run_stage
from course_lib.train.loop import adamw, train
from course_lib.train.state import TRAINING_STATE
from tests.tiny import PLAN

STAGES = ("tokenizer", "base", "sft")


def program(root: Path) -> None:
    """Pretraining and SFT, saved every fourth step; tells each step when it is done."""
    torch.set_num_threads(1)
    stages.train = functools.partial(train, save_every=4)
    for stage in STAGES:
        for progress in run_stage(stage, root, PLAN):
            print(stage, progress.step, flush=True)


def run_until(root: Path, last: str) -> list[str]:
    """What the program told; it is killed without warning once it has told `last`."""
    command = [sys.executable, "-m", "tests.pipeline.test_faults", str(root)]
    told = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            told.append(line.strip())
            if told[-1] == last:
                process.kill()  # SIGKILL: no handler, no clean-up
                break
    return told


@pytest.mark.slow
def test_a_run_killed_in_pretraining_and_in_sft_ends_with_the_same_weights(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    program(whole)

    first = run_until(killed, "base 11")
    second = run_until(killed, "sft 10")
    third = run_until(killed, "the end")

    assert first[-1] == "base 11" and second[-1] == "sft 10"
    assert next(line for line in second if line != "base 0") in ("base 9", "base 13")
    assert third[0] in ("sft 9", "sft 13") and third[-1] == "sft 20"
    for stage in ("base", "sft"):
        expected, found = (load_pretrained(root / stage)[0] for root in (whole, killed))
        for name, weight in expected.state_dict().items():
            assert torch.equal(weight, found.state_dict()[name]), (stage, name)


def test_a_full_disk_is_told_and_the_last_checkpoint_stays(tmp_path):
    resource = pytest.importorskip("resource", reason="a limit for files is a thing of Unix")
    code = f"""
import resource, signal
from pathlib import Path
from tests.pipeline.test_faults import save_all
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit fails as on a full disk
folder = Path({str(tmp_path)!r})
save_all(folder, seed=1)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
save_all(folder, seed=2)
"""
    assert resource

    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)

    assert told.returncode == 0, told.stderr
    reports = json.loads(told.stdout.splitlines()[-1])
    assert set(reports) == {"state", "model"}
    for report in reports.values():
        assert report.startswith("OSError") and "disk is full" in report
    expected = Transformer(TINY, seed=1).state_dict()
    model, _ = load_pretrained(tmp_path / "model")
    assert all(torch.equal(expected[name], w) for name, w in model.state_dict().items())
    assert [p.name for p in (tmp_path / "state").iterdir()] == [TRAINING_STATE]


WORK = """
import resource, signal, sys
from dataclasses import replace
from pathlib import Path
from course_lib.align.preferences import Preference, save_preferences
from course_lib.check.guesses import guess
from course_lib.files.gguf import write_gguf
from course_lib.model.transformer import Transformer
from course_lib.text.chat import exchange
from course_lib.text.tokenizer import Tokenizer
from course_lib.train.sft import add_dialogues, save_dialogues
from tests.pipeline.test_faults import TINY

folder = Path(sys.argv[1])
tokenizer = Tokenizer()
model = Transformer(replace(TINY, vocab_size=tokenizer.vocab_size))
def dialogues(n):
    return [exchange(f"{i}?", "long " * 50) for i in range(n)]
work = {
    "guesses": lambda n: guess("a", "x" * n),
    "rankings": lambda n: save_preferences(folder / "p", [Preference("q", "a" * n, "b")]),
    "dialogues": lambda n: save_dialogues(folder / "d", dialogues(n // 100)),
    "more dialogues": lambda n: add_dialogues(folder / "m", dialogues(n // 100)),
    "tokenizer": lambda n: tokenizer.save(folder / "t"),
    "parameters": lambda n: write_gguf(folder / "g", model, tokenizer),
}
for act in work.values():
    act(100)
def files():
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.suffix != ".lock"}
before = files()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
for name, act in work.items():
    try:
        act(6000)
    except OSError as error:
        print(name, "->", error)
assert files() == before, files().keys()
"""


def test_a_full_disk_is_told_in_a_sentence_and_costs_no_work(tmp_path):
    pytest.importorskip("resource", reason="a limit for files is a thing of Unix")
    environment = os.environ | {"COURSE_ARTIFACTS": str(tmp_path)}
    command = [sys.executable, "-c", WORK, str(tmp_path)]

    told = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)

    assert told.returncode == 0, told.stderr
    lines = told.stdout.splitlines()
    assert len(lines) == 6 and told.stderr == ""
    for line in lines:
        assert " can't be written, what was there before stays: File too large" in line


TINY = ModelConfig(
    vocab_size=64, context_length=16, dim=16, n_layers=2, n_heads=2, n_kv_heads=1, ffn_dim=32
)


def save_all(folder: Path, seed: int) -> None:
    """Saves a model and a training state; prints what went wrong with either, as JSON."""
    from course_lib.train.state import save_training_state

    model, reports = Transformer(TINY, seed=seed), {}
    optimizer = adamw(model, TrainConfig(steps=1))
    saves = {
        "state": lambda: save_training_state(folder / "state", model, optimizer, {"seed": seed}),
        "model": lambda: save_pretrained(folder / "model", model),
    }
    for name, save in saves.items():
        try:
            save()
        except Exception as error:
            reports[name] = f"{type(error).__name__}: {error}"
    with contextlib.suppress(OSError):
        print(json.dumps(reports))


if __name__ == "__main__":
    program(Path(sys.argv[1]))
