"""Compile `run.c`, the second of the two files, and call it.

Thin helpers for notebooks, the command line and tests: everything that matters happens in C. No
torch here, which is the point of the two files: they need nothing else. Text goes in and comes out
as UTF-8; bytes that aren't UTF-8 become U+FFFD.
"""

import atexit
import contextlib
import hashlib
import importlib.util
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from course_lib.config import GREEDY, Sampling
from course_lib.text.tokenizer import visible

SOURCE = Path(__file__).with_name("run.c")
RELEASED = Path(__file__).parents[1] / "released"  # the models that come with the course
# Tried in this order, with each compiler: few know -fopenmp (threads), not all know -march=native.
# Why no -ffast-math? It was no faster here, and with it run.c can't tell NaN from a number.
FLAGS = (("-O3", "-march=native", "-fopenmp"), ("-O3", "-march=native"), ("-O3",))
COMPILE_SECONDS = (
    120  # the zig wheel first makes itself a C library, on a slow machine for a minute
)
START_SECONDS = 20
SHOWN_LINES = 10  # of what a compiler says
ANY_PROGRAM = """#include <math.h>
#include <stdio.h>
int main(void) { return printf("%f", sqrt(2)) < 0; }
"""
HOW_TO_GET_ONE = (
    "install one (apt-get install gcc, or xcode-select --install) or `pip install ziglang`, and "
    "try again"
)

_hung: set[str] = set()  # compilers that never came to an end: nobody waits for one twice


def released(name: str = "model.gguf") -> Path:
    """A parameters file that comes with the course: model.gguf (it chats) or base.gguf."""
    path = RELEASED / name
    if not path.is_file():
        raise ValueError(f"the course comes with no {name}: `make release` trains and stores it")
    return path


def find_compiler() -> str | None:
    """The command of a C compiler that works, or None.

    A Mac without its command line tools has a `cc` that only asks you to install them. So each
    candidate has to compile a few lines first.
    """
    for command in _candidates():
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            source = Path(folder) / "any.c"
            source.write_text(ANY_PROGRAM, encoding="utf-8")
            try:
                _compiled(command, source, Path(folder))
            except ValueError:
                continue
            except PermissionError:  # compiled, but in this folder no program may run
                pass
            return shlex.join(command)
    return None


def compile_run_file(directory: str | Path, source: str | Path = SOURCE) -> Path:
    """The run file as a program in `directory`, compiled unless it is there; returns its path.

    Where `directory` can't be written to, or nothing in it may run, the program is kept elsewhere.
    """
    source, refused = Path(source), []
    name = f"run-{_fingerprint(source)}{_suffix()}"
    for folder in _folders(Path(directory)):
        program = folder / name
        try:
            if program.is_file() and _fault(program) is None:
                return program
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as staging:
                os.replace(_compiled_by_any(source, Path(staging)), program)
                return program
        except OSError as error:
            refused.append(f"{folder} ({error.strerror or error})")
    raise ValueError(f"no folder takes the compiled run file and lets it run: {', '.join(refused)}")


def _candidates() -> list[list[str]]:
    """Commands that may be C compilers, best first: $CC, the usual names, a wheel that is one."""
    asked = os.environ.get("CC", "").strip()
    commands = [["cc"], ["gcc"], ["clang"], ["zig", "cc"]]
    with contextlib.suppress(ValueError):  # a quotation mark without its partner
        # On Windows a backslash stands between folders, and the path may hold spaces.
        words = [asked] if shutil.which(asked) else shlex.split(asked, posix=os.name == "posix")
        commands.insert(0, words)
    if importlib.util.find_spec("ziglang"):
        commands.append([sys.executable, "-m", "ziglang", "cc"])
    found = [command for command in commands if command and shutil.which(command[0])]
    return [command for command in found if shlex.join(command) not in _hung]


def _folders(directory: Path) -> Iterator[Path]:
    """Where a program may be kept: `directory`, the user's cache, one that Python removes."""
    yield directory
    with contextlib.suppress(RuntimeError):  # a user without a home
        yield Path.home() / ".cache" / "course_lib"
    yield _temporary()


@cache
def _temporary() -> Path:
    folder = tempfile.mkdtemp(prefix="course_lib-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _fingerprint(source: Path) -> str:
    """Changes with the source, the machine and the flags: another one needs another program."""
    made_of = [source.read_bytes(), platform.system(), platform.machine(), _processor()]
    return hashlib.sha256(repr([*made_of, FLAGS, os.environ.get("CC")]).encode()).hexdigest()[:12]


def _processor() -> str:
    """The processor's name and what it can do, as far as the system tells."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:  # not Linux
        return platform.processor()
    lines = text.partition("\n\n")[0].splitlines()  # of the first core
    return "\n".join(
        line for line in lines if line.startswith(("model", "flags", "Features", "CPU"))
    )


def _suffix() -> str:
    return ".exe" if os.name == "nt" else ""


def _compiled_by_any(source: Path, folder: Path) -> Path:
    """What the first compiler makes that can; ValueError with what went wrong if none can."""
    said = {}
    for command in _candidates():
        try:
            return _compiled(command, source, folder)
        except ValueError as error:
            said[shlex.join(command)] = str(error)
    if not said:
        raise ValueError(f"there is no C compiler here: {HOW_TO_GET_ONE}")
    if working := find_compiler():
        raise ValueError(f"{working} can't compile {source.name} to run here:\n{said[working]}")
    first = next(iter(said))
    raise ValueError(f"no C compiler works here: {HOW_TO_GET_ONE}\n{first} says:\n{said[first]}")


def _compiled(command: list[str], source: Path, folder: Path) -> Path:
    """A program that runs, made of `source` in `folder` by one compiler; ValueError if it can't."""
    # All names are short and relative: MinGW's compilers can't read every letter of a user's name.
    copy, program = folder / source.name, folder / f"program{_suffix()}"
    if copy != source:
        shutil.copyfile(source, copy)
    compiler = [os.path.abspath(shutil.which(command[0])), *command[1:]]
    for flags in FLAGS:
        program.unlink(missing_ok=True)
        # Into a file, as a process that a killed compiler started would hold a pipe open.
        with open(folder / "messages", "w+", errors="replace") as messages:
            try:
                done = subprocess.run(
                    [*compiler, *flags, "-o", program.name, copy.name, "-lm"],
                    cwd=folder,
                    env=_environment(folder),
                    stdin=subprocess.DEVNULL,
                    stdout=messages,
                    stderr=messages,
                    timeout=COMPILE_SECONDS,
                    check=False,
                )
            except subprocess.TimeoutExpired as error:
                _hung.add(shlex.join(command))
                raise ValueError(f"(no answer in {COMPILE_SECONDS} seconds)") from error
            except OSError as error:
                raise ValueError(f"(it doesn't start: {error.strerror})") from error
            messages.seek(0)
            said = "\n".join(messages.read().strip().splitlines()[-SHOWN_LINES:])
        if done.returncode or not program.is_file():
            fault = said or f"({ending(done.returncode)})"
        else:
            fault = _fault(program)
        if fault is None:
            return program
    raise ValueError(fault)


def _environment(folder: Path) -> dict[str, str]:
    """zig keeps a cache in the user's home, and gives up where there is none to write in."""
    if os.access(os.environ.get("HOME") or os.environ.get("LOCALAPPDATA", ""), os.W_OK):
        return dict(os.environ)
    return {"ZIG_GLOBAL_CACHE_DIR": str(folder / "zig"), **os.environ}


def _fault(program: Path) -> str | None:
    """Why the program can't be used here, None if it can: run, it may end well or complain.

    It computes, if it is a run file: only then is an instruction missed that a processor lacks.
    """
    command = [program.resolve(), RELEASED / "base.gguf", "probs", "a", "-n", "1"]
    silent = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    try:
        code = subprocess.run(command, **silent, timeout=START_SECONDS, check=False).returncode
    except subprocess.TimeoutExpired:
        return None  # it does run
    except PermissionError:  # not the program's fault, but its folder's
        raise
    except OSError as error:
        return f"(it compiles, but the program doesn't start: {error.strerror})"
    # From 126 on: a shell's or the system's way to say that a part is missing, or a crash.
    return None if 0 <= code < 126 else f"(it compiles, but {ending(code)})"


def ending(code: int) -> str:
    """How a program ended that ended badly, as the end of a sentence."""
    if code < 0:
        # A number without a name is one that the system keeps for programs.
        names = {each.value: f" ({each.name})" for each in signal.Signals}
        return f"the program stopped: {signal.strsignal(-code)}{names.get(-code, '')}"
    if code >= 0xC0000000:
        return f"the program crashed: Windows gives {code:#x} as the reason"
    return f"the program stopped with code {code}"


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
    **options: float | str,
) -> str:
    """What `run MODEL MODE TEXT -letter value ...` prints; ValueError where it fails."""
    sent = b"" if stdin is None else stdin.encode(errors="replace")
    command = _command(program, gguf, mode, text, options)
    try:
        done = subprocess.run(
            command, input=sent, capture_output=True, timeout=timeout, check=False
        )
    except OSError as error:
        message = f"{program} doesn't start ({error.strerror}): compile it on this machine"
        raise ValueError(message) from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        if done.returncode != 1:  # 1 is how the run file itself ends, and it says why
            said = f"{ending(done.returncode)} {said}"
        raise ValueError(said.strip() or ending(done.returncode))
    return done.stdout.decode(errors="replace")


def _command(
    program: str | Path, gguf: str | Path, mode: str, text: str | None, options: dict
) -> list[str | bytes]:
    """`run MODEL MODE TEXT -t 0.7 -n 64`, as a list; the text is left out if there is none."""

    def sent(text: str) -> str | bytes:  # in UTF-8 wherever Python would go by the locale
        return text.encode(errors="surrogatepass") if os.name == "posix" else text

    # Resolved, because a name without a folder would be searched for in PATH.
    command = [str(Path(program).resolve()), str(gguf), mode]
    if text is not None:
        command.append(sent(text))
    for letter, value in options.items():
        command += [f"-{letter}", f"{value:g}" if isinstance(value, float) else sent(str(value))]
    return command


def _dials(sampling: Sampling, max_new_tokens: int, system: str = "") -> dict[str, float | str]:
    """The options of `run` for sampler and chat. What is None or empty isn't passed on."""
    dials = {"t": float(sampling.temperature), "s": sampling.seed or 0, "n": max_new_tokens}
    dials |= {"k": sampling.top_k, "p": sampling.top_p, "i": system or None}
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
    system: str = "",
) -> str:
    """The model's answer to one message, with `system` before it if there is one."""
    return run(program, gguf, "chat", message, **_dials(sampling, max_new_tokens, system)).strip()


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
    system: str = "",
) -> None:
    """Hands the terminal over to the run file until its input ends; ValueError where it fails."""
    options = _dials(sampling, max_new_tokens, system)
    code = subprocess.call(_command(program, gguf, "chat", message, options))
    if -code == getattr(signal, "SIGPIPE", None):
        raise BrokenPipeError  # whoever reads has seen enough
    if code:
        raise ValueError(ending(code))
