"""The pictures of lesson 03: one weight and its loss, runs over several seeds, shares in panels."""

from collections.abc import Collection, Mapping, Sequence
from statistics import mean

from course_lib.plots.picture import BASE, INK, SOFT, Picture, finding, new_axes

Runs = Mapping[float, Sequence[float]]  # x -> a value for each seed
FEW = 12  # points of a line that has a dot at each, and of a panel whose words tell them all
TURN = 0.05  # of a line's height: what is less isn't worth a word


def one_weight(
    title: str, values: Sequence[float], losses: Sequence[float], here: float, slope: float
) -> Picture:
    """The loss for each value of a single weight, and its slope where the weight is now.

    >>> one_weight("Downhill is to the right", [0, 1, 2], [5.0, 4.0, 3.5], here=1, slope=-0.75)
    Line, Downhill is to the right: from 5 at 0 to 3.5 at 2; at the weight, 1, 4 with slope -0.75.
    """
    axes = new_axes(width=6.4, height=3.0)
    axes.plot(values, losses, color=BASE, linewidth=2.4)
    at = min(range(len(values)), key=lambda i: abs(values[i] - here))
    reach = 0.22 * (max(values) - min(values))
    ends = [here - reach, here + reach]
    tangent = [losses[at] + slope * (x - here) for x in ends]
    axes.plot(ends, tangent, color=INK, linestyle=(0, (4, 2)), linewidth=1.4)
    axes.plot(here, losses[at], "o", color=INK, markersize=7)
    place = dict(textcoords="offset points", color=INK, fontsize=9)
    axes.annotate("the weight is here", (here, losses[at]), (-8, -16), ha="right", **place)
    axes.annotate("its slope", (ends[0], tangent[0]), (-4, 4), ha="right", **place)
    finding(axes, title, "loss on one row of text, bits per token")
    axes.set_xlabel("value of the weight", color=SOFT, fontsize=9, loc="right")
    told = _turning([(f"{x:.3g}", f"{y:.4g}", y) for x, y in zip(values, losses, strict=True)])
    weight = f"at the weight, {here:.3g}, {losses[at]:.4g} with slope {slope:.3g}"
    return Picture(axes.figure, f"Line, {title}: {told}; {weight}.")


def share_panels(title: str, panels: Mapping[str, Mapping[str, float]]) -> Picture:
    """A bar for each share, a panel with its own names for each of `panels`."""
    columns = new_axes(width=7.2, height=1.0 + 0.3 * max(map(len, panels.values())), columns=1)
    figure, told = columns.figure, []
    columns.remove()
    for axes, (name, shares) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        axes.barh(list(shares), list(shares.values()), 0.7, color=BASE)
        for row, share in enumerate(shares.values()):
            axes.text(share + 0.02, row, _share(share), va="center", fontsize=9, color=INK)
        axes.set_ylim(max(map(len, panels.values())) - 0.4, -0.6)
        axes.set_xlim(0, 1.15 * max(max(each.values()) for each in panels.values()))
        axes.set_xticks([])
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0, labelsize=9, labelcolor=INK)
        axes.set_title(name, loc="left", fontsize=9.5, color=SOFT)
        told.append(f"{name}: " + ", ".join(f"{k} {_share(s)}" for k, s in shares.items()))
    figure.suptitle(title, x=0.01, ha="left", weight="bold", fontsize=11.5, color=INK)
    return Picture(figure, f"Bars, {title}: {'; '.join(told)}.")


def _share(share: float) -> str:
    """A share in percent, small ones to two digits: 33%, 4.5%."""
    return f"{100 * share:.0f}%" if share >= 0.1 else f"{100 * share:.2g}%"


def run_lines(
    title: str,
    unit: str,
    xlabel: str,
    panels: Mapping[str, Mapping[str, Runs]],
    *,
    soft: Collection[str] = (),
    lines: Mapping[str, float] | None = None,
    log: str = "",
) -> Picture:
    """Lines over the same axis, each named at its end: the seeds thin, their mean on top.

    A panel for each of `panels`; what is in `soft` is there to compare with, and drawn so. `lines`
    never move. The words tell each line's ends and where it turns; each of its points in a panel
    with few. `log` names the axes, "x", "y" or "xy", on which a step is a factor.

    >>> run_lines("It falls", "bits", "steps", {"": {"loss": {1: [9, 8], 250: [2, 2.2]}}})
    Lines, It falls: loss from 8.5 at 1 to 2.1 at 250.
    """
    columns = new_axes(width=5.2 + 1.2 * len(panels), height=3.4, columns=len(panels))
    columns = [columns] if len(panels) == 1 else list(columns)
    told = []
    for axes, (panel, runs) in zip(columns, panels.items(), strict=True):
        few = sum(map(len, runs.values())) <= FEW
        said = [_draw(axes, name, run, name in soft, few) for name, run in runs.items()]
        for axis in log:
            getattr(axes, f"set_{axis}scale")("log")
        finding(axes, "", unit if axes is columns[0] else "")
        if panel:
            axes.set_title(panel, loc="left", fontsize=10, color=SOFT, pad=22)
        axes.set_xlabel(xlabel, color=SOFT, fontsize=9, loc="right")
        for axis, name in ((axes.xaxis, "x"), (axes.yaxis, "y")):
            axis.set_major_formatter(lambda value, _: _number(value))
            if name in log:
                axis.set_minor_formatter(lambda value, _: "")
        told.append((f"{panel}: " if panel else "") + "; ".join(said))
    figure = columns[0].figure
    if "y" not in log:
        columns[0].set_ylim(bottom=0)  # the panels share it
    for axes, runs in zip(columns, panels.values(), strict=True):
        for name, value in (lines or {}).items():
            axes.axhline(value, color=INK, linewidth=2)
            # on the left, where a run has not come down to it yet
            place = dict(xycoords=axes.get_yaxis_transform(), textcoords="offset points")
            text = f"{name} {value:.2f}"
            axes.annotate(text, (0, value), (3, -11), color=INK, fontsize=9, weight="bold", **place)
        _ends(axes, runs)
    figure.suptitle(title, x=0.01, ha="left", weight="bold", fontsize=11.5, color=INK)
    beside = "".join(f"; a line, {name}, at {value:.3g}" for name, value in (lines or {}).items())
    return Picture(figure, f"Lines, {title}: {'. '.join(told)}{beside}.")


def _draw(axes, name: str, run: Runs, soft: bool, every: bool) -> str:
    """One line with its seeds; the words for it, with `every` point or those that matter."""
    xs = sorted(run)
    means = [mean(run[x]) for x in xs]
    style = dict(color=SOFT, linestyle=(0, (4, 2))) if soft else dict(color=BASE)
    for seed in range(len(run[xs[0]])):
        axes.plot(xs, [run[x][seed] for x in xs], linewidth=0.8, alpha=0.5, **style)
    dots = dict(marker="o", markersize=4) if len(xs) <= FEW else {}
    axes.plot(xs, means, linewidth=2.2, **dots, **style)
    points = [(_number(x), _number(value), value) for x, value in zip(xs, means, strict=True)]
    return f"{name} {_turning(points, every)}"


def _turning(points: Sequence[tuple[str, str, float]], every: bool = False) -> str:
    """The words for a line of points (x and y as written, y): its ends, and where it turns.

    That is its highest or lowest point, if it lies clearly beyond both ends: by `TURN` of its
    height. With `every`, all points in their order.
    """
    ys = [y for *_, y in points]
    top, bottom, clear = max(ys), min(ys), TURN * (max(ys) - min(ys))
    between = dict.fromkeys(range(1, len(ys) - 1), "") if every else {}
    if not every and top - max(ys[0], ys[-1]) > clear:
        between[ys.index(top)] = "up to "
    if not every and min(ys[0], ys[-1]) - bottom > clear:
        between[ys.index(bottom)] = "down to "
    told = [f", {how}{points[i][1]} at {points[i][0]}" for i, how in sorted(between.items())]
    (first, begun, _), (last, ended, _) = points[0], points[-1]
    return f"from {begun} at {first}{''.join(told)}{',' * bool(told)} to {ended} at {last}"


def _ends(axes, runs: Mapping[str, Runs]) -> None:
    """The lines' names to their right, moved apart where two ends are close."""
    ends = {name: mean(run[max(run)]) for name, run in runs.items()}
    axes.figure.canvas.draw()
    points = {name: axes.transData.transform((1, value))[1] for name, value in ends.items()}
    free = float("-inf")
    for name in sorted(ends, key=ends.get):
        free = max(points[name], free + 13 * axes.figure.dpi / 72)
        right = max(runs[name])
        place = dict(xytext=(7, (free - points[name]) * 72 / axes.figure.dpi), va="center")
        axes.annotate(
            name, (right, ends[name]), textcoords="offset points", color=INK, fontsize=9,
            annotation_clip=False, **place,
        )  # fmt: skip


def _number(value: float) -> str:
    """A number as short as it may be: 0.25, 250, 12,000."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
