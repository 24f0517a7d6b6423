"""Over-optimisation on purpose: python -m benchmarks.overoptimisation

The released SFT model, and for every seed new samples, a new crowd that ranks them, a new reward
model and a GRPO run for each price of a nat of KL. To one crowd a word more is worth 0.4 rewards,
to the other nothing. Each rollout is a row of `overoptimisation.csv`; how the model answers at the
end stands in `overoptimised.csv`, and three of its answers in `overoptimised_answers.jsonl`. What
stands there is not run again. A run takes two minutes on a busy core, a crowd as long.
"""

import argparse
import csv
import json
import shutil
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

from benchmarks.alignment import beside
from course_lib import stages
from course_lib.device import set_threads
from course_lib.evaluate import chat_answers
from course_lib.reward import RewardModel
from course_lib.world.annotators import gold
from course_lib.world.dialogues import Prompt, test_prompts
from course_lib.world.judge import verdict

HERE = Path(__file__).parent / "data"
RUNS = (  # length bias, price of a nat of KL
    *((0.4, kl_price) for kl_price in (0.0, 0.4, 1.0)),
    *((0.0, kl_price) for kl_price in (0.0, 0.4)),
)
BEFORE = ("tokenizer", "base", "sft")
RECORDED = ("reward", "gold", "kl", "answer_tokens")
SHOWN = ("invented", "harmful", "harmless")  # one answer to a prompt of each kind is kept


def plan_of(seed: int, bias: float, kl_price: float) -> stages.Recipe:
    """The recipe of `nano`, cut to what shows the effect, with another crowd and another leash."""
    plan = stages.recipe("nano", seed)
    return replace(
        plan,
        reward=replace(plan.reward, steps=80, batch_rows=16),
        rl_train=replace(plan.rl_train, steps=48, learning_rate=3e-4),
        rl=replace(plan.rl, prompts=8, answers=6, kl=kl_price),
        preference_prompts=300,
        length_bias=bias,
    )


def released(out: Path) -> Path:
    """A folder that begins with the released stages; the tokenizer lies in each of them."""
    out.mkdir(parents=True, exist_ok=True)
    for stage in BEFORE:
        if not (out / stage).exists():
            (out / stage).symlink_to(stages.RELEASED / stage.replace("tokenizer", "sft"))
    return out


def optimise(root: Path, plan: stages.Recipe):
    """RL in `root`, which holds all before it; yields a record a rollout."""
    for progress in stages.run_stage("rlhf", root, plan):
        if (progress.step - 1) % plan.rl.updates == 0:  # the first update on a rollout
            yield progress.record


def at_the_end(root: Path, seed: int) -> tuple[dict, list[dict]]:
    """What the model answers now: greedy, in shares and means; and sampled, word for word."""
    model, tokenizer = stages.load_stage(root, "rlhf")
    reward_model = RewardModel.load(root / "reward")
    row = {}
    for kind, wanted, name in (
        ("invented", "wrong", "made_up"),
        ("harmful", "refusal", "refused"),
        ("harmless", "refusal", "harmless_refused"),
    ):
        prompts = test_prompts(kind)
        answers = chat_answers(model, tokenizer, prompts)
        row[name] = Counter(map(verdict, prompts, answers))[wanted] / len(prompts)
        row[f"{kind}_gold"] = sum(map(gold, prompts, answers)) / len(prompts)
        row[f"{kind}_words"] = sum(len(answer.split()) for answer in answers) / len(answers)
    shown: list[Prompt] = [test_prompts(kind)[seed] for kind in SHOWN]
    said = chat_answers(model, tokenizer, shown, temperature=1.0, seed=seed)
    rewards = reward_model.score([prompt.text for prompt in shown], said)
    answers = [
        {"prompt": p.text, "answer": a, "reward": round(r, 2), "gold": round(gold(p, a), 2)}
        for p, a, r in zip(shown, said, rewards, strict=True)
    ]
    return row, answers


def append(path: Path, rows: list[dict]) -> None:
    """Adds rows to a CSV, or to JSON lines."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        if path.suffix == ".jsonl":
            file.writelines(json.dumps(row) + "\n" for row in rows)
            return
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        if new:
            writer.writeheader()
        for row in rows:
            writer.writerow({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()})


def crowd(out: Path, plan: stages.Recipe) -> Path:
    """The folder of the plan's crowd, with its rankings and the reward model they made."""
    folder = beside(released(out), f"seed-{plan.seed}/bias-{plan.length_bias}", BEFORE)
    for _ in stages.run_stage("reward", folder, plan):
        pass
    return folder


def one_run(out: Path, data: Path, plan: stages.Recipe) -> None:
    """One run among those in `out`, and its rows to the files in `data`; nothing if they stand."""
    run = {"seed": plan.seed, "bias": plan.length_bias, "kl_price": plan.rl.kl}
    ends = data / "overoptimised.csv"
    if ends.exists():
        with ends.open(newline="") as file:
            if any(all(float(row[k]) == run[k] for k in run) for row in csv.DictReader(file)):
                return
    root = beside(crowd(out, plan), f"kl-{plan.rl.kl}", (*BEFORE, "reward"))
    shutil.rmtree(root / "rlhf", ignore_errors=True)  # half a run, whose first rows are lost
    records = list(optimise(root, plan))
    end, answers = at_the_end(root, plan.seed)
    curve = [
        {"step": record.step} | {name: record.extra[name] for name in RECORDED}
        for record in records
    ]
    append(data / "overoptimisation.csv", [run | row for row in curve])
    append(data / "overoptimised_answers.jsonl", [run | answer for answer in answers])
    append(ends, [run | end])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--runs", type=int, nargs="+", default=range(len(RUNS)), help="of RUNS")
    parser.add_argument("--out", type=Path, default=Path("artifacts/overoptimisation"))
    parser.add_argument("--data", type=Path, default=HERE)
    options = parser.parse_args()
    set_threads(1)
    options.data.mkdir(parents=True, exist_ok=True)
    started = time.time()
    for bias, kl_price in (RUNS[number] for number in options.runs):
        for seed in options.seeds:
            one_run(options.out, options.data, plan_of(seed, bias, kl_price))
            print(f"{time.time() - started:.0f} s: {bias=}, {kl_price=}, {seed=}", flush=True)


if __name__ == "__main__":
    main()
