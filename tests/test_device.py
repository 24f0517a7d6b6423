"""device.py: the self-test tells right from wrong, cores and limits are read, doctor has advice."""

import math
import platform
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import torch

from course_lib import device
from course_lib.device import Finding


def test_the_cpu_passes_the_self_test():
    test = device.numeric_self_test("cpu")

    assert test.passed
    # float32 has 24 bits, 6e-8; sums of 160 terms and exp of large numbers lose a few of them
    assert 0 < max(test.errors.values()) < 2e-5


@pytest.mark.parametrize("damage", [lambda x: x * 1.05, lambda x: x * math.nan, torch.zeros_like])
@pytest.mark.parametrize("check", ["a product", "attention", "a gradient", "an in-place update"])
def test_a_wrong_sum_fails_the_self_test(monkeypatch, check, damage):
    right = device._sums

    def wrong(where, dtype):
        sums = right(where, dtype)
        return {**sums, check: damage(sums[check])} if dtype == torch.float32 else sums

    monkeypatch.setattr(device, "_sums", wrong)
    test = device.numeric_self_test("cpu")

    assert not test.passed
    assert test.reason.startswith(f"{check} is off by")


def test_a_device_that_stops_fails_the_self_test():
    test = device.numeric_self_test("meta")  # torch's device without numbers

    assert not test.passed
    assert "torch stopped with" in test.reason


def test_a_gpu_that_computes_wrongly_is_left_out_with_a_warning(monkeypatch):
    monkeypatch.setattr(device, "_gpus", lambda: ["meta"])

    with pytest.warns(RuntimeWarning, match="'meta' is here but not used: torch stopped"):
        assert device.pick_device() == torch.device("cpu")


def test_a_gpu_that_computes_wrongly_is_refused_by_name(monkeypatch):
    monkeypatch.setattr(device, "_gpus", lambda: ["meta"])

    with pytest.raises(ValueError, match=r"'meta' computes wrongly .* pick_device\('cpu'\)"):
        device.pick_device("meta")


def test_a_preference_is_followed():
    assert device.pick_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "", "cpu:one", "CPU", "cuda:99"])
def test_an_unknown_preference_is_refused(name):
    with pytest.raises(ValueError, match=r"there is no .* here"):
        device.pick_device(name)


@pytest.mark.gpu
def test_a_gpu_is_picked_and_computes_rightly():
    picked = device.pick_device()

    assert picked.type in ("cuda", "mps")
    assert device.numeric_self_test(picked).passed
    assert device.compute_dtype(picked) in (torch.float32, torch.bfloat16)


def test_bfloat16_is_chosen_where_the_processor_has_it():
    flags = Path("/proc/cpuinfo")
    if platform.machine() != "x86_64" or not flags.exists():
        pytest.skip("only Linux on x86 lists the processor's instructions in /proc/cpuinfo")
    has_bf16 = {"avx512_bf16", "amx_bf16"} & set(flags.read_text().split())

    assert (device.compute_dtype("cpu") == torch.bfloat16) == bool(has_bf16)


def test_an_apple_gpu_computes_in_float32():
    assert device.compute_dtype("mps") == torch.float32


@pytest.mark.parametrize(
    ("busy", "free"),
    [([0, 0, 0, 0], 4), ([3, 2, 5, 4], 4), ([100, 0, 0, 0], 3), ([40, 0, 0, 0], 3), ([99] * 4, 1)],
)
def test_free_cores_are_those_that_stand_idle(monkeypatch, busy, free):
    monkeypatch.setattr(device, "_affinity", lambda: [0, 1, 2, 3])
    monkeypatch.setattr(device, "_cpu_quota", lambda: 1e6)
    monkeypatch.setattr(device.psutil, "cpu_percent", lambda interval, percpu: busy)

    assert device.free_cores() == free


def test_free_cores_stay_inside_the_affinity_and_the_quota(monkeypatch):
    monkeypatch.setattr(device.psutil, "cpu_percent", lambda interval, percpu: [0, 0, 100, 0])
    monkeypatch.setattr(device, "_affinity", lambda: [1, 2])
    monkeypatch.setattr(device, "_cpu_quota", lambda: 1e6)
    assert device.free_cores() == 1

    monkeypatch.setattr(device, "_affinity", lambda: [0, 1, 3])
    monkeypatch.setattr(device, "_cpu_quota", lambda: 2.0)
    assert device.free_cores() == 2


def test_the_quota_of_a_container_is_read(tmp_path):
    assert device._cpu_quota(tmp_path) == 1e6  # no files, no limit

    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert device._cpu_quota(tmp_path) == 1e6

    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert device._cpu_quota(tmp_path) == 1.5


def test_the_quota_of_an_older_container_is_read(tmp_path):
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    assert device._cpu_quota(tmp_path) == 1e6

    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("300000\n")
    assert device._cpu_quota(tmp_path) == 3


def test_the_memory_limit_of_a_container_is_read(tmp_path):
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.current").write_text("1000000\n")

    assert device._free_memory(tmp_path) == 2_000_000


def test_threads_are_set_and_wrong_numbers_refused():
    before = torch.get_num_threads()
    try:
        device.set_threads(1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)

    for wrong in (0, 10_000):
        with pytest.raises(ValueError, match=f"got {wrong}: set_threads"):
            device.set_threads(wrong)


def test_doctor_looks_at_everything_and_advises_where_something_is_wrong():
    found = device.findings()

    names = "Python torch device cores memory disk C-compiler JupyterLab ipykernel course_lib"
    assert [finding.name.replace(" ", "-") for finding in found] == names.split()
    assert all(finding.status in ("ok", "warn", "fail") for finding in found)
    assert all(bool(finding.advice) == (finding.status != "ok") for finding in found)


def test_doctor_says_that_torch_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # how Python marks what can't be imported

    found = {finding.name: finding for finding in device.findings()}

    assert found["torch"].status == "fail"
    assert "pip install torch" in found["torch"].advice
    assert "device" not in found


def test_doctor_says_that_a_device_is_wrong(monkeypatch):
    monkeypatch.setattr(device, "_gpus", lambda: ["meta"])

    finding = device._device()

    assert finding.status == "warn"
    assert "meta: torch stopped with" in finding.found
    assert "runs on the CPU" in finding.advice


@pytest.mark.parametrize(("gib", "status"), [(1, "fail"), (2, "warn"), (4, "ok")])
def test_doctor_weighs_the_memory(monkeypatch, gib, status):
    monkeypatch.setattr(device, "_free_memory", lambda: gib * 2**30)

    assert device._memory().status == status


def test_doctor_says_what_is_not_installed():
    assert device._package("JupyterLab", "jupyterlab").status == "ok"
    assert device._package("A thing", "no-such-thing") == Finding(
        "A thing", "fail", "not installed", "Install it: `pip install no-such-thing`."
    )


def test_doctor_names_the_packages_that_the_course_lacks(monkeypatch):
    asked = ["numpy>=2", "no-such-thing>=1", 'never-asked-for>=1; extra == "cc"']
    monkeypatch.setattr(device.metadata, "requires", lambda name: asked)
    version = device.metadata.version
    monkeypatch.setattr(
        device.metadata, "version", lambda name: "0.1" if name == "course_lib" else version(name)
    )

    finding = device._course_lib()

    assert (finding.status, finding.found) == ("fail", "0.1, lacks no-such-thing>=1")


def test_requirements_are_compared_with_what_is_installed():
    assert device._is_met("numpy>=2")
    assert not device._is_met("numpy>=999")
    assert not device._is_met("no-such-thing")


def test_importing_the_module_does_not_import_torch():
    script = "import sys, course_lib.device; print('torch' in sys.modules)"

    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert (result.stdout, result.stderr) == ("False\n", "")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other libraries don't hoard")
def test_freed_memory_goes_back_to_the_system():
    blocks = [b"x" * 60_000 for _ in range(3000)]
    kept = blocks[::100]  # so that what is freed lies between what is not
    del blocks
    before = psutil.Process().memory_info().rss

    device.give_back_memory()

    assert len(kept) == 30
    assert before - psutil.Process().memory_info().rss > 100e6  # of 180


def test_without_that_c_library_nothing_happens(monkeypatch):
    def missing(name):
        raise OSError(f"there is no {name}")

    monkeypatch.setattr(device.ctypes, "CDLL", missing)

    device.give_back_memory()
