"""What the explorers and chats of a stored notebook showed, read off its code without running it.

A frozen notebook holds pictures, and no widget's state. But the state stands in the code: which
released model, which text, which dials. So the cells' plain assignments are followed, as far as
they are made of texts, numbers and `load_released`, and `explorer` and `chat` note what they are
asked for. Whatever else a cell computes stays unknown: no import, no call, no training is run.
"""

import ast
import json
from dataclasses import dataclass, field, fields
from urllib.parse import quote

from nbformat import NotebookNode

from course_lib.widgets.explorer import FIRST
from course_lib.widgets.explorer_state import State

STAGES = ("base", "sft", "rlhf")  # the models of the play page
USUAL = State("")
BEGINNINGS = {"explorer": "Next token after", "chat": "Question:"}  # of their pictures' words


@dataclass
class Live:
    """An explorer or a chat of a notebook, and the address at which the play page shows the same.

    `hash` is None where it can't: a model that the reader trained isn't on the page. Then `beside`
    is the nearest thing, the same text for the finished base model, if the text is known.
    """

    kind: str
    hash: str | None = None
    beside: str | None = None
    asked: list[list] = field(default_factory=list)

    def ask(self, question: str, follow_up: bool = False) -> None:
        if follow_up:  # the page's address can't tell one
            self.hash = None
        elif self.hash is not None:
            self.asked.append([question, *self.asked[0][1:]])
            self.hash = address({"part": "chat", "asked": self.asked})


@dataclass(frozen=True)
class Model:
    """Stands for a released model; its tokenizer is the string beside it."""

    stage: str


def address(seen: dict) -> str:
    """The part of the play page's address from # on, as `play/link.js` reads it."""
    return "#" + quote(json.dumps(seen, ensure_ascii=False, separators=(",", ":")), safe="")


def live_of(notebook: NotebookNode) -> dict[tuple[int, int], Live]:
    """(cell, output) -> what is to be live in the place of that picture."""
    known, found = Known(), {}
    for i, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        shown = known.run(cell.source)
        for kind, beginning in BEGINNINGS.items():
            words = [output.get("data", {}) for output in cell.outputs]
            places = [
                k
                for k, data in enumerate(words)
                if "image/png" in data and data.get("text/plain", "").startswith(beginning)
            ]
            of_kind = [one for one in shown if one.kind == kind]
            if len(places) == len(of_kind):  # else nobody knows which is which
                found |= {(i, k): one for k, one in zip(places, of_kind, strict=True)}
    return found


class Known:
    """The names of a notebook that are known so far."""

    def __init__(self) -> None:
        self._made: list[Live] = []
        self._names = {}
        self._own = {
            "load_released": lambda stage: (Model(stage), "tokenizer"),
            "explorer": self._explorer,
            "chat": self._chat,
            "behind": lambda *_: None,
            "display": lambda *_: None,
        }

    def run(self, source: str) -> list[Live]:
        """What a cell shows that can be live; a name that it sets to the unknown is forgotten."""
        try:
            body = ast.parse(source).body
        except SyntaxError:  # a magic
            return []
        shown: list[Live] = []
        for statement in body:
            before = len(self._made)
            if isinstance(statement, ast.Assign):
                self._assign(statement)
                continue  # what is only kept is not shown
            if isinstance(statement, ast.Expr):
                value = self._value(statement.value)
                shown += self._made[before:]
                if isinstance(value, Live) and value not in shown:
                    shown.append(value)
                continue
            self._forget(statement)
        return shown

    def _value(self, node: ast.expr) -> object:
        """The value of an expression; the node itself where it isn't known."""
        names = {"__builtins__": {}, **self._own, **self._names}
        try:
            return eval(compile(ast.Expression(node), "cell", "eval"), names)
        except Exception:  # whatever a notebook may write
            return self._nearest(node)

    def _nearest(self, node: ast.expr) -> object:
        """The explorer of a model that the page hasn't got, beside whose text another can stand."""
        named = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        if not named or node.func.id not in BEGINNINGS or node.func.id in self._names:
            return node
        live = Live(node.func.id)
        text = self._value(node.args[1]) if len(node.args) > 1 else FIRST
        if live.kind == "explorer" and isinstance(text, str):
            live.beside = address({"text": text})
        self._made.append(live)
        return live

    def _assign(self, statement: ast.Assign) -> None:
        value = self._value(statement.value)
        self._forget(statement)
        if len(statement.targets) > 1:
            return
        targets, values = statement.targets, [value]
        if isinstance(targets[0], ast.Tuple):
            targets, values = targets[0].elts, value
            if isinstance(value, ast.Tuple):  # known in parts
                values = [self._value(one) for one in value.elts]
        if isinstance(values, list | tuple) and len(values) == len(targets):
            for name, one in zip(targets, values, strict=True):
                if isinstance(name, ast.Name) and not isinstance(one, ast.expr):
                    self._names[name.id] = one

    def _forget(self, statement: ast.stmt) -> None:
        for node in ast.walk(statement):
            names = [getattr(node, "name", None), getattr(node, "asname", None)]
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                names.append(node.id)
            elif isinstance(node, ast.Subscript | ast.Attribute):  # may be set in its place
                inside = node.value
                if not isinstance(node.ctx, ast.Load) and isinstance(inside, ast.Name):
                    names.append(inside.id)
            for name in names:
                self._names.pop(name, None)

    # ---- What the notebooks call ----------------------------------------------------------------

    def _explorer(self, models, prompt: str = FIRST, **dials) -> Live:
        stages = _stages(models)
        model = stages[dials.get("model", next(iter(stages)))]
        state = State(prompt, **{**dials, "model": model})
        told = {
            one.name: getattr(state, one.name)
            for one in fields(State)
            if getattr(state, one.name) != getattr(USUAL, one.name) or one.name == "truth"
        }
        self._made.append(live := Live("explorer", address(told)))
        return live

    def _chat(self, models, question="What is the capital of France?", **options) -> Live:
        stages = _stages(models)
        if set(options) - {"temperature", "seed"} or not question or "model" in stages:
            self._made.append(live := Live("chat"))
            return live
        asked = [[question, options.get("temperature", 0), options.get("seed", 0)]]
        live = Live("chat", address({"part": "chat", "asked": asked}), asked=asked)
        self._made.append(live)
        return live


def _stages(models) -> dict[str, str]:
    """The name that a notebook gives a model -> its name on the page."""
    pairs = models if isinstance(models, dict) else {"model": models}
    stages = {name: pair[0].stage for name, pair in pairs.items()}
    if not set(stages.values()) <= set(STAGES):
        raise ValueError(f"the page has {', '.join(STAGES)}, and no {', '.join(stages.values())}")
    return stages
