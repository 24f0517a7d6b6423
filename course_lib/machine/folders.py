"""Where the course lies and where it keeps what is yours, in whatever folder a kernel started.

JupyterLab starts a kernel beside its notebook, VS Code can start it in the folder that is open, and
Colab has a folder of its own. A path such as ../artifacts would be another place in each of them.
"""

import os
from pathlib import Path

PACKAGE = Path(__file__).parents[1]


def course_folder() -> Path:
    """The folder with `notebooks` and `benchmarks`: around the current one, else the package's.

    Where the package was installed without them it is the current folder.
    """
    # The first two stay short, so that whatever is shown of them is the same on every machine.
    for folder in (Path(), Path(".."), *Path.cwd().parents, PACKAGE.parent):
        if (folder / "notebooks").is_dir() and (folder / "benchmarks" / "data").is_dir():
            return folder
    return Path()


def artifacts_folder() -> Path:
    """Where a learner's own files are kept: the folder `artifacts`, or COURSE_ARTIFACTS if set."""
    return Path(os.environ.get("COURSE_ARTIFACTS") or course_folder() / "artifacts").expanduser()
