"""Finished stages: their manifests, their models, and the models that come with the course.

Most notebooks begin with `load_released("base")`. Begin there: it is the last function.
"""

import shutil
from pathlib import Path

import torch

from course_lib.align.reward import RewardModel
from course_lib.files.gguf import write_gguf
from course_lib.files.pretrained import load_pretrained, save_pretrained
from course_lib.files.run_file import RELEASED
from course_lib.machine.disk import file_hash, read_json, write_json
from course_lib.model.transformer import Transformer
from course_lib.text.tokenizer import Tokenizer

MANIFEST = "manifest.json"


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


def publish(root: str | Path, target: str | Path) -> None:
    """Copy the finished stages of `root` to `target` in 16 bits: that is a release.

    Its GGUF files are written from the rounded weights, so that all its files hold the same model.
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
    export["metrics"] |= write_gguf_files(target, target)
    write_json(target / MANIFEST, export, indent=1)


def write_gguf_files(root: Path, directory: Path) -> dict[str, str]:
    """Write the parameters file, and the base model as another one to compare; their hashes."""
    hashes = {}
    for name, stage in (("model.gguf", "rlhf"), ("base.gguf", "base")):
        path = directory / name
        write_gguf(path, *load_language_model(root, stage), name=f"Inside an LLM, {stage}")
        hashes[name] = file_hash(path)
    return hashes


def load_released(stage: str) -> tuple[Transformer, Tokenizer]:
    """Model and tokenizer of a stage that comes with the course: base, sft or rlhf."""
    return load_language_model(RELEASED, stage)
