"""The pipeline: corpus -> tokenizer -> base -> SFT -> reward model -> RLHF -> the two files.

Each stage writes a folder and, last of all, its `manifest.json`. A stage with a manifest is done;
one without is unfinished, and the next run continues it. Nothing here prints: a stage yields its
progress, and whoever runs it decides what to show. On real text the pipeline ends with the base
model, because only the course's own world can write dialogues and rank answers.

Start with the six functions below "The stages", from `_tokenizer` to `_export`. They are the course
in six screens. All above them is about stopping, continuing, and not mixing two recipes.
"""

import json
import math
import random
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import torch

from course_lib.align.dpo import dpo_batches, dpo_loss
from course_lib.align.preferences import (
    Preference,
    Ranking,
    load_preferences,
    ranking_by,
    save_preferences,
)
from course_lib.align.reward import RewardModel, reward_batches, reward_loss
from course_lib.align.rlhf import ActorCritic, policy_loss, rollout_batches
from course_lib.config import DPOConfig, PPOConfig, TrainConfig
from course_lib.files.pretrained import load_pretrained, save_pretrained
from course_lib.files.run_file import compile_run_file
from course_lib.machine.disk import write_json
from course_lib.machine.ranks import ALONE, Ranks
from course_lib.measure.answers import watched
from course_lib.measure.held_out import held_out, text_loss
from course_lib.model.transformer import Transformer
from course_lib.pipeline.rankings import ask, pair_metrics, parted, ranked
from course_lib.pipeline.recipe import STAGES, BaseStage, Recipe
from course_lib.pipeline.release import MANIFEST, keep_checkpoint, read_manifest, write_gguf_files
from course_lib.text.rows import pack, pack_dialogues, text_batches
from course_lib.text.shards import Shards, shard_batches, writing_shards
from course_lib.text.sources import read_texts
from course_lib.text.tokenizer import Tokenizer, count_words, learning_merges, merges_for
from course_lib.train.loop import TrainRecord, next_token_loss, train
from course_lib.train.sft import sft_batches
from course_lib.world.annotators import best_first
from course_lib.world.dialogues import dialogues, rl_prompts
from course_lib.world.documents import documents, held_out_documents

PREFERENCES = "preferences.jsonl"
SHARDS = "shards"  # folder of the tokenized real text, beside the stages


@dataclass(frozen=True)
class Progress:
    """How far a stage is: its name, the step of how many, and the loop's record, if it trains."""

    stage: str
    step: int
    steps: int
    note: str = ""  # what it does before the first step: "writing the corpus", ...
    record: TrainRecord | None = None


def _finish(directory: Path, plan: Recipe, metrics: dict, seconds: float) -> None:
    """Writes the manifest. Everything else must be on the disk by now: this file says so."""
    manifest = {
        "stage": directory.name,
        "recipe": plan.behind(directory.name),
        "metrics": metrics,
        "seconds": round(seconds, 1),
        "torch": str(torch.__version__),  # another version may round differently
    }
    write_json(directory / MANIFEST, manifest, indent=1)


def run_stage(
    stage: str,
    root: str | Path,
    plan: Recipe,
    device: torch.device | str = "cpu",
    compile: bool = False,
    ranks: Ranks = ALONE,
) -> Iterator[Progress]:
    """Run one stage in `root`/`stage`, after those before it. A finished stage is left alone.

    With `ranks` every process calls this and must take it to its end, or the others would wait for
    it. All of them train the base and the SFT model; the rest is done by the first rank alone.
    """
    if stage not in STAGES:
        raise ValueError(f"a stage is one of {', '.join(STAGES)}, got {stage!r}")
    root = Path(root)
    if stage not in plan.stages:
        raise ValueError(
            f"there is no stage {stage!r} on real text: it needs dialogues, which only the "
            "course's own world writes"
        )
    directory = root / stage
    if ranks.on_first(lambda: _is_finished(directory, plan)):
        return
    started = time.perf_counter()
    device = torch.device(device if ranks.size == 1 else ranks.device)
    work = _RUN[stage](Work(root, plan, device, compile, ranks))
    metrics = yield from (work if stage in _TOGETHER else _on_first(ranks, work))
    ranks.on_first(lambda: _finish(directory, plan, metrics, time.perf_counter() - started))


def _is_finished(directory: Path, plan: Recipe) -> bool:
    """Whether the stage is done. If it isn't, all that it builds on is, and it has a folder."""
    root, stage = directory.parent, directory.name
    for earlier in STAGES[: STAGES.index(stage)]:
        if not _is_made_by(plan, root / earlier):
            raise ValueError(
                f"the stage {stage!r} needs {earlier!r} first: train it, or all stages"
            )
    if _is_made_by(plan, directory):
        return True
    directory.mkdir(parents=True, exist_ok=True)
    return False


def _is_made_by(plan: Recipe, directory: Path) -> bool:
    """Whether the stage in this folder is finished; ValueError where another recipe made it."""
    done = read_manifest(directory)
    if done is None:
        return False
    # A model half of one recipe and half of another would look fine and mean nothing. (There and
    # back through JSON, because a tuple in the recipe is a list in the manifest.)
    wanted = json.loads(json.dumps(plan.behind(directory.name)))
    changed = {n for n in wanted | done["recipe"] if wanted.get(n) != done["recipe"].get(n)}
    if changed:
        what = f"of {plan.data} before it changed" if changed == {"text"} else "by another recipe"
        raise ValueError(f"{directory} was made {what}: choose another folder, or delete this one")
    return True


def _on_first(ranks: Ranks, work: Generator[Progress, None, dict]) -> Iterator[Progress]:
    """The first rank does the work; all of them get its result, or its error.

    The error must reach the others, too: they would wait for a result that never comes.
    """
    metrics, failed = None, None
    if ranks.first:
        try:
            metrics = yield from work
        except Exception as error:  # kept here, raised below on every rank
            failed = error

    def outcome() -> dict:
        if failed is not None:
            raise failed
        return metrics

    return ranks.on_first(outcome)


# ---- The stages ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Work:
    """What a stage gets to know: where its files go, what to make, and on which machine."""

    root: Path
    plan: Recipe
    device: torch.device
    compile: bool
    ranks: Ranks

    def train(self, stage, model, batch_at, loss_of, config, **options) -> Iterator[Progress]:
        """The stage's training. Its state lies in the stage's folder, so the next run finds it."""
        options |= dict(state_dir=self.root / stage / "training")
        for record in train(model, batch_at, loss_of, config, **options):
            yield Progress(stage, record.step, config.steps, record=record)

    def train_together(
        self, stage: str, model: Transformer, tokenizer: Tokenizer, batch_at, config: TrainConfig
    ) -> Iterator[Progress]:
        """Next-token training by all ranks, each on its own part of the batches; then saved."""
        model = model.to(self.device)
        options = dict(compile=self.compile, ranks=self.ranks)
        yield from self.train(stage, model, batch_at, next_token_loss, config, **options)
        save_pretrained(self.root / stage, model, tokenizer, ranks=self.ranks)


def _tokenizer(work: Work) -> Iterator[Progress]:
    root, plan = work.root, work.plan
    if plan.data is not None:
        vocab_size = plan.model.vocab_size
        texts = _front(read_texts(plan.data), plan.tokenizer.sample * vocab_size)
    else:
        # The world has few words: beyond `most_tokens` a table would mostly hold unused rows.
        texts = documents(plan.tokenizer.documents, seed=plan.seed)
        vocab_size = min(plan.model.vocab_size, plan.tokenizer.most_tokens)
    # `Tokenizer.train`, but with a sign of life: on megabytes without spaces it takes a minute.
    merges, n_merges = [], merges_for(vocab_size)
    yield Progress("tokenizer", 0, n_merges, "reading the text")
    for pair in learning_merges(count_words(texts), n_merges):
        merges.append(pair)
        yield Progress("tokenizer", len(merges), n_merges, "learning merges")
    tokenizer = Tokenizer(merges)
    tokenizer.save(root / "tokenizer" / "tokenizer.json")
    return {"vocab_size": tokenizer.vocab_size}


def _front(texts: Iterable[str], n_chars: int) -> Iterator[str]:
    """The first `n_chars` characters of the texts; the last text is cut."""
    for text in texts:
        yield text[:n_chars]
        n_chars -= len(text)
        if n_chars <= 0:
            return


def _base(work: Work) -> Iterator[Progress]:
    plan, config = work.plan, work.plan.base.train
    tokenizer = Tokenizer.load(work.root / "tokenizer" / "tokenizer.json")
    measure = partial(_world_loss, stage=plan.base)
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
        seen = config.steps * config.batch_rows * length
        measure = partial(_text_loss, stage=plan.base, shards=shards, seen=seen)
    model = Transformer(plan.model, seed=plan.seed)
    for progress in work.train_together("base", model, tokenizer, batches, config):
        if progress.step in plan.base.checkpoints and work.ranks.size == 1:
            keep_checkpoint(work.root / "base", progress.step, model, tokenizer)
        yield progress
    # Measured on what was saved: under fsdp the first rank holds only its share of the model.
    return work.ranks.on_first(lambda: measure(*load_pretrained(work.root / "base")))


def _shards(work: Work, tokenizer: Tokenizer) -> Iterator[Progress]:
    """Real text is tokenized once, into files: it may be larger than the memory."""
    plan, config, folder = work.plan, work.plan.base.train, work.root / SHARDS
    source = f"{plan.data} {plan.text or ''}".rstrip()
    done = read_manifest(folder)
    if done is not None and done["source"] != source:
        raise ValueError(f"{folder} was made of another text: delete it, and {work.root / 'base'}")
    if done is None:
        # One token more than the model reads, because the last one it reads needs a target.
        wanted = config.steps * config.batch_rows * plan.model.context_length + 1
        workers = torch.get_num_threads()
        options = dict(source=source, max_tokens=wanted, workers=workers)
        for n in writing_shards(read_texts(plan.data), tokenizer, folder, **options):
            yield Progress("base", 0, config.steps, f"tokenizing: {n:,} tokens")


def _world_loss(model: Transformer, tokenizer: Tokenizer, stage: BaseStage) -> dict[str, float]:
    texts = held_out_documents(stage.held_out_documents)
    loss = held_out(model.eval(), tokenizer, texts)
    return {"gap_to_floor": loss.gap, "bits_per_byte": loss.bits_per_byte}


def _text_loss(
    model: Transformer, tokenizer: Tokenizer, stage: BaseStage, shards: Shards, seen: int
) -> dict[str, float]:
    held_back = _front(shards.texts(tokenizer), stage.held_out_characters)
    bits_per_byte = text_loss(model.eval(), tokenizer, held_back)
    return {"bits_per_byte": bits_per_byte, "epochs": seen / shards.n_tokens()}


def _text_rows(tokenizer: Tokenizer, plan: Recipe, n_rows: int):
    """Rows (n_rows, T + 1) of the world's text. SFT gets the first of those the base model read."""
    # seed + 1: other documents than those that the merges were learned from.
    return pack(documents(seed=plan.seed + 1), tokenizer, plan.model.context_length, n_rows)


def _sft(work: Work) -> Iterator[Progress]:
    plan, stage = work.plan, work.plan.sft
    model, tokenizer = load_pretrained(work.root / "base")
    spoken = pack_dialogues(
        dialogues(stage.dialogues, plan.seed, stage.chatty), tokenizer, plan.model.context_length
    )
    # Some of the old text in each batch: what no dialogue asks about would fade without it.
    text = _text_rows(tokenizer, plan, stage.text_rows)
    batches = sft_batches(spoken, text, stage.train, tokenizer.eot_id, stage.text_share)
    yield from work.train_together("sft", model, tokenizer, work.ranks.part(batches), stage.train)
    return {}


def _reward(work: Work) -> Iterator[Progress]:
    root, plan, stage = work.root, work.plan, work.plan.reward
    sft, tokenizer = load_pretrained(root / "sft")
    sft.to(work.device).eval()
    yield Progress("reward", 0, stage.train.steps, "asking for rankings")
    prompts = rl_prompts(stage.prompts, plan.seed, plan.sft.chatty)
    asked, sampled = ask(sft, tokenizer, prompts, stage.answers, plan.seed)
    rng = random.Random(f"annotators {plan.seed}")

    def as_people_do(prompt: str, answers: list[str]) -> Ranking:
        return best_first(prompt, answers, rng, noise=stage.noise, length_bias=stage.length_bias)

    pairs = ranked(prompts, sampled, stage, rng, as_people_do)
    save_preferences(root / "reward" / PREFERENCES, pairs)
    model = RewardModel.from_sft(sft, tokenizer, plan.seed).to(work.device)
    held_back, learned = parted(pairs, stage)
    batches = reward_batches(learned, stage.train)
    yield from work.train("reward", model, batches, reward_loss, stage.train)
    model.eval()
    # Pairs teach only differences between rewards. Mean 0, deviation 1: a scale RL can rely on.
    model.normalise(asked[: stage.scaled_on], sampled[: stage.scaled_on])
    model.cpu().save(root / "reward")
    return {"pairs": len(pairs)} | pair_metrics(model, held_back, stage.noise)


def _rlhf(work: Work) -> Iterator[Progress]:
    model, tokenizer = load_pretrained(work.root / "sft")
    reference = deepcopy(model).to(work.device).eval()  # the other end of the leash
    model.to(work.device)
    run = _dpo if isinstance(work.plan.rlhf.method, DPOConfig) else _policy_gradient
    yield from run(work, model, reference, tokenizer)
    save_pretrained(work.root / "rlhf", model.cpu(), tokenizer)
    return {}


def _policy_gradient(work: Work, model, reference, tokenizer) -> Iterator[Progress]:
    """PPO or GRPO: the reward model grades what the model answers by itself."""
    plan, stage, dials = work.plan, work.plan.rlhf, work.plan.rlhf.method
    reward_model = RewardModel.load(work.root / "reward").to(work.device)
    # seed + 1: other prompts than those whose answers were ranked.
    prompts = [p.text for p in rl_prompts(stage.prompts, plan.seed + 1, plan.sft.chatty)]
    policy = ActorCritic(model, reward_model) if isinstance(dials, PPOConfig) else model
    batches = rollout_batches(policy, reference, reward_model, tokenizer, prompts, dials, plan.seed)

    def loss_of(policy, batch):
        loss, n_tokens, extra = policy_loss(policy, batch, dials)
        # We look at the gold reward and record it. Nobody trains on it: `loss` is settled by now.
        return loss, n_tokens, extra | watched(batch.prompts, batch.answers)

    yield from work.train("rlhf", policy, batches, loss_of, stage.train, together=dials.updates)


def _dpo(work: Work, model, reference, tokenizer) -> Iterator[Progress]:
    """DPO: no reward model and no sampling, just the pairs that people ranked.

    Further rounds, if there are any, take new pairs: the model's answers by then, as the reward
    model orders them.
    """
    plan, stage, dials = work.plan, work.plan.rlhf, work.plan.rlhf.method
    steps_of_round = math.ceil(stage.train.steps / dials.rounds)

    @cache  # made when its round begins: new pairs need the model as it is then
    def batches(round_number: int) -> Callable[[int], tuple]:
        if round_number == 0:
            _, pairs = parted(load_preferences(work.root / "reward" / PREFERENCES), plan.reward)
        else:
            pairs = _new_pairs(work, model, tokenizer, round_number)
        return dpo_batches(reference, tokenizer, pairs, stage.train)

    def batch_at(step: int) -> tuple:
        round_number, step = divmod(step, steps_of_round)
        return batches(round_number)(step)

    def loss_of(model, batch):
        return dpo_loss(model, batch, dials)

    yield from work.train("rlhf", model, batch_at, loss_of, stage.train)


def _new_pairs(work: Work, model, tokenizer, round_number: int) -> list[Preference]:
    """Pairs of answers that the model gives today, as the reward model orders them.

    They go into a file: a run that continues tomorrow can't ask the model of today again.
    """
    plan, stage = work.plan, work.plan.reward
    path = work.root / "rlhf" / f"round-{round_number + 1}.jsonl"
    if path.exists():
        return load_preferences(path)
    reward_model = RewardModel.load(work.root / "reward").to(work.device)
    seed = plan.seed + 100 * round_number  # other prompts and answers in each round
    prompts = rl_prompts(stage.prompts // plan.rlhf.method.rounds, seed, plan.sft.chatty)
    _, sampled = ask(model, tokenizer, prompts, stage.answers, seed)

    def by_reward(prompt: str, answers: list[str]) -> Ranking:
        return ranking_by(reward_model.score([prompt] * len(answers), answers))

    pairs = ranked(prompts, sampled, stage, random.Random(f"reward model {seed}"), by_reward)
    save_preferences(path, pairs)
    return pairs


def _export(work: Work) -> Iterator[Progress]:
    root = work.root
    yield Progress("export", 0, 1, "writing the two files")
    metrics = {"compiled": True} | write_gguf_files(root, root / "export")
    try:
        compile_run_file(root / "export")
    except ValueError:  # the model is the result, and Python can run it too
        metrics["compiled"] = False
    for stage in STAGES[:-1]:  # the last manifest tells of the whole line
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
# What several processes share. The other stages sample and grade, and they are short.
_TOGETHER = ("base", "sft")
