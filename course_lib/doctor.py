"""`doctor`: is this machine ready for the course? One finding per line, with what to do.

It tries what the notebooks will do: it starts a kernel, loads the models, compiles the run file.
On top only Python's own modules are imported: the first question is what else there is.
"""

from __future__ import annotations

import importlib.metadata as metadata
import locale
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
NOTEBOOKS = HERE.parent / "notebooks"
INSTALL = """Install it: `pip install -c constraints.txt -e ".[lab]"` in the course's folder."""
PROMPT = "In that match Virat Kohli hit a"
ALIKE = 0.01  # how far two programs' probabilities may be apart: one may compute in another order

# The kernel that JupyterLab would start, and what notebooks load there.
KERNEL = """
import sys
from jupyter_client.manager import run_kernel
with run_kernel(kernel_name="python3") as kernel:
    reply = kernel.execute_interactive(sys.argv[1], timeout=100)
sys.exit(reply["content"]["status"] != "ok")
"""
NOTEBOOK = """
import importlib, sys
print("starts", sys.prefix)
import course_lib
print("imports", course_lib.__file__)
broken = []
for name in {names}:
    try:
        importlib.import_module(name)
    except Exception as error:  # numpy, for one, raises what it likes if versions were mixed
        broken.append(name + " (" + " ".join(repr(error).split()) + ")")
if broken:
    print("lacks", *broken)
else:
    import course_lib.widgets, course_lib.plots, course_lib.pipeline.release
"""


@dataclass(frozen=True)
class Finding:
    """One line of `doctor`: what was looked at, how it stands, what was found, what to do."""

    name: str
    status: str  # "ok", "warn" (it works, but ...) or "fail" (fix this first)
    found: str
    advice: str = ""


def findings() -> Iterator[Finding]:
    """What `doctor` has to say about this machine, the most basic first. Takes some ten seconds."""
    yield _python()
    yield _encoding()
    for name, check in (("cores", _cores), ("memory", _memory), ("disk", _disk)):
        yield _checked(name, check)
    with ThreadPoolExecutor(1) as beside:  # from here on: the cores were free until now
        kernel = beside.submit(_checked, "kernel", _kernel)
        yield _checked("course_lib", _course_lib)
        yield (torch := _checked("torch", _torch))
        if torch.status != "fail":
            yield _checked("device", _device)
        yield (models := _checked("models", _models))
        yield _checked("artifacts", _artifacts)
        yield _checked("C compiler", lambda: _compiler(compare=models.status == "ok"))
        yield _package("JupyterLab", "jupyterlab")
        yield _package("ipykernel", "ipykernel")
        yield kernel.result()


def _checked(name: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except Exception as error:  # whatever a broken package may do when it is loaded
        return Finding(name, "fail", _one_line(error), INSTALL)


def _one_line(error: object) -> str:
    words = " ".join(str(error).split())
    kind = f"{type(error).__name__}: " if isinstance(error, Exception) else ""
    return kind + (words if len(words) < 300 else f"{words[:297]}...")


def _python() -> Finding:
    found = f"{platform.python_version()} ({platform.system()}, {platform.machine()})"
    if not (3, 11) <= sys.version_info < (3, 15):  # run from a checkout, nothing else has asked
        return Finding("Python", "fail", found, "Install Python 3.11 to 3.14 and set up again.")
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


def _encoding() -> Finding:
    encoding = sys.getfilesystemencoding()
    try:
        locale.setlocale(locale.LC_CTYPE, "")
    except locale.Error:
        advice = "Name a language that `locale -a` lists: `export LC_ALL=C.UTF-8` mostly works."
        return Finding("text", "warn", f"{encoding}, but the locale isn't installed", advice)
    if encoding != "utf-8":
        advice = "Set PYTHONUTF8=1 before you start: else not every letter can be shown or named."
        return Finding("text", "warn", f"{encoding}, not UTF-8", advice)
    return Finding("text", "ok", encoding)


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

    from course_lib.machine.device import compute_dtype, gpus, numeric_self_test

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
    from course_lib.machine.cores import free_cores, usable_cores

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
    from course_lib.machine.cores import free_memory

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


def _compiler(compare: bool = True) -> Finding:
    """Compiles the run file, runs it and, to `compare`, asks Python the same."""
    from course_lib.files.run_file import compile_run_file, find_compiler, released, run_probs

    compiler = find_compiler()
    if compiler is None:
        advice = {
            "Darwin": "`xcode-select --install`, or `pip install ziglang`.",
            "Linux": "`apt-get install gcc` (or what your system has), or `pip install ziglang`.",
        }.get(platform.system(), "`pip install ziglang`: a compiler as a Python package.")
        found = "none that works: run.c cannot be compiled"
        return Finding("C compiler", "warn", found, f"Install one: {advice}")
    advice = "Try another compiler: set CC to its command, or `pip install ziglang`."
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        try:
            program = compile_run_file(folder)
            for name, stage in (("base.gguf", "base"), ("model.gguf", "rlhf")) if compare else ():
                (told,) = run_probs(program, released(name), PROMPT, 1)
                truth = _probability(stage, told.id)
                if abs(told.probability - truth) > ALIKE:
                    raise ValueError(
                        f"run.c finds {told.text!r} {told.probability:.1%} probable by {name}, "
                        f"Python {truth:.1%} by {stage}"
                    )
        except (ValueError, subprocess.SubprocessError) as error:
            return Finding("C compiler", "fail", _one_line(f"{compiler}: {error}"), advice)
    said = "says what Python says" if compare else "runs"
    return Finding("C compiler", "ok", f"{compiler}; run.c {said}")


def _probability(stage: str, id: int) -> float:
    """How probable the token is after `PROMPT`, by Python."""
    from course_lib.model.sample import next_token_probs
    from course_lib.pipeline.release import load_released

    model, tokenizer = load_released(stage)
    return next_token_probs(model, [tokenizer.eot_id, *tokenizer.encode(PROMPT)])[id].item()


def _models() -> Finding:
    """Whether the models that come with the course are there, whole, and with their tokenizers."""
    from course_lib.align.reward import RewardModel
    from course_lib.machine.disk import file_hash
    from course_lib.pipeline.release import RELEASED, load_released, read_manifest

    advice = "Get the folder course_lib/released anew: from git, or from the course's archive."
    hashes = (read_manifest(RELEASED) or {}).get("metrics", {})
    for name in ("model.gguf", "base.gguf"):
        path = RELEASED / name
        if not path.is_file():
            return Finding("models", "fail", f"{path} is missing", advice)
        if file_hash(path) != hashes.get(name):
            size = f"{path.stat().st_size:,} bytes"
            return Finding("models", "fail", f"{path} ({size}) isn't what was released", advice)
    try:
        for stage in ("base", "sft", "rlhf"):
            load_released(stage)  # which compares model and tokenizer
        RewardModel.load(RELEASED / "reward")
    except ImportError:
        raise
    except Exception as error:  # files may be damaged in any way
        return Finding("models", "fail", f"{RELEASED}: {_one_line(error)}", advice)
    return Finding("models", "ok", f"all in {RELEASED}")


def _artifacts() -> Finding:
    """Whether notebooks can keep what they write: models, guesses, programs."""
    course = NOTEBOOKS.parent if NOTEBOOKS.is_dir() else Path.cwd()
    folders = [course / "artifacts"]
    if os.environ.get("COURSE_ARTIFACTS"):
        folders.append(Path(os.environ["COURSE_ARTIFACTS"]))
    for folder in folders:
        there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        try:
            with tempfile.TemporaryDirectory(dir=there):
                pass
        except OSError as error:
            found = f"{there} can't be written to ({error.strerror or error})"
            advice = "Copy the course into a folder of your own, and install it from there."
            return Finding("artifacts", "fail", found, advice)
    return Finding("artifacts", "ok", f"notebooks can write to {folders[-1]}")


def _kernel() -> Finding:
    """Starts the kernel that a notebook would get, and lets it import what notebooks import."""
    folder = NOTEBOOKS if NOTEBOOKS.is_dir() else Path.cwd()
    names = [re.match(r"[\w-]+", line)[0].replace("-", "_") for line in _requirements()]
    # JupyterLab is slow to load, and no notebook does; one package has another name than its module
    names = [{"ipython": "IPython"}.get(name, name) for name in names if name != "jupyterlab"]
    try:
        done = subprocess.run(
            [sys.executable, "-c", KERNEL, NOTEBOOK.format(names=names)],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=200,
        )
    except subprocess.TimeoutExpired:
        found = "no answer: something here may forbid programs to talk to each other"
        return Finding("kernel", _without_lab(), found, "Look at firewall and virus scanner.")
    said = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    prefix = said.get("starts", "")
    if prefix and not _same(prefix, sys.prefix):
        where = "--user" if sys.prefix == sys.base_prefix else "--sys-prefix"
        advice = f"Set the kernel up anew: `python -m ipykernel install {where}`."
        found = f"`python3` starts the Python in {prefix}, not the one in {sys.prefix}"
        return Finding("kernel", "fail", found, advice)
    course = said.get("imports", "")
    if course and not _same(Path(course).parent, HERE):
        found = f"notebooks get the course from {Path(course).parent}, this is {HERE}"
        return Finding("kernel", "fail", found, INSTALL)
    if "lacks" in said:
        return Finding("kernel", "fail", _one_line(f"doesn't load {said['lacks']}"), INSTALL)
    if done.returncode:
        last = (done.stderr.strip() or "no word why").splitlines()[-1]
        return Finding("kernel", _without_lab(), _one_line(last), INSTALL)
    return Finding("kernel", "ok", "starts, and imports the course")


def _same(one: str | Path, other: str | Path) -> bool:
    return Path(one).resolve() == Path(other).resolve()


def _without_lab() -> str:
    """How bad it is that Jupyter is missing: where a kernel runs without ours, as on Colab, not."""
    return "warn" if "JPY_PARENT_PID" in os.environ else "fail"


def _package(title: str, name: str) -> Finding:
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        advice = f"Install it: `pip install {name}`."
        return Finding(title, _without_lab(), "not installed", advice)
    return Finding(title, "ok", version)


def _course_lib() -> Finding:
    """Whether the course is installed, and all that it needs, in versions that fit."""
    try:
        version = metadata.version("course_lib")
    except metadata.PackageNotFoundError:
        return Finding("course_lib", "fail", f"not installed, read from {HERE}", INSTALL)
    unmet = [line for line in _requirements() if not _is_met(line)]
    if unmet:
        return Finding("course_lib", "fail", f"{version}, lacks {', '.join(unmet)}", INSTALL)
    return Finding("course_lib", "ok", f"{version} in {HERE}")


def _requirements() -> list[str]:
    """The packages that notebooks need: the course's own and, unless a kernel runs, Jupyter."""
    extra = "none" if _without_lab() == "warn" else "lab"
    asked = metadata.requires("course_lib") or []
    return [line for line in asked if "extra ==" not in line or f'extra == "{extra}"' in line]


def _is_met(requirement: str) -> bool:
    """Whether what is installed meets a line such as `numpy>=2`."""
    from packaging.requirements import Requirement

    wanted = Requirement(requirement)
    try:
        return wanted.specifier.contains(metadata.version(wanted.name), prereleases=True)
    except metadata.PackageNotFoundError:
        return False
