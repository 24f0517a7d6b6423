"""The command line: `python -m course_lib --help`.

Its options are here, what each command does is in `commands`. Only these two print: the rooms below
them return data or yield records, so that a notebook can do with those what it likes.
"""

import argparse
import importlib
import math
import os
import sys
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from course_lib.config import MODELS, Sampling
from course_lib.pipeline.recipe import ALIGNMENTS, BUDGETS, DEFAULT_ROOT, STAGES

DESCRIPTION = """Inside an LLM: train a small language model from nothing and talk to it.

  python -m course_lib lab                 open the notebooks, in copies of your own
  python -m course_lib doctor              is this machine ready?
  python -m course_lib train               from nothing to the two files: corpus, tokenizer,
                                           base model, SFT, reward model, RLHF, model.gguf
  python -m course_lib train --data FOLDER a base model of your own text
  torchrun --nproc-per-node 2 -m course_lib train
                                           the same, shared by two processes
  python -m course_lib chat                talk to what you trained
  python -m course_lib probs "In that match Virat Kohli hit a"
                                           what could come next, beside the truth
  python -m course_lib report              how much the model knows, and makes up
  python -m course_lib classroom           a room in which a class votes, by phone
  python -m course_lib plan                plans of a class, as notebooks
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    for stream in (sys.stdout, sys.stderr):  # Windows consoles may not speak UTF-8
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    # Before torch is imported. Threads that spin while they wait make a busy machine crawl.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    options = _options(sys.argv[1:] if arguments is None else arguments)
    try:
        status = _run(options)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # whoever reads has seen enough, as `| head` has
        # Python flushes stdout once more when it exits, and would complain then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, FloatingPointError, OSError) as error:
        _tell(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        kept = " What was done is kept: the same command continues from there."
        _tell(f"\nStopped.{kept if options.command in ('train', 'classroom') else ''}")
        return 130


def _run(options: argparse.Namespace) -> int:
    if options.command == "doctor":
        return _doctor()
    if options.command == "lab":
        return _lab(options)
    if options.command == "classroom":
        return _classroom(options)
    if options.command == "plan":
        return _plan(options)
    if options.command == "chat":
        _check_dials(options)
        if options.engine != "python" and _chat_in_c(options):
            return 0
    try:
        from course_lib import commands  # loads torch, which all above do without
    except (ImportError, OSError) as error:  # OSError: a library of torch's own is missing
        raise ValueError(
            f"a package that this needs doesn't load ({error}): "
            "`python -m course_lib doctor` says what to do"
        ) from error
    return getattr(commands, options.command)(options)


def _check_dials(options: argparse.Namespace) -> None:
    """Before any engine starts: run.c would answer in the names of its own options."""
    if not 0 <= options.temperature < math.inf:
        raise ValueError(f"--temperature must be 0 or more, such as 0.7, got {options.temperature}")
    if options.seed < 0:
        raise ValueError(f"--seed must be 0 or more, got {options.seed}")


def _chat_in_c(options: argparse.Namespace) -> bool:
    """Chat through the run file, which needs no torch; False if it can't, and Python must."""
    must, folder = options.engine == "c", options.root / "export"
    own = (folder / "model.gguf").is_file()
    if options.stage != "rlhf" or not (own or options.root == DEFAULT_ROOT):
        if must:
            raise ValueError("chat in C needs the stages rlhf and export, or use --engine python")
        return False
    try:
        from course_lib.files.run_file import chat_in_terminal, compile_run_file, released

        gguf = folder / "model.gguf" if own else released()
        program = compile_run_file(folder if own else DEFAULT_ROOT.parent)
        if not own:
            _tell("You have trained no model yet: this is the one of the course.")
            options.root = gguf.parent  # for Python, should it have to go on
        if options.message is None and sys.stdin.isatty():  # else the terminal would look stuck
            ends = "Ctrl-Z and Enter" if os.name == "nt" else "Ctrl-D"
            print(f"Type a question and press Enter; {ends} ends the conversation.", flush=True)
        sampling = Sampling(options.temperature, seed=options.seed)
        chat_in_terminal(program, gguf, options.message, sampling, system=options.system or "")
    except BrokenPipeError:
        raise
    except (ImportError, OSError, ValueError) as error:
        if must:
            raise
        _tell(f"The run file can't chat here, so Python does: {str(error).splitlines()[0]}")
        return False
    return True


def _tell(message: str) -> None:
    """Print to stderr. Several processes end for the same reason, so only the first one speaks."""
    if os.environ.get("RANK", "0") == "0":
        print(message, file=sys.stderr)


def _options(arguments: list[str]) -> argparse.Namespace:
    parser, to_jupyter = _parser(), []
    if arguments[:1] == ["lab"] and "--" in arguments:  # what follows is not for us to read
        cut = arguments.index("--")
        arguments, to_jupyter = arguments[:cut], arguments[cut + 1 :]
    options, unknown = parser.parse_known_args(arguments or ["--help"])
    if unknown:
        hints = {"lab": ": write JupyterLab's own options behind --"}
        if not unknown[0].startswith("-"):  # a sentence without quotes is many arguments
            hints |= dict.fromkeys(("chat", "probs"), ": put the whole text in quotation marks")
        hint = hints.get(options.command, "")
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
    options.to_jupyter = to_jupyter
    return options


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "python -m course_lib", description=DESCRIPTION, formatter_class=raw
    )
    commands = parser.add_subparsers(
        title="commands", dest="command", metavar="COMMAND", required=True
    )

    def command(name: str, help: str) -> tuple[argparse.ArgumentParser, Callable]:
        sub = commands.add_parser(name, help=help, description=help[:1].upper() + help[1:] + ".")

        def add(option: str, help: str, default: object = None, **more) -> None:
            told = "" if default is None else f" (default: {default})"
            sub.add_argument(option, help=help + told, default=default, **more)

        return sub, add

    command("doctor", "check this machine, in plain words")

    lab, _ = command("lab", "open the notebooks in JupyterLab, in copies of your own")
    lab.usage = f"{lab.prog} [NOTEBOOK] [-- OPTIONS OF JUPYTERLAB]"
    lab.epilog = (
        "The copies are in the course's folder workbook. Where you have worked in one it stays as "
        "it is, and a newer notebook of the course is put beside it. With `-- --no-browser "
        "--port 9000` JupyterLab gets options of its own."
    )
    lab.add_argument(
        "notebook", nargs="?", metavar="NOTEBOOK", help="how its name begins, such as 03"
    )

    plan, _ = command("plan", "list the plans of a class, or write one as notebooks")
    plan.add_argument("plan", nargs="?", metavar="PLAN", help="which one, such as 90-minutes")

    room, add = command("classroom", "open a room in which a class votes, by phone")
    room.add_argument("--check", action="store_true", help="can phones reach this machine?")
    add("--wait", "with --check: seconds to wait for a phone (default: 60 in a terminal)", type=int)
    add("--port", "where to listen (default: the first that is free from 8800)", type=int)
    add("--host", "whom to listen to: 127.0.0.1 is this machine alone", "0.0.0.0")
    add("--link", "the address that others use, where a hub gives the room one", metavar="URL")
    add("--folder", "where it is kept (default: artifacts/class)", type=Path)
    add("--pairs", "answers to judge (default: those of our SFT model)", type=Path, metavar="FILE")
    add("--play", "the play page for the phones (default: build/play)", type=Path, metavar="FOLDER")
    room.add_argument("--new", action="store_true", help="an empty room; the old one is put aside")
    room.add_argument("--new-secret", action="store_true", help="another link for the teacher")

    train, add = command(
        "train", "train one stage or all of them, continuing where an earlier run stopped"
    )
    add("--preset", "size", "nano", choices=MODELS)
    add("--budget", "quick: minutes; full: what the released models got", "quick", choices=BUDGETS)
    add("--align", "the way from SFT to RLHF", "grpo", choices=ALIGNMENTS)
    add("--stage", ", ".join(STAGES), "all")
    add(
        "--data",
        "a base model of real text: a file or folder of .txt, .jsonl, .parquet or .py, a Hugging "
        "Face data set such as roneneldan/TinyStories, or `python`, the text that comes with "
        "Python",
        metavar="PATH|NAME",
    )
    add("--tokens", "with --data: how many to train on, about", type=int)
    add("--vocab", "with --data: tokens that the tokenizer knows", type=int)
    add(
        "--out",
        "folder of the stages (default: artifacts/PRESET, with --data artifacts/NAME-PRESET)",
        type=Path,
    )
    add("--seed", "another seed, another model", 0, type=int)
    add("--device", "cpu, cuda or mps (default: the best one that computes correctly)")
    add("--threads", "CPU threads (default: the cores that are free)", type=int)
    precisions = ("float32", "bfloat16")
    add("--precision", "number format of the products (default: the fast one)", choices=precisions)
    add(
        "--strategy",
        "under torchrun: ddp keeps a whole model in each process, fsdp splits it over them",
        "ddp",
        choices=("ddp", "fsdp"),  # `machine.ranks.STRATEGIES`, which would load torch
    )
    train.add_argument(
        "--chatty",
        action="store_true",
        help="SFT on dialogues as newcomers type them: takes longer, understands hasty typing",
    )
    train.add_argument(
        "--compile", action="store_true", help="use torch.compile: slow to start, faster on a GPU"
    )

    chat, add = command("chat", "talk to a trained model, through run.c where there is a compiler")
    chat.add_argument("message", nargs="?", help="one message; without it you talk line by line")
    add("--system", 'a habit for all answers, for example "Answer in one word."', metavar="TEXT")
    add("--engine", "which run file (default: c if it was compiled)", choices=("c", "python"))
    add("--temperature", "0 is always the likeliest word", 0.7, type=float)
    add("--seed", "another seed, other answers", 0, type=int)
    _which_model(add, "rlhf")

    probs, add = command("probs", "show what could come next, beside the world's own probabilities")
    probs.add_argument(
        "text", help='the beginning of a document, for example "In that match Virat Kohli hit a"'
    )
    add("--top", "how many tokens", 10, type=int)
    _which_model(add, "base")

    report, add = command("report", "write the report card of a trained model")
    report.add_argument("--json", action="store_true", help="as JSON, for programs")
    add("--documents", "documents for the loss", 2000, type=int)
    _which_model(add, "rlhf")

    export, add = command(
        "export", "write a stage as model.gguf, the file that run.c and llama.cpp read"
    )
    export.add_argument("file", type=Path, help="where to, for example my_model.gguf")
    _which_model(add, "rlhf")
    return parser


def _which_model(add: Callable, stage: str) -> None:
    add("--from", "folder of the stages", DEFAULT_ROOT, dest="root", type=Path)
    add("--stage", "which model", stage, choices=("base", "sft", "rlhf"))


def _doctor() -> int:
    from course_lib.doctor import findings

    return _told(findings())


def _told(findings: Iterable) -> int:
    """Print findings as they come; returns 1 if one of them failed."""
    signs = {"ok": "ok  ", "warn": "WARN", "fail": "FAIL"}
    worst = 0
    for finding in findings:
        print(f"[{signs[finding.status]}] {finding.name}: {finding.found}", flush=True)
        if finding.advice:
            print(f"       -> {finding.advice}")
        worst = max(worst, finding.status == "fail")
    print("Fix what failed, then ask again." if worst else "Ready.")
    return int(worst)


def _classroom(options: argparse.Namespace) -> int:
    from course_lib.classroom import opening, reach

    if options.check:
        seconds = 60 * sys.stdout.isatty() if options.wait is None else options.wait
        return _told(reach.findings(options.port, options.link, seconds))
    opening.run_room(
        options.folder,
        options.host,
        options.port,
        options.link,
        options.new,
        options.new_secret,
        options.pairs,
        options.play,
        told=lambda words: print(words, flush=True),
    )
    return 0


def _plan(options: argparse.Namespace) -> int:
    from course_lib.plans import load_plans, write_plan

    if options.plan is None:
        for plan in load_plans().values():
            print(f"{plan.id}: {plan.title}. {plan.audience}")
        return 0
    for place in write_plan(options.plan):
        print(f"Written: {place}. To open it: python -m course_lib lab {place.stem}")
    return 0


def _lab(options: argparse.Namespace) -> int:
    from course_lib.doctor import INSTALL
    from course_lib.machine.folders import course_folder

    if find_spec("jupyterlab") is None:
        raise ValueError(f"JupyterLab isn't installed for {sys.executable}. {INSTALL}")
    from course_lib import workbook  # needs what comes with JupyterLab

    course = course_folder().resolve()
    for sentence in workbook.renew(course):
        print(sentence, flush=True)
    copy = workbook.find(course, options.notebook).relative_to(course)
    if "JUPYTERHUB_USER" in os.environ:
        print(f"This is a hub, and its JupyterLab runs already: open {copy} in its file browser.")
        return 0
    # The course's folder on top, because the notebooks show pictures of its `diagrams`.
    flags = [
        f"--ServerApp.root_dir={course}",
        f"--LabApp.default_url=/lab/tree/{quote(copy.as_posix())}",
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # as in most containers
        flags.append("--allow-root")
    # In this process and not in one of its own: so Ctrl-C and whoever stops us reach JupyterLab.
    return importlib.import_module("jupyterlab.labapp").main([*flags, *options.to_jupyter]) or 0


if __name__ == "__main__":
    sys.exit(main())
