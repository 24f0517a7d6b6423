"""What the sweeps share: the shape of their small models, and two ways to train them."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from copy import deepcopy
from dataclasses import replace
from itertools import islice
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory

import numpy as np

from course_lib.config import ModelConfig, TrainConfig
from course_lib.model.transformer import Transformer
from course_lib.text.rows import text_batches
from course_lib.text.tokenizer import Tokenizer
from course_lib.train.loop import next_token_loss, train, wsd

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
    rising = replace(config, decay=0.0)

    def constant(step: int, _: TrainConfig) -> float:
        return wsd(step, rising)

    def grow(model: Transformer, folder: Path, n: int, schedule=constant) -> None:
        """The next `n` steps of the run that lies in the folder."""
        records = train(
            model, batch_at, next_token_loss, config, state_dir=folder, schedule=schedule
        )
        with closing(records):  # which saves the run
            for _ in islice(records, n):
                pass

    trunk, done = Transformer(shape, config.seed), 0
    with TemporaryDirectory() as root:
        stem = Path(root) / "trunk"
        for steps in sorted(step_counts):
            falling = round(config.decay * steps)
            grow(trunk, stem, steps - falling - done)
            done = steps - falling

            def cooling(step: int, config: TrainConfig, steps=steps, falling=falling) -> float:
                share = (steps - step) / (falling + 1)
                return min(constant(step, config), config.learning_rate * share)

            branch, twig = deepcopy(trunk), Path(root) / f"{steps}"
            if stem.exists():
                copytree(stem, twig, dirs_exist_ok=True)
            grow(branch, twig, falling, cooling)
            yield steps, branch.eval()
