"""Numbers in, a picture out: a matplotlib figure, and the words that say what it shows.

Read `picture` first: it is what all of them share. `charts` has the pictures of most notebooks,
`alignment` those of notebook 05, `bottleneck` those of notebook 06. Nothing here computes a result.
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
