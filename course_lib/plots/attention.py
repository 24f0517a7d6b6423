"""Pictures of attention: all heads at a glance, and whether looking matters.

As everywhere in `plots`, numbers go in; out come a figure and the words that say what it shows.
"""

from collections.abc import Sequence

import numpy as np

from course_lib.plots.picture import BASE, INK, LINE, SOFT, Picture, finding, new_axes


def head_wall(
    title: str, pieces: Sequence[str], maps: Sequence, row: int = -1, column: int = -1
) -> Picture:
    """The attention maps (L, H, T, T) of all heads, small: a row of maps for each layer.

    Above each map stands how much of its attention the position `row` gives to `column`. Maps in
    which that is the half or more have a frame.
    """
    from matplotlib.figure import Figure

    shades = np.asarray(maps, dtype=np.float32)
    layers, heads = shades.shape[:2]
    figure = Figure(figsize=(1.55 * heads + 0.9, 1.65 * layers + 0.6), layout="constrained")
    told = _draw_wall(figure, pieces, shades, row % len(pieces), column % len(pieces))
    figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=11.5, fontweight="bold")
    return Picture(figure, f"{layers * heads} small attention maps. {title}. {told}")


def heads_and_bars(
    title: str,
    pieces: Sequence[str],
    maps: Sequence,
    column: int,
    off: Sequence[tuple[int, int]],
    bars: dict[str, dict[str, tuple[float, float]]],
) -> Picture:
    """A `head_wall` of what the last position looks at, with heads in `off` switched off.

    Beside it stand bars: for each text, each word's share now and with all heads on.
    """
    from matplotlib.figure import Figure

    shades = np.asarray(maps, dtype=np.float32)
    layers, heads = shades.shape[:2]
    height = 1.25 * layers + 0.5
    figure = Figure(figsize=(1.2 * heads + 4.4, height), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1.2 * heads + 0.8, 3.6])
    told = _draw_wall(left, pieces, shades, len(pieces) - 1, column, off)
    words = []
    for axes, (name, shares) in zip(right.subplots(len(bars), 1), bars.items(), strict=True):
        for at, (now, before) in enumerate(shares.values()):
            axes.barh(at, now, 0.62, color=BASE)
            if off:  # where it was
                axes.vlines(before, at - 0.42, at + 0.42, color=SOFT, linewidth=2)
            axes.text(
                max(now, before if off else 0) + 0.02, at, f"{now:.0%}", va="center", color=INK
            )
        axes.set(xlim=(0, 1.12), ylim=(len(shares) - 0.4, -0.6), xticks=[])
        axes.set_yticks(range(len(shares)), shares, color=INK)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_title(name, loc="left", color=INK, fontsize=10, fontweight="bold")
        each = (f"{w} {p:.0%}" + (f", was {q:.0%}" if off else "") for w, (p, q) in shares.items())
        words.append(f"{name}: {'; '.join(each)}.")
    figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=11.5, fontweight="bold")
    wall = f"{layers * heads} small attention maps. {title}. {told}"
    return Picture(figure, " ".join([wall, *words]))


def _draw_wall(figure, pieces, shades, row: int, column: int, off=()) -> str:
    """The maps in a grid on `figure`; the words for what stands above them."""
    layers, heads = shades.shape[:2]
    gone = [tuple(head) for head in off]
    for (layer, head), axes in np.ndenumerate(figure.subplots(layers, heads, squeeze=False)):
        share, is_off = shades[layer, head, row, column], (layer, head) in gone
        axes.imshow(shades[layer, head], cmap="Blues", vmin=0, vmax=1, alpha=0.12 if is_off else 1)
        axes.set_xticks([])
        axes.set_yticks([row], [pieces[row]] if head == 0 else [""], fontsize=8, color=SOFT)
        axes.tick_params(length=2 if head == 0 else 0, color=LINE)
        looks = share >= 0.5 and not is_off
        weight = "bold" if looks else "normal"
        above = f"{layer}.{head}   " + ("off" if is_off else f"{share:.0%}")
        axes.set_title(above, fontsize=9.5, color=INK, fontweight=weight, pad=3)
        axes.spines[:].set(visible=True, color=BASE if looks else LINE, linewidth=2 if looks else 1)
    told = "; ".join(
        f"layer {layer}: "
        + ", ".join(
            f"head {h} {'off' if (layer, h) in gone else f'{shades[layer, h, row, column]:.0%}'}"
            for h in range(heads)
        )
        for layer in range(layers)
    )
    return f"From {pieces[row]} to {pieces[column]}: {told}."


def looks_and_matters(
    title: str, looks: dict[str, float], matters: dict[str, float], unit: str, to: str
) -> Picture:
    """A dot for each head: its share of attention for `to` across, what its loss costs upwards."""
    axes = new_axes(width=6.4, height=3.8)
    x, y = [looks[name] for name in matters], list(matters.values())
    axes.axhline(0, color=LINE, linewidth=1)
    axes.plot(x, y, "o", color=BASE, markersize=7)
    near = 0.06 * (max(y) - min(y))
    for name, across, up in zip(matters, x, y, strict=True):
        if across >= 0.3 or up > 3 * near:  # the crowd at zero needs no names
            place = dict(textcoords="offset points", fontsize=9, color=INK)
            axes.annotate(name, (across, up), (7, -3), **place)
    finding(axes, title, unit)
    axes.set_xlim(-0.02, 1.08)
    axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    shared = f"how much of its attention the head gives to {to}"
    axes.set_xlabel(shared, color=SOFT, fontsize=9)
    pairs = [
        f"{name} looks {looks[name]:.0%}, costs {round(cost, 1) + 0:.1f}"  # + 0: no -0.0
        for name, cost in matters.items()
    ]
    return Picture(axes.figure, f"Dots, {title}. Across: {shared}. Up: {unit}. {'; '.join(pairs)}.")
