"""Over-optimisation on purpose: python -m benchmarks.overoptimisation

It starts from the released SFT model. Each seed has new samples, a new crowd that ranks them, a new
reward model, and a GRPO run for each price of a nat of KL. One crowd pays 0.4 for each extra word,
the other nothing. Each rollout is a row of `overoptimisation.csv`; how the model answers at the end
goes to `overoptimised.csv`, with three of its answers in `overoptimised_answers.jsonl`. A run that
is in there is not repeated. A run takes two minutes on a busy core, and so does a crowd.
"""

import argparse
import json
import shutil
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.alignment import run_folder
from benchmarks.table import DATA, Table
from course_lib.align.reward import RewardModel
from course_lib.config import Sampling
from course_lib.machine.cores import set_threads
from course_lib.machine.disk import write_json
from course_lib.measure.answers import chat_answers
from course_lib.pipeline.recipe import Recipe, recipe
from course_lib.pipeline.release import MANIFEST, RELEASED, load_language_model
from course_lib.pipeline.stages import run_stage
from course_lib.world.annotators import gold
from course_lib.world.dialogues import Prompt, test_prompts
from course_lib.world.edition import world_hash
from course_lib.world.judge import verdict

RUN = "seed,bias,kl_price"
CURVE = f"{RUN},step,reward,gold,kl,answer_tokens"
ENDS = (
    f"{RUN},made_up,invented_gold,invented_words,refused,harmful_gold,harmful_words,"
    "harmless_refused,harmless_gold,harmless_words"
)
RUNS = (  # length bias, price of a nat of KL
    *((0.4, kl_price) for kl_price in (0.0, 0.4, 1.0)),
    *((0.0, kl_price) for kl_price in (0.0, 0.4)),
)
BEFORE = ("tokenizer", "base", "sft")
FOUR_PLACES = partial(round, ndigits=4)
SHOWN = ("invented", "harmful", "harmless")  # one answer to a prompt of each kind is kept


def plan_of(seed: int, bias: float, kl_price: float) -> Recipe:
    """The recipe of `nano`, cut to what shows the effect, with a crowd and a leash of its own."""
    plan = recipe("nano", seed)
    return replace(
        plan,
        reward=replace(
            plan.reward,
            train=replace(plan.reward.train, steps=80, batch_rows=16),
            prompts=300,
            length_bias=bias,
        ),
        rlhf=replace(
            plan.rlhf,
            train=replace(plan.rlhf.train, steps=48, learning_rate=3e-4),
            method=replace(plan.rlhf.method, prompts=8, answers=6, kl=kl_price),
        ),
    )


def released(out: Path, plan: Recipe) -> Path:
    """A folder in `out` where the plan finds the released stages, as if it had trained them.

    They are links to the released files, beside a manifest of the plan's own: a stage that another
    recipe made is refused. Each of them holds the tokenizer.
    """
    root = out / f"seed-{plan.seed}"
    for stage in BEFORE:
        folder = root / stage
        folder.mkdir(parents=True, exist_ok=True)
        for file in (RELEASED / stage.replace("tokenizer", "sft")).iterdir():
            if file.name != MANIFEST and not (folder / file.name).exists():
                (folder / file.name).symlink_to(file)
        write_json(folder / MANIFEST, {"stage": stage, "recipe": plan.behind(stage)})
    return root


def optimise(root: Path, plan: Recipe):
    """RL in `root`, which holds all earlier stages; yields one record per rollout."""
    for progress in run_stage("rlhf", root, plan):
        if (progress.step - 1) % plan.rlhf.method.updates == 0:  # the first update on a rollout
            yield progress.record


def at_the_end(root: Path, seed: int) -> tuple[dict, list[dict]]:
    """What the model answers now: greedy answers as shares and means, sampled ones in full."""
    model, tokenizer = load_language_model(root, "rlhf")
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
    said = chat_answers(model, tokenizer, shown, Sampling(seed=seed))
    rewards = reward_model.score([prompt.text for prompt in shown], said)
    answers = [
        {"prompt": p.text, "answer": a, "reward": round(r, 2), "gold": round(gold(p, a), 2)}
        for p, a, r in zip(shown, said, rewards, strict=True)
    ]
    return row, answers


def crowd(out: Path, plan: Recipe) -> Path:
    """The folder of the plan's crowd, with its rankings and the reward model made from them."""
    folder = run_folder(released(out, plan), f"bias-{plan.reward.length_bias}", BEFORE)
    for _ in run_stage("reward", folder, plan):
        pass
    return folder


def one_run(out: Path, data: Path, plan: Recipe) -> None:
    """One run in `out`, whose rows go to the files in `data`, unless they are there already."""
    run = {"seed": plan.seed, "bias": plan.reward.length_bias, "kl_price": plan.rlhf.method.kl}
    curve = Table(data / "overoptimisation.csv", CURVE, FOUR_PLACES, show=False)
    ends = Table(data / "overoptimised.csv", ENDS, FOUR_PLACES)
    if run.values() in ends:
        return
    root = run_folder(crowd(out, plan), f"kl-{plan.rlhf.method.kl}", (*BEFORE, "reward"))
    shutil.rmtree(root / "rlhf", ignore_errors=True)  # half a run, whose first rows are lost
    records = list(optimise(root, plan))
    end, answers = at_the_end(root, plan.seed)
    for record in records:
        if (*run.values(), record.step) not in curve:
            curve.add_named(run | {"step": record.step} | record.extra)
    with (data / "overoptimised_answers.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(
            json.dumps(run | answer | {"world": world_hash()}) + "\n" for answer in answers
        )
    ends.add_named(run | end)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--runs", type=int, nargs="+", default=range(len(RUNS)), help="of RUNS")
    parser.add_argument("--out", type=Path, default=Path("artifacts/overoptimisation"))
    parser.add_argument("--data", type=Path, default=DATA)
    options = parser.parse_args()
    set_threads(1)
    options.data.mkdir(parents=True, exist_ok=True)
    for bias, kl_price in (RUNS[number] for number in options.runs):
        for seed in options.seeds:
            one_run(options.out, options.data, plan_of(seed, bias, kl_price))


if __name__ == "__main__":
    main()
