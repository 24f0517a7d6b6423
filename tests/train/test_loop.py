"""The one loop takes the steps of a plain torch loop, resumes to the last bit and stops at NaN."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from course_lib.config import ModelConfig, TrainConfig
from course_lib.model.transformer import Transformer
from course_lib.text.rows import IGNORE, Batches, inputs_and_targets
from course_lib.train.loop import adamw, next_token_loss, train, wsd
from course_lib.train.state import TRAINING_STATE

TINY = ModelConfig(
    vocab_size=32, context_length=16, dim=32, n_layers=2, n_heads=2, n_kv_heads=1, ffn_dim=64
)
CONFIG = TrainConfig(steps=12, batch_rows=4, learning_rate=1e-2, warmup=0.1, decay=0.3)


def tiny_batches(seed: int = 0):
    rows = torch.randint(0, 32, (8, 17), generator=torch.Generator().manual_seed(seed))
    batches = Batches(rows, 4, seed)
    return lambda step: inputs_and_targets(batches(step))


def run(model, config=CONFIG, **options):
    return list(train(model, tiny_batches(), next_token_loss, config, **options))


def weights(model) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_the_schedule_has_the_values_of_warmup_stable_decay():
    config = TrainConfig(steps=10, learning_rate=1.0, warmup=0.2, decay=0.4)

    found = [wsd(step, config) for step in range(10)]

    third, fifth = 1 / 3, 1 / 5
    expected = [third, 2 * third, 1, 1, 1, 1, 4 * fifth, 3 * fifth, 2 * fifth, fifth]
    assert found == pytest.approx(expected)


def test_another_schedule_gives_its_rates_and_continues_a_run_that_wsd_began(tmp_path):
    begun = train(Transformer(TINY), tiny_batches(), next_token_loss, CONFIG, state_dir=tmp_path)
    for record in begun:
        if record.step == 10:
            begun.close()

    rest = run(Transformer(TINY), state_dir=tmp_path, schedule=lambda step, config: 1 / (step + 1))

    assert [(r.step, r.learning_rate) for r in rest] == [(11, 1 / 11), (12, 1 / 12)]


def test_weight_decay_is_for_matrices_only():
    optimizer = adamw(Transformer(TINY), CONFIG)

    for group in optimizer.param_groups:
        assert {p.dim() >= 2 for p in group["params"]} == {group["weight_decay"] > 0}


def test_the_loop_overfits_a_few_rows():
    model = Transformer(TINY)

    records = run(model, replace(CONFIG, steps=250))

    assert records[0].loss == pytest.approx(3.47, abs=0.1)  # ln 32: it knows nothing yet
    assert records[-1].loss < 0.3
    assert [r.step for r in records] == list(range(1, 251))
    assert records[-1].tokens == 250 * 4 * 16


def test_two_runs_of_the_same_seed_are_the_same_to_the_last_bit():
    first, second = Transformer(TINY, seed=5), Transformer(TINY, seed=5)
    run(first)
    run(second)

    assert torch.equal(weights(first), weights(second))


def test_the_loop_takes_the_steps_that_a_plain_torch_loop_takes():
    model, twin = Transformer(TINY, seed=1), Transformer(TINY, seed=1)
    run(model, replace(CONFIG, steps=3, clip=0.5))

    optimizer, batch_at = adamw(twin, CONFIG), tiny_batches()
    for step in range(3):
        inputs, targets = batch_at(step)
        optimizer.zero_grad()
        nn.functional.cross_entropy(twin(inputs).view(-1, 32), targets.flatten()).backward()
        nn.utils.clip_grad_norm_(twin.parameters(), 0.5)
        for group in optimizer.param_groups:
            group["lr"] = wsd(step, replace(CONFIG, steps=3))
        optimizer.step()
    torch.testing.assert_close(weights(model), weights(twin), atol=1e-5, rtol=1e-4)


def test_a_run_that_was_stopped_goes_on_to_the_same_weights(tmp_path):
    whole, stopped, resumed = (Transformer(TINY, seed=2) for _ in range(3))
    run(whole)

    records = train(stopped, tiny_batches(), next_token_loss, CONFIG, state_dir=tmp_path)
    for record in records:
        if record.step == 5:
            records.close()
            break
    rest = run(resumed, state_dir=tmp_path)

    assert [r.step for r in rest] == list(range(6, 13))
    assert rest[-1].tokens == 12 * 4 * 16
    assert torch.equal(weights(whole), weights(resumed))
    assert run(Transformer(TINY), state_dir=tmp_path) == []  # finished: nothing is left to do


def test_a_state_of_other_settings_is_refused(tmp_path):
    run(Transformer(TINY), state_dir=tmp_path)
    mine = Transformer(TINY, seed=3)

    with pytest.raises(ValueError, match=f"other settings.*delete .*{TRAINING_STATE}"):
        run(mine, replace(CONFIG, learning_rate=1e-3), state_dir=tmp_path)

    assert torch.equal(weights(mine), weights(Transformer(TINY, seed=3)))


def test_a_loss_that_is_not_a_number_stops_the_run_and_keeps_the_last_checkpoint(tmp_path):
    def breaks_at_five(model, batch):
        loss, n_tokens, extra = next_token_loss(model, batch)
        breaks_at_five.step += 1
        return loss * (float("nan") if breaks_at_five.step == 5 else 1.0), n_tokens, extra

    breaks_at_five.step = 0
    model = Transformer(TINY)
    with pytest.raises(FloatingPointError, match="at step 5"):
        list(train(model, tiny_batches(), breaks_at_five, CONFIG, state_dir=tmp_path, save_every=4))

    assert torch.isfinite(weights(model)).all()
    rest = run(Transformer(TINY), state_dir=tmp_path)
    assert rest[0].step == 5


def test_targets_that_do_not_count_skip_the_output_layer_and_change_nothing_else():
    model, batch = Transformer(TINY), tiny_batches()(0)
    inputs, targets = (part.repeat(8, 1) for part in batch)  # (32, 16)
    targets[:, :11] = IGNORE
    targets[2::4] = IGNORE
    shapes = []
    model.lm_head.register_forward_hook(lambda *args: shapes.append(args[-1].shape))

    loss, n_tokens, _ = next_token_loss(model, (inputs, targets))
    loss.backward()
    found = model.embed_tokens.weight.grad.clone()
    model.zero_grad()
    expected = nn.functional.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())
    expected.backward()

    # One of few shapes: the next multiple of 128.
    assert n_tokens == 24 * 5 and shapes[0] == (128, 32) and targets.numel() == 512
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(found, model.embed_tokens.weight.grad)


@pytest.mark.parametrize("ignored", [0, 7])
def test_the_loss_is_left_on_its_device_where_nothing_waits_for_it(monkeypatch, ignored):
    # "meta" has shapes and no numbers: whoever asks for one gets an error, as a GPU would wait.
    monkeypatch.setattr(Transformer, "_check", lambda *_: None)
    inputs, targets = tiny_batches()(0)
    targets = targets.clone()
    targets[:, :ignored] = IGNORE

    segments = torch.ones_like(inputs)
    loss, n_tokens, _ = next_token_loss(Transformer(TINY).to("meta"), (inputs, targets, segments))

    assert loss.is_meta and n_tokens == 4 * (16 - ignored)


def test_bfloat16_trains_nearly_as_float32_and_keeps_float32_weights():
    exact, rough = Transformer(TINY, seed=3), Transformer(TINY, seed=3)
    a = [record.loss for record in run(exact)]
    b = [record.loss for record in run(rough, replace(CONFIG, precision="bfloat16"))]

    assert weights(rough).dtype == torch.float32
    assert b == pytest.approx(a, rel=0.02)  # bf16 has 3 digits; the rounding adds up over the steps
    assert not torch.equal(weights(exact), weights(rough))


def test_settings_that_make_no_sense_are_refused():
    for bad in ({"steps": 0}, {"learning_rate": 0.0}, {"warmup": 0.8}, {"precision": "float16"}):
        with pytest.raises(ValueError, match=r"\w+"):
            replace(CONFIG, **bad)
