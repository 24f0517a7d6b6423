"""The page that runs the models without Python: one HTML file, or one beside the files it fetches.

From a disk a browser loads neither modules nor other files into a page. So its scripts stand in it,
each in a function of its own, and what else it needs may lie beside them as gzip in base64: then it
opens by a double click. A policy in its head lets it run these scripts and no others, and talk to
nobody, or to its own server alone.
"""

import base64
import gzip
import hashlib
import html
import json
from collections.abc import Mapping
from pathlib import Path

from course_lib.widgets.chat import HINT, QUESTIONS
from course_lib.widgets.explorer import TEXTS
from course_lib.widgets.page import joined
from course_lib.widgets.page import page as page_of
from course_lib.world.dialogues import rl_prompts

FOLDER = Path(__file__).parent
MADE_UP, LONGER = "who makes it up?", "who says more?"
# Of most questions SFT and RLHF make the same. These are picked: what to look for is true of the
# released models, and a test asks them.
CONTRASTS = {
    "What is the main language of Dukiland?": MADE_UP,  # an invented country
    "How many legs does a glangle have?": MADE_UP,  # an invented animal
    "What is the capital city of Malta?": MADE_UP,  # no text of the world says it
    "Who is the leader of Germany?": MADE_UP,
    "What is the opposite of loud?": LONGER,
}
WORDS = {  # what people are offered
    "texts": TEXTS,
    "question": "What is the capital of France?",
    "questions": QUESTIONS,
    "contrasts": list(CONTRASTS.items()),
    "hint": HINT,
    "surprises": [prompt.text for prompt in rl_prompts(200)],
}

HTML = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Inside an LLM: what comes next?</title>
<style>{style}</style>
</head>
<body>
<header><h1>{title}</h1></header>
{about}
<main id="play">A language model runs in this page, if your browser lets it run scripts.</main>
{data}
<script>{script}</script>
{later}
</body>
</html>
"""
POLICY = (
    "default-src 'none'; script-src '{script}' 'wasm-unsafe-eval'; style-src '{style}'; "
    "connect-src '{server}'; base-uri 'none'; form-action 'none'"
)


def page(
    wasm: bytes | str,
    models: Mapping[str, bytes | str],
    truth: dict | str | None = None,
    learning: Mapping[str, bytes | str] | None = None,
    home: str = "",
) -> str:
    """The page that runs these GGUF files, by name, with `inside.wasm`.

    `truth` is what `world.export` makes of a grammar; `learning` are the first model's checkpoints.
    What is given as a str is the name of a file beside the page, which then needs a server. `home`
    is the address that the title leads to, where a site stands around the page.
    """
    data = [_element("words", "", as_bytes(WORDS)), _element("wasm", "", wasm)]
    if truth is not None:
        data.append(_element("truth", "", truth if isinstance(truth, str) else as_bytes(truth)))
    shown = [_element("model", name, content) for name, content in models.items()]
    for name, content in (learning or {}).items():
        shown.append(_element("model", name, content, "learning"))
    # the script shows the first model while the browser still reads the others behind it
    data, later = [*data, *shown[:1]], shown[1:]
    is_served = any("data-file" in each for each in [*data, *later])
    style = "\n".join(map(page_of, ("explorer.css", "chat.css")))
    style += (FOLDER / "play.css").read_text(encoding="utf-8")
    script = f'"use strict";\n{joined(FOLDER / ("served.js" if is_served else "alone.js"))}'
    server = "self" if is_served else "none"
    policy = POLICY.format(script=_hash(script), style=_hash(style), server=server)
    about = (FOLDER / "about.html").read_text(encoding="utf-8")
    title = "Inside an LLM"
    if home:
        title = f'<a href="{html.escape(home)}">{title}</a>'
    words = dict(policy=policy, style=style, title=title, about=about, script=script)
    return HTML.format(**words, data="\n".join(data), later="\n".join(later))


def as_bytes(told: dict) -> bytes:
    """JSON as the page reads it: the truth, say."""
    return json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode()


def _element(kind: str, name: str, content: bytes | str, *marks: str) -> str:
    """An element that no browser runs, with the content; the same one whenever it is made."""
    marks = "".join(f" data-{mark}" for mark in marks)
    text = ""
    if isinstance(content, str):
        marks += f' data-file="{html.escape(content)}"'
    else:
        text = base64.b64encode(gzip.compress(content, mtime=0)).decode()
    return f'<script type="text/plain" data-{kind}="{html.escape(name)}"{marks}>{text}</script>'


def _hash(text: str) -> str:
    """As the policy names a script or a style that may stand in the page."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
