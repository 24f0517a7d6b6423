"""The charts that most lessons use: bars, lines, dots, shades, and texts with marked tokens.

As everywhere in `plots`, numbers go in; out come a figure and the words that say what it shows.
"""

from collections.abc import Iterable, Sequence
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from course_lib.plots.picture import (
    BASE,
    BLUE,
    INK,
    LINE,
    PEOPLE,
    SOFT,
    STYLES,
    Picture,
    bar_style,
    finding,
    levels,
    new_axes,
)
from course_lib.scaling.sizes import readable_bytes
from course_lib.text.tokenizer import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def histogram(numbers: Sequence[float], title: str) -> Picture:
    """How often each value occurs among `numbers` (any shape), without the rarest at both ends."""
    values = np.asarray(numbers, dtype=np.float32).ravel()
    low, first, third, high = np.quantile(values, [0.005, 0.25, 0.75, 0.995])
    axes = new_axes(width=6.4, height=3.0)
    axes.hist(values, bins=100, range=(low, high) if low < high else None, color=BLUE)
    axes.set(title=title, xlabel="value (1 in 100 lies further out)", ylabel="how many")
    axes.yaxis.set_major_formatter(lambda count, _: f"{count:,.0f}")
    words = (
        f"Histogram, {title}: {values.size:,} numbers from {values.min():.2f} to "
        f"{values.max():.2f}; half of them lie between {first:.2f} and {third:.2f}, "
        f"99 of 100 between {low:.2f} and {high:.2f}."
    )
    return Picture(axes.figure, words)


def probability_bars(
    title: str, names: Iterable[str], ylabel: str = "probability", **series: Iterable[float]
) -> Picture:
    """A group of bars for each name, a bar in it for each series of probabilities or shares.

    >>> probability_bars("After 'hit a'", ["six", "four"], model=[0.4, 0.2], world=[0.45, 0.2])
    Bars, After 'hit a': six model 40%, world 45%; four model 20%, world 20%.
    """
    names, series = list(names), {label: list(p) for label, p in series.items()}
    axes = new_axes(width=6.4, height=3.2)
    width = 0.8 / len(series)
    letters = min(9, 185 * width / max(1, len(names)))  # points: a label as wide as its bar
    for i, (label, p) in enumerate(series.items()):
        x = np.arange(len(names)) + (i + 0.5) * width - 0.4
        bars = axes.bar(x, p, width * 0.94, label=label, **bar_style(i))
        axes.bar_label(bars, [f"{value:.0%}" for value in p], padding=2, fontsize=letters)
    axes.set_xticks(range(len(names)), names)
    axes.set(title=title, ylabel=ylabel)
    axes.set_ylim(0, 1.15 * max(max(p) for p in series.values()) or 1)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    if len(series) > 1:
        axes.legend(frameon=False)
    groups = [
        f"{name} " + ", ".join(f"{label} {100 * p[i]:.0f}%" for label, p in series.items())
        for i, name in enumerate(names)
    ]
    return Picture(axes.figure, f"Bars, {title}: {'; '.join(groups)}.")


def file_sizes(title: str, sizes: dict[str, int]) -> Picture:
    """A dot for the bytes of each file, on an axis where a step is ten times more."""
    labels = [readable_bytes(size) for size in sizes.values()]
    axes = new_axes(width=6.4, height=0.9 + 0.27 * len(sizes))
    # dots, since a bar on such an axis could begin anywhere: its length would mean nothing
    axes.plot(list(sizes.values()), list(sizes), "o", color=BASE)
    for row, (size, label) in enumerate(zip(sizes.values(), labels, strict=True)):
        text = axes.annotate(label, (size, row), (8, 0), textcoords="offset points", va="center")
        text.set_bbox(dict(facecolor="white", edgecolor="none", pad=1))  # the grid stays behind it
    axes.set_xscale("log")
    axes.set_xlim(min(sizes.values()) / 3, 30 * max(sizes.values()))
    axes.xaxis.set_major_formatter(lambda size, _: readable_bytes(size).replace(".00", ""))
    axes.invert_yaxis()
    finding(axes, title)
    axes.tick_params(axis="y", labelcolor=INK)
    axes.set_xlabel("size of the file; each step is ten times more", color=SOFT, fontsize=9)
    pairs = [f"{name} {label}" for name, label in zip(sizes, labels, strict=True)]
    return Picture(axes.figure, f"Dots on a logarithmic axis, {title}: {', '.join(pairs)}.")


def heat_map(
    title: str, rows: Sequence[str], columns: Sequence[str], values: Sequence[Sequence[float]]
) -> Picture:
    """A table of numbers from 0 to 1 as shades, with their percents written into it."""
    shades = np.asarray(values, dtype=np.float32)
    if not ((shades >= 0) & (shades <= 1)).all():
        raise ValueError("a heat map needs numbers from 0 to 1: divide by the largest")
    axes = new_axes(width=1.5 + 0.52 * len(columns), height=1.1 + 0.27 * len(rows))
    axes.imshow(shades, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for i, j in np.ndindex(shades.shape):
        told = f"{shades[i, j]:.0%}" if shades[i, j] >= 0.005 else ""
        colour = "white" if shades[i, j] > 0.55 else "black"
        axes.text(j, i, told, ha="center", va="center", color=colour, fontsize=8.5)
    axes.set_xticks(range(len(columns)), columns, rotation=40, ha="left")
    axes.set_yticks(range(len(rows)), rows)
    axes.xaxis.tick_top()
    axes.set_title(title, pad=12)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    largest = "; ".join(
        f"{row} {columns[j]} {100 * shades[i, j]:.0f}%"
        for i, (row, j) in enumerate(zip(rows, shades.argmax(axis=1), strict=True))
    )
    return Picture(axes.figure, f"Heat map, {title}: in each row the largest: {largest}.")


def token_boxes(title: str, pieces, shades, notes, depth: float = 1, unit: str = "") -> "Figure":
    """A box for each token, as dark as its shade from 0 to 1, a note below it; lines are broken.

    A line is `depth` high: 1 has room for notes of one line.
    """
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    boxes, x, row = [], 0.0, 0  # in characters of a line of 76
    for piece, strength, note in zip(pieces, shades, notes, strict=True):
        shown = visible(piece)
        width = max(len(shown), 3) + 0.6
        if x + width > 76:
            x, row = 0.0, row + 1
        boxes.append((x, depth * row, width, shown, min(strength, 1.0), note))
        x = 0.0 if piece.endswith("\n") else x + width
        row += piece.endswith("\n")
    deep = boxes[-1][1] + depth
    axes = new_axes(width=7.6, height=0.7 + 0.52 * deep)
    axes.set(xlim=(0, 76), ylim=(deep, 0))
    finding(axes, title, unit)
    axes.axis("off")
    for x, y, width, shown, strength, note in boxes:
        box = dict(facecolor=colormaps["Blues"](0.75 * strength), edgecolor="#999999")
        axes.add_patch(Rectangle((x + 0.1, y + 0.08), width - 0.2, 0.5, linewidth=0.5, **box))
        dark = "white" if strength > 0.7 else "black"
        middle = dict(ha="center", va="center", family="DejaVu Sans Mono")
        axes.text(x + width / 2, y + 0.33, shown, color=dark, fontsize=9, **middle)
        below = y + 0.29 + depth / 2 - 0.06 * (depth > 1)
        axes.text(x + width / 2, below, note, color="#444444", fontsize=7.5, **middle)
    return axes.figure


def curves(
    title: str, xlabel: str, ylabel: str, x: Sequence[float], **series: Sequence[float]
) -> Picture:
    """A line for each series over the same `x`."""
    axes = new_axes(width=6.4, height=3.2)
    for (label, y), (colour, marker, line) in zip(series.items(), cycle(STYLES), strict=False):
        style = dict(color=colour, marker=marker, linestyle=line, markersize=4)
        axes.plot(x, y, label=label.replace("_", " "), **style)
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
    axes.set_ylim(bottom=min(0, *(min(y) for y in series.values())))
    if max(x) >= 10_000:  # or matplotlib counts in units of 1e6, and says so in a corner
        axes.xaxis.set_major_formatter(lambda count, _: f"{count:,.0f}")
    if len(series) > 1:
        axes.legend(frameon=False)
    ends = [f"{k.replace('_', ' ')} from {y[0]:.3g} to {y[-1]:.3g}" for k, y in series.items()]
    return Picture(axes.figure, f"Lines, {title}: {', '.join(ends)}.")


def sizes_and_devices(
    title: str,
    sizes: dict[str, int],
    devices: dict[str, float],
    active: dict[str, int] | None = None,
) -> Picture:
    """`file_sizes` with a line at each device's memory, in bytes; what none holds is hollow.

    A bar to the left of a dot begins at the bytes of `active`: of a mixture, those that work.
    """
    picture = file_sizes(title, sizes)
    axes = picture.figure.axes[0]
    for name, few in (active or {}).items():
        axes.plot([few, sizes[name]], [name, name], color=BASE, linewidth=2.5, alpha=0.35, zorder=1)
        axes.plot(few, name, "|", color=BASE, markersize=9, markeredgewidth=2.5)
    axes.set_xlim(right=max(axes.get_xlim()[1], *(3 * memory for memory in devices.values())))
    finding(axes, title, above=10 + 13 * len(devices))
    over = [(n, name) for name, n in sizes.items() if n > max(devices.values())]
    if over:
        style = dict(color=SOFT, markerfacecolor="white", markersize=8)
        axes.plot(*zip(*over, strict=True), "D", **style)
    picture.figure.set_figheight(picture.figure.get_figheight() + 0.18 * len(devices))
    in_order = sorted(devices.items(), key=lambda item: item[1])
    place = dict(xycoords=axes.get_xaxis_transform(), textcoords="offset points")
    stroke = dict(color=LINE, linestyle="--", linewidth=1)
    for i, (name, memory) in enumerate(in_order):
        # each label left of its own line, larger devices higher up: no line crosses a label
        axes.axvline(memory, zorder=0.5, **stroke)
        up = dict(arrowstyle="-", shrinkA=0, shrinkB=0, **stroke)
        axes.annotate("", (memory, 1), (0, 13 * (i + 1)), arrowprops=up, **place)
        style = dict(ha="right", fontsize=9, color=SOFT)
        axes.annotate(name, (memory, 1), (-3, 2 + 13 * i), **style, **place)
    lines = ", ".join(f"{name} ({readable_bytes(memory)})" for name, memory in in_order)
    few = ", ".join(f"{name} {readable_bytes(n)}" for name, n in (active or {}).items())
    at_work = f" At work on any one token: {few}." if few else ""
    return Picture(picture.figure, f"{picture.words} Lines at the memory of: {lines}.{at_work}")


def bit_bars(title: str, bits: dict[str, float]) -> Picture:
    """A bar for each mean number of bits of surprise; people are purple, the truth is ink."""
    axes = new_axes(width=6.4, height=1.0 + 0.4 * len(bits))
    colours = {"you": PEOPLE, "truth": INK, "floor": INK}
    for name, value in bits.items():
        bar = axes.barh(name, value, 0.7, color=colours.get(name, BASE))
        axes.bar_label(bar, [f"{value:.2f}"], padding=4, color=INK, weight="bold", fontsize=9)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.15 * max(bits.values()) or 1)
    finding(axes, title, "bits of surprise")
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)
    axes.set_xticks([])
    axes.tick_params(axis="y", labelcolor=INK)
    pairs = ", ".join(f"{name} {value:.2f} bits" for name, value in bits.items())
    return Picture(axes.figure, f"Bars, {title}: {pairs}.")


def loss_curve(
    title: str,
    tokens: Sequence[float],
    loss: Sequence[float],
    mean: Sequence[float],
    lines: dict[str, float],
    end: float = 0,
    resumed: float = 0,
) -> Picture:
    """A training run: the loss of each step, its mean, and lines that do not move; bits.

    The axis goes on to `end`, where the run will end, if that is further than its last step. A run
    that was stopped and went on at `resumed` has a mark there.
    """
    axes = new_axes(width=6.8, height=3.6)
    axes.plot(tokens, loss, color=BASE, linewidth=0.8, alpha=0.4)
    axes.plot(tokens, mean, color=BASE, linewidth=2.4)
    axes.set_ylim(0, 1.05 * max([*loss, *lines.values(), 0.1 if loss else 10]))
    axes.set_xlim(0, max([end, *tokens[-1:]]) or 1)
    found = f"{mean[-1]:.2f} bits per token after {tokens[-1]:,.0f} tokens" if mean else title
    finding(axes, found, "loss in bits per token; thin: each step, thick: their mean")
    # The curve comes down from the left and ends beside the floor: its name would hide that end.
    levels(axes, lines, left=[name for name in lines if "floor" in name])
    if mean:
        axes.plot(tokens[-1], mean[-1], "o", color=BASE, markersize=6)
    if resumed:
        axes.axvline(resumed, color=SOFT, linestyle=":", linewidth=1)
        place = dict(xycoords=axes.get_xaxis_transform(), textcoords="offset points")
        axes.annotate("resumed here", (resumed, 1), (4, -10), color=SOFT, fontsize=9, **place)
    axes.set_xlabel("tokens read", color=SOFT, fontsize=9, loc="right")
    axes.xaxis.set_major_formatter(lambda count, _: f"{count:,.0f}")
    if not tokens:  # an axis without a scale: nothing was read yet
        axes.set_xticks([])
    fell = "nothing has been read yet"
    if mean:
        fell = f"from {mean[0]:.2f} to {mean[-1]:.2f} bits a token"
    beside = ", ".join(f"{name} {bits:.2f}" for name, bits in lines.items())
    return Picture(
        axes.figure, f"Loss curve, {title}: {fell}" + (f"; lines: {beside}." * bool(beside) or ".")
    )
