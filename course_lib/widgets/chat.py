"""A talk with several models at once: one question, their answers side by side, token by token.

A question from the page is answered in one worker thread, so that Stop can be heard meanwhile;
`ask` answers in the thread that calls it. A model in `raw` was never trained on talks: it gets the
bare text as the beginning of a document and continues it. Left out: top-k, top-p.
"""

import textwrap
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, replace

import anywidget
import traitlets

from course_lib.config import Sampling
from course_lib.model.sample import stream
from course_lib.model.transformer import Transformer
from course_lib.plots import Picture
from course_lib.text.chat import Message, decode_answer, encode_prompt, exchange
from course_lib.text.tokenizer import Tokenizer
from course_lib.widgets.page import page
from course_lib.widgets.shell import TEXT_SIZES, Pictured, drawable

WRITING, ENDED, CUT, STOPPED = "writing", "ended", "cut off", "stopped"
SECONDS_BETWEEN_UPDATES = 0.05
# Measures of the picture, in inches unless another unit is said. A line of 10 points with a line
# spacing of 1.35 is 0.19 inches high: a little more, and lines of neighbouring rows never touch.
WIDTH, LINE, ROW_GAP, EDGE = 8.4, 0.2, 0.14, 0.1
MARGIN = 0.015  # left of each column, as a share of the width
LETTERS, GUTTER = 96, 3  # of 10 points: in a line of the whole width, and between two columns
QUESTIONS = (  # the last two are test prompts: no training stage used them
    "Hello!",
    "Who are you?",
    "What is the capital of Canada?",
    "What is the capital of Vevunia?",  # an invented country
    "How can I break a bike?",
)
_one_at_a_time = threading.Lock()  # two widgets may hold the same models


@dataclass(frozen=True)
class Speaker:
    """A model that takes part in the talk."""

    name: str
    model: Transformer
    tokenizer: Tokenizer
    raw: bool = False  # it continues the bare text


@dataclass(frozen=True)
class Answer:
    """What a model has said so far."""

    text: str = ""
    n_tokens: int = 0
    state: str = WRITING


@dataclass(frozen=True)
class Turn:
    """A question with the answer of each model, in the models' order."""

    question: str
    temperature: float
    seed: int
    answers: tuple[Answer, ...]


def question_ids(speaker: Speaker, messages: list[Message]) -> list[int]:
    """The ids that the model goes on from; ValueError where they leave no room for an answer."""
    if speaker.raw:
        text = "\n".join(message["content"] for message in messages)
        ids = [*speaker.tokenizer.start_ids, *speaker.tokenizer.encode(text)]
    else:
        ids = encode_prompt(speaker.tokenizer, messages)
    room = speaker.model.config.context_length
    if len(ids) >= room:
        raise ValueError(
            f"this is too long for {speaker.name}: {len(ids)} tokens, where question, talk so far "
            f"and answer together may have {room}. Ask something shorter, or begin a new talk"
        )
    return ids


def talk_so_far(talk: tuple[Turn, ...], number: int) -> list[Message]:
    """The messages of all turns, with the answers of model `number`."""
    return [m for turn in talk for m in exchange(turn.question, turn.answers[number].text)]


def write(
    speakers: list[Speaker],
    prompts: list[list[int]],
    max_new_tokens: int,
    sampling: Sampling,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[Answer, ...]]:
    """All answers so far, each time that every model still writing has said one token more."""
    streams, said = [], [[] for _ in speakers]
    states = [WRITING] * len(speakers)
    for speaker, prompt in zip(speakers, prompts, strict=True):
        # the same dice for everyone: what differs between the columns is the models, not luck
        streams.append(stream(speaker.model, prompt, max_new_tokens, sampling))
    # one token each in turn, so that the answers grow side by side as the page shows them
    while WRITING in states and not stopped():
        for i, speaker in enumerate(speakers):
            if states[i] == WRITING:
                id = next(streams[i], None)
                states[i] = CUT if id is None else WRITING
                if id is not None and speaker.tokenizer.is_text(id):
                    said[i].append(id)
                elif id is not None:  # whichever control token it is, it ends the answer
                    states[i] = ENDED
        yield tuple(
            Answer(_readable(speaker.tokenizer, ids, state), len(ids), state)
            for speaker, ids, state in zip(speakers, said, states, strict=True)
        )


def _readable(tokenizer: Tokenizer, ids: list[int], state: str) -> str:
    text = decode_answer(tokenizer, ids)
    return text.rstrip("\ufffd") if state == WRITING else text  # half a character: more will come


def talk_in_words(speakers: list[Speaker], talk: tuple[Turn, ...]) -> str:
    """The talk as plain text: a line for each question and each answer."""
    if not talk:
        return f"A talk with {', '.join(s.name for s in speakers)}: nothing is asked yet."
    lines = []
    for turn in talk:
        lines.append(f"Question: {turn.question}")
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
    """The talk as a table: under each question a column for each model."""
    from matplotlib.figure import Figure

    words = talk_in_words(speakers, talk)
    rows = [] if talk else [("normal", [words])]
    for turn in talk:
        rows.append(("bold", [f"Question: {turn.question}"]))
        rows.append(("bold", [_title(speaker) for speaker in speakers]))
        rows.append(("normal", [answer.text + _unfinished(answer) for answer in turn.answers]))
    cells = [
        [_wrapped(text, LETTERS // len(texts) - GUTTER) for text in texts] for _, texts in rows
    ]
    heights = [LINE * max(text.count("\n") + 1 for text in texts) + ROW_GAP for texts in cells]

    whole = sum(heights) + EDGE
    figure = Figure(figsize=(WIDTH, whole))
    top = sum(heights)
    for (weight, _), texts, height in zip(rows, cells, heights, strict=True):
        style = dict(fontsize=10, weight=weight, va="top", linespacing=1.35, parse_math=False)
        for i, text in enumerate(texts):
            figure.text(MARGIN + i / len(texts), top / whole, text, **style)
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
    examples = traitlets.List(QUESTIONS).tag(sync=True)
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
        return talk_picture(self.speakers, self.talk)

    def close(self):
        self._stop.set()
        super().close()

    def _on_message(self, _, message: dict, buffers: list) -> None:
        """What the page sends: ask, new or stop."""
        if message["do"] == "stop":
            self._stop.set()
            return
        if self.busy:  # one job at a time: the page has not heard of it yet
            return
        self._wait()  # until a worker that is no longer busy has ended
        if message["do"] == "new":
            self.talk, self.error = (), ""
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
        prompts = [
            question_ids(speaker, first + talk_so_far(earlier, i) + last)
            for i, speaker in enumerate(self.speakers)
        ]
        self._stop.clear()
        turn = Turn(question, self.temperature, self.seed, (Answer(),) * len(self.speakers))
        with self.hold_sync():
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
    """A talk with `models`, name -> (model, tokenizer), that has `question` answered already.

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
