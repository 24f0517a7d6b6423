"""What every picture is made of: its figure, its words, its colours.

The words are the alt text, and what a notebook shows where no picture can be seen. They are made
from the numbers, so they can't tell another story than the picture. Left out: animations, pyplot
and its global state; nothing is shown here, the notebook does that.
"""

import base64
import io
import logging
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's palette: colour-blind readers can tell these apart.
BLUE, ORANGE, GREEN = "#0072B2", "#E69F00", "#009E73"
PURPLE, VERMILION, SKY = "#CC79A7", "#D55E00", "#56B4E9"
GREY = "#666666"
# No picture may rest on colour alone: each of its lines has a marker and dashes of its own too, and
# each series of bars a hatch. Levels (lines that do not move) are told from curves by their dashes.
STYLES = (
    (BLUE, "o", "-"),
    (ORANGE, "s", "--"),
    (GREEN, "^", ":"),
    (PURPLE, "D", "-."),
    (VERMILION, "v", (0, (5, 1))),
    (SKY, "P", (0, (1, 1))),
)
HATCHES = ("", "//", "..", "xx")
LEVELS = ((VERMILION, "--"), (GREEN, ":"), (PURPLE, "-."), (ORANGE, (0, (9, 3))))
DPI = 110


class Picture:
    """A figure with its alt text; as the last value of a cell it shows as PNG."""

    def __init__(self, figure: "Figure", words: str):
        self.figure = figure
        self.words = words

    @property
    def png(self) -> bytes:
        """The picture as the bytes of a PNG file."""
        file = io.BytesIO()
        self.figure.savefig(file, format="png", dpi=DPI)
        return file.getvalue()

    def __repr__(self) -> str:
        return self.words

    def _repr_mimebundle_(self, include=None, exclude=None) -> tuple[dict, dict]:
        data = {"image/png": base64.b64encode(self.png).decode(), "text/plain": self.words}
        return data, {"image/png": {"alt": self.words}}


def bar_style(series: int) -> dict:
    """How the bars of a picture's first, second, ... series look; `series` counts from 0."""
    colour, _, _ = STYLES[series % len(STYLES)]
    return dict(color=colour, hatch=HATCHES[series % len(HATCHES)], edgecolor="white")


def text_card(title: str, text: str, below: str) -> Picture:
    """A text as written, a line of ours under it: for what is read and not measured."""
    lines = [part for line in text.split("\n") for part in textwrap.wrap(line, 72) or [""]]
    note = textwrap.wrap(below, 80)
    height = 0.5 + 0.16 * (len(lines) + len(note) + 1)
    axes = new_axes(width=6.4, height=height)
    axes.set_axis_off()
    axes.set_title(title, loc="left")
    options = dict(va="top", parse_math=False, transform=axes.transAxes)
    axes.text(0, 1, "\n".join(lines), family="monospace", fontsize=9, **options)
    axes.text(0, 0, "\n".join(note), fontsize=9, **options | dict(va="bottom"))
    return Picture(axes.figure, f"{title}: {text!r}. {below}")


def new_axes(width: float, height: float, columns: int = 1):
    """The axes of a new figure of `width` by `height` inches; a row of them for several columns."""
    # on the first import on a machine, matplotlib says on stderr that it looks for fonts
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    from matplotlib.figure import Figure

    panels = Figure(figsize=(width, height), layout="constrained").subplots(
        1, columns, sharey=True, squeeze=False
    )[0]
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
    return panels if columns > 1 else panels[0]
