"""When do we run out of text? Six assumptions to turn, and the date that follows, with its band.

A forecast is what its assumptions say: whoever turns the dials sees which of them carry the date.
The defaults are the published inputs; one's own are kept, and stand beside them the next time. Each
that is kept has a name, and is a line of text as well: so a class can lay its forecasts over each
other, on one machine or from many.
"""

import html
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import ipywidgets
import numpy as np

from course_lib.check.guesses import beside, guess, kept_guess
from course_lib.plots import Picture
from course_lib.plots.bottleneck import laid_over, meeting, readable_tokens
from course_lib.scaling.forecast import (
    PUBLISHED_INPUTS,
    Assumptions,
    Forecast,
    as_line,
    forecast,
    from_line,
    in_words,
    readable_year,
    shifts,
)
from course_lib.widgets.shell import Pictured, look

UNTIL = 2040
TOKENS = 3e12, 3e16  # the ends of the vertical axis, unless the stock lies higher
BINS, HIGHEST = 48, 24  # of the histogram below the bands: its bars, and the tallest one in percent
# names of what is kept with the guesses
KEPT_YEAR, KEPT_LINES = "06 run-out year, mine and published", "run-out forecasts"
TODAY = 2026.9  # the state of this course
MOST_NAME, MOST_KEPT = 24, 40  # letters of a name, forecasts in a picture


@dataclass(frozen=True)
class Dial:
    """An assumption as a slider: its name in `Assumptions`, a label, its settings, their words."""

    name: str
    label: str
    settings: tuple[float, ...]
    words: Callable[[float], str]


def _percent(share: float) -> str:
    return f"{share:.0%}"


def _times(factor: float) -> str:
    return "once" if factor == 1 else f"{factor:g} times"


def _overtraining(factor: float) -> str:
    return "none" if factor == 1 else f"{factor:g} times"


DIALS = (
    Dial(
        "stock",
        "Text on the web",
        tuple(1e12 * t for t in (50, 100, 130, 200, 300, 510, 800, 1300, 2100, 3100, 5000)),
        readable_tokens,
    ),
    Dial("usable", "Usable after filtering", (0.05, *(i / 10 for i in range(1, 11))), _percent),
    Dial("epochs", "Read how often", (1, 1.5, 2, 2.5, 3, 3.4, 4, 5, 6, 8, 12, 16, 30), _times),
    Dial("growth", "Training sets grow a year", tuple(i / 10 for i in range(11, 41)), _times),
    Dial("stock_growth", "Web grows a year", tuple(i / 100 for i in range(0, 21)), _percent),
    Dial("overtraining", "Over-training", (1, 2, 3, 5, 10, 20, 50, 100), _overtraining),
)


def date_in_words(assumptions: Assumptions, found: Forecast) -> str:
    """The date with its band, in words, and what the stock is worth."""
    stock = readable_tokens(assumptions.effective_stock)
    return (
        f"Training sets reach the stock {in_words(found)}. "
        f"The text is worth {stock} fresh tokens. "
        f"{100 * found.share_before(2030):.0f} in 100 draws run out before 2030, "
        f"{100 * found.share_before(UNTIL):.0f} before {UNTIL}."
    )


def chart(found: Forecast) -> str:
    """HTML: both bands on a logarithmic axis, below them how often the draws meet in each year.

    Shapes are stretched to the page's width, labels are not: they stand beside as text.
    """
    first, last = found.years[0], found.years[-1]
    bottom, top = map(math.log10, TOKENS)
    top = max(top, math.log10(found.stock[2, -1]) + 0.2)

    def x(year: float) -> float:
        return 100 * (year - first) / (last - first)

    def y(tokens: float) -> float:
        # A growing training set leaves the picture at the top. Two powers of ten above it do, so
        # that the line keeps its slope; the page cuts off the rest.
        return 100 - 100 * (min(max(math.log10(tokens), bottom), top + 2) - bottom) / (top - bottom)

    shapes = [
        f'<line class="level" x1="0" x2="100" y1="{y(10**power):.2f}" y2="{y(10**power):.2f}"/>'
        for power in range(math.ceil(bottom), math.ceil(top))
    ]
    for name, (low, middle, high) in (("stock", found.stock), ("sets", found.demand)):
        edge = list(zip(found.years, low, strict=True))
        edge += list(zip(found.years[::-1], high[::-1], strict=True))
        around = " ".join(f"{x(year):.2f},{y(n):.2f}" for year, n in edge)
        line = " ".join(
            f"{x(year):.2f},{y(n):.2f}" for year, n in zip(found.years, middle, strict=True)
        )
        shapes.append(f'<polygon class="{name}" points="{around}"/>')
        shapes.append(f'<polyline class="{name}" points="{line}"/>')
    counts, edges = np.histogram(found.dates, bins=BINS, range=(first, last))
    for count, left, right in zip(counts, edges[:-1], edges[1:], strict=True):
        height = HIGHEST * count / max(1, *counts)
        shapes.append(
            f'<rect x="{x(left):.2f}" y="{100 - height:.2f}" width="{x(right) - x(left):.2f}" '
            f'height="{height:.2f}"/>'
        )
    if found.median <= last:
        at = f"{x(found.median):.2f}"
        shapes.append(f'<line class="median" x1="{at}" x2="{at}" y1="0" y2="100"/>')
    levels = "".join(
        f'<span class="level" style="top:{y(10**power):.1f}%">{readable_tokens(10**power)}</span>'
        for power in range(math.ceil(bottom), math.ceil(top))
    )
    years = "".join(
        f'<span class="year" style="left:{x(year):.1f}%">{year}</span>'
        for year in range(2026, int(last) + 1, 2 if last < 2050 else 10)
    )
    # each is named where nothing else is: the sets left of where they leave the picture, the stock
    # at its right end, and the draws at their foot, on the side that is emptier
    at_left = found.median > (first + last) / 2
    pairs = zip(found.years, found.demand[1], strict=True)
    leaves = next((year for year, n in pairs if y(n) <= 12), last)
    names = (
        f'<span class="name sets" style="right:{100 - x(leaves):.1f}%;top:0">'
        "the largest training set</span>"
        f'<span class="name stock" style="right:4px;top:{y(found.stock[1][-1]):.1f}%">'
        "the stock, as fresh tokens</span>"
        f'<span class="name draws" style="{"left" if at_left else "right"}:4px;bottom:4px">'
        "how many draws meet in each year</span>"
    )
    return (
        f'<div class="chart" aria-hidden="true">'
        f'<svg viewBox="0 0 100 100" preserveAspectRatio="none">{"".join(shapes)}</svg>'
        f"{levels}{years}{names}</div>"
    )


def shift_table(assumptions: Assumptions) -> str:
    """HTML: by how many years each changed assumption alone moves the published date."""
    moved = shifts(assumptions)
    if not moved:
        return (
            "<p>These are the published inputs. Turn one, and see by how much the date moves.</p>"
        )
    rows = "".join(
        f'<tr><th scope="row">{dial.label}: {dial.words(getattr(PUBLISHED_INPUTS, dial.name))} → '
        f"{dial.words(getattr(assumptions, dial.name))}</th>"
        f"<td>{_years(moved[dial.name])}</td></tr>"
        for dial in DIALS
        if dial.name in moved
    )
    head = '<th scope="col">changed, and nothing else</th><th scope="col">moves the date</th>'
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def kept_forecasts() -> dict[str, Assumptions]:
    """The assumptions that were kept here, by name, in the order in which they came."""
    lines = kept_guess(KEPT_LINES)
    found = {}
    for line in lines.split("\n") if isinstance(lines, str) else ():
        try:
            name, assumptions = from_line(line)
        except ValueError:  # written by another version of the course
            continue
        found[name] = assumptions
    return found


def compare(others: str = "") -> Picture:
    """The kept forecasts laid over each other, the published one among them.

    `others` are lines from other machines, as the widget shows them, one below the other.
    """
    found = {"published": PUBLISHED_INPUTS} | kept_forecasts()
    found |= dict(from_line(line) for line in others.strip().splitlines() if line.strip())
    if len(found) > MOST_KEPT:
        raise ValueError(f"{len(found)} forecasts are too many for a picture: {MOST_KEPT} at most")
    drawn = {name: forecast(assumptions) for name, assumptions in found.items()}
    middles = [one.median for one in drawn.values() if math.isfinite(one.median)]
    title = "One forecast so far: the published one"
    if len(found) > 1:
        years = f"{max(middles) - min(middles):.0f}" if len(middles) > 1 else ""
        apart = f"{years} year{'' if years == '1' else 's'} apart" if years else "apart"
        title = f"{len(found)} forecasts from the same formula, {apart}"
    return laid_over(title, drawn, TODAY, UNTIL)


def _years(shift: float) -> str:
    if not math.isfinite(shift):
        return "beyond 2100"
    return f"{abs(shift):.1f} years {'later' if shift > 0 else 'earlier'}"


LEGEND = (
    "Up: tokens, each line ten times more than the one below. The bands hold nine in ten draws."
)


class RunOut(Pictured, ipywidgets.VBox):
    """`dials` are the sliders by name; `assumptions` and `found` follow them."""

    def __init__(self, assumptions: Assumptions) -> None:
        self.dials = {}
        for dial in DIALS:
            value = getattr(assumptions, dial.name)
            settings = sorted({*dial.settings, value})
            self.dials[dial.name] = ipywidgets.SelectionSlider(
                options=[(dial.words(setting), setting) for setting in settings],
                value=value,
                description=dial.label,
                style={"description_width": "auto"},
                layout=ipywidgets.Layout(width="auto"),
            )
        self.reset = ipywidgets.Button(description="Published inputs")
        self.keep = ipywidgets.Button(description="Keep mine", button_style="primary")
        self.name = ipywidgets.Text(value="me", description="Name", continuous_update=False)
        self._shown, self._said = ipywidgets.HTML(), ipywidgets.HTML()
        self._kept, self._moved = ipywidgets.HTML(), ipywidgets.HTML()
        self._listening = True
        for slider in self.dials.values():
            slider.observe(self._turned, "value")
        self.reset.on_click(lambda _: self.set(PUBLISHED_INPUTS))
        self.keep.on_click(lambda _: self.keep_mine())
        self._turned()
        self._tell_kept()
        buttons = ipywidgets.HBox(
            [self.reset, self.name, self.keep], layout=ipywidgets.Layout(flex_flow="row wrap")
        )
        dials = ipywidgets.Box(list(self.dials.values()))
        dials.add_class("forecast-dials")
        super().__init__(
            [look("forecast.css"), self._said, self._shown, dials, buttons, self._kept, self._moved]
        )
        for name in ("course-page", "course-quiet", "course-widget-forecast"):
            self.add_class(name)

    @property
    def assumptions(self) -> Assumptions:
        """What the sliders say."""
        return replace(
            PUBLISHED_INPUTS, **{name: slider.value for name, slider in self.dials.items()}
        )

    def set(self, assumptions: Assumptions) -> None:
        """Turn all sliders at once."""
        self._listening = False
        try:
            for name, slider in self.dials.items():
                slider.value = getattr(assumptions, name)
        finally:
            self._listening = True
        self._turned()

    def keep_mine(self) -> None:
        """Keep the date and the settings with the course's guesses, over a restart too."""
        guess(KEPT_YEAR, readable_year(self.found.median))
        beside(KEPT_YEAR, readable_year(forecast().median))
        name = " ".join(self.name.value.replace(":", " ").split())[:MOST_NAME] or "me"
        kept = kept_forecasts() | {name: self.assumptions}
        guess(KEPT_LINES, "\n".join(as_line(*each) for each in kept.items()))
        self._tell_kept()

    def picture(self) -> Picture:
        return meeting("when do we run out of text?", self.found)

    def _turned(self, change=None) -> None:
        if not self._listening:
            return
        self.found = forecast(self.assumptions, until=UNTIL)
        said = html.escape(date_in_words(self.assumptions, self.found))
        self._said.value = f'<p role="status" aria-live="polite">{said}</p>'
        self._shown.value = (
            f'<div class="course-forecast">{chart(self.found)}'
            f'<p class="course-soft">{LEGEND}</p></div>'
        )
        self._moved.value = f'<div class="course-forecast">{shift_table(self.assumptions)}</div>'

    def _tell_kept(self) -> None:
        kept = kept_forecasts()
        told = "<p>Nothing of yours is kept yet.</p>"
        if kept:
            lines = "\n".join(as_line(*each) for each in kept.items())
            told = (
                f"<p>Kept: {len(kept)}. Run the next cell to see them in one picture; send "
                f"these lines to add yours to somebody else's.</p><pre>{html.escape(lines)}</pre>"
            )
        self._kept.value = f'<div class="course-soft">{told}</div>'


def run_out(assumptions: Assumptions = PUBLISHED_INPUTS) -> RunOut:
    """The widget: when training sets meet the stock of text, under assumptions that you turn.

    >>> run_out(replace(PUBLISHED_INPUTS, usable=0.4))
    """
    if not isinstance(assumptions, Assumptions):
        raise ValueError(f"run_out needs Assumptions, got {type(assumptions).__name__}")
    return RunOut(assumptions)
