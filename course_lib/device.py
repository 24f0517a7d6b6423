"""What this machine can do: its device, number format and cores really free; `doctor`'s findings.

Everything here is a function to call: importing the module picks no device, seeds nothing and does
not even import torch, so that `findings` can tell a learner whose torch is missing or broken. It
prints nothing either: the command line and the notebooks do.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.metadata as metadata
import os
import platform
import shutil
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    import torch

# The largest difference from float64 that the self-test lets pass, as a share of the largest value.
# float32 stays near 1e-6; TF32 and bf16 products, which a user may have switched on, near 5e-3; a
# wrong kernel is off by 1 and more.
TOLERANCE = 2e-2


@dataclass(frozen=True)
class SelfTest:
    """What a device computed, against the same sums in float64 on the CPU."""

    device: str
    errors: dict[str, float]  # name of the check -> largest difference / largest value
    reason: str  # empty where all is well

    @property
    def passed(self) -> bool:
        return not self.reason


@dataclass(frozen=True)
class Finding:
    """One line of `doctor`: what was looked at, how it stands, what was found, what to do."""

    name: str
    status: str  # "ok", "warn" (works, but ...) or "fail" (mend this first)
    found: str
    advice: str = ""


# -- device ---------------------------------------------------------------------------------------


def pick_device(preference: str | None = None) -> torch.device:
    """The device to compute on: a CUDA GPU, else an Apple GPU, else the CPU.

    A GPU is taken only if it passes `numeric_self_test`: some torch versions are silently wrong on
    some Apple GPUs. A GPU that fails is left out with a warning; asked for by name, with an error.
    """
    import torch

    if preference is not None:
        device = _named_device(preference)
        test = numeric_self_test(device)
        if not test.passed:
            raise ValueError(
                f"the device {preference!r} computes wrongly ({test.reason}): "
                "update torch and the driver, or use pick_device('cpu')"
            )
        return device
    for name in _gpus():
        test = numeric_self_test(name)
        if test.passed:
            return torch.device(name)
        warnings.warn(
            f"the device {name!r} is here but not used: {test.reason}", RuntimeWarning, stacklevel=2
        )
    return torch.device("cpu")


def _gpus() -> list[str]:
    """The kinds of GPU that torch sees here, best first."""
    import torch

    seen = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return [name for name, available in seen.items() if available]


def _named_device(preference: str) -> torch.device:
    import torch

    choices = ["cpu", *_gpus()]
    kind, _, index = preference.partition(":")
    if kind not in choices or (index and not index.isdecimal()):
        raise ValueError(
            f"there is no device {preference!r} here: choose one of {', '.join(choices)}"
        )
    if kind == "cuda" and index and int(index) >= torch.cuda.device_count():
        raise ValueError(
            f"there is no {preference!r} here: this machine has {torch.cuda.device_count()} "
            "CUDA device(s), counted from cuda:0"
        )
    return torch.device(preference)


def numeric_self_test(device: str | torch.device) -> SelfTest:
    """Whether `device` computes what a Transformer needs as a CPU does in float64; takes a moment.

    Five short sums in float32: a product, a softmax of large numbers, causal attention with its
    gradients, and an in-place update of a transposed tensor (the last was left undone,
    without an error, by torch before 2.4 on Apple GPUs).
    """
    import torch

    try:
        ours = {
            name: values.cpu().double()
            for name, values in _sums(torch.device(device), torch.float32).items()
        }
    except (RuntimeError, NotImplementedError, AssertionError) as error:  # what torch raises
        return SelfTest(str(device), {}, f"torch stopped with: {error}")
    truth = _sums(torch.device("cpu"), torch.float64)
    errors = {
        name: ((ours[name] - true).abs().max() / true.abs().max()).item()
        for name, true in truth.items()
    }
    # "not <=" rather than ">": a NaN has to count as wrong
    wrong = [f"{name} is off by {e:.2g}" for name, e in errors.items() if not e <= TOLERANCE]
    return SelfTest(str(device), errors, "; ".join(wrong))


def _sums(device: torch.device, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """The self-test's results by name; the same inputs whatever the device and dtype."""
    import torch
    import torch.nn.functional as F

    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).to(device)

    left, right = noise(96, 160), noise(160, 64)
    table = noise(50, 64).requires_grad_()
    ids = torch.arange(48, device=device).remainder(7).view(2, 24)  # repeated ids: gradients add up
    heads = F.embedding(ids, table).view(2, 24, 4, 16).transpose(1, 2)  # (B, H, T, D), strided
    attended = F.scaled_dot_product_attention(heads, heads, heads, is_causal=True)
    logits = attended.transpose(1, 2).reshape(2, 24, 64) @ right[:64]
    loss = F.cross_entropy(logits.flatten(0, 1), ids.flatten())
    (gradient,) = torch.autograd.grad(loss, table)
    update = torch.zeros(64, 96, device=device, dtype=dtype).t()  # (96, 64), strided
    update.addcmul_(left[:, :64], left[:, 64:128], value=0.5)
    return {
        "a product": left @ right,
        "a softmax": torch.softmax(100 * left, dim=-1),
        "attention": attended.detach(),
        "a gradient": gradient,
        "an in-place update": update,
    }


def compute_dtype(device: str | torch.device) -> torch.dtype:
    """bfloat16 where the hardware multiplies it faster than float32, else float32.

    Never float16: on a CPU it is some 70 times slower, and it would need loss scaling.
    """
    import torch

    device = torch.device(device)
    if device.type == "cuda":
        # before compute capability 8 (Ampere) bf16 works, but is emulated
        fast = torch.version.hip is not None or torch.cuda.get_device_capability(device) >= (8, 0)
    elif device.type == "cpu":
        capabilities = getattr(torch.cpu, "get_capabilities", dict)()  # newer than our oldest torch
        fast = any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16"))
    else:
        fast = False
    return torch.bfloat16 if fast else torch.float32


# -- cores ----------------------------------------------------------------------------------------


def usable_cores() -> int:
    """Cores that this process may use: its affinity, or a container's quota if that is less."""
    return max(1, min(len(_affinity()), int(_cpu_quota() + 0.5)))


def free_cores(seconds: float = 0.3) -> int:
    """Usable cores that stand idle, at least 1, from a sample of `seconds`.

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
    """Hand freed memory back to the system, where the C library keeps it for each thread (glibc).

    A kernel that trains in one thread after another would hold all that each of them once needed.
    """
    with contextlib.suppress(OSError, AttributeError):  # another C library: nothing to do
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _affinity() -> list[int]:
    """The numbers of the cores on which the system lets this process run."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _cpu_quota(root: Path = Path("/sys/fs/cgroup")) -> float:
    """Cores' worth of time that a container's limit allows, 1e6 where there is no limit."""
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


def _free_memory(root: Path = Path("/sys/fs/cgroup")) -> int:
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


# -- doctor ---------------------------------------------------------------------------------------


def findings() -> list[Finding]:
    """What `doctor` has to say about this machine, most basic first; takes a second or three."""
    found = [_python(), _torch()]
    if found[-1].status != "fail":
        found.append(_device())
    return [
        *found,
        _cores(),
        _memory(),
        _disk(),
        _compiler(),
        _package("JupyterLab", "jupyterlab"),
        _package("ipykernel", "ipykernel"),
        _course_lib(),
    ]


def _python() -> Finding:
    found = f"{platform.python_version()} ({platform.system()}, {platform.machine()})"
    if sys.version_info < (3, 11):  # noqa: UP036 (run from a checkout, nothing else has asked)
        return Finding("Python", "fail", found, "Install Python 3.11 or newer and set up again.")
    if sys.maxsize < 2**32:
        return Finding("Python", "fail", f"{found}, 32 bit", "Install a 64-bit Python.")
    if sys.prefix == sys.base_prefix and "CONDA_PREFIX" not in os.environ:
        return Finding(
            "Python",
            "warn",
            f"{found}, not in an environment of its own",
            "Better run the course in a virtual environment: `make lab` makes one.",
        )
    return Finding("Python", "ok", found)


def _torch() -> Finding:
    try:
        import torch
    except ImportError as error:
        advice = "Install it: `pip install torch` in this environment."
        return Finding("torch", "fail", f"not installed ({error})", advice)
    except OSError as error:  # a missing system library, mostly on Windows
        advice = (
            "Install torch again; on Windows also the Microsoft Visual C++ Redistributable (x64)."
        )
        return Finding("torch", "fail", f"installed, but does not start: {error}", advice)
    found = str(torch.__version__)
    if shutil.which("nvidia-smi") and not torch.cuda.is_available():
        advice = "To use the NVIDIA GPU, install a CUDA build of torch and a current driver."
        return Finding("torch", "warn", f"{found}, cannot use this machine's NVIDIA GPU", advice)
    return Finding("torch", "ok", found)


def _device() -> Finding:
    import torch

    for name in [*_gpus(), "cpu"]:
        test = numeric_self_test(name)
        if not test.passed and name == "cpu":
            advice = "Torch is wrong on this processor: install another version of torch."
            return Finding("device", "fail", f"cpu: {test.reason}", advice)
        if not test.passed:
            advice = f"The course runs on the CPU instead; update torch to use {name!r}."
            return Finding("device", "warn", f"{name}: {test.reason}", advice)
        title = f"cuda, {torch.cuda.get_device_name()}" if name == "cuda" else name
        dtype = str(compute_dtype(name)).removeprefix("torch.")
        found = (
            f"{title}; numeric self-test passed (off by {max(test.errors.values()):.0e} at most); "
            f"fastest in {dtype}"
        )
        return Finding("device", "ok", found)
    raise AssertionError("the CPU is always in the list")


def _cores() -> Finding:
    usable, free = usable_cores(), free_cores()
    found = f"{free} of {usable} free"
    if free < usable:
        advice = (
            "Something else is computing here: close it, or train with as many threads as cores "
            "are free. More would be slower, not faster."
        )
        return Finding("cores", "warn", found, advice)
    return Finding("cores", "ok", found)


def _memory() -> Finding:
    free = _free_memory()
    found = f"{free / 2**30:.1f} GiB free"
    if free < 1.5 * 2**30:
        return Finding("memory", "fail", found, "Close programs: a notebook needs up to 1.5 GiB.")
    if free < 3 * 2**30:
        return Finding("memory", "warn", found, "Enough for one notebook: keep one open at a time.")
    return Finding("memory", "ok", found)


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free
    found = f"{free / 2**30:.1f} GiB free in {Path.cwd()}"
    if free < 2**30:
        return Finding("disk", "warn", found, "Make room: trained models need some 100 MB.")
    return Finding("disk", "ok", found)


def _compiler() -> Finding:
    from course_lib.run_file import find_compiler

    compiler = find_compiler()
    if compiler:
        return Finding("C compiler", "ok", str(compiler))
    advice = {
        "Darwin": "`xcode-select --install`, or `pip install ziglang`.",
        "Linux": "`apt-get install gcc` (or your system's like), or `pip install ziglang`.",
    }.get(platform.system(), "`pip install ziglang`: a compiler as a Python package.")
    return Finding("C compiler", "warn", "none: run.c cannot be compiled", f"Install one: {advice}")


def _package(title: str, name: str) -> Finding:
    try:
        return Finding(title, "ok", metadata.version(name))
    except metadata.PackageNotFoundError:
        return Finding(title, "fail", "not installed", f"Install it: `pip install {name}`.")


def _course_lib() -> Finding:
    """Whether the course is installed, and all that it asks for beside it, in versions that fit."""
    place = Path(__file__).parent
    try:
        version = metadata.version("course_lib")
        asked = metadata.requires("course_lib") or []
    except metadata.PackageNotFoundError:
        advice = "Install it: `pip install -c constraints.txt -e .` in the course's folder."
        return Finding("course_lib", "fail", f"not installed, read from {place}", advice)
    unmet = [line for line in asked if "extra ==" not in line and not _is_met(line)]
    if unmet:
        advice = "Install them: `pip install -c constraints.txt -e .` in the course's folder."
        return Finding("course_lib", "fail", f"{version}, lacks {', '.join(unmet)}", advice)
    return Finding("course_lib", "ok", f"{version} in {place}")


def _is_met(requirement: str) -> bool:
    """Whether an installed package meets a line such as `numpy>=2`."""
    from packaging.requirements import Requirement  # comes with JupyterLab

    wanted = Requirement(requirement)
    try:
        return wanted.specifier.contains(metadata.version(wanted.name), prereleases=True)
    except metadata.PackageNotFoundError:
        return False
