"""A plan keeps some sections, runs what they need, and leaves out the rest."""

import re
from datetime import datetime

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course_lib import __main__ as cli
from course_lib import plans
from course_lib.plans import (
    FOLDED,
    Plan,
    load_plans,
    needed,
    notebook_of,
    sections_of,
    write_plan,
)
from tools.class_time import FUNCTION, class_time
from tools.freeze_notebooks import IGNORED
from tools.plan_tables import TEACHING, with_tables

REMARKS = """
[plan.remarks]
"curious adults" = "Wave."
developers = "Nod."
students = "Point."
schools = "Ring."
"""
PLAN = f"""
[[plan]]
id = "short"
title = "A short class"
audience = "For a test."
{REMARKS}
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
SESSIONS = f"""
[[plan]]
id = "two"
title = "Two sessions"
audience = "For a test."
{REMARKS}
[[plan.session]]
title = "Before noon"
do = "add"
evening = "the rest"
pause = 30
slack = 2
[[plan.session.step]]
minutes = 5
what = "a sum"
notebook = "02"
sections = ["Sum"]
[[plan.session]]
title = "After noon"
do = "count"
evening = "nothing"
[[plan.session.step]]
minutes = 7
what = "bits"
notebook = "01"
sections = ["Bits"]
late = "all of it"
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
    (tmp_path / plans.FILE).write_text(PLAN + SESSIONS, encoding="utf-8")
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
    assert "- *For developers:* Nod.\n- *For students:* Point." in sources[0]


def test_a_session_is_a_notebook_that_begins_in_a_fresh_kernel(course):
    plan = load_plans(course)["two"]

    before, after = (notebook_of(part, course) for part in plan.parts)
    for notebook in (before, after):
        NotebookClient(notebook).execute()
    assert [cell.outputs[0].text for cell in (before.cells[-2], after.cells[-1])] == [
        "42\n",
        "3.0\n",
    ]
    assert before.cells[-1].source == "# 0:05 slack: nothing is planned\n\n*2 minutes.*"
    assert (
        "# Before noon" in before.cells[0].source and "For the evening:" in before.cells[0].source
    )
    assert "Ring." in before.cells[0].source and "Ring." not in after.cells[0].source
    assert (plan.minutes, [part.id for part in plan.parts]) == (14, ["two-1", "two-2"])
    assert plans.table(plan).splitlines()[2:] == [
        "| | **7** | **Before noon** | let learners add | | for the evening: the rest |",
        '| 0:00 | 5 | a sum | 02, "Sum" |  |  |',
        "| 0:05 | 2 | slack: nothing is planned |  |  |  |",
        "|  | 30 | break |  |  |  |",
        "| | **7** | **After noon** | let learners count | | for the evening: nothing |",
        '| 0:00 | 7 | bits | 01, "Bits" |  | all of it |',
    ]


def test_a_plan_that_is_there_stays(course, monkeypatch, capsys):
    monkeypatch.setattr(plans, "course_folder", lambda: course)

    assert cli.main(["plan"]) == 0
    assert cli.main(["plan", "short"]) == 0
    place = course / "workbook/plan-short.ipynb"
    told = capsys.readouterr().out
    assert "short: A short class. For a test." in told and "lab plan-short" in told
    place.write_text("remarks of mine", encoding="utf-8")
    with pytest.raises(FileExistsError, match="there already"):
        write_plan("short", course)
    assert place.read_text(encoding="utf-8") == "remarks of mine"
    assert cli.main(["plan", "long"]) != 0
    assert "one of short, two, got long" in capsys.readouterr().err

    assert cli.main(["plan", "two"]) == 0
    assert capsys.readouterr().out.count("lab plan-two-") == 2
    first, second = (course / f"workbook/plan-two-{n}.ipynb" for n in (1, 2))
    first.write_text("remarks of mine", encoding="utf-8")
    second.unlink()
    assert write_plan("two", course) == [second]
    assert first.read_text(encoding="utf-8") == "remarks of mine"
    with pytest.raises(FileExistsError, match="Move away what you want anew"):
        write_plan("two", course)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"Bytes", "Bits"', '"Bytes", "Bots"', "has no section 'Bots'"),
        ('"how-many"', '"how-few"', "doesn't ask 'how-few'"),
        ('"02"', '"07"', "one notebook whose name begins with 07_"),
        ('developers = "Nod."', "", "expected remarks for"),
    ],
)
def test_a_plan_that_names_what_is_not_there_is_refused(course, old, new, told):
    (course / plans.FILE).write_text(PLAN.replace(old, new), encoding="utf-8")

    with pytest.raises(ValueError, match=told):
        load_plans(course)


def test_the_pages_tables_are_the_plans():
    page = TEACHING.read_text(encoding="utf-8")

    assert page == with_tables(page, load_plans()), "write them: python -m tools.plan_tables"


PARTS = {part.id: part for plan in load_plans().values() for part in plan.parts}


def test_the_plans_last_as_long_as_they_say():
    minutes = {id: plan.minutes for id, plan in load_plans().items()}
    assert minutes == {"90-minutes": 90, "half-day": 210, "two-days": 7 * 90}
    assert [part.minutes for part in load_plans()["two-days"].parts] == 7 * [90]
    assert [part.pause > 0 for part in load_plans()["two-days"].parts] == [
        True, True, False, True, True, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_a_class_has_time_for_what_it_plans_and_knows_what_to_cut(part):
    too_short = {}
    for step in part.steps:
        if step.sections:
            _, notebook = plans.lesson(TEACHING.parent, step.notebook)
            have = dict(sections_of(notebook))
            cells = [notebook.cells[i] for section in step.sections for i in have[section]]
            # up to the exercises, which take what is left; only in two days are functions written
            time = class_time(new_notebook(cells=cells))
            at_home = 0 if part.id.startswith("two-days") else FUNCTION * time.functions
            if time.minutes - at_home > 1.1 * step.minutes:
                too_short[step.what] = time
    assert too_short == {}
    assert part.slack >= part.minutes / 25
    assert sum(bool(step.late) for step in part.steps) >= 2
    if part.id.startswith("two-days"):
        assert part.do and part.evening and len({s.notebook for s in part.steps} - {""}) == 1
        assert max(step.minutes for step in part.steps) <= 25


def test_the_half_day_practises_on_a_taste_and_scores_the_forecast():
    sections = {(step.notebook, name) for step in PARTS["half-day"].steps for name in step.sections}

    assert {
        ("05", "The step that the pictures leave out"),
        ("05", "Half a minute of practice, against your taste"),
        ("06", "When do we run out?"),
        ("06", "Now score it"),
    } <= sections


def seconds(cell) -> float:
    """How long the kernel was busy with a cell that was run."""
    times = [datetime.fromisoformat(time) for time in cell.metadata.execution.values()]
    return (max(times) - min(times)).total_seconds()


def words(cell) -> str:
    """What a cell showed, in words, without the numbers that are each machine's own."""
    texts = [out.get("text") or out.get("data", {}).get("text/plain", "") for out in cell.outputs]
    return re.sub(r"(?<=yours: )-?\d[\d.,]*", "NUMBER", "".join(texts))


def run(part: Plan, monkeypatch, tmp_path) -> None:
    """Run what a teacher has who types `python -m course_lib plan`, in a fresh workbook.

    Each step must need less than half of its minutes, and each cell must tell what it tells in its
    lesson, where all cells ran before it.
    """
    monkeypatch.setenv("COURSE_ARTIFACTS", str(tmp_path / "artifacts"))
    made = notebook_of(part)
    folder = {"metadata": {"path": str(TEACHING.parent)}}
    NotebookClient(made, timeout=60 * part.minutes, resources=folder).execute()

    names = dict.fromkeys(step.notebook for step in part.steps if step.notebook)
    lessons = [plans.lesson(TEACHING.parent, name)[1] for name in names]
    stored = {c.source: c for each in lessons for c in each.cells if c.cell_type == "code"}
    spent, differ = [], []
    for cell in made.cells[1:]:
        if cell.cell_type == "markdown":
            spent += [0.0] if re.match(r"# \d:", cell.source) else []
            continue
        spent[-1] += seconds(cell)
        as_stored = stored.get(cell.source)  # nothing where gradients are switched on again
        if as_stored and IGNORED not in as_stored.metadata.get("tags", []):
            differ += [cell.source] if words(cell) != words(as_stored) else []
    print(f"{part.id}: {sum(spent):.0f} s;", ", ".join(f"{each:.0f}" for each in spent))
    too_long = [
        (step.what, each)
        for (_, step), each in zip(part.timed, spent, strict=True)
        if each > 30 * step.minutes
    ]
    assert too_long == [] and differ == []


def test_a_lesson_gets_back_what_the_one_before_switched_off(course):
    path = course / "notebooks/01_one.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[6].source += f"\n{plans.NO_GRADIENTS}"
    nbformat.write(notebook, path)

    cells = notebook_of(load_plans(course)["short"], course).cells

    sources = [cell.source for cell in cells if cell.cell_type == "code"]
    assert sources[-4:] == [plans.GRADIENTS, TWO[1], TWO[2], TWO[4]]
    assert sources.count(plans.GRADIENTS) == 1 and FOLDED in cells[-4].metadata["tags"]


@pytest.mark.slow
def test_the_class_of_90_minutes_runs_cell_by_cell(tmp_path, monkeypatch):
    run(PARTS["90-minutes"], monkeypatch, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("id", [id for id in PARTS if id != "90-minutes"])
def test_longer_classes_run_cell_by_cell(id, tmp_path, monkeypatch):
    run(PARTS[id], monkeypatch, tmp_path)
