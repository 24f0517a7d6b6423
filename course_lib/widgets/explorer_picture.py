"""The explorer where no kernel runs: its sentence, its bars and the truth on them, as it looked."""

import logging
import textwrap

from course_lib import plots
from course_lib.widgets.explorer_view import DRAWN, TRUTH, WHOLE, View, whole
from course_lib.widgets.shell import drawable

INK, SOFT, FAINT, GONE = "#16181d", "#5c6470", "#e4e7ec", "#aab2bd"
COLOURS = {"base": "#0072b2", "sft": "#c67f00", "rlhf": "#00825f"}
HATCHES = {"base": "", "sft": "////", "rlhf": "...."}  # no bar is known by its colour alone
SCALES = (0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0)  # where the axis may end
BARS = 6  # the page scrolls, a picture doesn't
WIDTH = 7.2  # inches
LETTERS = 56  # of the sentence, in a line
LEAST = 0.0005  # a smaller share is neither drawn nor told


def picture(view: View) -> plots.Picture:
    """The first bars, the truth as a mark on them, and the steps if they are shown."""
    # on the first import on a machine, matplotlib says on stderr that it looks for fonts
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    from matplotlib.figure import Figure

    bars = [i for i, (_, kind) in enumerate(view.series) if kind != TRUTH]
    rows = _rows(view)
    row = 0.4 if len(bars) == 1 else 0.14 + 0.19 * len(bars)
    lines = textwrap.wrap(_plain(view.title), LETTERS)[-4:]
    steps = 1.7 if view.state.steps else 0
    height = 0.3 * len(lines) + 0.5 + row * (len(rows) + 1) + steps
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    figure.suptitle(
        "\n".join(lines), x=0.01, ha="left", color=INK, fontsize=15, fontweight="medium"
    )
    if steps:
        above, below = figure.subfigures(2, 1, height_ratios=[height - steps, steps])
        _draw_steps(below, view)
    else:
        above = figure
    _draw_bars(above.subplots(), view, rows, bars)
    return plots.Picture(figure, view.words)


def _rows(view: View) -> list[int]:
    """The first bars, without those of which there is nothing to see."""
    seen = [max(*p, lost) >= LEAST for p, lost in zip(view.shares, view.removed, strict=True)]
    return [row for row in range(len(seen)) if seen[row]][:BARS] or [0]


def _draw_bars(axes, view: View, rows: list[int], bars: list[int]) -> None:
    names, shares = [view.names[row] for row in rows], [view.shares[row] for row in rows]
    removed = [view.removed[row] for row in rows]
    rest = [max(0.0, 1 - sum(column)) for column in zip(*shares, strict=True)]
    largest = max(max(p) for p in [*shares, removed])  # all others together may be more
    end = next(scale for scale in SCALES if largest <= scale + 1e-6)
    size = 0.66 / len(bars)
    for row, p in enumerate([*shares, rest]):
        lost = removed[row] if row < len(removed) else 0
        for place, i in enumerate(bars):
            at = row + (place - (len(bars) - 1) / 2) * (size + 0.06)
            look = _look(view, i)
            if row == len(shares):
                look = look | dict(facecolor=GONE, edgecolor="white")
            axes.barh(at, p[i], size, **look)
            if lost and place == 0:
                gone = dict(facecolor="none", edgecolor=GONE, hatch="////", linewidth=1)
                axes.barh(at, lost, size, **gone)
            told = "cut" if lost and place == 0 else _percent(p[i])
            font = dict(fontsize=11 if len(bars) == 1 else 8.5, fontweight="bold", color=INK)
            right = dict(transform=axes.get_yaxis_transform(), va="center_baseline", ha="right")
            axes.text(1.09, at, told, **font, **right)
        for i, (_, kind) in enumerate(view.series):
            if kind == TRUTH and p[i] >= LEAST:
                axes.vlines(p[i], row - 0.44, row + 0.44, color="white", linewidth=5, zorder=3)
                axes.vlines(p[i], row - 0.44, row + 0.44, color=INK, linewidth=2.4, zorder=4)
    axes.set(xlim=(0, end), ylim=(len(shares) + 0.55, -0.55))
    axes.set_yticks(range(len(shares) + 1), [*map(_plain, names), "all others"])
    for label in axes.get_yticklabels()[:-1]:
        label.set(family="monospace", fontsize=11, color=INK)
    axes.get_yticklabels()[-1].set(fontsize=10, color=SOFT)
    axes.set_xticks([0, end / 2, end], ["0", f"{50 * end:g}%", f"{100 * end:g}%"])
    axes.tick_params(length=0, colors=SOFT, labelsize=8.5)
    axes.tick_params(axis="y", labelcolor=INK, labelsize=11)
    axes.spines[:].set_visible(False)
    axes.grid(axis="x", color=FAINT)
    axes.set_axisbelow(True)
    _draw_key(axes, view)


def _draw_key(axes, view: View) -> None:
    """Which bar is whose; a model alone needs no key."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    if len(view.series) == 1:
        return
    marks = [
        Line2D([], [], color=INK, linewidth=2.4, marker="|", markersize=10, linestyle="none")
        if kind == TRUTH
        else Patch(**_look(view, i))
        for i, (_, kind) in enumerate(view.series)
    ]
    axes.legend(
        marks,
        [_plain(name) for name, _ in view.series],
        **dict(frameon=False, loc="lower left", bbox_to_anchor=(-0.01, 1), borderaxespad=0),
        **dict(ncols=len(marks), fontsize=9.5, labelcolor=SOFT, handlelength=1.4),
    )


def _look(view: View, i: int) -> dict:
    """How the bars of series number `i` look: a model's by its stage, or else by its place."""
    name, kind = view.series[i]
    if kind == WHOLE:
        return dict(facecolor="none", edgecolor=SOFT, linewidth=1.2)
    places = list(COLOURS)
    stage = name.lower() if name.lower() in COLOURS else places[i % len(places)]
    if kind == DRAWN:
        return dict(facecolor="none", edgecolor=SOFT, hatch="||||", linewidth=0.8)
    return dict(facecolor=COLOURS[stage], edgecolor="white", hatch=HATCHES[stage], linewidth=0)


def _stage_of_first(view: View) -> str:
    name = view.series[0][0].lower()
    return name if name in COLOURS else "base"


def _draw_steps(figure, view: View) -> None:
    """From scores to what is drawn from: the same tokens, small, in four columns."""
    scores = view.logits[:BARS]
    low = min(scores) - 1
    kept = [t - r for t, r in zip(view.tempered, view.removed, strict=True)][:BARS]
    columns = {
        "scores": [score - low for score in scores],
        f"÷ temperature {view.state.temperature:g}": view.tempered[:BARS],
        "cut": kept,
        "back to 100%": [p[0] for p in view.shares][:BARS],
    }
    stage = COLOURS[_stage_of_first(view)]
    top = max(max(column) for column in list(columns.values())[1:])
    for i, (axes, (title, column)) in enumerate(
        zip(figure.subplots(1, len(columns)), columns.items(), strict=True)
    ):
        axes.bar(range(len(column)), column, color=stage)
        if title == "cut":
            gone = dict(facecolor="none", edgecolor=GONE, hatch="////", linewidth=1)
            axes.bar(range(len(column)), view.removed[: len(column)], bottom=column, **gone)
        axes.set_title(title, loc="left", fontsize=9.5, fontweight="bold", color=INK)
        axes.set(xticks=[], yticks=[], ylim=(0, (max(column) if i == 0 else top) * 1.05 or 1))
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.spines["bottom"].set_color(GONE)


def _percent(share: float) -> str:
    """0.4512 is "45%"; small shares keep a digit more, and nothing is said of nothing."""
    if share < LEAST:
        return ""
    return f"{whole(share)}%" if share >= 0.0995 else f"{100 * share:.1f}%"


def _plain(text: str) -> str:
    """`text` as matplotlib draws it letter by letter: between dollars it would see a formula."""
    return drawable(text).replace("$", r"\$")
