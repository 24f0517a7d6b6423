"""The command line: `python -m course_lib --help`.

Its options are here, what each command does is in `commands`. Only these two print: the rooms below
them return data or yield records, so that a notebook can do with those what it likes.
"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from course_lib.config import MODELS, Sampling
from course_lib.pipeline.recipe import ALIGNMENTS, BUDGETS, DEFAULT_ROOT, STAGES

DESCRIPTION = """Inside an LLM: train a small language model from nothing and talk to it.

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
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    for stream in (sys.stdout, sys.stderr):  # Windows consoles may not speak UTF-8
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    # Before torch is imported. Threads that spin while they wait make a busy machine crawl.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    options = _parser().parse_args(arguments)
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
        _tell("\nStopped. What was done is kept: the same command continues from there.")
        return 130


def _run(options: argparse.Namespace) -> int:
    if options.command == "doctor":
        return _doctor()
    if options.command == "chat" and options.engine != "python" and _chat_in_c(options):
        return 0
    try:
        from course_lib import commands  # loads torch, which all above do without
    except (ImportError, OSError) as error:  # OSError: a library of torch's own is missing
        raise ValueError(
            f"a package that this needs doesn't load ({error}): "
            "`python -m course_lib doctor` says what to do"
        ) from error
    return getattr(commands, options.command)(options)


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

    signs = {"ok": "ok  ", "warn": "WARN", "fail": "FAIL"}
    worst = 0
    for finding in findings():
        print(f"[{signs[finding.status]}] {finding.name}: {finding.found}", flush=True)
        if finding.advice:
            print(f"       -> {finding.advice}")
        worst = max(worst, finding.status == "fail")
    print("Fix what failed, then ask again." if worst else "Ready.")
    return int(worst)


if __name__ == "__main__":
    sys.exit(main())
