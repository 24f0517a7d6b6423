"""Pictures of the lessons on RLHF: rewards, curves of a run, gold against KL, over-optimisation."""

from collections.abc import Sequence
from itertools import cycle

import numpy as np

from course_lib.plots.picture import (
    BASE,
    INK,
    RLHF,
    SFT,
    SOFT,
    STYLES,
    VERMILION,
    Picture,
    finding,
    levels,
    new_axes,
)

Points = Sequence[tuple[float, float]]


def small_curves(
    title: str,
    panels: dict[str, Sequence[Sequence[float]]],
    lines: dict[str, dict[str, float]] | None = None,
    steps: int = 0,
) -> Picture:
    """A small curve for each title, from (step, value, mean); three in a row at most.

    `lines` are drawn across the curves, title -> name -> value; the axes go on to `steps`.
    """
    from matplotlib.figure import Figure

    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    wide = 2.8 if columns > 1 else 3.6
    figure = Figure(figsize=(wide * columns + 0.3, 0.2 + 2.0 * rows), layout="constrained")
    places = figure.subplots(rows, columns, squeeze=False).flat
    told = []
    for axes, (name, points) in zip(places, panels.items(), strict=False):
        now = f"  {points[-1][2]:.2f}" if points else ""
        finding(axes, f"{name}{now}", size=9)
        if not points:
            axes.set(xticks=[], yticks=[])
            axes.text(0.5, 0.5, "not measured yet", ha="center", color=SOFT, fontsize=9)
            told.append(f"{name} not measured yet")
            continue
        step, value, mean = zip(*points, strict=True)
        axes.plot(step, value, color=BASE, linewidth=0.8, alpha=0.4)
        axes.plot(step, mean, color=BASE, linewidth=2.2)
        beside = (lines or {}).get(name, {})
        every = [*value, *beside.values()]
        share = min(every) >= 0 and 0.4 < max(every) <= 1  # of a whole, which ends at one
        axes.set_ylim(min(0, *every), 1 if share else max(1e-3, *every) * 1.05)
        axes.set_xlim(0, max(steps, step[-1]))
        axes.locator_params(nbins=4)
        if share:
            axes.set_yticks([0, 0.5, 1])
        levels(axes, beside, "{name} {value:g}")
        told.append(f"{name} from {mean[0]:.2f} to {mean[-1]:.2f}")
    for axes in figure.axes[len(panels) :]:
        axes.set_axis_off()
    figure.supxlabel("step", fontsize=9, color=SOFT)
    return Picture(figure, f"Small curves, {title}, running means: {'; '.join(told)}.")


def crossing(
    title: str, curve: Sequence[tuple[float, float, float]], answers: Sequence[tuple[str, str, str]]
) -> Picture:
    """Learned and gold reward over a run, from (step, learned, gold), and what it wrote.

    `answers` are (prompt, at first, at last): they stand below the curves.
    """
    from matplotlib.figure import Figure

    lines = [(f"{p}", f"at first: {first}", f"at last: {last}") for p, first, last in answers]
    figure = Figure(figsize=(7.2, 2.9 + 0.55 * len(lines)), layout="constrained")
    axes, below = figure.subplots(2, 1, height_ratios=(2.6, 0.2 + 0.55 * len(lines)))
    steps, learned, gold = (np.array(column, float) for column in zip(*curve, strict=True))
    ends = (("learned reward", learned, BASE, (0, (5, 2))), ("gold reward", gold, INK, "-"))
    for name, values, colour, dashes in ends:
        axes.plot(steps, values, color=colour, linestyle=dashes, linewidth=2.4)
        style = dict(color=colour, fontsize=9.5, va="center", weight="bold")
        axes.annotate(name, (steps[-1], values[-1]), (6, 0), textcoords="offset points", **style)
    axes.set_xlim(steps[0], steps[-1] + 0.28 * (steps[-1] - steps[0]))
    finding(axes, title, "reward, after so many steps")
    below.set_axis_off()
    text = "\n".join("\n".join((head, f"    {a}", f"    {b}")) for head, a, b in lines)
    options = dict(va="top", parse_math=False, fontsize=8.5, linespacing=1.3, color=INK)
    below.text(0, 1, text, transform=below.transAxes, **options)
    told = "; ".join(f"{name} from {v[0]:.2f} to {v[-1]:.2f}" for name, v, _, _ in ends)
    said = " ".join(f"{p} {first} -> {last}" for p, first, last in answers)
    return Picture(figure, f"Two lines, {title}: {told}. {said}")


def best_of(
    title: str, tried: Sequence[int], series: dict[str, Sequence[float]], unit: str
) -> Picture:
    """A line for each reward over how many answers one may choose from; gold is ink."""
    axes = new_axes(width=6.6, height=3.4)
    x = np.log2(np.array(tried, float))
    told = []
    for (name, values), (_, marker, _) in zip(series.items(), cycle(STYLES), strict=False):
        is_true = name.startswith("gold")
        style = dict(color=INK if is_true else BASE, linestyle="-" if is_true else (0, (5, 2)))
        axes.plot(x, values, marker=marker, markersize=5, linewidth=2.2, **style)
        at = dict(textcoords="offset points", va="center", fontsize=9.5, weight="bold")
        axes.annotate(name, (x[-1], values[-1]), (8, 0), color=style["color"], **at)
        pairs = ", ".join(f"{n}: {v:.2f}" for n, v in zip(tried, values, strict=True))
        told.append(f"{name} {pairs}")
    axes.set_xlim(x[0] - 0.2, x[-1] + 0.32 * (x[-1] - x[0]))
    axes.set_xticks(x, [str(n) for n in tried])
    axes.set_xlabel("answers to choose from", fontsize=9, color=SOFT)
    finding(axes, title, unit)
    return Picture(axes.figure, f"Lines, {title}: {'; '.join(told)}.")


def frontier(title: str, runs: dict[str, Sequence[Points]]) -> Picture:
    """Gold reward against KL, a colour for each leash, a thin line for each seed's run.

    `runs` is the leash in words -> a list of (KL, gold) for every seed, the tightest leash last.
    """
    axes = new_axes(width=6.8, height=3.8)
    colours = (VERMILION, SFT, BASE, RLHF)
    told = []
    for (name, seeds), colour, (_, marker, _) in zip(runs.items(), colours, STYLES, strict=False):
        for points in seeds:
            axes.plot(*zip(*points, strict=True), color=colour, linewidth=0.8, alpha=0.35)
        every = [point for points in seeds for point in points]
        axes.plot(*zip(*every, strict=True), marker, color=colour, markersize=4, label=name)
        (_, first), (kl, gold) = (np.mean([points[i] for points in seeds], axis=0) for i in (0, -1))
        told.append(f"{name} from {first:.2f} to {gold:.2f} after {kl:.2f} nats")
    axes.legend(frameon=False, fontsize=9.5, title="the leash", alignment="left")
    axes.set_xlabel("KL to the SFT model, nats per answer", fontsize=9, color=SOFT)
    finding(axes, title, "gold reward")
    told += _where_both_have_been(runs)
    return Picture(axes.figure, f"Dots, {title}, means of the seeds: {'; '.join(told)}.")


def _where_both_have_been(runs: dict[str, Sequence[Points]]) -> list[str]:
    """The mean gold of the two tightest leashes at the distances that both have, in words."""
    names = list(runs)[-2:]
    moved = [np.array([p for points in runs[name] for p in points if p[0] > 0]).T for name in names]
    low, high = max(kl.min() for kl, _ in moved), min(kl.max() for kl, _ in moved)
    if len(names) < 2 or low > high:
        return []
    golds = [gold[(kl >= low) & (kl <= high)].mean() for kl, gold in moved]
    means = ", ".join(f"{name} {gold:.2f}" for name, gold in zip(names, golds, strict=True))
    return [f"at equal distance, {low:.2f} to {high:.2f} nats, {means}"]
