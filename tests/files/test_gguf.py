"""Our GGUF files hold what the `gguf` library and llama.cpp expect to read."""

import os
from dataclasses import replace

import gguf as library
import numpy as np
import pytest
import torch

from course_lib.config import ModelConfig
from course_lib.files import gguf
from course_lib.model.transformer import Transformer
from course_lib.text.chat import GGUF_CHAT_TEMPLATE
from course_lib.text.tokenizer import SPECIALS
from tests.tiny import CAT_AND_HAT

TOKENIZER = CAT_AND_HAT
CONFIG = ModelConfig(
    vocab_size=280, context_length=64, dim=64, n_layers=2, n_heads=4, n_kv_heads=2, ffn_dim=96,
    rope_theta=5e5,
)  # fmt: skip
TIED = Transformer(CONFIG, seed=1)
UNTIED = Transformer(replace(CONFIG, tied_embeddings=False), seed=2)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.gguf"


def test_the_library_reads_back_the_same_weights(path):
    gguf.write_gguf(path, UNTIED, TOKENIZER)

    found = {t.name: np.array(t.data) for t in library.GGUFReader(path).tensors}

    assert len(found) == 9 * CONFIG.n_layers + 3
    np.testing.assert_array_equal(found["output.weight"], UNTIED.lm_head.weight.detach())
    np.testing.assert_array_equal(
        found["blk.1.ffn_down.weight"], UNTIED.layers[1].mlp.down_proj.weight.detach()
    )
    np.testing.assert_array_equal(found["output_norm.weight"], UNTIED.norm.weight.detach())


def test_a_tied_output_layer_is_not_written_twice(path):
    gguf.write_gguf(path, TIED, TOKENIZER)

    assert "output.weight" not in gguf.read_gguf_tensors(path)


def test_the_rows_of_q_and_k_are_reordered_as_llama_cpp_does_it(path):
    # llama.cpp's convert_hf_to_gguf.py, LlamaModel.permute
    def permute(weights, n_head):
        return (
            weights.reshape(n_head, 2, weights.shape[0] // n_head // 2, *weights.shape[1:])
            .swapaxes(1, 2)
            .reshape(weights.shape)
        )

    gguf.write_gguf(path, TIED, TOKENIZER)
    found = gguf.read_gguf_tensors(path)

    q, k = (
        getattr(TIED.layers[0].self_attn, n).weight.detach().numpy() for n in ("q_proj", "k_proj")
    )
    np.testing.assert_array_equal(found["blk.0.attn_q.weight"], permute(q, 4))
    np.testing.assert_array_equal(found["blk.0.attn_k.weight"], permute(k, 2))


def test_metadata_says_all_that_llama_cpp_needs(path):
    gguf.write_gguf(path, TIED, TOKENIZER)

    values = gguf.read_gguf_summary(path).values

    expected = {
        "general.architecture": "llama",
        "llama.context_length": 64,
        "llama.embedding_length": 64,
        "llama.block_count": 2,
        "llama.feed_forward_length": 96,
        "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": 2,
        "llama.rope.freq_base": 5e5,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.bos_token_id": TOKENIZER.eot_id,
        "tokenizer.ggml.eos_token_id": TOKENIZER.eot_id,
        "tokenizer.ggml.eot_token_id": TOKENIZER.im_end_id,
        "tokenizer.ggml.add_bos_token": True,
        "tokenizer.chat_template": GGUF_CHAT_TEMPLATE,
    }
    assert {name: values[name] for name in expected} == expected
    assert "generation" not in values["tokenizer.chat_template"].replace(
        "add_generation_prompt", ""
    )


def test_tokens_are_unique_and_their_types_tell_control_tokens_apart(path):
    gguf.write_gguf(path, TIED, TOKENIZER)
    values = gguf.read_gguf_summary(path).values

    tokens, types = values["tokenizer.ggml.tokens"], values["tokenizer.ggml.token_type"]

    assert len(tokens) == len(set(tokens)) == len(types) == CONFIG.vocab_size
    assert [t for t, kind in zip(tokens, types, strict=True) if kind == 3] == list(SPECIALS)
    assert set(types[: TOKENIZER.eot_id]) == {1} and set(types[TOKENIZER.vocab_size :]) == {5}
    assert len(values["tokenizer.ggml.merges"]) == len(TOKENIZER.merges)
    assert values["tokenizer.ggml.merges"][0] == "a t"


@pytest.mark.parametrize(("file_type", "error"), [("F16", 2**-11), ("Q8_0", 1 / 127)])
def test_smaller_numbers_are_off_by_what_their_format_allows(path, file_type, error):
    gguf.write_gguf(path, TIED, TOKENIZER, file_type)

    for name, exact in gguf.gguf_tensors(TIED).items():
        rough = torch.tensor(gguf.read_gguf_tensors(path)[name])
        if exact.dim() == 1:
            assert torch.equal(rough, exact)  # norms stay F32
        else:
            assert (rough - exact).abs().max() <= error * exact.abs().max()
            assert not torch.equal(rough, exact)
    kinds = {t.type for t in gguf.read_gguf_summary(path).tensors}
    assert kinds == {"F32", file_type}


def test_the_summary_accounts_for_every_byte_of_the_numbers(path):
    gguf.write_gguf(path, TIED, TOKENIZER)

    summary = gguf.read_gguf_summary(path)

    assert sum(t.n_bytes for t in summary.tensors) == 4 * CONFIG.n_parameters
    assert summary.version == 3 and summary.n_bytes == path.stat().st_size
    assert all(t.offset % 32 == 0 for t in summary.tensors)
    assert summary.tensors[0].shape == (CONFIG.vocab_size, CONFIG.dim)


def test_a_save_that_is_killed_leaves_the_old_file(path, monkeypatch):
    path.write_bytes(b"old")

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        gguf.write_gguf(path, TIED, TOKENIZER)

    assert path.read_bytes() == b"old" and os.listdir(path.parent) == ["model.gguf"]


def test_what_can_not_be_written_or_read_is_refused_with_a_reason(path):
    with pytest.raises(ValueError, match="F32, F16, Q8_0"):
        gguf.write_gguf(path, TIED, TOKENIZER, "Q4_K")
    small = Transformer(replace(CONFIG, vocab_size=64))
    with pytest.raises(ValueError, match="272 ids"):
        gguf.write_gguf(path, small, TOKENIZER)
    narrow = Transformer(replace(CONFIG, dim=48, ffn_dim=80))
    with pytest.raises(ValueError, match="multiples of 32"):
        gguf.write_gguf(path, narrow, TOKENIZER, "Q8_0")
    path.write_bytes(b"not a model at all")
    with pytest.raises(ValueError, match="no GGUF file"):
        gguf.read_gguf_summary(path)
