"""What `doctor` finds, and what it tells people to do."""

import sys

import pytest

from course_lib import doctor
from course_lib.doctor import Finding


def test_doctor_looks_at_everything_and_advises_where_something_is_wrong():
    found = doctor.findings()

    names = "Python torch device cores memory disk C-compiler JupyterLab ipykernel course_lib"
    assert [finding.name.replace(" ", "-") for finding in found] == names.split()
    assert all(finding.status in ("ok", "warn", "fail") for finding in found)
    assert all(bool(finding.advice) == (finding.status != "ok") for finding in found)


def test_doctor_says_that_torch_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # how Python marks what can't be imported

    found = {finding.name: finding for finding in doctor.findings()}

    assert found["torch"].status == "fail"
    assert "pip install torch" in found["torch"].advice
    assert "device" not in found


def test_doctor_says_that_a_device_is_wrong(monkeypatch):
    monkeypatch.setattr(doctor, "gpus", lambda: ["meta"])

    finding = doctor._device()

    assert finding.status == "warn"
    assert "meta: torch stopped with" in finding.found
    assert "runs on the CPU" in finding.advice


@pytest.mark.parametrize(("gib", "status"), [(1, "fail"), (2, "warn"), (4, "ok")])
def test_doctor_weighs_the_memory(monkeypatch, gib, status):
    monkeypatch.setattr(doctor, "free_memory", lambda: gib * 2**30)

    assert doctor._memory().status == status


def test_doctor_says_what_is_not_installed():
    assert doctor._package("JupyterLab", "jupyterlab").status == "ok"
    assert doctor._package("A thing", "no-such-thing") == Finding(
        "A thing", "fail", "not installed", "Install it: `pip install no-such-thing`."
    )


def test_doctor_names_the_packages_that_the_course_lacks(monkeypatch):
    asked = ["numpy>=2", "no-such-thing>=1", 'never-asked-for>=1; extra == "cc"']
    monkeypatch.setattr(doctor.metadata, "requires", lambda name: asked)
    version = doctor.metadata.version
    monkeypatch.setattr(
        doctor.metadata, "version", lambda name: "0.1" if name == "course_lib" else version(name)
    )

    finding = doctor._course_lib()

    assert (finding.status, finding.found) == ("fail", "0.1, lacks no-such-thing>=1")


def test_requirements_are_compared_with_what_is_installed():
    assert doctor._is_met("numpy>=2")
    assert not doctor._is_met("numpy>=999")
    assert not doctor._is_met("no-such-thing")
