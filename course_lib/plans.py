"""Plans of a class as data: which sections, in which order, how long, and which votes.

`teaching/plans.toml` holds them. A plan becomes one notebook, to be run from its top to its end,
and the table in TEACHING.md. One of several sessions becomes a notebook for each: after a break, or
a night, a session must begin in a fresh kernel, whatever ran before. A cell that a plan leaves out
may still be needed by one that it keeps: such cells are found by the names they give. They stay in
their places, folded away.
"""

import ast
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course_lib.machine.disk import write_text
from course_lib.machine.folders import course_folder

FILE = "teaching/plans.toml"
HEADING = re.compile(r"^(#+) +(.+?)[ \t]*$", re.MULTILINE)
FOLDED = "folded"  # the tag of a cell that is run for others' sake
# A lesson that only uses models switches gradients off, for its whole kernel. The next one trains.
NO_GRADIENTS = "torch.set_grad_enabled(False)"
GRADIENTS = "torch.set_grad_enabled(True)  # the lesson before had switched gradients off"
AUDIENCES = ("curious adults", "developers", "students", "schools")  # each plan has a remark for


@dataclass(frozen=True)
class Step:
    """Some minutes of a class: `sections` of one notebook, or something else that is described."""

    minutes: int
    what: str
    notebook: str = ""  # how its name begins, such as "02b"
    sections: tuple[str, ...] = ()
    votes: tuple[str, ...] = ()  # ids of questions that are asked in these sections
    say: str = ""  # what the teacher does, where no section says it
    late: str = ""  # what to cut when the class is late
    play: str = ""  # which part of the play page is opened: explorer or chat


@dataclass(frozen=True)
class Plan:
    id: str
    title: str
    audience: str
    steps: tuple[Step, ...] = ()
    quiz: tuple[str, ...] = ()  # ids of the questions at the end
    slack: int = 0  # minutes at the end that nothing is planned for
    remarks: dict[str, str] = field(default_factory=dict)  # audience -> what to do for them
    do: str = ""  # what learners do in a session
    evening: str = ""  # what it leaves out of its lesson, for those who want more
    pause: int = 0  # minutes between a session and the next
    sessions: tuple["Plan", ...] = ()  # in place of steps

    @property
    def minutes(self) -> int:
        """How long it lasts; of a plan with sessions, how long people sit in class."""
        return sum(part.minutes for part in (*self.steps, *self.sessions)) + self.slack

    @property
    def timed(self) -> list[tuple[str, Step]]:
        """Each step, and the slack as the last, with the time at which it begins: 0:00, 0:15."""
        steps, starts = list(self.steps), [0]
        if self.slack:
            steps.append(Step(self.slack, "slack: nothing is planned"))
        for step in steps:
            starts.append(starts[-1] + step.minutes)
        return [
            (f"{at // 60}:{at % 60:02d}", step) for at, step in zip(starts, steps, strict=False)
        ]

    @property
    def parts(self) -> tuple["Plan", ...]:
        """What is held in one go, with a notebook and slides of its own."""
        return self.sessions or (self,)


def load_plans(course: Path | None = None) -> dict[str, Plan]:
    """The plans by id; ValueError where one names what isn't there."""
    course = course or course_folder()
    plans = {}
    for row in tomllib.loads((course / FILE).read_text(encoding="utf-8"))["plan"]:
        remarks = row.get("remarks", {})
        if tuple(remarks) != AUDIENCES:
            raise ValueError(
                f"plan {row['id']}: expected remarks for {AUDIENCES}, got {tuple(remarks)}"
            )
        sessions = []
        for number, session in enumerate(row.pop("session", ()), 1):
            about = {"id": f"{row['id']}-{number}", "audience": row["audience"]}
            about |= {"remarks": remarks} if number == 1 else {}  # once is enough
            sessions.append(_plan(session | about, course))
        plans[row["id"]] = _plan(row | {"sessions": tuple(sessions)}, course)
    return plans


def _plan(row: dict, course: Path) -> Plan:
    """A plan, or a session of one, as the file has it."""
    steps = tuple(
        Step(**{key: tuple(v) if isinstance(v, list) else v for key, v in step.items()})
        for step in row.pop("step", ())
    )
    plan = Plan(quiz=tuple(row.pop("quiz", ())), steps=steps, **row)
    for step in filter(lambda step: step.notebook, steps):
        _check(plan, step, *lesson(course, step.notebook))
    return plan


def _check(plan: Plan, step: Step, name: str, notebook: NotebookNode) -> None:
    have = dict(sections_of(notebook))
    missing = [section for section in step.sections if section not in have]
    if missing:
        raise ValueError(f"plan {plan.id}: {name} has no section {missing[0]!r}, but {list(have)}")
    kept = [notebook.cells[i].source for s in step.sections for i in have[s]]
    unasked = [vote for vote in step.votes if not any(f'guess("{vote}"' in cell for cell in kept)]
    if unasked:
        raise ValueError(f"plan {plan.id}: {name} doesn't ask {unasked[0]!r} in {step.sections}")


def lesson(course: Path, begins: str) -> tuple[str, NotebookNode]:
    """The file name and the cells of the one notebook whose name begins so."""
    found = sorted((course / "notebooks").glob(f"{begins}_*.ipynb"))
    if len(found) != 1:
        raise ValueError(f"expected one notebook whose name begins with {begins}_, got {found}")
    return found[0].name, nbformat.read(found[0], as_version=4)


def sections_of(notebook: NotebookNode) -> list[tuple[str, list[int]]]:
    """The heading and the numbers of the cells of each section, up to the next heading of any kind.

    A cell begins a section if its first line is a heading.
    """
    found: list[tuple[str, list[int]]] = []
    for i, cell in enumerate(notebook.cells):
        heading = HEADING.match(cell.source) if cell.cell_type == "markdown" else None
        if heading:
            found.append((heading[2], []))
        if found:
            found[-1][1].append(i)
    return found


class _Names(ast.NodeVisitor):
    """What a cell needs from those before it, and what it gives to those after it.

    Code is read in the order in which it runs; the bodies of functions come last. A bare
    `name.method(...)` or `await name` may change what it works on, and counts as giving it.
    """

    def __init__(self, source: str) -> None:
        self.used: set[str] = set()
        self.given: set[str] = set()
        self._local: list[set[str]] = []  # names of the functions and comprehensions around
        self._later: list[tuple[ast.AST, list[set[str]]]] = []
        self.visit(ast.parse(source))
        while self._later:
            body, self._local = self._later.pop(0)
            self.generic_visit(body)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            if not any(node.id in names for names in [self.given, *self._local]):
                self.used.add(node.id)
        elif self._local:
            self._local[-1].add(node.id)
        else:
            self.given.add(node.id)

    def visit_Assign(self, node: ast.Assign) -> None:
        for part in (node.value, *node.targets):  # the value is computed first
            self.visit(part)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.used |= {n.id for n in ast.walk(node.target) if isinstance(n, ast.Name)} - self.given
        self.visit(node.value)
        self._changes(node.target)

    def visit_For(self, node: ast.For) -> None:
        for part in (node.iter, node.target, *node.body, *node.orelse):
            self.visit(part)

    def visit_Attribute(self, node: ast.Attribute | ast.Subscript) -> None:
        self.generic_visit(node)
        if not isinstance(node.ctx, ast.Load):
            self._changes(node.value)

    visit_Subscript = visit_Attribute

    def visit_Expr(self, node: ast.Expr) -> None:
        self.visit(node.value)
        inner = node.value.value if isinstance(node.value, ast.Await) else node.value
        if isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute):
            self._changes(inner.func.value)
        elif isinstance(node.value, ast.Await):
            self._changes(inner)

    def _changes(self, what: ast.expr) -> None:
        while isinstance(what, ast.Attribute | ast.Subscript):
            what = what.value
        if isinstance(what, ast.Name) and not self._local:
            self.given.add(what.id)

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        names = {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        (self._local[-1] if self._local else self.given).update(names)

    visit_ImportFrom = visit_Import

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        (self._local[-1] if self._local else self.given).add(node.name)
        self._function(node, [*node.decorator_list, *node.args.defaults], node.body)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._function(node, node.args.defaults, [node.body])

    def _function(self, node: ast.AST, now: list[ast.expr], body: list) -> None:
        for part in now:
            self.visit(part)
        all_args = [n.arg for n in ast.walk(node.args) if isinstance(n, ast.arg)]
        self._later.append((ast.Module(body, []), [*self._local, set(all_args)]))

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.given.add(node.name)
        for part in (*node.bases, *node.decorator_list):
            self.visit(part)
        self._later.append((ast.Module(node.body, []), [*self._local, set()]))

    def visit_ListComp(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp) -> None:
        self._comprehension(node.generators, [node.elt])

    visit_SetComp = visit_GeneratorExp = visit_ListComp

    def visit_DictComp(self, node: ast.DictComp) -> None:
        self._comprehension(node.generators, [node.key, node.value])

    def _comprehension(self, generators: list[ast.comprehension], what: list[ast.expr]) -> None:
        self._local.append(set())
        for one in generators:
            for part in (one.iter, one.target, *one.ifs):
                self.visit(part)
        for part in what:
            self.visit(part)
        self._local.pop()


def needed(notebook: NotebookNode, kept: Iterable[int]) -> list[int]:
    """The cells, not among `kept`, that must be run for them: by what they give, in order."""
    cells = enumerate(notebook.cells)
    code = {i: _Names(cell.source) for i, cell in cells if cell.cell_type == "code"}
    kept = set(kept) & set(code)
    have, todo = set(kept), sorted(kept)
    while todo:
        i = todo.pop()
        for name in code[i].used:
            givers = [j for j in code if j < i and name in code[j].given]
            # the last one, and those before it that it only changes (`x.attribute = ...`)
            while givers:
                j = givers.pop()
                if j not in have:
                    have.add(j)
                    todo.append(j)
                if name not in code[j].used:
                    break
    return sorted(have - kept)


def notebook_of(plan: Plan, course: Path | None = None) -> NotebookNode:
    """A plan's part as one notebook without outputs, to be run from its top to its end."""
    course = course or course_folder()
    top = [f"# {plan.title}", plan.audience]
    top += [f"Let learners {plan.do}. For the evening: {plan.evening}."] if plan.do else []
    top += [table(plan), remarks(plan)]
    cells = [new_markdown_cell("\n\n".join(top).rstrip())]
    ready: dict[str, set[int]] = {}  # notebook -> its cells that stand here already
    last, begun = "", 0
    for begins, step in plan.timed:
        lines = [f"# {begins} {step.what}", f"*{step.minutes} minutes.*"]
        lines += [step.say] if step.say else []
        lines += [f"*When you are late:* {step.late}"] if step.late else []
        cells.append(new_markdown_cell("\n\n".join(lines)))
        if not step.sections:
            continue
        if step.notebook != last:  # another notebook's names may stand in the way of its own
            ready[step.notebook] = set()
            if any(NO_GRADIENTS in cell.source for cell in cells[begun:]):
                cells.append(_folded(GRADIENTS))
            begun = len(cells)
        last = step.notebook
        _, notebook = lesson(course, step.notebook)
        have = dict(sections_of(notebook))
        kept = sorted(i for section in step.sections for i in have[section])
        before = [i for i in needed(notebook, kept) if i not in ready[step.notebook]]
        cells += [_copy(notebook.cells[i], i in before) for i in sorted([*before, *kept])]
        ready[step.notebook] |= {*before, *kept}
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel})


def _copy(cell: NotebookNode, is_folded: bool) -> NotebookNode:
    if cell.cell_type == "markdown":
        # one floor down: the steps are the headings of this notebook
        return new_markdown_cell(HEADING.sub(r"#\1 \2", cell.source))
    return _folded(cell.source) if is_folded else new_code_cell(cell.source)


def _folded(source: str) -> NotebookNode:
    hidden = {"source_hidden": True, "outputs_hidden": True}
    return new_code_cell(source, metadata={"tags": [FOLDED], "jupyter": hidden})


def table(plan: Plan) -> str:
    """The plan in Markdown, as it stands in TEACHING.md: a row for each step."""
    rows = ["| from | min | what | where | vote | late? |", "|---|---|---|---|---|---|"]
    for part in plan.parts:
        if plan.sessions:
            what = f"**{part.title}** | let learners {part.do}"
            rows.append(f"| | **{part.minutes}** | {what} | | for the evening: {part.evening} |")
        rows += [_row(begins, step) for begins, step in part.timed]
        if part.pause:
            rows.append(_row("", Step(part.pause, "break")))
    return "\n".join(rows)


def _row(begins: str, step: Step) -> str:
    sections = ", ".join(f'"{section}"' for section in step.sections)
    where = f"{step.notebook}, {sections}" if sections else step.notebook
    votes = ", ".join(f"`{vote}`" for vote in step.votes)
    cells = (begins, step.minutes, step.what, where, votes, step.late)
    return f"| {' | '.join(map(str, cells))} |"


def remarks(plan: Plan) -> str:
    """What to do for whom, as a list in Markdown; "" where nothing is said."""
    return "\n".join(f"- *For {audience}:* {told}" for audience, told in plan.remarks.items())


def write_plan(id: str, course: Path | None = None) -> list[Path]:
    """Writes a plan's notebooks into the workbook and returns where; those that are there stay."""
    course = course or course_folder()
    plans = load_plans(course)
    if id not in plans:
        raise ValueError(f"expected a plan, one of {', '.join(plans)}, got {id}")
    places = {course / "workbook" / f"plan-{part.id}.ipynb": part for part in plans[id].parts}
    new = [place for place in places if not place.exists()]
    if not new:
        raise FileExistsError(
            f"{' and '.join(map(str, places))}: there already, maybe with remarks of yours. Move "
            "away what you want anew, and type the command again"
        )
    for place in new:
        place.parent.mkdir(exist_ok=True)
        write_text(place, nbformat.writes(notebook_of(places[place], course)) + "\n")
    return new
