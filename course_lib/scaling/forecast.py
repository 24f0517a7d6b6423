"""When do we run out of text? A date, and how uncertain it is, from a handful of assumptions.

Training sets grow by a factor a year, the stock of public text hardly grows: where do they meet?
What nobody knows exactly is drawn many times, so the answer is a distribution too (a Monte Carlo of
straight lines in the logarithm). The inputs published by Villalobos et al. (2024, arXiv
2211.04325v2) are the defaults; their medians are the dials, their widths stay as published. Left
out: prices, law, languages, and that people react before the lines meet.
"""

import math
from dataclasses import dataclass, fields, replace

import numpy as np

from course_lib.scaling.laws import effective_tokens, interval

START = 2024.3  # April 2024: Llama 3 is trained on 15 trillion tokens
LAST_YEAR = 2100.0  # no line is drawn further
DRAWS = 4000

# Widths as standard deviations of log10, from the published 95% intervals (3.92 deviations wide).
STOCK_SPREAD = math.log10(2100 / 130) / 3.92  # indexed web, 130 to 2,100 trillion tokens
USABLE_SPREAD = math.log10(40 / 10) / 3.92  # 10 to 40% of deduplicated text is usable
GROWTH_SPREAD = (0.48 - 0.27) / 3.92  # of the yearly growth itself, in log10
# What repetition adds beyond that: from 22 - 490 (usable) to 65 - 1,700 trillion tokens (repeated).
EPOCHS_SPREAD = math.sqrt(math.log10(1700 / 65) ** 2 - math.log10(490 / 22) ** 2) / 3.92


@dataclass(frozen=True)
class Assumptions:
    """What the forecast rests on; the defaults are the published medians."""

    stock: float = 510e12  # tokens of text on the indexed web in 2024
    usable: float = 0.20  # the share left after filtering and deduplication
    epochs: float = 3.4  # how often it is read; worth 3.2 times as much fresh text
    growth: float = 2.4  # training sets grow by this factor a year: 0.38 in log10
    stock_growth: float = 0.05  # of the stock a year: drawn from 0 to twice this
    overtraining: float = 1.0  # tokens a parameter, as a multiple of the trend's
    start: float = 15e12  # tokens of the largest known training set in April 2024

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            lowest = 0 if field.name == "stock_growth" else 1e-12
            if not lowest <= value < math.inf:
                raise ValueError(f"{field.name} must be a finite number above 0, got {value}")
        if self.usable > 1:
            raise ValueError(f"usable is a share of the stock, 1 at most, got {self.usable}")

    @property
    def effective_stock(self) -> float:
        """Fresh tokens that the usable text is worth when it is read `epochs` times."""
        return self.stock * self.usable * effective_tokens(1.0, self.epochs)

    @property
    def demand(self) -> float:
        """Tokens of the largest training set in April 2024.

        Tokens a parameter times k at the same operations 6 N D means sqrt(k) times the tokens.
        """
        return self.start * math.sqrt(self.overtraining)


PUBLISHED_INPUTS = Assumptions()


@dataclass(frozen=True)
class Forecast:
    """What came out of the draws; dates that never come are infinite."""

    dates: np.ndarray  # (draws,) when the training set is as large as the stock
    years: np.ndarray  # (years,) for the two bands
    demand: np.ndarray  # (3, years) tokens of the largest training set: 5%, median, 95%
    stock: np.ndarray  # (3, years) effective tokens there are

    @property
    def median(self) -> float:
        """The date before which half of the draws have run out; infinite if half never do."""
        return float(np.sort(self.dates)[len(self.dates) // 2])

    def interval(self, share: float = 0.9) -> tuple[float, float]:
        """The dates between which the middle `share` of the draws run out."""
        return interval(np.minimum(self.dates, LAST_YEAR + 1), share)

    def share_before(self, year: float) -> float:
        """The share of the draws that have run out before `year`."""
        return float(np.mean(self.dates < year))


def forecast(
    assumptions: Assumptions = PUBLISHED_INPUTS, seed: int = 0, until: float = 2040
) -> Forecast:
    """Draw every uncertain assumption `DRAWS` times; each draw is two lines that meet, or don't."""
    rng = np.random.default_rng(seed)
    wide = math.hypot(STOCK_SPREAD, USABLE_SPREAD, EPOCHS_SPREAD)
    stock = math.log10(assumptions.effective_stock) + wide * rng.normal(size=DRAWS)
    growth = math.log10(assumptions.growth) + GROWTH_SPREAD * rng.normal(size=DRAWS)
    stock_growth = np.log10(1 + 2 * assumptions.stock_growth * rng.random(DRAWS))
    demand = math.log10(assumptions.demand)

    ahead = stock - demand  # how far the stock is ahead, in log10
    closing = growth - stock_growth  # and by how much the gap shrinks every year
    with np.errstate(divide="ignore", invalid="ignore"):
        wait = np.where(ahead <= 0, 0.0, np.where(closing > 0, ahead / closing, np.inf))
    dates = START + wait
    dates[dates > LAST_YEAR] = np.inf

    years = np.linspace(START, until, 60)
    passed = (years - START)[:, None]  # (years, 1)
    bands = [
        10 ** np.quantile(begin + slope * passed, [0.05, 0.5, 0.95], axis=1)
        for begin, slope in ((demand, growth), (stock, stock_growth))
    ]
    return Forecast(dates, years, *bands)


def sets_in(year: float, assumptions: Assumptions = PUBLISHED_INPUTS, seed: int = 0) -> np.ndarray:
    """Tokens of the largest training set at `year`, one number for each draw of the growth."""
    drawn = np.random.default_rng(seed).normal(size=DRAWS)
    growth = math.log10(assumptions.growth) + GROWTH_SPREAD * drawn
    return assumptions.demand * 10 ** (growth * (year - START))


def in_words(found: Forecast) -> str:
    """The date and its band: 'about 2028 (nine in ten draws: 2026 to 2030)'."""
    low, high = (readable_year(year) for year in found.interval())
    about = "" if found.median > LAST_YEAR else "about "
    return f"{about}{readable_year(found.median)} (nine in ten draws: {low} to {high})"


def readable_year(year: float) -> str:
    """A date to the nearest turn of a year, or 'not before 2100'.

    >>> readable_year(2027.9)
    '2028'
    """
    return f"not before {LAST_YEAR:.0f}" if year > LAST_YEAR else f"{year:.0f}"


def shifts(assumptions: Assumptions) -> dict[str, float]:
    """By how many years each assumption alone moves the published median, where it differs."""
    base = forecast(PUBLISHED_INPUTS).median
    changed = {
        field.name: getattr(assumptions, field.name)
        for field in fields(assumptions)
        if getattr(assumptions, field.name) != getattr(PUBLISHED_INPUTS, field.name)
    }
    return {
        name: forecast(replace(PUBLISHED_INPUTS, **{name: value})).median - base
        for name, value in changed.items()
    }


def as_line(name: str, assumptions: Assumptions) -> str:
    """Somebody's assumptions as a line that can be sent to others.

    >>> as_line("Ada", Assumptions(usable=0.4))
    'Ada: stock=5.1e+14 usable=0.4 epochs=3.4 growth=2.4 stock_growth=0.05 overtraining=1'
    """
    dials = [field.name for field in fields(assumptions) if field.name != "start"]
    return f"{name}: " + " ".join(f"{dial}={getattr(assumptions, dial):.6g}" for dial in dials)


def from_line(line: str) -> tuple[str, Assumptions]:
    """Name and assumptions from a line that `as_line` wrote; ValueError says what is wrong."""
    name, colon, rest = line.rpartition(":")
    pairs = [part.split("=") for part in rest.split()]
    known = {field.name for field in fields(Assumptions)} - {"start"}
    if not (colon and name.strip() and pairs and all(len(pair) == 2 for pair in pairs)):
        raise ValueError(f"a line is `name: stock=5.1e+14 usable=0.2 ...`, got {line!r:.60}")
    if strange := [dial for dial, _ in pairs if dial not in known]:
        raise ValueError(f"{strange[0]!r:.40} is no assumption: one is {', '.join(sorted(known))}")
    try:
        values = {dial: float(value) for dial, value in pairs}
    except ValueError as error:
        raise ValueError(f"{name.strip()}: {error}") from error
    return name.strip(), Assumptions(**values)
