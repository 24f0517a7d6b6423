"""Says where the pins install from wheels alone, without installing: python -m tools.resolve_pins

For every Python that pyproject.toml admits, in its oldest release, and every system that README.md
promises, `uv` looks up which wheels there are. It needs a network and `pip install uv`, which takes
the place of pip here because it also judges for another system than the one that it runs on.
"""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parent.parent
# The oldest glibc and macOS that torch's wheels are made for.
SYSTEMS = {
    "Linux on x86-64": "x86_64-manylinux_2_28",
    "Linux on ARM": "aarch64-manylinux_2_28",
    "macOS 14 on Apple silicon": "aarch64-apple-darwin",
    "Windows on x86-64": "x86_64-pc-windows-msvc",
}
OLDEST_MACOS = {"MACOSX_DEPLOYMENT_TARGET": "14.0"}


def pythons() -> list[str]:
    """The Pythons that pyproject.toml admits, as in ["3.11", "3.12"]."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    admitted = SpecifierSet(project["requires-python"])
    return [f"3.{minor}" for minor in range(100) if f"3.{minor}.0" in admitted]


def why_not(python: str, platform: str) -> str:
    """Why the pins don't install with that Python on that platform; "" if they do."""
    command = ["uv", "pip", "compile", "--quiet", "--no-config", "--only-binary", ":all:"]
    command += ["--python-version", python, "--python-platform", platform]
    command += ["--all-extras", "--constraint", "constraints.txt", "pyproject.toml"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **OLDEST_MACOS},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    return done.stderr.strip() if done.returncode else ""


def main() -> int:
    failed = False
    for python in pythons():
        for system, platform in SYSTEMS.items():
            try:
                reason = why_not(python, platform)
            except FileNotFoundError:
                print("error: this needs uv: pip install uv", file=sys.stderr)
                return 2
            failed = failed or bool(reason)
            print(f"Python {python}, {system}: {reason or 'every pin has a wheel'}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
