"""The floors of the house: imports go down, some rooms may never know others, importing is silent.

Rules, not a list of exceptions: whoever needs one has found a function in the wrong room.
"""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "course_lib"

# From the ground up. A room imports from floors below its own, and a module from its own room.
FLOORS = [
    {"config", "machine"},
    {"text"},
    {"model", "world", "scaling"},
    {"files", "plots"},
    {"train", "measure"},
    {"align"},
    {"pipeline"},
    {"check", "doctor", "plans", "workbook"},
    {"widgets"},
    {"play", "classroom"},
    {"commands"},
    {"__main__"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

# (room, what it never reaches, even through others, and why).
NEVER = [
    ("align", "world", "no algorithm may see the gold reward that it is judged by"),
    ("text", "model", "a text is tokens, rows and batches whoever reads them"),
    ("config", "torch", "settings are numbers: a table of sizes needs no tensor library"),
    ("world", "torch", "the truth is exact arithmetic, checked against models and not by them"),
    ("scaling", "torch", "laws are fitted to recorded numbers"),
    ("plots", "torch", "a picture is drawn from numbers, wherever they come from"),
    ("check", "classroom", "a guess is kept the same whether a class hears of it or not"),
]
# (room, the only things of the course that it knows).
ONLY = {"model": {"model", "config"}}

# Libraries, and the rooms or modules that alone may know them.
KNOWN_BY = {
    "IPython": {"widgets"},
    "anywidget": {"widgets"},
    "datasets": {"text.sources"},
    "gguf": {"files"},
    "huggingface_hub": {"files.pretrained", "text.sources"},
    "ipywidgets": {"widgets"},
    "matplotlib": {"plots", "widgets"},
    "nbformat": {"plans", "workbook"},
    "psutil": {"machine"},
    "pyarrow": {"text.sources"},
    "safetensors": {"files"},
    "segno": {"classroom"},
    "starlette": {"classroom"},
    "tokenizers": {"text.foreign"},
    "traitlets": {"widgets"},
    "uvicorn": {"classroom"},
    "transformers": set(),  # a second opinion in the tests, never a part of the course
}

Graph = dict[str, set[str]]


def module_names() -> dict[str, Path]:
    """Dotted name in the package -> file; `world` for `world/__init__.py`, `world.facts`, ..."""
    names = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)] = path
    return names


def room(module: str) -> str:
    """The first part of a module's name: `world.facts` stands in `world`."""
    return module.partition(".")[0]


def imported_names(module: str, path: Path) -> set[str]:
    """Every name that a file imports, wherever in it; relative ones resolved: `torch.nn`, ..."""
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


def import_graph() -> tuple[Graph, Graph]:
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
            while (
                rest and rest not in modules
            ):  # `model.sample.draw` is something in `model.sample`
                rest = rest.rpartition(".")[0]
            inside[module].add(rest or "__init__")
        inside[module].discard(module)
    return inside, outside


def not_down(inside: Graph) -> list[str]:
    """The imports that neither go down a floor nor stay in the room, as sentences."""
    return [
        f"{module} (floor {FLOOR[room(module)]}) imports {other} (floor {FLOOR[room(other)]})"
        for module, others in inside.items()
        for other in sorted(others - {"__init__"})
        if room(module) != room(other) and FLOOR[room(module)] <= FLOOR[room(other)]
    ]


def reached(module: str, inside: Graph) -> set[str]:
    """The module and all modules that it loads, through whatever other."""
    found, waiting = set(), [module]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += inside[name]
    return found


def broken_nevers(inside: Graph, outside: Graph) -> list[str]:
    """The modules that reach what their room may never know, as sentences."""
    return [
        f"{module} reaches {never} through {other}: {reason}"
        for here, never, reason in NEVER
        for module in inside
        if room(module) == here
        for other in sorted(reached(module, inside))
        if room(other) == never or never in outside[other]
    ]


def strangers(inside: Graph, outside: Graph) -> list[str]:
    """The modules that know a library or a room which is another's alone, as sentences."""
    libraries = [
        f"{module} imports {library}, which only {sorted(allowed) or 'tests'} may know"
        for module, names in outside.items()
        for library, allowed in KNOWN_BY.items()
        if library in names and not {module, room(module)} & allowed
    ]
    rooms = [
        f"{module} imports {other}, but {here} knows only {sorted(allowed)}"
        for here, allowed in ONLY.items()
        for module in inside
        if room(module) == here
        for other in sorted(inside[module])
        if room(other) not in allowed
    ]
    return libraries + rooms


def circle(inside: Graph) -> list[str]:
    """Modules that import each other in a ring; none where there is no ring."""
    try:
        list(TopologicalSorter(inside).static_order())
    except CycleError as error:
        return error.args[1]
    return []


def test_every_module_has_a_floor():
    missing = {room(name) for name in module_names()} - set(FLOOR) - {"__init__", "released"}

    assert not missing, f"give {sorted(missing)} a floor in FLOORS of {Path(__file__).name}"
    assert set(FLOOR) <= {room(name) for name in module_names()}, "a floor names what isn't there"


def test_the_package_itself_imports_nothing():
    inside, outside = import_graph()

    assert inside["__init__"] | outside["__init__"] == set()


def test_imports_go_down():
    inside, _ = import_graph()

    assert not_down(inside) == []


def test_no_modules_import_each_other():
    inside, _ = import_graph()

    assert " -> ".join(circle(inside)) == ""


def test_rooms_do_not_reach_what_they_may_never_know():
    inside, outside = import_graph()

    assert broken_nevers(inside, outside) == []


def test_libraries_and_rooms_stay_with_those_who_may_know_them():
    inside, outside = import_graph()

    assert strangers(inside, outside) == []


def test_every_rule_finds_what_breaks_it():
    inside, outside = import_graph()

    def with_import(module: str, other: str) -> tuple[Graph, Graph]:
        graph = outside if "." not in other and other not in FLOOR else inside
        broken = graph | {module: graph[module] | {other}}
        return (inside, broken) if graph is outside else (broken, outside)

    assert not_down(with_import("world.facts", "pipeline.stages")[0]) != []
    assert not_down(with_import("world.facts", "model.sample")[0]) != []  # nor to its own floor
    assert circle(with_import("text.tokenizer", "text.chat")[0]) != []
    for here, never, _ in NEVER:
        module = next(name for name in inside if room(name) == here)
        target = next((name for name in inside if room(name) == never), never)
        assert broken_nevers(*with_import(module, target)) != [], (module, target)
    around = with_import("align.dpo", "measure.answers")  # which looks at the gold reward
    assert any("align.dpo reaches world" in sentence for sentence in broken_nevers(*around))
    for library, allowed in KNOWN_BY.items():
        assert strangers(*with_import("text.chat", library)) != [], library
        assert all(name in inside for name in allowed), library
    assert strangers(*with_import("model.sample", "text.chat")) != []


def test_relative_imports_are_resolved(tmp_path):
    file = tmp_path / "facts.py"
    file.write_text(
        "from .grammar import seq\nfrom .. import model\nfrom ..text.rows import pack\n"
    )

    assert imported_names("world.facts", file) == {
        "course_lib.world.grammar.seq",
        "course_lib.model",
        "course_lib.text.rows.pack",
    }


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
