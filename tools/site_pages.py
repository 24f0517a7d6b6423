"""The pages of the site, as Sphinx takes them: notebooks, texts, and the page in front.

A notebook's outputs become plain HTML: pictures with their words as alt text, explorers and chats
that can be opened live, and results that wait behind a guess. All of it reads without JavaScript.
"""

import base64
import hashlib
import re
import struct
from copy import deepcopy
from html import escape
from pathlib import Path

from nbformat import NotebookNode
from nbformat.v4 import new_output

from course_lib.check.question import Question, questions
from tools.course_files import ROOT
from tools.live_states import Live, live_of

ASKS = re.compile(r'^guess\("([\w-]+)"\)', re.M)
QUIZ = re.compile(r"^quiz\(", re.M)
STRING = re.compile(r'"([\w-]+)"')
BEHIND = re.compile(r'^behind\(\s*"([\w-]+)"', re.M)
LINK = re.compile(r"(?<!!)\[(?P<words>[^\]]+)\]\((?P<target>[^)\s]+)\)")
PAGES = (ROOT, ROOT / "notebooks", ROOT / "teaching")  # the folders whose texts are pages
COLOUR = re.compile(r"\x1b\[[\d;]*m")
ROW = re.compile(r"^\| \[\w+\]\(notebooks/(?P<file>\w+)\.ipynb\) \|(?P<cells>.*)\|$", re.M)
PICTURE = re.compile(r'<img src="(?P<file>diagrams/[^"]+)"[^>]* alt="(?P<alt>[^"]+)"')
HOW = "*How to use this page.*"
HERE = f"""{HOW} The code has been run for you, and its results stand below it. Sometimes the page
asks for your guess, and the result opens when you have made one. A wrong guess costs nothing, and
you'll remember the answer better. To run the code and to change it, [install](../INSTALL.md) the
course."""
SCALE = 96 / 110  # a picture's own pixels lie closer than a page's


def notebook_page(notebook: NotebookNode, pictures: Path) -> NotebookNode:
    """`notebook` as the site shows it; its pictures are written into the folder `pictures`."""
    page, live = deepcopy(notebook), live_of(notebook)
    for i, cell in enumerate(page.cells):
        if cell.cell_type == "markdown":
            cell.source = without_dead_links(cell.source, ROOT / "notebooks")
            if cell.source.startswith(HOW):  # in JupyterLab
                cell.source = HERE
        elif cell.cell_type == "code":
            parts = [
                output_html(output, pictures, live.get((i, k)))
                for k, output in enumerate(cell.outputs)
            ]
            html = held_back(cell.source, parts)
            shown = [new_output("display_data", {"text/html": html})] if html else []
            cell.outputs, cell.metadata = shown, {}
    page.metadata.pop("seal", None)
    return page


def output_html(output: NotebookNode, pictures: Path, live: Live | None = None) -> str:
    """What a cell showed, as HTML."""
    data = output.get("data", {})
    if "text/html" in data:
        return f'<div class="course-html">{data["text/html"]}</div>'
    if "image/png" in data:
        return figure(base64.b64decode(data["image/png"]), data["text/plain"], pictures, live)
    text = data.get("text/plain") or output.get("text") or "\n".join(output.get("traceback", []))
    return f'<pre class="course-out">{escape(COLOUR.sub("", text))}</pre>'


def figure(png: bytes, words: str, pictures: Path, live: Live | None) -> str:
    """A picture with its words; below one that can be live, the link that brings it to life."""
    name = f"{hashlib.sha256(png).hexdigest()[:16]}.png"
    (pictures / name).write_bytes(png)
    width, height = (round(side * SCALE) for side in struct.unpack(">II", png[16:24]))
    image = (
        f'<img src="../_static/pictures/{name}" alt="{escape(words)}" width="{width}" '
        f'height="{height}" loading="lazy">'
    )
    scrolls = f'<div class="course-scroll">{image}</div>'
    return f'<figure class="course-picture">{scrolls}{live_link(live)}</figure>'


def live_link(live: Live | None, root: str = "../") -> str:
    """Below a frozen explorer or chat: where it runs."""
    if live is None or not (live.hash or live.beside):
        return ""
    words = {"explorer": "Try it here, live", "chat": "Ask it yourself, live"}[live.kind]
    if not live.hash:
        words = "Try the same text here, with the finished base model"
    state = escape(live.hash or live.beside)
    return (
        f'<figcaption><a class="course-live" data-state="{state}" data-kind="{live.kind}" '
        f'href="{root}play/index.html{state}">{words}</a></figcaption>'
    )


def front_explorer(readme: str) -> str:
    """The explorer that is live at once; without JavaScript README.md's picture of it."""
    found = PICTURE.search(readme)
    if not found:
        raise ValueError("README.md should show a picture out of diagrams/")
    picture = f'<img src="_static/{Path(found["file"]).name}" alt="{found["alt"]}">'
    link = '<a class="course-live" data-state="" data-kind="explorer" href="play/index.html">'
    return (
        f'<figure class="course-picture course-now"><div class="course-scroll">{picture}</div>'
        f"<figcaption>{link}Open the explorer on a page of its own</a></figcaption></figure>"
    )


def held_back(source: str, parts: list[str]) -> str:
    """The outputs of a cell, one below the other; what stands behind a guess is folded away."""
    asked = ASKS.search(source)
    if asked and asked[1] in questions():
        parts = [*parts[:-1], question_html(questions()[asked[1]])]
    if QUIZ.search(source) and parts:
        names = [name for name in STRING.findall(source) if name in questions()]
        parts = [*parts[:-1], *(question_html(questions()[name]) for name in names)]
    html, waits = "".join(parts), BEHIND.search(source)
    if waits and html:
        return (
            f'<details class="course-behind" data-guess="{waits[1]}"><summary>Guess first, then '
            f"open the result</summary>{html}</details>"
        )
    return html


def question_html(asked: Question) -> str:
    """A question that site.js makes buttons of; without it, something to think about.

    A guess waits for its result below; a quiz has its answer folded away.
    """
    options = "".join(
        f'<li data-right="{str(letter == asked.right).lower()}" data-why="{escape(option.why)}">'
        f"{escape(option.text)}</li>"
        for letter, option in zip("abcdefgh", asked.options, strict=False)
    )
    listed = f'<ol type="a">{options}</ol>' if options else ""
    end = '<p class="course-said">What do you say? The result waits below.</p>'
    if asked.kind == "quiz":
        answer = f"{asked.told(asked.right)}. {asked.option(asked.right).why}"
        end = '<p class="course-said"></p><details><summary>Answer</summary>'
        end += f"<p>{escape(answer)}</p></details>"
    return (
        f'<div class="course-guess" data-guess="{asked.id}" data-unit="{escape(asked.unit)}">'
        f"<p><strong>{escape(asked.ask)}</strong></p>{listed}{end}</div>"
    )


def without_dead_links(text: str, folder: Path) -> str:
    """Markdown without links to files that the site hasn't got; their words stay."""

    def kept(found: re.Match) -> str:
        target = found["target"].partition("#")[0]
        if not target or re.match("[a-z]+:", target):
            return found[0]
        path = (folder / target).resolve()
        on_site = path.suffix in (".ipynb", ".md") and path.parent in PAGES
        return found[0] if on_site and path.stem != "CONTRIBUTING" else found["words"]

    return LINK.sub(kept, text)


def cards(readme: str) -> str:
    """The seven notebooks as README.md tells of them: question, minutes, what you can do then."""
    rows = ROW.findall(readme)
    if len(rows) != len(list((ROOT / "notebooks").glob("*.ipynb"))):
        raise ValueError(f"README.md should have a row for each notebook, and has {len(rows)}")
    items = []
    for file, cells in rows:
        question, minutes, then = (cell.strip() for cell in cells.split("|"))
        number = file.partition("_")[0]
        items.append(
            f'<li><a href="notebooks/{file}.html"><span class="course-number">{number}</span> '
            f"{escape(question)}</a><p>{escape(then[:1].upper() + then[1:])}. "
            f'<span class="course-soft">{minutes} minutes</span></p></li>'
        )
    return f'<ol class="course-cards">{"".join(items)}</ol>'
