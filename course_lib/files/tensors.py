"""Named tensors on disk: safetensors files, and whether they fit a model.

Nothing is pickled, so that a file from elsewhere can hold numbers and nothing else.
"""

from pathlib import Path

import safetensors
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from course_lib.machine.ranks import split_as


def write_safetensors(
    path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Writes the tensors as a file; raises OSError where there is no room, or no permission."""
    try:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata)
    except safetensors.SafetensorError as error:  # how the library reports what the disk said
        raise OSError(
            f"{path} can't be written ({error}). If the disk is full, make room and run this "
            "again: what was saved before is still there"
        ) from error


def own_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and persistent buffers by name, a shared (tied) one under its first name only."""
    first = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        first.setdefault(id(tensor), (name, tensor.detach()))
    return dict(first.values())


def check_fit(own: dict[str, Tensor], found: dict[str, Tensor], path: Path) -> None:
    """Raises ValueError unless names and shapes agree."""
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


@torch.no_grad()
def copy_into(own: dict[str, Tensor], found: dict[str, Tensor]) -> None:
    for name, tensor in own.items():
        tensor.copy_(split_as(tensor, found[name]))


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            names = file.keys()  # the file itself is no iterable
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is damaged or no safetensors file: {error}") from error
