"""What only a model can tell, for the page: ids, logits, attention, the truth.

The explorer's page computes everything else (`explorer_core.js`). A page that needs no Python asks
the same questions of `run.c` in WebAssembly.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from course_lib.model.sample import finite
from course_lib.model.transformer import Transformer
from course_lib.text.chat import encode_prompt
from course_lib.text.foreign import AnyTokenizer
from course_lib.text.tokenizer import Tokenizer, visible
from course_lib.widgets.explorer_state import are_heads
from course_lib.world.documents import world_grammar
from course_lib.world.truth import true_next_tokens

QUESTIONS = ("encode", "prompt", "logits", "attention", "lens", "truth")
OTHER_TOKENIZER = "The truth is known for the course's own tokenizer only."
OUTSIDE = (
    "This text is outside the course's world: no document there begins like it, so there is no "
    "true probability to show."
)
INSIDE_A_TOKEN = (
    "Documents of the world begin like this, but there no token ends where your text does: finish "
    "the word, or take the space off the end, and the truth is back."
)


class Engine:
    """Models that share a tokenizer, and what a page may ask about them.

    An answer is a dict of what JSON can hold; `data` is its numbers, float32 as bytes.
    """

    def __init__(self, pairs: dict[str, tuple[Transformer, AnyTokenizer]]) -> None:
        self.models = {name: model for name, (model, _) in pairs.items()}
        self.tokenizer: AnyTokenizer = next(iter(pairs.values()))[1]

    def info(self) -> dict:
        """What never changes, and the version of the models' weights."""
        configs = [model.config for model in self.models.values()]
        return {
            "models": list(self.models),
            "V": configs[0].vocab_size,
            "T": min(config.context_length for config in configs),
            "L": configs[0].n_layers,
            "H": configs[0].n_heads,
            "startIds": list(self.tokenizer.start_ids),
            "chat": self.tokenizer.chatml,
            "truth": isinstance(self.tokenizer, Tokenizer),
            "version": self.version(),
        }

    def version(self) -> int:
        """Another number after each training step: weights count their own changes."""
        return sum(w._version for model in self.models.values() for w in model.parameters())

    def tokens(self) -> dict:
        """Names and bytes of all ids; those that stand for no text are `control`."""
        size = max(model.config.vocab_size for model in self.models.values())
        spelled = [bytes_of(self.tokenizer, id) for id in range(size)]
        return {
            "names": [token_text(self.tokenizer, id) for id in range(size)],
            "sizes": [len(token) for token in spelled],
            "bytes": b"".join(spelled),
            "control": [id for id in range(size) if not self.tokenizer.is_text(id)],
        }

    def answer(self, ask: str, of: list) -> dict:
        """The answer to the question `ask` about `of`; ValueError, in words, for a bad one."""
        if ask not in QUESTIONS:
            raise ValueError(f"the page asks for {ask!r:.200}, which the kernel doesn't know")
        return getattr(self, f"_{ask}")(*of)

    def reply(self, message: dict, send: Callable) -> None:
        """Answers a page's message by `send(content, buffers=...)`; an error is an answer, too.

        `number` and `page` come back with the answer, so that the page knows its question.
        """
        stamp = {name: message.get(name) for name in ("number", "page", "ask")}
        stamp["version"] = self.version()
        try:
            answer = self.answer(message["ask"], message["of"])
            ahead = self.ahead(answer, message.get("ahead", []))
        except Exception as error:  # else it would vanish: no cell runs that could show it
            kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
            send({**stamp, "error": f"{kind}{error}"})
        else:
            data = [answer.pop("data")] if "data" in answer else []
            data += [logits["data"] for _, logits in ahead]
            send({**stamp, **answer, "ahead": [of for of, _ in ahead]}, buffers=data)

    def ahead(self, answer: dict, wanted: list) -> list[tuple[list, dict]]:
        """The logits after the ids of an answer, for each (model, heads off) that is wanted.

        A page that has encoded a text asks for these next. Each comes with its question, (model,
        ids, heads off).
        """
        ids = [*self.tokenizer.start_ids, *answer["ids"]] if wanted and "ids" in answer else []
        distinct = {repr(one): one for one in wanted}.values() if ids else []
        return [([name, ids, off], self._logits(name, ids, off)) for name, off in distinct]

    def _encode(self, text: str) -> dict:
        return {"ids": self.tokenizer.encode(text)}

    def _prompt(self, messages: list[dict[str, str]]) -> dict:
        return {"ids": encode_prompt(self.tokenizer, messages)}

    @torch.inference_mode()
    def _logits(self, name: str, ids: list[int], off: list) -> dict:
        model, row = self._row(name, ids)
        with switched_off(model, off):
            return {"data": _numbers(finite(model.next_logits(row)[0]))}  # (V,)

    @torch.inference_mode()
    def maps(self, name: str, ids: list[int], off: list) -> Tensor:
        """How each position shares out its attention in each head, (L, H, T, T)."""
        model, row = self._row(name, ids)
        with switched_off(model, off):
            return model(row, trace=True).attention[:, 0]

    def _attention(self, name: str, ids: list[int], off: list) -> dict:
        maps = self.maps(name, ids, off)
        layers, heads, length, _ = maps.shape
        return {"layers": layers, "heads": heads, "length": length, "data": _numbers(maps)}

    @torch.inference_mode()
    def _lens(self, name: str, ids: list[int], off: list) -> dict:
        # What if it ended here? The output layer reads the stream as it is after each layer.
        model, row = self._row(name, ids)
        with switched_off(model, off):
            stream = model(row, trace=True).residual[:, 0, -1]  # (L + 1, C)
        logits = finite(model.lm_head(model.norm(stream)))  # (L + 1, V)
        return {"layers": len(logits), "data": _numbers(logits)}

    def _truth(self, text: str) -> dict:
        if not isinstance(self.tokenizer, Tokenizer):
            return {"shares": [], "note": OTHER_TOKENIZER}
        shares = [list(pair) for pair in true_next_tokens(self.tokenizer, text).items()]
        if shares:
            return {"shares": shares, "note": ""}
        known = world_grammar().next_word(text)
        return {"shares": [], "note": INSIDE_A_TOKEN if known else OUTSIDE}

    def _row(self, name: str, ids: list[int]) -> tuple[Transformer, Tensor]:
        """A model and what it reads of `ids`, (1, T): as many of the last as fit."""
        if name not in self.models:
            raise ValueError(f"model must be one of {', '.join(self.models)}, got {name!r:.200}")
        model = self.models[name]
        device = model.embed_tokens.weight.device
        return model, torch.tensor([ids[-model.config.context_length :]], device=device)


@contextmanager
def switched_off(model: Transformer, off: list) -> Iterator[None]:
    """In it the heads (layer, head) in `off` pass nothing on: what they mixed becomes zeros."""
    config, heads = model.config, defaultdict(list)
    if not are_heads(off):
        raise ValueError(f"off must be pairs of a layer and a head, got {off!r:.200}")
    for layer, head in off:
        if not (layer < config.n_layers and head < config.n_heads):
            raise ValueError(
                f"there is no head {head} in layer {layer}: this model has {config.n_layers} "
                f"layers with {config.n_heads} heads each, counted from 0"
            )
        heads[layer].append(head)

    def silence(layer: int):
        def before(_, args: tuple[Tensor]) -> tuple[Tensor]:
            mixed = args[0].unflatten(-1, (config.n_heads, -1)).clone()  # (B, T, H, D)
            mixed[:, :, heads[layer]] = 0
            return (mixed.flatten(-2),)

        return before

    hooks = [
        model.layers[layer].self_attn.o_proj.register_forward_pre_hook(silence(layer))
        for layer in heads
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _numbers(values: Tensor) -> bytes:
    return values.float().cpu().contiguous().numpy().tobytes()


def bytes_of(tokenizer: AnyTokenizer, id: int) -> bytes:
    """What `id` stands for; nothing, where a model's table has more rows than there are tokens."""
    try:
        return tokenizer.token_bytes(id)
    except ValueError:
        return b""


def token_text(tokenizer: AnyTokenizer, id: int) -> str:
    """The token with a sign for each character that can't be seen: b" a\\n" is "␣a↵"."""
    spelled = bytes_of(tokenizer, id)
    return visible(spelled.decode("utf-8", errors="backslashreplace")) or f"(unused {id})"
