"""A quiz: questions with options, and for each option what to think about.

The page knows the answers, so it works in a notebook whose kernel is gone. The kernel only keeps
what was chosen. Without a page the answers are folded away.
"""

from html import escape

import anywidget
import traitlets

from course_lib.check import asking
from course_lib.check.question import LETTERS, Question, question
from course_lib.widgets.guess import question_html
from course_lib.widgets.page import page
from course_lib.widgets.shell import Still


class Quiz(Still, anywidget.AnyWidget):
    """Questions with radio buttons, each with a button that checks the answer."""

    _esm = page("quiz.js")
    _css = page("quiz.css")
    questions = traitlets.List().tag(sync=True)  # all that the page shows
    problem = traitlets.Unicode().tag(sync=True)

    def __init__(self, asked: list[Question]) -> None:
        super().__init__()
        self._asked = {one.id: one for one in asked}
        self._show()
        self.on_msg(self._on_message)

    def answer(self, id: str, letter: str) -> None:
        """Keep what was chosen for a question."""
        try:
            asking.keep(self._asked[id], letter)
            self.problem = ""
        except OSError as error:
            self.problem = f"Your answer counts, but it is not kept: {error}"
        self._show()

    def still(self) -> tuple[dict, dict]:
        asked = list(self._asked.values())
        words = "\n\n".join(repr(asking.in_words(one)) for one in asked)
        html = "".join(question_html(one) + _folded(one) for one in asked)
        return {"text/plain": words, "text/html": html}, {}

    def _on_message(self, _, message: dict, buffers: list) -> None:
        self.answer(message["id"], message["letter"])

    def _show(self) -> None:
        self.questions = [
            {
                "id": one.id,
                "ask": one.ask,
                "kept": asking.answer_to(one) or "",
                "options": [
                    {
                        "letter": letter,
                        "text": option.text,
                        "right": letter == one.right,
                        "feedback": _feedback(one, letter),
                    }
                    for letter, option in zip(LETTERS, one.options, strict=False)
                ],
            }
            for one in self._asked.values()
        ]


def _feedback(asked: Question, letter: str) -> str:
    return f"{'✓ Right.' if letter == asked.right else '✗ Not yet.'} {asked.option(letter).why}"


def _folded(asked: Question) -> str:
    rows = ""
    for letter, option in zip(LETTERS, asked.options, strict=False):
        sign = f"✓ {letter} is right." if letter == asked.right else f"✗ Not {letter}."
        rows += f"<p>{sign} {escape(option.why)}</p>"
    return f"<details><summary>Answer</summary>{rows}</details>"


def quiz(*names: str) -> Quiz:
    """The questions with these ids, to be answered with a click or by keyboard."""
    if not names:
        raise ValueError('which questions? Write their ids, as in quiz("what-comes-out")')
    return Quiz([question(name, "quiz") for name in dict.fromkeys(names)])
