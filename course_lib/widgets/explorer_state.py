"""What decides what the explorer shows, and how each step of the page changes it.

A `State` holds the text and the dials; a `Session` the present state and those to go back to;
`after` takes a session and a message from the page, and gives the next session.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from course_lib.config import Sampling
from course_lib.model.sample import draw, finite, sampling_probs
from course_lib.model.transformer import Transformer
from course_lib.text.chat import encode_prompt
from course_lib.text.foreign import AnyTokenizer
from course_lib.text.tokenizer import visible
from course_lib.widgets.shell import TEXT_SIZES

CONTENT = ("text", "picked", "chat")  # what undo brings back: the dials stay
LONGEST_PAST = 100


@dataclass(frozen=True)
class State:
    """All that decides what is shown."""

    text: str
    picked: tuple[int, ...] = ()  # ids after the text; in a chat they begin the answer
    model: str = "model"
    compare: bool = False  # all models side by side; else only `model`
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    truth: bool = False
    chat: bool = False  # the text is a question in the chat template
    steps: bool = False  # the way from logits to what is drawn from, column by column
    bars: int = 10
    samples: int = 0  # drawn beside the bars; 0 is none
    seed: int = 0  # of the latest draw
    token: int | None = None  # whose attention is shown, counted from the start
    layer: int | None = None  # None is the mean over all
    head: int | None = None
    size: str = "normal"  # "large" is for a projector

    @property
    def sampling(self) -> Sampling:
        return Sampling(self.temperature, self.top_k, self.top_p, self.seed)

    def __post_init__(self) -> None:
        t, k, p = self.temperature, self.top_k, self.top_p
        for name, good, expected in (
            ("text", isinstance(self.text, str), "text: the prompt"),
            ("temperature", is_number(t) and 0 <= t < float("inf"), "zero or more"),
            ("top_k", k is None or is_int(k, 1), "a whole number from 1, or None for every token"),
            ("top_p", p is None or (is_number(p) and 0 < p <= 1), "above 0, at most 1, or None"),
            ("bars", is_int(self.bars, 1, 50), "a whole number from 1 to 50"),
            ("samples", is_int(self.samples, 0, 1000), "a whole number from 0 to 1000"),
            ("seed", is_int(self.seed, 0), "a whole number from 0"),
            ("size", self.size in TEXT_SIZES, f"one of {', '.join(TEXT_SIZES)}"),
        ):
            if not good:
                raise ValueError(f"{name} must be {expected}, got {getattr(self, name)!r:.200}")


def is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_int(value, low: int, high: float = float("inf")) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


class Models:
    """Models that share a tokenizer, with their latest answers: turning a dial asks none again."""

    def __init__(self, pairs: dict[str, tuple[Transformer, AnyTokenizer]]) -> None:
        self.models = {name: model for name, (model, _) in pairs.items()}
        self.tokenizer: AnyTokenizer = next(iter(pairs.values()))[1]
        # a cache of this object's own: one on the class would keep every model alive. 32 answers
        # are a few undos back; an attention record is (L, H, T, T) numbers, so only two of them
        self._logits = lru_cache(maxsize=32)(self._compute_logits)
        self._attention = lru_cache(maxsize=2)(self._compute_attention)

    def logits(self, name: str, ids: list[int]) -> Tensor:
        """The logits (V,) of the token after `ids`, or after as many of the last as fit."""
        return self._logits(*self._question(name, ids))

    def attention(self, name: str, ids: list[int]) -> Tensor:
        """Each layer's and head's attention maps (L, H, T, T) over the last T ids that fit."""
        return self._attention(*self._question(name, ids))

    def _question(self, name: str, ids: list[int]) -> tuple[str, tuple[int, ...], int]:
        model = self.models[name]
        # a model that was trained meanwhile has other answers: its weights count their changes
        version = sum(weight._version for weight in model.parameters())
        return name, tuple(ids[-model.config.context_length :]), version

    @torch.inference_mode()
    def _compute_logits(self, name: str, ids: tuple[int, ...], version: int) -> Tensor:
        model = self.models[name]
        row = torch.tensor([ids], device=model.embed_tokens.weight.device)  # (1, T)
        return finite(model.next_logits(row)[0]).float().cpu()

    @torch.inference_mode()
    def _compute_attention(self, name: str, ids: tuple[int, ...], version: int) -> Tensor:
        model = self.models[name]
        row = torch.tensor([ids], device=model.embed_tokens.weight.device)
        return model(row, trace=True).attention[:, 0].float().cpu()


# ---- Tokens and text ----------------------------------------------------------------------------


def token_text(tokenizer: AnyTokenizer, id: int) -> str:
    """The token with a sign for each character that can't be seen: b" a\\n" is "␣a↵"."""
    try:
        text = tokenizer.token_bytes(id).decode("utf-8", errors="backslashreplace")
    except ValueError:  # a model's table may have more rows than its tokenizer has tokens
        return f"(unused {id})"
    return visible(text)


def prompt_ids(tokenizer: AnyTokenizer, state: State) -> tuple[list[int], int]:
    """The ids that the model goes on from, and how many at their start no rewind takes away."""
    if state.chat:
        ids = encode_prompt(tokenizer, [{"role": "user", "content": state.text}])
        return [*ids, *state.picked], len(ids)
    start = tokenizer.start_ids
    ids = [*start, *tokenizer.encode(state.text), *state.picked]
    if not ids:
        raise ValueError("this tokenizer has no token for the start of a document: type something")
    return ids, len(start)


def whole_text(tokenizer: AnyTokenizer, state: State) -> str:
    """The text that goes on: with the picked tokens, if they don't begin an answer."""
    if state.chat or not state.picked:
        return state.text
    return readable(tokenizer, [*tokenizer.encode(state.text), *state.picked])


def readable(tokenizer: AnyTokenizer, ids: list[int]) -> str:
    """Their text; half a letter at its end is left out, as the other half may come."""
    return text_of(tokenizer, ids).rstrip("\ufffd")


def text_of(tokenizer: AnyTokenizer, ids: list[int]) -> str:
    return tokenizer.decode([id for id in ids if id < tokenizer.vocab_size])


def drawn_ids(probs: Tensor, samples: int, seed: int) -> Tensor:
    """`samples` ids drawn from `probs` (V,), the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    return draw(probs.expand(samples, -1), generator)[:, 0]


# ---- From what is typed and clicked to the next state -------------------------------------------


@dataclass(frozen=True)
class Session:
    """The present state, and the ones to go back to."""

    state: State
    first: State
    past: tuple[State, ...] = ()
    branches: tuple[State, ...] = ()
    typing: bool = False  # letters typed one after the other are undone together
    said: str = ""  # about the latest step

    def to(self, state: State, said: str = "", typing: bool = False) -> "Session":
        """The session at another text, from which `undo` leads back here."""
        state = replace(state, token=None, samples=0)
        goes_on = typing and self.typing
        past = self.past if goes_on else (*self.past, self.state)[-LONGEST_PAST:]
        return replace(self, state=state, past=past, said=said, typing=typing)


def after(session: Session, message: dict, models: Models) -> Session:
    """The session after one message from the page; ValueError where it asks what can't be."""
    state, tokenizer = session.state, models.tokenizer
    match message["do"]:
        case "type":
            # a browser counts in UTF-16, where an emoji is two halves and may come as one of them
            text = message["text"].encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            return session.to(replace(state, text=text, picked=()), typing=True)
        case "pick":
            return session.to(with_token(models, state, message["id"]))
        case "draw":
            seed = state.seed + 1
            logits = models.logits(state.model, prompt_ids(tokenizer, state)[0])
            probs = sampling_probs(logits, state.sampling)
            [id] = drawn_ids(probs, 1, seed).tolist()
            said = f"Drawn: {token_text(tokenizer, id)}, which had {100 * probs[id]:.1f} %."
            return session.to(with_token(models, replace(state, seed=seed), id), said)
        case "draw many":
            state = replace(state, samples=message["samples"], seed=state.seed + 1)
            said = f"{state.samples} tokens drawn; none of them is appended."
            return replace(session, state=state, said=said, typing=False)
        case "rewind":
            fixed = prompt_ids(tokenizer, state)[1]
            said = "Rewound." if message["keep"] >= fixed else "Rewound; the question stays."
            return session.to(rewound(tokenizer, state, message["keep"]), said)
        case "chat":  # the answer doesn't belong to the text, what was picked before it does
            text = whole_text(tokenizer, state)
            return session.to(replace(state, text=text, picked=(), chat=message["chat"]))
        case "undo" if not session.past:
            return replace(session, said="There is nothing to undo.")
        case "undo":
            state = with_content(session.state, session.past[-1])
            past = session.past[:-1]
            return replace(session, state=state, past=past, typing=False, said="Undone.")
        case "branch":
            # compared under the present dials, so that the same text is kept once
            others = [
                b for b in session.branches if with_content(state, b) != with_content(state, state)
            ]
            said = "Kept: go on here, come back with its button."
            return replace(session, branches=(*others, state), said=said)
        case "return":
            return session.to(with_content(state, session.branches[message["branch"]]))
        case "reset":
            return replace(session.to(session.first, "As in the beginning."), state=session.first)
        case "set":
            dials = {k: v for k, v in message.items() if k not in ("do", *CONTENT)}
            if "model" in dials:
                dials |= dict(layer=None, head=None)  # the other model may have fewer
            return replace(session, state=replace(state, **dials), said="", typing=False)
    raise ValueError(f"the page asks for {message['do']!r:.200}, which the explorer doesn't know")


def with_content(state: State, other: State) -> State:
    """The text of `other` under the dials of `state`."""
    content = {name: getattr(other, name) for name in CONTENT}
    return replace(state, **content, token=None, samples=0)


def with_token(models: Models, state: State, id: int) -> State:
    """`state` with a token more."""
    size = models.models[state.model].config.vocab_size
    if not is_int(id, 0, size - 1):
        raise ValueError(f"there is no token {id!r:.200}: ids run from 0 to {size - 1}")
    if state.chat:
        return replace(state, picked=(*state.picked, id))
    ids, fixed = prompt_ids(models.tokenizer, state)
    return _at_ids(models.tokenizer, state, [*ids[fixed:], id])


def rewound(tokenizer: AnyTokenizer, state: State, keep: int) -> State:
    """`state` with only the first `keep` tokens; the start and a chat's question stay."""
    ids, fixed = prompt_ids(tokenizer, state)
    if state.chat:
        return replace(state, picked=tuple(ids[fixed:keep]))
    return _at_ids(tokenizer, state, ids[fixed:keep])


def _at_ids(tokenizer: AnyTokenizer, state: State, ids: list[int]) -> State:
    """`state` at these ids of raw text: as text where that is cut into the same ids again."""
    text = text_of(tokenizer, ids)
    if tokenizer.encode(text) == ids:
        return replace(state, text=text, picked=())
    # Half a character, say, or a word cut in an unusual way: as text it would become other ids. So
    # the ids themselves are kept, after the present text where they still begin with it.
    before = tokenizer.encode(state.text)
    if ids[: len(before)] == before:
        return replace(state, picked=tuple(ids[len(before) :]))
    return replace(state, text="", picked=tuple(ids))
