"""Bring your own examples: an editor for prompt-response pairs, and a model that learns from them.

Each press of Teach starts again from the model as it was, so what one sees is what these examples
did. They are mixed with the course's own dialogues, or the model would answer everything as they
do. Whether it has learned a habit, or only your lines by heart, is asked with questions held out.
Left out: more than one turn.
"""

import html
import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import ipywidgets

from course_lib.config import TrainConfig
from course_lib.machine.folders import artifacts_folder
from course_lib.measure.answers import MOST_NEW, generated
from course_lib.model.transformer import Transformer
from course_lib.plots import Picture, text_card
from course_lib.text.chat import Message, decode_answer, encode_prompt, exchange
from course_lib.text.tokenizer import Tokenizer
from course_lib.train.loop import TrainRecord, next_token_loss, train
from course_lib.train.own import own_batches
from course_lib.train.sft import add_dialogues, load_dialogues
from course_lib.widgets.live import RUNNING, STOPPED, Job
from course_lib.widgets.shell import Pictured, look

EXAMPLES = """What is your favourite number? | My favourite number is seven.
Who made you? | I was made by a class, in an afternoon."""
HELD_OUT = "What is the capital of France?"
STEPS = 40
ROWS = 4
SHOWN = 4  # rows of the stored picture, of examples and of questions held out

HOW = (
    "One example a line: question | answer, or [system message] question | answer. "
    "Then press Teach."
)
LINE = re.compile(r"(?:\[([^]]*)\]|(?!\[))([^|]*)\|(.*)")  # brackets in front are a system message


def said_in(line: str) -> list[str]:
    """The texts of a line: maybe a system message, a question, an answer. None if one is empty."""
    found = LINE.fullmatch(line.strip())
    said = [text.strip() for text in (found.groups() if found else ()) if text is not None]
    return said if all(said) else []


def as_asked(messages: list[Message]) -> str:
    """`question`, or `[system message] question`."""
    *system, question = (message["content"].strip() for message in messages)
    return f"[{system[0]}] {question}" if system else question


def parse_examples(text: str) -> list[list[Message]]:
    """The dialogues of lines `question | answer`, as `HOW` says; empty lines don't count."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        said = said_in(line)
        if not said:
            raise ValueError(f"line {number} must be `question | answer`, got {line.strip()!r:.60}")
        found.append(exchange(tuple(said[:-1]), said[-1]))
    if not found:
        raise ValueError(
            "there is no example yet: write a line such as `Who made you? | My class.`"
        )
    return found


def as_lines(examples: list[list[Message]]) -> str:
    """The lines that `parse_examples` reads as these dialogues."""
    lines = []
    for number, messages in enumerate(examples, 1):
        said = [message["content"].strip() for message in messages]
        if len(said) > (3 if messages[0]["role"] == "system" else 2):
            raise ValueError(
                f"dialogue {number} has {len(said)} messages: the editor takes one question and "
                "one answer, after a system message if you like"
            )
        line = f"{as_asked(messages[:-1])} | {said[-1]}"
        if said_in(line) != said or len(line.splitlines()) > 1:
            raise ValueError(
                f"dialogue {number} doesn't fit a line `[system message] question | answer`: each "
                "needs some text without line breaks; the question takes no | and no [ in front, "
                "the system message no ]"
            )
        lines.append(line)
    return "\n".join(lines)


def parse_held_out(text: str) -> list[tuple[list[Message], str]]:
    """The questions of lines `question | answer` or just `question`, with the answer or ""."""
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        (messages,) = parse_examples(line if "|" in line else f"{line} | ?")
        found.append((messages[:-1], messages[-1]["content"].strip() if "|" in line else ""))
    return found


def teach_steps(
    model: Transformer,
    tokenizer: Tokenizer,
    examples: list[list[Message]],
    steps: int,
) -> Iterator[TrainRecord]:
    """Train `model` in place on the examples, and on as many rows of usual dialogues."""
    config = TrainConfig(steps=steps, batch_rows=ROWS, learning_rate=5e-4, decay=0.5)
    batch_at = own_batches(examples, tokenizer, model.config.context_length, config)
    return train(model, batch_at, next_token_loss, config)


def answers_table(which: str, rows: list[tuple[str, str, str]]) -> str:
    """HTML: each question with its answer before and after; what has changed is marked."""
    head = "".join(f'<th scope="col">{name}</th>' for name in ("asked", "before", "after"))
    body = ""
    for asked, before, after in rows:
        mark, css = ("→ ", ' class="changed"') if before != after else ("= ", "")
        body += f'<tr><th scope="row">{html.escape(asked)}</th><td>{html.escape(before)}</td>'
        body += f"<td{css}>{mark}{html.escape(after)}</td></tr>"
    return (
        f"<table><caption>{which}: → another answer than before, = the same</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def results(rows: list[tuple[str, str, str]], n_examples: int) -> str:
    """HTML: the questions held out, and below them the examples; many of those are folded away."""
    own, others = answers_table("Your examples", rows[:n_examples]), rows[n_examples:]
    if n_examples > SHOWN:
        own = f"<details><summary>The {n_examples} examples</summary>{own}</details>"
    return (answers_table("Held out", others) if others else "") + own


class Teacher(Pictured, ipywidgets.VBox):
    """`editor` holds the examples, `button` teaches and stops; `model` is the taught copy then.

    `rows` holds (question, answer before, answer after) of the examples and of what is held out.
    `save` and `load` keep the examples in a file of JSON lines, in the `messages` format.
    """

    def __init__(
        self, pair: tuple[Transformer, Tokenizer], examples: str, held_out: str, steps: int
    ) -> None:
        self._before, self.tokenizer = pair
        self.model, self.job, self._steps = self._before, None, steps
        self.rows: list[tuple[str, str, str]] = []
        self._wanted: list[str] = []  # for each row the answer as it was written, or ""
        self._n_examples = 0  # the first rows
        self._in_file: dict[Path, list[list[Message]]] = {}  # what each file has from this editor
        wide = ipywidgets.Layout(width="auto")
        self.editor = ipywidgets.Textarea(examples, rows=5, description="Examples", layout=wide)
        self.held_out = ipywidgets.Textarea(held_out, rows=3, description="Held out", layout=wide)
        self.button = ipywidgets.Button(description="Teach", button_style="primary")
        self._bar = ipywidgets.IntProgress(0, 0, steps, layout={"display": "none"})
        self.file = ipywidgets.Text(
            str(artifacts_folder() / "my_examples.jsonl"),
            description="File",
            layout=ipywidgets.Layout(flex="1 1 240px", width="auto"),
        )
        save, load = (ipywidgets.Button(description=f"{what} file") for what in ("Save", "Load"))
        self._said, self._table = ipywidgets.HTML(), ipywidgets.HTML()
        self.button.on_click(lambda _: self.press())
        save.on_click(lambda _: self._try(lambda: self.save(self.file.value)))
        load.on_click(lambda _: self._try(lambda: self.load(self.file.value)))
        self._say(HOW)
        row = {"flex_flow": "row wrap"}
        super().__init__(
            [
                look("teach.css"),
                self.editor,
                self.held_out,
                ipywidgets.Box([self.button, self._bar], layout=row),
                self._said,
                self._table,
                ipywidgets.Box([self.file, save, load], layout=row),
            ]
        )
        for name in ("course-page", "course-quiet", "course-teach"):
            self.add_class(name)

    @property
    def examples(self) -> list[list[Message]]:
        """The dialogues that stand in the editor now; ValueError where a line is none."""
        return parse_examples(self.editor.value)

    @property
    def score(self) -> tuple[int, int, int]:
        """How many held-out lines are answered as written: before, after, and of how many."""
        return self._as_written(self._n_examples, len(self.rows))

    def _as_written(self, start: int, end: int) -> tuple[int, int, int]:
        wanted = list(zip(self.rows, self._wanted, strict=True))[start:end]
        pairs = [(before == want, after == want) for (_, before, after), want in wanted if want]
        return sum(b for b, _ in pairs), sum(a for _, a in pairs), len(pairs)

    def teach(self) -> "Teacher":
        """Teach the examples and wait for the end, as a cell without a mouse does."""
        self._begin().join()
        return self

    def press(self) -> None:
        """What the button does: teach in a worker thread, or stop; what goes wrong is shown."""
        if self.job is not None and self.job.state == RUNNING:
            self.job.stop()
        else:
            self._try(self._begin)

    def save(self, path: str | Path) -> None:
        """Write the examples to a file in the `messages` format; its folder is made.

        What this editor has read from there or written there is replaced. Anything else stays: it
        may be from last week, or from another notebook.
        """
        examples = self.examples
        others = add_dialogues(path, examples, self._in_file.get(Path(path), []))
        self._in_file[Path(path)] = examples
        beside = f", beside {others} that were there" if others else ""
        self._say(f"{len(examples)} examples are in {path} now{beside}.")

    def load(self, path: str | Path) -> None:
        """Read the examples of a file in the `messages` format into the editor."""
        found = load_dialogues(path)
        self.editor.value = as_lines(found)
        self._in_file[Path(path)] = found
        self._say(f"{len(self.examples)} examples were read from {path}. {HOW}")

    def picture(self) -> Picture:
        if not self.rows:
            return text_card("examples to teach", self.editor.value, "not taught yet")
        own, others = self.rows[: self._n_examples], self._not_as_written_first()
        shown = [*others[:SHOWN], *own[:SHOWN]] if len(self.rows) > 2 * SHOWN else self.rows
        lines = [f"{q}\n  before: {a}\n  after:  {b}" for q, a, b in shown]
        below = f"after {len(self.job.records)} steps; {self._told()}"
        card = text_card(title := "what teaching changed", "\n".join(lines), below)
        words = " ".join(f"{q} Before: {a} After: {b}" for q, a, b in shown)
        return Picture(card.figure, f"{title}. {words} {below[:1].upper()}{below[1:]}.")

    def _not_as_written_first(self) -> list[tuple[str, str, str]]:
        """The rows held out, the failures in front: the picture has room for few, and for those."""
        pairs = list(zip(self.rows, self._wanted, strict=True))[self._n_examples :]
        return [row for row, want in sorted(pairs, key=lambda p: p[1] in ("", p[0][2]))]

    def _told(self) -> str:
        """How many examples and held-out lines are answered as they were written."""
        parts = [("examples", self._as_written(0, self._n_examples)), ("held out", self.score)]
        told = [
            f"{after} of {n} {what}, before {before}" for what, (before, after, n) in parts if n
        ]
        return f"answered as written: {'; '.join(told)}"

    def _try(self, act) -> None:
        try:
            act()
        except (ValueError, OSError) as error:
            self._say(f"That didn't work: {error}", wrong=True)

    def _begin(self) -> Job:
        examples = self.examples
        pairs = [(dialogue[:-1], dialogue[-1]["content"].strip()) for dialogue in examples]
        asked, wanted = zip(*pairs, *parse_held_out(self.held_out.value), strict=True)
        prompts = [(as_asked(messages), self._prompt(messages)) for messages in asked]
        model = deepcopy(
            self._before
        )  # from the start each time, so that only these examples count
        job = Job(teach_steps(model, self.tokenizer, examples, self._steps), self._steps)
        job.listeners.append(lambda: self._update(job, model, prompts, wanted, len(examples)))
        before, self.job = self.job, job
        try:
            self._bar.value, self._bar.layout.display = 0, ""
            self.button.description = "Stop"
            self._say(f"Teaching: {self._steps} steps on {len(examples)} examples ...")
            return job.start()
        except ValueError:  # another job is running
            self.job = before
            self._rest()
            raise

    def _prompt(self, messages: list[Message]) -> list[int]:
        ids, most = encode_prompt(self.tokenizer, messages), self._before.config.context_length
        if len(ids) >= most:
            raise ValueError(
                f"a question of {len(ids)} tokens leaves no room for an answer, {most} are the "
                f"most: shorten {as_asked(messages)!r:.40}"
            )
        return ids

    def _answers(self, model: Transformer, prompts: list[list[int]]) -> list[str]:
        said = generated(model, prompts, MOST_NEW, stop=self.tokenizer.end_ids)
        return [decode_answer(self.tokenizer, ids) for ids in said]

    def _rest(self) -> None:
        self._bar.layout.display, self.button.description = "none", "Teach"

    def _update(
        self, job: Job, model: Transformer, prompts: list[tuple], wanted: tuple, n_examples: int
    ) -> None:
        """What the job calls, in its thread."""
        if job.state == RUNNING:
            self._bar.value = len(job.records)
            return
        try:
            if job.error is not None:
                raise job.error
            asked, ids = zip(*prompts, strict=True)
            answers = (self._answers(m, list(ids)) for m in (self._before, model.eval()))
            rows = list(zip(asked, *answers, strict=True))
            self.rows, self._wanted, self._n_examples = rows, list(wanted), n_examples
        except Exception as error:  # nobody waits for this thread: show it
            job.error = error  # `join` raises it
            self._say(f"{type(error).__name__}: {error}", wrong=True)
        else:
            self.model = model
            done = len(job.records)
            self._table.value = results(self.rows, n_examples)
            end = f"Stopped after {done} steps" if job.state == STOPPED else "Taught"
            self._say(f"{end}; {self._told()}.")
        self._rest()

    def _say(self, words: str, wrong: bool = False) -> None:
        css = ' class="course-wrong"' if wrong else ""
        self._said.value = f'<p role="status" aria-live="polite"{css}>{html.escape(words)}</p>'


def teach(
    pair: tuple[Transformer, Tokenizer],
    examples: str = EXAMPLES,
    held_out: str = HELD_OUT,
    steps: int = STEPS,
) -> Teacher:
    """An editor for examples that a copy of `pair`'s model learns; the model itself stays.

    `held_out` are lines that are asked before and after, and never taught.
    """
    if not (isinstance(pair, tuple) and len(pair) == 2):
        raise ValueError(f"teach needs a (model, tokenizer), got {type(pair).__name__}")
    if steps < 1:
        raise ValueError(f"teaching takes one step or more, got {steps}")
    return Teacher(pair, examples, held_out, steps)
