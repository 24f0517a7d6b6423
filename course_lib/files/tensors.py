"""Named tensors on disk: safetensors files, and whether they fit a model.

A safetensors file is a table of names, types and shapes as JSON, and then the bare numbers. Nothing
is pickled: a pickle may hold code that runs when it is opened, these files hold numbers only.
https://huggingface.co/docs/safetensors
"""

import json
from pathlib import Path

import safetensors
import torch
from safetensors.torch import save_file
from torch import Tensor, nn


def write_safetensors(
    path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Writes the tensors as a file; raises OSError where there is no room, or no permission."""
    try:
        # The library takes no strided views. Ours are few (a transposed table): copying is cheap.
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata)
    except safetensors.SafetensorError as error:  # how the library reports what the disk said
        raise OSError(
            f"{path} can't be written ({error}). If the disk is full, make room and run this "
            "again: what was saved before is still there"
        ) from error
    _sort_metadata(path)


def _sort_metadata(path: Path) -> None:
    """The same weights give the same bytes: the library writes metadata in a random order."""
    with open(path, "r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        head = json.loads(file.read(size))
        head["__metadata__"] = dict(sorted(head.get("__metadata__", {}).items()))
        text = json.dumps(head, separators=(",", ":"), ensure_ascii=False).encode()
        # Only in the room that the library took, spaces at the end included: numbers come next.
        if len(text) <= size and head["__metadata__"]:
            file.seek(8)
            file.write(text.ljust(size))


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """A file's tensors, on the CPU, and its metadata; ValueError where the file is damaged.

    The tensors are windows into the file, read when somebody looks: clone what is to be changed.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            names = file.keys()  # the file itself is no iterable
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is damaged or no safetensors file: {error}") from error


def own_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and persistent buffers by name, a shared (tied) one under its first name only."""
    # The token table of a tied model is its output head too. Saved twice it would cost twice the
    # room, and whoever changed one copy in the file would have a model that isn't tied any more.
    first = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        first.setdefault(id(tensor), (name, tensor.detach()))
    return dict(first.values())


def check_fit(own: dict[str, Tensor], found: dict[str, Tensor], path: Path) -> None:
    """Raises ValueError unless names and shapes agree and all numbers are finite."""
    missing, extra = sorted(own.keys() - found.keys()), sorted(found.keys() - own.keys())
    if missing or extra:
        raise ValueError(
            f"{path} belongs to another architecture: it lacks {missing[:3]} and has "
            f"{extra[:3]} too many ({len(missing)} and {len(extra)} in all)"
        )
    for name, tensor in own.items():
        if found[name].shape != tensor.shape:
            raise ValueError(
                f"{path}: {name} must be {tuple(tensor.shape)}, got {tuple(found[name].shape)}"
            )
        # The least and the greatest number: a NaN among them is both.
        if not all(end.isfinite() for end in found[name].float().aminmax()):
            raise ValueError(
                f"{path}: not all numbers of {name} are finite: the file is damaged, or the "
                "training that wrote it diverged"
            )


@torch.no_grad()
def copy_into(own: dict[str, Tensor], found: dict[str, Tensor]) -> None:
    """Overwrites each tensor with the one of its name, whatever device or dtype that has."""
    for name, tensor in own.items():
        tensor.copy_(found[name])
