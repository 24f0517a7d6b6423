"""What the first cell of a page on Colab runs once it has fetched the course.

The machine behind such a page has a kernel, torch, numpy and much else that fit together. So pip
may add here what the course lacks, and nothing that is there may change. Nothing of the course is
installed yet, so this needs only what Colab has.
"""

import importlib
import subprocess
import sys
import tomllib
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.requirements import Requirement

COURSE = Path(__file__).parent.parent


def set_up(course: Path = COURSE) -> None:
    """Adds the packages that the course lacks here, and the course; RuntimeError if it can't."""
    missing = lacking(course)
    if missing:
        with TemporaryDirectory() as folder:
            kept = Path(folder, "kept.txt")
            kept.write_text(_pip("list", "--format=freeze"))
            _pip("install", "--constraint", kept, *missing)
    # Without its dependencies: pip would look into those of Colab's own packages, too.
    _pip("install", "--no-deps", "--editable", course)
    sys.path[:0] = [str(course)] * (str(course) not in sys.path)  # this kernel began without it
    importlib.invalidate_caches()
    with suppress(ImportError):  # or our widgets stay blank there
        from google.colab import output

        output.enable_custom_widget_manager()
    added = ", ".join(missing) or "nothing, all is there"
    print(f"Added to what Colab has: {added}. Changed: nothing.")
    print(f"The course is in {course}, and what you make goes to {course / 'artifacts'}.")
    print("Colab deletes both when your session ends. This page stays with File > Save a copy.")


def lacking(course: Path) -> list[str]:
    """The names of the packages that the course needs and that aren't here in any version."""
    project = tomllib.loads((course / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    missing, unfit = [], []
    for need in map(Requirement, project["dependencies"]):
        try:
            here = metadata.version(need.name)
        except metadata.PackageNotFoundError:
            missing.append(str(need))
            continue
        if not need.specifier.contains(here, prereleases=True):
            unfit.append(f"{need} (here: {here})")
    if unfit:
        raise RuntimeError(
            f"the course needs {', '.join(unfit)}. Another version would break more of Colab than "
            "it mends: take another runtime (Runtime > Change runtime type > Runtime version), and "
            "run this cell again."
        )
    return missing


def _pip(*arguments: object) -> str:
    """What pip says; RuntimeError with its words where it gives up."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    done = subprocess.run([*pip, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(
            "pip could not add what the course needs. Was it the network? Then run this cell again."
            f"\nIt says:\n\n{done.stdout}{done.stderr}"
        )
    return done.stdout


if __name__ == "__main__":
    set_up()
