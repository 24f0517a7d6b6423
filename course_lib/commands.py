"""What the commands do, all but `doctor`. Their options are in `__main__`.

Loading this loads torch. `--help` and `doctor` do without it, so they answer at once, and even
where torch is broken.
"""

import codecs
import json
import sys
import time
from argparse import Namespace
from pathlib import Path

import torch
from tqdm import tqdm

from course_lib.config import Sampling
from course_lib.files.gguf import write_gguf
from course_lib.machine.cores import free_cores, give_back_memory, set_threads
from course_lib.machine.device import compute_dtype, pick_device
from course_lib.machine.ranks import Ranks, process_group
from course_lib.measure.card import report as report_card
from course_lib.measure.card import table
from course_lib.measure.log_probs import word_probs
from course_lib.model.sample import generate, next_token_probs, stream
from course_lib.model.transformer import Transformer
from course_lib.pipeline.recipe import DEFAULT_ROOT, real_text_recipe, recipe
from course_lib.pipeline.release import RELEASED, load_language_model, read_manifest
from course_lib.pipeline.stages import Progress, run_stage
from course_lib.text.chat import decode_answer, encode_prompt, exchange
from course_lib.text.tokenizer import Tokenizer
from course_lib.world.documents import world_grammar
from course_lib.world.grammar import END

CARD_DOCUMENTS = 500  # for the report card at the end of a training run
ANSWER_TOKENS = 64  # of an answer in a chat, at most
ROOM = 40  # tokens that must be left for an answer, or the oldest turn is forgotten
SAMPLE_TOKENS = 60  # of each text that a base model of real text shows at the end


def train(options: Namespace) -> int:
    with process_group(pick_device(options.device), options.strategy) as ranks:
        root, trained = _train_stages(options, ranks)
    if not ranks.first:
        return 0

    if read_manifest(root / "export"):
        print(f"  {root / 'export' / 'model.gguf'}  the parameters file")
        print(f"Talk to it:  python -m course_lib chat --from {root}")
    if options.data is not None:
        if read_manifest(root / "base"):
            _show_samples(root)
    elif options.stage == "all" and trained:
        _show_card(root, "rlhf", CARD_DOCUMENTS)
    return 0


def _train_stages(options: Namespace, ranks: Ranks) -> tuple[Path, bool]:
    """Train the wanted stages. Returns their folder, and whether anything was left to train."""
    show = print if ranks.first else lambda *_: None
    threads = options.threads or max(1, free_cores() // ranks.on_machine)
    set_threads(threads)
    fast = "bfloat16" if compute_dtype(ranks.device) == torch.bfloat16 else "float32"
    precision = options.precision or fast
    choices = (options.budget, options.align, options.chatty)
    plan = recipe(options.preset, options.seed, precision, *choices)
    name = options.preset
    if options.data is not None:
        plan = real_text_recipe(plan, options.data, options.tokens, options.vocab)
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
        f"{plan.base.train.precision}, seed {plan.seed}. Ctrl-C stops; the same command continues."
    )
    started, trained = time.perf_counter(), False
    for stage in wanted:
        bar = None
        for progress in run_stage(stage, root, plan, ranks.device, options.compile, ranks):
            if bar is None:
                bar = tqdm(
                    total=progress.steps,
                    desc=f"{stage:<9}",
                    unit="step",
                    file=sys.stdout,
                    mininterval=0.5,
                    postfix=_note(progress),
                    disable=not ranks.first,
                )
            bar.update(progress.step - bar.n)
            bar.set_postfix_str(_note(progress), refresh=False)
        if bar is None:  # not said earlier: it may be finished by another recipe, which is an error
            show(f"{stage}: finished before")
        else:
            bar.close()
            give_back_memory()  # else the next stage's peak comes on top of this one's
            trained = True
            for name, value in read_manifest(root / stage)["metrics"].items():
                if isinstance(value, float):
                    show(f"    {name.replace('_', ' ')}: {value:.3f}")
    show(f"Done in {(time.perf_counter() - started) / 60:.1f} minutes. In {root}:")
    return root, trained


def _show_samples(root: Path) -> None:
    model, tokenizer = load_language_model(root, "base")
    eot = tokenizer.eot_id
    print("Three documents that it begins, at temperature 0.8:")
    sampling = Sampling(temperature=0.8, seed=0)
    for ids in generate(model, [[eot]] * 3, SAMPLE_TOKENS, sampling, stop=[eot]):
        print(f"--\n{tokenizer.decode(filter(tokenizer.is_text, ids))}")
    print(
        "--\nA base model: SFT and RLHF need dialogues, which only the course's own world writes."
    )
    print(f'The likeliest next tokens:  python -m course_lib probs --from {root} "The"')


def _show_card(root: Path, stage: str, n_documents: int, as_json: bool = False) -> None:
    model, tokenizer = load_language_model(root, stage)
    reference = None
    if stage == "rlhf" and read_manifest(root / "sft") is not None:
        reference, _ = load_language_model(root, "sft")
    card = report_card(model, tokenizer, n_documents, chat=stage != "base", reference=reference)
    print(json.dumps(card, indent=1) if as_json else table(card))


def _note(progress: Progress) -> str:
    record = progress.record
    if record is None:
        return progress.note
    extra = "".join(
        f", {name.replace('_', ' ')} {value:.2f}" for name, value in record.extra.items()
    )
    # The loop counts what its loss function counts, and a reward model learns from pairs.
    unit = "pairs" if progress.stage == "reward" else "tokens"
    return f"loss {record.loss:.3f}, {record.tokens_per_second:,.0f} {unit}/s{extra}"


def _load(options: Namespace) -> tuple[Transformer, Tokenizer]:
    """Model and tokenizer of the wanted stage; the course's own where you have trained none."""
    options.root = _root(options)
    return load_language_model(options.root, options.stage)


def _root(options: Namespace) -> Path:
    """The folder to take models from: if you named none and trained none, the course's own."""
    if options.root != DEFAULT_ROOT or read_manifest(options.root / options.stage) is not None:
        return options.root
    print("You have trained no such model yet: this is the one of the course.", file=sys.stderr)
    return RELEASED


def chat(options: Namespace) -> int:
    """A conversation in Python; `__main__` tries the run file first."""
    model, tokenizer = _load(options)
    sampling, ends = Sampling(options.temperature), tokenizer.end_ids
    generator = torch.Generator().manual_seed(options.seed)  # one for the whole conversation
    system = [{"role": "system", "content": options.system}] if options.system else []
    messages: list[dict] = []

    def reply(text: str) -> None:
        question, most = {"role": "user", "content": text}, model.config.context_length - 1
        alone = len(encode_prompt(tokenizer, [*system, question]))
        if alone > most:  # said before it costs the conversation its past
            what = "this message and the system message have" if system else "this message has"
            raise ValueError(
                f"{what} {alone:,} tokens, {most:,} are the most: ask something shorter"
            )
        prompt = encode_prompt(tokenizer, [*system, *messages, question])
        while len(prompt) > model.config.context_length - ROOM and messages:
            del messages[:2]  # forget the oldest question and its answer, but no system message
            prompt = encode_prompt(tokenizer, [*system, *messages, question])
        ids = []
        # A letter may be spread over tokens: what is not a whole one yet waits for the next.
        letters = codecs.getincrementaldecoder("utf-8")(errors="replace")
        for id in stream(model, prompt, ANSWER_TOKENS, sampling, stop=ends, generator=generator):
            ids.append(id)
            if tokenizer.is_text(id):
                print(letters.decode(tokenizer.token_bytes(id)), end="", flush=True)
        print(letters.decode(b"", final=True))
        messages.extend(exchange(text, decode_answer(tokenizer, ids)))

    if options.message is not None:
        reply(options.message)
        return 0
    print("Type a question; an empty line ends the conversation.")
    while True:
        try:
            text = input("> ").strip()
        except EOFError:
            return 0
        if not text:
            return 0
        try:
            reply(text)
        except ValueError as error:  # no reason to end the conversation
            print(f"error: {error}", file=sys.stderr)


def probs(options: Namespace) -> int:
    if options.top < 1:
        raise ValueError(f"--top must be 1 or more, got {options.top}")
    model, tokenizer = _load(options)
    ids, most = [tokenizer.eot_id, *tokenizer.encode(options.text)], model.config.context_length
    if len(ids) > most:
        raise ValueError(
            f"this text has {len(ids) - 1:,} tokens, {most - 1:,} are the most: take a shorter one"
        )
    found = next_token_probs(model, ids)
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


def report(options: Namespace) -> int:
    _show_card(_root(options), options.stage, options.documents, options.json)
    return 0


def export(options: Namespace) -> int:
    model, tokenizer = _load(options)
    write_gguf(options.file, model, tokenizer)
    print(f"{options.file}: {options.file.stat().st_size:,} bytes")
    return 0
