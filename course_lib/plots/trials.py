"""Several ways to train, each tried with several seeds: no mean is drawn without its runs."""

from collections.abc import Sequence

from course_lib.plots.picture import FAINT, INK, SFT, SOFT, Picture, finding, new_axes


def seed_dots(
    title: str, unit: str, panels: dict[str, dict[str, Sequence[float]]], yours: str = ""
) -> Picture:
    """A panel for each thing measured, a row in it for each way, a dot for each seed's share.

    >>> seed_dots("More is better", "right answers", {"facts": {"30": [0.2, 0.3], "300": [0.7]}})
    Dots, More is better: facts 30 20% to 30%, mean 25%; 300 70%.

    The row `yours` is the reader's own run: it has one ring, and no mean.
    """
    rows = list(next(iter(panels.values())))
    size = dict(width=2.6 + 2.1 * len(panels), height=1.0 + 0.36 * len(rows))
    found, told = new_axes(**size, columns=len(panels)), []
    found = [found] if len(panels) == 1 else list(found)
    for axes, (name, ways) in zip(found, panels.items(), strict=True):
        said = []
        for y, way in enumerate(rows):
            values = list(ways[way])
            mean = sum(values) / len(values)
            if way == yours:
                axes.plot(values, [y] * len(values), "o", color=SFT, mfc="white", ms=9, mew=2)
            else:
                axes.plot(values, [y] * len(values), "o", color=SFT, markersize=6, alpha=0.75)
                axes.plot([mean, mean], [y - 0.3, y + 0.3], color=SFT, linewidth=3)
            said.append(f"{way}{':' * (way == yours)} {_spread(values)}")
            style = dict(va="center", color=INK, fontsize=9, weight="bold")
            axes.annotate(f"{mean:.0%}", (1.06, y), annotation_clip=False, **style)
        finding(axes, "", unit if axes is found[0] else "")
        if len(panels) > 1:
            axes.set_title(name, loc="left", fontsize=10, color=SOFT, pad=22)
        axes.set_xlim(-0.03, 1.2)
        axes.set_xticks([0, 0.5, 1], ["0%", "50%", "100%"])
        axes.grid(axis="x", color=FAINT)
        axes.grid(visible=False, axis="y")
        axes.set_yticks(range(len(rows)), rows)
        axes.tick_params(axis="y", labelcolor=INK, labelsize=10)
        told.append((f"{name} " if len(panels) > 1 else "") + "; ".join(said))
    found[0].set_ylim(len(rows) - 0.4, -0.6)  # the first on top; the panels share it
    figure = found[0].figure
    figure.suptitle(title, x=0.01, ha="left", weight="bold", fontsize=11.5, color=INK)
    return Picture(figure, f"Dots, {title}: {'. '.join(told)}.")


def _spread(values: list[float]) -> str:
    """The seeds' range and mean in words; a single run as it is."""
    if len(values) == 1:
        return f"{values[0]:.0%}"
    mean = sum(values) / len(values)
    return f"{min(values):.0%} to {max(values):.0%}, mean {mean:.0%}"
