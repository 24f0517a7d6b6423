"""A plan's slides, in order: made of its steps, the stored pictures, the guesses and the quiz."""

import ast
import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from nbformat import NotebookNode

from course_lib.check.question import Question, question
from course_lib.plans import HEADING, Plan, Step, lesson, remarks, sections_of
from tools import slide_parts as parts
from tools.class_time import is_in_class
from tools.course_files import ROOT
from tools.live_states import Live, address, live_of
from tools.site_pages import ASKS

DIAGRAM = re.compile(r"!\[(?P<alt>[^\]]+)\]\((?P<file>[^)\s]+\.svg)\)")
KNOWN = "What we now know"  # the section that a class should say before it reads it
EXERCISE = re.compile(r"^\*\*\d+\. ([^*]+)\*\*(?: (\([^)]+\)))?", re.M)  # title, minutes
FINDINGS = 2  # of a step, among what we know at the end
LINES, LETTERS = 10, 700  # of an output that still fits on a slide


@dataclass
class Slide:
    kind: str  # title, step, picture, text, guess, live, quiz or known
    title: str
    body: str = ""  # HTML, as are the notes
    notes: str = ""
    above: str = ""  # the small line over the title
    name: str = ""  # which step, picture, guess or text it is
    behind: str = ""  # the guess that comes first
    clock: str = ""  # when the plan has it
    finding: bool = False


def deck(plan: Plan, room: str = "", play: str = parts.PLAY) -> list[Slide]:
    """All slides of a plan. `room` is the address of the class's room, `play` the play page's."""
    time = f"{plan.minutes} minutes, in {len(plan.steps)} steps"
    body = f"<p class='lead'>{escape(plan.audience)}</p><p>{time}</p>{parts.room_code(room)}"
    slides, known, shown = [Slide("title", plan.title, body, notes_of(plan))], [], set()
    timed = plan.timed[: len(plan.steps)]
    for number, (begins, step) in enumerate(timed, 1):
        when = f"From {begins}, {step.minutes} minutes."
        late = f" When you are late, cut: {step.late}." if step.late else ""
        line = f"<p><strong>{when}</strong>{escape(late)}</p>"
        of_step = [first_of(step, number, len(plan.steps), begins, line)]
        for one in of_notebook(step, play):
            if one.name in shown:  # such as a curve that is shown while it grows, and at its end
                of_step[-1].notes += one.notes
            else:
                of_step.append(one)
                shown.add(one.name)
        if step.play:
            of_step.append(played(step, play))
        latest = ""  # guess: whatever is shown after it may give it away
        for one in of_step[1:]:
            one.notes = line + one.notes
            latest = one.name if one.kind == "guess" else latest
            one.behind = latest if one.kind in ("picture", "live") else ""
        for one in of_step:
            one.clock = begins
        known.append((step, [one.title for one in of_step if one.finding][:FINDINGS]))
        slides += of_step
    slides += [asked(quiz(name), "At the end") for name in plan.quiz]
    slides.append(what_we_know(known))
    slides[-1].notes = parts.notes_html([text for step, _ in known for text in summary_of(step)])
    for one in slides[-len(plan.quiz) - 1 :]:
        one.clock = timed[-1][0]
    return slides


def notes_of(plan: Plan) -> str:
    """What the presenter should know before the class comes."""
    told = [f"Let learners {plan.do}. For the evening: {plan.evening}."] if plan.do else []
    told += [f"{plan.slack} minutes at the end are slack."] if plan.slack else []
    return parts.notes_html([*told, remarks(plan)])


def first_of(step: Step, number: int, steps: int, begins: str, line: str) -> Slide:
    """The slide that begins a step: what comes, when, and for how long."""
    listed = "".join(f"<li>{escape(section)}</li>" for section in step.sections)
    body = f"<p class='when'><b>{begins}</b> for {step.minutes} minutes</p>"
    body += f"<ul class='sections'>{listed}</ul>" if listed else ""
    notes = line + (f"<p>{escape(step.say)}</p>" if step.say else "")
    title = step.what[0].upper() + step.what[1:]
    above = f"Step {number} of {steps}"
    return Slide("step", title, body, notes, above, name=f"step {number}")


def quiz(name: str) -> Question:
    return question(name, "quiz")


def asked(one: Question, above: str, notes: str = "") -> Slide:
    """A guess or a quiz question."""
    return Slide(one.kind, one.ask, parts.question_html(one), notes, above, one.id)


def played(step: Step, play: str) -> Slide:
    """The step that plays on the play page and shows no picture of its own."""
    titles = {"chat": "Ask it yourself", "explorer": "What comes next?"}
    if step.play not in titles:
        raise ValueError(f"the play page has {' and '.join(titles)}, and no {step.play!r}")
    title = titles[step.play]
    body = parts.live_html("", title, address({"part": step.play}), play)
    return Slide("live", title, body, above=f"Live: {step.what}", name=f"{step.what}, live")


def what_we_know(known: list[tuple[Step, list[str]]]) -> Slide:
    """The end: what the pictures showed, step by step, once the class has said it."""
    size = "many" if sum(len(titles) for _, titles in known) > 7 else "few"
    rows = "".join(
        f"<dt>{escape(step.what)}</dt>" + "".join(f"<dd>{escape(title)}</dd>" for title in titles)
        for step, titles in known
        if titles
    )
    held = "<details><summary>Say it first, then look</summary>"
    held += f"<dl class='{size}'>{rows}</dl></details>"
    return Slide("known", "What do we know now?", held, above="At the end", name="known")


# ---- Of a notebook ------------------------------------------------------------------------------


def of_notebook(step: Step, play: str) -> Iterator[Slide]:
    """The slides of a step's sections; what we now know is for the end."""
    if not step.notebook:
        return
    _, notebook = lesson(ROOT, step.notebook)
    live, have = live_of(notebook), dict(sections_of(notebook))
    for section in filter(lambda section: section != KNOWN, step.sections):
        cells = [(i, notebook.cells[i]) for i in have[section]]
        slides, prose = [], []  # the prose before a slide is its notes
        for i, cell in cells:
            if cell.cell_type == "markdown":
                prose.append(HEADING.sub("", cell.source))
                found = of_prose(cell, section)
            else:
                found = of_code(cell, section, i, live, play, step.votes)
            for one in found:
                one.notes, prose = parts.notes_html(prose), []
                slides.append(one)
        if not slides:
            slides.append(of_text([cell for _, cell in cells], section, step.notebook))
        slides[-1].notes += parts.notes_html(prose)
        for one in slides:
            about = step.notebook if one.title == section else f"{step.notebook} · {section}"
            one.above = f"{one.above}: {about}" if one.above else about
        yield from slides


def summary_of(step: Step) -> list[str]:
    """What we now know, as the notebook of a step puts it, if the step comes to that."""
    if KNOWN not in step.sections:
        return []
    _, notebook = lesson(ROOT, step.notebook)
    cells = [notebook.cells[i] for i in dict(sections_of(notebook))[KNOWN]]
    return [HEADING.sub("", cell.source) for cell in cells if cell.cell_type == "markdown"]


def of_prose(cell: NotebookNode, section: str) -> list[Slide]:
    """The diagrams of a cell of Markdown."""
    return [
        Slide(
            "picture",
            section,
            parts.picture_html(diagram(found["file"]), found["alt"], "svg+xml"),
            name=found["file"].rpartition("/")[2],
        )
        for found in DIAGRAM.finditer(cell.source)
    ]


def diagram(file: str) -> bytes:
    return (ROOT / "notebooks" / file).resolve().read_bytes()


def of_code(
    cell: NotebookNode, section: str, i: int, live: dict, play: str, votes: tuple[str, ...]
) -> Iterator[Slide]:
    """The guess that a cell asks, or the pictures that it showed."""
    guess = ASKS.search(cell.source)
    if guess:
        voted = ", by vote" if guess[1] in votes else ""
        yield asked(question(guess[1], "guess"), f"Guess{voted}")
    for k, output in enumerate(cell.outputs):
        data = output.get("data", {})
        if "image/png" not in data:
            continue
        words, png = data["text/plain"], base64.b64decode(data["image/png"])
        title = title_of(words, cell.source)
        slide = Slide("picture", title or section, finding=bool(title), name=words)
        slide.body = parts.picture_html(png, words)
        one: Live | None = live.get((i, k))
        if one and (one.hash or one.beside):
            slide.kind, slide.finding = "live", False
            slide.title = words.partition(": ")[0]
            state = one.hash or one.beside
            slide.body = parts.live_html(slide.body, slide.title, state, play)
        yield slide


def of_text(cells: list[NotebookNode], section: str, notebook: str) -> Slide:
    """A section that has neither picture nor guess: the longest that its cells wrote and that fits.

    Where they wrote nothing, its first paragraph; of exercises their names, and what there is to
    write in class as it stands there.
    """
    prose = [HEADING.sub("", cell.source) for cell in cells if cell.cell_type == "markdown"]
    exercises = EXERCISE.findall("\n".join(prose))
    if exercises:
        rows = "".join(f"<li>{escape(f'{name} {time}')}</li>" for name, time in exercises)
        return Slide("text", section, f"<ol class='sections'>{rows}</ol>", name=section)
    stubs = [
        cell.source.replace("\n\n\n", "\n\n")
        for cell in cells
        if cell.cell_type == "code" and is_in_class(cell)
    ]
    if stubs:
        body = f"<p class='soft'>To write, in notebook {notebook}:</p>"
        return Slide("text", section, body + parts.output_html("\n\n".join(stubs)), name=section)
    written = [
        output.text.rstrip()
        for cell in cells
        for output in cell.get("outputs", [])
        if output.output_type == "stream"
    ]
    fits = [text for text in written if text.count("\n") < LINES and len(text) < LETTERS]
    text = max(fits, key=len, default="")
    if text:
        body = f"<p class='soft'>Written in notebook {notebook}:</p>{parts.output_html(text)}"
    else:
        body = f"<div class='lead'>{parts.notes_html(prose, most=1)}</div>"
    return Slide("text", section, body, name=section)


def title_of(words: str, source: str) -> str:
    """The title that the cell gave its picture; "" where it gave none.

    >>> title_of("Bars, Six leads: model: six 44%.", 'bars(rows, "Six leads")')
    'Six leads'
    """
    texts = [
        node.value.rstrip(" :")
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    rest = words.partition(", ")[2]
    given = [text for text in texts if len(text.split()) > 2 and rest.startswith(text)]
    given += [text for text in texts if len(text.split()) > 2 and words.startswith(f"{text}: ")]
    return max(given, key=len, default="")
