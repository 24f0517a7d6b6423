"""A training run comes back from its file to the last bit, or is refused and changes nothing."""

import json
import os
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from course_lib.config import ModelConfig
from course_lib.model.transformer import Transformer
from course_lib.train.state import TRAINING_STATE, load_training_state, save_training_state

TINY = ModelConfig(
    vocab_size=280, context_length=32, dim=32, n_layers=2, n_heads=4, n_kv_heads=2, ffn_dim=48
)
IDS = torch.randint(280, (2, 32), generator=torch.Generator().manual_seed(0))


def files_of(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}


class Killed(Exception):
    pass


def optimizer_of(model, **settings):
    matrices = [p for p in model.parameters() if p.dim() == 2]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=3e-3, betas=(0.9, 0.95), **settings)


def train(model, optimizer, steps):
    losses = []
    for step in steps:
        optimizer.param_groups[0]["lr"] = 3e-3 / (1 + step)
        ids = IDS.roll(step, dims=1)
        loss = torch.nn.functional.cross_entropy(model(ids[:, :-1]).mT, ids[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("tied", [False, True])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path, fused, tied):
    config = replace(TINY, tied_embeddings=tied)
    model = Transformer(config)
    optimizer = optimizer_of(model, fused=fused)
    train(model, optimizer, range(5))
    save_training_state(tmp_path, model, optimizer, {"step": 5, "loss": 0.1 + 0.2, "note": None})
    expected = train(model, optimizer, range(5, 10))

    resumed = Transformer(config, seed=9)
    other = optimizer_of(resumed, fused=fused)
    progress = load_training_state(tmp_path, resumed, other)

    assert progress == {"step": 5, "loss": 0.1 + 0.2, "note": None}
    assert train(resumed, other, range(5, 10)) == expected
    pairs = zip(model.parameters(), resumed.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert other.state_dict()["param_groups"] == optimizer.state_dict()["param_groups"]


def test_a_state_from_before_the_first_step_is_resumed_too(tmp_path):
    model = Transformer(TINY)
    save_training_state(tmp_path, model, optimizer_of(model), {"step": 0})

    resumed = Transformer(TINY, seed=9)

    assert load_training_state(tmp_path, resumed, optimizer_of(resumed)) == {"step": 0}
    assert torch.equal(resumed(IDS), model(IDS))


def test_a_file_is_read_by_the_names_that_every_version_wrote(tmp_path):
    """Names as in a file of version 1, written here by hand: whoever changes them strands runs."""
    model = Transformer(TINY)
    optimizer = optimizer_of(model)
    train(model, optimizer, range(2))
    saved = optimizer.state_dict()
    tensors = {f"model.{n}": t for n, t in model.state_dict().items() if n != "lm_head.weight"}
    for index, values in saved["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in values.items()}
    metadata = {"format": "course_lib training state 1", "optimizer": "AdamW"}
    metadata |= {"param_groups": json.dumps(saved["param_groups"]), "progress": '{"step": 2}'}
    save_file(tensors, tmp_path / TRAINING_STATE, metadata)

    resumed = Transformer(TINY, seed=9)
    other = optimizer_of(resumed)
    progress = load_training_state(tmp_path, resumed, other)

    assert progress == {"step": 2}
    assert train(resumed, other, range(2, 4)) == train(model, optimizer, range(2, 4))


def test_a_killed_save_leaves_the_old_training_state(tmp_path, monkeypatch):
    model = Transformer(TINY)
    optimizer = optimizer_of(model)
    save_training_state(tmp_path, model, optimizer, {"step": 0})
    before = files_of(tmp_path)
    train(model, optimizer, range(2))

    def killed(*paths):
        raise Killed

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(Killed):
        save_training_state(tmp_path, model, optimizer, {"step": 2})

    assert files_of(tmp_path) == before and len(before) == 1


def test_progress_that_json_cannot_hold_is_refused_before_writing(tmp_path):
    model = Transformer(TINY)

    with pytest.raises(ValueError, match="progress must survive JSON"):
        save_training_state(tmp_path, model, optimizer_of(model), {"step": torch.tensor(1)})
    assert not any(tmp_path.iterdir())


def other_optimizer(model):
    return torch.optim.SGD(model.parameters(), lr=0.1)


def other_groups(model):
    return torch.optim.AdamW(model.parameters(), lr=0.1)


def other_order(model):
    return optimizer_of(torch.nn.ParameterList(reversed(list(model.parameters()))))


@pytest.mark.parametrize(
    ("config", "optimizer", "message"),
    [
        (replace(TINY, ffn_dim=64), optimizer_of, r"must be \(64, 32\), got \(48, 32\)"),
        (replace(TINY, n_layers=1), None, "groups"),
        (TINY, other_optimizer, "state of AdamW, not of SGD"),
        (TINY, other_groups, r"groups \[20\] parameters"),
        (TINY, other_order, "another order"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(tmp_path, config, optimizer, message):
    model = Transformer(TINY)
    saved_optimizer = optimizer_of(model)
    train(model, saved_optimizer, range(2))
    save_training_state(tmp_path, model, saved_optimizer, {"step": 2})
    target = Transformer(config, seed=9)
    optimizer = (optimizer or optimizer_of)(target)

    with pytest.raises(ValueError, match=message):
        load_training_state(tmp_path, target, optimizer)

    untouched = Transformer(config, seed=9)
    assert torch.equal(target(IDS), untouched(IDS))
    assert not optimizer.state_dict()["state"]


def test_damaged_and_foreign_training_states_are_refused_and_left_alone(tmp_path):
    model = Transformer(TINY)
    path = tmp_path / TRAINING_STATE
    with pytest.raises(FileNotFoundError, match=TRAINING_STATE):
        load_training_state(tmp_path, model, optimizer_of(model))

    path.write_bytes(b"not a safetensors file")
    with pytest.raises(ValueError, match="damaged or no safetensors"):
        load_training_state(tmp_path, model, optimizer_of(model))
    assert path.read_bytes() == b"not a safetensors file"

    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match=f"'course_lib training state 1'.* delete {path}"):
        load_training_state(tmp_path, model, optimizer_of(model))


def test_the_state_of_a_training_that_diverged_is_refused(tmp_path):
    model = Transformer(TINY)
    optimizer = optimizer_of(model)
    save_training_state(tmp_path, model, optimizer, {})
    with torch.no_grad():
        model.norm.weight[1] = float("nan")
    save_training_state(tmp_path / "diverged", model, optimizer, {})

    with pytest.raises(ValueError, match=r"numbers of norm.weight are finite.* diverged.* delete"):
        load_training_state(tmp_path / "diverged", model, optimizer)

    load_training_state(tmp_path, model, optimizer)
    assert model.norm.weight.isfinite().all()
