"""Bars of what may come next: a model's shares, the truth as a mark in ink, and all others.

Whatever tokens a picture shows, the last bar is what all the others have together. So no share can
leave the picture unseen.
"""

from collections.abc import Collection, Mapping, Sequence
from math import ceil

import numpy as np

from course_lib.plots.charts import token_boxes
from course_lib.plots.picture import BASE, FAINT, GONE, INK, SOFT, Picture, finding, new_axes

OTHERS = "all others"
Shares = Mapping[str, float]


def percent(share: float) -> str:
    """A share as it is read: 45%, <1%, 0%."""
    return "<1%" if 0 < share < 0.005 else f"{share:.0%}"


def with_others(shares: Shares) -> dict[str, float]:
    """The shares, and behind them what is left of 1."""
    left = 1 - sum(shares.values())
    left = 0.0 if abs(left) < 1e-5 else left  # rounding is no token
    if left < 0 or min(shares.values()) < 0:
        raise ValueError(f"shares from 0 to 1 are expected, with a sum of at most 1: {shares}")
    return dict(shares) | {OTHERS: left}


def next_tokens(
    title: str,
    panels: Mapping[str, Shares],
    truth: Mapping[str, Shares] | None = None,
    gone: Mapping[str, Collection[str]] | None = None,
) -> Picture:
    """A panel of bars for each of `panels`, three in a row; `truth` has the panels that have one.

    What a panel's `gone` names was cut off before: its bar is an outline, of what it had.

    >>> next_tokens("Six leads", {"model": {"␣six": 0.44, "␣four": 0.2}})
    Bars, Six leads: model: ␣six 44%, ␣four 20%, all others 36%.
    """
    from matplotlib.figure import Figure

    truth, gone = truth or {}, gone or {}
    shown = {label: with_others(shares) for label, shares in panels.items()}
    marks = {label: with_others(shares) for label, shares in truth.items()}
    columns = min(3, len(shown))
    rows, names = ceil(len(shown) / columns), [list(shares) for shares in shown.values()]
    alike = all(each == names[0] for each in names)
    size = (6.4 if columns < 3 else 7.6, 0.5 + rows * (0.5 + 0.24 * max(map(len, names))))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, squeeze=False).ravel()
    largest = max(max(shares.values()) for shares in [*shown.values(), *marks.values()])
    for axes in grid[len(shown) :]:
        axes.set_axis_off()
    for i, (label, shares) in enumerate(shown.items()):
        _bars(grid[i], shares, marks.get(label, {}), gone.get(label, ()), largest)
        if len(shown) > 1:
            grid[i].set_title(label, loc="left", fontsize=9.5, color=SOFT)
        if alike and i % columns:
            grid[i].set_yticklabels([])
    _headline(figure, title, bool(marks))
    told = [_told(label, s, marks.get(label), gone.get(label, ())) for label, s in shown.items()]
    words = title.replace("\n", "; ")
    return Picture(figure, f"Bars, {words}: {'; '.join(told)}.")


def _bars(axes, shares: Shares, marks: Shares, gone: Collection[str], largest: float) -> None:
    places = np.arange(len(shares))
    for place, (name, share) in zip(places, shares.items(), strict=True):
        if name in gone:
            axes.barh(place, share, 0.7, facecolor="none", edgecolor=GONE, hatch="////")
        else:
            axes.barh(place, share, 0.7, color=GONE if name == OTHERS else BASE)
        end = max(share, marks.get(name, 0)) + 0.02 * largest
        text = f"{percent(share)} cut" if name in gone else percent(share)
        axes.text(end, place, text, va="center", fontsize=9, color=INK)
        if name in marks:
            ends = (place - 0.48, place + 0.48)
            axes.plot([marks[name]] * 2, ends, color=INK, linewidth=2.6, solid_capstyle="butt")
    axes.set_yticks(places, list(shares), color=INK, fontsize=9)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.3 * largest)
    axes.set_xticks([])
    axes.axvline(0, color=FAINT)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def _headline(figure, title: str, marked: bool) -> None:
    """The title, and below it how to read the bars where there is a truth beside them."""
    text = f"{title}\n" if marked else title
    figure.suptitle(text, x=0.01, ha="left", weight="bold", fontsize=11.5, color=INK)
    if marked:
        place = dict(xycoords="figure fraction", textcoords="offset points", color=SOFT)
        below = (0, -15 - 18 * text.count("\n"))
        figure.axes[0].annotate("bars: the model; ink: the truth", (0.012, 1), below, **place)


def _told(label: str, shares: Shares, marks: Shares | None, gone: Collection[str]) -> str:
    def one(name: str, share: float) -> str:
        text = f"{name} {percent(share)}"
        if name in gone:
            return f"{text} cut"
        return text if marks is None else f"{text} (truth {percent(marks.get(name, 0))})"

    return f"{label}: " + ", ".join(one(name, share) for name, share in shares.items())


def calibration(
    title: str, said: Sequence[float], came: Sequence[float], counts: Sequence[int]
) -> Picture:
    """A dot for each group of predictions: how likely they were said to be, how often they came."""
    axes = new_axes(width=4.6, height=4.2)
    axes.plot([0, 1], [0, 1], color=INK, linewidth=1.4)
    beside = dict(ha="left", va="top", fontsize=9, color=INK)
    axes.text(0.53, 0.47, "on this line it says 60%,\nand 60% come", **beside)
    axes.plot(said, came, "o", color=BASE, markersize=7, clip_on=False)
    finding(axes, title)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda share, _: f"{share:.0%}")
    axes.set_xlabel("what the model gave the token", color=SOFT, fontsize=9)
    axes.set_ylabel("how often it came", color=SOFT, fontsize=9)
    pairs = zip(said, came, counts, strict=True)
    told = ", ".join(f"{percent(s)} came {percent(c)} of {n:,} times" for s, c, n in pairs)
    return Picture(axes.figure, f"Dots, {title}: {told}.")


def surprises(
    title: str, pieces: Sequence[str], model: Sequence[float], world: Sequence[float]
) -> Picture:
    """A text shaded by the model's surprise; below each token the model's bits, then the world's.

    What costs neither of them a twentieth of a bit has no number.
    """
    notes = [
        f"{m:.1f}\n{abs(w):.1f}" if max(m, w) >= 0.05 else ""
        for m, w in zip(model, world, strict=True)
    ]
    unit = "bits of surprise: above the model's, below the world's"
    figure = token_boxes(title, pieces, [bits / 10 for bits in model], notes, 1.25, unit)
    named = ", ".join(
        f"{piece.strip() or 'new line'} {m:.1f} and {abs(w):.1f}"
        for m, w, piece in zip(model, world, pieces, strict=True)
        if m >= 1
    )
    text = " ".join("".join(pieces).split())
    return Picture(
        figure,
        f"Text, {title}: “{text}”; {len(pieces)} tokens; bits of the model {sum(model):.1f} in "
        f"all, of the world {sum(world):.1f}; of a bit or more: {named or 'none'}.",
    )
