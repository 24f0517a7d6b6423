"""How big a model is: exact parameter counts by formula, and the bytes they take on a disk.

Nothing is measured here and no model is built: a shape goes in, whole numbers come out. Left out:
the memory and the operations of training.

Sources of the shapes: the models' own code, configurations and cards (gh = github.com). GPT-2: gh
karpathy/nanoGPT, model.py. Llama 2: params.json beside the weights. Llama 3.1: gh
meta-llama/llama-models, sku_list.py. SmolLM2, SmolLM3: gh huggingface/smollm, text/pretraining.
stories15M: gh karpathy/llama2.c, README.md. Llama 3.2, Qwen3, phi-4: gh Lightning-AI/litgpt,
config.py. Gemma 3: gh rasbt/LLMs-from-scratch, ch05. The mixtures: gpt-oss, gh openai/gpt-oss;
Qwen3-30B: litgpt; DeepSeek-V3, Kimi K2, GLM-5: their README on GitHub; DeepSeek-V4-Pro: arXiv
2606.19348; Kimi K3: arXiv 2607.24653 and NVIDIA's NeMo documentation.
"""

import math
from typing import NamedTuple

from course_lib.config import ModelConfig

# Bytes for each number. Q8_0 and Q4_0 are GGUF's: 32 numbers share a scale of 2 bytes, and each
# takes 8 or 4 bits beside it.
BYTES_PER_PARAMETER = {"F32": 4.0, "F16": 2.0, "Q8_0": 34 / 32, "Q4_0": 18 / 32}


# Published models built like ours, the Llama family: vocabulary, context, dim, layers, heads,
# key-value heads, ffn_dim, RoPE's base. SmolLM2 as pre-trained (its context was stretched later);
# Llama 3.1 and 3.2 also scale their RoPE, which costs no parameter.
PUBLISHED_MODELS = {
    "stories15M": ModelConfig(32_000, 256, 288, 6, 6, 6, 768, 1e4),
    "SmolLM2-135M": ModelConfig(49_152, 2048, 576, 30, 9, 3, 1536, 1e4),
    "SmolLM2-360M": ModelConfig(49_152, 2048, 960, 32, 15, 5, 2560, 1e4),
    "Llama-3.2-1B": ModelConfig(128_256, 131_072, 2048, 16, 32, 8, 8192, 5e5),
    "SmolLM2-1.7B": ModelConfig(49_152, 2048, 2048, 24, 32, 32, 8192, 1e4),
    "Llama-3.2-3B": ModelConfig(128_256, 131_072, 3072, 28, 24, 8, 8192, 5e5),
    "Llama-2-7B": ModelConfig(32_000, 4096, 4096, 32, 32, 32, 11_008, 1e4, tied_embeddings=False),
    "Llama-3.1-8B": ModelConfig(
        128_256, 131_072, 4096, 32, 32, 8, 14_336, 5e5, tied_embeddings=False
    ),
    "Llama-2-13B": ModelConfig(32_000, 4096, 5120, 40, 40, 40, 13_824, 1e4, tied_embeddings=False),
    "Llama-2-70B": ModelConfig(32_000, 4096, 8192, 80, 64, 8, 28_672, 1e4, tied_embeddings=False),
    "Llama-3.1-70B": ModelConfig(
        128_256, 131_072, 8192, 80, 64, 8, 28_672, 5e5, tied_embeddings=False
    ),
    "Llama-3.1-405B": ModelConfig(
        128_256, 131_072, 16_384, 126, 128, 8, 53_248, 5e5, tied_embeddings=False
    ),
}


class Dense(NamedTuple):
    """A shape near to ours: its heads may be wider, and it may have norms that ours has not."""

    vocab_size: int
    dim: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    ffn_dim: int
    tables: int  # 1 where the output layer reuses the embedding table, else 2
    norms: int = 2  # of `dim` numbers, in each layer
    head_norms: int = 0  # of `head_dim` numbers, for queries and for keys

    @property
    def n_parameters(self) -> int:
        attention = 2 * self.dim * (self.n_heads + self.n_kv_heads) * self.head_dim
        norms = self.norms * self.dim + self.head_norms * self.head_dim
        layer = attention + 3 * self.dim * self.ffn_dim + norms
        return self.tables * self.vocab_size * self.dim + self.n_layers * layer + self.dim


# Every number works on every token, as in ours.
OTHER_DENSE = {
    "Gemma 3 270M": Dense(262_144, 640, 18, 4, 1, 256, 2048, 1, 4, 2),
    "Qwen3-0.6B": Dense(151_936, 1024, 28, 16, 8, 128, 3072, 1, 2, 2),
    "Gemma 3 1B": Dense(262_144, 1152, 26, 4, 1, 256, 6912, 1, 4, 2),
    "SmolLM3-3B": Dense(128_256, 2048, 36, 16, 4, 128, 11_008, 1),
    "Qwen3-4B": Dense(151_936, 2560, 36, 32, 8, 128, 9728, 1, 2, 2),
    "Qwen3-8B": Dense(151_936, 4096, 36, 32, 8, 128, 12_288, 2, 2, 2),
    "phi-4": Dense(100_352, 5120, 40, 40, 10, 128, 17_920, 2),
    "Qwen3-32B": Dense(151_936, 5120, 64, 64, 8, 128, 25_600, 2, 2, 2),
}


class Mixture(NamedTuple):
    """A mixture of experts: all of its parameters, and those that work on any one token."""

    n_parameters: int
    active: int


# The first three are counted from their shapes (gpt-oss: active without the embedding table); the
# others are as published, in round numbers.
MIXTURES = {
    "gpt-oss-20b": Mixture(20_914_757_184, 3_608_307_264),
    "Qwen3-30B-A3B": Mixture(30_532_122_624, 3_353_032_704),
    "gpt-oss-120b": Mixture(116_829_156_672, 5_132_849_472),
    "DeepSeek-V3": Mixture(671_000_000_000, 37_000_000_000),
    "GLM-5": Mixture(744_000_000_000, 40_000_000_000),
    "Kimi K2": Mixture(1_040_000_000_000, 32_000_000_000),
    "DeepSeek-V4-Pro": Mixture(1_600_000_000_000, 49_000_000_000),
    "Kimi K3": Mixture(2_780_000_000_000, 104_000_000_000),
}

# (dim, n_layers) of the four GPT-2 models; the vocabulary and the context are the same in all.
PUBLISHED_GPT2 = {
    "GPT-2": (768, 12),
    "GPT-2 medium": (1024, 24),
    "GPT-2 large": (1280, 36),
    "GPT-2 XL": (1600, 48),
}


# Bytes of memory, the smallest first. The figures are memory sizes as sold (2026), and a GB counts
# as 10^9 bytes: close enough here. Some of the memory is always needed for other things.
DEVICES = {
    "phone, 8 GB": 8_000_000_000,
    "laptop, 16 GB": 16_000_000_000,
    "graphics card, 32 GB": 32_000_000_000,
    "data-centre GPU, 141 GB": 141_000_000_000,
    "server with 8 of them": 1_128_000_000_000,
}
NONE_OF_THEM = "none of these"


# One or two of each size that people run in 2026, from a phone's to a server's.
TODAY = (
    "SmolLM2-135M", "Llama-3.2-1B", "SmolLM3-3B", "Qwen3-8B", "phi-4", "gpt-oss-20b", "Qwen3-32B",
    "Llama-2-70B", "gpt-oss-120b", "Llama-3.1-405B", "DeepSeek-V3", "Kimi K3",
)  # fmt: skip


def gpt2_parameters(
    dim: int, n_layers: int, vocab_size: int = 50_257, context_length: int = 1024
) -> int:
    """Parameters of a GPT-2: unlike ours it has biases everywhere, LayerNorms of two vectors and a
    table of positions; the output layer reuses the embedding table.

    >>> gpt2_parameters(768, 12)
    124439808
    """
    tables = (vocab_size + context_length) * dim
    attention = 4 * dim * dim + 4 * dim  # queries, keys, values, output
    feed_forward = 8 * dim * dim + 5 * dim  # to 4 dim and back
    norms = 4 * dim
    return tables + n_layers * (attention + feed_forward + norms) + 2 * dim


def published_parameters() -> dict[str, int]:
    """Name -> number of parameters of every model above, the smallest first."""
    shapes = PUBLISHED_MODELS | OTHER_DENSE | MIXTURES
    counts = {name: shape.n_parameters for name, shape in shapes.items()}
    counts |= {name: gpt2_parameters(*shape) for name, shape in PUBLISHED_GPT2.items()}
    return dict(sorted(counts.items(), key=lambda item: item[1]))


def active_parameters() -> dict[str, int]:
    """Name -> how many parameters work on any one token, of the mixtures of experts."""
    return {name: mixture.active for name, mixture in MIXTURES.items()}


def n_bytes(n_parameters: int, precision: str) -> int:
    """Bytes of `n_parameters` numbers in a precision, rounded to whole ones.

    >>> n_bytes(1000, "F16")
    2000
    """
    if precision not in BYTES_PER_PARAMETER:
        raise ValueError(
            f"a precision is one of {', '.join(BYTES_PER_PARAMETER)}, got {precision!r}"
        )
    return round(n_parameters * BYTES_PER_PARAMETER[precision])


def holder(n_bytes: float, devices: dict[str, float] = DEVICES) -> str:
    """The device with the smallest memory that `n_bytes` of parameters fit in, or `NONE_OF_THEM`.

    Parameters only: a running model also needs memory for what it computes along the way.

    >>> holder(15_000_000_000)
    'laptop, 16 GB'
    """
    # learners may add their own machine to the widget
    if not all(0 < memory < math.inf for memory in devices.values()):
        raise ValueError(f"every device needs its memory in bytes, above 0, got {devices}")
    large_enough = [name for name, memory in devices.items() if memory >= n_bytes]
    return min(large_enough, key=devices.get, default=NONE_OF_THEM)


def readable_bytes(count: float) -> str:
    """`count` bytes in units of 10^12, 10^9, 10^6 or 10^3: '137.95 GB'."""
    for size, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= size:
            return f"{count / size:.2f} {unit}"
    return f"{count:.0f} bytes"
