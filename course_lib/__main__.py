"""The command line: `python -m course_lib --help`.

Here, and only here, results are shown: the package below yields records and returns data.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

DEFAULT_ROOT = Path("artifacts/nano")
CARD_DOCUMENTS = 500  # for the report card at the end of a training run
SAMPLE_TOKENS = 60  # of each text that a base model of real text shows at the end

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
        status = options.run(options) or 0
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


def _tell(message: str) -> None:
    """To stderr; of several processes, which all end for one reason, the first one speaks."""
    if os.environ.get("RANK", "0") == "0":
        print(message, file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "python -m course_lib", description=DESCRIPTION, formatter_class=raw
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run, help: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, description=help[:1].upper() + help[1:] + ".")
        sub.set_defaults(run=run)
        return sub

    command("doctor", _doctor, "check this machine, in plain words")

    train = command(
        "train", _train, "train one stage or all of them, going on where an earlier run stopped"
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

    chat = command(
        "chat", _chat, "talk to a trained model, through run.c where there is a compiler"
    )
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

    probs = command(
        "probs", _probs, "show what could come next, beside the world's own probabilities"
    )
    probs.add_argument(
        "text", help='the beginning of a document, for example "In that match Virat Kohli hit a"'
    )
    probs.add_argument("--top", type=int, default=10, help="how many tokens (default: 10)")

    report = command("report", _report, "write the report card of a trained model")
    report.add_argument("--json", action="store_true", help="as JSON, for programs")
    report.add_argument(
        "--documents", type=int, default=2000, help="documents for the loss (default: 2000)"
    )

    export = command(
        "export", _export, "write a stage as model.gguf, the file that run.c and llama.cpp read"
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


def _doctor(options) -> int:
    from course_lib.device import findings

    signs = {"ok": "ok  ", "warn": "WARN", "fail": "FAIL"}
    worst = 0
    for finding in findings():
        print(f"[{signs[finding.status]}] {finding.name}: {finding.found}")
        if finding.advice:
            print(f"       -> {finding.advice}")
        worst = max(worst, finding.status == "fail")
    print("Mend what failed, then ask again." if worst else "Ready.")
    return int(worst)


def _train(options) -> int:
    from course_lib.device import pick_device
    from course_lib.distributed import process_group

    with process_group(pick_device(options.device), options.strategy) as ranks:
        root, trained = _train_stages(options, ranks)
    if not ranks.first:
        return 0
    from course_lib.stages import read_manifest

    if read_manifest(root / "export"):
        print(f"  {root / 'export' / 'model.gguf'}  the parameters file")
        print(f"Talk to it:  python -m course_lib chat --from {root}")
    if options.data is not None:
        if read_manifest(root / "base"):
            _show_samples(root)
    elif options.stage == "all" and trained:
        _show_card(root, "rlhf", CARD_DOCUMENTS)
    return 0


def _train_stages(options, ranks) -> tuple[Path, bool]:
    """Train the wanted stages; their folder, and whether there was anything left to train."""
    import torch
    from tqdm import tqdm

    from course_lib import stages
    from course_lib.device import compute_dtype, free_cores, set_threads

    show = print if ranks.first else lambda *_: None
    threads = options.threads or max(1, free_cores() // ranks.on_machine)
    set_threads(threads)
    fast = "bfloat16" if compute_dtype(ranks.device) == torch.bfloat16 else "float32"
    precision = options.precision or fast
    plan = stages.recipe(options.preset, options.seed, precision, options.budget, options.align)
    name = options.preset
    if options.data is not None:
        plan = stages.real_text_recipe(plan, options.data, options.tokens, options.vocab)
        name = f"{Path(options.data.replace(':', '-')).stem or 'text'}-{options.preset}"
    elif options.tokens is not None or options.vocab is not None:
        raise ValueError("--tokens and --vocab belong to --data: see `train --help`")
    root = options.out or Path("artifacts") / name
    wanted = plan.stages if options.stage == "all" else (options.stage,)
    machine = f"{ranks.device}, {threads} threads"
    if ranks.size > 1:
        machine = f"{ranks.size} processes ({ranks.strategy}) of {machine}"
    show(
        f"{options.preset}: {plan.model.n_parameters:,} parameters, {machine}, "
        f"{plan.base.precision}, seed {plan.seed}. Ctrl-C stops; the same command goes on."
    )
    started, trained = time.perf_counter(), False
    for stage in wanted:
        if stage in stages.STAGES and stages.read_manifest(root / stage):
            show(f"{stage}: finished before")
        bar = None
        for progress in stages.run_stage(stage, root, plan, ranks.device, options.compile, ranks):
            if bar is None:
                bar = tqdm(
                    total=progress.steps,
                    desc=f"{stage:<9}",
                    unit="step",
                    file=sys.stdout,
                    mininterval=0.5,
                    disable=not ranks.first,
                )
            bar.update(progress.step - bar.n)
            bar.set_postfix_str(_note(progress), refresh=False)
        if bar is not None:
            bar.close()
            trained = True
            for name, value in stages.read_manifest(root / stage)["metrics"].items():
                if isinstance(value, float):
                    show(f"    {name.replace('_', ' ')}: {value:.3f}")
    show(f"Done in {(time.perf_counter() - started) / 60:.1f} minutes. In {root}:")
    return root, trained


def _show_samples(root: Path) -> None:
    import torch

    from course_lib.sample import generate
    from course_lib.stages import load_stage

    model, tokenizer = load_stage(root, "base")
    generator, eot = torch.Generator().manual_seed(0), tokenizer.eot_id
    print("Three documents that it begins, at temperature 0.8:")
    options = dict(temperature=0.8, stop=[eot], generator=generator)
    for ids in generate(model, [[eot]] * 3, SAMPLE_TOKENS, **options):
        print(f"--\n{tokenizer.decode(id for id in ids if id != eot)}")
    print(
        "--\nA base model: SFT and RLHF need dialogues, which the course's own world alone writes."
    )
    print(f'The likeliest next tokens:  python -m course_lib probs --from {root} "The"')


def _show_card(root: Path, stage: str, n_documents: int, as_json: bool = False) -> None:
    from course_lib.card import report, table
    from course_lib.stages import load_stage, read_manifest

    model, tokenizer = load_stage(root, stage)
    reference = None
    if stage == "rlhf" and read_manifest(root / "sft") is not None:
        reference, _ = load_stage(root, "sft")
    card = report(model, tokenizer, n_documents, chat=stage != "base", reference=reference)
    print(json.dumps(card, indent=1) if as_json else table(card))


def _note(progress) -> str:
    record = progress.record
    if record is None:
        return progress.note
    extra = "".join(
        f", {name.replace('_', ' ')} {value:.2f}" for name, value in record.extra.items()
    )
    unit = "pairs" if progress.stage == "reward" else "tokens"
    return f"loss {record.loss:.3f}, {record.tokens_per_second:,.0f} {unit}/s{extra}"


def _load(options):
    """Model and tokenizer of the wanted stage; where nothing was trained, those of the course."""
    from course_lib.stages import load_stage

    options.root = _root(options)
    return load_stage(options.root, options.stage)


def _root(options) -> Path:
    from course_lib.stages import RELEASED, read_manifest

    if options.root != DEFAULT_ROOT or read_manifest(options.root / options.stage) is not None:
        return options.root
    print("You have trained no such model yet: this is the one of the course.", file=sys.stderr)
    return RELEASED


def _chat(options) -> int:
    from course_lib.run_file import chat_in_terminal

    if options.engine != "python" and (files := _the_two_files(options)) is not None:
        return chat_in_terminal(
            *files, options.message, temperature=options.temperature, seed=options.seed
        )
    if options.engine == "c":
        raise ValueError(
            "chat in C needs a C compiler and the stage rlhf, finished: see `doctor`, "
            "or use --engine python"
        )
    _chat_in_python(*_load(options), options)
    return 0


def _the_two_files(options) -> tuple[Path, Path] | None:
    """The compiled run file and the parameters file to chat with; None where C can't serve."""
    from course_lib.run_file import binary_name, compile_run_file, find_compiler, released
    from course_lib.stages import read_manifest

    folder = options.root / "export"
    if options.stage != "rlhf":
        return None
    if read_manifest(folder) is not None:
        gguf = folder / "model.gguf"
    elif options.root == DEFAULT_ROOT:
        print("You have trained no model yet: this is the one of the course.", file=sys.stderr)
        folder, gguf = DEFAULT_ROOT.parent, released()
    else:
        return None
    program = folder / binary_name()
    if not program.is_file():
        if find_compiler() is None:
            return None
        program = compile_run_file(folder)
    return program, gguf


def _chat_in_python(model, tokenizer, options) -> None:
    import torch

    from course_lib.chat import decode_answer, encode_prompt
    from course_lib.sample import stream

    generator = torch.Generator().manual_seed(options.seed)
    stop = (tokenizer.im_end_id, tokenizer.eot_id)
    messages: list[dict] = []

    def reply(text: str) -> None:
        messages.append({"role": "user", "content": text})
        prompt = encode_prompt(tokenizer, messages)
        while len(prompt) > model.config.context_length - 40 and len(messages) > 1:
            del messages[:2]  # forget the oldest turn
            prompt = encode_prompt(tokenizer, messages)
        ids = []
        for id in stream(
            model, prompt, 64, temperature=options.temperature, stop=stop, generator=generator
        ):
            ids.append(id)
            if id not in stop:
                print(tokenizer.decode([id]), end="", flush=True)
        print()
        messages.append({"role": "assistant", "content": decode_answer(tokenizer, ids)})

    if options.message is not None:
        reply(options.message)
        return
    print("Type a question; an empty line ends the talk.")
    while True:
        try:
            text = input("> ").strip()
        except EOFError:
            return
        if not text:
            return
        reply(text)


def _probs(options) -> int:
    from course_lib.log_probs import word_probs
    from course_lib.sample import next_token_probs
    from course_lib.world.documents import world_grammar
    from course_lib.world.grammar import END

    if options.top < 1:
        raise ValueError(f"--top must be 1 or more, got {options.top}")
    model, tokenizer = _load(options)
    found = next_token_probs(model, [tokenizer.eot_id, *tokenizer.encode(options.text)])
    top = found.topk(min(options.top, len(found)))
    print(
        f"After {options.text!r} the {options.stage} model gives:\n\n"
        f"  {'next token':<16}{'id':>6}  probability"
    )
    for p, id in zip(top.values.tolist(), top.indices.tolist(), strict=True):
        text = repr(tokenizer.decode([id]))[1:-1].replace(" ", "\u2423")
        print(f"  {text:<16}{id:>6}  {p:7.1%} {'#' * round(40 * p)}")
    truth = world_grammar().next_word(options.text)
    if not truth:
        print(
            "\nThe world never writes a document that begins so: there is no truth to compare with."
        )
        return 0
    best = [word for word in list(truth)[: options.top] if word != END]
    ours = word_probs(model, tokenizer, options.text, best)
    print(f"\n  {'next word':<16}{'world':>8}{'model':>8}")
    for word in list(truth)[: options.top]:
        shown = "(end)" if word == END else repr(word)[1:-1].replace(" ", "\u2423")
        model_p = found[tokenizer.eot_id].item() if word == END else ours[word]
        print(f"  {shown:<16}{truth[word]:>8.1%}{model_p:>8.1%}")
    return 0


def _report(options) -> int:
    _show_card(_root(options), options.stage, options.documents, options.json)
    return 0


def _export(options) -> int:
    from course_lib.gguf import write_gguf

    model, tokenizer = _load(options)
    write_gguf(options.file, model, tokenizer)
    print(f"{options.file}: {options.file.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
