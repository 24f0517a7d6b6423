"""The one training loop: batches in, records out.

Pretraining, SFT, the reward model and RLHF all run through `train`; they differ in the batch that
they hand in for a step and in the loss that they compute on it. The loop yields records and shows
nothing: a progress bar, a dashboard or a test reads them. It saves its state so that a run goes on
where it stopped, to the last bit.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.config import TrainConfig
from course_lib.machine.ranks import ALONE, Ranks, whole
from course_lib.text.rows import IGNORE
from course_lib.train.losses import cross_entropy
from course_lib.train.state import TRAINING_STATE, load_training_state, save_training_state


@dataclass(frozen=True)
class TrainRecord:
    """What happened in one optimizer step."""

    step: int  # steps done, this one included
    loss: float
    learning_rate: float
    grad_norm: float  # before clipping
    tokens: int  # tokens trained on since the run began
    seconds: float  # since this process began to train
    tokens_per_second: float
    extra: dict = field(default_factory=dict)  # what the loss function reports beside the loss


def wsd(step: int, config: TrainConfig) -> float:
    """The learning rate of a step: warm-up, stable, decay (Hu et al. 2024, arXiv 2404.06395).

    Linear from 0 to the plateau, then constant, then linear down to 0. Steps count from 0.
    """
    warmup = config.warmup * config.steps
    decay = config.decay * config.steps
    rising = (step + 1) / (warmup + 1)
    falling = (config.steps - step) / (decay + 1)
    return config.learning_rate * min(1.0, rising, falling)


def adamw(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW with weight decay on matrices only (Loshchilov & Hutter, arXiv 1711.05101)."""
    weights = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in weights if p.dim() >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in weights if p.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        groups, lr=config.learning_rate, betas=(0.9, 0.95), eps=1e-8, fused=True
    )


def train(
    model: nn.Module,
    batch_at: Callable[[int], Any],
    loss_of: Callable[[nn.Module, Any], tuple[Tensor, int, dict]],
    config: TrainConfig,
    *,
    state_dir: Path | None = None,
    save_every: int = 500,
    together: int = 1,
    compile: bool = False,
    ranks: Ranks = ALONE,
) -> Iterator[TrainRecord]:
    """Train `model` in place for `config.steps` steps; yields a record after each.

    `batch_at(step)` gives a step's batch, a pure function of the step; `loss_of(model, batch)`
    gives the loss, the number of tokens it was computed on and anything worth recording. With
    `state_dir` the run saves itself there every `save_every` steps, when it is interrupted and at
    its end, and goes on from what it finds there. Steps that learn from one rollout belong
    `together`: an interrupted run takes the last of them before it saves, as the rollout itself is
    not kept. A loss that is not a number stops the run: what was saved before stays.

    With `ranks`, several processes train together. Each calls `train` with the same model, config
    and folder, and a `batch_at` that gives THIS rank's rows (`ranks.part(batch_at)` takes them from
    whole batches, `shard_batches` reads no others); all take as many records, and these tell of
    the whole batch. A run may go on with another number of processes.
    """
    device = next(model.parameters()).device
    distributed = ranks.distribute(model)  # before the optimizer, which has to know the parts
    optimizer = adamw(model, config)
    done, tokens = 0, 0
    if state_dir is not None and ranks.on_first((Path(state_dir) / TRAINING_STATE).exists):
        progress = load_training_state(state_dir, model, optimizer, ranks)
        if progress["config"] != asdict(config):
            raise ValueError(
                f"{state_dir} holds a run with other settings: {progress['config']}, "
                f"not {asdict(config)}. "
                "Delete the folder to start again, or use its settings"
            )
        done, tokens = progress["step"], progress["tokens"]

    def save(step: int) -> None:
        if state_dir is not None:
            progress = {"step": step, "tokens": tokens, "config": asdict(config)}
            save_training_state(state_dir, model, optimizer, progress, ranks)

    forward = torch.compile(distributed) if compile else distributed
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16")
    started, before, saved = time.perf_counter(), tokens, done

    def advance() -> TrainRecord:
        """One optimizer step."""
        nonlocal done, tokens
        batch = batch_at(done)
        learning_rate = wsd(done, config)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        with autocast:
            loss, n_tokens, extra = ranks.pooled(*loss_of(forward, batch))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        grad_norm = whole(norm).item()
        if not math.isfinite(loss.item()) or not math.isfinite(grad_norm):
            raise FloatingPointError(
                f"the loss is {loss.item()} at step {done + 1}, its gradient {grad_norm}: "
                "the weights are as they were a step before. Try a lower learning_rate or "
                "precision='float32'"
            )
        optimizer.step()
        done, tokens = done + 1, tokens + n_tokens
        seconds = time.perf_counter() - started
        speed = (tokens - before) / seconds
        return TrainRecord(
            done, loss.item(), learning_rate, grad_norm, tokens, seconds, speed, extra
        )

    model.train()
    with ranks.interruptible() as interrupted:
        try:
            while done < config.steps:
                record = advance()
                if done - saved >= save_every and done % together == 0 and done < config.steps:
                    save(done)
                    saved = done
                yield record
                if interrupted():
                    raise KeyboardInterrupt
        except (KeyboardInterrupt, GeneratorExit):
            while done % together and done < config.steps:
                advance()
            save(done)
            raise
        save(done)
    model.eval()


def next_token_loss(model: nn.Module, batch: tuple[Tensor, ...]) -> tuple[Tensor, int, dict]:
    """The loss of pretraining and SFT: cross-entropy of the targets that count.

    A batch is inputs, targets and, where documents share rows, the segments, each (B, T).
    """
    device = next(model.parameters()).device
    inputs, targets, *segments = (part.to(device) for part in batch)
    logits = model(inputs, segments=segments[0]) if segments else model(inputs)
    return cross_entropy(logits, targets), int((targets != IGNORE).sum()), {}
