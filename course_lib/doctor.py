"""`doctor`: is this machine ready for the course? One finding per line, with what to do.

Nothing here imports torch on top: the first question is whether there is a torch that works.
"""

from __future__ import annotations

import importlib.metadata as metadata
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from course_lib.machine.cores import free_cores, free_memory, usable_cores
from course_lib.machine.device import compute_dtype, gpus, numeric_self_test


@dataclass(frozen=True)
class Finding:
    """One line of `doctor`: what was looked at, how it stands, what was found, what to do."""

    name: str
    status: str  # "ok", "warn" (it works, but ...) or "fail" (fix this first)
    found: str
    advice: str = ""


def findings() -> list[Finding]:
    """What `doctor` has to say about this machine, the most basic first. Takes a few seconds."""
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
        return Finding("torch", "fail", f"installed, but doesn't start: {error}", advice)
    found = str(torch.__version__)
    if shutil.which("nvidia-smi") and not torch.cuda.is_available():
        advice = "To use the NVIDIA GPU, install a CUDA build of torch and a current driver."
        return Finding("torch", "warn", f"{found}, can't use this machine's NVIDIA GPU", advice)
    return Finding("torch", "ok", found)


def _device() -> Finding:
    import torch

    # A GPU that computes wrongly raises no error. It trains a model that is slightly off, and you
    # would look for the mistake in your own code. So each device has to do a few sums first.
    for name in [*gpus(), "cpu"]:
        test = numeric_self_test(name)
        if not test.passed and name == "cpu":
            advice = "Torch computes wrongly on this processor: install another version of torch."
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
            "Something else is computing here: close it, or train with only as many threads as "
            "there are free cores. More would be slower, not faster."
        )
        return Finding("cores", "warn", found, advice)
    return Finding("cores", "ok", found)


def _memory() -> Finding:
    free = free_memory()
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
    from course_lib.files.run_file import find_compiler

    compiler = find_compiler()
    if compiler:
        return Finding("C compiler", "ok", str(compiler))
    advice = {
        "Darwin": "`xcode-select --install`, or `pip install ziglang`.",
        "Linux": "`apt-get install gcc` (or what your system has), or `pip install ziglang`.",
    }.get(platform.system(), "`pip install ziglang`: a compiler as a Python package.")
    return Finding("C compiler", "warn", "none: run.c cannot be compiled", f"Install one: {advice}")


def _package(title: str, name: str) -> Finding:
    try:
        return Finding(title, "ok", metadata.version(name))
    except metadata.PackageNotFoundError:
        return Finding(title, "fail", "not installed", f"Install it: `pip install {name}`.")


def _course_lib() -> Finding:
    """Whether the course is installed, and all that it needs, in versions that fit."""
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
    """Whether what is installed meets a line such as `numpy>=2`."""
    from packaging.requirements import Requirement  # JupyterLab brings it

    wanted = Requirement(requirement)
    try:
        return wanted.specifier.contains(metadata.version(wanted.name), prereleases=True)
    except metadata.PackageNotFoundError:
        return False
