"""Which model fits where: choose how large a parameter is, see the smallest device that holds it.

The size of a parameters file decides which machines can run a model at all. Left out: the memory
that a running model needs beside its parameters.
"""

import html
import math
from dataclasses import dataclass

import ipywidgets
import torch

from course_lib import plots
from course_lib.config import ModelConfig
from course_lib.model.transformer import Transformer
from course_lib.scaling.sizes import (
    BYTES_PER_PARAMETER,
    DEVICES,
    NONE_OF_THEM,
    holder,
    n_bytes,
    readable_bytes,
)
from course_lib.widgets.shell import Pictured, look

LABEL = 18  # pixels from one device's label to the next, as `line-height` in sizes.css
LEGEND = (
    "A dot: one of the devices holds the model. A hollow diamond: none does. The dashed lines are "
    "the devices. The same distance to the right always multiplies the size by the same number. "
    "Only the parameters are counted; a model that runs needs more memory."
)
MIXTURE = (
    " A bar to the left of a dot begins at the parameters that work on any one token: all of them "
    "must be in memory, and most of them wait."
)


def count_on_meta(config: ModelConfig) -> int:
    """Parameters of the course's Transformer of this shape, built without memory and counted.

    >>> count_on_meta(PUBLISHED_MODELS["Llama-2-70B"])
    68976648192
    """
    with torch.device("meta"):  # tensors with a shape and no numbers
        model = Transformer(config)
    return sum(weight.numel() for weight in model.parameters())


@dataclass(frozen=True)
class Fit:
    """A model in a precision, and the smallest device that holds its parameters."""

    name: str
    n_parameters: int
    n_bytes: int
    device: str
    active: int = 0  # parameters that work on any one token; 0: all of them


def fits(
    counts: dict[str, int],
    precision: str,
    devices: dict[str, float] = DEVICES,
    active: dict[str, int] | None = None,
) -> tuple[Fit, ...]:
    """A `Fit` for each model of `counts` (name -> number of parameters), in its order."""
    few = active or {}
    if not counts or min(counts.values()) < 1:
        raise ValueError(f"one model or more, of 1 parameter or more each, expected: got {counts}")
    sizes = {name: n_bytes(count, precision) for name, count in counts.items()}
    return tuple(
        Fit(name, counts[name], size, holder(size, devices), few.get(name, 0))
        for name, size in sizes.items()
    )


def fits_in_words(
    found: tuple[Fit, ...], precision: str, devices: dict[str, float] = DEVICES
) -> str:
    """How many of the models each device holds, and which fit in none."""
    held = [
        f"{sum(fit.n_bytes <= memory for fit in found)} in {name}"
        for name, memory in sorted(devices.items(), key=lambda item: item[1])
    ]
    left = [fit.name for fit in found if fit.device == NONE_OF_THEM]
    return (
        f"{precision}, {BYTES_PER_PARAMETER[precision]:.4g} bytes a parameter. "
        f"Of {len(found)} models fit: {'; '.join(held)}. "
        + (f"In none of these: {', '.join(left)}." if left else "Each model fits in one of these.")
    )


def fits_table(found: tuple[Fit, ...], devices: dict[str, float], low: float, high: float) -> str:
    """HTML: a row for each model, with a dot on an axis from `low` to `high` bytes."""

    def at(size: float) -> str:
        # 2 % of margin on either side, or a dot at the end would hang over
        return f"{2 + 96 * math.log(size / low) / math.log(high / low):.1f}%"

    in_order = sorted(devices.items(), key=lambda item: item[1])
    lines = "".join(f'<span style="left:{at(memory)}"></span>' for _, memory in in_order)
    # each label left of its own line, larger devices higher up: no line crosses a label
    marks = "".join(
        f'<i style="left:{at(memory)};height:{LABEL * (i + 2)}px"><em>{html.escape(name)}</em></i>'
        for i, (name, memory) in enumerate(in_order)
    )

    def counted(fit: Fit) -> str:
        at_work = f'<br><span class="course-soft">{fit.active:,} at work</span>'
        return f"{fit.n_parameters:,}{at_work if fit.active else ''}"

    def bar(fit: Fit) -> str:
        if not fit.active:
            return ""
        begin = at(fit.n_bytes * fit.active / fit.n_parameters)
        return f'<u style="left:{begin};width:calc({at(fit.n_bytes)} - {begin})"></u>'

    rows = "".join(
        f'<tr role="row"><th role="rowheader" scope="row">{html.escape(fit.name)}</th>'
        f'<td role="cell" class="number">{counted(fit)}</td>'
        f'<td role="cell" class="number">{readable_bytes(fit.n_bytes)}</td>'
        f'<td role="presentation" aria-hidden="true" class="track">{lines}{bar(fit)}'
        f"<b{' class=over' if fit.device == NONE_OF_THEM else ''} "
        f'style="left:{at(fit.n_bytes)}"></b></td>'
        f'<td role="cell" class="device">{html.escape(fit.device)}</td></tr>'
        for fit in found
    )
    head = '<th role="columnheader" scope="col"'
    return (
        f'<table role="table"><thead role="rowgroup"><tr role="row">'
        f'{head}>model</th>{head} class="number">parameters</th>'
        f'{head} class="number">file</th>'
        f'<th role="presentation" aria-hidden="true" class="track marks" '
        f'style="height:{LABEL * (len(in_order) + 1) + 4}px">{marks}</th>'
        f'{head} class="device">smallest device that holds it</th></tr></thead>'
        f'<tbody role="rowgroup">{rows}</tbody></table>'
    )


class Sizes(Pictured, ipywidgets.VBox):
    """Radio buttons for the precision above a table and chart; `precision.value` is the choice."""

    def __init__(
        self,
        counts: dict[str, int],
        precision: str,
        devices: dict[str, float],
        active: dict[str, int],
    ):
        self.counts, self.devices = dict(counts), dict(devices)
        self.active = {name: n for name, n in active.items() if name in counts}
        n_bytes(0, precision)  # an unknown one is refused here, in words
        fits(counts, precision, devices)
        # one axis for all precisions, so that the dots move and the devices stay
        ends = [*self.active.values(), min(counts.values()), max(counts.values())]
        everything = [n_bytes(n, p) for n in ends for p in BYTES_PER_PARAMETER]
        everything += devices.values()
        self._ends = min(everything) / 2, max(everything) * 2
        self.precision = ipywidgets.RadioButtons(
            options=list(BYTES_PER_PARAMETER),
            value=precision,
            description="Precision:",
            orientation="horizontal",
            layout=ipywidgets.Layout(width="auto"),
        )
        self.shown = ipywidgets.HTML()
        self.precision.observe(self._show, "value")
        self._show()
        super().__init__([look("sizes.css"), self.precision, self.shown])
        for name in ("course-page", "course-quiet", "course-widget-sizes"):
            self.add_class(name)

    def _fits(self) -> tuple[Fit, ...]:
        return fits(self.counts, self.precision.value, self.devices, self.active)

    def _show(self, change=None) -> None:
        found = self._fits()
        said = fits_in_words(found, self.precision.value, self.devices)
        self.shown.value = (
            f'<div class="course-sizes">{fits_table(found, self.devices, *self._ends)}'
            f'<p role="status" aria-live="polite">{html.escape(said)}</p>'
            f'<p class="course-soft">{LEGEND}{MIXTURE if self.active else ""}</p></div>'
        )

    def picture(self) -> plots.Picture:
        """The chart in the chosen precision, and which device holds each model."""
        found = self._fits()
        return plots.sizes_and_devices(
            f"Which file fits where? Parameters in {self.precision.value}",
            {f.name: f.n_bytes for f in found},
            self.devices,
            {f.name: n_bytes(f.active, self.precision.value) for f in found if f.active},
        )


def sizes(
    counts: dict[str, int],
    precision: str = "F16",
    *,
    extra: dict[str, float] | None = None,
    active: dict[str, int] | None = None,
) -> Sizes:
    """The widget: `counts` is name -> number of parameters, `extra` your own devices in bytes.

    `active` is for mixtures of experts: name -> how many parameters work on any one token.

    >>> sizes(published_parameters(), "Q4_0", extra={"my old phone": 3e9})
    """
    return Sizes(counts, precision, DEVICES | (extra or {}), active or {})
