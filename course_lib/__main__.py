"""The command line: `python -m course_lib --help`.

Its options are here, what each command does is in `commands`. These two, and only these two, show
results: the package below yields records and returns data.
"""

import argparse
import os
import sys
from pathlib import Path

DEFAULT_ROOT = Path("artifacts/nano")

DESCRIPTION = """Inside an LLM: train a small language model from nothing and talk to it.

  python -m course_lib doctor              is this machine ready?
  python -m course_lib train               from nothing to the two files: corpus, tokenizer,
                                           base model, SFT, reward model, RLHF, model.gguf
  python -m course_lib train --data FOLDER a base model of your own text
  torchrun --nproc-per-node 2 -m course_lib train
                                           the same, by two processes
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
    # Before torch is imported: threads that spin while they wait make a busy machine crawl.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    options = _parser().parse_args(arguments)
    try:
        status = _run(options)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # whoever reads has seen enough, as `| head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # silent at exit, too
        return 1
    except (ValueError, FloatingPointError, OSError) as error:
        _tell(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        _tell("\nStopped. What was done is kept: the same command goes on from there.")
        return 130


def _run(options: argparse.Namespace) -> int:
    if options.command == "doctor":
        return _doctor()
    from course_lib import commands  # loads torch, which `--help` and `doctor` do without

    return getattr(commands, options.command)(options)


def _tell(message: str) -> None:
    """To stderr; of several processes, which all end for one reason, the first one speaks."""
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

    def command(name: str, help: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=help, description=help[:1].upper() + help[1:] + ".")

    command("doctor", "check this machine, in plain words")

    train = command(
        "train", "train one stage or all of them, going on where an earlier run stopped"
    )
    train.add_argument(
        "--preset", default="nano", choices=("nano", "small", "gpt2"), help="size (default: nano)"
    )
    train.add_argument(
        "--budget",
        default="quick",
        choices=("quick", "full"),
        help="quick: minutes; full: what the released models got (default: quick)",
    )
    train.add_argument(
        "--align",
        default="grpo",
        choices=("grpo", "ppo", "dpo", "iterative-dpo"),
        help="the way from SFT to RLHF (default: grpo)",
    )
    train.add_argument(
        "--stage", default="all", help="tokenizer, base, sft, reward, rlhf, export (default: all)"
    )
    train.add_argument(
        "--data",
        metavar="PATH|NAME",
        help="a base model of real text: a file or folder of .txt, .jsonl, .parquet or .py, a "
        "Hugging Face data set such as roneneldan/TinyStories, or `python`, the text that comes "
        "with Python",
    )
    train.add_argument("--tokens", type=int, help="with --data: how many to train on, about")
    train.add_argument("--vocab", type=int, help="with --data: tokens that the tokenizer knows")
    train.add_argument(
        "--out",
        type=Path,
        help="folder of the stages (default: artifacts/PRESET, with --data artifacts/NAME-PRESET)",
    )
    train.add_argument(
        "--seed", type=int, default=0, help="another seed, another model (default: 0)"
    )
    train.add_argument(
        "--device", help="cpu, cuda or mps (default: the best that computes rightly)"
    )
    train.add_argument("--threads", type=int, help="CPU threads (default: the cores that are free)")
    train.add_argument(
        "--precision",
        choices=("float32", "bfloat16"),
        help="number format of the products (default: what is fast)",
    )
    train.add_argument(
        "--strategy",
        default="ddp",
        choices=("ddp", "fsdp"),
        help="under torchrun: ddp keeps a whole model in each process, fsdp splits it over them "
        "(default: ddp)",
    )
    train.add_argument(
        "--compile", action="store_true", help="use torch.compile: slow to start, faster on a GPU"
    )

    chat = command("chat", "talk to a trained model, through run.c where there is a compiler")
    chat.add_argument("message", nargs="?", help="one message; without it you talk line by line")
    chat.add_argument(
        "--engine", choices=("c", "python"), help="which run file (default: c if it was compiled)"
    )
    chat.add_argument(
        "--temperature",
        type=float,
        default=0.7,
        help="0 is always the likeliest word (default: 0.7)",
    )
    chat.add_argument(
        "--seed", type=int, default=0, help="another seed, other answers (default: 0)"
    )

    probs = command("probs", "show what could come next, beside the world's own probabilities")
    probs.add_argument(
        "text", help='the beginning of a document, for example "In that match Virat Kohli hit a"'
    )
    probs.add_argument("--top", type=int, default=10, help="how many tokens (default: 10)")

    report = command("report", "write the report card of a trained model")
    report.add_argument("--json", action="store_true", help="as JSON, for programs")
    report.add_argument(
        "--documents", type=int, default=2000, help="documents for the loss (default: 2000)"
    )

    export = command(
        "export", "write a stage as model.gguf, the file that run.c and llama.cpp read"
    )
    export.add_argument("file", type=Path, help="where to, for example my_model.gguf")

    for sub, stage in ((chat, "rlhf"), (probs, "base"), (report, "rlhf"), (export, "rlhf")):
        sub.add_argument(
            "--from",
            dest="root",
            type=Path,
            default=DEFAULT_ROOT,
            help="folder of the stages",
        )
        sub.add_argument(
            "--stage",
            default=stage,
            choices=("base", "sft", "rlhf"),
            help=f"which model (default: {stage})",
        )
    return parser


def _doctor() -> int:
    from course_lib.doctor import findings

    signs = {"ok": "ok  ", "warn": "WARN", "fail": "FAIL"}
    worst = 0
    for finding in findings():
        print(f"[{signs[finding.status]}] {finding.name}: {finding.found}")
        if finding.advice:
            print(f"       -> {finding.advice}")
        worst = max(worst, finding.status == "fail")
    print("Mend what failed, then ask again." if worst else "Ready.")
    return int(worst)


if __name__ == "__main__":
    sys.exit(main())
