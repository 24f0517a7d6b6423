"""Cores that are really free, threads, memory: what this machine has left for us.

Importing this loads no torch, so that `doctor` can tell a learner whose torch is broken.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path

import psutil


def usable_cores() -> int:
    """Cores that this process may use: its affinity, or a container's quota if that is less."""
    # A container's limit is a share of time and need not be whole: 1.5 cores may count as 2.
    return max(1, min(len(_affinity()), int(_cpu_quota() + 0.5)))


def free_cores(seconds: float = 0.3) -> int:
    """Usable cores that are idle, at least 1, from a look at the machine that lasts `seconds`.

    Torch's threads wait for each other at every operation: one thread too many, on a busy core,
    makes training 4 to 15 times slower. Give `set_threads` this number, not the core count.
    """
    busy = psutil.cpu_percent(interval=seconds, percpu=True)
    idle = sum(1 - busy[core] / 100 for core in _affinity() if core < len(busy))
    return max(1, min(usable_cores(), int(idle + 0.3)))  # + 0.3: a core is never quite idle


def set_threads(n: int) -> None:
    """Let torch compute with `n` threads from now on in this process."""
    import torch

    if not 1 <= n <= len(_affinity()):
        raise ValueError(
            f"threads must be between 1 and the {len(_affinity())} cores of this process, got {n}: "
            "set_threads(free_cores()) is a safe choice"
        )
    torch.set_num_threads(n)


def give_back_memory() -> None:
    """Hand freed memory back to the system.

    glibc, the C library of most Linux systems, keeps what each thread has freed for that thread. A
    kernel that trains in one thread after another would hold all that each of them once needed.
    """
    with contextlib.suppress(OSError, AttributeError):  # another C library: nothing to do
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _affinity() -> list[int]:
    """The numbers of the cores on which the system lets this process run."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))  # macOS and Windows promise no core to anybody


def _cpu_quota(root: Path = Path("/sys/fs/cgroup")) -> float:
    """Cores' worth of time that a container's limit allows, 1e6 where there is no limit."""
    # Groups lie in one another, and each has to keep to the limits of all that it lies in.
    tightest = 1e6
    for group in _control_groups(root):
        fields = _words(group / "cpu.max")  # version 2: "200000 100000" or "max 100000"
        if len(fields) == 2 and fields[0] != "max":
            tightest = min(tightest, int(fields[0]) / int(fields[1]))
    quota = _words(root / "cpu" / "cpu.cfs_quota_us")  # version 1: -1 means none
    period = _words(root / "cpu" / "cpu.cfs_period_us")
    if quota and period and int(quota[0]) > 0:
        tightest = min(tightest, int(quota[0]) / int(period[0]))
    return tightest


def free_memory(root: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that can still be taken: the machine's, or less where a container's limit is nearer."""
    free = psutil.virtual_memory().available
    for group in _control_groups(root):
        limit, used = _words(group / "memory.max"), _words(group / "memory.current")
        if limit and used and limit[0] != "max":
            free = min(free, int(limit[0]) - int(used[0]))
    return max(0, free)


def _control_groups(root: Path) -> list[Path]:
    """This process's control group (version 2) and the groups that it lies in."""
    group = "/"
    for line in _words(Path("/proc/self/cgroup")):
        if line.startswith("0::"):
            group = line[3:]
    folder = root / group.strip("/")
    return [folder, *(parent for parent in folder.parents if parent.is_relative_to(root))]


def _words(path: Path) -> list[str]:
    """The words in a small file of the system's, none where there is no such file."""
    try:
        return path.read_text().split()
    except OSError:
        return []
