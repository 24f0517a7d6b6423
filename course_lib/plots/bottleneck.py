"""Pictures of data: how much there is, what more of it is worth, and when it is used up.

As everywhere in `plots`, numbers go in; out come a figure and the words that say what it shows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np

from course_lib.plots.picture import (
    BASE,
    FAINT,
    GONE,
    INK,
    PEOPLE,
    SFT,
    SOFT,
    STYLES,
    Picture,
    finding,
    new_axes,
)
from course_lib.scaling.forecast import START, Forecast, in_words, readable_year
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


def token_bars(title: str, unit: float, xlabel: str, tokens: Mapping[str, float]) -> Picture:
    """A horizontal bar for each name, labelled in `unit`; `xlabel` says what is counted."""
    axes = new_axes(width=6.8, height=0.9 + 0.32 * len(tokens))
    values = [number / unit for number in tokens.values()]
    bars = axes.barh(list(tokens), values, 0.7, color=BASE)
    axes.bar_label(bars, [f"{value:,.4g}" for value in values], padding=4, color=INK, fontsize=9)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.14 * max(values))
    finding(axes, title, xlabel)
    axes.grid(visible=False)
    axes.set_xticks([])
    axes.tick_params(axis="y", labelcolor=INK)
    told = ", ".join(f"{name} {number / unit:,.4g}" for name, number in tokens.items())
    return Picture(axes.figure, f"Bars, {title}, {xlabel}: {told}.")


@dataclass(frozen=True)
class Trend:
    """A line that grows by `growth` a year from `start` on, with the factors at its two edges."""

    name: str
    start: tuple[float, float]  # year, tokens
    growth: float
    edges: tuple[float, float]

    def at(self, year: float) -> tuple[float, float, float]:
        """(low, middle, high) tokens at a year."""
        low, high = self.edges
        began, tokens = self.start
        return tuple(tokens * factor ** (year - began) for factor in (low, self.growth, high))


def timeline(
    title: str,
    text: Sequence[tuple[float, str, float]],
    mixed: Sequence[tuple[float, str, float]] = (),
    trend: Trend | None = None,
    until: float = 0,
    lines: Mapping[str, float] | None = None,
) -> Picture:
    """A dot for the (year, name, tokens) of each model, ten times more a step up.

    `mixed` read pictures and sound too and are hollow squares. The band of `trend` is drawn from
    its start `until` a year, `lines` are levels.
    """
    axes = new_axes(width=7.4, height=4.2)
    kinds = (("text", text, "o", BASE, BASE), ("text, pictures, sound", mixed, "s", "white", SFT))
    told = []
    for kind, points, marker, face, edge in kinds:
        style = dict(marker=marker, markerfacecolor=face, markeredgecolor=edge, markeredgewidth=1.6)
        years, tokens = [p[0] for p in points], [p[2] for p in points]
        axes.semilogy(years, tokens, linestyle="none", markersize=6.5, zorder=3, **style)
        for year, name, count in points:
            _name(axes, name, year, count)
        if points:
            said = ", ".join(
                f"{name} ({int(year)}) {readable_tokens(n)}" for year, name, n in points
            )
            told.append(f"{kind}: {said}")
    years = [p[0] for p in (*text, *mixed)]
    last = max(years)
    if trend:
        last = max(last, until)
        span = np.linspace(trend.start[0], last, 30)
        low, middle, high = zip(*map(trend.at, span), strict=True)
        axes.fill_between(span, low, high, color=SOFT, alpha=0.15, linewidth=0)
        axes.plot(span, middle, color=SOFT, linestyle="--")
        place = dict(textcoords="offset points", color=SOFT, fontsize=9, ha="right", weight="bold")
        at = 2 * len(span) // 3
        axes.annotate(trend.name, (span[at], high[at]), (-4, 4), **place)
        ends = " to ".join(readable_tokens(tokens[-1]) for tokens in (low, high))
        told.append(f"{trend.name} at {readable_tokens(middle[-1])} in {int(last)} ({ends})")
    for name, level in (lines or {}).items():
        axes.axhline(level, color=INK, linewidth=1.6)
        place = dict(textcoords="offset points", color=INK, fontsize=9, weight="bold")
        axes.annotate(name, (min(years), level), (0, 4), **place)
        told.append(f"a line, {name}, at {readable_tokens(level)}")
    axes.set_xlim(min(years) - 0.4, last + 0.5)
    counts = [p[2] for p in (*text, *mixed)]
    axes.set_ylim(min(counts) / 2, 3 * max([*(lines or {}).values(), *counts]))
    axes.xaxis.set_major_locator(_whole_years())
    axes.yaxis.set_major_formatter(lambda count, _: readable_tokens(count))
    axes.yaxis.set_minor_locator(_no_ticks())
    squares = "; hollow squares: pictures and sound as well" if mixed else ""
    finding(axes, title, f"tokens read in training, ten times more a step{squares}")
    return Picture(axes.figure, f"Dots over the years, {title}: {'; '.join(told)}.")


# Names that would stand on another dot or on a line, and where they stand instead: (x, y) in
# points from the dot, and which end of the name is there.
_PLACES = {
    "Llama 1": (6, -11, "left"),
    "Llama 2": (6, -11, "left"),
    "Qwen2.5": (2, -14, "left"),
    "DeepSeek-V3": (6, -10, "left"),
    "Llama 4": (-7, 4, "right"),
    "Qwen3": (8, -3, "left"),
    "GLM-4.5": (0, -14, "center"),
    "MiMo-V2": (-4, -14, "center"),
    "GLM-5": (8, -11, "left"),
    "Kimi K2.5": (-5, 7, "right"),
    "DeepSeek-V4": (7, -10, "left"),
    "MiMo-V2.5": (-8, -2, "right"),
    "Inkling": (0, -15, "center"),
    "DeepSeek-V4.1": (-2, 9, "center"),
}


def _name(axes, name: str, year: float, count: float) -> None:
    x, y, side = _PLACES.get(name, (-6, 5, "right"))
    place = dict(textcoords="offset points", ha=side, fontsize=8.5, color=INK, zorder=4)
    axes.annotate(name, (year, count), (x, y), **place)


def tokens_per_parameter(
    title: str, laws: Mapping[str, Law], models: Mapping[str, tuple[float, float]]
) -> Picture:
    """The best tokens per parameter of each law over the budget; a dot for each model's (N, D)."""
    axes = new_axes(width=7.2, height=4.0)
    budgets = [6 * n * d for n, d in models.values()]
    flops = np.geomspace(min([1e19, *budgets]), max([1e26, *budgets]), 40)
    told = []
    for (name, law), (colour, _, line) in zip(laws.items(), cycle(STYLES), strict=False):
        n, d = law.optimal(flops)
        axes.loglog(flops, d / n, color=colour, linestyle=line)
        place = dict(textcoords="offset points", fontsize=9, weight="bold", color=colour)
        axes.annotate(name, (flops[-1], d[-1] / n[-1]), (5, -3), **place)
        told.append(f"{name} from {d[0] / n[0]:.0f} to {d[-1] / n[-1]:.0f}")
    for i, (name, (n, d)) in enumerate(models.items()):
        axes.plot(6 * n * d, d / n, "o", color=INK, markersize=5)
        place = dict(textcoords="offset points", fontsize=8.5, color=INK)
        axes.annotate(name, (6 * n * d, d / n), (6, -11 if i % 2 else 4), **place)
        told.append(f"{name} {d / n:,.0f}")
    axes.yaxis.set_major_formatter(lambda y, _: f"{y:,.0f}")
    axes.set_xlim(right=1000 * flops[-1])  # the names stand right of the lines
    finding(axes, title, "tokens per parameter; to the right: more operations in all, 6 N D")
    return Picture(
        axes.figure, f"Lines and dots, {title}, tokens per parameter: {'; '.join(told)}."
    )


def intervals(
    title: str,
    unit: str,
    rows: Mapping[str, tuple[float, float, float]],
    line: tuple[str, float] | None = None,
    digits: int = 0,
) -> Picture:
    """A dot with its interval for each name -> (low, middle, high); `line` is to compare with."""
    axes = new_axes(width=6.8, height=1.1 + 0.38 * len(rows))
    for y, (low, middle, high) in enumerate(rows.values()):
        axes.plot([low, high], [y, y], color=BASE, linewidth=3, alpha=0.45, solid_capstyle="butt")
        axes.plot(middle, y, "o", color=BASE)
        place = dict(textcoords="offset points", ha="center", fontsize=9, color=INK, weight="bold")
        axes.annotate(f"{middle:.{digits}f}", (middle, y), (0, 5), **place)
    axes.set_yticks(range(len(rows)), list(rows))
    axes.set_ylim(len(rows) - (0.1 if line else 0.4), -0.7)
    axes.margins(x=0.12)
    finding(axes, title, unit)
    axes.grid(visible=False, axis="y")
    axes.grid(axis="x", color=FAINT)
    axes.tick_params(axis="y", labelcolor=INK)
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    if digits < 2:  # years
        axes.xaxis.set_major_locator(_whole_years())
    if line:
        axes.axvline(line[1], color=INK, linewidth=1.6)
        place = dict(xycoords=axes.get_xaxis_transform(), textcoords="offset points", fontsize=9)
        axes.annotate(line[0], (line[1], 0), (4, 4), color=INK, weight="bold", **place)
    told = "; ".join(
        f"{name} {middle:.{digits}f}, from {low:.{digits}f} to {high:.{digits}f}"
        for name, (low, middle, high) in rows.items()
    )
    beside = f"; a line, {line[0]}, at {line[1]:.{digits}f}" if line else ""
    return Picture(axes.figure, f"Dots with intervals, {title}: {told}{beside}.")


def laid_over(title: str, found: Mapping[str, Forecast], today: float, until: float) -> Picture:
    """Several people's forecasts: a row of draws for each, and all of them together on top."""
    rows = {"all together": np.concatenate([one.dates for one in found.values()])}
    rows |= {name: one.dates for name, one in found.items()}
    axes = new_axes(width=6.8, height=1.1 + 0.42 * len(rows))
    edges, told = np.linspace(START, until, 60), []
    for y, (name, dates) in enumerate(rows.items()):
        counts, _ = np.histogram(dates, bins=edges)
        heights = 0.8 * counts / max(1, *counts)
        colour = INK if y == 0 else PEOPLE
        axes.stairs(y - heights, edges, baseline=y, fill=True, color=colour, alpha=0.45)
        dates = np.sort(dates)
        low, middle, high = (dates[int(share * len(dates))] for share in (0.05, 0.5, 0.95))
        if middle <= until:
            axes.plot(middle, y, "o", color=colour, markersize=5)
        style = dict(va="bottom", ha="right", fontsize=9, color=colour, weight="bold")
        axes.annotate(
            readable_year(middle), (until, y), (0, 2), textcoords="offset points", **style
        )
        told.append(f"{name} {readable_year(middle)}, nine in ten draws ")
        told[-1] += f"from {readable_year(low)} to {readable_year(high)}"
    axes.axvline(today, color=INK, linewidth=1.6)
    axes.set_yticks(range(len(rows)), list(rows))
    axes.set(xlim=(START, until), ylim=(len(rows) - 0.8, -1))
    axes.xaxis.set_major_locator(_whole_years())
    finding(axes, title, "when the draws run out; the dot is the middle one, the line is today")
    axes.grid(visible=False)
    axes.tick_params(axis="y", labelcolor=INK)
    return Picture(axes.figure, f"Rows of draws over the years, {title}: {'; '.join(told)}.")


def meeting(title: str, found: Forecast) -> Picture:
    """The training sets' band rising into the stock's, and below them where the draws meet."""
    axes = new_axes(width=7.0, height=4.0)
    high_up = int(np.searchsorted(found.demand[1], 8 * found.stock[2, -1]))
    both = {
        "the largest training set": (found.demand, BASE, min(high_up, len(found.years) - 1)),
        "the stock, as fresh tokens": (found.stock, INK, len(found.years) - 1),
    }
    for label, ((low, middle, high), colour, at) in both.items():
        axes.fill_between(found.years, low, high, alpha=0.15, color=colour, linewidth=0)
        axes.semilogy(found.years, middle, color=colour, linewidth=2.2)
        style = dict(color=colour, weight="bold", fontsize=9.5, ha="right")
        away = (-6, 4) if colour == BASE else (-4, -13)
        axes.annotate(
            label, (found.years[at], middle[at]), away, textcoords="offset points", **style
        )
    span = found.years[0], found.years[-1]
    inside = found.dates[found.dates <= span[1]]
    axes.yaxis.set_major_formatter(lambda count, _: readable_tokens(count))
    axes.set_xlim(*span)
    axes.set_ylim(found.demand[1, 0] / 30, 30 * found.stock[2, -1])
    met, _, draws = in_words(found).partition(" (")
    draws = draws.rstrip(")") or "the bands hold nine in ten draws"
    finding(axes, f"Training sets reach the stock {met}", f"tokens, ten times more a step; {draws}")
    if inside.size:
        below = axes.twinx()
        heights, _, _ = below.hist(inside, bins=48, range=span, color=GONE)
        below.set_ylim(0, 4.5 * max(heights))
        below.axis("off")
        at = float(np.quantile(inside, 0.93)), 0.5 * max(heights)
        below.annotate("where the draws meet", at, color=SOFT, fontsize=9)
    if found.median <= span[1]:
        axes.axvline(found.median, color=SOFT, linestyle=":")
    words = (
        f"the band of training sets rises, from {readable_tokens(found.demand[1, 0])}, the band of "
        f"the stock hardly does, from {readable_tokens(found.stock[1, 0])}; they meet "
        f"{in_words(found)}"
    )
    return Picture(axes.figure, f"Two bands over the years, {title}: {words}.")


def _whole_years():
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=8, integer=True)


def _no_ticks():
    from matplotlib.ticker import NullLocator

    return NullLocator()
