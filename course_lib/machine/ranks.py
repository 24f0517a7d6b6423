"""Several processes train one model: each reads its rows of the batch, all take the same step.

`torchrun --nproc-per-node 2 -m ...` starts the processes ("ranks") and tells each its number. Every
rank runs the same program: `with process_group(device) as ranks:`, then the one loop with
`train(..., ranks=ranks)`. Two strategies, which take the steps that one process takes:

    ddp   every rank keeps the whole model, gradients are averaged (Li et al. 2020, 2006.15704)
    fsdp  weights, gradients and optimizer are split over the ranks, and a layer is whole only while
          it computes (FSDP2; Zhao et al. 2023, arXiv 2304.11277)

Files are those of one process: rank 0 writes them, every rank reads them, so the ranks need a
folder that all of them see.

The one thing to fear is a rank that waits for ever. Whatever all ranks do together (a gradient, a
file, an error, the end) they have to begin together, or those who began wait for one who never
comes. Hence `together`, `on_first` and `interruptible`. Left out: tensor and pipeline parallelism,
ranks that join or leave.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

STRATEGIES = ("ddp", "fsdp")
STEP_LIMIT = timedelta(minutes=10)  # no rank waits longer for another's part of a step
WAIT_LIMIT = timedelta(days=2)  # nor for another's work on files, which may be a long one


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together; alone, all of this does nothing."""

    rank: int = 0  # its number, from 0
    size: int = 1  # how many there are
    on_machine: int = 1  # how many of them share this machine's cores
    device: torch.device | str = "cpu"
    strategy: str = "ddp"
    waiting: Any = None  # the process group that may wait long

    @property
    def first(self) -> bool:
        """Whether this is rank 0, which alone writes files and prints."""
        return self.rank == 0

    def part(self, batch_at: Callable[[int], Any]) -> Callable[[int], Any]:
        """step -> this rank's rows of the whole batch that `batch_at(step)` gives.

        A batch is rows (a tensor, array or list) or a tuple of such; the ranks' parts, one under
        the other, are the whole.
        """

        def rows_of(whole):
            n = len(whole)
            if n < self.size:
                raise ValueError(f"{n} rows can't be parted among {self.size} ranks: use more rows")
            # Rounded down at both ends: no row is lost or read twice where n is no multiple.
            return whole[n * self.rank // self.size : n * (self.rank + 1) // self.size]

        def part_at(step: int):
            batch = batch_at(step)
            return tuple(map(rows_of, batch)) if isinstance(batch, tuple) else rows_of(batch)

        return batch_at if self.size == 1 else part_at

    def distribute(self, model: nn.Module) -> nn.Module:
        """What to call in place of `model`, which itself stays the one to optimize and to save.

        All ranks start from the weights of rank 0. With "fsdp" the model is split in place.
        """
        if self.size == 1:
            return model
        if self.strategy == "ddp":
            # The wrapper averages gradients while backward still runs, the last layers' first.
            return nn.parallel.DistributedDataParallel(model)
        from torch.distributed.fsdp import FSDPModule, fully_shard  # takes a moment to import

        if not isinstance(model, FSDPModule):
            # DDP sends rank 0's weights to the others by itself; FSDP takes what each rank has.
            for weight in model.parameters():
                dist.broadcast(weight.detach(), src=0)
            # Each layer is a unit of its own: it is put together to compute and thrown away after,
            # so that a rank holds its share of the model and a whole layer or two, not all of them.
            stacks = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
            for layer in [layer for stack in stacks for layer in stack]:
                fully_shard(layer)
            fully_shard(model)  # what is in no layer; a tied table is one parameter here, too
        return model

    def pooled(self, loss: Tensor, n_tokens: int, extra: dict) -> tuple[Tensor, int, dict]:
        """`loss_of`'s result for the whole batch: means over the tokens of all ranks.

        The ranks' gradients will be averaged as if each rank had the same number of tokens. It
        hasn't (SFT counts the answers' tokens only), so each loss is first weighted by its tokens.
        """
        if self.size == 1:
            return loss, n_tokens, extra
        # One message in place of one per number: a small message costs as much as a longer one.
        # In float64, as these may be sums of many tokens.
        sums = [n_tokens, *(n_tokens * float(mean) for mean in (loss.detach(), *extra.values()))]
        sums = torch.tensor(sums, dtype=torch.float64, device=self.device)
        dist.all_reduce(sums)
        total, (mean, *means) = int(sums[0].item()), (sums[1:] / sums[0]).tolist()
        weighted = loss * (n_tokens * self.size / total)
        # The gradient of this rank's share, the value of the whole batch: what is added is a plain
        # number, which has no gradient.
        loss = weighted + (mean - weighted.detach())
        return loss, total, dict(zip(extra, means, strict=True))

    def together(self, act: Callable[[], Any]) -> Any:
        """What `act()` returned here, once every rank has done it; one's error is raised on all.

        `act` itself must not talk to other ranks: one that failed would not answer.
        """
        if self.size == 1:
            return act()
        found = mine = None
        try:
            found = act()
        except Exception as error:  # whatever it is: it must not leave the others waiting
            mine = error
        errors = [None] * self.size
        dist.all_gather_object(errors, mine, group=self.waiting)
        for error in (mine, *errors):  # one's own first: it still knows the line that raised it
            if error is not None:
                raise error
        return found

    def on_first(self, act: Callable[[], Any]) -> Any:
        """What `act()` returned on rank 0, which alone does it while the others wait."""
        found = [self.together(lambda: act() if self.first else None)]
        if self.size > 1:
            dist.broadcast_object_list(found, src=0, group=self.waiting)
        return found[0]

    def gathered(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """The tensors, split ones put together on the CPU; none on any rank but the first."""
        if self.size == 1 and any(map(is_split, tensors.values())):
            raise ValueError("the model is split over ranks: give this function the `ranks`, too")
        found = {}
        for name, tensor in tensors.items():
            # Every rank has to take part in this line; only the first keeps what comes of it.
            tensor = whole(tensor).cpu() if is_split(tensor) else tensor
            if self.first:
                found[name] = tensor
        return found

    @contextmanager
    def interruptible(self) -> Iterator[Callable[[], bool]]:
        """Gives a function that says on all ranks alike whether one was asked to stop.

        `torchrun` hands Ctrl-C and SIGTERM on to its processes, which they reach at different
        moments: it is noted, and acted upon where all can do so. Call it once per step.
        """
        if self.size == 1:
            yield lambda: False  # Ctrl-C raises KeyboardInterrupt by itself
            return
        # A signal may come in the middle of a sum over all ranks, and a rank that left there would
        # leave the others waiting. So the handler only takes a note, and after each step the ranks
        # ask each other: has anybody been told to stop?
        asked = []
        kinds = (signal.SIGINT, signal.SIGTERM)
        before = {kind: signal.signal(kind, lambda *_: asked.append(True)) for kind in kinds}

        def anyone() -> bool:
            flag = torch.tensor(float(bool(asked)), device=self.device)
            dist.all_reduce(flag)
            return flag.item() > 0

        try:
            yield anyone
            if asked:  # after the last step: all is saved, but the program should end all the same
                raise KeyboardInterrupt
        finally:
            for kind, handler in before.items():
                signal.signal(kind, handler)


ALONE = Ranks()


def is_split(tensor: Tensor) -> bool:
    """Whether the rank holds a part of the tensor only (FSDP's DTensor)."""
    return hasattr(tensor, "full_tensor")


def whole(tensor: Tensor) -> Tensor:
    """The tensor put together on every rank, which all of them have to ask for."""
    return tensor.full_tensor() if is_split(tensor) else tensor


def split_as(own: Tensor, full: Tensor) -> Tensor:
    """`full`, as rank 0 has it, split over the ranks as `own` is; itself where `own` is whole.

    A single number (how many steps a weight has taken) has nothing to split.
    """
    if not is_split(own) or not full.dim():
        return full
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(full.to(own.device), own.device_mesh, own.placements)


@contextmanager
def process_group(
    device: torch.device | str = "cpu", strategy: str = "ddp", step_limit: timedelta = STEP_LIMIT
) -> Iterator[Ranks]:
    """The processes that `torchrun` started, this one's place among them; without it, one alone.

    `device` is a kind: on "cuda" each process of a machine takes a GPU of its own and they speak
    through NCCL, on "cpu" through gloo. A rank that waits longer than `step_limit` for the others'
    part of a step stops with an error, and `torchrun` then ends them all. Once in a program: a
    second group would find the addresses that the first one left.
    """
    device, environment = torch.device(device), os.environ
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy is one of {', '.join(STRATEGIES)}, got {strategy!r}")
    if "RANK" not in environment or int(environment["WORLD_SIZE"]) == 1:
        yield Ranks(device=device)
        return
    local_rank = int(environment["LOCAL_RANK"])
    on_machine = int(environment.get("LOCAL_WORLD_SIZE", 1))
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"several processes train on cpu or cuda, not on {device.type}")
    if device.type == "cuda":
        if on_machine > torch.cuda.device_count():
            raise ValueError(
                f"{on_machine} processes need a GPU each, this machine has "
                f"{torch.cuda.device_count()}: lower --nproc-per-node, or use the CPU"
            )
        device = torch.device("cuda", local_rank)
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=step_limit)
    try:
        # A step is short: a rank that waits ten minutes for one waits for a dead rank. But rank 0
        # may tokenize a corpus for hours while the others wait, who then speak in another group.
        waiting = dist.new_group(backend="gloo", timeout=WAIT_LIMIT)
        yield Ranks(dist.get_rank(), dist.get_world_size(), on_machine, device, strategy, waiting)
    finally:
        dist.destroy_process_group()
