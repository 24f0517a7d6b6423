"""How big a model is: exact parameter counts by formula, and the bytes they take on a disk.

Nothing is measured here and no model is built: a shape goes in, whole numbers come out. Left out:
the memory and the operations of training.

Sources of the shapes: the models' own code and cards (gh = github.com). GPT-2: gh karpathy/nanoGPT,
model.py. Llama 2: params.json beside the weights. Llama 3.1: gh meta-llama/llama-models,
sku_list.py. SmolLM2: gh huggingface/smollm, text/pretraining/smollm2. stories15M: gh
karpathy/llama2.c, README.md.
"""

import math

from course_lib.config import ModelConfig

# Bytes for each number. Q8_0 and Q4_0 are GGUF's: 32 numbers share a scale of 2 bytes, and each
# takes 8 or 4 bits beside it.
BYTES_PER_PARAMETER = {"F32": 4.0, "F16": 2.0, "Q8_0": 34 / 32, "Q4_0": 18 / 32}


# Published models built like ours, the Llama family: vocabulary, context, dim, layers, heads,
# key-value heads, ffn_dim, RoPE's base. SmolLM2 as pre-trained (its context was stretched later);
# Llama 3.1 also scales its RoPE, which costs no parameter.
PUBLISHED_MODELS = {
    "stories15M": ModelConfig(32_000, 256, 288, 6, 6, 6, 768, 1e4),
    "SmolLM2-135M": ModelConfig(49_152, 2048, 576, 30, 9, 3, 1536, 1e4),
    "SmolLM2-360M": ModelConfig(49_152, 2048, 960, 32, 15, 5, 2560, 1e4),
    "SmolLM2-1.7B": ModelConfig(49_152, 2048, 2048, 24, 32, 32, 8192, 1e4),
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
    "Raspberry Pi 5 or phone, 8 GB": 8_000_000_000,
    "laptop, 16 GB": 16_000_000_000,
    "gaming graphics card, 24 GB": 24_000_000_000,
    "data-centre GPU, 80 GB": 80_000_000_000,
    "8 data-centre GPUs, 640 GB": 640_000_000_000,
}
NONE_OF_THEM = "none of these"


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
    """Name -> exact number of parameters of every model above, the smallest first."""
    counts = {name: config.n_parameters for name, config in PUBLISHED_MODELS.items()}
    counts |= {name: gpt2_parameters(*shape) for name, shape in PUBLISHED_GPT2.items()}
    return dict(sorted(counts.items(), key=lambda item: item[1]))


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
