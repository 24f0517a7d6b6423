"""Models on disk: Hugging Face directories for sharing, one training-state file for resuming.

`save_pretrained` writes what `transformers`, TRL, vLLM and lm-eval load as `LlamaForCausalLM`:
config.json, model.safetensors, generation_config.json and the tokenizer's two files.
`load_pretrained` reads these and other models of the Llama family, from a folder or the Hub.
`save_training_state` keeps weights, optimizer and progress in training_state.safetensors; nothing
is pickled. Left out: quantized weights, biases and scaled RoPE, which are refused by name.

Every file is written whole beside its place, flushed to the disk and then renamed into it, the
weights last, so that a killed save leaves the old model. The weights remember the configuration and
tokenizer they were saved with; a mixture of two saves is refused when loaded.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import safetensors
import tokenizers
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from course_lib.chat import CHAT_TEMPLATE
from course_lib.config import ModelConfig
from course_lib.distributed import ALONE, Ranks, split_as
from course_lib.model import Transformer
from course_lib.tokenizer import ALPHABET, Tokenizer

WEIGHTS = "model.safetensors"
TRAINING_STATE = "training_state.safetensors"
TRAINING_FORMAT = "course_lib training state 1"


class ForeignTokenizer:
    """A published `tokenizer.json`, read by the `tokenizers` library, as our `Tokenizer` behaves.

    The ids of control tokens that it lacks are None.
    """

    def __init__(self, tokenizer_json: str, tokenizer_config: dict) -> None:
        try:
            self._tokenizer = tokenizers.Tokenizer.from_str(tokenizer_json)
        except Exception as error:  # the library raises nothing narrower
            raise ValueError(f"tokenizer.json can't be read: {error}") from error
        self._tokenizer.encode_special_tokens = True  # typed text never becomes a control token
        self._json = tokenizer_json
        self.tokenizer_config = tokenizer_config
        self.vocab_size = self._tokenizer.get_vocab_size()
        self._added = self._tokenizer.get_added_tokens_decoder()  # spelled as they are
        self._byte_level = "ByteLevel" in json.dumps(self.to_dict()["decoder"])
        named = [tokenizer_config.get(name) for name in ("bos_token", "eos_token")]
        named = [token["content"] if isinstance(token, dict) else token for token in named]
        boundaries = [self._id(token) for token in ("<|endoftext|>", *named) if token]
        self.eot_id = next((id for id in boundaries if id is not None), None)
        self.im_start_id, self.im_end_id = self._id("<|im_start|>"), self._id("<|im_end|>")

    def _id(self, token: str) -> int | None:
        return self._tokenizer.token_to_id(token)

    def encode(self, text: str) -> list[int]:
        """The ids of `text`, none of them a control token."""
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def encode_batch(self, texts: list[str]) -> list[list[int]]:
        """The ids of each text."""
        return [self.encode(text) for text in texts]

    def decode(self, ids: list[int]) -> str:
        """The text of `ids`, control tokens spelled out."""
        return self._tokenizer.decode(list(ids), skip_special_tokens=False)

    def token_bytes(self, id: int) -> bytes:
        """The bytes that `id` stands for."""
        token = self._tokenizer.id_to_token(int(id)) if id >= 0 else None
        if token is None:
            raise ValueError(f"there is no token {id}: ids run from 0 to {self.vocab_size - 1}")
        if id in self._added:
            return token.encode()
        if self._byte_level:
            return bytes(ALPHABET.index(char) for char in token)
        if re.fullmatch("<0x[0-9A-F]{2}>", token):  # SentencePiece's spelling of a lone byte
            return bytes.fromhex(token[3:5])
        return token.replace("▁", " ").encode()

    def to_dict(self) -> dict:
        """The contents of its `tokenizer.json`."""
        return json.loads(self._json)

    def save(self, path: str | Path) -> None:
        """Writes `tokenizer.json` as it came."""
        Path(path).write_text(self._json, encoding="utf-8", newline="\n")


# ---- Hugging Face directories -------------------------------------------------------------------


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
        # Generation ends with a document or with an answer.
        ends = [id for id in (tokenizer.eot_id, tokenizer.im_end_id) if id is not None]
        ids = {"bos_token_id": tokenizer.eot_id, "eos_token_id": ends or None}
        ids["pad_token_id"] = tokenizer.eot_id
    metadata = {"format": "pt", "config": json.dumps(model.config.to_dict())}
    tensors = ranks.gathered(_own_tensors(model))

    def write() -> None:
        with _staged(Path(directory)) as staging:
            _write_json(staging / "config.json", {**hf_config(model.config, dtype), **ids})
            _write_json(staging / "generation_config.json", {"do_sample": True, **ids})
            if tokenizer is not None:
                tokenizer.save(staging / "tokenizer.json")
                settings = _tokenizer_config(tokenizer, model.config.context_length)
                _write_json(staging / "tokenizer_config.json", settings)
                metadata["tokenizer"] = _digest(staging / "tokenizer.json")
            weights = {_hf_name(name): tensor.to(dtype) for name, tensor in tensors.items()}
            write_safetensors(staging / WEIGHTS, weights, metadata)

    ranks.on_first(write)


def load_pretrained(
    source: str | Path,
) -> tuple[Transformer, Tokenizer | ForeignTokenizer | None]:
    """Model (float32, on the CPU) and tokenizer of a directory or of a Hub id such as
    "HuggingFaceTB/SmolLM2-135M"; the tokenizer is None where the directory has none.
    """
    directory = _local_directory(source)
    config = config_from_hf(_read_json(directory / "config.json"))
    tensors, metadata = _read_weights(directory)
    tokenizer = _load_tokenizer(directory)

    saved_with = json.loads(metadata.get("config", "{}"))
    changed = [name for name, value in saved_with.items() if config.to_dict().get(name) != value]
    if changed:
        raise ValueError(
            f"{directory / WEIGHTS} was saved with another configuration than config.json says "
            f"({', '.join(changed)}): a save was interrupted or files were mixed, so save it again"
        )
    if "tokenizer" in metadata and metadata["tokenizer"] != _digest(directory / "tokenizer.json"):
        raise ValueError(
            f"{directory / WEIGHTS} was saved with another tokenizer.json than lies beside it: "
            "a save was interrupted or files were mixed, so save it again"
        )
    if tokenizer is not None and tokenizer.vocab_size > config.vocab_size:
        raise ValueError(
            f"{directory}: the tokenizer has {tokenizer.vocab_size} ids, "
            f"the model's table only {config.vocab_size} rows"
        )
    if config.tied_embeddings:
        tensors.pop("lm_head.weight", None)  # some tools store the shared table twice
    tensors = {name: t for name, t in tensors.items() if not name.endswith("rotary_emb.inv_freq")}
    model = Transformer(config)
    own = {_hf_name(name): tensor for name, tensor in _own_tensors(model).items()}
    _check_fit(own, tensors, directory)
    _copy(own, tensors)
    return model, tokenizer


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
        "rope_theta": config.rope_theta,
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
    except (KeyError, TypeError) as error:
        raise ValueError(f"config.json lacks or garbles {error}") from error
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

    wanted = ["*.json", "*.safetensors"]
    return Path(snapshot_download(str(source), allow_patterns=wanted))


def why_not_at_hand(source: str, seconds: float = 3.0) -> str | None:
    """A sentence that says why the Hub's model `source` can't be loaded now; None if it can.

    It can if an earlier download is complete, or if the Hub answers within `seconds`: without this
    question, `load_pretrained` tries for most of a minute before it gives up.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        kept = Path(snapshot_download(source, local_files_only=True))
        if (kept / "config.json").is_file() and any(kept.glob("*.safetensors")):
            return None
    except LocalEntryNotFoundError:
        pass
    try:
        HfApi().model_info(source, timeout=seconds)
    except Exception as error:  # offline, a wall, no such model: the reasons have no common class
        return (
            f"{source} is not on this machine, and the Hub can't be asked: {type(error).__name__}."
        )
    return None


def _load_tokenizer(directory: Path) -> Tokenizer | ForeignTokenizer | None:
    path = directory / "tokenizer.json"
    if not path.is_file():
        return None
    try:
        return Tokenizer.load(path)
    except ValueError:  # not one of ours
        settings = directory / "tokenizer_config.json"
        text = path.read_text(encoding="utf-8", errors="replace")
        return ForeignTokenizer(text, _read_json(settings) if settings.is_file() else {})


def _read_weights(directory: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors and the metadata of one file, or of the shards that an index lists."""
    index = directory / f"{WEIGHTS}.index.json"
    if (directory / WEIGHTS).is_file() or not index.is_file():
        return _read_safetensors(directory / WEIGHTS)
    tensors = {}
    for shard in sorted(set(_read_json(index)["weight_map"].values())):
        tensors.update(_read_safetensors(directory / shard)[0])
    return tensors, {}


# ---- Training state -----------------------------------------------------------------------------


def save_training_state(
    directory: str | Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: dict,
    ranks: Ranks = ALONE,
) -> None:
    """Writes all that a run needs to go on as if it had never stopped, in one file.

    `progress` is the caller's (step, tokens, seeds ...) and must survive JSON. With `ranks` every
    rank calls it: the first writes, and all go on when the file is there.
    """
    try:
        progress_json = json.dumps(progress)
    except TypeError as error:
        raise ValueError(f"progress must survive JSON (numbers, text, lists): {error}") from error
    state = optimizer.state_dict()
    tensors = {f"model.{name}": tensor for name, tensor in _own_tensors(model).items()}
    for index, values in state["state"].items():
        for name, value in values.items():
            tensors[f"optimizer.{index}.{name}"] = value
    metadata = {
        "format": TRAINING_FORMAT,
        "optimizer": type(optimizer).__name__,
        "param_groups": json.dumps(state["param_groups"]),
        "progress": progress_json,
    }
    tensors = ranks.gathered(tensors)

    def write() -> None:
        with _staged(Path(directory)) as staging:
            write_safetensors(staging / TRAINING_STATE, tensors, metadata)

    ranks.on_first(write)


def load_training_state(
    directory: str | Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    ranks: Ranks = ALONE,
) -> dict:
    """Fills model and optimizer from `save_training_state`'s file; its `progress` is returned.

    Nothing is changed unless everything fits. With `ranks` every rank calls it and reads the file.
    """
    path = Path(directory) / TRAINING_STATE
    own = {f"model.{name}": tensor for name, tensor in _own_tensors(model).items()}
    read = []
    ranks.together(lambda: read.append(_read_training_state(path, own, optimizer)))
    [(tensors, state, groups, progress)] = read
    _copy(own, tensors)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for index, values in state.items():
        for key, value in values.items():
            # Cloned, as the optimizer would go on to write into a map of the file.
            values[key] = (split_as(parameters[index], value) if value.dim() else value).clone()
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    return progress


def _read_training_state(path: Path, own: dict[str, Tensor], optimizer) -> tuple:
    """The file's weights, optimizer state, parameter groups and progress, if they fit."""
    tensors, metadata = _read_safetensors(path)
    if metadata.get("format") != TRAINING_FORMAT:
        raise ValueError(
            f"{path} must be a {TRAINING_FORMAT!r}, its format is {metadata.get('format')!r}"
        )
    if metadata["optimizer"] != type(optimizer).__name__:
        raise ValueError(
            f"{path} holds the state of {metadata['optimizer']}, not of {type(optimizer).__name__}"
        )
    groups = json.loads(metadata["param_groups"])
    own_groups = optimizer.state_dict()["param_groups"]
    if [group["params"] for group in groups] != [group["params"] for group in own_groups]:
        raise ValueError(
            f"the optimizer groups {[len(group['params']) for group in own_groups]} parameters, "
            f"{path} {[len(group['params']) for group in groups]}: build it as in the saved run"
        )
    for group, mine in zip(groups, own_groups, strict=True):  # JSON has no tuples
        group.update({k: tuple(group[k]) for k, v in mine.items() if isinstance(v, tuple)})

    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state = {}
    for name in [name for name in tensors if name.startswith("optimizer.")]:
        _, index, key = name.split(".", 2)
        value = tensors.pop(name)
        if value.dim() and value.shape != parameters[int(index)].shape:
            raise ValueError(
                f"{path}: {name} must be {tuple(parameters[int(index)].shape)}, "
                f"got {tuple(value.shape)}: the optimizer's parameters came in another order"
            )
        state.setdefault(int(index), {})[key] = value
    _check_fit(own, tensors, path)
    return tensors, state, groups, json.loads(metadata["progress"])


# ---- Files --------------------------------------------------------------------------------------


@contextmanager
def _staged(directory: Path) -> Iterator[Path]:
    """A folder to write new files in, which move into `directory` when all of them are complete."""
    staging = directory / ".saving"
    shutil.rmtree(staging, ignore_errors=True)  # left by a save that was killed
    staging.mkdir(parents=True)
    try:
        yield staging
        names = sorted(os.listdir(staging), key=lambda name: name == WEIGHTS)  # the weights last
        for name in names:
            with open(staging / name, "r+b") as file:
                os.fsync(file.fileno())  # else a power cut could leave a renamed, empty file
        for name in names:
            os.replace(staging / name, directory / name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def write_safetensors(
    path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Writes the tensors as a file; raises OSError where there is no room, or no permission."""
    try:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata)
    except safetensors.SafetensorError as error:  # how the library reports what the disk said
        raise OSError(
            f"{path} can't be written ({error}). If the disk is full, make room and run this "
            "again: what was saved before is still there"
        ) from error


def _own_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and persistent buffers by name, a shared (tied) one under its first name only."""
    first = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        first.setdefault(id(tensor), (name, tensor.detach()))
    return dict(first.values())


def _check_fit(own: dict[str, Tensor], found: dict[str, Tensor], path: Path) -> None:
    """Raises ValueError unless names and shapes agree."""
    missing, extra = sorted(own.keys() - found.keys()), sorted(found.keys() - own.keys())
    if missing or extra:
        raise ValueError(
            f"{path} belongs to another architecture: it lacks {missing[:3]} and has "
            f"{extra[:3]} too many ({len(missing)} and {len(extra)} in all)"
        )
    for name, tensor in own.items():
        if found[name].shape != tensor.shape:
            raise ValueError(
                f"{path}: {name} must be {tuple(tensor.shape)}, got {tuple(found[name].shape)}"
            )


@torch.no_grad()
def _copy(own: dict[str, Tensor], found: dict[str, Tensor]) -> None:
    for name, tensor in own.items():
        tensor.copy_(split_as(tensor, found[name]))


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            names = file.keys()  # the file itself is no iterable
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is damaged or no safetensors file: {error}") from error


def _write_json(path: Path, value: dict) -> None:
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8", newline="\n")


def _read_json(path: Path) -> dict:
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} must hold a JSON object, got {type(value).__name__}")
    return value


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
