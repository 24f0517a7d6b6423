"""Training while you watch: a job in a worker thread, and the dashboard that shows it.

The cell that starts a job returns at once; `await job` in the next one waits for its end and leaves
buttons and sliders alive. The worker sends numbers to the page five times a second at most; it
never prints. Left out: more than one job at a time.

    board = train_live(train(model, batch_at, next_token_loss, config), config.steps)
    board              # in a cell of its own: the dashboard
    await board.job    # in the next cell: waits, and raises what went wrong
    board              # there, a picture of the whole run is stored; live it is one line

A run that was stopped and goes on keeps its curve: the next dashboard draws it, faint, before its
own. It knows it by its number of steps and by the step that comes next.
"""

import asyncio
import math
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import anywidget
import traitlets

from course_lib.machine.cores import give_back_memory
from course_lib.plots import Picture, loss_curve, text_card
from course_lib.plots.alignment import small_curves
from course_lib.train.loop import TrainRecord
from course_lib.widgets.page import page
from course_lib.widgets.shell import Pictured

SECONDS_BETWEEN_UPDATES = 0.2
MOST_POINTS = 400  # of a curve; a longer run shows every second step, every third, ...
AROUND, LAST = 5, 3  # steps in a mean: so many on either side, and so many at the end of the curve
COIN = {"accuracy": {"a coin": 0.5}}  # name in `record.extra` -> what chance alone would give
WAITING, RUNNING, STOPPED, FINISHED, FAILED = "waiting running stopped finished failed".split()

_one_job = threading.Lock()


class Job:
    """Runs a generator of records in a worker thread, and keeps what it yields."""

    def __init__(self, records: Generator[TrainRecord, None, None], steps: int) -> None:
        if steps < 1:
            raise ValueError(f"a job has one step or more, got {steps}")
        self.steps = steps
        self.records: list[TrainRecord] = []
        self.state = WAITING
        self.listeners: list[Callable[[], None]] = []  # called in the worker, now and then
        self._source = records
        self.error: BaseException | None = None
        self._stop, self._go, self._lock = threading.Event(), threading.Event(), threading.Lock()
        # a daemon: a kernel that is shut down doesn't wait for the last step
        self._thread = threading.Thread(target=self._run, daemon=True, name="training")
        self._go.set()

    def start(self) -> "Job":
        """Begin. Raises ValueError where another job is running, or this one has begun before."""
        if self.state != WAITING:
            raise ValueError(f"this job has begun before and is {self.state}: make a new one")
        if not _one_job.acquire(blocking=False):
            raise ValueError("another job is training: stop it, or wait for its end, first")
        self.state = RUNNING
        self._thread.start()
        return self

    def stop(self) -> None:
        """Ask for an end after the step that is being done; its state is saved."""
        self._stop.set()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The model stands still meanwhile: to generate from it, or to measure it."""
        self._go.clear()  # no further step begins ...
        try:
            with self._lock:  # ... and the one in progress has ended
                yield
        finally:
            self._go.set()

    def join(self, timeout: float | None = None) -> "Job":
        """Wait for the end, in this thread; raise what went wrong."""
        self._thread.join(timeout)
        if self.error is not None:
            raise self.error
        return self

    def __await__(self):
        return self._wait().__await__()

    async def _wait(self) -> "Job":
        if self.state == WAITING:
            raise ValueError("this job has not begun: call start() first")
        try:
            # asking now and then, instead of join(), leaves the kernel free to hear the buttons
            while self._thread.is_alive():
                await asyncio.sleep(0.05)
        except (KeyboardInterrupt, asyncio.CancelledError):  # the learner's interrupt
            self.stop()
        return self.join()

    def __repr__(self) -> str:
        done = self.records[-1].step if self.records else 0  # not their number: it may have resumed
        return f"Job({self.state}, {done} of {self.steps} steps)"

    def _run(self) -> None:
        told = 0.0
        end = FINISHED
        try:
            while True:
                self._go.wait()
                with self._lock:
                    record = next(self._source, None)
                if record is None:
                    break
                self.records.append(record)
                if time.monotonic() - told >= SECONDS_BETWEEN_UPDATES:
                    self._tell()
                    told = time.monotonic()
                # Stop in the very last step changes nothing any more: that run is finished
                if self._stop.is_set() and record.step < self.steps:
                    end = STOPPED
                    break
            with self._lock:
                self._source.close()  # where it saves itself
        except BaseException as error:  # nobody hears a thread: `join` and `await` raise it again
            self.error, end = error, FAILED
        finally:
            give_back_memory()
            self.state = end
            _one_job.release()  # before the last word, so that whoever hears it may start the next
            self._tell()

    def _tell(self) -> None:
        for listener in self.listeners:
            listener()


class Curve:
    """Points [x, value, mean of the steps around]; a late one costs as much as an early one.

    As many steps before a point as after it, so that where the curve falls the mean neither lags
    nor leads. Only the end has nothing after it: there it is the mean of the last three.
    """

    def __init__(self) -> None:
        self.points: list[list[float]] = []

    def add(self, x: float, value: float) -> None:
        self.points.append([x, value, value])
        n = len(self.points)
        for i in range(max(0, n - 1 - AROUND), n):
            around = min(AROUND, i, n - 1 - i)
            first = min(i - around, max(0, n - LAST))
            values = [point[1] for point in self.points[first : i + around + 1]]
            self.points[i][2] = sum(values) / len(values)


@dataclass(frozen=True)
class Part:
    """What a run showed until it was stopped."""

    steps: int
    step: int  # the last one
    points: list
    panels: dict[str, list]
    samples: list


_stopped: Part | None = None  # the last run that was stopped: it may go on in the next cell


def thinned(values: Sequence) -> list:
    """About `MOST_POINTS` of the values at the most, in equal steps, and always the last one."""
    step = -(-len(values) // MOST_POINTS) or 1  # rounded up; 1 where there are no values yet
    return [*values[:-1][::step], *values[-1:]]


class Dashboard(Pictured, anywidget.AnyWidget):
    """The loss as it falls, beside lines that do not move, or small curves; samples; Stop."""

    _esm = page("live.js")
    _css = page("live.css")
    points = traitlets.List().tag(sync=True)  # [tokens, loss, mean of the steps around], in bits
    lines = traitlets.Dict().tag(sync=True)  # name -> bits
    end = traitlets.Float(0).tag(sync=True)  # where the run will end, in tokens; 0: not known yet
    steps = traitlets.Int(1).tag(sync=True)
    unit = traitlets.Unicode("tokens").tag(sync=True)  # what is counted as `tokens`
    state = traitlets.Unicode(WAITING).tag(sync=True)
    status = traitlets.Unicode("not begun").tag(sync=True)
    error = traitlets.Unicode("").tag(sync=True)
    prompt = traitlets.Unicode("").tag(sync=True)  # before each sample
    samples = traitlets.List().tag(sync=True)  # [tokens, text]
    panels = traitlets.Dict().tag(sync=True)  # title -> [[step, value, mean], ...]
    levels = traitlets.Dict().tag(sync=True)  # title -> {name: value} of its lines
    earlier = traitlets.Dict().tag(sync=True)  # points and panels of the part before a resumption

    def __init__(
        self, job: Job, lines: dict[str, float], sample, every: int, watch: dict[str, str],
        prompt: str = "", unit: str = "",
    ) -> None:  # fmt: skip
        levels = {title: dict(COIN.get(name, {})) for name, title in watch.items()}
        if watch:
            levels[next(iter(levels))] |= lines
        panels = {title: [] for title in watch.values()}
        super().__init__(
            lines={} if watch else lines, panels=panels, levels=levels, steps=job.steps,
            prompt=prompt, unit=unit or "tokens",
        )  # fmt: skip
        self.job = job
        self._sample, self._every, self._sampled, self._unit = sample, every, 0, unit
        self._loss, self._seen = Curve(), 0
        self._watched = [(name, title, Curve()) for name, title in watch.items()]
        self._before: Part | None = None
        self._take_sample(0)  # pure noise: nothing shows as well what is learned
        job.listeners.append(self._update)
        self.on_msg(self._on_message)

    def picture(self) -> Picture:
        if self.panels:
            panels = {title: self._joined(title, points) for title, points in self.panels.items()}
            picture = small_curves("training", panels, self.levels, self.steps)
            words, drawn = picture.words, any(panels.values())
        else:
            points = self._joined("", self.points)
            x, loss, mean = ([p[i] for p in points] for i in range(3))
            resumed = self.points[0][0] if self.earlier and self.points else 0
            picture = loss_curve("training", x, loss, mean, self.lines, self.end, resumed)
            words, drawn = picture.words, bool(points)
        if drawn:
            return picture
        # an empty chart would only look broken
        known = [f"{name}: {bits:.2f} bits a token" for name, bits in self.lines.items()]
        known = known or list(self.panels) or ["the loss of each step"]
        card = text_card("training begins", "\n".join(known), f"{self.steps:,} steps to come")
        return Picture(card.figure, words)

    def _joined(self, title: str, points: list) -> list:
        """The points, those before a resumption included."""
        before = self._before
        if before is None:
            return points
        return [*(before.panels.get(title, []) if title else before.points), *points]

    def _on_message(self, _, message: dict, buffers: list) -> None:
        if message.get("do") == "stop":
            self.job.stop()

    def _take_sample(self, tokens: int) -> None:
        if self._sample is None:
            return
        try:
            self.samples = [*self.samples, [tokens, self._sample()]]
        except Exception as error:  # must not end a training; it is raised at its end
            self._sample, self.job.error = None, error

    def _begun(self, first: TrainRecord) -> None:
        """What the first record tells: the unit, and whether the run goes on from another."""
        if not self._unit:
            # only a reward model is told of by its accuracy alone, and it counts pairs
            told = set(first.extra)
            kinds = {"pairs": told == {"accuracy"}, "answer tokens": {"reward", "kl"} <= told}
            self.unit = next((unit for unit, fits in kinds.items() if fits), "tokens")
        if first.step == 1:
            return
        self.samples = []  # that one wasn't taken at the start
        part = _stopped
        if part and (part.steps, part.step + 1) == (self.steps, first.step):
            self._before, self.samples = part, part.samples
            panels = {title: thinned(points) for title, points in part.panels.items()}
            self.earlier = {"points": thinned(part.points), "panels": panels, "step": part.step}
        else:
            self.earlier = {"points": [], "panels": {}, "step": first.step - 1}

    def _update(self) -> None:
        """What the job calls, in its thread: the new records, perhaps a sample, one message."""
        records = self.job.records
        if records and not self._seen:
            self._begun(records[0])
            self._sampled = (records[0].step - 1) // self._every
        if records:
            due, now = records[-1].step // self._every, records[-1].tokens
            last = self.samples[-1][0] if self.samples else 0
            if due > self._sampled or (self.job.state == FINISHED and last < now):
                self._sampled = due
                self._take_sample(now)
        for record in records[self._seen :]:
            self._loss.add(record.tokens, record.loss / math.log(2))
            for name, _, curve in self._watched:
                if name in record.extra:
                    curve.add(record.step, record.extra[name])
        self._seen = len(records)
        with self.hold_sync():  # all traits in one message, or the page would draw half a step
            self.points = thinned(self._loss.points)
            self.panels = {title: thinned(curve.points) for _, title, curve in self._watched}
            self.end = self._end()
            self.state, self.status = self.job.state, self._words()
            if self.job.error is not None:
                self.error = f"{type(self.job.error).__name__}: {self.job.error}"
        if self.job.state == STOPPED:
            self._keep()

    def _keep(self) -> None:
        """Put what is shown aside: the run may go on in another dashboard."""
        global _stopped
        curves = {title: self._joined(title, c.points) for _, title, c in self._watched}
        last = self.job.records[-1].step
        points = self._joined("", self._loss.points)
        _stopped = Part(self.steps, last, points, curves, self.samples)

    def _end(self) -> float:
        """The tokens of the whole run; rows differ, so the guess only moves when it is far off."""
        if not self.job.records:
            return 0.0
        last = self.job.records[-1]
        guess = last.tokens / last.step * self.steps
        if last.step == self.steps or abs(guess - self.end) > 0.05 * guess:
            return guess
        return max(self.end, last.tokens)

    def _words(self) -> str:
        records, state = self.job.records, self.job.state
        if not records:
            return state
        last = records[-1]
        told = f"{state}: step {last.step:,} of {self.job.steps:,}, {last.tokens:,} {self.unit}, "
        told += f"{last.tokens_per_second:,.0f} {self.unit}/s"
        left = last.seconds / len(records) * (self.job.steps - last.step)
        return f"{told}, {left:.0f} s left" if state == RUNNING else told


def train_live(
    records: Generator[TrainRecord, None, None],
    steps: int,
    lines: dict[str, float] | None = None,
    sample: Callable[[], str] | None = None,
    sample_every: int = 100,
    watch: dict[str, str] | None = None,
    prompt: str = "",
    unit: str = "",
) -> Dashboard:
    """Begin a job on `records` (what `train` returns) and return its dashboard.

    `lines` are drawn across the curve, name -> bits a token. `sample()` gives a text of the model
    as it is, asked for at the start and every `sample_every` steps; `prompt` is shown before it.
    With `watch` (a name in `record.extra` -> its title) each of these gets a small curve in the
    place of the loss, which says little in RL; the lines then cross the first of them. `unit` is
    what `record.tokens` counts, where the records alone don't tell.
    """
    job = Job(records, steps)
    options = dict(prompt=prompt, unit=unit)
    board = Dashboard(job, dict(lines or {}), sample, sample_every, dict(watch or {}), **options)
    job.start()
    return board
