"""A job in a worker thread: it ends, stops, pauses and tells of errors; its dashboard follows."""

import asyncio
import math
import threading
import time

import pytest

from course_lib.train.loop import TrainRecord
from course_lib.widgets.live import FAILED, FINISHED, STOPPED, Curve, Job, thinned, train_live


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


def test_smoothing_follows_without_a_pull_of_the_beginning():
    level, rising = Curve(), Curve(0.5)
    for x in range(5):
        level.add(x, 3.0)
    rising.add(100, 1.0)
    rising.add(200, 2.0)

    assert [mean for _, _, mean in level.points] == pytest.approx([3.0] * 5)
    assert rising.points == [[100, 1.0, 1.0], [200, 2.0, pytest.approx((0.25 + 1) / 0.75)]]


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
    assert 2.2 < mean < 10
    assert board.samples and board.samples[0][1] == "sample 0"
    assert board.state == FINISHED and board.status.startswith("finished: step 40 of 40, 4,000")
    assert "lines: floor 1.25" in board.picture().words


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
