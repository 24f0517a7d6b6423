"""Bring your own examples: an editor for prompt-response pairs, and a model that learns from them.

Each press of Teach starts again from the model as it was, so what one sees is what these examples
did. They are mixed with the course's own dialogues and with plain text, or the model would forget
most of what it knows. Left out: more than one turn.
"""

import html
from collections.abc import Iterator
from copy import deepcopy

import ipywidgets
import numpy as np

from course_lib.chat import Message, exchange
from course_lib.config import TrainConfig
from course_lib.data import pack, pack_dialogues
from course_lib.evaluate import chat_answers
from course_lib.model import Transformer
from course_lib.plots import Picture, text_card
from course_lib.sft import sft_batches
from course_lib.tokenizer import Tokenizer
from course_lib.train import TrainRecord, next_token_loss, train
from course_lib.widgets.live import RUNNING, Job
from course_lib.widgets.shell import Pictured
from course_lib.world.dialogues import Prompt, dialogues
from course_lib.world.documents import documents

EXAMPLES = """What is your favourite number? | My favourite number is seven.
Who made you? | I was made by a class, in an afternoon."""
STEPS = 40
ROWS = 16


def parse_examples(text: str) -> list[list[Message]]:
    """The dialogues of lines `prompt | response`; empty lines don't count."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        prompt, bar, response = (part.strip() for part in line.partition("|"))
        if not (bar and prompt and response):
            raise ValueError(f"line {number} must be `prompt | response`, got {line.strip()!r:.60}")
        found.append(exchange(prompt, response))
    if not found:
        raise ValueError(
            "there is no example yet: write a line such as `Who made you? | My class.`"
        )
    return found


def teach_steps(
    model: Transformer,
    tokenizer: Tokenizer,
    examples: list[list[Message]],
    steps: int = STEPS,
    seed: int = 0,
) -> Iterator[TrainRecord]:
    """Train `model` in place on the examples, as many rows of usual dialogues, and plain text."""
    length = model.config.context_length
    usual = pack_dialogues(dialogues(150, seed), tokenizer, length)
    own = pack_dialogues(examples, tokenizer, length)
    own = np.tile(own, (-(-len(usual) // len(own)), 1, 1))[: max(len(usual), len(own))]
    text = pack(documents(seed=seed + 1), tokenizer, length, n_rows=100)
    config = TrainConfig(steps=steps, batch_rows=ROWS, learning_rate=5e-4, decay=0.5, seed=seed)
    batch_at = sft_batches(np.concatenate((own, usual)), text, config, tokenizer.eot_id)
    return train(model, batch_at, next_token_loss, config)


class Teacher(Pictured, ipywidgets.VBox):
    """`editor` holds the examples, `button` teaches them; `model` is the taught copy afterwards."""

    def __init__(self, pair: tuple[Transformer, Tokenizer], examples: str, steps: int) -> None:
        self._before, self.tokenizer = pair
        self.model, self.job, self._steps = self._before, None, steps
        self._rows: list[tuple[str, str, str]] = []  # prompt, answer before, answer after
        self.editor = ipywidgets.Textarea(
            value=examples,
            rows=5,
            description="Examples",
            layout=ipywidgets.Layout(width="100%", max_width="760px"),
        )
        self.button = ipywidgets.Button(description="Teach", button_style="primary")
        self.also = ipywidgets.Text(
            value="What is the capital of France?",
            description="Ask also",
            layout=ipywidgets.Layout(width="100%", max_width="760px"),
        )
        self._said, self._table = ipywidgets.HTML(), ipywidgets.HTML()
        self.button.on_click(lambda _: self.press())
        self._say("One example a line, prompt | response. Then press Teach.")
        super().__init__([self.editor, self.also, self.button, self._said, self._table])

    def teach(self) -> "Teacher":
        """Teach the examples and wait for the end, as a cell without a mouse does."""
        self._begin().join()
        return self

    def press(self) -> None:
        """What the button does: teach in a worker thread; what goes wrong is shown."""
        try:
            self._begin()
        except ValueError as error:
            self._say(f"That can't be taught: {error}")

    def picture(self) -> Picture:
        lines = [f"{q}\n  before: {a}\n  after:  {b}" for q, a, b in self._rows]
        if not lines:
            return text_card("examples to teach", self.editor.value, "not taught yet")
        return text_card("what teaching changed", "\n".join(lines), f"after {self._steps} steps")

    def _begin(self) -> Job:
        examples = parse_examples(self.editor.value)
        prompts = [dialogue[0]["content"] for dialogue in examples]
        prompts += [self.also.value] if self.also.value.strip() else []
        model = deepcopy(self._before)
        steps = teach_steps(model, self.tokenizer, examples, self._steps)
        self.job = Job(steps, self._steps)
        self.job.listeners.append(lambda: self._update(model, prompts))
        self.button.disabled = True
        try:
            return self.job.start()
        except ValueError:
            self.button.disabled = False
            raise

    def _update(self, model: Transformer, prompts: list[str]) -> None:
        if self.job.state == RUNNING:
            self._say(f"Teaching: step {len(self.job.records)} of {self._steps} ...")
            return
        self.button.disabled = False
        if self.job.error is not None:
            self._say(f"{type(self.job.error).__name__}: {self.job.error}")
            return
        self.model = model.eval()
        asked = [Prompt(prompt, "chat") for prompt in prompts]
        answers = (chat_answers(m, self.tokenizer, asked) for m in (self._before, model))
        self._rows = list(zip(prompts, *answers, strict=True))
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self._rows
        )
        head = "".join(f'<th scope="col">{name}</th>' for name in ("asked", "before", "after"))
        self._table.value = (
            '<table style="text-align: left; border-spacing: 12px 4px">'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )
        self._say("Taught. The same questions, before and after:")

    def _say(self, words: str) -> None:
        self._said.value = f'<p role="status" aria-live="polite">{html.escape(words)}</p>'


def teach(
    pair: tuple[Transformer, Tokenizer], examples: str = EXAMPLES, steps: int = STEPS
) -> Teacher:
    """An editor for examples that a copy of `pair`'s model learns; the model itself stays."""
    if not (isinstance(pair, tuple) and len(pair) == 2):
        raise ValueError(f"teach needs a (model, tokenizer), got {type(pair).__name__}")
    if steps < 1:
        raise ValueError(f"teaching takes one step or more, got {steps}")
    return Teacher(pair, examples, steps)
