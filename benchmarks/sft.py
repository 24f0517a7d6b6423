"""How many examples, how many steps: python -m benchmarks.sft OUT.csv --bases FOLDER

Fine-tunes the base models FOLDER/seed-N/base on 30, 300 or 3,000 dialogues, with and without a
quarter of pretraining text in each batch, and the wrong way (loss on the question too). On the way
it asks about facts of each split and about invented names. A run takes three minutes on a busy
core. The bases come from `python -m benchmarks.alignment`.
"""

import argparse
import csv
import time
from collections import Counter
from pathlib import Path

import numpy as np

from course_lib.config import TrainConfig
from course_lib.data import pack, pack_dialogues
from course_lib.evaluate import chat_answers
from course_lib.sft import sft_batches
from course_lib.stages import load_stage
from course_lib.train import next_token_loss, train
from course_lib.world.dialogues import dialogues, fact_prompts, test_prompts
from course_lib.world.documents import documents
from course_lib.world.facts import SPLITS
from course_lib.world.judge import verdict

MEASURED_AT = (0, 5, 10, 20, 40, 80, 160, 320)
ASKED = 100  # prompts of each kind
RUNS = [  # name, dialogues, share of text, loss on the question too
    *((f"{n} dialogues", n, 0.25, False) for n in (30, 300, 3000)),
    *((f"{n} dialogues, no text", n, 0.0, False) for n in (30, 3000)),
    ("3000 dialogues, whole", 3000, 0.25, True),
]


def measured(model, tokenizer) -> dict[str, float]:
    """Shares of right answers by split, and of answers about invented things that are made up."""
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


def run(base: Path, seed: int, n_dialogues: int, text_share: float, whole: bool):
    model, tokenizer = load_stage(base, "base")
    length = model.config.context_length
    config = TrainConfig(
        steps=max(MEASURED_AT),
        batch_rows=16,
        learning_rate=1e-3,
        decay=0.5,
        seed=seed,
        precision="bfloat16",
    )
    talk = pack_dialogues(dialogues(n_dialogues, seed), tokenizer, length, whole)
    talk = np.tile(talk, (-(-config.batch_rows // len(talk)), 1, 1))  # few rows fill no batch
    text = pack(documents(seed=seed + 1), tokenizer, length, 1000)
    batch_at = sft_batches(talk, text, config, tokenizer.eot_id, text_share)
    yield 0, measured(model, tokenizer)
    for record in train(model, batch_at, next_token_loss, config):
        if record.step in MEASURED_AT:
            yield record.step, measured(model, tokenizer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--bases", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    started, writer = time.time(), None
    with options.out.open("w", newline="") as file:
        for seed in options.seeds:
            for name, *settings in RUNS:
                for step, row in run(options.bases / f"seed-{seed}", seed, *settings):
                    row = {"seed": seed, "run": name, "step": step} | row
                    if writer is None:
                        writer = csv.DictWriter(file, list(row))
                        writer.writeheader()
                    writer.writerow(
                        {k: f"{v:.4g}" if isinstance(v, float) else v for k, v in row.items()}
                    )
                    file.flush()
                print(f"{time.time() - started:.0f} s: seed {seed}, {name}", flush=True)


if __name__ == "__main__":
    main()
