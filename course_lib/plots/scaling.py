"""Pictures of what more text is worth: losses over tokens, fitted laws, runs of several seeds.

As everywhere in `plots`, numbers go in; out come a figure and the words that say what it shows.
"""

from collections.abc import Mapping, Sequence
from itertools import cycle
from statistics import mean

import numpy as np

from course_lib.plots.bottleneck import readable_tokens
from course_lib.plots.picture import INK, STYLES, Picture, finding, levels, new_axes
from course_lib.scaling.laws import Law

MOST_TOLD = 8  # numbers of a line, one by one


def seed_lines(
    title: str,
    unit: str,
    x_name: str,
    lines: Mapping[str, Mapping[float, Sequence[float]]],
    floor: float | None = None,
    log_x: bool = False,
    log_y: bool = False,
    percent: bool = False,
) -> Picture:
    """For each label the mean over seeds at each x, with a dot for every seed; `unit` is y's.

    The words tell the mean at each x, the first and last of more than `MOST_TOLD`, and at the last
    one how far the seeds lie apart.
    """
    axes = new_axes(width=6.8, height=3.5)
    told, ends = [], []
    for (label, at), (colour, marker, line) in zip(lines.items(), cycle(STYLES), strict=False):
        xs = sorted(at)
        means = [mean(at[x]) for x in xs]
        axes.plot(xs, means, color=colour, linestyle=line, linewidth=2)
        seeds = [(x, value) for x in xs for value in at[x]]
        axes.plot(*zip(*seeds, strict=True), marker, color=colour, markersize=4.5, alpha=0.75)
        ends.append((means[-1], xs[-1], label, colour))
        every = [f"{_shown(m, percent)} at {_number(x)}" for x, m in zip(xs, means, strict=True)]
        in_short = ", ".join(every) if len(xs) <= MOST_TOLD else f"from {every[0]} to {every[-1]}"
        least, most = (_shown(end(at[xs[-1]]), percent) for end in (min, max))
        apart = f" (seeds {least} to {most})" if least != most else ""
        told.append(f"{label} {in_short}{apart}".lstrip())
    if log_x:
        axes.set_xscale("log", base=2)
        axes.set_xticks(sorted({x for at in lines.values() for x in at}))
        axes.xaxis.set_major_formatter(lambda x, _: _number(x))
        axes.xaxis.set_minor_locator(_no_ticks())
    elif len(xs) <= 8:
        axes.set_xticks(xs)
    if log_y:
        axes.set_yscale("log")
    elif percent:
        axes.yaxis.set_major_locator(_whole_percents())
    axes.yaxis.set_major_formatter(lambda y, _: _shown(y, percent))
    if log_y:
        axes.yaxis.set_minor_formatter(_sparse)
    finding(axes, title, unit)
    if floor is not None:
        levels(axes, {"the floor": floor}, "{name} {value:.3g}")
        told.append(f"a line, the floor, at {floor:.3g}")
    _name_ends(axes, ends)
    axes.set_xlabel(x_name, loc="right", fontsize=9)
    return Picture(axes.figure, f"Lines, {title}, {unit}: {'; '.join(told)}.")


def scaling_curves(
    title: str,
    points: Mapping[float, Mapping[float, Sequence[float]]],
    law: Law,
    floor: float,
    above: bool = False,
) -> Picture:
    """Measured losses over tokens for each number of parameters, the fitted law, and the floor.

    `points` is parameters -> tokens -> losses of the seeds. With `above`, the floor is taken off.
    """
    axes = new_axes(width=7.2, height=4.0)
    off = floor if above else 0.0
    tokens = sorted({d for at in points.values() for d in at})
    smooth = np.geomspace(tokens[0], tokens[-1], 60)
    told, ends = [], []
    for (n, at), (colour, marker, line) in zip(sorted(points.items()), cycle(STYLES), strict=False):
        pairs = [(d, value - off) for d, values in sorted(at.items()) for value in values]
        axes.plot(*zip(*pairs, strict=True), marker, color=colour, markersize=4.5, alpha=0.75)
        expected = law.loss(n, smooth) - off
        axes.plot(smooth, np.where(expected > 0, expected, np.nan), color=colour, linestyle=line)
        least, most = (mean(at[d]) - off for d in (min(at), max(at)))
        told.append(f"{n:,.0f} parameters from {least:.3g} at {min(at):,.0f} tokens to ")
        told[-1] += f"{most:.3g} at {max(at):,.0f}"
        end = most if max(at) == tokens[-1] else max(float(expected[-1]), 1e-9)
        ends.append((end, tokens[-1], readable_tokens(n), colour))
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda y, _: f"{y:.2g}")
    axes.yaxis.set_minor_formatter(_sparse)
    axes.set_xticks(tokens, [_number(d) for d in tokens])
    axes.xaxis.set_minor_locator(_no_ticks())
    unit = "bits per byte above the floor" if above else "loss in bits per byte"
    finding(axes, title, f"{unit}; dots: runs, lines: the law, at their ends: parameters")
    axes.tick_params(which="minor", labelsize=8)
    if not above:
        axes.axhline(floor, color=INK, linewidth=2)
        place = dict(textcoords="offset points", color=INK, fontsize=9, weight="bold")
        axes.annotate(f"the floor {floor:.3f}", (tokens[0], floor), (0, 4), **place)
        told.append(f"a line, the floor, at {floor:.3f}")
    _name_ends(axes, ends)
    axes.set_xlabel("tokens read", loc="right", fontsize=9)
    return Picture(axes.figure, f"Dots and lines, {title}, {unit}: {'; '.join(told)}.")


def _name_ends(axes, ends: list[tuple[float, float, str, str]]) -> None:
    """Writes a name right of each line's end (y, x, name, colour), moved apart where they touch."""
    right = max(x for _, x, _, _ in ends)
    scale = axes.transScale.transform
    low, high = (scale((right, y))[1] for y in axes.get_ylim())
    gap = 11 / (0.7 * 72 * axes.figure.get_figheight())  # of a line of letters, in heights
    free = float("-inf")
    for y, _, name, colour in sorted(ends):
        at = (scale((right, y))[1] - low) / (high - low)
        free = max(at, free + gap)
        place = dict(xycoords=axes.get_xaxis_transform(), textcoords="offset points", va="center")
        style = dict(fontsize=9, weight="bold", color=colour, annotation_clip=False)
        axes.annotate(name, (right, free), (8, 0), **place, **style)


def _shown(value: float, percent: bool) -> str:
    return f"{value:.0%}" if percent else f"{value:.3g}"


def _sparse(y: float, _) -> str:
    """A label for two, three and five in each power of ten: all nine of them would touch."""
    return f"{y:.2g}" if f"{y:e}"[0] in "235" else ""


def _number(x: float) -> str:
    return f"{x:g}" if x < 1e4 else f"{x:,.0f}" if x < 1e6 else readable_tokens(x)


def _no_ticks():
    from matplotlib.ticker import NullLocator

    return NullLocator()


def _whole_percents():
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(steps=[1, 2, 5, 10])
