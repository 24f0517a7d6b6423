"""The one training loop: batches in, records out.

Pretraining, SFT, the reward model and RLHF all run through `train`; they differ in the batch that
they hand in for a step and in the loss that they compute on it. The loop yields records and shows
nothing: a progress bar, a dashboard or a test reads them. It saves its state so that a run
continues where it stopped, to the last bit.
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

# loss_of(model, batch) -> loss, the number of tokens that it is a mean over, what else to record.
LossOf = Callable[[nn.Module, Any], tuple[Tensor, int, dict]]


@dataclass(frozen=True)
class TrainRecord:
    """What happened in one optimizer step."""

    step: int  # steps done, this one included
    loss: float
    learning_rate: float
    grad_norm: float  # before clipping
    tokens: int  # trained on since the run began; a reward model's loss counts pairs of answers
    seconds: float  # since this process began to train
    tokens_per_second: float  # in this process
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


@dataclass
class Run:
    """A training run as it stands: what is learned, how, and how far it has come."""

    model: nn.Module
    forward: nn.Module  # the same weights as they are called: compiled, or over several ranks
    optimizer: torch.optim.Optimizer
    config: TrainConfig
    ranks: Ranks
    done: int = 0  # optimizer steps
    tokens: int = 0
    saved: int = 0  # steps that are safe on disk
    started: float = field(default_factory=time.perf_counter)
    tokens_before: int = 0  # those of earlier processes, which say nothing about today's speed

    def save(self, directory: Path | None) -> None:
        if directory is not None:
            progress = {"step": self.done, "tokens": self.tokens, "config": asdict(self.config)}
            save_training_state(directory, self.model, self.optimizer, progress, self.ranks)
            self.saved = self.done

    def load(self, directory: Path | None) -> None:
        """Continue the run that the folder holds; where it holds none, there is nothing to do."""
        file = Path(directory or "") / TRAINING_STATE
        if directory is None or not self.ranks.on_first(file.exists):
            return
        config = asdict(self.config)
        progress = load_training_state(directory, self.model, self.optimizer, self.ranks, config)
        self.done, self.tokens = progress["step"], progress["tokens"]
        self.saved, self.tokens_before = self.done, self.tokens
        self.started = time.perf_counter()

    def step(self, batch: Any, loss_of: LossOf, learning_rate: float) -> TrainRecord:
        """One optimizer step: forward, backward, and every weight moves a little downhill."""
        device, half = next(self.model.parameters()).device, self.config.precision == "bfloat16"
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            loss, n_tokens, extra = self.ranks.pooled(*loss_of(self.forward, batch))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        grad_norm = whole(norm).item()
        if not math.isfinite(loss.item()) or not math.isfinite(grad_norm):
            raise FloatingPointError(
                f"the loss is {loss.item()} at step {self.done + 1}, its gradient {grad_norm}: "
                "the weights are as they were a step before. Try a lower learning_rate or "
                "precision='float32'"
            )
        self.optimizer.step()
        self.done, self.tokens = self.done + 1, self.tokens + n_tokens
        seconds = time.perf_counter() - self.started
        speed = (self.tokens - self.tokens_before) / seconds
        return TrainRecord(
            self.done, loss.item(), learning_rate, grad_norm, self.tokens, seconds, speed, extra
        )


def train(
    model: nn.Module,
    batch_at: Callable[[int], Any],
    loss_of: LossOf,
    config: TrainConfig,
    *,
    state_dir: Path | None = None,
    save_every: int = 500,
    together: int = 1,
    compile: bool = False,
    ranks: Ranks = ALONE,
) -> Iterator[TrainRecord]:
    """Train `model` in place for `config.steps` steps; yields a record after each.

    `batch_at(step)` gives a step's batch; `loss_of(model, batch)` the loss, the number of tokens
    that it is a mean over, and anything worth recording. In pretraining, SFT and DPO `batch_at` is
    a pure function of the step, and so a run can stop after any of them. In RL it depends on the
    model as it is now, too: a rollout is the model's own answers, from which the next few steps
    learn. Such steps belong `together`: an interrupted run takes the last of them before it saves,
    as the rollout itself is not kept.

    With `state_dir` the run saves itself there every `save_every` steps, when it is interrupted and
    at its end, and continues what it finds there, to the last bit. A loss that is not a number
    stops the run with FloatingPointError: what was saved before stays.

    With `ranks`, several processes train together. Each calls `train` with the same model, config
    and folder, and a `batch_at` that gives THIS rank's rows: `ranks.part(batch_at)` takes them from
    whole batches, `shard_batches` reads no others. All of them get the same number of records, and
    each record tells of the whole batch. Another number of processes may continue the run.
    """
    distributed = ranks.distribute(model)  # before the optimizer, which has to know the parts
    forward = torch.compile(distributed) if compile else distributed
    run = Run(model, forward, adamw(model, config), config, ranks)
    run.load(state_dir)

    def advance() -> TrainRecord:
        return run.step(batch_at(run.done), loss_of, wsd(run.done, config))

    model.train()
    with ranks.interruptible() as interrupted:
        try:
            while run.done < config.steps:
                record = advance()
                due = run.done - run.saved >= save_every and run.done < config.steps
                if due and run.done % together == 0:
                    run.save(state_dir)
                yield record
                if interrupted():
                    raise KeyboardInterrupt
        except (KeyboardInterrupt, GeneratorExit):
            while run.done % together and run.done < config.steps:
                advance()
            run.save(state_dir)
            raise
        run.save(state_dir)
    model.eval()


def next_token_loss(model: nn.Module, batch: tuple[Tensor, ...]) -> tuple[Tensor, int, dict]:
    """The loss of pretraining and SFT: cross-entropy of the targets that count.

    A batch is inputs, targets and, where documents share rows, the segments, each (B, T).
    """
    device = next(model.parameters()).device
    inputs, targets, *segments = (part.to(device) for part in batch)
    logits = model(inputs, segments=segments[0]) if segments else model(inputs)
    return cross_entropy(logits, targets), int((targets != IGNORE).sum()), {}
