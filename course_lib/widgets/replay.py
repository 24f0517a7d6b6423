"""A recorded run to play back: a slider over its rollouts, what the model answered at each, and why
that pleased the reward model.

Left out: going on with the training. What is shown was recorded.
"""

from collections.abc import Sequence
from html import escape

import ipywidgets

from course_lib.plots import Picture
from course_lib.plots.alignment import crossing
from course_lib.widgets.shell import Pictured, look

ENDS = ("learned", "gold")
NAME_HEIGHT = 13.0  # of a curve's name, in percent of the chart's 140 px


class Replay(Pictured, ipywidgets.VBox):
    """`at.value` is the step that is shown. Rows have step, reward, gold, and answers of then."""

    def __init__(self, title: str, rows: Sequence[dict]) -> None:
        self._title, self._rows = title, {int(row["step"]): row for row in rows}
        steps = sorted(self._rows)
        self.at = ipywidgets.SelectionSlider(
            options=steps,
            value=steps[0],
            description="after step",
            style={"description_width": "auto"},
            layout=ipywidgets.Layout(width="auto"),
        )
        self._shown = ipywidgets.HTML()
        self.at.observe(self._show, "value")
        self._show()
        super().__init__([look("replay.css"), self.at, self._shown])
        for name in ("course-page", "course-quiet", "course-widget-replay"):
            self.add_class(name)

    @property
    def row(self) -> dict:
        """What was recorded at the step that is shown."""
        return self._rows[self.at.value]

    def picture(self) -> Picture:
        """Both rewards over the run, and what the model answers first and at the step shown."""
        curve = [(step, row["reward"], row["gold"]) for step, row in sorted(self._rows.items())]
        last = self._rows[max(self._rows)]
        shown = [(p, first[0], then[0]) for (p, *first), (_, *then) in self._pairs(last)]
        return crossing(self._title, curve, shown)

    def _pairs(self, row: dict):
        first = self._rows[min(self._rows)]
        return list(zip(first["answers"], row["answers"], strict=True))

    def _show(self, change=None) -> None:
        row = self.row
        said = (
            f"Step {self.at.value}: learned reward {row['reward']:+.2f}, gold {row['gold']:+.2f}, "
            f"{row['kl']:.1f} nats from the SFT model."
        )
        rows = "".join(
            f'<tr><th scope="row">{escape(prompt)}</th><td>{escape(answer)}</td>'
            f'<td class="number">{learned:+.1f}</td><td class="number">{gold:+.1f}</td></tr>'
            for prompt, answer, learned, gold in row["answers"]
        )
        head = "".join(f'<th scope="col">{name}</th>' for name in ("prompt", "answer", *ENDS))
        self._shown.value = (
            f'<div class="course-replay">{self._chart()}'
            f'<p role="status" aria-live="polite">{escape(said)}</p>'
            f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
        )

    def _chart(self) -> str:
        """HTML: both curves, and a line where the slider stands; the words say the same."""
        steps = sorted(self._rows)
        values = [self._rows[step][key] for step in steps for key in ("reward", "gold")]
        low, high = min(values), max(values)

        def x(step: float) -> float:
            return 100 * (step - steps[0]) / max(1, steps[-1] - steps[0])

        def y(value: float) -> float:
            return 96 - 92 * (value - low) / ((high - low) or 1)

        lines = "".join(
            f'<polyline class="{name}" points="'
            + " ".join(f"{x(step):.2f},{y(self._rows[step][key]):.2f}" for step in steps)
            + '"/>'
            for name, key in zip(ENDS, ("reward", "gold"), strict=True)
        )
        here = f"{x(self.at.value):.2f}"

        def named(step: int, side: str) -> str:
            """What both rewards are at one end; the right end names the curves, too."""
            ends = dict(
                zip(ENDS, (self._rows[step][key] for key in ("reward", "gold")), strict=True)
            )
            at = {name: y(value) for name, value in ends.items()}
            upper, lower = sorted(at, key=at.get)
            apart = max(0.0, NAME_HEIGHT - (at[lower] - at[upper])) / 2  # two names need two lines
            at[upper], at[lower] = at[upper] - apart, at[lower] + apart
            return "".join(
                f'<span class="{side}" style="top:{top:.1f}%">'
                f"{f'{name} ' if side == 'last' else ''}{ends[name]:+.2f}</span>"
                for name, top in at.items()
            )

        names = named(steps[0], "first") + named(steps[-1], "last")
        names += "".join(
            f'<span class="step" style="left:{x(step):.0f}%">step {step}</span>'
            for step in (steps[0], steps[-1])
        )
        return (
            '<div class="chart" aria-hidden="true"><svg viewBox="0 0 100 100" '
            f'preserveAspectRatio="none">{lines}<line x1="{here}" x2="{here}" y1="0" y2="100"/>'
            f"</svg>{names}</div>"
        )


def replay(title: str, rows: Sequence[dict]) -> Replay:
    """The widget: `rows` of one run, each with step, reward, gold, kl and answers.

    An answer is (prompt, text, learned reward, gold reward).
    """
    if not rows:
        raise ValueError("there is nothing to play back: a run of one row or more is expected")
    return Replay(title, rows)
