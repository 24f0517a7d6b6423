"""A plan keeps some sections, runs what they need, and leaves out the rest."""

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course_lib import __main__ as cli
from course_lib import plans
from course_lib.plans import FOLDED, load_plans, needed, notebook_of, sections_of, write_plan
from tools.plan_tables import TEACHING, with_tables

PLAN = """
[[plan]]
id = "short"
title = "A short class"
audience = "For a test."
[[plan.step]]
minutes = 5
what = "two sections of one notebook"
notebook = "01"
sections = ["Bytes", "Bits"]
votes = ["how-many"]
late = "the bits"
[[plan.step]]
minutes = 3
what = "a break"
say = "Open the window."
[[plan.step]]
minutes = 70
what = "another notebook, with names of its own"
notebook = "02"
sections = ["Sum"]
"""
ONE = [
    "# Numbers",
    "import math\nn = 3",
    "## Left out\n\nNobody sees this.",
    "table = [n * n for n in range(4)]",
    "n = 99\nunneeded = 1 / 0",
    "## Bytes",
    'guess = print\nguess("how-many", table)',
    "def root(x, _=None):\n    return math.sqrt(x)",
    "## Also left out",
    "table.append(5)",
    "### Bits\n\nThe last one.",
    "print(root(table[-1] + 4))",
]
TWO = ["# Sums", "n = 40", "total = n + 2", "## Sum", "print(total)"]


@pytest.fixture
def course(tmp_path):
    """A course of two small notebooks and a plan."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "teaching").mkdir()
    (tmp_path / plans.FILE).write_text(PLAN, encoding="utf-8")
    for name, sources in (("01_one", ONE), ("02_two", TWO)):
        cells = [
            (new_markdown_cell if source.startswith("#") else new_code_cell)(source)
            for source in sources
        ]
        nbformat.write(new_notebook(cells=cells), tmp_path / "notebooks" / f"{name}.ipynb")
    return tmp_path


def test_a_section_ends_where_the_next_begins(course):
    notebook = nbformat.read(course / "notebooks/01_one.ipynb", as_version=4)

    assert sections_of(notebook) == [
        ("Numbers", [0, 1]),
        ("Left out", [2, 3, 4]),
        ("Bytes", [5, 6, 7]),
        ("Also left out", [8, 9]),
        ("Bits", [10, 11]),
    ]


@pytest.mark.parametrize(
    ("cells", "kept", "wanted"),
    [
        (["a = 1", "b = a", "c = b"], [2], [0, 1]),
        (["a = 1", "a = 2", "print(a)"], [2], [1]),
        (["a = 1", "a += 2", "print(a)"], [2], [0, 1]),
        (["a = []", "a.append(2)", "print(a)"], [2], [0, 1]),
        (["a = {}", "a['x'] = 2", "b = 1", "print(a)"], [3], [0, 1]),
        (["job = start()", "await job", "job.model"], [2], [0, 1]),
        (["row = 1 / 0", "for row in [1]:\n    print(row)"], [1], []),
        (["row = 1 / 0", "print([row for row in [1]])"], [1], []),
        (["x = 1", "def f(y, x=x):\n    z = y\n    return x + z", "f(1)"], [2], [0, 1]),
        (["x = 1", "def f(x):\n    return x", "f(1)"], [2], [1]),
        (["x = 1", "f = lambda y: x + y", "f(1)"], [2], [0, 1]),
        (["import os.path as p, sys", "print(sys)"], [1], [0]),
        (["with open('x') as file:\n    text = file", "print(text)"], [1], [0]),
        (["a = 1", "class A:\n    b = a", "A()"], [2], [0, 1]),
        (["a = b = 1", "print({a: c for c in [b]})"], [1], [0]),
        (["print(1)", "print(2)"], [1], []),
    ],
)
def test_cells_are_needed_for_the_names_they_give(cells, kept, wanted):
    notebook = new_notebook(cells=[new_code_cell(source) for source in cells])

    assert needed(notebook, kept) == wanted


def test_a_plan_is_one_notebook_that_runs(course):
    notebook = notebook_of(load_plans(course)["short"], course)

    NotebookClient(notebook).execute()
    sources = [cell.source for cell in notebook.cells]
    folded = [c.source for c in notebook.cells if FOLDED in c.metadata.get("tags", ())]
    assert folded == [ONE[1], ONE[3], ONE[9], TWO[1], TWO[2]]
    assert not any("Nobody sees this" in source or "1 / 0" in source for source in sources)
    said = [o.text for c in notebook.cells if c.cell_type == "code" for o in c.outputs]
    assert said == ["how-many [0, 1, 4, 9]\n", "3.0\n", "42\n"]
    assert [s.splitlines()[0] for s in sources if s.startswith("# ")] == [
        "# A short class",
        "# 0:00 two sections of one notebook",
        "# 0:05 a break",
        "# 0:08 another notebook, with names of its own",
    ]
    assert "#### Bits\n\nThe last one." in sources


def test_a_plan_that_is_there_stays(course, monkeypatch, capsys):
    monkeypatch.setattr(plans, "course_folder", lambda: course)

    assert cli.main(["plan"]) == 0
    assert cli.main(["plan", "short"]) == 0
    place = course / "workbook/plan-short.ipynb"
    told = capsys.readouterr().out
    assert "short: A short class. For a test." in told and "lab plan-short" in told
    place.write_text("remarks of mine", encoding="utf-8")
    with pytest.raises(FileExistsError, match="move it away"):
        write_plan("short", course)
    assert place.read_text(encoding="utf-8") == "remarks of mine"
    assert cli.main(["plan", "long"]) != 0
    assert "one of short, got long" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"Bytes", "Bits"', '"Bytes", "Bots"', "has no section 'Bots'"),
        ('"how-many"', '"how-few"', "doesn't ask 'how-few'"),
        ('"02"', '"07"', "one notebook whose name begins with 07_"),
    ],
)
def test_a_plan_that_names_what_is_not_there_is_refused(course, old, new, told):
    (course / plans.FILE).write_text(PLAN.replace(old, new), encoding="utf-8")

    with pytest.raises(ValueError, match=told):
        load_plans(course)


def test_the_pages_tables_are_the_plans():
    page = TEACHING.read_text(encoding="utf-8")

    assert page == with_tables(page, load_plans()), "write them: python -m tools.plan_tables"


@pytest.mark.parametrize(("id", "minutes"), [("90-minutes", 90), ("half-day", 210)])
def test_the_plans_last_as_long_as_they_say(id, minutes):
    assert load_plans()[id].minutes == minutes


@pytest.mark.slow
def test_the_class_of_90_minutes_runs_cell_by_cell_in_a_fresh_workbook(tmp_path, monkeypatch):
    """What a teacher has who types `python -m course_lib plan 90-minutes` and runs it all."""
    monkeypatch.setenv("COURSE_ARTIFACTS", str(tmp_path / "artifacts"))
    plan = load_plans()["90-minutes"]
    notebook = notebook_of(plan)

    folder = {"metadata": {"path": str(TEACHING.parent)}}
    NotebookClient(notebook, timeout=60 * plan.minutes, resources=folder).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 8
