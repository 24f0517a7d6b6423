"""Pictures of the lessons on RLHF: rewards, curves of a run, gold against KL, over-optimisation."""

import math
from collections.abc import Callable, Sequence
from itertools import cycle

import numpy as np

from course_lib.plots.picture import BLUE, GREY, LEVELS, SKY, STYLES, Picture, new_axes

Points = Sequence[tuple[float, float]]


def small_curves(title: str, panels: dict[str, Sequence[Sequence[float]]]) -> Picture:
    """A small curve for each title, from (step, value, running mean); three in a row at most."""
    from matplotlib.figure import Figure

    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(2.8 * columns + 0.6, 0.3 + 1.9 * rows), layout="constrained")
    places = figure.subplots(rows, columns, squeeze=False).flat
    told = []
    for axes, (name, points) in zip(places, panels.items(), strict=False):
        axes.set_title(name, fontsize=9.5)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
        if not points:
            axes.set(xticks=[], yticks=[])
            axes.text(0.5, 0.5, "not measured yet", ha="center", color="#595959", fontsize=8.5)
            told.append(f"{name} not measured yet")
            continue
        step, value, mean = zip(*points, strict=True)
        axes.plot(step, value, color=SKY, linewidth=0.8)
        axes.plot(step, mean, color=BLUE, linewidth=2)
        axes.set_ylim(bottom=min(0, *value), top=max(1e-3, *value) * 1.05)
        told.append(f"{name} from {mean[0]:.2f} to {mean[-1]:.2f}")
    for axes in figure.axes[len(panels) :]:
        axes.set_axis_off()
    figure.supxlabel("step", fontsize=9)
    return Picture(figure, f"Small curves, {title}, running means: {'; '.join(told)}.")


def length_and_score(title: str, kinds: dict[str, Points]) -> Picture:
    """A dot for each answer, its words and its score, with a sign for each kind of answer."""
    axes = new_axes(width=6.4, height=3.4)
    told = []
    for (kind, points), (colour, marker, _) in zip(kinds.items(), cycle(STYLES), strict=False):
        words, scores = (np.array(column, dtype=float) for column in zip(*points, strict=True))
        jitter = np.linspace(-0.25, 0.25, len(words))  # answers of one length side by side
        axes.plot(words + jitter, scores, marker, color=colour, alpha=0.6, label=kind, markersize=5)
        told.append(f"{kind}: {words.mean():.1f} words, score {scores.mean():.2f} on average")
    axes.set(title=title, xlabel="words of the answer", ylabel="score of the reward model")
    axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1, 1))
    return Picture(axes.figure, f"Dots, {title}: {'; '.join(told)}.")


def accuracy_by_pairs(title: str, runs: Sequence[Points], lines: dict[str, float]) -> Picture:
    """Accuracy against the number of comparisons: a dot for each run, their means, and ceilings.

    All runs have equally many points: their first ones are averaged, then their second ones, ...
    """
    axes = new_axes(width=6.4, height=3.4)
    means = [np.mean(points, axis=0) for points in zip(*runs, strict=True)]
    numbers, shares = zip(*means, strict=True)
    for run in runs:
        axes.plot(*zip(*run, strict=True), "o", color=SKY, markersize=5)
    axes.plot(numbers, shares, color=BLUE, linewidth=2, label="mean of the seeds")
    for (name, share), (colour, dashes) in zip(lines.items(), cycle(LEVELS), strict=False):
        axes.axhline(share, label=f"{name} {share:.0%}", color=colour, linestyle=dashes)
    axes.set_xscale("log")
    labels = [f"{float(f'{n:.2g}'):,.0f}" for n in numbers]
    axes.set_xticks(numbers, labels)
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    axes.set(title=title, xlabel="comparisons, each step on the axis several times more")
    axes.legend(frameon=False, fontsize=9)
    told = ", ".join(f"{n} {share:.0%}" for n, share in zip(labels, shares, strict=True))
    beside = ", ".join(f"{name} {share:.0%}" for name, share in lines.items())
    return Picture(axes.figure, f"Dots and their mean, {title}: {told}; lines: {beside}.")


def gold_against_kl(title: str, start: Points, ends: dict[str, Points]) -> Picture:
    """A line for each run, from where the SFT model stood to where a method took it.

    `start` and each of `ends` hold a (KL, gold reward) for every seed, in the same order.
    """
    axes = new_axes(width=6.4, height=3.6)
    axes.plot(*zip(*start, strict=True), "o", color=GREY, label="SFT", markersize=7)
    told = [f"SFT {np.mean([gold for _, gold in start]):.2f} at KL 0"]
    for (name, points), (colour, marker, line) in zip(ends.items(), cycle(STYLES), strict=False):
        for (x0, y0), (x1, y1) in zip(start, points, strict=True):
            axes.plot([x0, x1], [y0, y1], color=colour, linestyle=line, linewidth=1)
        axes.plot(*zip(*points, strict=True), marker, color=colour, label=name, markersize=8)
        kl, gold = np.mean(points, axis=0)
        told.append(f"{name} {gold:.2f} at KL {kl:.2f}")
    axes.set(title=title, xlabel="KL to the SFT model, nats an answer", ylabel="gold reward")
    axes.set_xlim(left=-0.02)
    axes.legend(frameon=False)
    return Picture(axes.figure, f"Gold reward against KL, {title}, means: {', '.join(told)}.")


def learned_and_gold(
    title: str,
    learned: Points,
    gold: Points,
    fits: dict[str, Callable[[np.ndarray], np.ndarray]],
) -> Picture:
    """Learned and gold reward against the square root of the KL, with fitted curves on top."""
    axes = new_axes(width=6.8, height=3.8)
    told = []
    pairs = (("learned reward", learned), ("gold reward", gold))
    for (name, points), (colour, marker, line) in zip(pairs, STYLES, strict=False):
        d, value = (np.array(column, dtype=float) for column in zip(*points, strict=True))
        axes.plot(d, value, marker, color=colour, alpha=0.35, markersize=4, label=name)
        last = d > 0.75 * d.max()
        told.append(
            f"{name} {value[d < 0.25 * d.max()].mean():.2f}, later {value[last].mean():.2f}"
        )
        if name in fits:
            grid = np.linspace(max(d.min(), 0.02), d.max(), 200)
            axes.plot(grid, fits[name](grid), color=colour, linestyle=line, linewidth=2.5)
    axes.axhline(0, color="#999999", linewidth=0.8)
    axes.set(title=title, ylabel="reward", xlabel="square root of the KL to the SFT model")
    legend = axes.legend(frameon=False)
    for handle in legend.legend_handles:
        handle.set_alpha(1)
    words = f"Dots, {title}: at first and at last, on average, {'; '.join(told)}."
    return Picture(axes.figure, words + " Lines: the fitted form." * bool(fits))


def dial(title: str, positions: Sequence[float], series: dict[str, Sequence[Sequence[float]]]):
    """What a dial does: for each of its positions a dot a seed, and a line through their means."""
    axes = new_axes(width=6.4, height=3.4)
    x = np.arange(len(positions))
    told = []
    for (name, values), (colour, marker, line) in zip(series.items(), cycle(STYLES), strict=False):
        means = [np.mean(of_seeds) for of_seeds in values]
        axes.plot(x, means, color=colour, linestyle=line, linewidth=2, label=name)
        for place, of_seeds in zip(x, values, strict=True):
            axes.plot([place] * len(of_seeds), of_seeds, marker, color=colour, markersize=6)
        pairs = ", ".join(f"{p:g}: {m:.2f}" for p, m in zip(positions, means, strict=True))
        told.append(f"{name} {pairs}")
    axes.set_xticks(x, [f"{position:g}" for position in positions])
    axes.axhline(0, color="#999999", linewidth=0.8)
    axes.set(title=title, xlabel="price of a nat of KL", ylabel="reward")
    axes.legend(frameon=False)
    return Picture(axes.figure, f"Lines, {title}: {'; '.join(told)}.")


def root(kl: float) -> float:
    """The square root of a KL; an estimate from samples can be a little below 0."""
    return math.sqrt(max(kl, 0.0))
