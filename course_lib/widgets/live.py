"""Training while you watch: a job in a worker thread, and the dashboard that shows it.

The cell that starts a job returns at once; `await job` in the next one waits for its end and leaves
buttons and sliders alive. The worker sends numbers to the page five times a second at most; it
never prints. Left out: more than one job at a time.

    board = train_live(train(model, batch_at, next_token_loss, config), config.steps)
    board              # in a cell of its own: the dashboard
    await board.job    # in the next cell: waits, and raises what went wrong
"""

import asyncio
import math
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager

import anywidget
import traitlets

from course_lib.machine.cores import give_back_memory
from course_lib.plots import Picture, loss_curve
from course_lib.plots.alignment import small_curves
from course_lib.train.loop import TrainRecord
from course_lib.widgets.page import page
from course_lib.widgets.shell import Pictured

SECONDS_BETWEEN_UPDATES = 0.2
MOST_POINTS = 400  # of a curve; a longer run shows every second step, every third, ...
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
        return f"Job({self.state}, {len(self.records)} of {self.steps} steps)"

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
    """Points [x, value, running mean]; each is computed once, however long the run.

    The mean is an exponential one, without the pull of a first value (as Adam's).
    """

    def __init__(self, weight: float = 0.9) -> None:
        self.points: list[list[float]] = []
        self._weight, self._mean = weight, 0.0

    def add(self, x: float, value: float) -> None:
        self._mean = self._weight * self._mean + (1 - self._weight) * value
        # the mean began at 0, which isn't a value; so much of its weight lies on real ones by now
        begun = 1 - self._weight ** (len(self.points) + 1)
        self.points.append([x, value, self._mean / begun])


def thinned(values: Sequence) -> list:
    """About `MOST_POINTS` of the values at the most, in equal steps, and always the last one."""
    step = -(-len(values) // MOST_POINTS) or 1  # rounded up; 1 where there are no values yet
    return [*values[:-1][::step], *values[-1:]]


class Dashboard(Pictured, anywidget.AnyWidget):
    """The loss as it falls, beside lines that do not move, or small curves; samples; Stop."""

    _esm = page("live.js")
    _css = page("live.css")
    points = traitlets.List().tag(sync=True)  # [tokens, loss, smoothed loss], in bits
    lines = traitlets.Dict().tag(sync=True)  # name -> bits
    state = traitlets.Unicode(WAITING).tag(sync=True)
    status = traitlets.Unicode("not begun").tag(sync=True)
    error = traitlets.Unicode("").tag(sync=True)
    samples = traitlets.List().tag(sync=True)  # [tokens, text]
    panels = traitlets.Dict().tag(sync=True)  # title -> [[step, value, smoothed value], ...]

    def __init__(
        self, job: Job, lines: dict[str, float], sample, every: int, watch: dict[str, str]
    ) -> None:
        super().__init__(lines=lines, panels={title: [] for title in watch.values()})
        self.job = job
        self._sample, self._every, self._sampled = sample, every, 0
        self._loss, self._seen = Curve(), 0
        self._watched = [(name, title, Curve()) for name, title in watch.items()]
        job.listeners.append(self._update)
        self.on_msg(self._on_message)

    def picture(self) -> Picture:
        if self.panels:
            return small_curves("training", self.panels)
        x, loss, mean = ([p[i] for p in self.points] for i in range(3))
        return loss_curve("training", x, loss, mean, self.lines)

    def _on_message(self, _, message: dict, buffers: list) -> None:
        if message.get("do") == "stop":
            self.job.stop()

    def _update(self) -> None:
        """What the job calls, in its thread: the new records, perhaps a sample, one message."""
        records = self.job.records
        if self._sample is not None and records:
            due = records[-1].step // self._every
            if due > self._sampled or (self.job.state == FINISHED and not self.samples):
                self._sampled = due
                try:
                    self.samples = [*self.samples, [records[-1].tokens, self._sample()]]
                except Exception as error:  # must not end a training; it is raised at its end
                    self._sample, self.job.error = None, error
        for record in records[self._seen :]:
            self._loss.add(record.tokens, record.loss / math.log(2))
            for name, _, curve in self._watched:
                if name in record.extra:
                    curve.add(record.step, record.extra[name])
        self._seen = len(records)
        with self.hold_sync():  # all traits in one message, or the page would draw half a step
            self.points = thinned(self._loss.points)
            self.panels = {title: thinned(curve.points) for _, title, curve in self._watched}
            self.state, self.status = self.job.state, self._words()
            if self.job.error is not None:
                self.error = f"{type(self.job.error).__name__}: {self.job.error}"

    def _words(self) -> str:
        records, state = self.job.records, self.job.state
        if not records:
            return state
        last = records[-1]
        told = f"{state}: step {last.step:,} of {self.job.steps:,}, {last.tokens:,} tokens, "
        told += f"{last.tokens_per_second:,.0f} tokens/s"
        left = last.seconds / len(records) * (self.job.steps - last.step)
        return f"{told}, {left:.0f} s left" if state == RUNNING else told


def train_live(
    records: Generator[TrainRecord, None, None],
    steps: int,
    lines: dict[str, float] | None = None,
    sample: Callable[[], str] | None = None,
    sample_every: int = 100,
    watch: dict[str, str] | None = None,
) -> Dashboard:
    """Begin a job on `records` (what `train` returns) and return its dashboard.

    `lines` are drawn across the curve, name -> bits a token. `sample()` gives a text of the model
    as it is, asked for every `sample_every` steps. With `watch` (a name in `record.extra` -> its
    title) each of these gets a small curve in the place of the loss, which says little in RL.
    """
    job = Job(records, steps)
    board = Dashboard(job, dict(lines or {}), sample, sample_every, dict(watch or {}))
    job.start()
    return board
