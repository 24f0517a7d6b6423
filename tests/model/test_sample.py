"""Filters against transformers' warpers and by hand; cached, batched generation against plain."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers is imported: it asks the network otherwise

import pytest
import torch
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from course_lib.config import GREEDY, ModelConfig, Sampling
from course_lib.model.sample import (
    draw,
    generate,
    keep_top_k,
    keep_top_p,
    next_token_probs,
    probs_at,
    renormalise,
    sampling_probs,
    stream,
)
from tests.tiny import sharpened

CONFIG = ModelConfig(
    vocab_size=97, context_length=24, dim=32, n_layers=2, n_heads=4, n_kv_heads=2, ffn_dim=48
)
PROMPTS = [[5, 6, 7, 8, 9, 10, 11], [3], [90, 2, 41, 17]]  # of different lengths


@pytest.fixture(scope="module")
def model():
    return sharpened(CONFIG)  # so that what comes next depends on all that came before


@torch.no_grad()
def greedy_by_recomputation(model, prompt, n):
    ids = list(prompt)
    for _ in range(n):
        ids.append(model(torch.tensor([ids]))[0, -1].argmax().item())
    return ids[len(prompt) :]


@torch.no_grad()
def sampled_by_recomputation(model, prompt, n, generator, sampling):
    ids = list(prompt)
    for _ in range(n):
        probs = sampling_probs(model(torch.tensor([ids]))[:, -1], sampling)
        ids.append(draw(probs, generator).item())
    return ids[len(prompt) :]


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("top_k", [None, 1, 7, 200])
@pytest.mark.parametrize("top_p", [None, 0.05, 0.6, 0.99])
def test_filters_equal_those_of_transformers(temperature, top_k, top_p):
    logits = 3 * torch.randn(20, 97, generator=torch.Generator().manual_seed(0))

    expected = TemperatureLogitsWarper(temperature)(None, logits)
    if top_k is not None:
        expected = TopKLogitsWarper(top_k)(None, expected)
    if top_p is not None:
        expected = TopPLogitsWarper(top_p)(None, expected)

    probs = sampling_probs(logits, Sampling(temperature, top_k, top_p))
    torch.testing.assert_close(probs, expected.softmax(-1))
    assert torch.equal(probs == 0, expected.isinf())


def test_each_step_does_what_a_hand_worked_example_says():
    probs = torch.tensor([0.1, 0.4, 0.2, 0.3])

    torch.testing.assert_close(keep_top_k(probs, 2), torch.tensor([0.0, 0.4, 0.0, 0.3]))
    # 0.4 + 0.3 reaches 0.65, 0.4 alone does not
    torch.testing.assert_close(keep_top_p(probs, 0.65), torch.tensor([0.0, 0.4, 0.0, 0.3]))
    torch.testing.assert_close(keep_top_p(probs, 0.39), torch.tensor([0.0, 0.4, 0.0, 0.0]))
    torch.testing.assert_close(keep_top_p(probs, 1.0), probs)
    assert renormalise(torch.tensor([0.0, 1.0, 3.0])).tolist() == [0, 0.25, 0.75]
    # odds of 4:1 become 16:1 at half the temperature
    sharper = probs_at(probs.log(), 0.5)
    assert (sharper[1] / sharper[0]).item() == pytest.approx(16, rel=1e-4)


@pytest.mark.parametrize("temperature", [0.0, 1e-38, 1e-3, 1.0, 1e9])
def test_extreme_logits_and_temperatures_give_a_distribution(temperature):
    logits = 1000 * torch.randn(5, 97, generator=torch.Generator().manual_seed(0))

    probs = sampling_probs(logits, Sampling(temperature, top_k=50, top_p=0.9))

    torch.testing.assert_close(probs.sum(-1), torch.ones(5))
    if temperature < 0.01:
        assert torch.equal(probs.argmax(-1), logits.argmax(-1))


def test_of_equally_likely_tokens_the_nucleus_takes_the_smaller_ids():
    kept = keep_top_p(torch.full((1000,), 0.001), 0.2504)

    assert kept[:251].all() and not kept[251:].any()


def test_filters_work_over_any_leading_axes():
    logits = torch.randn(2, 3, 11, generator=torch.Generator().manual_seed(0))

    sampling = Sampling(0.8, top_k=5, top_p=0.7)

    together = sampling_probs(logits, sampling)

    alone = [[sampling_probs(logits[i, j], sampling) for j in range(3)] for i in range(2)]
    torch.testing.assert_close(together, torch.stack([torch.stack(row) for row in alone]))


def test_draws_follow_the_distribution_and_the_generator():
    probs = torch.tensor([[0.0, 0.5, 0.3, 0.2]]).repeat(20_000, 1)

    drawn = draw(probs, torch.Generator().manual_seed(0))
    again = draw(probs, torch.Generator().manual_seed(0))

    shares = drawn.flatten().bincount(minlength=4) / 20_000
    torch.testing.assert_close(shares, probs[0], atol=0.015, rtol=0)  # 4 standard errors
    assert shares[0] == 0
    assert torch.equal(drawn, again)


def test_a_draw_takes_the_stretch_of_the_line_that_the_point_lies_in(monkeypatch):
    probs = torch.tensor([0.0, 0.5, 0.0, 0.25, 0.25, 0.0]).expand(5, 6)
    points = torch.tensor([[0.0], [0.49], [0.5], [0.74], [1 - 2**-24]])
    monkeypatch.setattr(torch, "rand", lambda *size, **options: points)

    assert draw(probs)[:, 0].tolist() == [1, 1, 3, 3, 4]  # never one of probability 0


def test_next_token_probs_are_the_softmax_of_the_last_logits(model):
    expected = model(torch.tensor([PROMPTS[0]]))[0, -1].softmax(-1)

    probs = next_token_probs(model, PROMPTS[0])

    assert probs.shape == (97,) and not probs.requires_grad
    torch.testing.assert_close(probs, expected)


def test_cached_batched_generation_equals_full_recomputation(model):
    generated = generate(model, PROMPTS, 12, GREEDY)

    assert generated == [greedy_by_recomputation(model, prompt, 12) for prompt in PROMPTS]
    assert len({tuple(row) for row in generated}) == 3  # the prompts matter


def test_one_row_sampling_equals_full_recomputation(model):
    sampling = Sampling(0.9, top_k=30, top_p=0.95)
    expected = sampled_by_recomputation(
        model, PROMPTS[2], 15, torch.Generator().manual_seed(4), sampling
    )

    once = generate(model, [PROMPTS[2]], 15, sampling, generator=torch.Generator().manual_seed(4))
    streamed = stream(model, PROMPTS[2], 15, sampling, generator=torch.Generator().manual_seed(4))

    assert once == [expected]
    assert list(streamed) == expected


def test_a_stop_id_ends_its_row_and_is_kept(model):
    free = generate(model, PROMPTS, 12, GREEDY)
    stop = free[0][4]

    stopped = generate(model, PROMPTS, 12, GREEDY, stop=[stop])

    for row, whole in zip(stopped, free, strict=True):
        assert row == (whole[: whole.index(stop) + 1] if stop in whole else whole)
    assert list(stream(model, PROMPTS[0], 12, GREEDY, stop=[stop])) == stopped[0]


def test_generation_ends_early_when_all_rows_have_stopped(model, monkeypatch):
    first = [row[0] for row in generate(model, PROMPTS, 1, GREEDY)]
    passes, hidden = [], model.hidden
    monkeypatch.setattr(model, "hidden", lambda *args: passes.append(1) or hidden(*args))

    assert generate(model, PROMPTS, 12, GREEDY, stop=first) == [[id] for id in first]
    assert len(passes) == 1


def test_rows_that_have_stopped_are_dropped_and_the_others_go_on_unchanged(model, monkeypatch):
    prompts = [[n, 2 * n] for n in range(1, 41)]
    free = generate(model, prompts, 12, GREEDY)
    stop = {row[3] for row in free[:30]}
    rows, hidden = [], model.hidden
    monkeypatch.setattr(
        model, "hidden", lambda ids, *rest: rows.append(len(ids)) or hidden(ids, *rest)
    )

    stopped = generate(model, prompts, 12, GREEDY, stop=stop)

    for row, whole in zip(stopped, free, strict=True):
        ends = [i for i, id in enumerate(whole) if id in stop]
        assert row == (whole[: ends[0] + 1] if ends else whole)
    assert len({len(row) for row in stopped}) > 2
    for step, n in enumerate(rows):  # at most a quarter of what is computed is for nobody
        assert sum(len(row) > step for row in stopped) > 0.75 * n


def test_generation_never_runs_past_the_context(model):
    prompt = list(range(20))

    assert [len(row) for row in generate(model, [prompt, [1]], 100, GREEDY)] == [4, 4]
    assert len(list(stream(model, prompt[:1], 100))) == 23


def test_no_prompts_and_no_tokens_are_no_work(model):
    assert generate(model, [], 5) == []
    assert generate(model, PROMPTS, 0) == [[], [], []]


@pytest.mark.parametrize(
    ("sampling", "message"),
    [
        (Sampling(temperature=-1), "temperature"),
        (Sampling(temperature=float("nan")), "temperature"),
        (Sampling(top_k=0), "top_k must be 1 or more"),
        (Sampling(top_p=0.0), "top_p must be above 0"),
        (Sampling(top_p=1.5), "top_p must be above 0 and at most 1"),
    ],
)
def test_dials_that_mean_nothing_are_refused(model, sampling, message):
    with pytest.raises(ValueError, match=message):
        generate(model, [[1]], 2, sampling)


@pytest.mark.parametrize(
    ("prompts", "max_new_tokens", "message"),
    [
        ([[1], []], 2, "a prompt is empty"),
        ([[1] * 24], 2, "leaves no room in context_length 24: drop what came first"),
        ([[97]], 2, "ids must be 0 to 96"),
        ([[1]], -1, "zero or more, got -1"),
    ],
)
def test_what_cannot_be_continued_is_refused(model, prompts, max_new_tokens, message):
    with pytest.raises(ValueError, match=message):
        generate(model, prompts, max_new_tokens)


def test_generation_leaves_no_trace(model):
    state = torch.get_rng_state()

    generate(model, PROMPTS, 3, generator=torch.Generator().manual_seed(0))

    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.is_grad_enabled()
    for _ in stream(model, PROMPTS[0], 3):
        assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_logits_that_are_no_numbers_are_refused(broken, temperature):
    model = sharpened(CONFIG)
    model.lm_head.register_forward_hook(
        lambda module, args, logits: logits.index_fill(-1, torch.tensor([3]), broken)
    )

    with pytest.raises(ValueError, match="weights are damaged, or its training has diverged"):
        generate(model, PROMPTS, 3, Sampling(temperature, seed=0))
    with pytest.raises(ValueError, match="not a number"):
        next_token_probs(model, PROMPTS[0])
