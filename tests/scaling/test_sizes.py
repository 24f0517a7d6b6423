"""Sizes and bytes are those of published models, of torch's own layers, and of the files."""

from dataclasses import replace

import pytest
from torch import nn

from course_lib.config import ModelConfig
from course_lib.model.transformer import Transformer
from course_lib.scaling.sizes import (
    BYTES_PER_PARAMETER,
    DEVICES,
    MIXTURES,
    NONE_OF_THEM,
    PUBLISHED_MODELS,
    TODAY,
    Dense,
    active_parameters,
    gpt2_parameters,
    holder,
    n_bytes,
    published_parameters,
    readable_bytes,
)

# Printed by others: the tensors of the published checkpoints, counted one by one.
KNOWN = {
    "stories15M": 15_191_712,
    "GPT-2": 124_439_808,
    "SmolLM2-135M": 134_515_008,
    "Gemma 3 270M": 268_098_176,
    "GPT-2 medium": 354_823_168,
    "SmolLM2-360M": 361_821_120,
    "Qwen3-0.6B": 596_049_920,
    "GPT-2 large": 774_030_080,
    "Gemma 3 1B": 999_885_952,
    "Llama-3.2-1B": 1_235_814_400,
    "GPT-2 XL": 1_557_611_200,
    "SmolLM2-1.7B": 1_711_376_384,
    "SmolLM3-3B": 3_075_098_624,
    "Llama-3.2-3B": 3_212_749_824,
    "Qwen3-4B": 4_022_468_096,
    "Llama-2-7B": 6_738_415_616,
    "Llama-3.1-8B": 8_030_261_248,
    "Qwen3-8B": 8_190_735_360,
    "Llama-2-13B": 13_015_864_320,
    "phi-4": 14_659_507_200,
    "Qwen3-32B": 32_762_123_264,
    "Llama-2-70B": 68_976_648_192,
    "Llama-3.1-70B": 70_553_706_496,
    "Llama-3.1-405B": 405_853_388_800,
}


def test_published_counts_are_exact_and_sorted():
    counts = published_parameters()

    assert {name: n for name, n in counts.items() if name not in MIXTURES} == KNOWN
    assert list(counts.values()) == sorted(counts.values())
    assert set(counts) == set(KNOWN) | set(MIXTURES)


def test_a_dense_shape_without_norms_of_its_own_counts_like_ours():
    ours = PUBLISHED_MODELS["Llama-3.1-8B"]
    shape = Dense(128_256, 4096, 32, 32, 8, 128, 14_336, 2)

    assert shape.n_parameters == ours.n_parameters


def test_of_a_mixture_a_few_work_and_all_are_counted():
    active, counts = active_parameters(), published_parameters()

    assert set(active) == set(MIXTURES) <= set(counts)
    assert all(counts[name] / 40 < n < counts[name] / 5 for name, n in active.items())
    assert set(TODAY) <= set(counts) and len(set(TODAY) & set(MIXTURES)) >= 3


def test_the_formula_counts_what_the_module_holds():
    config = ModelConfig(vocab_size=96, dim=32, n_layers=3, n_heads=4, n_kv_heads=2, ffn_dim=64)
    for tied in (True, False):
        shape = replace(config, tied_embeddings=tied)

        held = sum(p.numel() for p in Transformer(shape).parameters())

        assert held == shape.n_parameters


def test_gpt2_counts_what_torchs_own_layers_hold():
    # GPT-2's block has the parameters of torch's encoder layer: the same matrices, biases and norms
    layer = nn.TransformerEncoderLayer(48, 4, dim_feedforward=4 * 48)
    tables = [nn.Embedding(100, 48), nn.Embedding(16, 48)]
    modules = [*tables, layer, layer, nn.LayerNorm(48)]

    held = sum(p.numel() for module in modules for p in module.parameters())

    assert gpt2_parameters(48, 2, vocab_size=100, context_length=16) == held


def test_llama_2_70b_is_not_140_gigabytes():
    count = PUBLISHED_MODELS["Llama-2-70B"].n_parameters

    assert n_bytes(count, "F16") == 137_953_296_384
    assert [readable_bytes(n_bytes(count, p)) for p in BYTES_PER_PARAMETER] == [
        "275.91 GB",
        "137.95 GB",
        "73.29 GB",
        "38.80 GB",
    ]


def test_quantised_bytes_are_those_of_whole_blocks():
    assert n_bytes(32, "Q8_0") == 2 + 32  # a scale in 16 bits, then 32 numbers of 8 bits
    assert n_bytes(32, "Q4_0") == 2 + 16
    assert n_bytes(0, "Q4_0") == 0


def test_an_unknown_precision_is_refused():
    with pytest.raises(ValueError, match="F32, F16, Q8_0, Q4_0, got 'fp8'"):
        n_bytes(10, "fp8")


def test_the_smallest_device_that_is_large_enough_holds_a_model():
    names = list(DEVICES)

    found = [holder(n) for n in (0, 8e9, 8e9 + 1, 137_953_296_384, 1128e9, 1128e9 + 1)]

    assert found == [names[0], names[0], names[1], names[3], names[4], NONE_OF_THEM]
    assert list(DEVICES.values()) == sorted(DEVICES.values())


def test_devices_need_no_order():
    assert holder(5, {"large": 100, "small": 10, "tiny": 1}) == "small"
    assert holder(5, {}) == NONE_OF_THEM


def test_sizes_are_written_in_the_unit_that_fits():
    assert [readable_bytes(n) for n in (0, 999, 1000, 3_480_000, 1.25e9, 1.6e12)] == [
        "0 bytes",
        "999 bytes",
        "1.00 kB",
        "3.48 MB",
        "1.25 GB",
        "1.60 TB",
    ]
