"""What the first cell of a page on Colab runs once it has fetched the course.

The machine behind such a page has a kernel, torch, numpy and much else that fit together. So pip
may add here what the course lacks, and nothing that is there may change. It is run before any of
the course is installed, and needs Python alone.
"""

import importlib
import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

COURSE = Path(__file__).parent.parent
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
NAME = "course_lib"


def set_up(course: Path = COURSE) -> None:
    """Adds the course and the packages that it lacks here; RuntimeError where that can't be."""
    before = installed()
    with TemporaryDirectory() as folder:
        kept = Path(folder, "kept.txt")
        kept.write_text("".join(f"{name}=={before[name]}\n" for name in before if name != NAME))
        add = [*PIP, "install", "--constraint", kept, "--editable", course]
        done = subprocess.run(add, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise RuntimeError(
            "pip could not add what the course needs, and has changed nothing. It says:\n\n"
            f"{done.stdout}\nDoes it name a package that Colab has in another version? Take an "
            "older runtime (Runtime > Change runtime type > Runtime version) and run this again."
        )
    sys.path[:0] = [str(course)] * (str(course) not in sys.path)  # this kernel began without it
    importlib.invalidate_caches()
    with suppress(ImportError):  # or our widgets stay blank there
        from google.colab import output

        output.enable_custom_widget_manager()
    after = installed()
    added = [f"{name} {after[name]}" for name in after if name not in before]
    print(f"Added: {', '.join(added) or 'nothing, all was there'}. Nothing else was changed.")
    print(f"The course is in {course}, and what you make goes to {course / 'artifacts'}.")
    print("Colab deletes both when your session ends. This page stays with File > Save a copy.")


def installed() -> dict[str, str]:
    """The version of each package that pip finds here."""
    listed = subprocess.run(
        [*PIP, "list", "--format=json"], capture_output=True, text=True, check=True
    )
    return {package["name"]: package["version"] for package in json.loads(listed.stdout)}


if __name__ == "__main__":
    set_up()
