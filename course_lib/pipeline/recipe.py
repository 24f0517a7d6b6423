"""What a run of the pipeline makes: one record per stage, and nothing decided elsewhere.

Each stage's folder keeps the part of the recipe that decided what is in it: its own record and
those of the stages before. A run with other settings is noticed there, and never mixed in.
"""

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from course_lib.config import (
    DPOConfig,
    GRPOConfig,
    ModelConfig,
    PPOConfig,
    TrainConfig,
    model_preset,
    settings,
)
from course_lib.text.sources import text_hash

DEFAULT_ROOT = Path("artifacts/nano")  # where the stages go if you name no other folder
STAGES = ("tokenizer", "base", "sft", "reward", "rlhf", "export")


@dataclass(frozen=True)
class TokenizerStage:
    """What the merges are learned from."""

    documents: int = 12_000  # of the world
    most_tokens: int = 2048  # the world has few words: a larger table keeps unused rows
    sample: int = 1000  # characters of real text, where there is some, per token


@dataclass(frozen=True)
class BaseStage:
    """Pretraining, and what its loss is measured on."""

    train: TrainConfig
    checkpoints: tuple[int, ...] = (10, 40, 150, 500, 1500, 7000)  # steps kept, to watch it learn
    held_out_documents: int = 500  # of the world
    held_out_characters: int = 200_000  # about, of real text


@dataclass(frozen=True)
class SFTStage:
    """Fine-tuning on dialogues, with a share of the text that the base model learned from."""

    train: TrainConfig
    dialogues: int = 20_000
    chatty: bool = False  # as newcomers type, see `world.dialogues`; so are the prompts of RLHF
    text_share: float = 0.3  # of each batch
    text_rows: int = 1000  # that this share is taken from


@dataclass(frozen=True)
class RewardStage:
    """The rankings that we ask for, and the reward model that learns from them."""

    train: TrainConfig
    prompts: int = 1_200
    answers: int = 3  # sampled from the SFT model for each prompt
    strangers: int = 2  # answers to other prompts, ranked with them
    noise: float = 0.3  # of the annotators, see `world.annotators`
    length_bias: float = 0.0  # what each further word of an answer is worth to them
    held_back: int = 10  # one pair in ten is only asked about afterwards
    scaled_on: int = 600  # answers whose rewards get mean 0 and standard deviation 1


@dataclass(frozen=True)
class RLHFStage:
    """From the SFT model to the one that talks, by the reward model (PPO, GRPO) or pairs (DPO)."""

    train: TrainConfig
    method: GRPOConfig | PPOConfig | DPOConfig
    prompts: int = 4000  # that PPO and GRPO let the model answer


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a run of the pipeline makes."""

    model: ModelConfig
    base: BaseStage
    sft: SFTStage
    reward: RewardStage
    rlhf: RLHFStage
    tokenizer: TokenizerStage = TokenizerStage()
    seed: int = 0
    data: str | None = None  # real text in place of the world's, see `read_texts`
    text: str | None = None  # its hash: the same name may stand for another text tomorrow

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages that it goes through. After the base model they need the world's dialogues."""
        return STAGES if self.data is None else STAGES[:2]

    def behind(self, stage: str) -> dict:
        """What decides the stage: its own record and those before it, as dictionaries.

        Later records are left out, so that another way of RLHF keeps the base model.
        """
        names = ("model", "seed", "data", "text", *STAGES[: STAGES.index(stage) + 1])
        everything = asdict(self)
        for stage in STAGES:
            if train := getattr(getattr(self, stage, None), "train", None):
                everything[stage]["train"] = settings(train)
        return {name: everything[name] for name in names if everything.get(name) is not None}


BUDGETS = ("quick", "full")
ALIGNMENTS = {
    "grpo": GRPOConfig(prompts=24, answers=4),
    "ppo": PPOConfig(prompts=96, kl=0.8),
    "dpo": DPOConfig(beta=0.6, nll=0.2),
    "iterative-dpo": DPOConfig(beta=0.6, nll=0.2, rounds=2),
}


def recipe(
    preset: str,
    seed: int = 0,
    precision: str = "float32",
    budget: str = "quick",
    align: str = "grpo",
    chatty: bool = False,
) -> Recipe:
    """The recipe of a preset: nano, small or gpt2.

    We tuned `nano` by measurement. The larger ones are a guess that was tried only briefly: more
    tokens, lower rates. They read the same small world, too, so to be worth their size they need
    real text. The `quick` budget takes `nano` minutes on a laptop; `full`, with nearly three times
    as many steps, made the released models. `align` is the way from SFT to RLHF, one of
    `ALIGNMENTS`. `chatty` dialogues are typed as newcomers type, and take a longer SFT; the
    released models have read them.
    """
    config = model_preset(preset)
    for name, value, known in (("budget", budget, BUDGETS), ("align", align, tuple(ALIGNMENTS))):
        if value not in known:
            raise ValueError(f"{name} is one of {', '.join(known)}, got {value!r}")
    full = budget == "full"
    # Wider models want lower learning rates; how much lower is part of the guess.
    scale = {"nano": 1.0, "small": 0.25, "gpt2": 0.1}[preset]
    pretraining = {
        "nano": dict(
            steps=7000 if full else 2200,
            batch_rows=16,
            learning_rate=1.6e-2,
            optimizer="muon",
            matrix_rate=0.25,
            decay=0.6,
            # Without weight decay the loss ends lower, and SFT learns less on such a base model:
            # see "No pull towards zero" in benchmarks/RESULTS.md.
            weight_decay=0.1,
        ),
        "small": dict(steps=5000 if full else 2000, batch_rows=32, learning_rate=1.5e-3),
        "gpt2": dict(steps=10_000 if full else 4000, batch_rows=32, learning_rate=6e-4),
    }[preset]
    common = dict(seed=seed, precision=precision)
    reward = dict(steps=660 if full else 330, batch_rows=24, learning_rate=5e-4 * scale, decay=0.5)
    alignment = (
        dict(steps=400 if full else 200, batch_rows=24, learning_rate=1e-4 * scale, decay=0.5)
        if isinstance(ALIGNMENTS[align], DPOConfig)
        else dict(steps=150 if full else 100, learning_rate=1e-4 * scale, warmup=0.05, decay=0.3)
    )
    steps = (2500 if full else 1000) if chatty else (900 if full else 600)
    fine_tuning = dict(steps=steps, batch_rows=16, learning_rate=1e-3 * scale, decay=0.5)
    fine_tuned = SFTStage(TrainConfig(**fine_tuning, **common))
    if chatty:
        # No row of the old text twice: in so many steps a thousand would be learned by heart, and
        # the rest would fade. Why the plain recipes keep a thousand: see "A thousand rows of old
        # text" in benchmarks/RESULTS.md.
        once = steps * round(fine_tuned.text_share * fine_tuned.train.batch_rows)
        fine_tuned = replace(fine_tuned, dialogues=40_000, chatty=True, text_rows=once)
    return Recipe(
        model=config,
        base=BaseStage(TrainConfig(**pretraining, **common)),
        sft=fine_tuned,
        reward=RewardStage(TrainConfig(**reward, **common), prompts=2400 if full else 1200),
        rlhf=RLHFStage(TrainConfig(weight_decay=0.0, **alignment, **common), ALIGNMENTS[align]),
        seed=seed,
    )


def real_text_recipe(
    plan: Recipe, data: str, tokens: int | None = None, vocab_size: int | None = None
) -> Recipe:
    """`plan` with the real text `data`, trained on about `tokens` tokens; by default as many as
    `plan`.

    The tokenizer gets `vocab_size` tokens; by default as many as the model's table has rows.
    """
    model = replace(plan.model, vocab_size=vocab_size or plan.model.vocab_size)
    training = plan.base.train
    if tokens is not None:
        if tokens < 1:
            raise ValueError(f"the number of tokens to train on must be 1 or more, got {tokens}")
        steps = math.ceil(tokens / (training.batch_rows * model.context_length))
        training = replace(training, steps=steps)
    base = replace(plan.base, train=training)
    return replace(plan, model=model, base=base, data=data, text=text_hash(data))
