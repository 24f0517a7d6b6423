"""What a stick and the site's zip hold of the course: all but its tests."""

from pathlib import Path

ROOT = Path(__file__).parent.parent
COURSE = (
    "README.md INSTALL.md TEACHING.md CONTRIBUTING.md CITATION.cff LICENSE constraints.txt "
    "pyproject.toml environment.yml setup.py notebooks diagrams teaching benchmarks course_lib "
    "tools site"
).split()
LEFT_OUT = {"__pycache__", ".ipynb_checkpoints"}


def course_files() -> list[Path]:
    """All of them, in the order of their names."""
    found = []
    for name in COURSE:
        path = ROOT / name
        inside = [path] if path.is_file() else path.rglob("*")
        found += [one for one in inside if one.is_file() and not LEFT_OUT & set(one.parts)]
    return sorted(found)
