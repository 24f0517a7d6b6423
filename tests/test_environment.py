"""The three files that set up the course agree: pyproject.toml, constraints.txt, environment.yml.

They are read, not installed: what conda itself would do with `environment.yml` is not tested.
"""

import ast
import importlib.metadata as metadata
import json
import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.node import NODE

ROOT = Path(__file__).parent.parent
RELEASES = [Version(f"3.{minor}.0") for minor in range(100)]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTHONS = SpecifierSet(PROJECT["requires-python"])


def pins() -> dict[str, Requirement]:
    """The lines of constraints.txt by canonical name."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(requirement.name): requirement for requirement in requirements}


def direct_dependencies() -> list[Requirement]:
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    return [Requirement(line) for group in groups for line in group]


def brought_by(dependencies: list[Requirement]) -> set[str]:
    """The packages that come along with `dependencies` on this machine, they themselves included.

    What torch brings is left out: for CUDA it is a lot, and pinned by torch itself.
    """
    waiting, seen = [(str(dependency), "") for dependency in dependencies], set()
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
    return {name for name, _ in seen}


def environment() -> tuple[list[str], list[str]]:
    """The conda part and the pip part of environment.yml."""
    entries = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    conda = [entry for entry in entries if isinstance(entry, str)]
    (pip,) = [entry["pip"] for entry in entries if isinstance(entry, dict)]
    return conda, pip


def imported(pattern: str) -> set[str]:
    """The packages that the Python files of this pattern import from elsewhere."""
    modules = set()
    for path in ROOT.glob(pattern):
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
    oldest = min(release for release in RELEASES if release in PYTHONS)
    installed = {canonicalize_name(found.name): found for found in metadata.distributions()}
    asked = {
        name: installed[name].metadata.get("Requires-Python")
        for name, pin in pins().items()
        if name in installed and installed[name].version.split("+")[0] in pin.specifier
    }

    assert str(oldest) == "3.11.0" and len(asked) > 100
    too_new = {n: asks for n, asks in asked.items() if oldest not in SpecifierSet(asks or "")}
    assert too_new == {}


def test_on_windows_the_longest_file_name_fits_below_the_course_folder():
    # Windows refuses a path of 260 characters, unless somebody switched long paths on.
    (room,) = re.findall(r"below (\d+) characters", (ROOT / "INSTALL.md").read_text("utf-8"))
    names = [
        str(file)
        for found in metadata.distributions()
        if canonicalize_name(found.name) in pins()
        for file in found.files or []
    ]

    longest = rf"\.venv\Lib\site-packages\{max(names, key=len)}"
    assert len(longest) > 100
    assert int(room) + len(longest) < 260, longest


def test_what_is_imported_is_declared():
    # that another package happens to bring it is no promise
    core = {Requirement(line).name for line in PROJECT["dependencies"]}
    dev = core | {Requirement(line).name for line in PROJECT["optional-dependencies"]["dev"]}

    # `text.sources` names the first two where they are missing, the command `lab` JupyterLab, which
    # brings the third, and the command `classroom` the others.
    on_demand = {"datasets", "pyarrow", "nbformat", "segno", "starlette", "uvicorn"}
    assert imported("course_lib/**/*.py") - on_demand <= set(map(canonicalize_name, core))
    for folder in ("tests", "benchmarks", "tools"):
        assert imported(f"{folder}/**/*.py") <= set(map(canonicalize_name, dev)), folder


@pytest.mark.parametrize("dependency", direct_dependencies(), ids=str)
def test_every_dependency_is_pinned_inside_its_range(dependency):
    pin = pins().get(canonicalize_name(dependency.name))

    assert pin is not None, f"constraints.txt lacks {dependency.name}"
    version = str(pin.specifier).removeprefix("==")
    assert version in dependency.specifier


def test_what_the_dependencies_bring_is_pinned_too():
    # On other systems a few more come along (colorama on Windows, appnope on macOS).
    if sys.platform != "linux":
        pytest.skip("the pins were made on Linux")

    assert brought_by(direct_dependencies()) - set(pins()) == set()


def test_the_core_brings_no_kernel_and_no_jupyterlab():
    # Colab and hubs have their own, which break when another version takes their place.
    core = brought_by([Requirement(line) for line in PROJECT["dependencies"]])

    assert {"torch", "numpy", "ipywidgets", "comm"} <= core | {"torch"}
    assert (
        core & {"ipykernel", "jupyter-client", "jupyter-server", "jupyterlab", "notebook"} == set()
    )


@pytest.mark.parametrize(
    "name", ["Makefile", "README.md", "CONTRIBUTING.md", ".github/workflows/tests.yml"]
)
def test_whoever_sets_up_the_course_gets_a_kernel_and_jupyterlab(name):
    commands = re.findall(r"-e (\S+)", (ROOT / name).read_text(encoding="utf-8"))
    extras = [re.fullmatch(r'"\.\[([\w,]+)\]"`?,?', command) for command in commands]

    # In quotes, because zsh takes a bare [lab] for a pattern that matches no file.
    assert commands and all(found and "lab" in found[1].split(",") for found in extras), commands


def test_what_the_makefile_imports_is_there():
    # `make release` trains for half an hour before it would notice
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    modules = re.findall(r"python -m ((?:course_lib|tools)[.\w]*)", makefile)
    imports = re.findall(r'python -c "(from .*?);', makefile)

    assert len(modules) == 7 and len(imports) == 1
    for module in modules:
        assert find_spec(module), module
    for line in imports:
        exec(line, {})


def test_the_site_is_built_with_what_its_extra_brings():
    # the workflow that publishes it installs no more
    script = "import sys, tools.build_site; print(*[m for m in sys.modules if m[:6] == 'tools.'])"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    files = [f"{module.replace('.', '/')}.py" for module in done.stdout.split()]
    site = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["site"]]

    assert {"tools/slide_parts.py", "tools/site_pages.py"} <= set(files), done.stderr
    needed = set().union(*map(imported, files))
    assert needed <= {canonicalize_name(Requirement(line).name) for line in site}


def test_what_takes_long_waits_until_it_is_asked_for():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (asked,) = re.findall(r"^test-long: .*\n\t.*? -m pytest tests (-m long) ", makefile, re.M)
    collect = [sys.executable, "-m", "pytest", "tests/files/test_fuzz.py", "--collect-only", "-q"]
    found = [
        subprocess.run([*collect, *options], cwd=ROOT, capture_output=True, text=True).stdout
        for options in (["-m", "slow"], asked.split())
    ]

    assert ["no_wrong_step[600]" in names for names in found] == [False, True]
    assert ["no_wrong_step[60]" in names for names in found] == [True, False]


def test_a_dev_container_has_a_python_that_fits_and_sets_up_as_make_lab_does():
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text(encoding="utf-8"))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")

    assert Version(container["image"].rpartition(":")[2] + ".0") in PYTHONS
    command, target = container["postCreateCommand"].split()
    rule = target.replace(".venv", "$(VENV)", 1)
    assert command == "make" and f"\n{rule}:" in makefile
    assert "lab: $(VENV)/.course" in makefile


def test_node_comes_with_the_wheel_of_playwright():
    # Tests of the page run its scripts in node, and nobody should have to install that by hand.
    done = subprocess.run([NODE, "--version"], capture_output=True, text=True, check=True)

    assert NODE.is_relative_to(Path(sys.prefix)) or "site-packages" in NODE.parts
    assert Version(done.stdout.strip()) >= Version("20")
    assert "playwright" in {requirement.name for requirement in direct_dependencies()}


def test_conda_pip_and_make_ask_for_the_same_python():
    conda, _ = environment()
    (python,) = [entry for entry in conda if entry.startswith("python ")]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (fits,) = re.findall(r"^IT_FITS := import sys; sys.exit\(not (.*)\)$", makefile, re.M)

    assert SpecifierSet(python.removeprefix("python ")) == PYTHONS
    for release in RELEASES:
        version = {"sys": SimpleNamespace(version_info=release.release)}
        assert eval(fits, version) == (release in PYTHONS), f"make and Python {release}"


@pytest.mark.parametrize("name", ["README.md", "INSTALL.md", "TEACHING.md", "Makefile"])
def test_the_pythons_that_a_page_promises_are_those_that_pip_admits(name):
    admitted = [release for release in RELEASES if release in PYTHONS]
    promised = re.findall(r"Python (3\.\d+) to (3\.\d+)", (ROOT / name).read_text("utf-8"))

    assert promised
    for first, last in promised:
        assert f"{first}.0" == str(admitted[0]) and f"{last}.0" == str(admitted[-1])


def test_conda_installs_the_package_under_the_constraints():
    _, pip = environment()
    (editable,) = [line for line in pip if line.startswith("-e ")]
    (constraints,) = [line.removeprefix("-c ") for line in pip if line.startswith("-c ")]

    assert editable == "-e .[lab,classroom]"
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
