"""Finished stages: their manifests, their models, and the models that come with the course.

Most notebooks begin with `load_released("base")`. Begin there: it is the last function.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path

import torch

from course_lib.align.reward import RewardModel
from course_lib.files.gguf import BLOCK, write_gguf
from course_lib.files.pretrained import load_pretrained, save_pretrained
from course_lib.files.run_file import RELEASED
from course_lib.machine.disk import file_hash, read_json, write_json
from course_lib.model.transformer import Transformer
from course_lib.text.tokenizer import Tokenizer

MANIFEST = "manifest.json"
CHECKPOINTS = "checkpoints"  # folder of a base model on its way, beside it


def read_manifest(directory: str | Path) -> dict | None:
    """The manifest of a finished stage; None if it isn't finished, or isn't there."""
    path = Path(directory) / MANIFEST
    return read_json(path) if path.is_file() else None


def load_language_model(root: str | Path, stage: str) -> tuple[Transformer, Tokenizer]:
    """Model and tokenizer of a finished stage: base, sft or rlhf."""
    if stage not in ("base", "sft", "rlhf"):
        raise ValueError(f"a stage with a language model is base, sft or rlhf, got {stage!r}")
    directory = Path(root) / stage
    if read_manifest(directory) is None:
        raise ValueError(
            f"{directory} holds no finished stage: run `python -m course_lib train` first"
        )
    model, tokenizer = load_pretrained(directory)
    return model.eval(), tokenizer


def keep_checkpoint(base: Path, step: int, model: Transformer, tokenizer: Tokenizer) -> None:
    """Write the model as it is after `step` as a small GGUF file into the folder of `base`."""
    folder = base / CHECKPOINTS
    folder.mkdir(exist_ok=True)
    rows = (model.config.dim, model.config.ffn_dim)
    kind = "F16" if any(row % BLOCK for row in rows) else "Q8_0"
    write_gguf(folder / f"step-{step:05}.gguf", model, tokenizer, kind, name=f"base, step {step}")


def publish(root: str | Path, target: str | Path) -> None:
    """Copy the finished stages of `root` to `target` in 16 bits: that is a release.

    Its GGUF files are written from the rounded weights, so that all its files hold the same model.
    The base model on its way comes along, in 8 bits.
    """
    root, target = Path(root), Path(target)
    export = read_manifest(root / "export")
    if export is None:
        raise ValueError(f"{root} holds no finished run: train all stages first")
    for stage in ("base", "sft", "rlhf"):
        save_pretrained(target / stage, *load_language_model(root, stage), torch.float16)
    RewardModel.load(root / "reward").save(target / "reward", torch.float16)
    for stage in ("base", "sft", "reward", "rlhf"):
        shutil.copy(root / stage / MANIFEST, target / stage / MANIFEST)
    export["metrics"] |= write_gguf_files(target, target, ("F32", "F16"))
    shutil.copytree(root / "base" / CHECKPOINTS, target / CHECKPOINTS, dirs_exist_ok=True)
    write_json(target / MANIFEST, export, indent=1)


def write_gguf_files(
    root: Path, directory: Path, file_types: Iterable[str] = ("F32",)
) -> dict[str, str]:
    """Write the parameters file, and the earlier stages as others to compare; their hashes.

    model.gguf, sft.gguf and base.gguf hold F32; other types have their name: model-f16.gguf.
    """
    hashes = {}
    for start, stage in (("model", "rlhf"), ("sft", "sft"), ("base", "base")):
        language_model = load_language_model(root, stage)
        for kind in file_types:
            path = directory / (
                f"{start}.gguf" if kind == "F32" else f"{start}-{kind.lower()}.gguf"
            )
            write_gguf(path, *language_model, kind, name=f"Inside an LLM, {stage}")
            hashes[path.name] = file_hash(path)
    return hashes


def load_released(stage: str) -> tuple[Transformer, Tokenizer]:
    """Model and tokenizer of a stage that comes with the course: base, sft or rlhf."""
    return load_language_model(RELEASED, stage)
