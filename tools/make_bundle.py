"""Makes a folder for a USB stick, to install the course where there is no network:

python -m tools.make_bundle build/bundle

It holds the course (notebooks, diagrams, measurements, program and models), its site with the pages
that run the models in a browser and the slides of each plan of a class, the wheels of the course
and of what it needs, a C compiler among them, and START.txt, which says how to begin. The wheels
are those for this system and this Python: make the bundle on a machine like those of the room. The
wheels of several such machines may lie in one folder, pip takes what fits.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from tools import build_site
from tools.course_files import COURSE, ROOT
from tools.program import status_of

LEFT_OUT = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")

START = """\
INSIDE AN LLM, FROM THIS STICK

No network is needed. You need 2 GB of free disk and Python. What lies in "wheels"
is for {wheels_for}.
(Which one have you got? Type python --version, on macOS and Linux python3 --version.
Where there are several, begin the first line below with py -{version} on Windows,
with python{version} elsewhere.)

1. Copy the folder "course" from here to your computer, and open a terminal in
   the copy. (Leave the wheels on the stick.)

2. Type these three lines. In place of STICK write where the folder with this
   file is, for example E:\\bundle on Windows, /Volumes/NAME/bundle on macOS,
   /media/YOU/NAME/bundle on Linux.

   Windows:

{windows}

   macOS and Linux:

{unix}

   The second line takes a few minutes: it installs the course into the folder
   .venv of your copy. The third opens it. From tomorrow on the third will do.

3. If something is wrong, ask what:

   Windows:        {windows_python} -m course_lib doctor
   macOS, Linux:   {unix_python} -m course_lib doctor

No Python? Then open site/index.html in any browser: every notebook with all its
results, nothing to install. The course's models run there, too. To take along
there is site/play/inside-an-llm.html; site/play/inside-an-llm-learns.html shows
one of them learn. Each is one file, which you may copy to a phone or pass on.

To teach, open site/TEACHING.html. Slides for the projector are in site/slides.

No C compiler (the doctor says so)? One comes along: the second line once more,
with ziglang in place of "course_lib[lab,classroom]".

README.md in "course" is the course's first page; it tells of `make`, which you
don't need here.
"""
WINDOWS_PYTHON, UNIX_PYTHON = r".venv\Scripts\python", ".venv/bin/python"


def commands(first: str, python: str, wheels: str) -> list[str]:
    """The lines that set up the course from the folder `wheels` and open it."""
    return [
        f"{first} -m venv .venv",
        f'{python} -m pip install --no-index --find-links "{wheels}" -c constraints.txt '
        '"course_lib[lab,classroom]"',
        f"{python} -m course_lib lab",
    ]


def start_text(wheels: list[str]) -> str:
    """START.txt for a bundle with the files `wheels`."""
    blocks = {
        "windows": commands("python", WINDOWS_PYTHON, r"STICK\wheels"),
        "unix": commands("python3", UNIX_PYTHON, "STICK/wheels"),
    }
    pythons = [python for python, _ in systems(wheels)]
    return START.format(
        wheels_for=in_words(systems(wheels)),
        version=pythons[0],
        windows_python=WINDOWS_PYTHON,
        unix_python=UNIX_PYTHON,
        **{name: "\n".join(f"      {line}" for line in lines) for name, lines in blocks.items()},
    )


def systems(wheels: list[str]) -> list[tuple[str, str]]:
    """(Python, system) for which torch's wheels are, as ("3.11", "Linux (x86_64)").

    Torch is the pickiest of all: where its wheel fits, the others do.
    """
    found = {
        (f"{tag.interpreter[2]}.{tag.interpreter[3:]}", _system(tag.platform))
        for wheel in wheels
        if wheel.startswith("torch-")
        for tag in parse_wheel_filename(wheel)[3]
    }
    if not found:
        raise ValueError(f"expected torch's wheel among {len(wheels)} wheels, found none")
    return sorted(found)


def _system(platform: str) -> str:
    """A wheel's platform, such as manylinux_2_28_x86_64, in words."""
    names = {"win": "Windows", "macosx": "macOS", "linux": "Linux", "manylinux": "Linux"}
    processors = ("x86_64", "amd64", "arm64", "aarch64")
    name = names[re.match("[a-z]+", platform)[0]]
    return f"{name} ({next(p for p in processors if platform.endswith(p))})"


def in_words(found: list[tuple[str, str]]) -> str:
    return " or ".join(f"Python {python} on {system}" for python, system in found)


def wrong_versions(wheels: list[str], constraints: str) -> list[str]:
    """The wheels that are of another version than `constraints` pins, one sentence each.

    What is not pinned is let through: other systems need a few packages more than the pins name.
    """
    lines = [line for line in constraints.splitlines() if line and not line.startswith("#")]
    pins = {canonicalize_name(pin.name): pin.specifier for pin in map(Requirement, lines)}
    found = [parse_wheel_filename(wheel)[:2] for wheel in wheels]
    return [
        f"{name} {version}, but constraints.txt wants {pins[name]}"
        for name, version in found
        if name in pins and version not in pins[name]
    ]


def clear(folder: Path) -> None:
    """Make `folder` empty; refused where it holds anything but an earlier bundle."""
    if folder.exists() and any(folder.iterdir()) and not (folder / "START.txt").is_file():
        raise ValueError(
            f"{folder} is not empty and holds no bundle: name another folder, or empty it yourself"
        )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "START.txt").write_text("This bundle is not finished.\n")


def copy_course(folder: Path) -> None:
    """Copy what a learner reads and runs into `folder`."""
    folder.mkdir()
    for name in COURSE:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=LEFT_OUT)
        else:
            shutil.copy(source, folder / name)


def collect_wheels(folder: Path) -> list[str]:
    """The names of the wheels of the course and all it needs, which pip puts into `folder`."""
    pins = ["-c", str(ROOT / "constraints.txt")]
    with TemporaryDirectory() as copy:  # setuptools leaves things behind where it builds
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, copy)
        shutil.copytree(ROOT / "course_lib", Path(copy, "course_lib"), ignore=LEFT_OUT)
        _pip("wheel", "--wheel-dir", str(folder), *pins, f"{copy}[lab,classroom,cc]")
    return sorted(path.name for path in folder.glob("*.whl"))


def try_install(folder: Path) -> None:
    """Let pip say whether the wheels in `folder` are all that the course needs."""
    offline = ["--no-index", "--find-links", str(folder), "-c", str(ROOT / "constraints.txt")]
    _pip(
        "install",
        "--quiet",
        "--dry-run",
        "--ignore-installed",
        *offline,
        "course_lib[lab,classroom,cc]",
    )


def _pip(*arguments: str) -> None:
    result = subprocess.run([sys.executable, "-m", "pip", *arguments])
    if result.returncode:
        raise ValueError(
            f"`pip {arguments[0]}` failed, see above. It needs a network, or all wheels in a "
            "folder that the environment variable PIP_FIND_LINKS names."
        )


def make(folder: Path) -> None:
    """Write the whole bundle into `folder`."""
    clear(folder)
    copy_course(folder / "course")
    build_site.build(folder / "site")
    print("Collecting wheels: some hundred megabytes, a few minutes.", flush=True)
    wheels = collect_wheels(folder / "wheels")
    wrong = wrong_versions(wheels, (ROOT / "constraints.txt").read_text(encoding="utf-8"))
    if wrong:
        raise ValueError("these wheels are of the wrong version: " + "; ".join(wrong))
    try_install(folder / "wheels")
    (folder / "START.txt").write_text(start_text(wheels), encoding="utf-8")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{folder}: {len(wheels)} wheels, {size / 1e6:,.0f} MB, for {in_words(systems(wheels))}.")
    print("Copy the folder to a stick; START.txt in it says how to begin.")


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    return status_of(lambda: make(Path(arguments[0])))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
