"""Numbers in, a picture out: a matplotlib figure and the words that say what it shows.

`picture` has what all of them share, `charts` those of most lessons, `alignment` and `bottleneck`
those of notebooks 05 and 06.
"""

from course_lib.plots.charts import (
    bit_bars,
    curves,
    file_sizes,
    heat_map,
    histogram,
    loss_curve,
    loss_mask,
    probability_bars,
    sampling_steps,
    sizes_and_devices,
    surprises,
)
from course_lib.plots.picture import DPI, Picture, text_card

__all__ = [
    "DPI",
    "Picture",
    "bit_bars",
    "curves",
    "file_sizes",
    "heat_map",
    "histogram",
    "loss_curve",
    "loss_mask",
    "probability_bars",
    "sampling_steps",
    "sizes_and_devices",
    "surprises",
    "text_card",
]
