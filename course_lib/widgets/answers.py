"""Answers side by side, read by the world's judge: what is made up is red and says so.

A table for HTML and the same in words. Left out: anything to press.
"""

from collections.abc import Sequence
from html import escape

from course_lib.world.dialogues import read_prompt
from course_lib.world.judge import verdict

# What the judge says, and how one reads it.
TOLD = {
    "right": "right",
    "wrong": "wrong",
    "dont_know": "declines",
    "refusal": "refuses",
    "other": "neither",
}
MADE_UP = "made up"
RED, QUIET = "color:#b34700;font-weight:600", "color:#6b7280"  # both are read on white and on dark


def told(prompt: str, answer: str) -> str:
    """The verdict in a word or two: a wrong answer where nobody can know is made up."""
    found = verdict(prompt, answer)
    unknown = read_prompt(prompt).kind == "unknown"
    return MADE_UP if found == "wrong" and unknown else TOLD[found]


class Answers:
    """What a cell shows of some answers: `columns` is name -> an answer to each prompt."""

    def __init__(self, prompts: Sequence[str], columns: dict[str, Sequence[str]]) -> None:
        self.prompts, self.columns = list(prompts), columns
        self.verdicts = {
            name: [told(p, a) for p, a in zip(self.prompts, answers, strict=True)]
            for name, answers in columns.items()
        }

    def __repr__(self) -> str:
        lines = []
        width = max(map(len, self.columns))
        for row, prompt in enumerate(self.prompts):
            lines.append(prompt)
            for name, answers in self.columns.items():
                label = f"{name:<{width}}  " if len(self.columns) > 1 else ""
                lines.append(f"    {label}{answers[row]}  [{self.verdicts[name][row]}]")
        return "\n".join(lines)

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        return {"text/plain": repr(self), "text/html": self.html()}

    def html(self) -> str:
        """A row for each prompt; red and a word mark what is wrong or made up."""
        head = "".join(
            f"<th scope='col' style='text-align:left'>{escape(n)}</th>" for n in self.columns
        )
        rows = "".join(
            f"<tr><th scope='row' style='text-align:left;font-weight:400'>{escape(prompt)}</th>"
            + "".join(self._cell(name, row) for name in self.columns)
            + "</tr>"
            for row, prompt in enumerate(self.prompts)
        )
        return f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody></table>"

    def _cell(self, name: str, row: int) -> str:
        found = self.verdicts[name][row]
        style = RED if found in (MADE_UP, TOLD["wrong"]) else ""
        return (
            f"<td style='text-align:left;{style}'>{escape(self.columns[name][row])} "
            f"<span style='{style or QUIET}'>({found})</span></td>"
        )


def answers(prompts: Sequence[str], *columns: Sequence[str], **named: Sequence[str]) -> Answers:
    """A table of answers to look at; several columns need names.

    >>> answers(["What is the capital of France?"], ["Paris."])
    What is the capital of France?
        Paris.  [right]
    """
    return Answers(prompts, named | ({"answer": columns[0]} if columns else {}))
