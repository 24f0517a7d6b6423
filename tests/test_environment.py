"""The three files that set up the course agree: pyproject.toml, constraints.txt, environment.yml.

They are read, not installed: what conda itself would do with `environment.yml` is not tested.
"""

import ast
import importlib.metadata as metadata
import re
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def pins() -> dict[str, Requirement]:
    """The lines of constraints.txt by canonical name."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(requirement.name): requirement for requirement in requirements}


def direct_dependencies() -> list[Requirement]:
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    return [Requirement(line) for group in groups for line in group]


def environment() -> tuple[list[str], list[str]]:
    """The conda part and the pip part of environment.yml."""
    entries = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    conda = [entry for entry in entries if isinstance(entry, str)]
    (pip,) = [entry["pip"] for entry in entries if isinstance(entry, dict)]
    return conda, pip


def imported(folder: str) -> set[str]:
    """The packages that the Python files below `folder` import from elsewhere."""
    modules = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom):
                modules.add(node.module.partition(".")[0])
    modules -= {*sys.stdlib_module_names, "benchmarks", "course_lib", "tests", "tools"}
    brought_by = metadata.packages_distributions()
    return {canonicalize_name(brought_by[name][0]) for name in modules if name in brought_by}


def test_constraints_are_exact_versions_without_an_address():
    for name, pin in pins().items():
        assert re.fullmatch(r"==[0-9][0-9a-z.]*", str(pin.specifier)), f"{name}: {pin}"
        assert pin.url is None and pin.marker is None and not pin.extras, f"{name}: {pin}"


def test_every_pin_installs_on_the_oldest_python_that_we_state():
    # Debian 12 has 3.11.2: a pin that wants 3.11.5 stops the whole installation there.
    oldest = PROJECT["requires-python"].removeprefix(">=") + ".0"
    installed = {canonicalize_name(found.name): found for found in metadata.distributions()}
    asked = {
        name: installed[name].metadata.get("Requires-Python")
        for name, pin in pins().items()
        if name in installed and installed[name].version.split("+")[0] in pin.specifier
    }

    assert oldest == "3.11.0" and len(asked) > 100
    too_new = {n: asks for n, asks in asked.items() if oldest not in SpecifierSet(asks or "")}
    assert too_new == {}


def test_what_is_imported_is_declared():
    # that another package happens to bring it is no promise
    core = {Requirement(line).name for line in PROJECT["dependencies"]}
    dev = core | {Requirement(line).name for line in PROJECT["optional-dependencies"]["dev"]}

    on_demand = {"datasets", "pyarrow"}  # course_lib.text.sources names them where they are missing
    assert imported("course_lib") - on_demand <= set(map(canonicalize_name, core))
    for folder in ("tests", "benchmarks", "tools"):
        assert imported(folder) <= set(map(canonicalize_name, dev)), folder


@pytest.mark.parametrize("dependency", direct_dependencies(), ids=str)
def test_every_dependency_is_pinned_inside_its_range(dependency):
    pin = pins().get(canonicalize_name(dependency.name))

    assert pin is not None, f"constraints.txt lacks {dependency.name}"
    version = str(pin.specifier).removeprefix("==")
    assert version in dependency.specifier


def test_what_the_dependencies_bring_is_pinned_too():
    # On other systems a few more come along (colorama on Windows, appnope on macOS), and torch for
    # CUDA brings libraries that it pins itself.
    if sys.platform != "linux":
        pytest.skip("the pins were made on Linux")
    waiting, seen = [(str(dependency), "") for dependency in direct_dependencies()], set()
    while waiting:
        line, extra = waiting.pop()
        requirement = Requirement(line)
        name = canonicalize_name(requirement.name)
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        for wanted in {"", *requirement.extras}:
            if (name, wanted) not in seen and name not in ("torch", "ziglang"):
                seen.add((name, wanted))
                waiting += [(needed, wanted) for needed in metadata.requires(name) or []]

    assert {name for name, _ in seen} - set(pins()) == set()


def test_what_the_makefile_imports_is_there():
    # `make release` trains for half an hour before it would notice
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    modules = re.findall(r"python -m ((?:course_lib|tools)[.\w]*)", makefile)
    imports = re.findall(r'python -c "(from .*?);', makefile)

    assert len(modules) == 4 and len(imports) == 1
    for module in modules:
        assert find_spec(module), module
    for line in imports:
        exec(line, {})


def test_conda_and_pip_ask_for_the_same_python():
    conda, _ = environment()
    (python,) = [entry for entry in conda if entry.startswith("python ")]

    assert SpecifierSet(python.removeprefix("python ")) == SpecifierSet(PROJECT["requires-python"])


def test_conda_installs_the_package_under_the_constraints():
    _, pip = environment()
    (editable,) = [line.removeprefix("-e ") for line in pip if line.startswith("-e ")]
    (constraints,) = [line.removeprefix("-c ") for line in pip if line.startswith("-c ")]

    assert (ROOT / editable / "pyproject.toml").samefile(ROOT / "pyproject.toml")
    assert (ROOT / constraints).samefile(ROOT / "constraints.txt")
    assert len(pip) == 2, "what else the course needs belongs into pyproject.toml"


def test_the_package_carries_the_files_that_are_not_python():
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
        "setuptools"
    ]["package-data"]["*"]
    files = [path for path in (ROOT / "course_lib").rglob("*") if path.is_file()]

    left_out = [
        str(path.relative_to(ROOT))
        for path in files
        if path.suffix not in (".py", ".pyc") and not any(path.match(p) for p in patterns)
    ]

    assert left_out == []
