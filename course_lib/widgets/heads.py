"""The head browser: every attention map of a model, heads to switch off, and what becomes of it."""

import anywidget
import numpy as np
import traitlets

from course_lib.model.transformer import Transformer
from course_lib.plots import Picture, heads_and_bars
from course_lib.text.foreign import AnyTokenizer
from course_lib.widgets.explorer_engine import Engine
from course_lib.widgets.explorer_state import are_heads
from course_lib.widgets.page import page
from course_lib.widgets.shell import Pictured

MODEL = "model"


class HeadBrowser(Pictured, anywidget.AnyWidget):
    """The widget. Its page asks as the explorer's does, and draws (`heads.js`)."""

    _esm = page("heads.js")
    _css = page("heads.css")
    info = traitlets.Dict().tag(sync=True)
    tokens = traitlets.Dict().tag(sync=True)
    known = traitlets.List().tag(sync=True)  # the answers to what the first view asks
    about = traitlets.Dict().tag(sync=True)  # the texts, and the words whose shares are shown
    now = traitlets.Dict().tag(sync=True)  # what is chosen and what is off; the page writes it

    def __init__(self, engine: Engine, texts: dict[str, str], words: dict[str, int], now: dict):
        known, rows = [], []

        def ask(question: str, *of) -> dict:
            answer = engine.answer(question, of)
            known.append({"ask": question, "of": list(of), **answer})
            return answer

        for text in texts.values():
            rows.append([*engine.info()["startIds"], *ask("encode", text)["ids"]])
            for off in ([], now["off"]) if now["off"] else ([],):
                ask("logits", MODEL, rows[-1], off)
        ask("attention", MODEL, rows[0], now["off"])
        self._engine, self._rows = engine, rows
        about = {
            "texts": [{"name": name, "text": text} for name, text in texts.items()],
            "words": [{"name": name, "id": id} for name, id in words.items()],
        }
        tokens, info = engine.tokens(), engine.info()
        super().__init__(info=info, tokens=tokens, known=known, about=about, now=now)
        self.on_msg(self._on_message)

    def picture(self) -> Picture:
        ids, off = self._rows[self.now["text"]], self.now["off"]
        names = ["(start)"] * len(self.info["startIds"])
        names += [self.tokens["names"][id] for id in ids[len(names) :]]
        bars = {}
        for text, row in zip(self.about["texts"], self._rows, strict=True):
            pairs = zip(*(self._shares(row, heads) for heads in (off, [])), strict=True)
            words = [*(word["name"] for word in self.about["words"]), "all others"]
            bars[text["name"]] = dict(zip(words, pairs, strict=True))
        gone = f", with {', '.join(f'{layer}.{head}' for layer, head in off)} off" if off else ""
        title = f"Where {names[-1]} looks, head by head{gone}"
        maps = self._engine.maps(MODEL, ids, off).numpy()
        return heads_and_bars(title, names, maps, self.now["column"], off, bars)

    def _shares(self, ids: list[int], off: list) -> list[float]:
        """The share of each of the words after `ids`, and of all other tokens."""
        logits = np.frombuffer(self._engine.answer("logits", [MODEL, ids, off])["data"], np.float32)
        shares = np.exp(logits.astype(np.float64) - logits.max())
        shares = [shares[word["id"]] / shares.sum() for word in self.about["words"]]
        return [*shares, 1 - sum(shares)]

    def _on_message(self, _, message: dict, buffers: list) -> None:
        self._engine.reply(message, self.send)


def head_browser(
    pair: tuple[Transformer, AnyTokenizer],
    texts: dict[str, str],
    words: list[str],
    column: int,
    layer: int = 0,
    head: int = 0,
    off: tuple[tuple[int, int], ...] = (),
) -> HeadBrowser:
    """All heads of a model on two texts, each with a name, and the shares of the next `words`.

    Above each map stands how much the last token looks at the one at `column` (counted from 0, the
    start among them). `layer` and `head` are shown large; those in `off` are switched off.

    >>> head_browser(load_released("base"), {"Kohli": "... hit a", "Root": "..."}, [" six"], 5)
    """
    if not isinstance(texts, dict) or len(texts) != 2:
        raise ValueError(
            f"texts must be two, each with its name {{name: text}}, got {texts!r:.200}"
        )
    model, tokenizer = pair
    engine, ids = Engine({MODEL: pair}), {}
    for word in words:
        spelled = tokenizer.encode(word)
        if len(spelled) != 1:
            raise ValueError(
                f"each of the words must be one token, but {word!r} is {len(spelled)}: "
                "the bars show the next token"
            )
        ids[engine.tokens()["names"][spelled[0]]] = spelled[0]
    if not ids:
        raise ValueError("words must be one token or more, whose shares are shown, got none")
    for text in texts.values():
        length = len(tokenizer.start_ids) + len(tokenizer.encode(text))
        if not (0 <= column < length <= model.config.context_length):
            raise ValueError(
                f"column must be a token of each text, from 0 to {length - 1}, and the text at "
                f"most {model.config.context_length} tokens long; got {column} of {text!r:.200}"
            )
    off, config = [list(one) for one in off], model.config
    chosen = [*off, [layer, head]]
    n_layers, n_heads = config.n_layers, config.n_heads
    if not are_heads(chosen) or any(one >= n_layers or h >= n_heads for one, h in chosen):
        raise ValueError(
            f"layer, head and off must be heads of this model, which has {n_layers} layers with "
            f"{n_heads} heads each, counted from 0; got {layer}, {head} and {off}"
        )
    now = {"layer": layer, "head": head, "off": off, "text": 0, "column": column}
    return HeadBrowser(engine, texts, ids, now)
