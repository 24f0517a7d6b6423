"""Numbers in, a picture out: a matplotlib figure and the words that say what it shows.

The words are the alt text, and what a notebook shows where no picture can be seen. They are made
from the numbers, so they can't tell another story than the picture. Left out: animations, pyplot
and its global state; nothing is shown here, the notebook does that.
"""

import base64
import io
import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from course_lib.scaling import readable_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Of Okabe and Ito's palette: colour-blind readers can tell them apart. A hatch or a label says the
# same again, since no picture may rest on colour alone.
BLUE, ORANGE, GREEN = "#0072B2", "#E69F00", "#009E73"
DPI = 110


class Picture:
    """A figure with its alt text; as the last value of a cell it shows as PNG."""

    def __init__(self, figure: "Figure", words: str):
        if len(words.split()) < 3:
            raise ValueError(f"words must say what the picture shows, got {words!r}")
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


def histogram(numbers: Sequence[float], title: str) -> Picture:
    """How often each value occurs among `numbers` (any shape), without the rarest at both ends."""
    values = np.asarray(numbers, dtype=np.float32).ravel()
    if values.size == 0 or not np.isfinite(values).all():
        raise ValueError(
            f"a histogram needs finite numbers, got {values.size} with some that aren't"
        )
    low, first, third, high = np.quantile(values, [0.005, 0.25, 0.75, 0.995])
    axes = _axes(width=6.4, height=3.0)
    axes.hist(values, bins=100, range=(low, high) if low < high else None, color=BLUE)
    axes.set(title=title, xlabel="value (1 in 100 lies further out)", ylabel="how many")
    axes.yaxis.set_major_formatter(lambda count, _: f"{count:,.0f}")
    words = (
        f"Histogram, {title}: {values.size:,} numbers from {values.min():.2f} to "
        f"{values.max():.2f}; half of them lie between {first:.2f} and {third:.2f}, "
        f"99 of 100 between {low:.2f} and {high:.2f}."
    )
    return Picture(axes.figure, words)


def probability_bars(title: str, names: Iterable[str], **series: Iterable[float]) -> Picture:
    """A group of bars for each name, a bar in it for each series of probabilities.

    >>> probability_bars("After 'hit a'", ["six", "four"], model=[0.4, 0.2], world=[0.45, 0.2])
    Bars, After 'hit a': six model 40 %, world 45 %; four model 20 %, world 20 %.
    """
    names, series = list(names), {label: list(p) for label, p in series.items()}
    if not 1 <= len(series) <= 3 or any(len(p) != len(names) for p in series.values()):
        lengths = {name: len(p) for name, p in series.items()}
        raise ValueError(f"1 to 3 series of {len(names)} probabilities expected, got {lengths}")
    axes = _axes(width=6.4, height=3.2)
    width = 0.8 / len(series)
    for i, (label, p) in enumerate(series.items()):
        x = np.arange(len(names)) + (i + 0.5) * width - 0.4
        style = dict(color=(BLUE, ORANGE, GREEN)[i], hatch=("", "//", "..")[i], edgecolor="white")
        bars = axes.bar(x, p, width * 0.94, label=label, **style)
        axes.bar_label(bars, [f"{value:.0%}" for value in p], padding=2, fontsize=9)
    axes.set_xticks(range(len(names)), names)
    axes.set(title=title, ylabel="probability")
    axes.set_ylim(0, 1.15 * max(max(p) for p in series.values()) or 1)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    if len(series) > 1:
        axes.legend(frameon=False)
    groups = [
        f"{name} " + ", ".join(f"{label} {100 * p[i]:.0f} %" for label, p in series.items())
        for i, name in enumerate(names)
    ]
    return Picture(axes.figure, f"Bars, {title}: {'; '.join(groups)}.")


def file_sizes(title: str, sizes: dict[str, int]) -> Picture:
    """A dot for the bytes of each file, on an axis where a step is ten times more."""
    if not sizes or min(sizes.values()) < 1:
        raise ValueError(f"at least one size of 1 byte or more expected, got {sizes}")
    labels = [readable_bytes(size) for size in sizes.values()]
    axes = _axes(width=6.4, height=0.9 + 0.27 * len(sizes))
    # dots, since a bar on such an axis could begin anywhere: its length would mean nothing
    axes.plot(list(sizes.values()), list(sizes), "o", color=BLUE)
    for row, (size, label) in enumerate(zip(sizes.values(), labels, strict=True)):
        text = axes.annotate(label, (size, row), (8, 0), textcoords="offset points", va="center")
        text.set_bbox(dict(facecolor="white", edgecolor="none", pad=1))  # the grid stays behind it
    axes.set_xscale("log")
    axes.set_xlim(min(sizes.values()) / 3, 30 * max(sizes.values()))
    axes.xaxis.set_major_formatter(lambda size, _: readable_bytes(size).replace(".00", ""))
    axes.grid(axis="y", color="#dddddd")
    axes.set_axisbelow(True)
    axes.invert_yaxis()
    axes.set(title=title, xlabel="size of the file; each step is ten times more")
    pairs = [f"{name} {label}" for name, label in zip(sizes, labels, strict=True)]
    return Picture(axes.figure, f"Dots on a logarithmic axis, {title}: {', '.join(pairs)}.")


def _axes(width: float, height: float) -> "Axes":
    # on the first import on a machine, matplotlib says on stderr that it looks for fonts
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    from matplotlib.figure import Figure

    axes = Figure(figsize=(width, height), layout="constrained").subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return axes
