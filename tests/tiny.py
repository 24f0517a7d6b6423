"""What many tests share: tokenizers, sharp models, a recipe whose stages take seconds."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from course_lib.config import GRPOConfig, ModelConfig, TrainConfig
from course_lib.model.transformer import Transformer
from course_lib.pipeline.recipe import (
    BaseStage,
    Recipe,
    RewardStage,
    RLHFStage,
    SFTStage,
    TokenizerStage,
)
from course_lib.pipeline.stages import Progress, run_stage
from course_lib.text.foreign import ForeignTokenizer
from course_lib.text.tokenizer import SPECIALS, Tokenizer

PLAN = Recipe(
    model=ModelConfig(
        vocab_size=512, context_length=160, dim=32, n_layers=2, n_heads=2, n_kv_heads=1, ffn_dim=64
    ),
    tokenizer=TokenizerStage(documents=600),
    base=BaseStage(TrainConfig(steps=40, batch_rows=8)),
    sft=SFTStage(TrainConfig(steps=20, batch_rows=8), dialogues=200),
    reward=RewardStage(TrainConfig(steps=3, batch_rows=8, learning_rate=1e-3), prompts=40),
    rlhf=RLHFStage(
        TrainConfig(steps=3, learning_rate=1e-4),
        GRPOConfig(prompts=3, answers=3, max_new_tokens=8),
    ),
)

YES_OR_NO = Tokenizer.train("What is it? It is yes. It is no. I am not sure. yes no " * 50, 280)
CAT_AND_HAT = Tokenizer.train("the cat sat on the mat, the cat sat on a hat " * 20, 272)


def run_all(root: str | Path, plan: Recipe) -> Iterator[Progress]:
    """Every stage of the recipe that isn't finished yet, in order."""
    for stage in plan.stages:
        yield from run_stage(stage, root, plan)


def sharpened(config: ModelConfig, seed: int = 1, by: float = 10.0) -> Transformer:
    """A new model that a wrong rotation, mask or norm would change visibly."""
    return sharpen(Transformer(config, seed), by)


@torch.no_grad()
def sharpen(model: nn.Module, by: float = 10.0) -> nn.Module:
    """The same model with larger weights, and with norms that differ from channel to channel.

    With the initial weights attention is nearly uniform: mistakes hide below any tolerance.
    """
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        if parameter.dim() == 2:
            parameter.mul_(by)
        else:
            parameter.uniform_(0.5, 1.5, generator=generator)
    return model


def controls_first(
    model: Transformer, tokenizer: Tokenizer, config: dict | None = None
) -> tuple[Transformer, ForeignTokenizer]:
    """The same model and tokenizer with the three control tokens before all others.

    So do most tokenizers of others. Every id is three higher, and each row of the table moves
    along: whatever is read or said must stay the same.
    """
    as_json, n = tokenizer.to_dict(), len(SPECIALS)
    as_json["model"]["vocab"] = {t: id + n for t, id in as_json["model"]["vocab"].items()}
    for id, token in enumerate(as_json["added_tokens"]):
        token["id"] = as_json["model"]["vocab"][token["content"]] = id
    twin = copy.deepcopy(model)
    with torch.no_grad():
        rows = twin.embed_tokens.weight[: tokenizer.vocab_size]  # tied: the output's, too
        rows.copy_(rows.roll(n, dims=0))
    return twin, ForeignTokenizer(json.dumps(as_json), config or {"eos_token": "<|im_end|>"})
