"""Builds the slides of every plan: python -m tools.build_slides [FOLDER] [--room URL] [--play URL]

A file for each plan, or for each session of a plan, which opens by a double click and asks nobody
for anything. `--room` puts the address of the class's room on the first slide, with its QR code;
`--play` says where the play page is, seen from the slides.
"""

import argparse
import base64
import hashlib
import sys
from html import escape
from pathlib import Path

from course_lib.machine.disk import write_text
from course_lib.plans import Plan, load_plans
from tools.deck import Slide, deck
from tools.program import status_of
from tools.slide_parts import PLAY

FOLDER = Path(__file__).parent / "slides"
HELP = """<dialog id="help" aria-labelledby="help-title"><h2 id="help-title">Keys</h2>
<dl><dt>→ ↓ Page down, space</dt><dd>next: first the answer, then the next slide</dd>
<dt>← ↑ Page up</dt><dd>back</dd><dt>Home, End</dt><dd>first and last slide</dd>
<dt>n</dt><dd>notes for the presenter</dd><dt>f</dt><dd>full screen</dd>
<dt>?</dt><dd>this help</dd></dl>
<p>A swipe works, too. While you are inside the live page, keys are its own: click beside it.</p>
<p><label><input type="checkbox" id="letters" checked> n, f and ? are keys</label></p>
<form method="dialog"><button class="main">Close</button></form></dialog>"""
BUTTONS = {  # id -> name
    "back": "Back",
    "next": "Next",
    "notes": "Notes",
    "full": "Full screen",
    "keys": "Keys",
}


def slide_html(slide: Slide, number: int, total: int) -> str:
    """A slide; its number is its place in the address. What a guess holds back is folded away."""
    long = " long" if len(slide.title) > 110 else ""
    level = "h1" if number == 1 else "h2"
    above = f'<p class="above">{escape(slide.above)}</p>' if slide.above else ""
    head = f'<{level} class="title">{escape(slide.title)}</{level}>'
    body = f'{above}{head}<div class="body">{slide.body}</div>'
    if slide.behind:
        body = (
            f'<details class="behind" data-guess="{slide.behind}"><summary>Guess first, then open '
            f"the result</summary>{body}</details>"
        )
    notes = slide.notes and (
        '<aside class="notes" aria-label="Notes" tabindex="0" hidden>'
        f'<p class="above">Notes</p>{slide.notes}</aside>'
    )
    return (
        f'<div class="slide {slide.kind}{long}" id="{number}" role="group" '
        f'aria-roledescription="slide" aria-label="{number} of {total}" '
        f'data-clock="{slide.clock}"><div class="stage">{body}</div>{notes}</div>'
    )


def slides_page(plan: Plan, room: str = "", play: str = PLAY) -> str:
    """The whole deck as one page, which allows itself nothing that doesn't lie in it."""
    slides = deck(plan, room, play)
    css, js = ((FOLDER / f"slides.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    style, script = (
        base64.b64encode(hashlib.sha256(x.encode()).digest()).decode() for x in (css, js)
    )
    allowed = (
        f"default-src 'none'; img-src data:; style-src 'sha256-{style}'; "
        f"script-src 'sha256-{script}'; frame-src 'self' file:; base-uri 'none'; form-action 'none'"
    )
    shown = "\n".join(slide_html(one, i, len(slides)) for i, one in enumerate(slides, 1))
    buttons = "".join(f'<button type="button" id="do-{k}">{v}</button>' for k, v in BUTTONS.items())
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{allowed}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(plan.title)}</title>
<style>{css}</style>
</head>
<body>
<nav aria-label="Slides">{buttons}<span id="place"></span><span id="clock"></span></nav>
<p class="heard" role="status" id="heard"></p>
<main>
{shown}
</main>
{HELP}
<script>{js}</script>
</body>
</html>
"""


def build(folder: Path, room: str = "", play: str = PLAY) -> list[Path]:
    """The decks, written into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for plan in load_plans().values():
        for part in plan.parts:
            path = folder / f"{part.id}.html"
            write_text(path, slides_page(part, room, play))
            written.append(path)
    return written


def main(arguments: list[str]) -> int:
    reader = argparse.ArgumentParser(prog="python -m tools.build_slides", description=__doc__)
    reader.add_argument("folder", nargs="?", default="build/slides", type=Path)
    reader.add_argument("--room", default="", metavar="URL")
    reader.add_argument("--play", default=PLAY, metavar="URL")
    given = reader.parse_args(arguments)

    def work() -> None:
        for path in build(given.folder, given.room, given.play):
            print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")

    return status_of(work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
