"""The floors of the package: imports go down, or sideways without a cycle; importing is silent."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "course_lib"

# A module may import from its own floor and from those below. A new module gets a line here.
FLOORS = [
    {"config", "device", "run_file"},
    {"world", "tokenizer", "chat", "scaling", "texts"},
    {"model", "data", "clean", "losses", "checkpoint", "gguf", "damage", "shards", "distributed"},
    {"train", "sample", "evaluate", "compress"},
    {"sft", "preferences", "reward"},
    {"rlhf", "dpo"},
    {"stages", "plots"},
    {"widgets", "check", "classroom", "__main__"},
]
FLOOR = {module: number for number, modules in enumerate(FLOORS) for module in modules}
FLOOR["__init__"] = 0  # it imports nothing, so that `import course_lib.config` loads config alone

# Libraries that only these modules may know, wherever in the file they import them.
KNOWN_BY = {
    "anywidget": {"widgets"},
    "datasets": {"texts"},
    "ipywidgets": {"widgets"},
    "matplotlib": {"plots", "widgets"},
    "pyarrow": {"texts"},
    "traitlets": {"widgets"},
    "transformers": set(),  # a second opinion in the tests, never a part of the course
}
TORCH_FREE = {"config", "world", "scaling"}

# (importer, imported): written inside a function, because it closes a circle. Each needs a reason.
DEFERRED = {
    ("model", "checkpoint"),  # Transformer.from_pretrained, where users of transformers look for it
}


def module_names() -> dict[str, Path]:
    """Dotted name in the package -> file; `world` for `world/__init__.py`, `world.facts`, ..."""
    names = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)] = path
    return names


def imported_names(module: str, path: Path) -> set[str]:
    """Every name that a file imports, relative imports resolved: `course_lib.model`, `torch.nn`."""
    package = ["course_lib", *module.split(".")]
    if path.name != "__init__.py" or module == "__init__":
        package = package[:-1]
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = [*base, *([node.module] if node.module else [])]
            names |= {".".join([*base, alias.name]) for alias in node.names}
    return names


def import_graph() -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """For each module: the modules of the package, and the other libraries, that it imports."""
    modules = module_names()
    inside = {module: set() for module in modules}
    outside = {module: set() for module in modules}
    for module, path in modules.items():
        for name in imported_names(module, path):
            top, _, rest = name.partition(".")
            if top != "course_lib":
                outside[module].add(top)
                continue
            while rest and rest not in modules:  # `model.Transformer` is something in `model`
                rest = rest.rpartition(".")[0]
            inside[module].add(rest or "__init__")
        inside[module].discard(module)
    return inside, outside


def upward_imports(inside: dict[str, set[str]]) -> list[str]:
    """The imports that go up a floor, as sentences."""
    return [
        f"{module} (floor {FLOOR[unit]}) imports {other} (floor {FLOOR[other_unit]})"
        for module, others in inside.items()
        for other in others
        if FLOOR[unit := module.split(".")[0]] < FLOOR[other_unit := other.split(".")[0]]
    ]


def test_every_module_has_a_floor():
    missing = {name.split(".")[0] for name in module_names()} - set(FLOOR)

    assert not missing, f"give {sorted(missing)} a floor in FLOORS of {Path(__file__).name}"


def test_the_package_itself_imports_nothing():
    inside, outside = import_graph()

    assert inside["__init__"] | outside["__init__"] == set()


def test_imports_go_down_or_sideways():
    inside, _ = import_graph()

    assert upward_imports(inside) == []


def test_an_upward_import_would_be_found():
    assert upward_imports({"model": {"config"}, "world.facts": {"stages"}, "stages": set()}) == [
        "world.facts (floor 1) imports stages (floor 6)"
    ]


def test_there_is_no_cycle():
    inside, _ = import_graph()
    for importer, imported in DEFERRED:
        inside[importer].remove(imported)  # a KeyError: it is gone, and the exception can go too

    try:
        order = list(TopologicalSorter(inside).static_order())
    except CycleError as error:
        raise AssertionError(f"these import each other: {' -> '.join(error.args[1])}") from None

    assert set(order) >= set(inside)


def test_relative_imports_are_resolved(tmp_path):
    file = tmp_path / "facts.py"
    file.write_text("from .grammar import seq\nfrom .. import model\nfrom ..data import pack\n")

    assert imported_names("world.facts", file) == {
        "course_lib.world.grammar.seq",
        "course_lib.model",
        "course_lib.data.pack",
    }


def test_libraries_stay_in_their_modules():
    _, outside = import_graph()

    strangers = [
        f"{module} imports {library}, which only {sorted(allowed) or 'tests'} may know"
        for module, libraries in outside.items()
        for library, allowed in KNOWN_BY.items()
        if library in libraries and module.split(".")[0] not in allowed
    ]

    assert strangers == []


def test_config_world_and_scaling_know_no_torch():
    _, outside = import_graph()

    assert [
        module
        for module, libraries in outside.items()
        if module.split(".")[0] in TORCH_FREE and "torch" in libraries
    ] == []


def test_importing_is_silent():
    # Libraries that the course builds on may print or seed what they like: they are loaded first.
    modules = [f"course_lib.{name}" for name in module_names() if name != "__init__"]
    script = f"""
import importlib, random, threading
import numpy, torch

def state():
    return (random.getstate(), str(numpy.random.get_state()), torch.get_rng_state().tolist(),
            torch.get_num_threads(), torch.get_default_dtype(),
            torch.get_float32_matmul_precision(), threading.active_count())

before = state()
for name in {modules!r}:
    importlib.import_module(name)
    assert state() == before, f"importing {{name}} changed random numbers, threads or torch"
    assert not torch.cuda.is_initialized(), f"importing {{name}} started CUDA"
"""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=120
    )

    assert result.stdout + result.stderr == ""
    assert result.returncode == 0
