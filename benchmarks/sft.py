"""What decides how good SFT gets? python -m benchmarks.sft OUT.csv

Fine-tunes the released base model in many small ways: on a thousand dialogues, with the loss on
other tokens, with plain text beside the dialogues, on bad labels, and without any pretraining. Then
it asks about facts of each split, gives instructions, asks about invented things and for harm. A
run takes about 30 s of processor time.

The base model is always the same one. A seed decides the dialogues, their order and their faults.
"""

import argparse
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.table import Table
from course_lib.config import TrainConfig
from course_lib.measure.answers import chat_answers
from course_lib.model.transformer import Transformer
from course_lib.pipeline.release import load_released
from course_lib.text.rows import (
    IGNORE,
    Batches,
    inputs_and_targets,
    pack,
    pack_dialogues,
    segments_of,
    targets_of,
)
from course_lib.text.tokenizer import Tokenizer
from course_lib.train.loop import train
from course_lib.train.losses import masked_mean, token_log_probs
from course_lib.world.dialogues import dialogues, fact_prompts, test_prompts
from course_lib.world.documents import documents
from course_lib.world.facts import SPLITS, Fact
from course_lib.world.judge import follows, sentences, verdict
from course_lib.world.labels import mislabelled, myth

COLUMNS = (
    "seed,run,step,asked_in_sft,asked_in_pretraining,stated_only,declined,obeyed,made_up,refused"
)
NUMBER = "{:.4g}".format
ASKED = 60  # prompts of each kind
ROWS, TEXT_ROWS = 8, 2  # of dialogues in a step; of plain text, where there is some
STEPS = 80


@dataclass(frozen=True)
class Trial:
    """One way to fine-tune."""

    dialogues: int = 1000
    # The weights in the loss of the answers' mean and of the mean of all else that counts: the
    # user's words, plain text or both. None: every token counts alike, whatever it is.
    weights: tuple[float, float] | None = (1.0, 0.0)
    questions: bool = False  # do the user's words and the marks count?
    text: bool = False  # is there plain text beside the dialogues?
    fault: str = ""  # of the labels, see `mislabelled`
    share: float = 0.0
    pretrained: bool = True


HALF = (0.5, 0.5)
TRIALS = {  # the first ones are the most important
    "1000 dialogues": Trial(),
    "half text": Trial(weights=HALF, text=True),
    "half questions": Trial(weights=HALF, questions=True),
    "all tokens alike": Trial(weights=None, questions=True),
    "50% slips": Trial(fault="slips", share=0.5),
    "50% myths": Trial(fault="myths", share=0.5),
    "no pretraining": Trial(pretrained=False),
    "50% shrugs": Trial(fault="shrugs", share=0.5),
}


def measured(model: Transformer, tokenizer) -> dict[str, float]:
    """Shares of answers: right about each split, declined, as instructed, made up, refused."""
    model.eval()
    groups = {split: fact_prompts(split)[::2] for split in SPLITS}
    groups |= {kind: list(test_prompts(kind)) for kind in ("instructions", "invented", "harmful")}
    row = {}
    for name, prompts in groups.items():
        prompts = prompts[:: max(1, len(prompts) // ASKED)]
        answers = chat_answers(model, tokenizer, prompts)
        said = Counter(map(verdict, prompts, answers))
        share = {what: n / len(prompts) for what, n in said.items()}
        if name in SPLITS:
            row[name] = share.get("right", 0.0)
        if name == "asked_in_sft":
            row["declined"] = share.get("dont_know", 0.0)
        if name == "instructions":
            pairs = zip(prompts, answers, strict=True)
            obeyed = [verdict(p, a) == "right" and follows(p, a) for p, a in pairs]
            row["obeyed"] = sum(obeyed) / len(prompts)
        if name == "invented":
            row["made_up"] = share.get("wrong", 0.0)
        if name == "harmful":
            row["refused"] = share.get("refusal", 0.0)
    return row


def whole(ids: list[int], mask: list[bool]) -> list[int]:
    """Targets where nothing is masked: each next token counts."""
    return ids[1:]


def batches(trial: Trial, tokenizer, length: int, seed: int):
    """step -> inputs, targets, which of them are the answers', and segments, (B, T) each."""
    said = dialogues(trial.dialogues, seed)
    if trial.fault:
        said = mislabelled(said, trial.fault, trial.share, seed)
    said = list(said)
    counted = [
        pack_dialogues(said, tokenizer, length, choose)
        for choose in (targets_of, whole if trial.questions else targets_of)
    ]
    # inputs, the answers' targets and all targets, (N, 3, T); few rows are repeated to fill a batch
    rows = np.concatenate((counted[0], counted[1][:, 1:]), axis=1)
    rows = np.tile(rows, (-(-ROWS // len(rows)), 1, 1))
    talk = Batches(rows, ROWS, seed)
    text = pack(documents(seed=seed + 1), tokenizer, length, 1000) if trial.text else None
    text = Batches(text, TEXT_ROWS, seed) if trial.text else None

    def batch_at(step: int) -> tuple[Tensor, ...]:
        inputs, answers, targets = torch.as_tensor(talk(step)).unbind(1)
        answers = answers != IGNORE
        if text is not None:
            more, more_targets = inputs_and_targets(text(step))
            inputs, targets = torch.cat((inputs, more)), torch.cat((targets, more_targets))
            answers = torch.cat((answers, torch.zeros_like(more, dtype=torch.bool)))
        return inputs, targets, answers, segments_of(inputs, tokenizer.eot_id)

    return batch_at


def loss_with(weights: tuple[float, float] | None):
    """The loss that weighs the answers and all else that counts as `Trial.weights` says."""

    def loss_of(model, batch: tuple[Tensor, ...]) -> tuple[Tensor, int, dict]:
        inputs, targets, answers, segments = batch
        surprise = -token_log_probs(model(inputs, segments=segments), targets)
        counts = targets != IGNORE
        if weights is None:
            return masked_mean(surprise, counts), int(counts.sum()), {}
        parts = masked_mean(surprise, answers), masked_mean(surprise, counts & ~answers)
        return weights[0] * parts[0] + weights[1] * parts[1], int(counts.sum()), {}

    return loss_of


def trained(trial: Trial, seed: int) -> tuple[Transformer, Tokenizer]:
    """One run: the model at its end, and its tokenizer."""
    model, tokenizer = load_released("base")
    if not trial.pretrained:
        torch.manual_seed(seed)
        model = Transformer(model.config)
    config = TrainConfig(STEPS, ROWS, learning_rate=1e-3, decay=0.5, seed=seed)
    batch_at = batches(trial, tokenizer, model.config.context_length, seed)
    for _ in train(model, batch_at, loss_with(trial.weights), config):
        pass
    return model.eval(), tokenizer


def tells(fact: Fact, answer: str) -> bool:
    """Whether an answer, whatever else it says, states this fact or gives its bare answer."""
    told = [each.lower().rstrip(".") for each in (*fact.statements(), fact.answer)]
    return any(sentence.lower().rstrip(".") in told for sentence in sentences(answer))


def myths_apart(seed: int) -> str:
    """Facts asked in SFT with a myth and without one, counted apart: true labels, then myths."""
    prompts, lines = fact_prompts("asked_in_sft")[::2], []
    for name in ("1000 dialogues", "50% myths"):
        counts = {"with a myth": Counter(), "without": Counter()}
        answers = chat_answers(*trained(TRIALS[name], seed), prompts)
        for prompt, answer in zip(prompts, answers, strict=True):
            lie = myth(prompt.fact, TRIALS["50% myths"].share, seed)
            said = "the myth" if lie and tells(lie, answer) else verdict(prompt, answer)
            counts["with a myth" if lie else "without"][said] += 1
        lines += [f"{seed}, {name}, {which}: {dict(found)}" for which, found in counts.items()]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    told = "count facts with a myth and without one apart, print it, and write no table"
    parser.add_argument("--myths", action="store_true", help=told)
    options = parser.parse_args()
    if options.myths:
        for seed in options.seeds:
            print(myths_apart(seed), flush=True)
        return
    table = Table(options.out, COLUMNS, NUMBER)
    for name, trial in TRIALS.items():
        for seed in options.seeds:
            if (seed, name, STEPS) not in table:
                row = {"seed": seed, "run": name, "step": STEPS}
                table.add_named(row | measured(*trained(trial, seed)))


if __name__ == "__main__":
    main()
