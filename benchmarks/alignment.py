"""What do PPO, GRPO and DPO make of the same SFT model? All stages, over several seeds.

    python -m benchmarks.alignment --seeds 0 1 2     # an hour on two cores; stop it, it continues
    python -m benchmarks.alignment --device cuda --data results      # minutes per seed on a GPU
    python -m benchmarks.alignment --table           # no run, only the table of the results so far

Each seed follows the full recipe of `nano`. Its base, SFT and aligned models get a report card
(`cards.jsonl`), and each step of the RL loop gets a row (`alignment.csv`). With `--unleashed`, one
more run shows what the reward alone leads to: no leash, and annotators who like long answers.
"""

import argparse
import json
import statistics
from dataclasses import replace
from pathlib import Path

from benchmarks.table import DATA, Table
from course_lib.commands import report
from course_lib.machine.cores import set_threads
from course_lib.machine.device import pick_device
from course_lib.measure.card import summary
from course_lib.pipeline.recipe import ALIGNMENTS, Recipe, recipe
from course_lib.pipeline.release import load_language_model, read_manifest
from course_lib.pipeline.stages import run_stage
from course_lib.world.edition import world_hash

NUMBER = "{:.4f}".format
COLUMNS = "seed,run,step,reward,gold,kl,answer_tokens,accuracy,chosen_gain,rejected_gain"
SHARED = ("tokenizer", "base", "sft", "reward")
# What the over-optimised run changes: a word more is worth 0.4 to the annotators, a nat nothing.
LENGTH_BIAS = 0.4


def run_folder(root: Path, name: str, shared: tuple[str, ...]) -> Path:
    """The folder `name` in `root`, for a run that shares its first stages with `root`."""
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    for stage in shared:
        if not (folder / stage).exists():
            (folder / stage).symlink_to((root / stage).resolve())
    return folder


def run(
    root: Path,
    stage_names,
    plan: Recipe,
    device="cpu",
    curves: Table | None = None,
    name="",
) -> None:
    """Run the stages. What a step of the last one measures becomes a row of `curves`."""
    for stage in stage_names:
        for progress in run_stage(stage, root, plan, device):
            if curves is None or stage != "rlhf" or not progress.record.extra:
                continue
            begins = (plan.seed, name, progress.step)
            if begins not in curves:
                found = map(progress.record.extra.get, curves.columns[len(begins) :])
                curves.add(*begins, *found)


def add_card(
    path: Path, seed: int, name: str, root: Path, stage: str, documents: int, device="cpu"
) -> None:
    """Add the summary of a report card, unless it is there already."""
    if path.exists() and any(
        (row["seed"], row["model"]) == (seed, name) for row in map(json.loads, path.open())
    ):
        return
    model, tokenizer = load_language_model(root, stage)
    model.to(device)
    reference = load_language_model(root, "sft")[0].to(device) if stage == "rlhf" else None
    card = report(model, tokenizer, documents, chat=stage != "base", reference=reference)
    metrics = read_manifest(root / "reward")["metrics"] if stage == "sft" else {}
    row = {"seed": seed, "model": name} | summary(card) | metrics | {"world": world_hash()}
    with open(path, "a") as file:
        file.write(
            json.dumps({k: round(v, 5) if isinstance(v, float) else v for k, v in row.items()})
            + "\n"
        )
    print(seed, name, "done", flush=True)


def one_seed(seed: int, options: argparse.Namespace) -> None:
    root, cards = options.out / f"seed-{seed}", options.data / "cards.jsonl"
    curves = Table(options.data / "alignment.csv", COLUMNS, NUMBER, show=False)
    judged = dict(documents=options.documents, device=options.device)
    plan = recipe("nano", seed, options.precision, "full")
    run(root, SHARED, plan, options.device)
    for stage in ("base", "sft"):
        add_card(cards, seed, stage, root, stage, **judged)
    runs = [
        (align, recipe("nano", seed, options.precision, "full", align)) for align in options.align
    ]
    if options.unleashed:
        crowd = replace(plan.reward, length_bias=LENGTH_BIAS)
        method = replace(plan.rlhf.method, kl=0.0)
        loose = replace(plan, reward=crowd, rlhf=replace(plan.rlhf, method=method))
        runs.append(("unleashed", loose))
    for name, other in runs:
        kept = SHARED[:-1] if name == "unleashed" else SHARED
        folder = run_folder(root, name, kept)
        run(folder, ("reward", "rlhf"), other, options.device, curves, name)
        add_card(cards, seed, name, folder, "rlhf", **judged)


def table(rows: list[dict]) -> str:
    """Markdown: the mean over the seeds (lowest to highest), with a column for each model."""
    models = list(dict.fromkeys(row["model"] for row in rows))
    keys = list(dict.fromkeys(key for row in rows for key in row if key not in ("seed", "model")))
    lines = ["| | " + " | ".join(models) + " |", "|---" * (len(models) + 1) + "|"]
    for key in keys:
        cells = []
        for model in models:
            values = [row[key] for row in rows if row["model"] == model and key in row]
            if not values:
                cells.append("")
                continue
            mean, low, high = statistics.fmean(values), min(values), max(values)
            cells.append(f"{mean:.3g} ({low:.3g} to {high:.3g})")
        lines.append(f"| {key} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("artifacts/seeds"), help="the models")
    parser.add_argument("--data", type=Path, default=DATA, help="cards.jsonl and alignment.csv")
    parser.add_argument("--precision", default="bfloat16", choices=("float32", "bfloat16"))
    parser.add_argument("--documents", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", type=pick_device, default="cpu")
    known = list(ALIGNMENTS)
    parser.add_argument("--align", nargs="*", default=known, choices=known)
    parser.add_argument("--unleashed", action="store_true", help="the run without a leash, too")
    parser.add_argument("--table", action="store_true", help="run nothing")
    options = parser.parse_args()
    if not options.table:
        set_threads(options.threads)
        options.data.mkdir(parents=True, exist_ok=True)
        for seed in options.seeds:
            one_seed(seed, options)
    print(table([json.loads(line) for line in (options.data / "cards.jsonl").open()]))


if __name__ == "__main__":
    main()
