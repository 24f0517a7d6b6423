"""The device to compute on, its self-test and its number format."""

import math
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from course_lib.machine import device


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
    monkeypatch.setattr(device, "gpus", lambda: ["meta"])

    with pytest.warns(RuntimeWarning, match="'meta' is here but not used: torch stopped"):
        assert device.pick_device() == torch.device("cpu")


def test_a_gpu_that_computes_wrongly_is_refused_by_name(monkeypatch):
    monkeypatch.setattr(device, "gpus", lambda: ["meta"])

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


def test_importing_the_module_does_not_import_torch():
    script = "import sys, course_lib.machine.device; print('torch' in sys.modules)"

    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert (result.stdout, result.stderr) == ("False\n", "")
