"""What the GPU computes beside the CPU. On a machine without one these tests are skipped.

The CPU is the reference: the same weights and the same batch give the same numbers on both. Whole
stages are then run on the GPU, as their mistakes are mostly tensors left on the other device.
"""

from dataclasses import replace

import pytest
import torch

from course_lib.config import GREEDY, DPOConfig, GRPOConfig, ModelConfig, PPOConfig, TrainConfig
from course_lib.machine.device import pick_device
from course_lib.measure.card import report, summary
from course_lib.model.sample import generate
from course_lib.model.transformer import KVCache, Transformer
from course_lib.pipeline.recipe import (
    BaseStage,
    Recipe,
    RewardStage,
    RLHFStage,
    SFTStage,
    TokenizerStage,
)
from course_lib.pipeline.release import load_language_model
from course_lib.pipeline.stages import run_stage
from course_lib.train.loop import next_token_loss, train

pytestmark = pytest.mark.gpu

CONFIG = ModelConfig(vocab_size=512, context_length=160, dim=64, n_layers=2)
STEPS = TrainConfig(steps=12, batch_rows=6, learning_rate=3e-3)


@pytest.fixture(scope="module")
def device() -> torch.device:
    return pick_device()


def random_ids(rows: int, length: int) -> torch.Tensor:
    return torch.randint(
        CONFIG.vocab_size, (rows, length), generator=torch.Generator().manual_seed(1)
    )


def batch_at(step: int) -> tuple[torch.Tensor, ...]:
    """Rows in which two documents follow each other."""
    ids = random_ids(6, 65).roll(step, dims=1)
    return ids[:, :-1], ids[:, 1:], (torch.arange(64) > 30).long().expand(6, 64)


def losses(model: Transformer, config: TrainConfig = STEPS, **options) -> list[float]:
    return [record.loss for record in train(model, batch_at, next_token_loss, config, **options)]


@pytest.mark.parametrize("given", ["ids", "padding", "segments"])
def test_logits_are_those_of_the_cpu(device, given):
    ids, model = random_ids(3, 40), Transformer(CONFIG)
    pads = torch.tensor([3, 0, 7])
    segments = (torch.arange(40) > 17).long().expand(3, 40)
    options = {"ids": {}, "padding": {"padding": pads}, "segments": {"segments": segments}}[given]
    with torch.no_grad():
        expected = model(ids, **options)
        on_gpu = {name: value.to(device) for name, value in options.items()}
        found = model.to(device)(ids.to(device), **on_gpu).cpu()

    seen = torch.arange(40) >= (pads if given == "padding" else 0 * pads)[:, None]
    torch.testing.assert_close(found[seen], expected[seen], atol=1e-4, rtol=1e-3)


def test_greedy_words_and_the_cache_are_those_of_the_cpu(device):
    model = Transformer(CONFIG)
    prompts = [row[:n].tolist() for row, n in zip(random_ids(3, 40), (5, 40, 17), strict=True)]
    expected = generate(model, prompts, 30, GREEDY)

    assert generate(model.to(device), prompts, 30, GREEDY) == expected
    ids, cache = random_ids(2, 20).to(device), KVCache(CONFIG, 2, device=device)
    with torch.no_grad():
        parts = [model(part, cache) for part in ids.split(9, dim=1)]
        torch.testing.assert_close(torch.cat(parts, 1), model(ids), atol=1e-4, rtol=1e-3)


def test_the_same_seed_draws_the_same_words(device):
    model = Transformer(CONFIG)
    drawn = []
    for where in ("cpu", device):
        generator = torch.Generator().manual_seed(3)
        drawn.append(generate(model.to(where), [[1, 2], [3]], 20, generator=generator))

    assert drawn[0] == drawn[1]


def test_training_goes_as_on_the_cpu(device):
    expected = losses(Transformer(CONFIG))

    assert losses(Transformer(CONFIG).to(device)) == pytest.approx(expected, rel=1e-3)
    in_bf16 = losses(Transformer(CONFIG).to(device), replace(STEPS, precision="bfloat16"))
    assert in_bf16 == pytest.approx(expected, rel=2e-2)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch.compile's own, and its
@pytest.mark.filterwarnings("ignore:TensorFloat32")  # advice to give up exact products
def test_a_compiled_model_learns_the_same(device):
    expected = losses(Transformer(CONFIG).to(device))

    assert losses(Transformer(CONFIG).to(device), compile=True) == pytest.approx(expected, rel=1e-3)


def test_a_run_that_was_left_goes_on(device, tmp_path):
    whole = Transformer(CONFIG).to(device)
    losses(whole)
    for record in train(
        Transformer(CONFIG).to(device), batch_at, next_token_loss, STEPS, state_dir=tmp_path
    ):
        if record.step == 5:
            break

    resumed = Transformer(CONFIG, seed=9).to(device)
    rest = losses(resumed, state_dir=tmp_path)

    assert len(rest) == 7
    for ours, theirs in zip(resumed.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)


@pytest.fixture(scope="module")
def pipeline(device, tmp_path_factory):
    """A recipe whose every stage runs in seconds, and its folder up to the reward model."""
    few = TrainConfig(steps=4, batch_rows=8, learning_rate=1e-3)
    plan = Recipe(
        model=CONFIG,
        tokenizer=TokenizerStage(documents=300),
        base=BaseStage(few),
        sft=SFTStage(few, dialogues=60),
        reward=RewardStage(few, prompts=12),
        rlhf=RLHFStage(few, GRPOConfig()),
    )
    root = tmp_path_factory.mktemp("stages")
    for stage in ("tokenizer", "base", "sft", "reward"):
        list(run_stage(stage, root, plan, device))
    return root, plan


@pytest.mark.parametrize(
    "method",
    [
        GRPOConfig(prompts=3, answers=2, max_new_tokens=6),
        PPOConfig(prompts=6, max_new_tokens=6),
        DPOConfig(beta=0.6, nll=0.2),
    ],
    ids=["grpo", "ppo", "dpo"],
)
def test_every_way_to_align_runs_and_leaves_a_model_for_the_cpu(device, pipeline, method, tmp_path):
    root, plan = pipeline
    for stage in ("tokenizer", "base", "sft", "reward"):
        (tmp_path / stage).symlink_to(root / stage)

    plan = replace(plan, rlhf=replace(plan.rlhf, method=method))
    records = list(run_stage("rlhf", tmp_path, plan, device))

    assert records[-1].step == plan.rlhf.train.steps
    before, after = (load_language_model(tmp_path, stage)[0] for stage in ("sft", "rlhf"))
    weights = zip(before.parameters(), after.parameters(), strict=True)
    assert not all(torch.equal(old, new) for old, new in weights)


def test_a_report_card_says_the_same(device, pipeline):
    root, _ = pipeline
    cards = []
    for where in ("cpu", device):
        (model, tokenizer), (reference, _) = (load_language_model(root, s) for s in ("sft", "base"))
        cards.append(summary(report(model.to(where), tokenizer, 20, True, reference.to(where))))

    for name in ("bits_per_byte", "mean_choice_kl", "worst_hit_kl"):
        assert cards[1][name] == pytest.approx(cards[0][name], rel=1e-3)
