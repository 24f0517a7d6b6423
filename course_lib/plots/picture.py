"""What every picture is made of: its figure, its words, its colours.

The words are the alt text, and what a notebook shows where no picture can be seen. They are made
from the numbers, so they can't tell another story than the picture. Left out: animations, pyplot
and its global state; nothing is shown here, the notebook does that.
"""

import base64
import io
import logging
import textwrap
from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The truth is ink, the course's models and people have a colour each, what is said beside is soft.
INK, SOFT, LINE, FAINT, GONE = "#16181d", "#5c6470", "#cfd4dc", "#e4e7ec", "#aab2bd"
BASE, SFT, RLHF, PEOPLE = "#0072b2", "#c67f00", "#00825f", "#7a3db8"
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
    lines = [part for line in text.split("\n") for part in _broken(line, 72)]
    note = textwrap.wrap(below, 80)
    height = 0.5 + 0.19 * (len(lines) + len(note) + 1)
    axes = new_axes(width=6.4, height=height)
    axes.set_axis_off()
    finding(axes, title)
    options = dict(va="top", parse_math=False, transform=axes.transAxes)
    axes.text(0, 1, "\n".join(lines), color=INK, fontsize=10, linespacing=1.35, **options)
    axes.text(0, 0, "\n".join(note), color=SOFT, fontsize=9, **options | dict(va="bottom"))
    return Picture(axes.figure, f"{title}:\n{text}\n{below}".rstrip())


def _broken(line: str, width: int) -> list[str]:
    """A line in parts of `width` letters; what stood to the right stays there."""
    indent = line[: len(line) - len(line.lstrip())]
    return textwrap.wrap(line, width, subsequent_indent=indent) or [""]


def finding(axes, title: str, unit: str = "", above: float = 8, size: float = 11.5) -> None:
    """The look of a picture: what it shows as a title, the unit below it, no frame, a quiet grid.

    The title stands `above` points over the axes, and the unit has its place between them.
    """
    pad = above + 14 * bool(unit)
    axes.set_title(title, loc="left", weight="bold", fontsize=size, color=INK, pad=pad)
    if unit:
        place = dict(xycoords="axes fraction", textcoords="offset points")
        axes.annotate(unit, (0, 1), (0, 7), color=SOFT, fontsize=9, **place)
    axes.spines[["left", "top", "right"]].set_visible(False)
    axes.spines["bottom"].set_color(LINE)
    axes.tick_params(which="both", length=0, labelsize=9, labelcolor=SOFT)
    axes.grid(axis="y", color=FAINT)
    axes.set_axisbelow(True)


def levels(
    axes,
    lines: dict[str, float],
    words: str = "{name} {value:.2f}",
    left: Collection[str] = (),
) -> None:
    """Lines that never move, named at their right ends or `left`: floors and ceilings are ink."""
    free = float("-inf")  # names of lines that lie close together are moved apart
    low, high = axes.get_ylim()
    for name, value in sorted(lines.items(), key=lambda line: line[1]):
        sure = "floor" in name or "ceiling" in name
        style = dict(color=INK, linewidth=2) if sure else dict(color=SOFT, linestyle=(0, (4, 3)))
        axes.axhline(value, **(dict(linewidth=1.1) | style))
        if name in left:
            place, ha, x = (0, value), "left", 3
        else:
            free = max(value, free + 0.07 * (high - low))
            place, ha, x = (1, free), "right", 0
        text = axes.annotate(
            words.format(name=name, value=value), place, (x, 2), va="bottom", ha=ha,
            color=style["color"], fontsize=9, weight="bold" if sure else "normal",
            xycoords=axes.get_yaxis_transform(), textcoords="offset points",
        )  # fmt: skip
        text.set_bbox(dict(facecolor="white", edgecolor="none", pad=0.5, alpha=0.8))


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
