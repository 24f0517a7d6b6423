"""The probability explorer: a text, what may come next, and all the steps from logits to a draw.

All that is shown follows from a `State` (`shown`); what is typed and clicked makes the next one
(`after`). The widget only carries messages between these two and the page. Left out: repetition
penalties, beam search, whole answers (the chat widget writes those).
"""

import anywidget
import traitlets

from course_lib import plots
from course_lib.model.transformer import Transformer
from course_lib.widgets.explorer_state import AnyTokenizer, Models, Session, State, after
from course_lib.widgets.explorer_view import shown, view_picture
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
    """The widget: it answers each message of the page with a new `view`."""

    _esm = page("explorer.js")
    _css = page("explorer.css")
    view = traitlets.Dict().tag(sync=True)
    names = traitlets.List().tag(sync=True)
    examples = traitlets.List(TEXTS).tag(sync=True)

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
        return view_picture(self.view)

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
    return Explorer(Models(models), state)
