"""The pieces of a slide as HTML: pictures, questions, live pages, notes, the room's code."""

import base64
import re
from html import escape
from urllib.parse import urlsplit

import segno
from markdown_it import MarkdownIt

from course_lib.check.numbers import shown
from course_lib.check.question import LETTERS, Question

PLAY = "../play/inside-an-llm.html"  # from build/slides: the page that opens by a double click
LINK = re.compile(r"!?\[(?P<words>[^\]]*)\]\([^)\s]+\)")
PICTURE = re.compile(r"^!\[[^\]]*\]\([^)]*\)\s*$", re.M)
NOTES = 900  # letters of a slide's notes; the paragraph that reaches them is the last
COLOUR = re.compile(r"\x1b\[[\d;]*m")
markdown = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["image", "autolink"])


def picture_html(data: bytes, words: str, kind: str = "png") -> str:
    """A picture that lies in the page; an SVG as an image has no script and no ids of ours."""
    inside = base64.b64encode(data).decode()
    return (
        f'<figure class="card"><img src="data:image/{kind};base64,{inside}" '
        f'alt="{escape(words)}"></figure>'
    )


def output_html(text: str) -> str:
    """What a cell wrote."""
    return f"<pre>{escape(COLOUR.sub('', text))}</pre>"


def question_html(asked: Question) -> str:
    """What stands below a question: its options, and the answer in a fold."""
    options = "".join(f"<li>{escape(option.text)}</li>" for option in asked.options)
    listed = f'<ol class="options">{options}</ol>'
    if not options:
        unit = "percent" if asked.unit == "%" else asked.unit
        listed = f'<p class="number">Your number{f", in {escape(unit)}" if unit else ""}?</p>'
    answer = _reasons(asked) if asked.options else _range(asked)
    return (
        f'{listed}<details class="answer" data-guess="{asked.id}">'
        f"<summary>Show the answer</summary>{answer}</details>"
    )


def _reasons(asked: Question) -> str:
    """Every option with what to tell somebody who chose it."""
    rows = []
    for letter, option in zip(LETTERS, asked.options, strict=False):
        is_right = letter == asked.right
        sign = '<span class="sign">✓ so it is</span> ' if is_right else ""
        rows.append(
            f'<li class="{"right" if is_right else "wrong"}">{sign}<b>{escape(option.text)}</b> '
            f"<span>{escape(option.why)}</span></li>"
        )
    return f'<ol class="options">{"".join(rows)}</ol>'


def _range(asked: Question) -> str:
    """A number, what counts as found, and what to tell whoever was far off."""
    unit = "%" if asked.unit == "%" else f" {asked.unit}" if asked.unit else ""

    def reach(low: float, high: float) -> str:
        return escape(f"{shown(low)} to {shown(high)}{unit}")

    rows = [
        f'<p class="right"><span class="sign">✓</span> <b>{escape(asked.told(asked.answer))}</b>'
        f" <span>{reach(asked.low, asked.high)} is found. {escape(asked.why)}</span></p>"
    ]
    rows += [
        f"<p class='wrong'><b>{reach(trap.low, trap.high)}</b> <span>{escape(trap.why)}</span></p>"
        for trap in asked.traps
    ]
    return "".join(rows)


def live_html(picture: str, title: str, state: str, play: str) -> str:
    """The picture, and what puts the live page in its place; without scripts the link does."""
    where = escape(play + state)
    return (
        f'<div class="live">{picture}<p class="live-row">'
        f'<button type="button" class="main" data-live="{where}" data-title="{escape(title)}">'
        f'Run it here</button> <a href="{where}" target="_blank" rel="noopener">Open it in a new '
        'tab</a> <span class="soft">Nothing there? <code>make play</code> builds it.</span></p>'
        "</div>"
    )


def notes_html(prose: list[str], most: int = NOTES) -> str:
    """What the notebook says there, shortened to whole paragraphs; links are words only."""
    text = LINK.sub(lambda found: found["words"], PICTURE.sub("", "\n\n".join(prose)))
    blocks = [block for block in re.split(r"\n\s*\n", text) if block.strip()]
    kept, size = [], 0
    for block in blocks:
        if size >= most and not kept[-1].rstrip().endswith(":"):
            kept += ["…"] if most > 1 else []
            break
        kept.append(block)
        size += len(block)
    return markdown.render("\n\n".join(kept))


def room_code(room: str) -> str:
    """The address of the class's room, and its QR code; "" without a room."""
    if not room:
        return ""
    parts = urlsplit(room)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(
            f"expected the room's address, as http://192.168.1.5:8765/#7K4QX, got {room}"
        )
    code = segno.make(room, error="m", micro=False)
    image = code.svg_data_uri(scale=8, border=4, light="#fff", dark="#000")
    words = f"QR code of {room}"
    return (
        f'<div class="room"><img src="{escape(image)}" alt="{escape(words)}">'
        f'<p>Join the room:<br><a href="{escape(room)}">{escape(room)}</a></p></div>'
    )
