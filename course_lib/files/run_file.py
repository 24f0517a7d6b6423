"""Compile `run.c`, the second of the two files, and call it.

Thin helpers for notebooks, the command line and tests: everything that matters happens in C. No
torch here, which is the point of the two files: they need nothing else. Text goes in and comes out
as UTF-8; bytes that aren't UTF-8 become U+FFFD.
"""

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from course_lib.config import GREEDY, Sampling
from course_lib.text.tokenizer import visible

SOURCE = Path(__file__).with_name("run.c")
RELEASED = Path(__file__).parents[1] / "released"  # the models that come with the course
# The first that compiles wins: not every compiler knows -march=native. Why no -ffast-math? It was
# no faster here, and with it run.c can't tell NaN from a number any more.
FLAGS = (("-O3", "-march=native"), ("-O3",))


def released(name: str = "model.gguf") -> Path:
    """A parameters file that comes with the course: model.gguf (it chats) or base.gguf."""
    path = RELEASED / name
    if not path.is_file():
        raise ValueError(f"the course comes with no {name}: `make release` trains and stores it")
    return path


def binary_name() -> str:
    """What the compiled run file is called on this system."""
    return "run.exe" if os.name == "nt" else "run"


def find_compiler() -> str | None:
    """The command of a C compiler, or None.

    The environment variable CC, else cc, gcc or clang, else the `ziglang` wheel: a whole compiler
    that comes through pip.
    """
    asked = os.environ.get("CC", "").strip()
    if asked and shutil.which(shlex.split(asked)[0]):
        return asked
    for name in ("cc", "gcc", "clang"):
        if shutil.which(name):
            return name
    if importlib.util.find_spec("ziglang"):
        return shlex.join([sys.executable, "-m", "ziglang", "cc"])
    return None


def compile_run_file(directory: str | Path, source: str | Path = SOURCE) -> Path:
    """Compiles the run file into `directory` and returns the program's path."""
    compiler = find_compiler()
    if compiler is None:
        raise ValueError(
            "there is no C compiler here: install one (apt-get install gcc, or "
            "xcode-select --install) or `pip install ziglang`, and try again"
        )
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory) as staging:
        program = Path(staging) / binary_name()
        for flags in FLAGS:
            command = [*shlex.split(compiler), *flags, "-o", str(program), str(source), "-lm"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
            if done.returncode == 0:
                os.replace(program, directory / binary_name())
                return directory / binary_name()
    raise ValueError(f"{compiler} can't compile {Path(source).name}:\n{done.stderr.strip()}")


@dataclass(frozen=True)
class NextToken:
    """A token that may come next, how probable it is, and how it reads."""

    id: int
    probability: float
    text: str  # a space shown as ␣, a newline as ↵


def run(
    program: str | Path,
    gguf: str | Path,
    mode: str,
    text: str | None = None,
    *,
    stdin: str | None = None,
    timeout: float = 120,
    **options: float,
) -> str:
    """What `run MODEL MODE TEXT -letter number ...` prints; ValueError where it fails."""
    sent = b"" if stdin is None else stdin.encode(errors="replace")
    command = _command(program, gguf, mode, text, options)
    done = subprocess.run(command, input=sent, capture_output=True, timeout=timeout, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise ValueError(said or f"the run file stopped with code {done.returncode}")
    return done.stdout.decode(errors="replace")


def _command(
    program: str | Path, gguf: str | Path, mode: str, text: str | None, options: dict[str, float]
) -> list[str]:
    """`run MODEL MODE TEXT -t 0.7 -n 64`, as a list; the text is left out if there is none."""
    # Resolved, because a name without a folder would be searched for in PATH.
    command = [str(Path(program).resolve()), str(gguf), mode, *([] if text is None else [text])]
    for letter, value in options.items():
        command += [f"-{letter}", f"{value:g}" if isinstance(value, float) else str(value)]
    return command


def _dials(sampling: Sampling, max_new_tokens: int) -> dict[str, float]:
    """The options of `run` for the sampler. A top-k or top-p of None isn't passed on."""
    dials = {"t": float(sampling.temperature), "s": sampling.seed or 0, "n": max_new_tokens}
    dials |= {"k": sampling.top_k, "p": sampling.top_p}
    return {letter: value for letter, value in dials.items() if value is not None}


def run_complete(
    program: str | Path,
    gguf: str | Path,
    prompt: str,
    sampling: Sampling = GREEDY,
    *,
    max_new_tokens: int = 64,
) -> str:
    """The model's continuation of `prompt`, without the prompt."""
    options = _dials(sampling, max_new_tokens)
    return run(program, gguf, "complete", prompt, **options).removesuffix("\n")


def run_chat(
    program: str | Path,
    gguf: str | Path,
    message: str,
    sampling: Sampling = GREEDY,
    *,
    max_new_tokens: int = 64,
) -> str:
    """The model's answer to one message."""
    return run(program, gguf, "chat", message, **_dials(sampling, max_new_tokens)).strip()


def run_probs(program: str | Path, gguf: str | Path, prompt: str, n: int = 10) -> list[NextToken]:
    """The `n` likeliest next tokens after `prompt`, the likeliest first."""
    found = []
    for line in run(program, gguf, "probs", prompt, n=n).splitlines():
        id, probability, name = line.split("\t")
        # GPT-2's byte alphabet writes a space as Ġ and a newline as Ċ.
        text = visible(name.replace("Ġ", " ").replace("Ċ", "\n"))
        found.append(NextToken(int(id), float(probability), text))
    return found


def chat_in_terminal(
    program: str | Path,
    gguf: str | Path,
    message: str | None = None,
    sampling: Sampling = GREEDY,
    *,
    max_new_tokens: int = 64,
) -> int:
    """Hands the terminal over to the run file until its input ends; returns its exit status."""
    return subprocess.call(
        _command(program, gguf, "chat", message, _dials(sampling, max_new_tokens))
    )
