"""Models as Hugging Face directories: ours for the world, and the world's for us.

`save_pretrained` writes what `transformers`, TRL, vLLM and lm-eval load as `LlamaForCausalLM`:
config.json, model.safetensors, generation_config.json and the tokenizer's two files.
`load_pretrained` reads these and other models of the Llama family, from a folder or the Hub.
Quantized weights, biases and scaled RoPE are refused by name.

The weights are the last file to change, and they remember the configuration and the tokenizer they
were saved with. So a killed save leaves the old model, and a mixture of two saves is noticed.
"""

import hashlib
import json
import re
import warnings
from dataclasses import asdict, fields, replace
from pathlib import Path

import torch
from torch import Tensor

from course_lib.config import ModelConfig
from course_lib.files.tensors import (
    check_fit,
    copy_into,
    own_tensors,
    read_safetensors,
    write_safetensors,
)
from course_lib.machine.disk import json_hash, read_json, whole_folder, write_json
from course_lib.machine.ranks import ALONE, Ranks
from course_lib.model.transformer import Transformer
from course_lib.text.chat import CHAT_TEMPLATE
from course_lib.text.foreign import ForeignTokenizer
from course_lib.text.tokenizer import Tokenizer

WEIGHTS = "model.safetensors"
TABLE, HEAD = "model.embed_tokens.weight", "lm_head.weight"  # the same one if they are tied


def save_pretrained(
    directory: str | Path,
    model: Transformer,
    tokenizer: Tokenizer | ForeignTokenizer | None = None,
    dtype: torch.dtype = torch.float32,
    ranks: Ranks = ALONE,
) -> None:
    """Writes model and tokenizer as a Hugging Face directory, the weights in `dtype`.

    With `ranks` every rank calls it: the first writes, and all go on when the files are there.
    """
    if tokenizer is not None and tokenizer.vocab_size > model.config.vocab_size:
        raise ValueError(
            f"the tokenizer has {tokenizer.vocab_size} ids, the model's table "
            f"{model.config.vocab_size} rows: save a model with the tokenizer it was trained on"
        )
    ids = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
    if tokenizer is not None:
        # Generation ends with a document or with an answer. A model without its tokenizer has no
        # words for either: its generation stops when the length is reached.
        ids = {"bos_token_id": next(iter(tokenizer.start_ids), None)}
        ids |= {"eos_token_id": tokenizer.end_ids or None, "pad_token_id": tokenizer.pad_id}
    metadata = {"format": "pt", "config": json.dumps(asdict(model.config))}
    tensors = ranks.gathered(own_tensors(model))

    def write() -> None:
        with whole_folder(Path(directory), last=WEIGHTS) as staging:
            write_json(staging / "config.json", {**hf_config(model.config, dtype), **ids})
            write_json(staging / "generation_config.json", {"do_sample": True, **ids})
            if tokenizer is not None:
                tokenizer.save(staging / "tokenizer.json")
                settings = _tokenizer_config(tokenizer, model.config.context_length)
                write_json(staging / "tokenizer_config.json", settings)
                metadata["tokenizer"] = json_hash(staging / "tokenizer.json")
            weights = {_hf_name(name): tensor.to(dtype) for name, tensor in tensors.items()}
            write_safetensors(staging / WEIGHTS, weights, metadata)

    ranks.on_first(write)


def load_pretrained(
    source: str | Path,
) -> tuple[Transformer, Tokenizer | ForeignTokenizer | None]:
    """Model (float32, on the CPU) and tokenizer of a directory or of a Hub id such as
    "HuggingFaceTB/SmolLM2-135M"; the tokenizer is None where the directory has none.

    FileNotFoundError where there is no such folder or file, ValueError where a file is damaged, of
    another architecture, or of another save than its neighbours.
    """
    directory = _local_directory(source)
    settings = read_json(directory / "config.json")
    config = config_from_hf(settings)
    tensors, metadata = _read_weights(directory)
    tokenizer = _load_tokenizer(directory, settings)

    # A killed save may leave a new config.json beside old weights. Shapes would catch a part of it;
    # another base of RoPE fits any weights, and the model would only speak worse.
    saved_with = _our_config(metadata)
    changed = [name for name, value in saved_with.items() if asdict(config).get(name) != value]
    if changed:
        raise ValueError(
            f"{directory / WEIGHTS} was saved with another configuration than config.json says "
            f"({', '.join(changed)}): a save was interrupted or files were mixed, so save it again"
        )
    mark = metadata.get("tokenizer")
    if saved_with and mark is not None and mark not in _marks(directory / "tokenizer.json"):
        raise ValueError(
            f"{directory / WEIGHTS} was saved with another tokenizer.json than lies beside it: "
            "a save was interrupted or files were mixed, so save it again"
        )
    if tokenizer is not None and tokenizer.vocab_size > config.vocab_size:
        raise ValueError(
            f"{directory}: the tokenizer has {tokenizer.vocab_size} ids, "
            f"the model's table only {config.vocab_size} rows: were tokens added? Then give each a "
            "row (`resize_token_embeddings` in transformers) and save it again"
        )
    # Early Llama files keep RoPE's frequencies as if they were weights; we compute them.
    tensors = {name: t for name, t in tensors.items() if not name.endswith("rotary_emb.inv_freq")}
    config = _tied_as_stored(config, tensors, directory)
    model = Transformer(config)
    own = {_hf_name(name): tensor for name, tensor in own_tensors(model).items()}
    check_fit(own, tensors, directory)
    copy_into(own, tensors)
    return model, tokenizer


def _our_config(metadata: dict[str, str]) -> dict:
    """The `ModelConfig` that weights of ours were saved with; others may say what they like."""
    try:
        found = json.loads(metadata.get("config", "{}"))
    except ValueError:
        return {}
    names = {field.name for field in fields(ModelConfig)}
    return found if isinstance(found, dict) and found.keys() <= names else {}


def _tied_as_stored(
    config: ModelConfig, tensors: dict[str, Tensor], directory: Path
) -> ModelConfig:
    """The configuration, tied as the tensors are; as transformers does it, they have the last word.

    Two equal tables become one in `tensors`.
    """
    table, head = (tensors.get(name) for name in (TABLE, HEAD))
    if not config.tied_embeddings:
        if table is not None and head is None:
            raise ValueError(
                f"{directory}: config.json says that input and output have a table each "
                f"(tie_word_embeddings), but there is no {HEAD}: say true there if they share one"
            )
        return config
    if table is not None and head is not None and not torch.equal(table, head):
        warnings.warn(
            f"{directory}: config.json says that input and output share a table "
            "(tie_word_embeddings), but there are two different ones: both are used",
            stacklevel=3,
        )
        return replace(config, tied_embeddings=False)
    if head is not None:
        tensors.setdefault(TABLE, tensors.pop(HEAD))
    return config


def hf_config(config: ModelConfig, dtype: torch.dtype = torch.float32) -> dict:
    """What `config.json` says: LlamaForCausalLM, the base of RoPE in the old way and the new."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.context_length,
        "hidden_size": config.dim,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "num_key_value_heads": config.n_kv_heads,
        "head_dim": config.head_dim,
        "intermediate_size": config.ffn_dim,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope_theta,  # the old way; transformers 5 reads the next line
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_theta},
        "tie_word_embeddings": config.tied_embeddings,
        "dtype": str(dtype).removeprefix("torch."),
    }


def config_from_hf(found: dict) -> ModelConfig:
    """The `ModelConfig` of a `config.json`; ValueError names what this course's model lacks."""
    if found.get("model_type") != "llama":
        raise ValueError(
            f"model_type must be 'llama', config.json says {found.get('model_type')!r}"
        )
    rope = found.get("rope_parameters") or {}
    for scaling in (rope, found.get("rope_scaling") or {}):
        if not isinstance(scaling, dict):
            raise ValueError(f"RoPE's settings in config.json must be an object, got {scaling!r}")
        kind = scaling.get("rope_type", scaling.get("type", "default"))
        if kind != "default":
            raise ValueError(
                f"rope_scaling {kind!r} is not implemented: choose a model with plain RoPE, "
                "such as HuggingFaceTB/SmolLM2-135M"
            )
    plain = {"hidden_act": "silu", "attention_bias": False, "mlp_bias": False}
    plain["quantization_config"] = None
    for name, expected in plain.items():
        if found.get(name, expected) != expected:
            raise ValueError(f"{name} must be {expected!r}, config.json says {found[name]!r}")
    try:
        n_heads = found["num_attention_heads"]
        config = ModelConfig(
            vocab_size=found["vocab_size"],
            context_length=found["max_position_embeddings"],
            dim=found["hidden_size"],
            n_layers=found["num_hidden_layers"],
            n_heads=n_heads,
            n_kv_heads=found.get("num_key_value_heads") or n_heads,
            ffn_dim=found["intermediate_size"],
            # What a file leaves out has the default of transformers' LlamaConfig.
            rope_theta=float(rope.get("rope_theta", found.get("rope_theta", 10_000.0))),
            norm_eps=float(found.get("rms_norm_eps", 1e-6)),
            tied_embeddings=bool(found.get("tie_word_embeddings", False)),
        )
    except KeyError as error:
        raise ValueError(f"config.json lacks {error}, which every Llama has") from error
    except TypeError as error:
        raise ValueError(f"config.json has no number where one should be: {error}") from error
    if (found.get("head_dim") or config.head_dim) != config.head_dim:
        raise ValueError(
            f"head_dim must be hidden_size / num_attention_heads = {config.head_dim}, "
            f"config.json says {found['head_dim']}"
        )
    return config


def _tokenizer_config(tokenizer: Tokenizer | ForeignTokenizer, context_length: int) -> dict:
    """What `tokenizer_config.json` says."""
    if isinstance(tokenizer, ForeignTokenizer):
        return tokenizer.tokenizer_config
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context_length,
        "clean_up_tokenization_spaces": False,
        "bos_token": "<|endoftext|>",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",  # not eos: trainers hide pads from the loss
        "additional_special_tokens": ["<|im_start|>"],
        "chat_template": CHAT_TEMPLATE,
    }


def _hf_name(name: str) -> str:
    """Our layers have Llama's names, but Llama's head stands outside of what it calls `model`."""
    return name if name.startswith("lm_head.") else f"model.{name}"


def _local_directory(source: str | Path) -> Path:
    """`source` if it is a folder, else the Hub's repository of that name, downloaded."""
    path = Path(source)
    if path.is_dir():
        return path
    # "artifacts/base" looks like a Hub id, too: where its first part is a folder, it is a path.
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", str(source)) or path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {source}, and it is not a Hub id (owner/name)")
    from huggingface_hub import snapshot_download  # costs half a second, and few need it

    wanted = ["*.json", "*.safetensors", "*.jinja"]
    return Path(snapshot_download(str(source), allow_patterns=wanted))


def _marks(path: Path) -> tuple[str, str]:
    """How weights remember this tokenizer.json: by what it says, and before that by its bytes.

    Git for Windows rewrites line ends, so the bytes are those that were written, with line feeds.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}")
    return json_hash(path), hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()


def _load_tokenizer(directory: Path, config: dict) -> Tokenizer | ForeignTokenizer | None:
    path = directory / "tokenizer.json"
    if not path.is_file():
        return None
    try:
        return Tokenizer.load(path)
    except ValueError:  # not one of ours
        text = path.read_text(encoding="utf-8", errors="replace")
        settings = _read_if_there(directory / "tokenizer_config.json")
        template = directory / "chat_template.jinja"  # where transformers 5 keeps it
        if template.is_file():
            settings["chat_template"] = template.read_text(encoding="utf-8", errors="replace")
        generation = _read_if_there(directory / "generation_config.json")
        starts, ends = (
            [*_ids(generation.get(role)), *_ids(config.get(role))]
            for role in ("bos_token_id", "eos_token_id")
        )
        return ForeignTokenizer(text, settings, starts, ends)


def _read_if_there(path: Path) -> dict:
    return read_json(path) if path.is_file() else {}


def _ids(found: int | list[int] | None) -> list[int]:
    """What a configuration calls an id: one, several or none."""
    return found if isinstance(found, list) else [] if found is None else [found]


def _read_weights(directory: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors and the metadata of one file, or of the shards that an index lists."""
    index = directory / f"{WEIGHTS}.index.json"
    if (directory / WEIGHTS).is_file() or not index.is_file():
        return read_safetensors(directory / WEIGHTS)
    tensors = {}
    for shard in sorted(set(read_json(index)["weight_map"].values())):
        tensors.update(read_safetensors(directory / shard)[0])
    return tensors, {}
