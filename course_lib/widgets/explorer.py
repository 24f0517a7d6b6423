"""The probability explorer: a text, what may come next, and all the steps from logits to a draw.

All that is shown follows from a `State`. What is typed, clicked and computed from logits is the
page's (`explorer_core.js`, drawn by `explorer.js`): it asks Python only for what a model alone can
tell, over the messages of `engine_kernel.js`. So the same page runs without Python, where the
models are asked in WebAssembly. Left out: repetition penalties, beam search, whole answers (the
chat widget writes those).
"""

import anywidget
import traitlets

from course_lib import plots
from course_lib.model.transformer import Transformer
from course_lib.text.foreign import AnyTokenizer
from course_lib.widgets.explorer_engine import Engine
from course_lib.widgets.explorer_picture import picture
from course_lib.widgets.explorer_state import State
from course_lib.widgets.explorer_view import View, shown
from course_lib.widgets.page import page
from course_lib.widgets.shell import Pictured

FIRST = "In that match Virat Kohli hit a"
TEXTS = (
    FIRST,
    "Notes on languages, page 17, shelf 30.\nThe main language of Mexico is",
    "It was a dark and stormy night",  # no document of the world begins so
    ">>> max(7, 5)\n",
    "What is the capital of France?",
    "",  # the start of a document
)


class Explorer(Pictured, anywidget.AnyWidget):
    """The widget: it answers what its page asks about the models."""

    _esm = page("explorer.js")
    _css = page("explorer.css")
    info = traitlets.Dict().tag(sync=True)
    tokens = traitlets.Dict().tag(sync=True)
    known = traitlets.List().tag(sync=True)  # the answers to what the first view asks
    now = traitlets.Dict().tag(sync=True)  # the state; the page writes it
    examples = traitlets.List(TEXTS).tag(sync=True)

    def __init__(self, engine: Engine, state: State):
        known = []

        def ask(question: str, *of) -> dict:
            answer = engine.answer(question, of)
            known.append({"ask": question, "of": list(of), **answer})
            return answer

        shown(state, engine, ask)  # what can't be shown is refused here
        self._engine = engine
        super().__init__(
            info=engine.info(), tokens=engine.tokens(), known=known, now=state.to_page()
        )
        self.on_msg(self._on_message)

    @property
    def state(self) -> State:
        """What the widget shows now."""
        return State.from_page(self.now)

    @property
    def view(self) -> View:
        """Its numbers."""
        return shown(self.state, self._engine, lambda ask, *of: self._engine.answer(ask, of))

    def picture(self) -> plots.Picture:
        return picture(self.view)

    def _on_message(self, _, message: dict, buffers: list) -> None:
        self._engine.reply(message, self.send)


def explorer(
    models: dict[str, tuple[Transformer, AnyTokenizer]] | tuple[Transformer, AnyTokenizer],
    prompt: str = FIRST,
    **dials,
) -> Explorer:
    """The explorer of one (model, tokenizer), or of several by name.

    `dials` are the fields of `State`: temperature, top_k, top_p, bars, truth, chat, steps, ... Of
    several models, `model` is shown first (the first by default), or all side by side with
    `compare`; they must share a tokenizer. `size` "large" is for a projector.

    >>> explorer(load_released("base"), "The capital of", temperature=0.7, top_k=5)
    """
    if isinstance(models, tuple):
        models = {"model": models}
    pairs = models.values() if isinstance(models, dict) else ()
    if not pairs or not all(isinstance(p, tuple) and len(p) == 2 and p[1] for p in pairs):
        raise ValueError(
            "models must be one (model, tokenizer) or {name: (model, tokenizer), ...}, at least "
            f"one, got {models!r:.200}"
        )
    first, tokenizer = next(iter(models)), next(iter(pairs))[1]
    for name, (_, other) in models.items():
        if other is not tokenizer and other.to_dict() != tokenizer.to_dict():
            raise ValueError(
                f"models are compared token by token, but {name!r} and {first!r} have different "
                "tokenizers: give each its own explorer"
            )
    state = State(prompt, **{"model": first, **dials})
    if state.model not in models:
        raise ValueError(f"model must be one of {', '.join(models)}, got {state.model!r}")
    return Explorer(Engine(models), state)
