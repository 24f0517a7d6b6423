"""The charts that most lessons use: bars, lines, dots, shades, and texts with marked tokens.

As everywhere in `plots`, numbers go in; out come a figure and the words that say what it shows.
"""

from collections.abc import Iterable, Sequence
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from course_lib.plots.picture import (
    BLUE,
    GREY,
    HATCHES,
    LEVELS,
    ORANGE,
    SKY,
    STYLES,
    Picture,
    bar_style,
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
    Bars, After 'hit a': six model 40 %, world 45 %; four model 20 %, world 20 %.
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
        f"{name} " + ", ".join(f"{label} {100 * p[i]:.0f} %" for label, p in series.items())
        for i, name in enumerate(names)
    ]
    return Picture(axes.figure, f"Bars, {title}: {'; '.join(groups)}.")


def file_sizes(title: str, sizes: dict[str, int]) -> Picture:
    """A dot for the bytes of each file, on an axis where a step is ten times more."""
    labels = [readable_bytes(size) for size in sizes.values()]
    axes = new_axes(width=6.4, height=0.9 + 0.27 * len(sizes))
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


def sampling_steps(title: str, names: Iterable[str], steps: dict[str, Iterable[float]]) -> Picture:
    """A panel of bars for each step on the way from logits to what is sampled from.

    A token that a step removes keeps the outline of what it had, so that you see the lost mass.
    """
    names, steps = list(names), {label: list(p) for label, p in steps.items()}
    size = dict(width=2.1 * len(steps) + 0.8, height=0.9 + 0.3 * len(names))
    panels = new_axes(**size, columns=len(steps))
    rows, told, before = np.arange(len(names)), [], None
    for axes, (label, p) in zip(panels, steps.items(), strict=True):
        lost = [b if before and not v else 0 for b, v in zip(before or p, p, strict=True)]
        axes.barh(rows, p, color=BLUE)
        if any(lost):
            axes.barh(rows, lost, facecolor="none", edgecolor=ORANGE, hatch="////", linewidth=1.2)
        for row, (value, gone) in enumerate(zip(p, lost, strict=True)):
            text = f"removed {gone:.0%}" if gone else f"{value:.0%}"
            text = text.replace("removed 0%", "removed")
            axes.text(max(value, gone) + 0.02, row, text, va="center", fontsize=9)
        axes.set(title=label, xlim=(0, 1.35 * max(map(max, steps.values()))))
        axes.set_xticks([])
        shares = ", ".join(f"{n} {100 * v:.0f} %" for n, v in zip(names, p, strict=True) if v)
        gone = ", ".join(n for n, v in zip(names, lost, strict=True) if v)
        told.append(f"{label}: {shares}" + (f", removed: {gone}" if gone else ""))
        before = p
    panels[0].set_yticks(rows, names)
    panels[0].invert_yaxis()  # the panels share it
    panels[0].figure.suptitle(title)
    return Picture(panels[0].figure, f"Bars, {title}: {'; '.join(told)}.")


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
        f"{row} {columns[j]} {100 * shades[i, j]:.0f} %"
        for i, (row, j) in enumerate(zip(rows, shades.argmax(axis=1), strict=True))
    )
    return Picture(axes.figure, f"Heat map, {title}: in each row the largest: {largest}.")


def surprises(title: str, pieces: Sequence[str], bits: Sequence[float]) -> Picture:
    """A text whose tokens are shaded by their surprise, with the bits of each below it."""
    figure = _token_boxes(title, pieces, [cost / 10 for cost in bits], [f"{b:.1f}" for b in bits])
    most = sorted(zip(bits, pieces, strict=True), key=lambda pair: -pair[0])[:3]
    named = ", ".join(f"{piece.strip() or 'new line'} {cost:.1f}" for cost, piece in most)
    return Picture(
        figure,
        f"Text, {title}: {len(pieces)} tokens, {sum(bits):.0f} bits in all; the most surprising: "
        f"{named}.",
    )


def loss_mask(title: str, pieces: Sequence[str], counted: Sequence[bool]) -> Picture:
    """A text whose tokens are shaded, and marked with a tick, where the loss counts them."""
    figure = _token_boxes(
        title, pieces, [0.5 * bool(c) for c in counted], ["✓" if c else "–" for c in counted]
    )
    told = "".join(piece for piece, c in zip(pieces, counted, strict=True) if c)
    return Picture(
        figure, f"Text, {title}: {sum(counted)} of {len(pieces)} tokens count: {told!r}."
    )


def _token_boxes(title: str, pieces, shades, notes) -> "Figure":
    """A box for each token, as dark as its shade from 0 to 1, a note below it; lines are broken."""
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    boxes, x, row = [], 0.0, 0  # in characters of a line of 76
    for piece, strength, note in zip(pieces, shades, notes, strict=True):
        shown = visible(piece)
        width = max(len(shown), 3) + 0.6
        if x + width > 76:
            x, row = 0.0, row + 1
        boxes.append((x, row, width, shown, min(strength, 1.0), note))
        x = 0.0 if piece.endswith("\n") else x + width
        row += piece.endswith("\n")
    n_rows = boxes[-1][1] + 1
    axes = new_axes(width=7.6, height=0.7 + 0.52 * n_rows)
    axes.set(xlim=(0, 76), ylim=(n_rows, 0), title=title)
    axes.axis("off")
    for x, row, width, shown, strength, note in boxes:
        box = dict(facecolor=colormaps["Blues"](0.75 * strength), edgecolor="#999999")
        axes.add_patch(Rectangle((x + 0.1, row + 0.08), width - 0.2, 0.5, linewidth=0.5, **box))
        dark = "white" if strength > 0.7 else "black"
        middle = dict(ha="center", va="center", family="DejaVu Sans Mono")
        axes.text(x + width / 2, row + 0.33, shown, color=dark, fontsize=9, **middle)
        axes.text(x + width / 2, row + 0.78, note, color="#444444", fontsize=7.5, **middle)
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


def sizes_and_devices(title: str, sizes: dict[str, int], devices: dict[str, float]) -> Picture:
    """`file_sizes` with a labelled vertical line at the memory of each device, in bytes."""
    picture = file_sizes(title, sizes)
    axes = picture.figure.axes[0]
    axes.set_xlim(right=max(axes.get_xlim()[1], *(3 * memory for memory in devices.values())))
    axes.set_title(title, pad=10 + 13 * len(devices))
    picture.figure.set_figheight(picture.figure.get_figheight() + 0.18 * len(devices))
    in_order = sorted(devices.items(), key=lambda item: item[1])
    place = dict(xycoords=axes.get_xaxis_transform(), textcoords="offset points")
    stroke = dict(color=GREY, linestyle="--", linewidth=0.8)
    for i, (name, memory) in enumerate(in_order):
        # each label left of its own line, larger devices higher up: no line crosses a label
        axes.axvline(memory, zorder=0.5, **stroke)
        up = dict(arrowstyle="-", shrinkA=0, shrinkB=0, **stroke)
        axes.annotate("", (memory, 1), (0, 13 * (i + 1)), arrowprops=up, **place)
        axes.annotate(name, (memory, 1), (-3, 2 + 13 * i), ha="right", fontsize=9, **place)
    lines = ", ".join(f"{name} ({readable_bytes(memory)})" for name, memory in in_order)
    return Picture(picture.figure, f"{picture.words} Lines at the memory of: {lines}.")


def bit_bars(title: str, bits: dict[str, float]) -> Picture:
    """A bar for each mean number of bits of surprise."""
    axes = new_axes(width=6.4, height=1.0 + 0.4 * len(bits))
    for i, (name, value) in enumerate(bits.items()):
        # three colours and four hatches: twelve bars before two look the same
        style = dict(color=STYLES[i % 3][0], hatch=HATCHES[i % 4], edgecolor="white")
        bar = axes.barh(name, value, 0.7, **style)
        axes.bar_label(bar, [f"{value:.2f}"], padding=3)
    axes.invert_yaxis()
    axes.set(title=title, xlabel="bits of surprise", xlim=(0, 1.15 * max(bits.values()) or 1))
    pairs = ", ".join(f"{name} {value:.2f} bits" for name, value in bits.items())
    return Picture(axes.figure, f"Bars, {title}: {pairs}.")


def loss_curve(
    title: str,
    tokens: Sequence[float],
    loss: Sequence[float],
    mean: Sequence[float],
    lines: dict[str, float],
) -> Picture:
    """A training run: the loss of each step, its running mean, and lines that do not move; bits."""
    axes = new_axes(width=6.8, height=3.4)
    axes.plot(tokens, loss, color=SKY, linewidth=0.7, label="each step")
    axes.plot(tokens, mean, color=BLUE, linewidth=2, label="running mean")
    axes.set(title=title, xlabel="tokens read", ylabel="loss, bits a token")
    axes.set_ylim(bottom=0)
    free = -np.inf  # names of lines that lie close together are moved apart
    from_below = sorted(lines.items(), key=lambda line: line[1])
    for (name, bits), (colour, dashes) in zip(from_below, cycle(LEVELS), strict=False):
        axes.axhline(bits, color=colour, linestyle=dashes)
        free = max(bits, free + 0.05 * max([*loss, *lines.values()]))
        where = dict(xycoords=axes.get_yaxis_transform(), textcoords="offset points")
        axes.annotate(f"{name} {bits:.2f}", (1, free), (4, 0), va="center", fontsize=9, **where)
    axes.xaxis.set_major_formatter(lambda count, _: f"{count:,.0f}")
    if not tokens:  # an axis without a scale: nothing was read yet
        axes.set_xticks([])
        axes.set_ylim(top=max([10, *lines.values()]))
    axes.legend(frameon=False, fontsize=8.5)
    fell = "nothing has been read yet"
    if mean:
        fell = f"from {mean[0]:.2f} to {mean[-1]:.2f} bits a token"
    beside = ", ".join(f"{name} {bits:.2f}" for name, bits in lines.items())
    return Picture(
        axes.figure, f"Loss curve, {title}: {fell}" + (f"; lines: {beside}." * bool(beside) or ".")
    )
