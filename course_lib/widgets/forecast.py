"""When do we run out of text? Six assumptions to turn, and the date that follows, with its band.

A forecast is what its assumptions say: whoever turns the dials sees which of them carry the date.
The defaults are the published inputs; one's own are kept, and stand beside them the next time.
"""

import html
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import ipywidgets
import numpy as np

from course_lib.check.guesses import beside, guess, kept_guess
from course_lib.plots import Picture
from course_lib.plots.bottleneck import meeting, readable_tokens
from course_lib.scaling.forecast import (
    PUBLISHED_INPUTS,
    Assumptions,
    Forecast,
    forecast,
    in_words,
    readable_year,
    shifts,
)
from course_lib.widgets.page import style
from course_lib.widgets.shell import Pictured

UNTIL = 2040
TOKENS = 1e12, 1e17  # the ends of the vertical axis
BINS, HIGHEST = 48, 24  # of the histogram below the bands: its bars, and the tallest one in percent
# names of what is kept with the guesses
KEPT_YEAR, KEPT_DIALS = "06 run-out year, mine and published", "06 run-out, my assumptions"


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

    def x(year: float) -> float:
        return 100 * (year - first) / (last - first)

    def y(tokens: float) -> float:
        # A growing training set leaves the picture at the top. Two powers of ten above it do, so
        # that the line keeps its slope; the page cuts off the rest.
        return 100 - 100 * (min(max(math.log10(tokens), bottom), top + 2) - bottom) / (top - bottom)

    shapes = []
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
        for power in (13, 14, 15, 16)
    )
    years = "".join(
        f'<span class="year" style="left:{x(year):.1f}%">{year}</span>'
        for year in range(2026, int(last) + 1, 2 if last < 2050 else 10)
    )
    return (
        f'<div class="chart" aria-hidden="true">'
        f'<svg viewBox="0 0 100 100" preserveAspectRatio="none">{"".join(shapes)}</svg>'
        f"{levels}{years}</div>"
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


def dials_in_words(assumptions: Assumptions) -> str:
    """All settings in one line: 'stock 510 trillion, usable 20%, ...'."""
    return ", ".join(
        f"{dial.name.replace('_', ' ')} {dial.words(getattr(assumptions, dial.name))}"
        for dial in DIALS
    )


def _years(shift: float) -> str:
    if not math.isfinite(shift):
        return "beyond 2100"
    return f"{abs(shift):.1f} years {'later' if shift > 0 else 'earlier'}"


LEGEND = (
    "Blue, solid: the largest training set. Orange, dashed: the stock, counted as fresh tokens. "
    "Green, below: how many of the draws meet there. The bands hold nine in ten draws; the axis is "
    "logarithmic."
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
                style={"description_width": "170px"},
                layout=ipywidgets.Layout(width="100%", max_width="560px"),
            )
        self.reset = ipywidgets.Button(description="Published inputs")
        self.keep = ipywidgets.Button(description="Keep mine", button_style="primary")
        self._shown, self._said = ipywidgets.HTML(), ipywidgets.HTML()
        self._kept = ipywidgets.HTML()
        self._listening = True
        for slider in self.dials.values():
            slider.observe(self._turned, "value")
        self.reset.on_click(lambda _: self.set(PUBLISHED_INPUTS))
        self.keep.on_click(lambda _: self.keep_mine())
        self._turned()
        self._tell_kept()
        buttons = ipywidgets.HBox(
            [self.reset, self.keep], layout=ipywidgets.Layout(flex_flow="row wrap")
        )
        super().__init__([*self.dials.values(), buttons, self._said, self._kept, self._shown])
        self.add_class("course-widget-forecast")

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
        guess(KEPT_DIALS, dials_in_words(self.assumptions))
        self._tell_kept()

    def picture(self) -> Picture:
        return meeting("when do we run out of text?", self.found)

    def _turned(self, change=None) -> None:
        if not self._listening:
            return
        self.found = forecast(self.assumptions, until=UNTIL)
        said = html.escape(date_in_words(self.assumptions, self.found))
        self._said.value = (
            f'<div class="course-forecast"><p role="status" aria-live="polite">{said}</p></div>'
        )
        self._shown.value = (
            f'{style("forecast.css")}<div class="course-forecast">'
            f"{chart(self.found)}<p>{LEGEND}</p>{shift_table(self.assumptions)}</div>"
        )

    def _tell_kept(self) -> None:
        year, dials = kept_guess(KEPT_YEAR), kept_guess(KEPT_DIALS)
        told = "Nothing of yours is kept yet."
        if year and dials:
            told = f"Kept: {year} with {dials}. With the published inputs: {in_words(forecast())}."
        self._kept.value = f'<div class="course-forecast"><p>{html.escape(told)}</p></div>'


def run_out(assumptions: Assumptions = PUBLISHED_INPUTS) -> RunOut:
    """The widget: when training sets meet the stock of text, under assumptions that you turn.

    >>> run_out(replace(PUBLISHED_INPUTS, usable=0.4))
    """
    if not isinstance(assumptions, Assumptions):
        raise ValueError(f"run_out needs Assumptions, got {type(assumptions).__name__}")
    return RunOut(assumptions)
