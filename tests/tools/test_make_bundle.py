"""The bundle for a USB stick: its files, its START.txt and its wheels; pip itself is not asked."""

import shlex
from pathlib import Path

import pytest

from tools import make_bundle

WHEELS = [
    "course_lib-0.1.0-py3-none-any.whl",
    "ipykernel-7.4.0-py3-none-any.whl",
    "torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl",
]
PINS = "# a remark\nipykernel==7.4.0\ntorch==2.13.0\n"


@pytest.fixture
def no_pip(monkeypatch):
    """The calls of pip, none of which is made; `wheel` leaves the files WHEELS behind."""
    calls = []

    def pip(*arguments):
        calls.append(arguments)
        if arguments[0] == "wheel":
            folder = Path(arguments[arguments.index("--wheel-dir") + 1])
            folder.mkdir()
            for name in WHEELS:
                (folder / name).write_text("a wheel")

    monkeypatch.setattr(make_bundle, "_pip", pip)
    return calls


def test_start_tells_three_lines_for_each_system():
    lines = [line.strip() for line in make_bundle.start_text(WHEELS).splitlines()]

    for first, python in (("python", r".venv\Scripts\python"), ("python3", ".venv/bin/python")):
        install, open_lab = lines[lines.index(f"{first} -m venv .venv") + 1 :][:2]
        assert install.startswith(f"{python} -m pip install --no-index --find-links ")
        assert install.endswith(' -c constraints.txt "course_lib[lab,classroom]"')
        assert shlex.split(install, posix=False)[6].strip('"') in ("STICK/wheels", r"STICK\wheels")
        assert open_lab == f"{python} -m course_lib lab"
    assert f"{python} -m course_lib doctor" in " ".join(lines)


def test_start_names_pythons_and_systems():
    others = [
        "torch-2.13.0-cp313-cp313-win_amd64.whl",
        "torch-2.13.0-cp311-none-macosx_14_0_arm64.whl",
    ]

    assert "Python 3.11 on Linux (x86_64)." in make_bundle.start_text(WHEELS)
    assert make_bundle.in_words(make_bundle.systems([*WHEELS, *others])) == (
        "Python 3.11 on Linux (x86_64) or Python 3.11 on macOS (arm64) "
        "or Python 3.13 on Windows (amd64)"
    )


def test_a_bundle_without_torch_is_refused():
    with pytest.raises(ValueError, match="torch's wheel among 2 wheels"):
        make_bundle.start_text(WHEELS[:2])


def test_wheels_of_another_version_are_named():
    others = ["ipykernel-7.5.0-py3-none-any.whl", "colorama-0.4.6-py2.py3-none-any.whl"]

    assert make_bundle.wrong_versions(WHEELS, PINS) == []
    assert make_bundle.wrong_versions([*WHEELS, *others], PINS) == [
        "ipykernel 7.5.0, but constraints.txt wants ==7.4.0"
    ]


def test_a_bundle_holds_course_pages_wheels_and_start(no_pip, monkeypatch, tmp_path, capsys):
    # the site is tested elsewhere
    monkeypatch.setattr(make_bundle.build_site, "build", lambda folder: Path(folder).mkdir())
    folder = tmp_path / "bundle"

    assert make_bundle.main([str(folder)]) == 0

    assert {path.name for path in folder.iterdir()} == {
        "START.txt",
        "course",
        "site",
        "wheels",
    }
    assert {path.name for path in (folder / "course").iterdir()} == set(make_bundle.COURSE)
    assert not list(folder.rglob("__pycache__"))
    for needed in (
        "notebooks/01_two_files.ipynb",
        "benchmarks/data/scaling.csv",
        "pyproject.toml",
    ):
        assert (folder / "course" / needed).is_file()
    assert (folder / "START.txt").read_text("utf-8") == make_bundle.start_text(WHEELS)
    assert [call[0] for call in no_pip] == ["wheel", "install"]
    assert all(call[-1].endswith("[lab,classroom,cc]") for call in no_pip)
    assert "--no-index" in no_pip[1] and str(folder / "wheels") in no_pip[1]
    assert "3 wheels" in capsys.readouterr().out


def test_a_bundle_is_made_anew_but_nothing_else_is_deleted(tmp_path):
    bundle, photos = tmp_path / "bundle", tmp_path / "photos"
    for folder, file in ((bundle, "START.txt"), (bundle, "old.whl"), (photos, "cat.png")):
        folder.mkdir(exist_ok=True)
        (folder / file).write_text("something")

    make_bundle.clear(bundle)
    with pytest.raises(ValueError, match="holds no bundle"):
        make_bundle.clear(photos)

    assert [path.name for path in bundle.iterdir()] == ["START.txt"]
    assert (photos / "cat.png").is_file()


def test_what_pip_cannot_do_is_told(monkeypatch, tmp_path, capfd):
    monkeypatch.setattr(make_bundle.build_site, "build", lambda folder: None)
    monkeypatch.setattr(make_bundle, "collect_wheels", lambda folder: make_bundle._pip("nonsense"))

    assert make_bundle.main([str(tmp_path / "bundle")]) == 1

    assert "error: `pip nonsense` failed" in capfd.readouterr().err
    assert "not finished" in (tmp_path / "bundle" / "START.txt").read_text()
