"""Numbers as people write them, and as the course shows them."""

import math
import re

Number = int | float

THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?")
DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+")
# float() reads "nan", "inf" and "1_0" too, which nobody means
WRITTEN = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.IGNORECASE)


def number_in(text: str) -> Number:
    """The number that somebody wrote: 45, -0.5, 1,200, 1 200, 1.2e3, or 0,45 with a comma.

    >>> number_in("1,200"), number_in("0,45")
    (1200, 0.45)
    """
    bare = re.sub(r"\s", "", text).replace("\u2212", "-")  # a minus sign that is no hyphen
    if THOUSANDS.fullmatch(bare):
        bare = bare.replace(",", "")
    elif DECIMAL_COMMA.fullmatch(bare):
        bare = bare.replace(",", ".")
    if not WRITTEN.fullmatch(bare) or not math.isfinite(value := float(bare)):
        raise ValueError(f"expected a number such as 45, 0.45, 1,200 or 1.2e3, got {text!r:.60}")
    return int(value) if value == int(value) else value


def shown(value: object) -> str:
    """A whole number whole, another to three digits at least, anything else as its text."""
    if isinstance(value, bool) or not isinstance(value, Number):
        return str(value)
    if not math.isfinite(value):
        return str(value)
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.3g}" if abs(value) < 100 else f"{value:,.0f}"
