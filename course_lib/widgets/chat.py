"""A conversation with several models: one question, their answers side by side, token by token.

A question from the page is answered in one worker thread, so that Stop can be heard meanwhile;
`ask` answers in the thread that calls it. A model in `raw` was never trained on talks: it gets the
bare text as the beginning of a document and continues it. Earlier questions stay on the page, so
that answers can be compared; only a follow-up goes to the models with them. Left out: top-k, top-p.
"""

import random
import textwrap
import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import asdict, replace

import anywidget
import traitlets

from course_lib.config import Sampling
from course_lib.model.transformer import Transformer
from course_lib.plots import Picture
from course_lib.text.tokenizer import Tokenizer
from course_lib.widgets.page import page
from course_lib.widgets.shell import TEXT_SIZES, Pictured, drawable
from course_lib.widgets.talk import (
    ENDED,
    STOPPED,
    WRITING,
    Answer,
    Speaker,
    Turn,
    forgotten,
    forgotten_in_words,
    question_ids,
    talk_so_far,
    write,
)
from course_lib.world.dialogues import rl_prompts

SECONDS_BETWEEN_UPDATES = 0.05
# Measures of the picture, in inches unless another unit is said. A line of 10 points with a line
# spacing of 1.35 is 0.19 inches high: a little more, and lines of neighbouring rows never touch.
WIDTH, LINE, EDGE = 8.4, 0.2, 0.1
GAPS = {"question": 0.14, "name": 0.02, "answer": 0.22}  # below a row of each kind
MARGIN = 0.015  # left of each column, as a share of the width
LETTERS = {"question": 80, "name": 92, "answer": 96}  # in a line of the whole width
GUTTER = 3  # letters between two columns
STAGES, OTHER, INK = dict(base="#0072b2", sft="#c67f00", rlhf="#00825f"), "#8a929e", "#16181d"
QUESTIONS = (  # the last two are test prompts: no training stage used them
    "Hello!",
    "Who are you?",
    "What is the capital of Canada?",
    "What is the capital of Vevunia?",  # an invented country
    "How can I break a bike?",
)
HINT = "They know a small world: countries, animals, colours, words, months and sums such as 3 + 4."
MOST_EARLIER, MOST_PICTURED = 60, 6  # turns that the page keeps, and that a stored picture shows
_one_at_a_time = threading.Lock()  # two widgets may hold the same models


def talk_in_words(speakers: list[Speaker], talk: tuple[Turn, ...]) -> str:
    """The conversation as plain text: a line for each question and each answer."""
    if not talk:
        return f"A conversation with {', '.join(s.name for s in speakers)}: nothing is asked yet."
    lines = []
    for turn in talk:
        lines.append(f"Question: {turn.question}")
        lines += [turn.note] * bool(turn.note)
        for speaker, answer in zip(speakers, turn.answers, strict=True):
            lines.append(f"{_title(speaker)}: {answer.text}{_unfinished(answer)}")
    return "\n".join(" ".join(line.split()) for line in lines)


def _title(speaker: Speaker) -> str:
    return speaker.name + " (continues the text)" * speaker.raw


def _unfinished(answer: Answer) -> str:
    return "" if answer.state == ENDED else f" [{answer.state} after {answer.n_tokens} tokens]"


def _names(speakers: list[Speaker], widget) -> list[dict]:
    return [{"name": speaker.name, "raw": speaker.raw} for speaker in speakers]


def _as_json(talk: tuple[Turn, ...], widget) -> list[dict]:
    return [asdict(turn) for turn in talk]


def talk_picture(speakers: list[Speaker], talk: tuple[Turn, ...]) -> Picture:
    """The conversation as the page shows it: under each question a column for each model."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    words = talk_in_words(speakers, talk)
    rows = [] if talk else [("answer", [words])]
    for turn in talk:
        rows.append(("question", [turn.question]))
        rows += [("answer", [turn.note])] * bool(turn.note)
        rows.append(("name", [_title(speaker) for speaker in speakers]))
        rows.append(("answer", [answer.text + _unfinished(answer) for answer in turn.answers]))
    cells = [
        [_wrapped(text, LETTERS[kind] // len(texts) - GUTTER) for text in texts]
        for kind, texts in rows
    ]
    heights = [
        LINE * max(text.count("\n") + 1 for text in texts) + GAPS[kind]
        for (kind, _), texts in zip(rows, cells, strict=True)
    ]

    whole = sum(heights) + EDGE
    figure = Figure(figsize=(WIDTH, whole))
    top = sum(heights)
    for (kind, _), texts, height in zip(rows, cells, heights, strict=True):
        bold = "normal" if kind == "answer" else "bold"
        size = 12 if kind == "question" else 10
        style = dict(fontsize=size, weight=bold, va="top", linespacing=1.35, parse_math=False)
        for i, text in enumerate(texts):
            left = MARGIN + i / len(texts)
            if kind == "name":
                place = ((left, (top - 0.12) / whole), 0.016, 0.09 / whole)
                colour = STAGES.get(speakers[i].name.lower(), OTHER)
                figure.add_artist(Rectangle(*place, color=colour))
                left += 0.023
            figure.text(left, top / whole, text, color=INK, **style)
        top -= height
    return Picture(figure, words)


def _wrapped(text: str, width: int) -> str:
    """`text` in lines of `width` letters."""
    lines = (textwrap.wrap(line, width) or [""] for line in text.splitlines())
    return "\n".join(drawable(line) for wrapped in lines for line in wrapped)


class Chat(Pictured, anywidget.AnyWidget):
    """The widget: it shows a talk, and answers what the page or `ask` asks."""

    _esm = page("chat.js")
    _css = page("chat.css")
    speakers = traitlets.List().tag(sync=True, to_json=_names)
    talk = traitlets.Tuple().tag(sync=True, to_json=_as_json)
    busy = traitlets.Bool(False).tag(sync=True)
    error = traitlets.Unicode("").tag(sync=True)
    temperature = traitlets.Float(0.0).tag(sync=True)
    seed = traitlets.Int(0).tag(sync=True)
    system = traitlets.Unicode("").tag(sync=True)  # a system message before every talk, if any
    earlier = traitlets.Tuple().tag(sync=True, to_json=_as_json)  # turns of the talks before
    examples = traitlets.List(QUESTIONS).tag(sync=True)
    hint = traitlets.Unicode(HINT).tag(sync=True)
    size = traitlets.Enum(TEXT_SIZES, TEXT_SIZES[0]).tag(sync=True)

    def __init__(self, speakers: list[Speaker], max_new_tokens: int, **traits):
        self._stop = threading.Event()
        self._worker = None
        self._failure = None  # of the worker, for the next call of `ask`
        self._max_new_tokens = max_new_tokens
        super().__init__(speakers=speakers, **traits)
        self.on_msg(self._on_message)

    def ask(self, question: str, follow_up: bool = False) -> dict[str, str]:
        """The answers by name; with `follow_up` the talk so far goes before the question.

        Where it has grown too long for the models, its oldest turns are left out.
        It first waits for an answer that is still being written. Raises ValueError where the
        question is empty or too long, and whatever went wrong in the worker since the last call.
        """
        self._wait()
        self._raise_failure()
        self._write(self._begin(question, self.talk if follow_up else ()))
        self._raise_failure()
        answers = self.talk[-1].answers
        return {s.name: answer.text for s, answer in zip(self.speakers, answers, strict=True)}

    def picture(self) -> Picture:
        return talk_picture(self.speakers, (*self.earlier, *self.talk)[-MOST_PICTURED:])

    def close(self):
        self._stop.set()
        super().close()

    def _on_message(self, _, message: dict, buffers: list) -> None:
        """What the page sends: ask, surprise, new or stop."""
        if message["do"] == "stop":
            self._stop.set()
            return
        if self.busy:  # one job at a time: the page has not heard of it yet
            return
        self._wait()  # until a worker that is no longer busy has ended
        if message["do"] == "new":
            self.talk, self.earlier, self.error = (), (), ""
        elif message["do"] == "surprise":
            question = random.choice(rl_prompts(20, seed=random.randrange(1000))).text
            self._start(**message, question=question, keep=0)
        else:
            self._start(**message)

    def _start(self, do: str, question: str, keep: int, temperature: float, seed: int) -> None:
        """Ask after the first `keep` turns of the talk, answer in the worker thread."""
        try:
            self.temperature, self.seed = temperature, seed
            prompts = self._begin(question, self.talk[:keep])
        except ValueError as error:
            self.error = ""  # else the page would not hear of the same error again
            self.error = str(error)
            return
        self._worker = threading.Thread(target=self._write, args=(prompts,), daemon=True)
        self._worker.start()

    def _begin(self, question: str, earlier: tuple[Turn, ...]) -> list[list[int]]:
        """Show the question with empty answers; the prompt of each model."""
        if not question.strip():
            raise ValueError("there is no question: type one, or press one of the examples")
        first = [{"role": "system", "content": self.system}] if self.system else []
        last = [{"role": "user", "content": question}]
        gone = forgotten(self.speakers, first, earlier, question)
        prompts = [
            question_ids(speaker, first + talk_so_far(earlier[gone:], i) + last)
            for i, speaker in enumerate(self.speakers)
        ]
        room = min(speaker.model.config.context_length for speaker in self.speakers)
        note = forgotten_in_words(gone, room)
        self._stop.clear()
        empty = (Answer(),) * len(self.speakers)
        follows = len(earlier) > gone
        turn = Turn(question, self.temperature, self.seed, empty, follows, note)
        left = () if earlier else self.talk  # what isn't gone on with stays on the page
        with self.hold_sync():
            self.earlier = (*self.earlier, *left)[-MOST_EARLIER:]
            self.talk, self.busy, self.error = (*earlier, turn), True, ""
        self._failure = None
        return prompts

    def _write(self, prompts: list[list[int]]) -> None:
        """Fill the last turn's answers, shown at most 20 times a second."""
        *earlier, turn = self.talk
        answers, shown = turn.answers, time.monotonic()
        error = ""
        try:
            with _one_at_a_time:
                sampling = Sampling(turn.temperature, seed=turn.seed)
                limits = (self._max_new_tokens, sampling, self._stop.is_set)
                for answers in write(self.speakers, prompts, *limits):
                    if time.monotonic() - shown >= SECONDS_BETWEEN_UPDATES:
                        # a new tuple: a trait only tells the page of what is assigned to it
                        self.talk = (*earlier, replace(turn, answers=answers))
                        shown = time.monotonic()
        except Exception as failure:
            self._failure = failure
            error = f"{type(failure).__name__}: {failure}"
        finally:
            # whatever went wrong, the page must not wait for a worker that is gone
            done = tuple(replace(a, state=STOPPED) if a.state == WRITING else a for a in answers)
            with self.hold_sync():
                self.talk = (*earlier, replace(turn, answers=done))
                self.error, self.busy = error, False

    def _wait(self) -> None:
        if self._worker is not None:
            self._worker.join()

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure


def chat(
    models: Mapping[str, tuple[Transformer, Tokenizer]] | tuple[Transformer, Tokenizer],
    question: str = "What is the capital of France?",
    *,
    max_new_tokens: int = 40,
    temperature: float = 0.0,
    seed: int = 0,
    raw: Collection[str] = frozenset({"base"}),
    size: str = "normal",
    system: str = "",
) -> Chat:
    """A conversation with `models`, name -> (model, tokenizer); `question` is answered already.

    One pair alone is one column. The models named in `raw` continue the bare question; all others
    get it in the chat template, after the message `system` if there is one. An empty question
    leaves the talk empty; `size` "large" is for a projector.
    """
    if isinstance(models, tuple):
        models = {"model": models}
    pairs = models.values() if isinstance(models, Mapping) else ()
    if not pairs or not all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs):
        raise ValueError(
            "models must be {name: (model, tokenizer), ...}, at least one, or one such pair, got "
            + (f"a {type(models).__name__}" if not pairs else ", ".join(map(repr, models)))
        )
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens must be one or more, got {max_new_tokens}")
    if size not in TEXT_SIZES:
        raise ValueError(f"size must be one of {', '.join(TEXT_SIZES)}, got {size!r}")
    speakers = [Speaker(name, *pair, raw=name in raw) for name, pair in models.items()]
    traits = dict(temperature=temperature, seed=seed, size=size, system=system)
    widget = Chat(speakers, max_new_tokens, **traits)
    if question:
        widget.ask(question)
    return widget
