"""Where the pins have wheels; uv itself, which would want a network, is not asked."""

import re
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tools import resolve_pins

ROOT = Path(__file__).parents[2]


@pytest.fixture
def uv(monkeypatch):
    """Sets what uv says: a function from its arguments and environment to what it complains of."""

    def says(complaint):
        def run(command, *, env, **options):
            reason = complaint(command, env)
            return CompletedProcess(command, 2 if reason else 0, "", f"{reason}\n")

        monkeypatch.setattr(resolve_pins.subprocess, "run", run)

    return says


def test_every_python_that_we_state_is_asked_for():
    assert resolve_pins.pythons() == ["3.11", "3.12", "3.13", "3.14"]


def test_each_python_and_system_is_asked_for_once_with_all_pins_and_extras(uv, capsys):
    calls = []
    uv(lambda command, env: calls.append(" ".join(command)))

    assert resolve_pins.main() == 0

    assert len(calls) == len(set(calls)) == 4 * len(resolve_pins.SYSTEMS)
    for part in ("--only-binary :all:", "--all-extras", "--constraint constraints.txt"):
        assert all(part in call for call in calls)
    assert capsys.readouterr().out.count("every pin has a wheel") == len(calls)


def test_the_page_on_installing_promises_what_is_asked_for():
    page = (ROOT / "INSTALL.md").read_text(encoding="utf-8")
    promised = dict(re.findall(r"^\| ((?:Linux|macOS|Windows) .*) \| (.*) \|$", page, re.M))

    assert list(promised) == [
        "Linux on x86-64 or ARM",
        "macOS on Apple silicon",
        "Windows on x86-64",
    ]
    glibc = promised["Linux on x86-64 or ARM"].split(",")[0].removeprefix("glibc ")
    linux = [tag for name, tag in resolve_pins.SYSTEMS.items() if name.startswith("Linux")]
    assert len(linux) == 2
    assert all(tag.endswith(f"manylinux_{glibc.replace('.', '_')}") for tag in linux)
    macos = resolve_pins.OLDEST_MACOS["MACOSX_DEPLOYMENT_TARGET"]
    assert f"{promised['macOS on Apple silicon']}.0" == f"macOS {macos}"


def test_what_has_no_wheel_is_told_and_the_others_are_looked_at_all_the_same(uv, capsys):
    here = {"3.13", "x86_64-pc-windows-msvc"}
    uv(lambda command, env: "numpy has no wheels" if here <= set(command) else "")

    assert resolve_pins.main() == 1

    said = capsys.readouterr().out
    assert "Python 3.13, Windows on x86-64: numpy has no wheels\n" in said
    assert said.count("every pin has a wheel") == 15


def test_a_mac_is_as_old_as_the_readme_allows(uv, capsys):
    uv(lambda command, env: env["MACOSX_DEPLOYMENT_TARGET"])

    assert resolve_pins.main() == 1
    assert "macOS 14 on Apple silicon: 14.0\n" in capsys.readouterr().out


def test_without_uv_it_says_what_to_install(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))

    assert resolve_pins.main() == 2
    assert "pip install uv" in capsys.readouterr().err
