"""Cores that are free, threads and memory, in containers too."""

import platform

import psutil
import pytest
import torch

from course_lib.machine import cores


@pytest.mark.parametrize(
    ("busy", "free"),
    [([0, 0, 0, 0], 4), ([3, 2, 5, 4], 4), ([100, 0, 0, 0], 3), ([40, 0, 0, 0], 3), ([99] * 4, 1)],
)
def test_free_cores_are_those_that_stand_idle(monkeypatch, busy, free):
    monkeypatch.setattr(cores, "_affinity", lambda: [0, 1, 2, 3])
    monkeypatch.setattr(cores, "_cpu_quota", lambda: 1e6)
    monkeypatch.setattr(cores.psutil, "cpu_percent", lambda interval, percpu: busy)

    assert cores.free_cores() == free


def test_free_cores_stay_inside_the_affinity_and_the_quota(monkeypatch):
    monkeypatch.setattr(cores.psutil, "cpu_percent", lambda interval, percpu: [0, 0, 100, 0])
    monkeypatch.setattr(cores, "_affinity", lambda: [1, 2])
    monkeypatch.setattr(cores, "_cpu_quota", lambda: 1e6)
    assert cores.free_cores() == 1

    monkeypatch.setattr(cores, "_affinity", lambda: [0, 1, 3])
    monkeypatch.setattr(cores, "_cpu_quota", lambda: 2.0)
    assert cores.free_cores() == 2


def test_the_quota_of_a_container_is_read(tmp_path):
    assert cores._cpu_quota(tmp_path) == 1e6  # no files, no limit

    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert cores._cpu_quota(tmp_path) == 1e6

    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert cores._cpu_quota(tmp_path) == 1.5


def test_the_quota_of_an_older_container_is_read(tmp_path):
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    assert cores._cpu_quota(tmp_path) == 1e6

    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("300000\n")
    assert cores._cpu_quota(tmp_path) == 3


def test_the_memory_limit_of_a_container_is_read(tmp_path):
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.current").write_text("1000000\n")

    assert cores.free_memory(tmp_path) == 2_000_000


def test_threads_are_set_and_wrong_numbers_refused():
    before = torch.get_num_threads()
    try:
        cores.set_threads(1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)

    for wrong in (0, 10_000):
        with pytest.raises(ValueError, match=f"got {wrong}: set_threads"):
            cores.set_threads(wrong)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other libraries don't hoard")
def test_freed_memory_goes_back_to_the_system():
    blocks = [b"x" * 60_000 for _ in range(3000)]
    kept = blocks[::100]  # so that what is freed lies between what is not
    del blocks
    before = psutil.Process().memory_info().rss

    cores.give_back_memory()

    assert len(kept) == 30
    assert before - psutil.Process().memory_info().rss > 100e6  # of 180


def test_without_that_c_library_nothing_happens(monkeypatch):
    def missing(name):
        raise OSError(f"there is no {name}")

    monkeypatch.setattr(cores.ctypes, "CDLL", missing)

    cores.give_back_memory()
