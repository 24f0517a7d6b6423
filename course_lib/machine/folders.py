"""Where the course lies and where it keeps what is yours, in whatever folder a kernel started.

JupyterLab starts a kernel beside its notebook, VS Code can start it in the folder that is open, and
Colab has a folder of its own. A path such as ../artifacts would be another place in each of them.
"""

import os
import tomllib
from pathlib import Path

PACKAGE = Path(__file__).parents[1]


def course_folder() -> Path:
    """The course's root: the one around the current folder, else the one that the package is in.

    Where the package was installed without the rest of the course it is the current folder.
    """
    # The first two stay short, so that whatever is shown of them is the same on every machine.
    for folder in (Path(), Path(".."), *Path.cwd().parents, PACKAGE.parent):
        if _is_the_course(folder):
            return folder
    return Path()


def _is_the_course(folder: Path) -> bool:
    """Whether its pyproject.toml names the course: folders called `notebooks` are anybody's."""
    try:
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
        return project["project"]["name"] == PACKAGE.name
    except (OSError, ValueError, LookupError, TypeError):  # none there, or another project's
        return False


def artifacts_folder() -> Path:
    """Where a learner's own files are kept: the folder `artifacts`, or COURSE_ARTIFACTS if set."""
    return Path(os.environ.get("COURSE_ARTIFACTS") or course_folder() / "artifacts").expanduser()


def measurement(name: str) -> Path:
    """The file `name` of the measurements that come with the course."""
    path = course_folder() / "benchmarks" / "data" / name
    if not path.is_file():
        raise FileNotFoundError(
            f"expected the course's file benchmarks/data/{name}, and there is none around "
            f"{Path.cwd()}: open the notebook from the course's own folder"
        )
    return path
