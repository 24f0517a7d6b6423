"""Muon takes the steps of torch's own, stacks what it can, and leaves the rest to AdamW."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.optim._muon import _zeropower_via_newtonschulz

from course_lib.config import TrainConfig
from course_lib.model.transformer import Transformer
from course_lib.train.loop import next_token_loss, train
from course_lib.train.muon import ROUNDS, A, B, C, muon, orthogonal
from tests.train.test_loop import CONFIG, TINY, run, tiny_batches, weights

MUON = replace(CONFIG, optimizer="muon")


def matrices_of(model) -> list[nn.Parameter]:
    return [p for name, p in model.named_parameters() if p.dim() == 2 and "layers." in name]


@pytest.mark.parametrize("shape", [(5, 8, 8), (3, 4, 16), (3, 16, 4)])
def test_singular_values_are_brought_close_to_1_and_directions_kept(shape):
    dice = torch.Generator().manual_seed(1)
    u, _, v = torch.linalg.svd(torch.randn(shape, generator=dice), full_matrices=False)
    before = torch.linspace(30, 1, min(shape[1:]))  # one direction outshouts the others
    matrices = u * before @ v

    found = orthogonal(matrices)

    after = torch.linalg.svdvals(found)
    assert 0.6 < after.min() and after.max() < 1.3
    turned = u.mT @ found @ v.mT  # in the old directions, which it keeps, it is diagonal
    off = turned - torch.diag_embed(turned.diagonal(dim1=-2, dim2=-1))
    assert off.abs().max() < 1e-3


def test_a_zero_gradient_moves_nothing():
    assert not orthogonal(torch.zeros(2, 4, 4)).any()


def test_the_steps_are_those_of_torchs_muon_and_adamw(monkeypatch):
    # torch's own rounds the products to bfloat16, which has three digits: here it may not
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    ours, twin = Transformer(TINY, seed=1), Transformer(TINY, seed=1)
    config = replace(MUON, steps=6)
    optimizer = muon(ours, config)
    inside = matrices_of(twin)
    outside = [p for p in twin.parameters() if not any(p is each for each in inside)]
    decayed, gains = ([p for p in outside if (p.dim() >= 2) == yes] for yes in (True, False))
    rate = config.learning_rate
    theirs = (
        torch.optim.Muon(
            inside, lr=rate * config.matrix_rate, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"
        ),
        torch.optim.AdamW(
            [{"params": decayed, "weight_decay": 0.1}, {"params": gains, "weight_decay": 0.0}],
            lr=rate, betas=(0.9, 0.95),
        ),
    )  # fmt: skip
    start = weights(ours)
    batch_at = tiny_batches()
    for step in range(6):
        for model in (ours, twin):
            model.zero_grad()
            next_token_loss(model, batch_at(step))[0].backward()
        for group in optimizer.param_groups:
            group["lr"] = rate * group["rate"]
        optimizer.step()
        for each in theirs:
            each.step()

    assert (weights(ours) - start).abs().max() > 0.01
    torch.testing.assert_close(weights(ours), weights(twin), atol=2e-5, rtol=0)


def test_in_bfloat16_its_products_lose_no_more_than_torchs_own(monkeypatch):
    found = []

    def watched(matrices):
        found.append((matrices.clone(), orthogonal(matrices)))
        return found[-1][1]

    monkeypatch.setattr("course_lib.train.muon.orthogonal", watched)
    run(Transformer(TINY), replace(MUON, precision="bfloat16", steps=1))

    off = torch.zeros(2)  # ours and theirs, from what float32 gives
    for matrices, turned in found:
        assert turned.dtype == torch.bfloat16
        for matrix, ours in zip(matrices, turned, strict=True):
            theirs = _zeropower_via_newtonschulz(matrix, (A, B, C), ROUNDS, eps=1e-7)
            exact = orthogonal(matrix[None])[0]
            off += torch.stack([(each - exact).abs().sum() for each in (ours, theirs)])
    assert 0 < off[0] < 1.2 * off[1]
    assert sum(len(matrices) for matrices, _ in found) == len(matrices_of(Transformer(TINY)))


def test_muon_is_for_matrices_in_the_layers_and_decay_not_for_gains():
    model = Transformer(replace(TINY, tied_embeddings=False))

    inside, outside, gains = muon(model, MUON).param_groups

    assert {id(p) for p in inside["params"]} == {id(p) for p in matrices_of(model)}
    assert [tuple(p.shape) for p in outside["params"]] == [(32, 32), (32, 32)]  # the two tables
    assert all(p.dim() == 1 for p in gains["params"]) and gains["weight_decay"] == 0
    counted = sum(len(group["params"]) for group in (inside, outside, gains))
    assert counted == len(list(model.parameters()))


def test_a_matrix_without_a_gradient_stays_where_it_is():
    model = Transformer(TINY)
    optimizer = muon(model, MUON)
    next_token_loss(model, tiny_batches()(0))[0].backward()
    still, moves = matrices_of(model)[:2]
    still.grad = None
    before = still.clone(), moves.clone()

    optimizer.step()

    assert torch.equal(still, before[0]) and not torch.equal(moves, before[1])
    assert moves.grad is not None  # handed back after AdamW had passed over it


def test_a_run_with_muon_learns_and_is_the_same_to_the_last_bit_after_a_stop(tmp_path):
    whole, stopped, resumed = (Transformer(TINY, seed=2) for _ in range(3))
    records = run(whole, MUON)

    begun = train(stopped, tiny_batches(), next_token_loss, MUON, state_dir=tmp_path)
    for record in begun:
        if record.step == 5:
            begun.close()
            break
    run(resumed, MUON, state_dir=tmp_path)

    assert torch.equal(weights(whole), weights(resumed))
    assert records[-1].loss < records[0].loss - 0.3


def test_a_run_of_one_optimizer_is_not_continued_by_the_other(tmp_path):
    run(Transformer(TINY), state_dir=tmp_path)

    with pytest.raises(ValueError, match="begin this run anew"):
        run(Transformer(TINY), MUON, state_dir=tmp_path)


@pytest.mark.parametrize("wrong", [{"optimizer": "sgd"}, {"matrix_rate": 0}])
def test_a_setting_that_is_none_is_refused(wrong):
    with pytest.raises(ValueError, match=r"optimizer is|above zero"):
        TrainConfig(steps=1, **wrong)
