"""Guess, then look: a question with a field or buttons, and a result that waits for the answer.

`guess` asks, `behind` is the last line of the cell that computes the result. It shows nothing of it
until there is a guess; if the guess comes later, the output fills itself. What counts as an answer
and where it is kept is `check.asking`'s.
"""

from collections.abc import Iterable
from html import escape

import anywidget
import traitlets
from IPython import get_ipython
from IPython.display import display

from course_lib.check import asking
from course_lib.check.asking import Sentences, Words
from course_lib.check.numbers import Number, shown
from course_lib.check.question import LETTERS, Question, question
from course_lib.widgets.page import page
from course_lib.widgets.shell import Still

CLOSED = Sentences("Guess first, in the cell above, or run skip(). Then the result opens here.")
OPENS = "The result opens below; if it doesn't, run its cell."
AGAIN = "So the result can't be shown: run this cell again."
EMPTY = {"text/html": "", "text/plain": ""}


def question_html(asked: Question) -> str:
    """A question and its options for pages that run no script."""
    options = "".join(f"<li>{escape(option.text)}</li>" for option in asked.options)
    listed = f'<ol type="a">{options}</ol>' if options else ""
    return f"<p><strong>{escape(asked.ask)}</strong></p>{listed}"


class Guess(Still, anywidget.AnyWidget):
    """One question; the kernel reads and keeps what is typed or pressed."""

    _esm = page("guess.js")
    _css = page("guess.css")
    view = traitlets.Dict().tag(sync=True)  # all that the page shows

    def __init__(self, asked: Question) -> None:
        super().__init__()
        self._asked, self._messages = asked, 0
        self._show()
        self.on_msg(self._on_message)

    def answer(self, given: object) -> None:
        """Keep a guess, or say what is wrong with it."""
        try:
            told = asking.keep(self._asked, given)
        except ValueError as error:
            self._show(problem=asking.wrong(error))
        except OSError as error:  # a full disk, a folder that may not be written to
            self._show(problem=f"That is not kept: {error}")
        else:
            self._show(f"{told} {OPENS}")  # first, because a result may take its time
            asking.tell(self._asked.id)

    def still(self) -> tuple[dict, dict]:
        end = asking.standing(self._asked)
        html = f"{question_html(self._asked)}<p>{escape(end)}</p>"
        return {"text/plain": repr(asking.in_words(self._asked, end)), "text/html": html}, {}

    def _on_message(self, _, message: dict, buffers: list) -> None:
        self.answer(message["guess"])

    def _show(self, said: str = "", problem: str = "") -> None:
        asked, kept = self._asked, asking.answer_to(self._asked)
        self._messages += 1  # so that the page hears of each, even if it says the same again
        self.view = {
            "ask": asked.ask,
            "options": list(zip(LETTERS, (one.text for one in asked.options), strict=False)),
            "unit": asked.unit,
            "kept": "" if kept is None else shown(kept),
            "said": said or ("" if kept is None or problem else asking.standing(asked)),
            "problem": problem,
            "message": self._messages,
        }


def guess(name: str, value: Number | str | None = None) -> Guess | str | None:
    """Asks the question with the id `name`; a `value` answers it at once, as a call.

    >>> guess("six-share")  # a field, or buttons
    >>> guess("six-share", "45%")
    Your guess is kept: 45%.
    """
    asked = asking.find(name)
    if asked is None or value is not None:
        return asking.guess(name, value)
    return Guess(asked)


class Behind:
    """What stands behind a question, and the places in a cell's output where it will be shown."""

    def __init__(self, asked: Question, what: Iterable[object]) -> None:
        self.asked, self._what = asked, what
        # one place for each thing and one for the last line, all but the first without a height
        self._places = [display(CLOSED, display_id=True)]
        self._places += [display(EMPTY, raw=True, display_id=True) for _ in what]

    def open(self) -> None:
        """Fill the places."""
        try:
            found = results(self.asked, self._what)
        except Exception as error:  # of a cell that isn't the one that is running now
            found = [Sentences(f"{type(error).__name__}: {error}. {AGAIN}")]
            found += [Words("")] * len(self._what)
        for place, one in zip(self._places, found, strict=True):
            if place is not None:  # there is none outside of a kernel
                place.update(one)


_waiting: dict[object, Behind] = {}  # by their cells


def behind(name: str, *what: object) -> None:
    """Shows `what`, one below the other, once the question is guessed or skipped; then the answer.

    Texts, pictures, frames, widgets; a function is called when what it returns is to be shown. That
    may be in another thread than the cell's, so it should draw what the cell has computed.
    """
    asked = question(name, "guess")
    what = [one for one in what if one is not None]
    cell = (name, _cell())
    _waiting.pop(cell, None)  # it was run again: the old output is gone
    if asking.is_open(asked):
        for one in results(asked, what):
            display(one)
    else:
        _waiting[cell] = Behind(asked, what)


def results(asked: Question, what: Iterable[object]) -> list[object]:
    """What is to be shown, each in one piece, and the right answer at the end."""
    return [*map(_result, what), asking.outcome(asked)]


def _result(one: object) -> object:
    if callable(one):
        one = one()
        if one is None:  # what it prints would be lost where the guess comes from a widget
            raise ValueError(
                "a function behind a question returns what is to be shown, and this one returned "
                "nothing: let it return its text instead of printing it"
            )
    return Words(one) if isinstance(one, str) else one


def _cell() -> object:
    """What tells the cell that is running from others; None where nothing does."""
    shell = get_ipython()
    parent = shell.get_parent() if hasattr(shell, "get_parent") else {}
    return (parent or {}).get("metadata", {}).get("cellId")


def _open_those_that_may(_: str | None) -> None:
    for cell, one in list(_waiting.items()):
        # popped by one thread only, however many guesses come at once
        if asking.is_open(one.asked) and _waiting.pop(cell, None):
            one.open()


asking.listeners.append(_open_those_that_may)
