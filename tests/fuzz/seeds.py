"""What fuzzing starts from: whole runs of tiny models, and a dictionary of what a GGUF may hold."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

from gguf import GGUFWriter, TokenType

from course_lib.config import ModelConfig
from course_lib.files import gguf
from course_lib.files.vocabulary import Vocabulary
from course_lib.model.transformer import Transformer
from course_lib.text.tokenizer import ALPHABET, Tokenizer

CHATML = "{{'<|im_start|>' + role + '\n' + content + '<|im_end|>'}}"
TINY = ModelConfig(
    vocab_size=80, context_length=64, dim=4, n_layers=1, n_heads=2, n_kv_heads=1, ffn_dim=6
)
# (configuration, type of the matrices, how words are cut, chat template)
MODELS = (
    (TINY, "F32", "gpt-2", CHATML),
    (replace(TINY, tied_embeddings=False, n_kv_heads=2), "F32", "smollm", CHATML),
    (replace(TINY, n_layers=2, dim=8, ffn_dim=10), "F16", "gpt-2", CHATML),
    (replace(TINY, dim=32, ffn_dim=32), "Q8_0", "smollm", CHATML),
    (replace(TINY, context_length=12), "F16", "gpt-2", None),
)
TEXTS = (
    "",
    "the user is at the sea\n",
    "it's   12 345\t seas \n\n 's'll",
    "Voilà, l'été: ½ ²x",
    "Быстрая лиса 2024\u00a0Ωμέγα",
    "日本語、カタカナ 한국어 １２ 𠀀 🙂",
    "שלום السلام ٣٤ कल १२ ไทย",
    "a\u2003x\u3000y\u2028z",
    b"\xff\xc1\x81 \xe0\x81\x81 \xed\xa1\x81 \xf5\x80\x80\x80 \xe4\xb8",
    "Hi\r\nuser\r\n\r\n",
    "a\0b\n\0\n",
    "x" * 70 + "\nsea\n",
    "<|im_start|>user\nHi<|im_end|>\n",
)
OPTIONS = (
    (),
    ("-n", "4", "-t", "0"),
    ("-k", "3", "-p", "0.7", "-s", "7"),
    ("-x", "1", "-c", "20"),
    ("-i", "Be at sea\n12", "-n", "2"),
    ("-t", "1e-30", "-k", "0", "-p", "0"),
    ("-n", "1e19", "-c", "1e19", "-s", "1e19"),
)
WORDS = (
    *("llama", "gpt2", "gpt-2", "smollm", "<|im_start|>", "<|im_end|>", "GGUF"),
    *("complete", "chat", "probs", *(f"-{letter}" for letter in "intkpscjx")),
    *("nan", "inf", "-inf", "1e300", "1e-30", "1e18", "0", "0x1p70", "-1", "9223372036854775808"),
    *("token_embd", "output", "output_norm", "blk.0.", "blk.1.", "attn_q", "attn_k", "attn_v"),
    *("attn_output", "attn_norm", "ffn_norm", "ffn_gate", "ffn_up", "ffn_down", ".weight"),
    *("general.alignment", "general.architecture", "llama.rope.scaling.type"),
    *(f"llama.{key}" for key in ("block_count", "embedding_length", "context_length")),
    *(f"llama.{key}" for key in ("feed_forward_length", "rope.dimension_count", "rope.freq_base")),
    *(f"llama.attention.{key}" for key in ("head_count", "head_count_kv")),
    "llama.attention.layer_norm_rms_epsilon",
    *(f"tokenizer.ggml.{key}" for key in ("model", "pre", "tokens", "token_type")),
    *(f"tokenizer.ggml.{key}" for key in ("add_bos_token", "bos_token_id", "eos_token_id")),
    "tokenizer.chat_template",
)
NUMBERS = (
    *(n.to_bytes(size, "little") for n in (0, 1, 2, 8, 32) for size in (4, 8)),
    *((2**bits - 1).to_bytes(bits // 8, "little") for bits in (8, 16, 32, 64)),
    *((2**bits).to_bytes(8, "little") for bits in (20, 31, 32, 62, 63)),
    *(n.to_bytes(4, "little") for n in (6, 9, 12, 46341, 10**6)),  # types, the root of 2^31
    *(bytes.fromhex(each) for each in ("0000c07f", "0000807f", "000080ff")),  # NaN, inf, -inf
    *(bytes.fromhex("000000000000" + each) for each in ("f87f", "f07f", "f03f")),  # and 1
    *(bytes.fromhex(each) for each in ("007c", "007e")),  # inf and NaN of F16
)
LETTERS = b"the user is at assistant\n'l12\t\r\xc3\xd0\xbb"


def small_vocabulary(pre: str, n: int) -> Vocabulary:
    """A few of the 256 bytes, merges, control tokens and rows without a token: `n` tokens."""
    letters = [ALPHABET[byte] for byte in sorted(set(LETTERS))]
    merges = "s e,t h,th e,Ġ the,u s,us e,Ġ a,Ġa t,se a,1 2,Ċ Ċ,Ġ Ġ,ĉ ĉ,' s"
    words = [pair.replace(" ", "") for pair in merges.split(",")]
    control = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokens = [*letters, *words, *control]
    types = [TokenType.NORMAL] * len(tokens)
    types[-3:] = [TokenType.CONTROL] * 3
    unused = n - len(tokens)
    return Vocabulary(
        pre,
        [*tokens, *(f"<|{i}|>" for i in range(unused))],
        [*types, *[TokenType.UNUSED] * unused],
        merges.split(","),
    )


def write_small(path: Path, config: ModelConfig, file_type: str, pre: str, template) -> None:
    """A file like any of `write_gguf`, but that few tokens make it small."""
    found = small_vocabulary(pre, config.vocab_size)
    end = found.tokens.index("<|endoftext|>")
    tokenizer = SimpleNamespace(
        vocab_size=0, start_ids=[end], end_ids=[end, end + 2], pad_id=None, chat_template=template
    )
    with patch.object(gguf, "vocabulary", lambda *_: found):
        gguf.write_gguf(path, Transformer(config, seed=1), tokenizer, file_type)


def files(folder: Path) -> list[bytes]:
    """The models' files, the last three with what is rare: all bytes, alignment, a double."""
    path = folder / "model.gguf"
    for config, *how in MODELS:
        write_small(path, config, *how)
        yield path.read_bytes()
    config, *how = MODELS[0]
    plain = GGUFWriter.add_rope_freq_base

    def aligned(self, value):
        self.add_custom_alignment(64)
        plain(self, value)

    def double(self, value):
        self.add_float64("llama.rope.freq_base", value)

    for rare in (aligned, double):
        with patch.object(GGUFWriter, "add_rope_freq_base", rare):
            write_small(path, config, *how)
        yield path.read_bytes()
    tokenizer = Tokenizer.train("the user sat at the sea " * 9, 264)
    gguf.write_gguf(path, Transformer(replace(config, vocab_size=264)), tokenizer, "F16")
    yield path.read_bytes()
    path.unlink()


def as_bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def write_seeds(folder: Path) -> None:
    """Runs as `run_c.c` reads them: each mode with each model, and texts and options in turn."""
    folder.mkdir(parents=True, exist_ok=True)
    turn = 0
    for file in files(folder):
        for mode in ("complete", "chat", "probs"):
            for _ in range(3):
                text, options = as_bytes(TEXTS[turn % len(TEXTS)]), OPTIONS[turn % len(OPTIONS)]
                turn += 1
                said = [text] if turn % 2 and b"\0" not in text else []
                arguments = [mode.encode(), *said, *map(as_bytes, options)]
                start = b"".join(argument + b"\0" for argument in arguments)
                heard = b"" if said else text
                (folder / f"{turn:03}").write_bytes(bytes([len(arguments)]) + start + heard + file)


def write_dictionary(path: Path) -> None:
    """The words and numbers that a change may put in."""
    entries = [*map(as_bytes, WORDS), *NUMBERS]
    quoted = ("".join(f"\\x{byte:02x}" for byte in entry) for entry in entries)
    path.write_text("".join(f'"{entry}"\n' for entry in quoted), encoding="utf-8")
