"""Pictures of damaged models: the loss and the facts that are still right, always side by side.

As everywhere in `plots`, numbers go in; out come a figure and the words that say what it shows.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from course_lib.plots.picture import BASE, GONE, INK, LINE, SOFT, Picture, finding, new_axes

FACTS = 200  # questions that are asked of every copy
LOSS, RIGHT = "loss, bits per byte", f"facts right, of {FACTS} questions"


# (an amount on the axis, bits per byte, facts right): what is left of a damaged model
Left = tuple[float, float, float]


def loss_and_facts(
    title: str,
    xlabel: str,
    seeds: Sequence[Sequence[Left]],
    floor: float,
    *,
    answers: Mapping[float, str] | None = None,
    names: Mapping[float, str] | None = None,
    yours: Left | None = None,
) -> Picture:
    """The loss above, the facts right below, over the same axis: a thin line for each seed.

    With several seeds a thick line is their mean. `answers` are what the model said there, written
    below the dots. `names` stand at the axis in place of numbers. `yours` is the reader's own dot.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.8, 4.5), layout="constrained")
    panels = figure.subplots(2, 1, sharex=True)
    mean = np.mean([[tuple(point) for point in line] for line in seeds], axis=0)
    for axes, column in zip(panels, (1, 2), strict=True):
        for line in seeds if len(seeds) > 1 else ():
            points = np.array(line)
            axes.plot(points[:, 0], points[:, column], color=BASE, linewidth=0.8, alpha=0.45)
        axes.plot(mean[:, 0], mean[:, column], "o-", color=BASE, linewidth=2.2, markersize=5)
        if yours is not None:
            style = dict(color=INK, markersize=12, markerfacecolor="white", markeredgewidth=1.8)
            axes.plot(yours[0], yours[column], "*", zorder=5, **style)
            place = dict(textcoords="offset points", fontsize=9, weight="bold", color=INK)
            axes.annotate("yours", (yours[0], yours[column]), (8, 6), **place)
    top, bottom = panels
    # on such an axis a small loss of quality can be seen beside a ruin
    top.set_yscale("log", base=2)
    top.set_ylim(0.8 * floor, 1.3 * max(mean[:, 1]))
    top.set_yticks([0.5, 1, 2, 4])
    top.yaxis.set_major_formatter("{x:g}")
    top.axhline(floor, color=INK, linewidth=2)
    place = dict(xycoords=top.get_yaxis_transform(), textcoords="offset points", va="bottom")
    text = dict(ha="right", color=INK, fontsize=9, weight="bold")
    top.annotate(f"floor {floor:.2f}", (1, floor), (0, -13), **place, **text)
    # room under the line for what the model said
    bottom.set_ylim(-30 if answers else 0, 1.1 * FACTS)
    bottom.set_yticks([0, 50, 100, 150, 200])
    if names:
        bottom.set_xticks(list(names), list(names.values()))
    finding(top, title, f"{LOSS}; each line is twice as much")
    finding(bottom, "", RIGHT)
    for x, said in (answers or {}).items():
        bottom.axvline(x, color=LINE, linewidth=0.8, zorder=0)
        style = dict(textcoords="offset points", ha="center", va="center", style="italic")
        text = bottom.annotate(said, (x, -20), (0, 0), fontsize=9, color=INK, **style)
        text.set_parse_math(False)  # whatever it says
        text.set_bbox(dict(facecolor="white", edgecolor="none", pad=0.5))
    bottom.set_xlabel(xlabel, color=SOFT, fontsize=9)
    told = "; ".join(
        f"{(names or {}).get(x, f'{x:g}')}: {bits:.2f} bits per byte, {facts:.0f} facts"
        + (f", it says {answers[x]}" if answers and x in answers else "")
        for x, bits, facts in mean
    )
    drawn = f"{len(seeds)} seeds and their mean" if len(seeds) > 1 else "one line"
    # in a form in which stored and fresh outputs are compared without the numbers
    mine = f" Loss, yours: {yours[1]:.2f}; facts, yours: {yours[2]:.0f}." if yours else ""
    return Picture(
        figure,
        f"Two charts, {title}: loss and facts right out of {FACTS} over {xlabel}, {drawn}. "
        f"{told}. Floor {floor:.2f}.{mine}",
    )


def losses_beside_facts(
    title: str, rows: Mapping[str, Left], lines: Mapping[str, float]
) -> Picture:
    """For each copy a bar for its loss and one for its facts, in one colour; `lines` in bits."""
    left, right = new_axes(width=7.2, height=1.5 + 0.36 * len(rows), columns=2)
    for axes, column, form in ((left, 1, "{:.2f}"), (right, 2, "{:.0f}")):
        values = [row[column] for row in rows.values()]
        bars = axes.barh(list(rows), values, 0.62, color=BASE)
        labels = [form.format(value) for value in values]
        axes.bar_label(bars, labels, padding=4, color=INK, weight="bold", fontsize=9)
        axes.set_xlim(0, 1.18 * max(*values, *(lines.values() if column == 1 else [FACTS])))
        finding(axes, "", LOSS if column == 1 else RIGHT)
    left.figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=11.5, fontweight="bold")
    for name, value in lines.items():
        ink = "floor" in name
        left.axvline(
            value, color=INK if ink else SOFT, linewidth=1.6, linestyle="-" if ink else ":"
        )
        place = dict(xycoords=left.get_xaxis_transform(), textcoords="offset points", va="top")
        left.annotate(name, (value, 0), (3, -3), fontsize=8.5, color=INK if ink else SOFT, **place)
    for axes in (left, right):
        axes.grid(visible=False)
        axes.spines["bottom"].set_visible(False)
        axes.set_xticks([])
        axes.tick_params(axis="y", labelcolor=INK)
    left.invert_yaxis()  # the panels share it
    told = "; ".join(
        f"{name}: {row[1]:.2f} bits per byte, {row[2]:.0f} facts" for name, row in rows.items()
    )
    beside = ", ".join(f"{name} {value:.2f}" for name, value in lines.items())
    words = f"Bars, {title}: loss and facts right out of {FACTS}. {told}. Lines: {beside}."
    return Picture(left.figure, words)


def facts_bars(title: str, rows: Mapping[str, int]) -> Picture:
    """A bar for how many of the questions each program answers right."""
    axes = new_axes(width=6.8, height=0.9 + 0.36 * len(rows))
    axes.barh(
        list(rows), [FACTS] * len(rows), 0.62, facecolor="none", edgecolor=GONE, linewidth=0.8
    )
    bars = axes.barh(list(rows), list(rows.values()), 0.62, color=BASE)
    axes.bar_label(bars, padding=4, color=INK, weight="bold", fontsize=9)
    axes.invert_yaxis()
    finding(axes, title, RIGHT)
    axes.set_xlim(0, 1.08 * FACTS)
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)
    axes.set_xticks([])
    axes.tick_params(axis="y", labelcolor=INK)
    told = "; ".join(f"{name} {count}" for name, count in rows.items())
    return Picture(axes.figure, f"Bars, {title}: of {FACTS} questions right: {told}.")


def four_histograms(title: str, families: Mapping[str, np.ndarray]) -> Picture:
    """How often each value occurs, a panel with its own axis for each family."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.4, 2.5), layout="constrained")
    told = []
    for axes, (name, numbers) in zip(
        figure.subplots(1, len(families)), families.items(), strict=True
    ):
        low, high = np.quantile(numbers, [0.005, 0.995])
        axes.hist(numbers, bins=60, range=(low, high), color=BASE)
        finding(axes, "", f"{name}: {numbers.size:,}")
        axes.grid(visible=False)
        axes.set_yticks([])
        axes.axvline(0, color=INK, linewidth=1)
        axes.set_xlim(min(low, -0.05 * (high - low)), high)
        size = np.sqrt(np.mean(np.square(numbers, dtype=np.float64)))
        told.append(
            f"{name}, {numbers.size:,} numbers of size {size:.2f}, from {low:.2f} to {high:.2f}"
        )
    figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=11.5, fontweight="bold")
    return Picture(figure, f"{len(families)} histograms, {title}: {'; '.join(told)}.")
