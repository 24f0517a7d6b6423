"""Two processes of `torchrun` on the CPU (gloo) train what one process trains.

This file is also the program that they run: `torchrun tests/machine/test_ranks.py WHAT FOLDER`. One
start costs some ten seconds, so one of them does all that can be done in a row.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from pydoc_data.topics import topics

import pytest
import torch
from safetensors.torch import load_file

from course_lib.__main__ import main
from course_lib.config import ModelConfig, TrainConfig
from course_lib.files.pretrained import WEIGHTS, load_pretrained, save_pretrained
from course_lib.machine.ranks import ALONE, STRATEGIES, Ranks, process_group
from course_lib.model.transformer import Transformer
from course_lib.pipeline.release import read_manifest
from course_lib.text.rows import IGNORE
from course_lib.train.loop import adamw, next_token_loss, train
from course_lib.train.state import TRAINING_STATE, save_training_state

# 33 rows of the table and 3 of a norm can't be split in two equal parts
TINY = ModelConfig(
    vocab_size=33, context_length=16, dim=18, n_layers=2, n_heads=3, n_kv_heads=1, ffn_dim=35
)
CONFIG = TrainConfig(steps=12, batch_rows=6, learning_rate=1e-2, warmup=0.1, decay=0.3, clip=0.5)
STOP = 7  # where a run is left, to be continued


def batch_at(step: int) -> tuple:
    """A whole batch of 6 rows, of which the last three have far fewer targets that count."""
    random = torch.Generator().manual_seed(step)
    ids = torch.randint(0, TINY.vocab_size, (6, 17), generator=random)
    targets = ids[:, 1:].clone()
    targets[3:, : 9 + step % 5] = IGNORE
    return ids[:, :-1], targets


def loss_of(model, batch):
    loss, n_tokens, _ = next_token_loss(model, batch)
    return loss, n_tokens, {"first": loss.item()}


MUON = replace(CONFIG, optimizer="muon")  # it needs whole matrices, of which a rank has parts


def run(model, ranks=ALONE, stop=CONFIG.steps, folder=None, loss_of=loss_of, config=CONFIG) -> list:
    """The records' losses, norms, tokens and extras up to step `stop`."""
    found = []
    for r in train(model, ranks.part(batch_at), loss_of, config, state_dir=folder, ranks=ranks):
        found.append([r.loss, r.grad_norm, r.tokens, r.extra["first"]])
        if r.step == stop:
            break
    return found


def weights(model) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


# ---- What each of the two processes does ---------------------------------------------------------


def compare(folder: Path, ranks: Ranks) -> dict:
    """Train, leave and continue, and meet every kind of trouble; what was seen goes to a file."""
    model = Transformer(TINY, seed=ranks.rank)  # rank 0's counts
    seen = {"records": run(model, ranks, folder=folder / "state")}
    save_pretrained(folder / "model", model, ranks=ranks)
    run(Transformer(TINY), ranks, stop=STOP, folder=folder / "left_by_two")

    muon = Transformer(TINY, seed=ranks.rank)
    seen["muon"] = run(muon, ranks, stop=STOP, folder=folder / "muon", config=MUON)
    seen["muon"] += run(muon, ranks, folder=folder / "muon", config=MUON)  # and goes on
    save_pretrained(folder / "muon" / "model", muon, ranks=ranks)

    rest = Transformer(TINY, seed=9)
    seen["rest"] = run(rest, ranks, folder=folder / "left_by_one")
    save_pretrained(folder / "rest", rest, ranks=ranks)
    seen["tied"] = rest.lm_head.weight is rest.embed_tokens.weight
    seen["held"] = sum(getattr(p, "_local_tensor", p).numel() for p in rest.parameters())

    def interrupted_on_rank_1(model, batch):
        steps.append(1)
        if ranks.rank == 1 and len(steps) == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return loss_of(model, batch)

    steps = []
    with contextlib.suppress(KeyboardInterrupt):
        run(Transformer(TINY), ranks, folder=folder / "interrupted", loss_of=interrupted_on_rank_1)
    seen["interrupted"] = len(steps)

    def nan_on_rank_1(model, batch):
        loss, n_tokens, extra = loss_of(model, batch)
        return loss * (float("nan") if ranks.rank == 1 else 1.0), n_tokens, extra

    seen["nan"] = error_of(run, Transformer(TINY), ranks, loss_of=nan_on_rank_1)
    seen["corrupt"] = error_of(run, Transformer(TINY), ranks, folder=folder / "corrupt")
    seen["foreign"] = error_of(run, Transformer(TINY), ranks, folder=folder / "foreign")
    one_fails = {0: lambda: None, 1: lambda: 1 / 0}[ranks.rank]
    seen["together"] = error_of(ranks.together, one_fails)
    save = lambda: save_pretrained(folder / "file" / "below", model, ranks=ranks)  # noqa: E731
    seen["unwritable"] = error_of(save)
    return seen


def error_of(act, *args, **options) -> str:
    try:
        act(*args, **options)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def work(what: str, folder: Path) -> None:
    def slow_loss(model, batch):
        (folder / "begun").touch()
        time.sleep(0.5)
        return loss_of(model, batch)

    signal.alarm(100)  # nobody is left behind, whatever hangs
    with process_group("cpu", "fsdp", timedelta(seconds=30)) as ranks:
        if what == "interrupt":
            run(Transformer(TINY), ranks, folder=folder / "state", loss_of=slow_loss)
        elif what == "one dies":
            if ranks.first:
                raise ValueError("rank 0 is out of luck")
            run(Transformer(TINY), ranks)
        else:
            for strategy in STRATEGIES:
                seen = compare(folder / strategy, replace(ranks, strategy=strategy))
                (folder / f"{strategy}{ranks.rank}.json").write_text(json.dumps(seen))


# ---- The tests -----------------------------------------------------------------------------------


def torchrun(*program: str | Path, folder: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    return subprocess.Popen(
        [*command, *map(str, program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
    )


def output_of(process: subprocess.Popen, seconds: float) -> str:
    try:
        return process.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        process.terminate()  # torchrun ends its processes, or their alarm does
        raise


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """What one process makes: the model, the records, and a run left at step `STOP`."""
    folder = tmp_path_factory.mktemp("one")
    model = Transformer(TINY, seed=0)
    records = run(model, folder=folder / "state")
    save_pretrained(folder / "model", model)
    return folder, model, records


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What two processes make, for each strategy: its folder and what each rank saw."""
    folder = tmp_path_factory.mktemp("two")
    for strategy in STRATEGIES:
        run(Transformer(TINY), stop=STOP, folder=folder / strategy / "left_by_one")
        (folder / strategy / "corrupt").mkdir()
        (folder / strategy / "corrupt" / TRAINING_STATE).write_bytes(b"\x00" * 99)
        other = Transformer(replace(TINY, ffn_dim=36))
        save_training_state(folder / strategy / "foreign", other, adamw(other, CONFIG), {})
        (folder / strategy / "file").write_text("where a folder should be")
    process = torchrun(__file__, "compare", folder, folder=folder)
    output = output_of(process, 120)
    assert process.returncode == 0, output
    return {
        strategy: (
            folder / strategy,
            *(json.loads((folder / f"{strategy}{rank}.json").read_text()) for rank in (0, 1)),
        )
        for strategy in STRATEGIES
    }


pytestmark = pytest.mark.slow
both = pytest.mark.parametrize("strategy", STRATEGIES)


@both
def test_two_processes_take_the_steps_of_one(one, two, strategy):
    (_, model, records), (folder, first, second) = one, two[strategy]

    expected, found = torch.tensor(records), torch.tensor(first["records"])

    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(torch.tensor(second["records"]), expected, atol=1e-5, rtol=1e-5)
    assert first["records"][0][2] == 3 * 16 + 3 * 7  # all tokens of both, unequally many
    twin, _ = load_pretrained(folder / "model")
    torch.testing.assert_close(weights(twin), weights(model), atol=1e-4, rtol=0)


@both
def test_two_processes_take_the_steps_of_one_with_muon(two, strategy):
    folder, first, second = two[strategy]
    model = Transformer(TINY, seed=0)

    expected = torch.tensor(run(model, config=MUON))

    for seen in (first, second):
        torch.testing.assert_close(torch.tensor(seen["muon"]), expected, atol=1e-5, rtol=1e-5)
    twin, _ = load_pretrained(folder / "muon" / "model")
    torch.testing.assert_close(weights(twin), weights(model), atol=1e-4, rtol=0)


@both
def test_two_processes_write_the_files_of_one(one, two, strategy):
    for name in (f"model/{WEIGHTS}", f"state/{TRAINING_STATE}"):
        ours, theirs = load_file(two[strategy][0] / name), load_file(one[0] / name)

        assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}
        for key in ours:
            torch.testing.assert_close(ours[key], theirs[key], atol=1e-4, rtol=0)


@both
def test_one_process_goes_on_where_two_stopped(one, two, strategy):
    _, model, records = one
    resumed = Transformer(TINY, seed=9)

    rest = run(resumed, folder=two[strategy][0] / "left_by_two")

    torch.testing.assert_close(torch.tensor(rest), torch.tensor(records[STOP:]))
    torch.testing.assert_close(weights(resumed), weights(model), atol=1e-5, rtol=0)


@both
def test_two_processes_go_on_where_one_stopped(one, two, strategy):
    _, model, records = one
    folder, first, _ = two[strategy]

    resumed, _ = load_pretrained(folder / "rest")

    torch.testing.assert_close(torch.tensor(first["rest"]), torch.tensor(records[STOP:]))
    torch.testing.assert_close(weights(resumed), weights(model), atol=1e-5, rtol=0)


def test_fsdp_splits_the_weights_and_keeps_the_table_tied(two):
    _, first, second = two["fsdp"]

    assert first["tied"] and second["tied"]
    assert first["held"] + second["held"] == TINY.n_parameters
    assert first["held"] < 0.6 * TINY.n_parameters
    assert two["ddp"][1]["held"] == TINY.n_parameters


@both
def test_what_fails_on_one_fails_on_both_with_the_same_words_and_at_once(two, strategy):
    """A rank left waiting would say, after the 30 seconds of the group, that its time was up."""
    _, first, second = two[strategy]
    words = {
        "nan": "FloatingPointError: the loss is nan at step 1",
        "corrupt": "ValueError: .*damaged or no safetensors file",
        "foreign": "ValueError: .*mlp",
        "together": "ZeroDivisionError",
        "unwritable": "NotADirectoryError",
    }

    for trouble, pattern in words.items():
        assert first[trouble] == second[trouble], trouble
        assert re.match(pattern, first[trouble]), first[trouble]


@both
def test_an_interrupt_of_one_saves_the_same_step_on_both(two, strategy):
    folder, first, second = two[strategy]

    rest = run(Transformer(TINY), folder=folder / "interrupted")

    assert first["interrupted"] == second["interrupted"] == 4
    assert len(rest) == CONFIG.steps - 4


def test_torchrun_itself_can_be_interrupted(tmp_path):
    process = torchrun(__file__, "interrupt", tmp_path, folder=tmp_path)
    while process.poll() is None and not (tmp_path / "begun").exists():
        time.sleep(0.1)  # the alarm of the processes ends them, whatever happens
    process.send_signal(signal.SIGTERM)
    output = output_of(process, 25)

    rest = run(Transformer(TINY), folder=tmp_path / "state")

    assert 0 < len(rest) < CONFIG.steps, output


def test_a_process_that_dies_takes_the_other_with_it(tmp_path):
    process = torchrun(__file__, "one dies", tmp_path, folder=tmp_path)
    output = output_of(process, 60)

    assert process.returncode != 0
    assert "rank 0 is out of luck" in output


def test_the_command_line_trains_on_two_processes_what_it_trains_on_one(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("\n\n".join(topics.values())[:60_000])
    command = ["train", "--data", text, "--tokens", 8192, "--vocab", 300, "--device", "cpu"]
    command += ["--precision", "float32", "--threads", 1, "--out"]
    one, two = tmp_path / "one", tmp_path / "two"

    assert main([str(part) for part in [*command, one]]) == 0
    process = torchrun("-m", "course_lib", *command, two, "--strategy", "fsdp", folder=tmp_path)
    output = output_of(process, 120)

    assert process.returncode == 0, output
    assert "2 processes (fsdp)" in output and output.count("Done in") == 1
    metrics, expected = (read_manifest(root / "base")["metrics"] for root in (two, one))
    assert metrics == pytest.approx(expected, abs=1e-4)
    weights_of_one, weights_of_two = (load_file(root / "base" / WEIGHTS) for root in (one, two))
    for name, weight in weights_of_one.items():
        torch.testing.assert_close(weights_of_two[name], weight, atol=1e-3, rtol=0)


def test_parts_of_a_batch_are_the_batch():
    rows = list(range(5))

    parts = [Ranks(rank, 3).part(lambda step: (rows, torch.arange(5)))(0) for rank in range(3)]

    assert [row for part in parts for row in part[0]] == rows
    assert torch.cat([part[1] for part in parts]).tolist() == rows
    with pytest.raises(ValueError, match="parted among 3 ranks"):
        Ranks(0, 3).part(lambda step: [1, 2])(0)


def test_without_torchrun_there_is_one_rank_and_nothing_is_started():
    with process_group("cpu", "fsdp") as ranks:
        assert (ranks.rank, ranks.size, ranks.first) == (0, 1, True)
        assert not torch.distributed.is_initialized()
    with pytest.raises(ValueError, match="strategy is one of ddp, fsdp, got 'dp'"):
        process_group("cpu", "dp").__enter__()


if __name__ == "__main__":
    work(sys.argv[1], Path(sys.argv[2]))
