"""The sizes of a model and the settings of a training run, as frozen dataclasses.

Nothing here computes with tensors: `model` builds a Transformer from a `ModelConfig`, `train`
follows a `TrainConfig`, `align` an `RLConfig`. Derived values are properties, so that no two fields
can disagree. `dataclasses.replace` gives a copy with other values.
"""

from dataclasses import asdict, dataclass, field, fields


@dataclass(frozen=True)
class ModelConfig:
    """The shape of a Llama-style Transformer (Touvron et al. 2023, arXiv 2307.09288, section 2)."""

    vocab_size: int = 1536  # rows of the embedding table
    context_length: int = 128  # tokens the model can look at
    dim: int = 128  # width of the residual stream
    n_layers: int = 4
    n_heads: int = 4  # query heads
    n_kv_heads: int = 2  # key and value heads; fewer than n_heads is grouped-query attention
    ffn_dim: int = 352  # hidden width of SwiGLU, about 8/3 of dim
    rope_theta: float = 10_000.0  # RoPE's base
    norm_eps: float = 1e-5
    tied_embeddings: bool = True  # the output layer reuses the embedding table

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if each.type is int and (type(value) is not int or value < 1):
                raise ValueError(f"{each.name} must be a whole number of 1 or more, got {value!r}")
        if self.dim % self.n_heads:
            raise ValueError(
                f"dim {self.dim} can't be split over {self.n_heads} heads: choose a multiple"
            )
        if self.n_heads % self.n_kv_heads:
            raise ValueError(
                f"{self.n_heads} query heads can't share {self.n_kv_heads} key/value heads evenly"
            )
        if self.head_dim % 2:
            raise ValueError(f"RoPE rotates pairs, so head_dim must be even, got {self.head_dim}")

    @property
    def head_dim(self) -> int:
        return self.dim // self.n_heads

    @property
    def n_parameters(self) -> int:
        """Exact number of parameters: no biases, two norms per layer and one at the end."""
        kv_dim = self.n_kv_heads * self.head_dim
        attention = 2 * self.dim * self.dim + 2 * self.dim * kv_dim  # q and o, k and v
        mlp = 3 * self.dim * self.ffn_dim
        layer = attention + mlp + 2 * self.dim
        tables = 1 if self.tied_embeddings else 2
        return tables * self.vocab_size * self.dim + self.n_layers * layer + self.dim

    @property
    def flops_per_token(self) -> int:
        """Training FLOPs per token: 6 N and attention's 12 L d T (PaLM, 2204.02311, app. B)."""
        # Why 6? Each parameter takes part in one product and one sum forward, and backward costs
        # twice that. A lookup has no product: a table counts only where it is the output layer.
        embedding = 0 if self.tied_embeddings else self.vocab_size * self.dim
        products = self.n_parameters - embedding
        return 6 * products + 12 * self.n_layers * self.dim * self.context_length


@dataclass(frozen=True)
class TrainConfig:
    """How long, how fast and from which seed a model is trained."""

    steps: int  # optimizer steps
    batch_rows: int = 16  # rows (of context_length tokens, dialogues or pairs) in one step
    learning_rate: float = 4e-3  # the plateau of the schedule
    warmup: float = 0.02  # fraction of the steps in which the rate rises
    decay: float = 0.3  # fraction of the steps in which it falls to zero again
    weight_decay: float = 0.1  # on matrices only
    clip: float = 1.0  # largest norm of the gradient
    seed: int = 0
    # or "bfloat16": products in two bytes per number, while the weights stay float32
    precision: str = "float32"
    optimizer: str = "adamw"  # or "muon": Muon for the layers' matrices, AdamW for all else
    matrix_rate: float = 0.5  # Muon's learning rate, as a share of `learning_rate`

    def __post_init__(self) -> None:
        if self.optimizer not in ("adamw", "muon"):
            raise ValueError(f"optimizer is 'adamw' or 'muon', got {self.optimizer!r}")
        if self.matrix_rate <= 0:
            raise ValueError(f"matrix_rate must be above zero, got {self.matrix_rate}")
        if self.steps < 1 or self.batch_rows < 1:
            raise ValueError(
                f"steps and batch_rows must be 1 or more, got {self.steps} and {self.batch_rows}"
            )
        if self.learning_rate <= 0 or self.clip <= 0 or self.weight_decay < 0:
            raise ValueError("learning_rate and clip must be above zero, weight_decay zero or more")
        if not (0 <= self.warmup and 0 <= self.decay and self.warmup + self.decay <= 1):
            raise ValueError(
                f"warmup {self.warmup} and decay {self.decay} are fractions, 1 at most together"
            )
        if self.precision not in ("float32", "bfloat16"):
            raise ValueError(f"precision is 'float32' or 'bfloat16', got {self.precision!r}")


def settings(config: TrainConfig) -> dict:
    """What a run is known by when it is continued, or its result used: its settings by name.

    Muon's are left out where AdamW trains: what was trained before there was a choice still holds.
    """
    found = asdict(config)
    if config.optimizer == "adamw":
        del found["optimizer"], found["matrix_rate"]
    return found


@dataclass(frozen=True)
class Sampling:
    """The dials of the sampler: how a token is picked from the model's probabilities."""

    temperature: float = 1.0  # 0 is greedy: always the likeliest token
    top_k: int | None = None  # pick among the k likeliest
    top_p: float | None = None  # pick among the fewest likeliest that reach p together
    seed: int | None = None  # where the dice start; None goes on with torch's own


PLAIN = Sampling()  # what the model says, as it says it
GREEDY = Sampling(temperature=0.0)


@dataclass(frozen=True)
class RLConfig:
    """The dials that PPO and GRPO share: both learn from answers that the model itself wrote."""

    prompts: int = 12  # prompts of a rollout
    answers: int = 1  # answers to each prompt
    max_new_tokens: int = 32
    kl: float = 0.4  # the leash: what a nat of KL to the SFT model costs, in rewards
    clip: float = 0.2  # PPO's clip range
    updates: int = 2  # optimizer steps on each rollout
    unfinished: float = -2.0  # reward of an answer that never ends

    def __post_init__(self) -> None:
        if self.prompts < 1 or self.answers < 1 or self.max_new_tokens < 1 or self.updates < 1:
            raise ValueError("a rollout needs at least 1 prompt, answer, new token and update")
        if self.kl < 0 or not 0 < self.clip < 1:
            raise ValueError("kl must be 0 or more, clip between 0 and 1")


@dataclass(frozen=True)
class GRPOConfig(RLConfig):
    """GRPO compares each answer with the others to the same prompt: its advantage is its reward
    less their mean (Shao et al. 2024, arXiv 2402.03300)."""

    algorithm: str = field(default="grpo", init=False)
    answers: int = 8
    divide_by_std: bool = False  # the paper does, we don't: see `group_advantages`

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.answers < 2:
            raise ValueError(f"GRPO compares 2 answers or more to each prompt, got {self.answers}")


@dataclass(frozen=True)
class PPOConfig(RLConfig):
    """PPO has a critic foresee the reward at each token: a token's advantage is how much better
    things went than that (Schulman et al. 2017, arXiv 1707.06347)."""

    algorithm: str = field(default="ppo", init=False)
    gae_lambda: float = 0.95  # 1 trusts the rewards that came, 0 the critic
    value_weight: float = 0.5  # the critic's share of the loss

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.gae_lambda <= 1 or self.value_weight <= 0:
            raise ValueError("gae_lambda must be from 0 to 1, value_weight above 0")


@dataclass(frozen=True)
class DPOConfig:
    """The dials of DPO (Rafailov et al. 2023, arXiv 2305.18290).

    The first round learns from the pairs that people ranked. Each further round begins with new
    pairs: answers of the model as it is by then, which the reward model orders.
    """

    algorithm: str = field(default="dpo", init=False)
    beta: float = 0.1  # the leash: rewards per nat, as `RLConfig.kl`
    nll: float = 0.0  # share of plain SFT on the chosen answers (Llama 3, arXiv 2407.21783, 4.1.4)
    rounds: int = 1

    def __post_init__(self) -> None:
        if self.beta <= 0 or self.nll < 0:
            raise ValueError(f"beta must be above 0, nll 0 or more, got {self.beta}, {self.nll}")
        if self.rounds < 1:
            raise ValueError(f"rounds must be 1 or more, got {self.rounds}")


# nano trains in minutes on a laptop, small wants a GPU; gpt2 has the size of GPT-2 and our parts.
MODELS = {
    "nano": ModelConfig(),
    "small": ModelConfig(
        vocab_size=4096,
        context_length=256,
        dim=384,
        n_layers=6,
        n_heads=6,
        n_kv_heads=2,
        ffn_dim=1024,
    ),
    "gpt2": ModelConfig(
        vocab_size=50_304,
        context_length=1024,
        dim=768,
        n_layers=12,
        n_heads=12,
        n_kv_heads=12,
        ffn_dim=2048,
    ),
}


def model_preset(name: str) -> ModelConfig:
    """The `ModelConfig` called `name`: nano, small or gpt2."""
    if name not in MODELS:
        raise ValueError(f"there is no preset {name!r}: choose one of {', '.join(MODELS)}")
    return MODELS[name]
