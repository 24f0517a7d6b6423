"""The page's side of a widget as text: what all widgets share, then what this one adds.

anywidget hands a widget's script to the page as one string, which can import no file beside it, so
the two are joined here, without a bundler.
"""

from pathlib import Path

FOLDER = Path(__file__).parent


def page(file: str) -> str:
    """The text of `page.js` or `page.css`, then that of `file`, which has the same ending."""
    own = FOLDER / file
    return "\n".join(path.read_text(encoding="utf-8") for path in (own.with_stem("page"), own))


def style(file: str) -> str:
    """The text of `file` for an `ipywidgets.HTML`, whose class has no place for a style."""
    return f"<style>\n{(FOLDER / file).read_text(encoding='utf-8')}</style>"
