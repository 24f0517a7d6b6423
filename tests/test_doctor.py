"""What `doctor` finds, and what it tells people to do: each thing is broken once."""

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from course_lib import doctor
from course_lib.doctor import Finding
from course_lib.files import run_file
from course_lib.pipeline.release import RELEASED


@pytest.fixture(scope="module")
def found():
    return list(doctor.findings())


def test_doctor_looks_at_everything_and_advises_where_something_is_wrong(found):
    names = (
        "Python text cores memory disk course_lib torch device models artifacts C-compiler "
        "JupyterLab ipykernel kernel"
    )
    assert [finding.name.replace(" ", "-") for finding in found] == names.split()
    assert all(finding.status in ("ok", "warn", "fail") for finding in found)
    assert all(bool(finding.advice) == (finding.status != "ok") for finding in found)
    assert all("\n" not in finding.found + finding.advice for finding in found)


def test_doctor_finds_nothing_wrong_where_the_tests_run(found):
    failed = {finding.name: finding.found for finding in found if finding.status == "fail"}
    failed.pop("memory", None)  # other tests may hold it

    assert failed == {}


def test_doctor_says_that_torch_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # how Python marks what can't be imported
    monkeypatch.setattr(doctor, "_kernel", lambda: Finding("kernel", "ok", ""))

    found = {finding.name: finding for finding in doctor.findings()}

    assert found["torch"].status == "fail"
    assert "pip install torch" in found["torch"].advice
    assert "device" not in found


def broken(folder: Path, package: str) -> str:
    """Puts a package that doesn't load before all others; what PYTHONPATH must be for that."""
    (folder / package).mkdir()
    (folder / package / "__init__.py").write_text("raise RuntimeError('mixed versions')")
    return os.pathsep.join([str(folder), os.environ["PYTHONPATH"]])


def test_doctor_goes_on_where_a_package_is_broken(tmp_path):
    script = (
        "from itertools import islice; from course_lib.doctor import findings\n"
        "for finding in islice(findings(), 5): print(finding.name, finding.status, finding.found)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": broken(tmp_path, "psutil")},
        capture_output=True,
        text=True,
    )

    assert done.stderr == "" and "cores fail RuntimeError: mixed versions" in done.stdout
    assert "disk ok" in done.stdout


@pytest.mark.parametrize("locale", [{"LC_ALL": "C", "PYTHONUTF8": "0"}, {"LC_ALL": "xx_XX"}])
def test_doctor_says_what_the_locale_can_not_show(locale):
    script = "from course_lib import doctor; print(doctor._encoding().status)"
    plain = os.environ | {"PYTHONCOERCECLOCALE": "0"} | locale

    said = subprocess.check_output([sys.executable, "-c", script], env=plain, text=True)

    assert said == "warn\n"


def test_doctor_says_that_a_device_is_wrong(monkeypatch):
    monkeypatch.setattr("course_lib.machine.device.gpus", lambda: ["meta"])

    finding = doctor._device()

    assert finding.status == "warn"
    assert "meta: torch stopped with" in finding.found
    assert "runs on the CPU" in finding.advice


@pytest.mark.parametrize(("gib", "status"), [(1, "fail"), (2, "warn"), (4, "ok")])
def test_doctor_weighs_the_memory(monkeypatch, gib, status):
    monkeypatch.setattr("course_lib.machine.cores.free_memory", lambda: gib * 2**30)

    assert doctor._memory().status == status


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 3508000\n"


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("model.gguf", None),
        ("model.gguf", lambda data: POINTER),
        ("base.gguf", lambda data: data[:-1] + bytes([data[-1] ^ 1])),
        ("manifest.json", None),
        ("base/model.safetensors", lambda data: POINTER),
        ("sft/model.safetensors", lambda data: data[: len(data) // 2]),
        ("rlhf/config.json", lambda data: b"<html>404</html>"),
        ("rlhf/tokenizer.json", lambda data: data.replace(b"six", b"sux")),
        ("base/tokenizer.json", None),
        ("rlhf/manifest.json", None),
        ("reward/reward_head.safetensors", None),
    ],
)
def test_doctor_says_which_released_file_is_damaged(tmp_path, monkeypatch, file, change):
    shutil.copytree(RELEASED, tmp_path / "released")
    monkeypatch.setattr("course_lib.pipeline.release.RELEASED", tmp_path / "released")
    assert doctor._models().status == "ok"
    damaged = tmp_path / "released" / file
    if change:
        before = damaged.read_bytes()
        damaged.write_bytes(change(before))
        assert damaged.read_bytes() != before
    else:
        damaged.unlink()

    finding = doctor._models()

    assert finding.status == "fail" and "course_lib/released anew" in finding.advice
    assert str(tmp_path / "released") in finding.found and "\n" not in finding.found


def test_doctor_says_that_notebooks_can_not_keep_what_they_write(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "NOTEBOOKS", tmp_path / "notebooks")
    monkeypatch.setattr(Path, "cwd", lambda: tmp_path)
    monkeypatch.delenv("COURSE_ARTIFACTS")
    (tmp_path / "notebooks").mkdir()
    assert doctor._artifacts().status == "ok" and not (tmp_path / "artifacts").exists()

    (tmp_path / "file").touch()
    monkeypatch.setenv("COURSE_ARTIFACTS", str(tmp_path / "file"))
    assert doctor._artifacts().status == "fail"
    monkeypatch.delenv("COURSE_ARTIFACTS")
    (tmp_path / "artifacts").touch()  # where a folder should be
    finding = doctor._artifacts()
    assert finding.status == "fail" and "artifacts can't be written to" in finding.found


@pytest.mark.parametrize("made", ["by a compiler that asks", "wrongly", "not at all"])
def test_doctor_runs_the_run_file_before_it_believes_in_the_compiler(tmp_path, monkeypatch, made):
    compile_run_file = run_file.compile_run_file

    def wrongly(folder: str) -> Path:
        source = tmp_path / "run.c"
        text = run_file.SOURCE.read_text(encoding="utf-8")
        source.write_text(text.replace("attention(m, l)", "0"), encoding="utf-8")
        return compile_run_file(folder, source)

    def not_at_all(folder: str) -> Path:
        raise ValueError("cc can't compile run.c:\nit says why")

    if made == "wrongly":
        monkeypatch.setattr(run_file, "compile_run_file", wrongly)
    elif made == "not at all":
        monkeypatch.setattr(run_file, "compile_run_file", not_at_all)
    else:
        monkeypatch.setattr(run_file, "_candidates", lambda: [[sys.executable, "-c", "exit(1)"]])
    finding = doctor._compiler()

    status, words = {
        "by a compiler that asks": ("warn", "none that works"),
        "wrongly": ("fail", "probable by base.gguf, Python"),
        "not at all": ("fail", "can't compile run.c: it says why"),
    }[made]
    assert finding.status == status and words in finding.found


@pytest.mark.parametrize("package", ["matplotlib", "ipywidgets", "tiktoken"])
def test_doctor_says_which_package_a_notebook_lacks(tmp_path, monkeypatch, package):
    monkeypatch.setenv("PYTHONPATH", broken(tmp_path, package))

    finding = doctor._kernel()

    assert finding.status == "fail" and f"{package} (RuntimeError" in finding.found


def test_without_ipykernel_only_a_kernel_that_runs_already_will_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", broken(tmp_path, "ipykernel"))
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)

    assert doctor._kernel().status == "fail"
    assert doctor._package("A thing", "no-such-thing") == Finding(
        "A thing", "fail", "not installed", "Install it: `pip install no-such-thing`."
    )
    monkeypatch.setenv("JPY_PARENT_PID", "1")  # as on Colab
    assert doctor._kernel().status == "warn"
    assert doctor._package("A thing", "no-such-thing").status == "warn"


def test_doctor_says_that_notebooks_get_another_course(tmp_path, monkeypatch):
    (tmp_path / "course_lib").mkdir()
    (tmp_path / "course_lib" / "__init__.py").touch()
    path = os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])
    monkeypatch.setenv("PYTHONPATH", path)

    finding = doctor._kernel()

    assert finding.status == "fail"
    assert f"get the course from {tmp_path / 'course_lib'}" in finding.found


@pytest.mark.parametrize("there", [True, False])
def test_doctor_says_that_a_kernel_is_another_python_s(tmp_path, monkeypatch, there):
    other = tmp_path / "old" / ("Scripts" if os.name == "nt" else "bin") / "python"
    if there:
        venv.create(tmp_path / "old", symlinks=os.name != "nt")
        site = next((tmp_path / "old").rglob("site-packages"))
        packages = [path for path in sys.path if path.endswith("site-packages")]
        (site / "ours.pth").write_text("\n".join(packages))
    spec = tmp_path / "kernels" / "python3" / "kernel.json"
    spec.parent.mkdir(parents=True)
    start = [str(other), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec.write_text(json.dumps({"argv": start, "display_name": "Old", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)

    finding = doctor._kernel()

    assert finding.status == "fail"
    assert (f"starts the Python in {tmp_path / 'old'}" if there else str(other)) in finding.found


def test_doctor_names_the_packages_that_the_course_lacks(monkeypatch):
    asked = ["numpy>=2", "no-such-thing>=1", 'never-asked-for>=1; extra == "cc"']
    asked.append('no-such-lab; extra == "lab"')
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)
    monkeypatch.setattr(doctor.metadata, "requires", lambda name: asked)
    version = doctor.metadata.version
    monkeypatch.setattr(
        doctor.metadata, "version", lambda name: "0.1" if name == "course_lib" else version(name)
    )

    finding = doctor._course_lib()
    monkeypatch.setenv("JPY_PARENT_PID", "1")  # in a kernel of somebody else's, as on Colab
    guest = doctor._course_lib()

    lacks = "0.1, lacks no-such-thing>=1"
    assert (guest.status, guest.found) == ("fail", lacks)
    assert (finding.status, finding.found) == ("fail", f'{lacks}, no-such-lab; extra == "lab"')


def test_requirements_are_compared_with_what_is_installed():
    assert doctor._is_met("numpy>=2")
    assert not doctor._is_met("numpy>=999")
    assert not doctor._is_met("no-such-thing")
