"""What a run of the pipeline makes: one record that decides all of it."""

import math
from dataclasses import asdict, dataclass, field, replace

from course_lib.config import DPOConfig, ModelConfig, RLConfig, TrainConfig, model_preset

STAGES = ("tokenizer", "base", "sft", "reward", "rlhf", "export")


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


def trainable_vocab(config: ModelConfig) -> int:
    """The world has few words: a large table is not filled, its other rows stay unused."""
    return min(config.vocab_size, 2048)
