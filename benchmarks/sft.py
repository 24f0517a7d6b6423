"""How many examples does SFT need? python -m benchmarks.sft OUT.csv --bases FOLDER

Fine-tunes the base models FOLDER/seed-N/base on 30, 300 or 3,000 dialogues: with a quarter of
pretraining text in each batch, without, and the wrong way (loss on the question too). On the way it
asks about facts of each split and about invented names. A run takes three minutes on a busy core.
The bases come from `python -m benchmarks.alignment`.

Without `--bases` it repeats the short runs of notebook 04, all from the released base model. There
the seed decides the dialogues, the text beside them, and their order.
"""

import argparse
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.table import Table
from course_lib.config import TrainConfig
from course_lib.files.run_file import RELEASED
from course_lib.measure.answers import chat_answers
from course_lib.pipeline.release import load_language_model
from course_lib.text.rows import pack, pack_dialogues
from course_lib.train.loop import next_token_loss, train
from course_lib.train.sft import sft_batches
from course_lib.world.dialogues import dialogues, fact_prompts, test_prompts
from course_lib.world.documents import documents
from course_lib.world.facts import SPLITS
from course_lib.world.judge import verdict

COLUMNS = "seed,run,step,asked_in_sft,asked_in_pretraining,stated_only,made_up"
NUMBER = "{:.4g}".format
MEASURED_AT = {320: (0, 5, 10, 20, 40, 80, 160, 320), 80: (80,)}  # steps of a run -> moments
LONG = TrainConfig(steps=320, batch_rows=16, learning_rate=1e-3, decay=0.5, precision="bfloat16")
SHORT = TrainConfig(steps=80, batch_rows=8, learning_rate=1e-3, decay=0.5)  # as in the notebook
ASKED = 100  # prompts of each kind
RUNS = [  # name, dialogues, share of text, loss on the question too
    *((f"{n} dialogues", n, 0.25, False) for n in (30, 300, 3000)),
    *((f"{n} dialogues, no text", n, 0.0, False) for n in (30, 3000)),
    ("3000 dialogues, whole", 3000, 0.25, True),
]
SHORT_RUNS = [
    ("1000 dialogues", 1000, 0.25, False),
    ("1000 dialogues, whole", 1000, 0.25, True),
]


def measured(model, tokenizer) -> dict[str, float]:
    """Share of right answers in each split, and of made-up answers about invented things."""
    model.eval()
    groups = {
        split: fact_prompts(split)[:: max(1, len(fact_prompts(split)) // ASKED)] for split in SPLITS
    }
    groups["invented"] = test_prompts("invented")[:ASKED]
    row = {}
    for name, prompts in groups.items():
        answers = chat_answers(model, tokenizer, prompts)
        counts = Counter(map(verdict, prompts, answers))
        wanted = "wrong" if name == "invented" else "right"
        row["made_up" if name == "invented" else name] = counts[wanted] / len(prompts)
    model.train()
    return row


def run(base: Path, config: TrainConfig, n_dialogues: int, text_share: float, whole: bool):
    """One run: pairs of (step, what is measured there), at the moments in `MEASURED_AT`."""
    model, tokenizer = load_language_model(base, "base")
    length, seed = model.config.context_length, config.seed
    talk = pack_dialogues(dialogues(n_dialogues, seed), tokenizer, length, whole)
    talk = np.tile(talk, (-(-config.batch_rows // len(talk)), 1, 1))  # few rows fill no batch
    text = pack(documents(seed=seed + 1), tokenizer, length, 1000)
    batch_at = sft_batches(talk, text, config, tokenizer.eot_id, text_share)
    moments = MEASURED_AT[config.steps]
    if 0 in moments:
        yield 0, measured(model, tokenizer)
    for record in train(model, batch_at, next_token_loss, config):
        if record.step in moments:
            yield record.step, measured(model, tokenizer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--bases", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    plan, runs = (LONG, RUNS) if options.bases else (SHORT, SHORT_RUNS)
    table = Table(options.out, COLUMNS, NUMBER)
    for seed in options.seeds:
        base = options.bases / f"seed-{seed}" if options.bases else RELEASED
        for name, *settings in runs:
            if (seed, name, plan.steps) in table:
                continue
            for step, row in run(base, replace(plan, seed=seed), *settings):
                if (seed, name, step) not in table:
                    table.add_named({"seed": seed, "run": name, "step": step} | row)


if __name__ == "__main__":
    main()
