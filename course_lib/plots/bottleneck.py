"""Pictures of data: how much there is, what more of it is worth, and when it is used up.

As everywhere in `plots`, numbers go in; out come a figure and the words that say what it shows.
"""

from collections.abc import Mapping, Sequence
from itertools import cycle
from statistics import mean

import numpy as np

from course_lib.plots.picture import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    STYLES,
    Picture,
    bar_style,
    new_axes,
)
from course_lib.scaling.forecast import Forecast, in_words
from course_lib.scaling.laws import Law


def readable_tokens(count: float) -> str:
    """A number of tokens in words short enough for a label.

    >>> readable_tokens(1.21e12)
    '1.21 trillion'
    """
    for size, unit in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if count >= size:
            value = count / size
            return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"
    return f"{count:,.0f}"


def token_bars(title: str, unit: float, xlabel: str, **series: Mapping[str, float]) -> Picture:
    """A horizontal bar for each name, one for each series beside each other; labels in `unit`."""
    names = list(next(iter(series.values())))
    height = 0.8 / len(series)
    axes = new_axes(width=6.8, height=1.0 + 0.26 * len(names) * (1 + 0.4 * (len(series) - 1)))
    for i, (label, numbers) in enumerate(series.items()):
        y = np.arange(len(names)) + (i + 0.5) * height - 0.4
        values = [numbers[name] / unit for name in names]
        bars = axes.barh(y, values, height * 0.92, label=label.replace("_", " "), **bar_style(i))
        axes.bar_label(bars, [f"{value:,.4g}" for value in values], padding=3, fontsize=9)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    most = max(max(numbers.values()) for numbers in series.values()) / unit
    axes.set(title=title, xlabel=xlabel, xlim=(0, 1.14 * most))
    if len(series) > 1:
        axes.legend(frameon=False, loc="lower right")
    told = "; ".join(
        f"{label.replace('_', ' ')}: "
        + ", ".join(f"{name} {number / unit:,.4g}" for name, number in numbers.items())
        for label, numbers in series.items()
    )
    return Picture(axes.figure, f"Bars, {title}, {xlabel}: {told}.")


def timeline(
    title: str, points: Sequence[tuple[float, str, float]], line: tuple[str, float] | None = None
) -> Picture:
    """A dot for (year, name, tokens) of each model on a logarithmic axis; `line` is a level."""
    axes = new_axes(width=7.4, height=3.9)
    years, tokens = [p[0] for p in points], [p[2] for p in points]
    axes.semilogy(years, tokens, "o", color=BLUE)
    for number, (year, name, count) in enumerate(points):
        up = number % 2 == 0
        axes.annotate(
            name,
            (year, count),
            (-3 if up else 5, 7 if up else -12),
            textcoords="offset points",
            ha="right" if up else "left",
            fontsize=8.5,
        )
    if line:
        axes.axhline(line[1], color=ORANGE, linestyle="--")
        axes.annotate(
            line[0], (min(years), line[1]), (0, 4), textcoords="offset points", fontsize=9
        )
        axes.set_ylim(top=3 * line[1])
    axes.set_xlim(min(years) - 0.8, max(years) + 1)
    axes.yaxis.set_major_formatter(lambda count, _: readable_tokens(count))
    axes.set(title=title, xlabel="year", ylabel="tokens, each step ten times more")
    told = ", ".join(f"{name} ({year:.0f}) {readable_tokens(n)}" for year, name, n in points)
    beside = f"; a dashed line at {line[0]}" if line else ""
    return Picture(axes.figure, f"Dots over the years, {title}: {told}{beside}.")


def seed_lines(
    title: str,
    xlabel: str,
    ylabel: str,
    lines: Mapping[str, Mapping[float, Sequence[float]]],
    levels: Mapping[str, float] | None = None,
    log_x: bool = False,
    log_y: bool = False,
) -> Picture:
    """For each label the mean over seeds at each x, with a band from the lowest to the highest.

    `levels` are lines that do not move, such as the floor.
    """
    axes = new_axes(width=6.8, height=3.7)
    told = []
    for (label, at), (colour, marker, line) in zip(lines.items(), cycle(STYLES), strict=False):
        xs = sorted(at)
        means = [mean(at[x]) for x in xs]
        style = dict(color=colour, marker=marker, linestyle=line, markersize=4.5)
        axes.plot(xs, means, label=label, **style)
        lows, highs = [min(at[x]) for x in xs], [max(at[x]) for x in xs]
        axes.fill_between(xs, lows, highs, color=colour, alpha=0.18, linewidth=0)
        told.append(f"{label} from {means[0]:.3g} at {_number(xs[0])} to {means[-1]:.3g}")
        told[-1] += f" at {_number(xs[-1])}"
    for name, level in (levels or {}).items():
        axes.axhline(level, color=GREY, linewidth=1, linestyle=(0, (6, 3)))
        place = dict(xycoords=axes.get_yaxis_transform(), textcoords="offset points")
        axes.annotate(f"{name} {level:.3g}", (1, level), (-2, 3), ha="right", fontsize=9, **place)
        told.append(f"a line, {name}, at {level:.3g}")
    if log_x:
        axes.set_xscale("log", base=2)
        axes.set_xticks(sorted({x for at in lines.values() for x in at}))
        axes.xaxis.set_major_formatter(lambda x, _: _number(x))
        axes.xaxis.set_minor_locator(_no_ticks())
    elif len(xs) <= 8:
        axes.set_xticks(xs)
    if log_y:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda y, _: f"{y:.2g}")
        axes.yaxis.set_minor_formatter(lambda y, _: f"{y:.2g}")
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
    axes.legend(frameon=False, fontsize=8.5)
    return Picture(axes.figure, f"Lines, {title}: {'; '.join(told)}.")


def scaling_curves(
    title: str,
    points: Mapping[float, Mapping[float, Sequence[float]]],
    law: Law,
    floor: float,
) -> Picture:
    """Measured losses over tokens for each number of parameters, the fitted law, and the floor.

    `points` is parameters -> tokens -> losses of the seeds.
    """
    axes = new_axes(width=7.0, height=4.2)
    tokens = sorted({d for at in points.values() for d in at})
    smooth = np.geomspace(tokens[0], tokens[-1], 60)
    told = []
    for (n, at), (colour, marker, line) in zip(sorted(points.items()), cycle(STYLES), strict=False):
        pairs = [(d, value) for d, values in sorted(at.items()) for value in values]
        axes.plot(*zip(*pairs, strict=True), marker, color=colour, markersize=5, alpha=0.8)
        label = f"{readable_tokens(n)} parameters"
        axes.plot(smooth, law.loss(n, smooth), color=colour, linestyle=line, label=label)
        least, most = mean(at[min(at)]), mean(at[max(at)])
        told.append(f"{label} from {least:.3g} to {most:.3g}")
    axes.axhline(floor, color=GREY, linestyle=(0, (6, 3)), label=f"the world's entropy {floor:.3f}")
    axes.axhline(law.E, color="black", linewidth=1, label=f"E of the fit {law.E:.3f}")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda y, _: f"{y:.2g}")
    axes.yaxis.set_minor_formatter(lambda y, _: f"{y:.2g}")
    axes.set_xticks(tokens, [readable_tokens(d) for d in tokens])
    axes.xaxis.set_minor_locator(_no_ticks())
    axes.set(title=title, xlabel="tokens read", ylabel="loss, bits a byte")
    axes.legend(frameon=False, fontsize=8.5)
    words = (
        f"{'; '.join(told)} bits a byte, between {readable_tokens(tokens[0])} and "
        f"{readable_tokens(tokens[-1])} tokens; the fitted law runs through the points; lines at E "
        f"of the fit, {law.E:.3f}, and the world's entropy, {floor:.3f}"
    )
    return Picture(axes.figure, f"Dots and lines, {title}: {words}.")


def tokens_per_parameter(
    title: str, laws: Mapping[str, Law], models: Mapping[str, tuple[float, float]]
) -> Picture:
    """The best tokens a parameter of each law over the budget; a dot for each (N, D) of a model."""
    axes = new_axes(width=7.2, height=4.2)
    budgets = [6 * n * d for n, d in models.values()]
    flops = np.geomspace(min([1e19, *budgets]), max([1e26, *budgets]), 40)
    told = []
    for (name, law), (colour, _, line) in zip(laws.items(), cycle(STYLES), strict=False):
        n, d = law.optimal(flops)
        axes.loglog(flops, d / n, color=colour, linestyle=line, label=name)
        told.append(f"{name} from {d[0] / n[0]:.0f} to {d[-1] / n[-1]:.0f}")
    for i, (name, (n, d)) in enumerate(models.items()):
        axes.plot(6 * n * d, d / n, "o", color="black", markersize=4.5)
        place = dict(textcoords="offset points", fontsize=8.5)
        axes.annotate(name, (6 * n * d, d / n), (5, -10 if i % 2 else 4), **place)
        told.append(f"{name} {d / n:,.0f}")
    axes.yaxis.set_major_formatter(lambda y, _: f"{y:,.0f}")
    axes.set(title=title, xlabel="operations 6 N D", ylabel="tokens a parameter")
    axes.set_xlim(right=30 * flops[-1])  # the labels stand right of their dots
    if laws:
        axes.legend(frameon=False, fontsize=8.5, loc="upper left")
    return Picture(axes.figure, f"Lines and dots, {title}, tokens a parameter: {'; '.join(told)}.")


def intervals(
    title: str,
    xlabel: str,
    rows: Mapping[str, tuple[float, float, float]],
    line: tuple[str, float] | None = None,
    digits: int = 0,
) -> Picture:
    """A dot with its interval for each name -> (low, middle, high); `line` is to compare with."""
    axes = new_axes(width=6.8, height=1.2 + 0.42 * len(rows))
    for y, (low, middle, high) in enumerate(rows.values()):
        axes.plot([low, high], [y, y], color=BLUE, linewidth=3, alpha=0.45, solid_capstyle="butt")
        axes.plot(middle, y, "o", color=BLUE)
        place = dict(textcoords="offset points", va="center", fontsize=9)
        axes.annotate(f"{middle:.{digits}f}", (high, y), (6, 0), **place)
    if line:
        axes.axvline(line[1], color=ORANGE, linestyle="--")
        place = dict(xycoords=axes.get_xaxis_transform(), textcoords="offset points", fontsize=9)
        axes.annotate(line[0], (line[1], 1), (4, -2), color="#8a5d00", **place)
    axes.set_yticks(range(len(rows)), list(rows))
    axes.set_ylim(len(rows) - 0.5, -0.8)
    axes.margins(x=0.12)
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    axes.set(title=title, xlabel=xlabel)
    told = "; ".join(
        f"{name} {middle:.{digits}f}, from {low:.{digits}f} to {high:.{digits}f}"
        for name, (low, middle, high) in rows.items()
    )
    beside = f"; a dashed line, {line[0]}, at {line[1]:.{digits}f}" if line else ""
    return Picture(axes.figure, f"Dots with intervals, {title}: {told}{beside}.")


def meeting(title: str, found: Forecast) -> Picture:
    """The training sets' band rising into the stock's, and below them where the draws meet."""
    axes = new_axes(width=7.0, height=4.0)
    both = {"the largest training set": found.demand, "the stock, as fresh tokens": found.stock}
    for i, (label, (low, middle, high)) in enumerate(both.items()):
        colour, _, line = STYLES[i]
        axes.fill_between(found.years, low, high, alpha=0.2, hatch=("", "..")[i], color=colour)
        axes.semilogy(found.years, middle, linestyle=line, label=label, color=colour)
    span = found.years[0], found.years[-1]
    inside = found.dates[found.dates <= span[1]]
    axes.yaxis.set_major_formatter(lambda count, _: readable_tokens(count))
    axes.set(title=title, xlabel="year", ylabel="tokens, each step ten times more", xlim=span)
    axes.set_ylim(found.demand[1, 0] / 30, 30 * found.stock[2, -1])
    axes.legend(frameon=False, loc="upper left")
    if inside.size:
        below = axes.twinx()
        heights, _, _ = below.hist(inside, bins=48, range=span, color=GREEN, alpha=0.75)
        below.set_ylim(0, 4.5 * max(heights))
        below.axis("off")
        at = float(np.quantile(inside, 0.93)), 0.5 * max(heights)
        below.annotate("where the draws meet", at, color="#00664a", fontsize=9)
    if found.median <= span[1]:
        axes.axvline(found.median, color=GREEN, linestyle=":")
    words = (
        f"the band of training sets rises, from {readable_tokens(found.demand[1, 0])}, the band of "
        f"the stock hardly does, from {readable_tokens(found.stock[1, 0])}; they meet "
        f"{in_words(found)}"
    )
    return Picture(axes.figure, f"Two bands over the years, {title}: {words}.")


def _number(x: float) -> str:
    return f"{x:g}" if x < 1e5 else readable_tokens(x)


def _no_ticks():
    from matplotlib.ticker import NullLocator

    return NullLocator()
