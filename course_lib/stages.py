"""The pipeline: corpus -> tokenizer -> base -> SFT -> reward model -> RLHF -> the two files.

Each stage writes a folder and, last of all, its `manifest.json`: a stage without one is unfinished
and is gone on with, a stage with one is done. A stage is a generator of records, so that whoever
runs it can show how it goes; nothing here prints. On real text the pipeline ends with the base
model: dialogues and rankings are written by the course's own world alone.
"""

import hashlib
import json
import math
import os
import random
import shutil
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from functools import cache, partial
from itertools import islice
from pathlib import Path

import torch

from course_lib.checkpoint import load_pretrained, save_pretrained
from course_lib.config import DPOConfig, ModelConfig, RLConfig, TrainConfig, model_preset
from course_lib.data import pack, pack_dialogues, text_batches
from course_lib.distributed import ALONE, Ranks
from course_lib.dpo import dpo_batches, dpo_loss
from course_lib.evaluate import HELD_OUT_SEED, chat_answers, held_out, text_loss
from course_lib.gguf import write_gguf
from course_lib.model import Transformer
from course_lib.preferences import (
    Preference,
    Ranking,
    collect,
    load_preferences,
    ranking_by,
    save_preferences,
    with_strangers,
)
from course_lib.reward import RewardModel, pair_accuracy, reward_batches, reward_loss
from course_lib.rlhf import ActorCritic, policy_loss, rollout_batches, watched
from course_lib.run_file import compile_run_file, find_compiler
from course_lib.sft import sft_batches
from course_lib.shards import Shards, shard_batches, writing_shards
from course_lib.texts import read_texts
from course_lib.tokenizer import Tokenizer
from course_lib.train import TrainRecord, next_token_loss, train
from course_lib.world.annotators import best_first, gold
from course_lib.world.dialogues import Prompt, dialogues, rl_prompts
from course_lib.world.documents import documents

STAGES = ("tokenizer", "base", "sft", "reward", "rlhf", "export")
MANIFEST = "manifest.json"
PREFERENCES = "preferences.jsonl"
SHARDS = "shards"  # folder of the tokenized real text, beside the stages
SAMPLE = 1000  # characters of real text from which its tokenizer is learned, a token
JUDGED = 200_000  # characters of the validation split on which its loss is measured, about
RELEASED = Path(__file__).with_name("released")  # the stages that come with the course


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a run of the pipeline makes."""

    model: ModelConfig
    base: TrainConfig
    sft: TrainConfig
    reward: TrainConfig
    rl_train: TrainConfig
    rl: RLConfig | DPOConfig = field(default_factory=RLConfig)
    tokenizer_documents: int = 12_000
    n_dialogues: int = 4_000
    text_share: float = 0.25  # pretraining text in SFT's batches
    preference_prompts: int = 1_200
    preference_answers: int = 3  # sampled from the SFT model for each prompt
    strangers: int = 2  # answers to other prompts, ranked with them
    ranking_noise: float = 0.3  # of the annotators; see `annotators.rank`
    length_bias: float = 0.0  # what a longer answer is worth to them, a word
    seed: int = 0
    data: str | None = None  # real text in place of the course's world, see `texts.read_texts`

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages it goes through: those after the base model need the course's world."""
        return STAGES if self.data is None else STAGES[:2]

    def to_dict(self) -> dict:
        """Without `data` where there is none."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def behind(self, stage: str) -> dict:
        """The part of the recipe that decides what `stage` makes: its own and earlier stages'."""
        earlier = STAGES[: STAGES.index(stage) + 1]
        names = [name for each in earlier for name in _DECIDES[each]]
        return {name: value for name, value in self.to_dict().items() if name in names}


# Which fields of a recipe each stage is the first to look at.
_DECIDES = {
    "tokenizer": ("model", "tokenizer_documents", "seed", "data"),
    "base": ("base",),
    "sft": ("sft", "n_dialogues", "text_share"),
    "reward": (
        "reward",
        "preference_prompts",
        "preference_answers",
        "strangers",
        "ranking_noise",
        "length_bias",
    ),
    "rlhf": ("rl", "rl_train"),
    "export": (),
}

BUDGETS = ("quick", "full")
ALIGNMENTS = {
    "grpo": RLConfig("grpo", prompts=24, answers=4),
    "ppo": RLConfig("ppo", prompts=96, answers=1),
    "dpo": DPOConfig(beta=0.6, nll=0.2),
    "iterative-dpo": DPOConfig(beta=0.6, nll=0.2, rounds=2),
}


def recipe(
    preset: str,
    seed: int = 0,
    precision: str = "float32",
    budget: str = "quick",
    align: str = "grpo",
) -> Recipe:
    """The recipe of a preset: nano, small or gpt2.

    `nano` was tuned by measurement; the larger ones scale its token budget and lower the rates, and
    their world is the same small one: for real text they need real data. The `quick` budget of
    `nano` takes minutes on a laptop, the `full` one, which made the released models, three times as
    long. `align` is the way from SFT to RLHF, one of `ALIGNMENTS`.
    """
    config = model_preset(preset)
    for name, value, known in (("budget", budget, BUDGETS), ("align", align, tuple(ALIGNMENTS))):
        if value not in known:
            raise ValueError(f"{name} is one of {', '.join(known)}, got {value!r}")
    full = budget == "full"
    scale = {"nano": 1.0, "small": 0.25, "gpt2": 0.1}[preset]  # learning rates
    pretraining = {
        "nano": dict(steps=3600 if full else 1400, batch_rows=16, learning_rate=4e-3, decay=0.6),
        "small": dict(steps=5000 if full else 2000, batch_rows=32, learning_rate=1.5e-3),
        "gpt2": dict(steps=10_000 if full else 4000, batch_rows=32, learning_rate=6e-4),
    }[preset]
    common = dict(seed=seed, precision=precision)
    reward = dict(steps=660 if full else 330, batch_rows=24, learning_rate=5e-4 * scale, decay=0.5)
    alignment = (
        dict(steps=400 if full else 200, batch_rows=24, learning_rate=1e-4 * scale, decay=0.5)
        if isinstance(ALIGNMENTS[align], DPOConfig)
        else dict(steps=200 if full else 120, learning_rate=1.5e-4 * scale, warmup=0.05, decay=0.3)
    )
    return Recipe(
        model=config,
        base=TrainConfig(**pretraining, **common),
        sft=TrainConfig(steps=300, batch_rows=16, learning_rate=1e-3 * scale, decay=0.5, **common),
        reward=TrainConfig(**reward, **common),
        rl_train=TrainConfig(weight_decay=0.0, **alignment, **common),
        rl=ALIGNMENTS[align],
        preference_prompts=2400 if full else 1200,
        seed=seed,
    )


def real_text_recipe(
    plan: Recipe, data: str, tokens: int | None = None, vocab_size: int | None = None
) -> Recipe:
    """`plan` on the real text `data`, trained on about `tokens` tokens; else on as many as `plan`.

    Without `vocab_size` the tokenizer gets as many tokens as the model's table has rows.
    """
    model = plan.model.replace(vocab_size=vocab_size or plan.model.vocab_size)
    steps = plan.base.steps
    if tokens is not None:
        if tokens < 1:
            raise ValueError(f"the number of tokens to train on must be 1 or more, got {tokens}")
        steps = math.ceil(tokens / (plan.base.batch_rows * model.context_length))
    return replace(plan, model=model, base=plan.base.replace(steps=steps), data=data)


@dataclass(frozen=True)
class Progress:
    """Where a stage is: its name, a step of how many, and the loop's record where there is one."""

    stage: str
    step: int
    steps: int
    note: str = ""
    record: TrainRecord | None = None


def read_manifest(directory: str | Path) -> dict | None:
    """The manifest of a finished stage, None where there is none."""
    path = Path(directory) / MANIFEST
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


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


def load_stage(root: str | Path, stage: str) -> tuple[Transformer, Tokenizer]:
    """Model and tokenizer of a finished stage: base, sft or rlhf."""
    if stage not in ("base", "sft", "rlhf"):
        raise ValueError(f"a stage with a language model is base, sft or rlhf, got {stage!r}")
    directory = Path(root) / stage
    if read_manifest(directory) is None:
        raise ValueError(
            f"{directory} holds no finished stage: run `python -m course_lib train` first"
        )
    model, tokenizer = load_pretrained(directory)
    return model.eval(), tokenizer


def publish(root: str | Path, target: str | Path) -> None:
    """Copy the finished stages of `root` to `target` in 16 bits: what a release holds.

    The GGUF files are written from the rounded weights, so that all files of a release agree.
    """
    root, target = Path(root), Path(target)
    export = read_manifest(root / "export")
    if export is None:
        raise ValueError(f"{root} holds no finished run: train all stages first")
    for stage in ("base", "sft", "rlhf"):
        save_pretrained(target / stage, *load_stage(root, stage), torch.float16)
    RewardModel.load(root / "reward").save(target / "reward", torch.float16)
    for stage in ("base", "sft", "reward", "rlhf"):
        shutil.copy(root / stage / MANIFEST, target / stage / MANIFEST)
    export["metrics"] |= _write_gguf_files(target, target)
    (target / MANIFEST).write_text(json.dumps(export, indent=1) + "\n", encoding="utf-8")


def _write_gguf_files(root: Path, directory: Path) -> dict[str, str]:
    """The parameters file, and the base model as another to compare with; their hashes."""
    hashes = {}
    for name, stage in (("model.gguf", "rlhf"), ("base.gguf", "base")):
        path = directory / name
        write_gguf(path, *load_stage(root, stage), name=f"Inside an LLM, {stage}")
        hashes[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return hashes


def load_released(stage: str) -> tuple[Transformer, Tokenizer]:
    """Model and tokenizer of a stage that comes with the course: base, sft or rlhf."""
    return load_stage(RELEASED, stage)


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
        vocab_size = _trainable_vocab(plan.model)
    tokenizer = Tokenizer.train(texts, vocab_size)
    tokenizer.save(root / "tokenizer" / "tokenizer.json")
    yield Progress("tokenizer", 1, 1)
    return {"vocab_size": tokenizer.vocab_size}


def _trainable_vocab(config: ModelConfig) -> int:
    """The world has few words: a large table is not filled, its other rows stay unused."""
    return min(config.vocab_size, 2048)


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
        return best_first(prompt, answers, rng, **dials)

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
        return loss, n_tokens, extra | watched(batch)

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
    metrics |= _write_gguf_files(root, root / "export")
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
