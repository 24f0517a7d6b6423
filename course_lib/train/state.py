"""A training run on disk: weights, optimizer and progress in one file, so that it can go on.

`training_state.safetensors` holds every tensor by name; nothing is pickled.
"""

import json
from pathlib import Path

import torch
from torch import Tensor, nn

from course_lib.files.tensors import (
    check_fit,
    copy_into,
    own_tensors,
    read_safetensors,
    write_safetensors,
)
from course_lib.machine.disk import whole_folder
from course_lib.machine.ranks import ALONE, Ranks, split_as

TRAINING_STATE = "training_state.safetensors"

TRAINING_FORMAT = "course_lib training state 1"


def save_training_state(
    directory: str | Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: dict,
    ranks: Ranks = ALONE,
) -> None:
    """Writes all that a run needs to go on as if it had never stopped, in one file.

    `progress` is the caller's (step, tokens, seeds ...) and must survive JSON. With `ranks` every
    rank calls it: the first writes, and all go on when the file is there.
    """
    try:
        progress_json = json.dumps(progress)
    except TypeError as error:
        raise ValueError(f"progress must survive JSON (numbers, text, lists): {error}") from error
    state = optimizer.state_dict()
    tensors = {f"model.{name}": tensor for name, tensor in own_tensors(model).items()}
    for index, values in state["state"].items():
        for name, value in values.items():
            tensors[f"optimizer.{index}.{name}"] = value
    metadata = {
        "format": TRAINING_FORMAT,
        "optimizer": type(optimizer).__name__,
        "param_groups": json.dumps(state["param_groups"]),
        "progress": progress_json,
    }
    tensors = ranks.gathered(tensors)

    def write() -> None:
        with whole_folder(Path(directory), last=TRAINING_STATE) as staging:
            write_safetensors(staging / TRAINING_STATE, tensors, metadata)

    ranks.on_first(write)


def load_training_state(
    directory: str | Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    ranks: Ranks = ALONE,
) -> dict:
    """Fills model and optimizer from `save_training_state`'s file; its `progress` is returned.

    Nothing is changed unless everything fits. With `ranks` every rank calls it and reads the file.
    """
    path = Path(directory) / TRAINING_STATE
    own = {f"model.{name}": tensor for name, tensor in own_tensors(model).items()}
    read = []
    ranks.together(lambda: read.append(_read_training_state(path, own, optimizer)))
    [(tensors, state, groups, progress)] = read
    copy_into(own, tensors)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for index, values in state.items():
        for key, value in values.items():
            # Cloned, as the optimizer would go on to write into a map of the file.
            values[key] = (split_as(parameters[index], value) if value.dim() else value).clone()
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    return progress


def _read_training_state(path: Path, own: dict[str, Tensor], optimizer) -> tuple:
    """The file's weights, optimizer state, parameter groups and progress, if they fit."""
    tensors, metadata = read_safetensors(path)
    if metadata.get("format") != TRAINING_FORMAT:
        raise ValueError(
            f"{path} must be a {TRAINING_FORMAT!r}, its format is {metadata.get('format')!r}"
        )
    if metadata["optimizer"] != type(optimizer).__name__:
        raise ValueError(
            f"{path} holds the state of {metadata['optimizer']}, not of {type(optimizer).__name__}"
        )
    groups = json.loads(metadata["param_groups"])
    own_groups = optimizer.state_dict()["param_groups"]
    if [group["params"] for group in groups] != [group["params"] for group in own_groups]:
        raise ValueError(
            f"the optimizer groups {[len(group['params']) for group in own_groups]} parameters, "
            f"{path} {[len(group['params']) for group in groups]}: build it as in the saved run"
        )
    for group, mine in zip(groups, own_groups, strict=True):  # JSON has no tuples
        group.update({k: tuple(group[k]) for k, v in mine.items() if isinstance(v, tuple)})

    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state = {}
    for name in [name for name in tensors if name.startswith("optimizer.")]:
        _, index, key = name.split(".", 2)
        value = tensors.pop(name)
        if value.dim() and value.shape != parameters[int(index)].shape:
            raise ValueError(
                f"{path}: {name} must be {tuple(parameters[int(index)].shape)}, "
                f"got {tuple(value.shape)}: the optimizer's parameters came in another order"
            )
        state.setdefault(int(index), {})[key] = value
    check_fit(own, tensors, path)
    return tensors, state, groups, json.loads(metadata["progress"])
