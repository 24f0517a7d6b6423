"""What the sweeps share: the shape of their small models, and two ways to train them."""

from collections.abc import Iterable, Iterator
from copy import deepcopy

import numpy as np
import torch

from course_lib.config import ModelConfig, TrainConfig
from course_lib.model.transformer import Transformer
from course_lib.text.rows import text_batches
from course_lib.text.tokenizer import Tokenizer
from course_lib.train.loop import adamw, next_token_loss, train

BATCH_ROWS = 2  # small batches buy steps: see the scaling sweep in RESULTS.md


def shape(dim: int, n_layers: int, **changes) -> ModelConfig:
    """The course's architecture in another size, with heads of at most 32 channels."""
    n_heads = max(2, dim // 32)
    options = dict(n_heads=n_heads, n_kv_heads=n_heads // 2 if n_heads % 2 == 0 else 1)
    options |= dict(dim=dim, n_layers=n_layers, ffn_dim=max(32, round(dim * 8 / 96) * 32))
    return ModelConfig(**(options | changes))


def trained(
    shape: ModelConfig, rows: np.ndarray, tokenizer: Tokenizer, config: TrainConfig
) -> Transformer:
    """A new model, trained on `rows` for `config.steps` steps."""
    return more_trained(Transformer(shape, config.seed), rows, tokenizer, config)


def more_trained(
    model: Transformer, rows: np.ndarray, tokenizer: Tokenizer, config: TrainConfig
) -> Transformer:
    """The same model, trained in place."""
    batch_at = text_batches(rows, config.batch_rows, tokenizer.eot_id, config.seed)
    for _ in train(model, batch_at, next_token_loss, config):
        pass
    return model


def cooled(
    shape: ModelConfig,
    rows: np.ndarray,
    tokenizer: Tokenizer,
    config: TrainConfig,
    step_counts: Iterable[int],
) -> Iterator[tuple[int, Transformer]]:
    """For each step count: (steps, a model trained for that many), at the price of the longest.

    One trunk runs at a constant rate. For each count a branch leaves it early enough to bring the
    rate to zero on the next batches, in the last `config.decay` of its steps (WSD, Hu et al. 2024,
    arXiv 2404.06395). `config.steps` belongs to the longest run; `config.warmup` is a share of it.
    """
    batch_at = text_batches(rows, config.batch_rows, tokenizer.eot_id, config.seed)
    model = Transformer(shape, config.seed)
    optimizer, done = adamw(model, config), 0
    warm = config.warmup * config.steps

    def advance(model, optimizer, step: int, share: float) -> None:
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * min((step + 1) / (warm + 1), share)
        with torch.autocast("cpu", torch.bfloat16, enabled=config.precision == "bfloat16"):
            loss = next_token_loss(model, batch_at(step))[0]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        optimizer.step()

    for steps in sorted(step_counts):
        falling = round(config.decay * steps)
        for step in range(done, steps - falling):
            advance(model, optimizer, step, 1.0)
        done = steps - falling
        branch = deepcopy(model)
        its_optimizer = adamw(branch, config)
        its_optimizer.load_state_dict(deepcopy(optimizer.state_dict()))
        for step in range(done, steps):
            advance(branch, its_optimizer, step, (steps - step) / (falling + 1))
        yield steps, branch.eval()
