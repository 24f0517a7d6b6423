"""A training run on disk: weights, optimizer and progress in one file, so that it can continue.

Weights alone won't do. AdamW keeps two running means for each of them (of the gradient and of its
square), and a run that has lost these takes other steps. `training_state.safetensors` holds every
tensor by name and the rest as JSON; nothing is pickled.

Left out: torch's own `torch.distributed.checkpoint.state_dict`. Asked for a state before the first
step, it takes one, and a run that was saved is no longer the run that wasn't; it fills a model and
then finds that the optimizer doesn't fit; and it takes two seconds to import.
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
    """Writes all that a run needs to continue as if it had never stopped, in one file.

    `progress` is the caller's (step, tokens, seeds ...) and must survive JSON. With `ranks` every
    rank calls it: the first writes, and all go on when the file is there.
    """
    try:
        progress_json = json.dumps(progress)
    except TypeError as error:
        raise ValueError(f"progress must survive JSON (numbers, text, lists): {error}") from error
    state = optimizer.state_dict()
    metadata = {
        "format": TRAINING_FORMAT,
        "optimizer": type(optimizer).__name__,
        # Here and not among the tensors: these are settings (rates, decays) and lists of numbers.
        "param_groups": json.dumps(state["param_groups"]),
        "progress": progress_json,
    }
    tensors = {f"model.{name}": tensor for name, tensor in own_tensors(model).items()}
    for index, values in state["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in values.items()}
    # The file is that of one process, however many there are: 2 may continue what 1 began.
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
    config: dict | None = None,
) -> dict:
    """Fills model and optimizer from `save_training_state`'s file; its `progress` is returned.

    Nothing is changed unless everything fits: names, shapes, the kind of optimizer and, where it is
    given, the `config` of the run. What doesn't raises ValueError, which says what to do. With
    `ranks` every rank calls it and reads the file.
    """
    path = Path(directory) / TRAINING_STATE
    own = own_tensors(model)

    def read() -> tuple:
        try:
            return _read_training_state(path, own, optimizer, config)
        except ValueError as error:
            raise ValueError(f"{error}. To begin this run anew, delete {path}") from error

    # Up to here nothing has been touched, and a file that doesn't fit has said so on every rank.
    weights, state, groups, progress = ranks.together(read)
    copy_into(own, {name: split_as(own[name], weight) for name, weight in weights.items()})
    for parameter, values in zip(_parameters(optimizer), state, strict=True):
        for name, value in values.items():
            # Cloned, as the optimizer would go on to write into a window of the file.
            values[name] = split_as(parameter, value).clone()
    optimizer.load_state_dict({"state": dict(enumerate(state)), "param_groups": groups})
    return progress


def _parameters(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    """All of an optimizer's parameters, in the order by which its state numbers them."""
    return [p for group in optimizer.param_groups for p in group["params"]]


def _read_training_state(
    path: Path, own: dict[str, Tensor], optimizer: torch.optim.Optimizer, config: dict | None
) -> tuple:
    """Weights by name, what the optimizer keeps of each parameter, its groups and the progress;
    ValueError where any of it doesn't fit."""
    tensors, metadata = read_safetensors(path)
    if metadata.get("format") != TRAINING_FORMAT:
        raise ValueError(
            f"{path} must be a {TRAINING_FORMAT!r}, its format is {metadata.get('format')!r}"
        )
    if metadata["optimizer"] != type(optimizer).__name__:
        raise ValueError(
            f"{path} holds the state of {metadata['optimizer']}, not of {type(optimizer).__name__}"
        )
    # An optimizer knows its parameters by number only. Loaded into other groups, or in another
    # order, each running mean would steer somebody else's weight, and training would look nearly
    # right. So the numbers have to agree, and below the shapes.
    groups = json.loads(metadata["param_groups"])
    own_groups = optimizer.state_dict()["param_groups"]
    if [group["params"] for group in groups] != [group["params"] for group in own_groups]:
        raise ValueError(
            f"the optimizer groups {[len(group['params']) for group in own_groups]} parameters, "
            f"{path} {[len(group['params']) for group in groups]}: build it as in the saved run"
        )
    for group, mine in zip(groups, own_groups, strict=True):  # JSON made lists of its tuples
        group.update({k: tuple(group[k]) for k, v in mine.items() if isinstance(v, tuple)})

    parameters = _parameters(optimizer)
    state: list[dict[str, Tensor]] = [{} for _ in parameters]
    weights = {}
    for name, value in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "model":
            weights[rest] = value
            continue
        index, _, key = rest.partition(".")
        if value.dim() and value.shape != parameters[int(index)].shape:
            raise ValueError(
                f"{path}: {name} must be {tuple(parameters[int(index)].shape)}, "
                f"got {tuple(value.shape)}: the optimizer's parameters came in another order"
            )
        state[int(index)][key] = value
    check_fit(own, weights, path)
    progress = json.loads(metadata["progress"])
    found = progress.get("config")
    if config is not None and found != config:
        raise ValueError(f"{path} holds a run with other settings: {found}, not {config}")
    return weights, state, groups, progress
