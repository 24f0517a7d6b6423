"""The pipeline: corpus -> tokenizer -> base -> SFT -> reward model -> RLHF -> the two files.

Each stage writes a folder and, last of all, its `manifest.json`: a stage without one is unfinished
and is gone on with, a stage with one is done. A stage is a generator of records, so that whoever
runs it can show how it goes; nothing here prints. On real text the pipeline ends with the base
model: dialogues and rankings are written by the course's own world alone.
"""

import json
import math
import os
import random
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice
from pathlib import Path

import torch

from course_lib.align.dpo import dpo_batches, dpo_loss
from course_lib.align.preferences import (
    Preference,
    Ranking,
    collect,
    load_preferences,
    ranking_by,
    save_preferences,
    with_strangers,
)
from course_lib.align.reward import RewardModel, pair_accuracy, reward_batches, reward_loss
from course_lib.align.rlhf import ActorCritic, policy_loss, rollout_batches
from course_lib.config import DPOConfig, TrainConfig
from course_lib.files.pretrained import load_pretrained, save_pretrained
from course_lib.files.run_file import compile_run_file, find_compiler
from course_lib.machine.ranks import ALONE, Ranks
from course_lib.measure.answers import chat_answers, watched
from course_lib.measure.held_out import HELD_OUT_SEED, held_out, text_loss
from course_lib.model.transformer import Transformer
from course_lib.pipeline.recipe import (
    STAGES,
    Recipe,
    trainable_vocab,
)
from course_lib.pipeline.release import (
    MANIFEST,
    read_manifest,
    write_gguf_files,
)
from course_lib.text.rows import pack, pack_dialogues, text_batches
from course_lib.text.shards import Shards, shard_batches, writing_shards
from course_lib.text.sources import read_texts
from course_lib.text.tokenizer import Tokenizer
from course_lib.train.loop import TrainRecord, next_token_loss, train
from course_lib.train.sft import sft_batches
from course_lib.world.annotators import gold, rank
from course_lib.world.dialogues import Prompt, dialogues, rl_prompts
from course_lib.world.documents import documents

PREFERENCES = "preferences.jsonl"
SHARDS = "shards"  # folder of the tokenized real text, beside the stages
SAMPLE = 1000  # characters of real text from which its tokenizer is learned, a token
JUDGED = 200_000  # characters of the validation split on which its loss is measured, about


@dataclass(frozen=True)
class Progress:
    """Where a stage is: its name, a step of how many, and the loop's record where there is one."""

    stage: str
    step: int
    steps: int
    note: str = ""
    record: TrainRecord | None = None


def _finish(directory: Path, plan: Recipe, metrics: dict, seconds: float) -> None:
    manifest = {
        "stage": directory.name,
        "recipe": plan.behind(directory.name),
        "metrics": metrics,
        "seconds": round(seconds, 1),
        "torch": str(torch.__version__),
    }
    unfinished = directory / (MANIFEST + ".partial")
    unfinished.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    os.replace(unfinished, directory / MANIFEST)


def run_stage(
    stage: str,
    root: str | Path,
    plan: Recipe,
    device: torch.device | str = "cpu",
    compile: bool = False,
    ranks: Ranks = ALONE,
) -> Iterator[Progress]:
    """Run one stage in `root`/`stage`, after those before it. A finished one is left alone.

    With `ranks` every process calls it and goes through it to its end. Pretraining and SFT are
    trained by all of them; the other stages are the first rank's, while the others wait.
    """
    if stage not in STAGES:
        raise ValueError(f"a stage is one of {', '.join(STAGES)}, got {stage!r}")
    root = Path(root)
    if stage not in plan.stages:
        raise ValueError(
            f"there is no stage {stage!r} on real text: it needs dialogues, which the course's own "
            "world alone writes"
        )
    directory = root / stage
    if ranks.on_first(lambda: _is_finished(directory, plan)):
        return
    started = time.perf_counter()
    device = torch.device(device if ranks.size == 1 else ranks.device)
    work = _RUN[stage](Work(root, plan, device, compile, ranks))
    metrics = yield from (work if stage in _TOGETHER else _on_first(ranks, work))
    ranks.on_first(lambda: _finish(directory, plan, metrics, time.perf_counter() - started))


def run_all(
    root: str | Path,
    plan: Recipe,
    device: torch.device | str = "cpu",
    compile: bool = False,
    ranks: Ranks = ALONE,
) -> Iterator[Progress]:
    """Run every stage of the recipe that is not finished yet, in order."""
    for stage in plan.stages:
        yield from run_stage(stage, root, plan, device, compile, ranks)


def _is_finished(directory: Path, plan: Recipe) -> bool:
    """Whether the stage is done; else its folder is there, and those before it are done."""
    root, stage = directory.parent, directory.name
    for earlier in STAGES[: STAGES.index(stage)]:
        if read_manifest(root / earlier) is None:
            raise ValueError(
                f"the stage {stage!r} needs {earlier!r} first: train it, or all stages"
            )
    done = read_manifest(directory)
    if done is None:
        directory.mkdir(parents=True, exist_ok=True)
        return False
    if done["recipe"] != json.loads(json.dumps(plan.behind(stage))):
        raise ValueError(
            f"{directory} was made by another recipe: choose another folder, or delete this one"
        )
    return True


def _on_first(ranks: Ranks, work: Generator[Progress, None, dict]) -> Iterator[Progress]:
    """The first rank does the work; all of them get its result, or its error."""
    metrics, failed = None, None
    if ranks.first:
        try:
            metrics = yield from work
        except Exception as error:  # raised below, on every rank
            failed = error

    def outcome() -> dict:
        if failed is not None:
            raise failed
        return metrics

    return ranks.together(outcome)[0]


# ---- The stages ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Work:
    """What a stage is given: where its files go, what to make, and on which machine."""

    root: Path
    plan: Recipe
    device: torch.device
    compile: bool
    ranks: Ranks

    def train(self, stage, model, batch_at, loss_of, config, **options) -> Iterator[Progress]:
        """The training loop of a stage, which keeps its state in the stage's folder."""
        options |= dict(state_dir=self.root / stage / "training")
        for record in train(model, batch_at, loss_of, config, **options):
            yield Progress(stage, record.step, config.steps, record=record)

    def train_together(
        self, stage: str, model: Transformer, tokenizer: Tokenizer, batch_at, config: TrainConfig
    ) -> Iterator[Progress]:
        """Next-token training by all ranks, from each one's part of the batches; then saved."""
        model = model.to(self.device)
        options = dict(compile=self.compile, ranks=self.ranks)
        yield from self.train(stage, model, batch_at, next_token_loss, config, **options)
        save_pretrained(self.root / stage, model, tokenizer, ranks=self.ranks)


def _tokenizer(work: Work) -> Iterator[Progress]:
    root, plan = work.root, work.plan
    yield Progress("tokenizer", 0, 1, "learning merges")
    if plan.data is not None:
        vocab_size = plan.model.vocab_size
        texts = _front(read_texts(plan.data), SAMPLE * vocab_size)
    else:
        texts = documents(plan.tokenizer_documents, seed=plan.seed)
        vocab_size = trainable_vocab(plan.model)
    tokenizer = Tokenizer.train(texts, vocab_size)
    tokenizer.save(root / "tokenizer" / "tokenizer.json")
    yield Progress("tokenizer", 1, 1)
    return {"vocab_size": tokenizer.vocab_size}


def _front(texts: Iterable[str], n_chars: int) -> Iterator[str]:
    """The texts up to `n_chars` characters together, the last one cut."""
    for text in texts:
        yield text[:n_chars]
        n_chars -= len(text)
        if n_chars <= 0:
            return


def _base(work: Work) -> Iterator[Progress]:
    plan, config = work.plan, work.plan.base
    tokenizer = Tokenizer.load(work.root / "tokenizer" / "tokenizer.json")
    judge = _judge_world
    if plan.data is None:
        yield Progress("base", 0, config.steps, "writing the corpus")
        rows = _text_rows(tokenizer, plan, config.steps * config.batch_rows)
        batches = text_batches(rows, config.batch_rows, tokenizer.eot_id, plan.seed)
        batches = work.ranks.part(batches)
    else:
        yield from _on_first(work.ranks, _shards(work, tokenizer))
        shards = Shards(work.root / SHARDS, tokenizer)
        length, place = plan.model.context_length, (work.ranks.rank, work.ranks.size)
        batches = shard_batches(shards, length, config.batch_rows, plan.seed, *place)
        judge = partial(_judge_text, shards=shards, seen=config.steps * config.batch_rows * length)
    model = Transformer(plan.model, seed=plan.seed)
    yield from work.train_together("base", model, tokenizer, batches, config)
    return work.ranks.on_first(lambda: judge(*load_pretrained(work.root / "base")))


def _shards(work: Work, tokenizer: Tokenizer) -> Iterator[Progress]:
    plan, config, folder = work.plan, work.plan.base, work.root / SHARDS
    if read_manifest(folder) is None:
        wanted = config.steps * config.batch_rows * plan.model.context_length + 1
        workers = torch.get_num_threads()
        options = dict(source=plan.data, max_tokens=wanted, workers=workers)
        for n in writing_shards(read_texts(plan.data), tokenizer, folder, **options):
            yield Progress("base", 0, config.steps, f"tokenizing: {n:,} tokens")


def _judge_world(model: Transformer, tokenizer: Tokenizer) -> dict[str, float]:
    loss = held_out(model.eval(), tokenizer, islice(documents(seed=HELD_OUT_SEED), 500))
    return {"gap_to_floor": loss.gap, "bits_per_byte": loss.bits_per_byte}


def _judge_text(model: Transformer, tokenizer: Tokenizer, shards: Shards, seen: int) -> dict:
    held_back = _front(shards.texts(tokenizer), JUDGED)
    bits_per_byte = text_loss(model.eval(), tokenizer, held_back)
    return {"bits_per_byte": bits_per_byte, "epochs": seen / shards.n_tokens()}


def _text_rows(tokenizer: Tokenizer, plan: Recipe, n_rows: int):
    return pack(documents(seed=plan.seed + 1), tokenizer, plan.model.context_length, n_rows)


def _sft(work: Work) -> Iterator[Progress]:
    plan = work.plan
    model, tokenizer = load_pretrained(work.root / "base")
    talk = pack_dialogues(
        dialogues(plan.n_dialogues, plan.seed), tokenizer, plan.model.context_length
    )
    text = _text_rows(tokenizer, plan, 1000)
    batches = sft_batches(talk, text, plan.sft, tokenizer.eot_id, plan.text_share)
    yield from work.train_together("sft", model, tokenizer, work.ranks.part(batches), plan.sft)
    return {}


def _reward(work: Work) -> Iterator[Progress]:
    root, plan = work.root, work.plan
    sft, tokenizer = load_pretrained(root / "sft")
    sft.to(work.device).eval()
    path = root / "reward" / PREFERENCES
    yield Progress("reward", 0, plan.reward.steps, "asking for rankings")
    prompts = rl_prompts(plan.preference_prompts, seed=plan.seed)
    K = plan.preference_answers
    copies = [prompt for prompt in prompts for _ in range(K)]
    sampled = chat_answers(sft, tokenizer, copies, temperature=1.0, seed=plan.seed)
    rng = random.Random(f"annotators {plan.seed}")

    def rank_as_people_do(prompt: str, answers: list[str]) -> Ranking:
        dials = dict(noise=plan.ranking_noise, length_bias=plan.length_bias)
        return rank(prompt, answers, rng, **dials)

    pairs = _ranked(prompts, sampled, plan, rng, rank_as_people_do)
    held_back = len(pairs) // 10
    save_preferences(path, pairs)
    model = RewardModel.from_sft(sft, tokenizer, plan.seed).to(work.device)
    batches = reward_batches(pairs[held_back:], plan.reward)
    yield from work.train("reward", model, batches, reward_loss, plan.reward)
    model.eval()
    model.normalise([prompt.text for prompt in copies[:600]], sampled[:600])
    model.cpu().save(root / "reward")
    return {"pairs": len(pairs)} | judged(model, pairs[:held_back], plan.ranking_noise)


def judged(model: RewardModel, pairs: list[Preference], noise: float) -> dict[str, float]:
    """How well the reward model orders pairs that it never saw, beside what could be reached.

    `pair_accuracy`: as the annotators did. Its ceilings: `gold_accuracy`, which the gold reward
    itself reaches (equally good answers count a half), and `noise_ceiling`, which it was expected
    to reach given the annotators' noise. `gold_order`: as the gold reward does where it prefers one
    (it always does so somewhere, but in a test's tiny sample).
    """
    gaps = [gold(pair.prompt, pair.chosen) - gold(pair.prompt, pair.rejected) for pair in pairs]
    decided = [
        pair if gap > 0 else Preference(pair.prompt, pair.rejected, pair.chosen)
        for pair, gap in zip(pairs, gaps, strict=True)
        if gap
    ]
    found = {
        "pair_accuracy": pair_accuracy(model, pairs),
        "gold_accuracy": sum(0.5 + 0.5 * ((gap > 0) - (gap < 0)) for gap in gaps) / len(gaps),
        "noise_ceiling": sum(1 / (1 + math.exp(-abs(gap) / noise)) for gap in gaps) / len(gaps),
    }
    return found | ({"gold_order": pair_accuracy(model, decided)} if decided else {})


def _ranked(
    prompts: list[Prompt],
    sampled: list[str],
    plan: Recipe,
    rng: random.Random,
    annotator: Callable[[str, list[str]], Ranking],
) -> list[Preference]:
    """The pairs of one ranking a prompt: of the model's answers to it, and of a few strangers."""
    K = plan.preference_answers
    groups = [sampled[start : start + K] for start in range(0, len(sampled), K)]
    kinds = [prompt.kind for prompt in prompts]
    groups = with_strangers(groups, kinds, plan.strangers, rng)
    return collect([prompt.text for prompt in prompts], groups, annotator)


def _rlhf(work: Work) -> Iterator[Progress]:
    model, tokenizer = load_pretrained(work.root / "sft")
    reference = deepcopy(model).to(work.device).eval()
    model.to(work.device)
    run = _dpo if isinstance(work.plan.rl, DPOConfig) else _policy_gradient
    yield from run(work, model, reference, tokenizer)
    save_pretrained(work.root / "rlhf", model.cpu(), tokenizer)
    return {}


def _policy_gradient(work: Work, model, reference, tokenizer) -> Iterator[Progress]:
    """PPO or GRPO: the model's own answers, graded by the reward model."""
    plan = work.plan
    reward_model = RewardModel.load(work.root / "reward").to(work.device)
    prompts = [prompt.text for prompt in rl_prompts(4000, seed=plan.seed + 1)]
    policy = ActorCritic(model, reward_model) if plan.rl.algorithm == "ppo" else model
    batches = rollout_batches(
        policy, reference, reward_model, tokenizer, prompts, plan.rl, plan.seed
    )

    def loss_of(policy, batch):
        loss, n_tokens, extra = policy_loss(policy, batch, plan.rl)
        return loss, n_tokens, extra | watched(batch.prompts, batch.answers)

    updates = plan.rl.updates
    yield from work.train("rlhf", policy, batches, loss_of, plan.rl_train, together=updates)


def _dpo(work: Work, model, reference, tokenizer) -> Iterator[Progress]:
    """DPO: first the pairs that the reward model learned from, then, if there are more rounds, its
    own judgement of what the model says by then."""
    plan = work.plan
    steps_of_round = math.ceil(plan.rl_train.steps / plan.rl.rounds)

    @cache
    def batches(round_number: int) -> Callable[[int], tuple]:
        if round_number == 0:
            asked = load_preferences(work.root / "reward" / PREFERENCES)
            pairs = asked[len(asked) // 10 :]
        else:
            pairs = _judged_anew(work, model, tokenizer, round_number)
        return dpo_batches(reference, tokenizer, pairs, plan.rl_train)

    def batch_at(step: int) -> tuple:
        round_number, step = divmod(step, steps_of_round)
        return batches(round_number)(step)

    def loss_of(model, batch):
        return dpo_loss(model, batch, plan.rl)

    yield from work.train("rlhf", model, batch_at, loss_of, plan.rl_train)


def _judged_anew(work: Work, model, tokenizer, round_number: int) -> list[Preference]:
    """Pairs of the model's answers of today, as the reward model orders them; kept in a file, as a
    run that is gone on with later can't ask the model of today again."""
    plan, path = work.plan, work.root / "rlhf" / f"round-{round_number + 1}.jsonl"
    if path.exists():
        return load_preferences(path)
    reward_model = RewardModel.load(work.root / "reward").to(work.device)
    seed, K = plan.seed + 100 * round_number, plan.preference_answers
    prompts = rl_prompts(plan.preference_prompts // plan.rl.rounds, seed=seed)
    copies = [prompt for prompt in prompts for _ in range(K)]
    sampled = chat_answers(model, tokenizer, copies, temperature=1.0, seed=seed)

    def rank_by_reward(prompt: str, answers: list[str]) -> Ranking:
        return ranking_by(reward_model.score([prompt] * len(answers), answers))

    rng = random.Random(f"reward model {seed}")
    pairs = _ranked(prompts, sampled, plan, rng, rank_by_reward)
    save_preferences(path, pairs)
    return pairs


def _export(work: Work) -> Iterator[Progress]:
    root = work.root
    yield Progress("export", 0, 1, "writing the two files")
    metrics = {"compiled": find_compiler() is not None}
    metrics |= write_gguf_files(root, root / "export")
    if metrics["compiled"]:
        compile_run_file(root / "export")
    for stage in STAGES[:-1]:
        metrics |= read_manifest(root / stage)["metrics"]
    yield Progress("export", 1, 1)
    return metrics


_RUN: dict[str, Callable[[Work], Iterator[Progress]]] = {
    "tokenizer": _tokenizer,
    "base": _base,
    "sft": _sft,
    "reward": _reward,
    "rlhf": _rlhf,
    "export": _export,
}
_TOGETHER = ("base", "sft")  # what several processes share; the others the first one does alone
