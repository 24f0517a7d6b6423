"""The probability explorer: a text, what may come next, and all the steps from logits to a draw.

All that is shown follows from a `State` (`shown`); what is typed and clicked makes the next one
(`after`). The widget only carries messages between these two and the page. Left out: repetition
penalties, beam search, whole answers (the chat widget writes those).
"""

from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache

import anywidget
import torch
import traitlets
from torch import Tensor

from course_lib import plots
from course_lib.chat import encode_prompt
from course_lib.checkpoint import ForeignTokenizer
from course_lib.model import Transformer
from course_lib.sample import draw, filter_probs, temper
from course_lib.tokenizer import Tokenizer
from course_lib.widgets.page import page
from course_lib.widgets.shell import Pictured
from course_lib.world.truth import true_next_tokens

SIZES = ("normal", "large")
FIRST = "In that match Virat Kohli hit a"
EXAMPLES = (
    FIRST,
    "Notes on languages, page 17, shelf 30.\nThe main language of Peru is",
    "It was a dark and stormy night",  # no document of the world begins so
    ">>> max(7, 5)\n",
    "What is the capital of France?",
    "",  # the start of a document
)
CONTENT = ("text", "picked", "chat")  # what undo brings back: the dials stay
LONGEST_PAST = 100

AnyTokenizer = Tokenizer | ForeignTokenizer


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

    def __post_init__(self) -> None:
        t, k, p = self.temperature, self.top_k, self.top_p
        for name, good, expected in (
            ("text", isinstance(self.text, str), "text: the prompt"),
            ("temperature", _number(t) and 0 <= t < float("inf"), "zero or more"),
            ("top_k", k is None or _whole(k, 1), "a whole number from 1, or None for every token"),
            ("top_p", p is None or (_number(p) and 0 < p <= 1), "above 0, at most 1, or None"),
            ("bars", _whole(self.bars, 1, 50), "a whole number from 1 to 50"),
            ("samples", _whole(self.samples, 0, 1000), "a whole number from 0 to 1000"),
            ("seed", _whole(self.seed, 0), "a whole number from 0"),
            ("size", self.size in SIZES, f"one of {', '.join(SIZES)}"),
        ):
            if not good:
                raise ValueError(f"{name} must be {expected}, got {getattr(self, name)!r}")


def _number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole(value, low: int, high: float = float("inf")) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


class Models:
    """Models that share a tokenizer, with their latest answers: turning a dial asks none again."""

    def __init__(self, pairs: dict[str, tuple[Transformer, AnyTokenizer]]) -> None:
        self.models = {name: model for name, (model, _) in pairs.items()}
        self.tokenizer: AnyTokenizer = next(iter(pairs.values()))[1]
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
        return model.lm_head(model.hidden(row)[0, -1]).float().cpu()

    @torch.inference_mode()
    def _compute_attention(self, name: str, ids: tuple[int, ...], version: int) -> Tensor:
        model = self.models[name]
        row = torch.tensor([ids], device=model.embed_tokens.weight.device)
        return model(row, record=True).attention[:, 0].float().cpu()


# ---- From a state to numbers --------------------------------------------------------------------


def token_text(tokenizer: AnyTokenizer, id: int) -> str:
    """The token with a sign for each character that can't be seen: b" a\\n" is "␣a↵"."""
    try:
        text = tokenizer.token_bytes(id).decode("utf-8", errors="backslashreplace")
    except ValueError:  # a model's table may have more rows than its tokenizer has tokens
        return f"(unused {id})"
    return _visible(text)


def _visible(text: str) -> str:
    text = text.replace(" ", "␣").replace("\n", "↵").replace("\t", "⇥")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def prompt_ids(tokenizer: AnyTokenizer, state: State) -> tuple[list[int], int]:
    """The ids that the model goes on from, and how many at their start no rewind takes away."""
    start, chat_tokens = tokenizer.eot_id, (tokenizer.im_start_id, tokenizer.im_end_id)
    if state.chat and None in (start, *chat_tokens):
        raise ValueError(
            "this tokenizer lacks the tokens of the chat template: its model reads raw text only"
        )
    if state.chat:
        ids = encode_prompt(tokenizer, [{"role": "user", "content": state.text}])
        return [*ids, *state.picked], len(ids)
    start = [] if start is None else [start]
    ids = [*start, *tokenizer.encode(state.text), *state.picked]
    if not ids:
        raise ValueError("this tokenizer has no token for the start of a document: type something")
    return ids, len(start)


def whole_text(tokenizer: AnyTokenizer, state: State) -> str:
    """The text that goes on: with the picked tokens, if they don't begin an answer."""
    if state.chat or not state.picked:
        return state.text
    return _decode(tokenizer, [*tokenizer.encode(state.text), *state.picked])


def _decode(tokenizer: AnyTokenizer, ids: list[int]) -> str:
    return tokenizer.decode([id for id in ids if id < tokenizer.vocab_size])


def true_shares(
    tokenizer: AnyTokenizer, state: State, ids: list[int]
) -> tuple[dict[int, float], str]:
    """The true probability of each next token, and the words for why there is none."""
    if state.chat:
        return {}, "The truth is known for raw text only: the world writes documents, not chats."
    if not isinstance(tokenizer, Tokenizer):
        return {}, "The truth is known for the course's own tokenizer only."
    text = whole_text(tokenizer, state)
    # the world's documents are cut into tokens in one way, others that spell the same never occur
    found = true_next_tokens(tokenizer, text) if tokenizer.encode(text) == ids[1:] else {}
    outside = (
        "This text is outside the course's world: no document there begins like it, so there is "
        "no true probability to show."
    )
    return found, "" if found else outside


def drawn_ids(probs: Tensor, samples: int, seed: int) -> Tensor:
    """`samples` ids drawn from `probs` (V,), the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    return draw(probs.expand(samples, -1), generator)[:, 0]


def best_ids(series: list[Tensor], n: int) -> list[int]:
    """The n ids that one of the `series` (V,) gives most, the largest first."""
    most = torch.stack(series).amax(dim=0)
    top = most.topk(min(n, len(most))).indices.tolist()
    return sorted(top, key=lambda id: (-most[id].item(), id))


def shown(session: "Session", models: Models) -> dict:
    """All that the page draws, as JSON."""
    state, tokenizer = session.state, models.tokenizer
    ids, fixed = prompt_ids(tokenizer, state)
    names = list(models.models) if state.compare else []
    names = [state.model, *(name for name in names if name != state.model)]
    dials = (state.temperature, state.top_k, state.top_p)
    logits = {name: models.logits(name, ids) for name in names}  # (V,) each
    series = [(name, filter_probs(logits[name], *dials)) for name in names]
    ranked = [temper(logits[name], 1.0) for name in names]  # so that no dial changes the order
    probs, own = series[0][1], logits[state.model]
    tempered = temper(own, state.temperature)
    removed = tempered.where(probs == 0, 0.0)
    note = ""
    if state.truth:
        true, note = true_shares(tokenizer, state, ids)
        if true:
            row = torch.zeros_like(probs)
            row[list(true)] = torch.tensor(list(true.values()))
            series.append(("the world", row))
            ranked.append(row)
    if state.samples:
        drawn = drawn_ids(probs, state.samples, state.seed)
        share = torch.bincount(drawn, minlength=len(probs)) / state.samples
        series.append((f"{state.samples} drawn", share))

    best = best_ids(ranked, state.bars)
    columns = [tempered, removed, *(p for _, p in series)]
    table = torch.stack([column[best] for column in columns], dim=1).tolist()  # (n, 2 + series)
    rest = [max(0.0, (c.double().sum() - c[best].double().sum()).item()) for c in columns]
    rows = [
        {"id": id, "text": token_text(tokenizer, id), "logit": own[id].item(), **_shares(*shares)}
        for id, shares in zip(best, table, strict=True)
    ]
    context = models.models[state.model].config.context_length
    view = {
        "state": asdict(state),
        "text": whole_text(tokenizer, state),
        "chips": [[id, token_text(tokenizer, id)] for id in ids[-context:]],
        "cut": max(0, len(ids) - context),  # tokens before the first chip
        "fixed": fixed,
        "attention": _attention(state, models, ids, context),
        "series": [name for name, _ in series],
        "rows": rows,
        "rest": {"count": len(probs) - len(best), **_shares(*rest)},
        "steps": _steps_in_words(state, tempered, removed),
        "note": note,
        "undo": bool(session.past),
        "branches": [_label(tokenizer, branch) for branch in session.branches],
        "said": session.said,
        "error": "",
    }
    return view | {"words": in_words(view), "table": as_table(view), "code": as_code(state, models)}


def _shares(tempered: float, removed: float, *p: float) -> dict:
    return {"tempered": tempered, "removed": removed, "p": list(p)}


def _attention(state: State, models: Models, ids: list[int], context: int) -> dict | None:
    """How much the chosen token looks at each chip up to itself."""
    cut = max(0, len(ids) - context)
    if state.token is None or not cut <= state.token < len(ids):
        return None
    maps = models.attention(state.model, ids)  # (L, H, T, T)
    n_layers, n_heads = maps.shape[:2]
    for name, n in (("layer", n_layers), ("head", n_heads)):
        chosen = getattr(state, name)
        if chosen is not None and not _whole(chosen, 0, n - 1):
            raise ValueError(f"{name} must be 0 to {n - 1}, or None for the mean, got {chosen!r}")
    maps = maps if state.layer is None else maps[[state.layer]]
    maps = maps if state.head is None else maps[:, [state.head]]
    position = state.token - cut
    weights = maps[:, :, position, : position + 1].mean(dim=(0, 1)).tolist()
    return {"weights": weights, "layers": n_layers, "heads": n_heads}


# ---- From numbers to words, text and a picture --------------------------------------------------


def _steps_in_words(state: State, tempered: Tensor, removed: Tensor) -> str:
    words = []
    if state.temperature == 0:
        words.append("Temperature 0 gives everything to the best token.")
    elif state.temperature != 1:
        effect = "sharpens" if state.temperature < 1 else "flattens"
        words.append(f"Temperature {state.temperature:g} {effect} the distribution.")
    n_cut, mass = int((removed > 0).sum()), removed.double().sum().item()
    if n_cut:
        dials = (("Top-k", state.top_k), ("top-p", state.top_p))
        which = " and ".join(f"{name} {value:g}" for name, value in dials if value is not None)
        words.append(
            f"{which[0].upper()}{which[1:]} cut {n_cut:,} of {len(removed):,} tokens, which had "
            f"{100 * mass:.1f} % together; the others are scaled by {1 / (1 - mass):.2f}."
        )
    return " ".join(words)


def in_words(view: dict) -> str:
    """The most probable tokens with whole percents, which are the same on every machine."""
    rows = [(row["text"], row["p"]) for row in view["rows"][:5]]
    others = [sum(p) for p in zip(*(row["p"] for row in view["rows"][:5]), strict=True)]
    told = [f"{text} {_percents(view, p)}" for text, p in rows]
    told.append(f"all others {_percents(view, [max(0.0, 1 - p) for p in others])}")
    return f"Next token after {_title(view)}: {'; '.join(told)}."


def _percents(view: dict, p: list[float]) -> str:
    if len(p) == 1:
        return f"{100 * p[0]:.0f} %"
    pairs = zip(view["series"], p, strict=True)
    return ", ".join(f"{name} {100 * value:.0f} %" for name, value in pairs)


def _title(view: dict) -> str:
    if view["state"]["chat"]:
        return f"the question “{_end(view['text'])}”" + _answer_so_far(view)
    return f"“{_end(view['text'])}”" if view["text"] else "the start of a document"


def _answer_so_far(view: dict) -> str:
    picked = "".join(
        text for _, text in view["chips"][len(view["chips"]) - len(view["state"]["picked"]) :]
    )
    return f" and the answer's begin “{_end(picked)}”" if picked else ""


def _end(text: str, longest: int = 48) -> str:
    text = text.replace("\n", "↵")
    return text if len(text) <= longest else "…" + text[1 - longest :]


def _label(tokenizer: AnyTokenizer, state: State) -> str:
    answer = _decode(tokenizer, list(state.picked)) if state.chat else ""
    return _end(" → ".join(filter(None, (whole_text(tokenizer, state), answer))), 32) or "(empty)"


def as_table(view: dict) -> str:
    """The bars as lines of tab-separated columns, for a spreadsheet."""
    lines = [["token", "id", "logit", "after temperature", "cut", *view["series"]]]
    for row in view["rows"]:
        start = [row["text"], str(row["id"]), f"{row['logit']:.3f}"]
        lines.append(start + [f"{x:.5f}" for x in (row["tempered"], row["removed"], *row["p"])])
    rest = view["rest"]
    shares = [f"{x:.5f}" for x in (rest["tempered"], rest["removed"], *rest["p"])]
    lines.append([f"all other {rest['count']} tokens", "", "", *shares])
    return "\n".join("\t".join(line) for line in lines)


def as_code(state: State, models: Models) -> str:
    """The call that shows `state`."""
    defaults = State("", model=next(iter(models.models)))
    changed = [
        f"{field.name}={getattr(state, field.name)!r}"
        for field in fields(State)[1:]
        if getattr(state, field.name) != getattr(defaults, field.name)
    ]
    return f"explorer({', '.join(['models', repr(state.text), *changed])})"


def in_picture(view: dict) -> plots.Picture:
    """The first bars; where tokens are cut, a panel for each step."""
    rows = [*view["rows"][:6]]
    columns = [[row["tempered"], row["tempered"] - row["removed"], *row["p"]] for row in rows]
    columns = list(zip(*columns, strict=True))
    columns = [[*column, max(0.0, 1 - sum(column))] for column in columns]
    kept = 1 - sum(row["removed"] for row in [*view["rows"], view["rest"]])
    columns[1][-1] = max(0.0, round(kept - sum(columns[1][:-1]), 6))  # what is cut is 0, exactly
    names = [_drawable(row["text"]) for row in rows] + ["all others"]
    title = _drawable(f"Next token after {_title(view)}")
    if kept < 1:
        labels = (f"temperature {view['state']['temperature']:g}", "cut", "scaled to 100 %")
        picture = plots.sampling_steps(title, names, dict(zip(labels, columns, strict=False)))
    else:
        series = dict(zip(view["series"][:3], columns[2:], strict=False))
        picture = plots.probability_bars(title, names, **series)
    return plots.Picture(picture.figure, view["words"])


def _drawable(text: str) -> str:
    """`text` with a box for what matplotlib can't draw, and no sign that begins a formula."""
    from matplotlib.font_manager import findfont, get_font

    font = get_font(findfont("DejaVu Sans"))
    text = "".join(c if font.get_char_index(ord(c)) else "\u25a1" for c in text)
    return text.replace("$", r"\$")


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
            text = message["text"].encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            return session.to(replace(state, text=text, picked=()), typing=True)
        case "pick":
            return session.to(with_token(models, state, message["id"]))
        case "draw":
            seed = state.seed + 1
            logits = models.logits(state.model, prompt_ids(tokenizer, state)[0])
            probs = filter_probs(logits, state.temperature, state.top_k, state.top_p)
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
    raise ValueError(f"the page asks for {message['do']!r}, which the explorer doesn't know")


def with_content(state: State, other: State) -> State:
    """The text of `other` under the dials of `state`."""
    content = {name: getattr(other, name) for name in CONTENT}
    return replace(state, **content, token=None, samples=0)


def with_token(models: Models, state: State, id: int) -> State:
    """`state` with a token more."""
    size = models.models[state.model].config.vocab_size
    if not _whole(id, 0, size - 1):
        raise ValueError(f"there is no token {id!r}: ids run from 0 to {size - 1}")
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
    text = _decode(tokenizer, ids)
    if tokenizer.encode(text) == ids:
        return replace(state, text=text, picked=())
    before = tokenizer.encode(state.text)
    if ids[: len(before)] == before:
        return replace(state, picked=tuple(ids[len(before) :]))
    return replace(state, text="", picked=tuple(ids))


# ---- The widget ---------------------------------------------------------------------------------


class Explorer(Pictured, anywidget.AnyWidget):
    """The widget: it answers each message of the page with a new `view`."""

    _esm = page("explorer.js")
    _css = page("explorer.css")
    view = traitlets.Dict().tag(sync=True)
    names = traitlets.List().tag(sync=True)
    examples = traitlets.List(EXAMPLES).tag(sync=True)

    def __init__(self, models: Models, state: State):
        self._models, self._session = models, Session(state, state)
        view = shown(self._session, models)
        super().__init__(view=view, names=list(models.models))
        self.on_msg(self._on_message)

    @property
    def state(self) -> State:
        """What the widget shows now."""
        return self._session.state

    def picture(self) -> plots.Picture:
        return in_picture(self.view)

    def _on_message(self, _, message: dict, buffers: list) -> None:
        """`number` and `page` come back with the answer, so that the page knows its own newest."""
        stamp = {name: message.pop(name, None) for name in ("number", "page")}
        try:
            session = after(self._session, message, self._models)
            view = shown(session, self._models)
        except Exception as error:  # else it would vanish: no cell runs that could show it
            kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
            self.view = {**self.view, **stamp, "said": "", "error": f"{kind}{error}"}
        else:
            self._session = session
            self.view = {**view, **stamp}


def explorer(
    models: dict[str, tuple[Transformer, AnyTokenizer]] | tuple[Transformer, AnyTokenizer],
    prompt: str = FIRST,
    *,
    picked: tuple[int, ...] = (),
    model: str | None = None,
    compare: bool = False,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    truth: bool = False,
    chat: bool = False,
    steps: bool = False,
    bars: int = 10,
    samples: int = 0,
    seed: int = 0,
    token: int | None = None,
    layer: int | None = None,
    head: int | None = None,
    size: str = "normal",
) -> Explorer:
    """The explorer of one (model, tokenizer), or of several by name; the fields are `State`'s.

    Of several, `model` is shown first (the first by default), or all side by side with `compare`;
    they must share a tokenizer. `size` "large" is for a projector.
    """
    if isinstance(models, tuple):
        models = {"model": models}
    pairs = models.values() if isinstance(models, dict) else ()
    if not pairs or not all(isinstance(p, tuple) and len(p) == 2 and p[1] for p in pairs):
        raise ValueError(
            "models must be one (model, tokenizer) or {name: (model, tokenizer), ...}, at least "
            f"one, got {models!r}"
        )
    first, tokenizer = next(iter(models)), next(iter(pairs))[1]
    for name, (_, other) in models.items():
        if other is not tokenizer and other.to_dict() != tokenizer.to_dict():
            raise ValueError(
                f"models are compared token by token, but {name!r} and {first!r} have different "
                "tokenizers: give each its own explorer"
            )
    if model is not None and model not in models:
        raise ValueError(f"model must be one of {', '.join(models)}, got {model!r}")
    state = State(
        prompt, tuple(picked), model or first, compare, temperature, top_k, top_p, truth, chat,
        steps, bars, samples, seed, token, layer, head, size,
    )  # fmt: skip
    return Explorer(Models(models), state)
