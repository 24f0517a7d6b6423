"""A job in a worker thread: it ends, stops, pauses and tells of errors; its dashboard follows."""

import asyncio
import math
import threading
import time

import pytest

from course_lib.train.loop import TrainRecord
from course_lib.widgets.live import (
    FAILED,
    FINISHED,
    STOPPED,
    Curve,
    Dashboard,
    Job,
    thinned,
    train_live,
)


def record(step: int, loss: float = 1.0) -> TrainRecord:
    return TrainRecord(step, loss, 1e-3, 1.0, 100 * step, 0.01 * step, 1e4)


def steps(n: int, closed: list | None = None, pause: float = 0.0):
    """`n` records; tells in `closed` when it is closed, as `train` saves itself then."""
    try:
        for step in range(1, n + 1):
            time.sleep(pause)
            yield record(step, math.log(2) * (2 + 8 / step))
    except GeneratorExit:
        closed.append("saved")
        raise


def wait_until(condition, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    assert condition()


def test_a_job_keeps_every_record():
    job = Job(steps(50), 50).start()

    job.join()

    assert [r.step for r in job.records] == list(range(1, 51))
    assert (job.state, repr(job)) == (FINISHED, "Job(finished, 50 of 50 steps)")


def test_a_stopped_job_saves_itself():
    closed = []
    job = Job(steps(10_000, closed, 0.001), 10_000).start()
    wait_until(lambda: len(job.records) > 3)

    job.stop()
    job.join(5)

    assert job.state == STOPPED and 3 < len(job.records) < 10_000
    assert closed == ["saved"]


def test_awaiting_a_job_leaves_the_loop_free():
    async def cell():
        job = Job(steps(40, pause=0.005), 40).start()
        ticks = asyncio.create_task(count_ticks(job))
        await job
        return job.state, await ticks

    async def count_ticks(job):
        ticks = 0
        while job.state != FINISHED:
            await asyncio.sleep(0.01)
            ticks += 1
        return ticks

    state, ticks = asyncio.run(cell())
    assert state == FINISHED and ticks > 5


def test_an_interrupt_while_waiting_stops_and_gives_what_there_is():
    closed = []

    async def cell():
        job = Job(steps(10_000, closed, 0.001), 10_000).start()
        waiting = asyncio.ensure_future(job._wait())
        await asyncio.sleep(0.1)
        waiting.cancel()
        return await waiting

    job = asyncio.run(cell())

    assert job.state == STOPPED and closed == ["saved"] and job.records


def test_one_job_at_a_time_and_each_only_once():
    first = Job(steps(10_000, [], 0.001), 10_000).start()
    try:
        with pytest.raises(ValueError, match="another job is training"):
            Job(steps(1), 1).start()
        with pytest.raises(ValueError, match="has begun before"):
            first.start()
    finally:
        first.stop()
        first.join(5)

    assert Job(steps(1), 1).start().join(5).state == FINISHED


def test_an_error_of_the_training_is_raised_where_one_waits_for_it():
    def breaks():
        yield record(1)
        raise FloatingPointError("the loss is nan")

    job = Job(breaks(), 10).start()

    with pytest.raises(FloatingPointError, match="the loss is nan"):
        job.join()
    assert job.state == FAILED
    assert Job(steps(1), 1).start().join(5).state == FINISHED  # the way is free again


def test_a_paused_job_stands_still_and_goes_on():
    job = Job(steps(500, pause=0.001), 500).start()
    wait_until(lambda: len(job.records) > 3)

    with job.paused():
        before = len(job.records)
        time.sleep(0.05)
        assert len(job.records) == before

    assert len(job.join(10).records) == 500


def test_the_mean_neither_lags_nor_leads_where_the_loss_falls():
    falling, level, noisy = Curve(), Curve(), Curve()
    for x in range(40):
        falling.add(x, 100.0 - x)
        level.add(x, 3.0)
        noisy.add(x, float(x % 2))

    assert [mean for _, _, mean in level.points] == pytest.approx([3.0] * 40)
    # the end has nothing after it: a mean of three steps is a step late there
    assert [mean for _, _, mean in falling.points[:-1]] == pytest.approx(list(range(100, 61, -1)))
    assert falling.points[-1] == [39, 61.0, pytest.approx(62.0)]
    assert all(0.4 < mean < 0.6 for _, _, mean in noisy.points[6:-6])


def test_each_step_is_worked_on_once_however_often_the_dashboard_is_drawn(monkeypatch):
    added, add = [], Curve.add
    monkeypatch.setattr(Curve, "add", lambda self, x, y: (added.append(x), add(self, x, y)))

    board = train_live(steps(60, pause=0.01), 60)
    board.job.join(10)

    assert added == [100 * step for step in range(1, 61)]
    assert [tokens for tokens, _, _ in board.points] == added


@pytest.mark.parametrize("n", [0, 1, 399, 400, 401, 5000])
def test_a_long_curve_is_thinned_and_keeps_its_end(n):
    found = thinned(list(range(n)))

    assert len(found) <= 401
    assert found[-1:] == list(range(n))[-1:] and found == sorted(set(found))


def test_the_dashboard_shows_bits_samples_and_how_it_ended():
    texts = iter(f"sample {i}" for i in range(100))

    board = train_live(steps(40, pause=0.01), 40, {"floor": 1.25}, lambda: next(texts), 10)
    board.job.join(10)

    tokens, loss, mean = board.points[-1]
    assert (tokens, loss) == (4000, pytest.approx(2.2))
    assert 2.2 < mean < 2.21  # of the last three steps, and not of those when it was at 10
    assert board.samples[0] == [0, "sample 0"] and len(board.samples) > 1
    assert board.state == FINISHED and board.status.startswith("finished: step 40 of 40, 4,000")
    assert "lines: floor 1.25" in board.picture().words


def test_a_run_ends_with_a_sample_of_what_has_become_of_the_model():
    texts = iter(["noise", "sense"])

    board = train_live(steps(7), 7, sample=lambda: next(texts), sample_every=100)
    board.job.join(10)

    assert board.samples == [[0, "noise"], [700, "sense"]]


def test_what_is_watched_gets_a_curve_in_place_of_the_loss():
    def rollouts():
        for step in range(1, 31):
            extra = {"reward": step / 30} | ({"made_up": 0.5} if step % 2 else {})
            yield TrainRecord(step, 0.0, 1e-3, 1.0, step, 0.01 * step, 1e4, extra)

    watch = {"reward": "learned reward", "made_up": "made-up answers", "gold": "gold"}
    board = train_live(rollouts(), 30, watch=watch)
    assert set(board.panels) == set(watch.values())  # the page draws them before the first step
    board.job.join(10)

    step, value, mean = board.panels["learned reward"][-1]
    assert (step, value) == (30, 1.0) and 0 < mean < 1
    assert [row[0] for row in board.panels["made-up answers"]] == list(range(1, 31, 2))
    assert "made-up answers from 0.50 to 0.50; gold not measured yet" in board.picture().words


def tokens_of(first: int, last: int):
    """Records of steps that wait a little, from a run that may have resumed."""
    for step in range(first, last + 1):
        time.sleep(0.005)
        yield record(step, math.log(2) * (2 + 8 / step))


def stop_after(board, step: int) -> None:
    wait_until(lambda: board.job.records and board.job.records[-1].step >= step)
    board.job.stop()
    board.job.join(10)


def test_a_resumed_run_counts_its_steps_and_keeps_the_old_curve():
    texts = iter(f"sample {i}" for i in range(100))
    options = dict(lines={"floor": 1.25}, sample=lambda: next(texts), sample_every=10)
    first = train_live(tokens_of(1, 40), 40, **options)
    stop_after(first, 12)
    done = first.job.records[-1].step

    second = train_live(tokens_of(done + 1, 40), 40, **options)
    second.job.join(10)

    assert repr(first.job) == f"Job(stopped, {done} of 40 steps)"
    assert repr(second.job) == "Job(finished, 40 of 40 steps)"
    assert second.earlier["step"] == done and second.earlier["points"] == first.points
    assert [tokens for tokens, _, _ in second.points] == [100 * s for s in range(done + 1, 41)]
    assert second.samples[: len(first.samples)] == first.samples  # the noise at the start, too
    assert [tokens for tokens, _ in second.samples] == sorted({t for t, _ in second.samples})
    assert "from 10.00 to" in second.picture().words  # the whole run, as it fell


def test_a_run_from_another_place_has_a_mark_and_no_strangers_curve():
    stop_after(train_live(tokens_of(1, 40), 40), 5)

    other = train_live(tokens_of(31, 40), 40, sample=lambda: "text")
    other.job.join(10)

    assert other.earlier == {"points": [], "panels": {}, "step": 30}
    assert other.samples[0][0] > 0  # what was written before the first record came from nowhere


def test_the_axis_ends_where_the_run_will_end_from_the_first_step():
    begin, ends = threading.Event(), []

    def run():
        begin.wait(10)
        yield from tokens_of(1, 40)

    board = train_live(run(), 40)
    board.observe(lambda change: ends.append(change.new), "end")
    begin.set()
    board.job.join(10)

    assert ends == [4000.0] and board.end == 4000
    assert board.picture().figure.axes[0].get_xlim() == (0, 4000)


@pytest.mark.parametrize(
    ("extra", "unit"),
    [
        ({"accuracy": 0.5}, "pairs"),  # of a reward model
        ({"reward": 0.1, "kl": 0.0, "answer_tokens": 9.0}, "answer tokens"),
        ({"accuracy": 0.5, "chosen_gain": 0.1}, "tokens"),  # DPO's
        ({}, "tokens"),
    ],
)
def test_the_status_counts_in_the_unit_of_the_run(extra, unit):
    def run():
        for step in (1, 2):
            yield TrainRecord(step, 0.5, 1e-3, 1.0, 24 * step, 0.1 * step, 58.0, extra)

    board = train_live(run(), 2)
    board.job.join(10)
    named = train_live(run(), 2, unit="prompts")
    named.job.join(10)

    assert board.status == f"finished: step 2 of 2, 48 {unit}, 58 {unit}/s"
    assert named.status == "finished: step 2 of 2, 48 prompts, 58 prompts/s"


def test_lines_cross_the_first_small_curve_and_a_coin_is_there_anyway():
    run = (
        TrainRecord(step, 0.5, 1e-3, 1.0, step, 0.1, 1.0, {"accuracy": 0.6, "kl": 0.1})
        for step in range(1, 4)
    )
    watch = {"accuracy": "ordered as people did", "kl": "KL"}

    board = train_live(run, 3, {"ceiling": 0.85}, watch=watch)
    board.job.join(10)

    assert board.levels == {"ordered as people did": {"a coin": 0.5, "ceiling": 0.85}, "KL": {}}


def test_no_empty_chart_is_stored():
    job = Job(steps(3), 3)
    board = Dashboard(job, {"floor": 1.25}, None, 100, {})

    picture = board.picture()

    assert picture.words == ("Loss curve, training: nothing has been read yet; lines: floor 1.25.")
    shown = [text.get_text() for text in picture.figure.axes[0].texts]
    assert shown == ["floor: 1.25 bits a token", "3 steps to come"]


def test_the_stop_button_stops():
    closed = []
    board = train_live(steps(10_000, closed, 0.001), 10_000)
    wait_until(lambda: board.job.records)

    board._on_message(board, {"do": "stop"}, [])
    board.job.join(5)

    assert board.state == STOPPED and closed == ["saved"]


def test_a_broken_training_is_told_on_the_dashboard():
    def breaks():
        yield record(1)
        raise FloatingPointError("the loss is nan")

    board = train_live(breaks(), 10)
    with pytest.raises(FloatingPointError):
        board.job.join()

    assert board.error == "FloatingPointError: the loss is nan"


def test_a_sample_that_fails_ends_no_training():
    board = train_live(steps(30, pause=0.01), 30, sample=lambda: 1 / 0, sample_every=1)

    with pytest.raises(ZeroDivisionError):
        board.job.join(10)

    assert len(board.job.records) == 30 and board.state == FINISHED
    assert board.error == "ZeroDivisionError: division by zero"


def test_no_thread_is_left_over():
    assert "training" not in {thread.name for thread in threading.enumerate() if thread.is_alive()}


def test_a_job_has_steps():
    with pytest.raises(ValueError, match="one step or more"):
        Job(steps(1), 0)
