"""The parameters file: weights, settings and tokenizer in one GGUF, as llama.cpp reads it.

GGUF version 3 (github.com/ggml-org/ggml, docs/gguf.md): the magic "GGUF", named values, a list of
named tensors, then their numbers, aligned. We let the `gguf` library write the bytes; what goes
where is decided here. Matrices may be F32, F16 or Q8_0 (blocks of 32 numbers: a scale in F16 and 32
int8), norms stay F32. We left out the other quantizations.
"""

from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
import torch

from course_lib.files.vocabulary import vocabulary
from course_lib.machine.disk import whole_file
from course_lib.model.transformer import Transformer
from course_lib.text.chat import CHAT_TEMPLATE, without_marks
from course_lib.text.foreign import AnyTokenizer
from course_lib.text.tokenizer import Tokenizer

FILE_TYPES = {
    "F32": (gguf.GGMLQuantizationType.F32, gguf.LlamaFileType.ALL_F32),
    "F16": (gguf.GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
    "Q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
}
BLOCK = 32  # numbers that share a scale in Q8_0 and in Q4_0

# Our names (Hugging Face's) and GGUF's, in the order of a forward pass.
LAYER_NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def halves_to_pairs(weight: torch.Tensor, n_heads: int) -> torch.Tensor:
    """The rows of a q or k matrix reordered within each head, for a RoPE that turns neighbours.

    Hugging Face rotates the pairs (x_i, x_{i + D/2}), GGUF's llama (x_{2i}, x_{2i+1}). So row i of
    the first half goes to 2i, of the second to 2i + 1. Forget this and the file still loads, but
    the model talks nonsense.
    """
    rows, cols = weight.shape
    return weight.view(n_heads, 2, rows // n_heads // 2, cols).transpose(1, 2).reshape(rows, cols)


def gguf_tensors(model: Transformer) -> dict[str, torch.Tensor]:
    """The weights under GGUF's names, q and k reordered; a tied output layer is left out."""
    config, found = model.config, {"token_embd.weight": model.embed_tokens.weight}
    for number, layer in enumerate(model.layers):
        for ours, theirs in LAYER_NAMES.items():
            weight = layer.get_submodule(ours).weight
            if theirs == "attn_q":
                weight = halves_to_pairs(weight, config.n_heads)
            elif theirs == "attn_k":
                weight = halves_to_pairs(weight, config.n_kv_heads)
            found[f"blk.{number}.{theirs}.weight"] = weight
    found["output_norm.weight"] = model.norm.weight
    if not config.tied_embeddings:
        found["output.weight"] = model.lm_head.weight
    return {name: weight.detach().float().cpu().contiguous() for name, weight in found.items()}


def write_gguf(
    path: str | Path,
    model: Transformer,
    tokenizer: AnyTokenizer,
    file_type: str = "F32",
    name: str = "Inside an LLM",
) -> None:
    """Writes the one file that `run.c`, llama.cpp and Ollama read; whole or not at all.

    ValueError where GGUF can't say what the tokenizer does. `run.c` reads fewer than llama.cpp.
    """
    config = model.config
    if file_type not in FILE_TYPES:
        raise ValueError(f"file_type is one of {', '.join(FILE_TYPES)}, got {file_type!r}")
    if tokenizer.vocab_size > config.vocab_size:
        raise ValueError(
            f"the tokenizer has {tokenizer.vocab_size} ids, the model's table {config.vocab_size}: "
            "write a model with the tokenizer it was trained on"
        )
    if file_type == "Q8_0" and (config.dim % BLOCK or config.ffn_dim % BLOCK):
        raise ValueError(
            f"Q8_0 needs rows in multiples of {BLOCK}, got dim {config.dim} and ffn_dim "
            f"{config.ffn_dim}: choose F16"
        )
    kind, file_kind = FILE_TYPES[file_type]
    with whole_file(path) as partial:
        writer = gguf.GGUFWriter(partial, "llama")
        writer.add_name(name)
        writer.add_file_type(file_kind)
        _add_config(writer, config)
        _add_tokenizer(writer, tokenizer, config.vocab_size)
        for tensor_name, weight in gguf_tensors(model).items():
            numbers = weight.numpy()
            if weight.dim() == 1 or file_type == "F32":
                writer.add_tensor(tensor_name, numbers)
            elif file_type == "F16":
                writer.add_tensor(tensor_name, numbers.astype(np.float16))
            else:
                writer.add_tensor(tensor_name, gguf.quants.quantize(numbers, kind), raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def _add_config(writer: gguf.GGUFWriter, config) -> None:
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.context_length)
    writer.add_embedding_length(config.dim)
    writer.add_block_count(config.n_layers)
    writer.add_feed_forward_length(config.ffn_dim)
    writer.add_head_count(config.n_heads)
    writer.add_head_count_kv(config.n_kv_heads)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_layer_norm_rms_eps(config.norm_eps)


def _add_tokenizer(writer: gguf.GGUFWriter, tokenizer: AnyTokenizer, n_rows: int) -> None:
    """Tokens in GPT-2's byte alphabet, their types, merges, control ids and the chat template."""
    found = vocabulary(tokenizer, n_rows)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(found.pre)
    writer.add_token_list(found.tokens)
    writer.add_token_types(found.types)
    writer.add_token_merges(found.merges)
    if tokenizer.start_ids:
        writer.add_bos_token_id(tokenizer.start_ids[0])
    if tokenizer.end_ids:
        writer.add_eos_token_id(tokenizer.end_ids[0])
    if len(tokenizer.end_ids) > 1:
        writer.add_eot_token_id(tokenizer.end_ids[-1])
    if tokenizer.pad_id not in (None, *tokenizer.start_ids):
        writer.add_pad_token_id(tokenizer.pad_id)
    writer.add_add_bos_token(bool(tokenizer.start_ids))
    ours = isinstance(tokenizer, Tokenizer)
    if template := CHAT_TEMPLATE if ours else tokenizer.chat_template:
        writer.add_chat_template(without_marks(template))


# ---- Looking into a file ------------------------------------------------------------------------


@dataclass(frozen=True)
class TensorSummary:
    """One tensor of a file: what it is called, how large it is, where it lies."""

    name: str
    shape: tuple[int, ...]  # (rows, columns), as in torch
    type: str
    n_bytes: int
    offset: int  # from the beginning of the file


@dataclass(frozen=True)
class Summary:
    """What a GGUF file holds, but for its numbers."""

    version: int
    values: dict[str, object]
    tensors: list[TensorSummary]
    n_bytes: int


def _reader(path: str | Path) -> gguf.GGUFReader:
    try:
        return gguf.GGUFReader(path)
    except (ValueError, IndexError, KeyError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no GGUF file, or a damaged one: {error}") from error


def _shape(tensor: gguf.ReaderTensor) -> tuple[int, ...]:
    """(rows, columns); GGUF counts from the dimension whose numbers are neighbours."""
    return tuple(int(n) for n in reversed(tensor.shape))


def read_gguf_summary(path: str | Path) -> Summary:
    """The header of a file: version, named values, tensors."""
    reader = _reader(path)
    values = {
        name: field.contents()
        for name, field in reader.fields.items()
        if not name.startswith("GGUF.")
    }
    tensors = [
        TensorSummary(
            t.name, _shape(t), t.tensor_type.name, n_bytes=int(t.n_bytes), offset=int(t.data_offset)
        )
        for t in reader.tensors
    ]
    version = int(reader.fields["GGUF.version"].contents())
    return Summary(version, values, tensors, Path(path).stat().st_size)


def read_gguf_tensors(path: str | Path) -> dict[str, np.ndarray]:
    """The numbers of a file as float32 arrays, by name."""
    return {
        t.name: gguf.quants.dequantize(t.data, t.tensor_type).reshape(_shape(t))
        for t in _reader(path).tensors
    }


def rounded_as(matrix: np.ndarray, file_type: str) -> np.ndarray:
    """What a file of this type (F32, F16, Q8_0, Q4_0) would give back for a matrix, in float32.

    Rows of Q8_0 and Q4_0 are multiples of `BLOCK` numbers long.
    """
    kind = gguf.GGMLQuantizationType[file_type]
    return gguf.quants.dequantize(gguf.quants.quantize(matrix, kind), kind)
