"""The one training loop: batches in, records out.

Pretraining, SFT, the reward model and RLHF all run through `train`. They differ in the batch that
they hand in for a step and in the loss that they compute on it, and in nothing else. The loop
yields records and shows nothing: a progress bar, a dashboard or a test reads them. It saves its
state so that a run continues where it stopped, to the last bit.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.config import TrainConfig, settings
from course_lib.machine.ranks import ALONE, Ranks, whole
from course_lib.text.rows import IGNORE, places_that_count
from course_lib.train.losses import cross_entropy
from course_lib.train.muon import muon
from course_lib.train.state import TRAINING_STATE, load_training_state, save_training_state

# loss_of(model, batch) -> the loss, the number of tokens it is a mean over, what else to record.
# Numbers may be tensors: a GPU goes on computing, where .item() would wait for it.
LossOf = Callable[[nn.Module, Any], tuple[Tensor, int | Tensor, dict]]


@dataclass(frozen=True)
class TrainRecord:
    """What happened in one optimizer step."""

    step: int  # steps done, this one included
    loss: float
    learning_rate: float
    grad_norm: float  # before clipping
    # Trained on since the run began. A reward model's loss is a mean over pairs of answers, so in
    # its run this counts pairs; in every other run it counts tokens, and so the name stays.
    tokens: int
    seconds: float  # since this process began to train
    tokens_per_second: float  # in this process
    extra: dict = field(default_factory=dict)  # what the loss function reports beside the loss


def wsd(step: int, config: TrainConfig) -> float:
    """The learning rate of a step: warm-up, stable, decay (Hu et al. 2024, arXiv 2404.06395).

    Linear from 0 to the plateau, then constant, then linear down to 0. Steps count from 0.
    """
    warmup = config.warmup * config.steps
    decay = config.decay * config.steps
    # The + 1 keep both ends off zero: a first or last step at a rate of 0 would teach nothing.
    rising = (step + 1) / (warmup + 1)
    falling = (config.steps - step) / (decay + 1)
    return config.learning_rate * min(1.0, rising, falling)


def adamw(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW with weight decay on matrices only (Loshchilov & Hutter, arXiv 1711.05101)."""
    # Decay pulls a weight towards 0, which is where a matrix does nothing. The vectors here are the
    # gains of the norms: they do nothing at 1, and pulling them to 0 would switch channels off.
    weights = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in weights if p.dim() >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in weights if p.dim() < 2], "weight_decay": 0.0},
    ]
    # 0.95 in place of torch's 0.999: the running mean of squares remembers some 20 steps and not
    # 1,000, which may be more than our whole run has. GPT-3 and Llama use 0.95, too.
    betas = (0.9, 0.95)
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=betas, eps=1e-8, fused=True)


@dataclass
class Run:
    """A training run as it stands: what is learned, how, and how far it has come."""

    model: nn.Module
    forward: nn.Module  # the same weights as they are called: compiled, or over several ranks
    optimizer: torch.optim.Optimizer
    config: TrainConfig
    ranks: Ranks
    folder: Path | None  # where the run is kept; None: nowhere
    done: int = 0  # optimizer steps
    tokens: int = 0
    saved: int = 0  # steps that are safe on disk
    started: float = field(default_factory=time.perf_counter)
    tokens_before: int = 0  # those of earlier processes, which say nothing about today's speed

    def load(self) -> None:
        """Continue the run that the folder holds; where it holds none, there is nothing to do."""
        if self.folder is None or not self.ranks.on_first((self.folder / TRAINING_STATE).exists):
            return
        config = settings(self.config)
        progress = load_training_state(
            self.folder, self.model, self.optimizer, self.ranks, config=config
        )
        self.done, self.tokens = progress["step"], progress["tokens"]
        self.saved, self.tokens_before = self.done, self.tokens
        self.started = time.perf_counter()  # reading the file is no training

    def save(self) -> None:
        if self.folder is not None:
            progress = {"step": self.done, "tokens": self.tokens, "config": settings(self.config)}
            save_training_state(self.folder, self.model, self.optimizer, progress, self.ranks)
            self.saved = self.done

    def step(self, batch: Any, loss_of: LossOf, learning_rate: float) -> TrainRecord:
        """One optimizer step: which way does each weight lower the loss? Then a little that way.

        Raises FloatingPointError, and leaves the weights alone, where the loss is not a number.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate * group.get("rate", 1.0)
        # bfloat16 has the range of float32, but hardly 3 digits. That will do for products, but not
        # for the weights: a step 500 times smaller than its weight would be rounded away. So they
        # stay float32, and autocast rounds copies. (float16 has not even the range.)
        kind, half = next(self.model.parameters()).device.type, self.config.precision == "bfloat16"
        with torch.autocast(kind, torch.bfloat16, enabled=half):
            loss, n_tokens, extra = self.ranks.pooled(*loss_of(self.forward, batch))
        self.optimizer.zero_grad(set_to_none=True)  # else backward adds to the last step's
        loss.backward()
        # One odd batch can have ten times the usual gradient, and the optimizer would remember it
        # for the next twenty steps. Clipping keeps the direction and cuts the length.
        norm = whole(nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip))
        # The one place where the loop waits for a GPU. It is before the optimizer and not after:
        # once a NaN is in a weight, it is in every weight a step later.
        mean, grad_norm = torch.stack((loss.detach(), norm)).tolist()
        if not math.isfinite(mean) or not math.isfinite(grad_norm):
            raise FloatingPointError(
                f"the loss is {mean} at step {self.done + 1}, its gradient {grad_norm}: "
                "the weights are as they were a step before. Try a lower learning_rate or "
                "precision='float32'"
            )
        n_tokens, extra = int(n_tokens), {name: float(value) for name, value in extra.items()}
        with torch.autocast(kind, torch.bfloat16, enabled=half):  # Muon multiplies matrices, too
            self.optimizer.step()
        self.done, self.tokens = self.done + 1, self.tokens + n_tokens
        seconds = time.perf_counter() - self.started
        speed = (self.tokens - self.tokens_before) / seconds
        return TrainRecord(
            self.done, mean, learning_rate, grad_norm, self.tokens, seconds, speed, extra
        )


def train(
    model: nn.Module,
    batch_at: Callable[[int], Any],
    loss_of: LossOf,
    config: TrainConfig,
    *,
    schedule: Callable[[int, TrainConfig], float] = wsd,
    state_dir: Path | None = None,
    save_every: int = 500,
    together: int = 1,
    compile: bool = False,
    ranks: Ranks = ALONE,
) -> Iterator[TrainRecord]:
    """Train `model` in place for `config.steps` steps; yields a record after each.

    `batch_at(step)` gives a step's batch; `loss_of(model, batch)` the loss, the number of tokens
    that it is a mean over, and anything worth recording; `schedule(step, config)` the learning
    rate. Steps count from 0.

    In pretraining, SFT and DPO `batch_at` is a pure function of the step, and so a run can stop
    after any of them. In RL it depends on the model as it is now, too: a rollout is the model's own
    answers, from which the next few steps learn. Such steps belong `together`. An interrupted run
    takes the last of them before it saves, as the rollout itself is not kept.

    With `state_dir` the run saves itself there every `save_every` steps, when it is interrupted and
    at its end, and continues what it finds there; ValueError where that is another run. A loss that
    is not a number stops the run with FloatingPointError: what was saved before stays.

    With `ranks`, several processes train together. Each calls `train` with the same model, config
    and folder, and a `batch_at` that gives THIS rank's rows: `ranks.part(batch_at)` takes them from
    whole batches, `shard_batches` reads no others. All of them get the same number of records, and
    each record tells of the whole batch. Another number of processes may continue the run.
    """
    distributed = ranks.distribute(model)  # before the optimizer, which has to know the parts
    forward = torch.compile(distributed) if compile else distributed
    folder = None if state_dir is None else Path(state_dir)
    optimizer = muon(model, config) if config.optimizer == "muon" else adamw(model, config)
    run = Run(model, forward, optimizer, config, ranks, folder)
    run.load()

    def advance() -> TrainRecord:
        return run.step(batch_at(run.done), loss_of, schedule(run.done, config))

    model.train()
    with ranks.interruptible() as interrupted:
        try:
            while run.done < config.steps:
                record = advance()
                due = run.done - run.saved >= save_every and run.done < config.steps
                if due and run.done % together == 0:
                    run.save()
                yield record
                if interrupted():
                    raise KeyboardInterrupt
        # Ctrl-C is a KeyboardInterrupt. A reader who leaves its `for` loop, or presses Stop, closes
        # this generator: Python then raises GeneratorExit at the `yield`. Both want to come back.
        except (KeyboardInterrupt, GeneratorExit):
            while run.done % together and run.done < config.steps:
                advance()
            run.save()
            raise
        run.save()
    model.eval()


def next_token_loss(model: nn.Module, batch: tuple[Tensor, ...]) -> tuple[Tensor, int, dict]:
    """The loss of pretraining and SFT: cross-entropy of the targets that count, in nats per token.

    A batch is inputs, targets and, where documents share rows, the segments, each (B, T).
    """
    device = next(model.parameters()).device
    inputs, targets, segments = batch if len(batch) == 3 else (*batch, None)
    options = {} if segments is None else {"segments": segments.to(device)}
    n_tokens = int((targets != IGNORE).sum())
    if n_tokens < targets.numel():
        # In SFT half of the targets or fewer count. The output layer is the widest of all, so the
        # others don't go through it.
        places = places_that_count(targets)  # (N,)
        options["only"], targets = places.to(device), targets.flatten()[places]
    return cross_entropy(model(inputs.to(device), **options), targets), n_tokens, {}
