"""Writes teaching/answer-key.md from the course's questions: python -m tools.answer_key"""

from itertools import groupby
from pathlib import Path

from course_lib.check.numbers import Number, shown
from course_lib.check.question import LETTERS, Question, questions
from course_lib.machine.disk import write_text

KEY = Path(__file__).parent.parent / "teaching/answer-key.md"
HEAD = """# Answer key

Every guess and every quiz question of the course, with the right answer, and what to say to each
wrong one. This page is made from the records that the notebooks and the class's board use
(`python -m tools.answer_key`). Learners have a copy of the course, too, so it can't be a secret:
what counts is the guess before the look.
"""


def entry(question: Question) -> str:
    """A question in Markdown: its options or its range, the right answer, and all the reasons."""
    lines = [f"**`{question.id}`** ({question.kind}). {question.ask}", ""]
    for letter, option in zip(LETTERS, question.options, strict=False):
        is_right = letter == question.right
        text = f"**{option.text}** ✓" if is_right else option.text
        lines.append(f"- {letter}. {text}  \n  {option.why}")
    if not question.options:
        low, high = question.low, question.high
        near = "" if low == high else f" (close enough: {_reach(low, high, question.unit)})"
        lines.append(f"- **{question.told(question.answer)}** ✓{near}  \n  {question.why}".rstrip())
        lines += [
            f"- {_reach(trap.low, trap.high, question.unit)}  \n  {trap.why}"
            for trap in question.traps
        ]
    return "\n".join(lines)


def _reach(low: Number, high: Number, unit: str) -> str:
    """From one number to another with their unit; just one, if they are the same."""
    numbers = shown(low) if low == high else f"{shown(low)} to {shown(high)}"
    return f"{numbers} {unit}".replace(" %", "%").rstrip()


def answer_key() -> str:
    """The page: for each notebook a heading, its guesses and its quiz, in its own order."""
    asked = [each for each in questions().values() if each.kind != "exercise"]
    parts = [HEAD]
    for notebook, of_it in groupby(asked, key=lambda each: each.notebook):
        parts += [f"## {notebook.replace('_', ' ', 1).replace('_', ' ')}\n", *map(entry, of_it)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


if __name__ == "__main__":
    write_text(KEY, answer_key())
