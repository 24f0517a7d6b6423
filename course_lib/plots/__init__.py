"""Numbers in, a picture out: a matplotlib figure, and the words that say what it shows.

Read `picture` first: it is what all of them share. `charts` has the pictures of most notebooks,
`damage` those of 01, `attention` those of 02b, `pretraining` those of 03, `alignment` those of 05,
`bottleneck` those of 06.
Nothing here computes a result.
"""

from course_lib.plots.attention import head_wall, heads_and_bars, looks_and_matters
from course_lib.plots.bars import calibration, next_tokens, surprises
from course_lib.plots.charts import (
    bit_bars,
    curves,
    file_sizes,
    heat_map,
    histogram,
    loss_curve,
    probability_bars,
    sizes_and_devices,
)
from course_lib.plots.damage import facts_bars, four_histograms, loss_and_facts, losses_beside_facts
from course_lib.plots.picture import DPI, Picture, text_card
from course_lib.plots.pretraining import one_weight, run_lines, share_panels
from course_lib.plots.trials import seed_dots

__all__ = [
    "DPI",
    "Picture",
    "bit_bars",
    "calibration",
    "curves",
    "facts_bars",
    "file_sizes",
    "four_histograms",
    "head_wall",
    "heads_and_bars",
    "heat_map",
    "histogram",
    "looks_and_matters",
    "loss_and_facts",
    "loss_curve",
    "losses_beside_facts",
    "next_tokens",
    "one_weight",
    "probability_bars",
    "run_lines",
    "seed_dots",
    "share_panels",
    "sizes_and_devices",
    "surprises",
    "text_card",
]
