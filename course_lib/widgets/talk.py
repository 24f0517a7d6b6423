"""A talk with several models: who speaks, what goes to them, and their answers, token by token.

A model's context is short, so of a long talk the oldest turns are left out: an answer should have
room to end. The page without Python does the same in `play/talk.js`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from course_lib.config import Sampling
from course_lib.model.sample import stream
from course_lib.model.transformer import Transformer
from course_lib.text.chat import Message, decode_answer, encode_prompt, exchange
from course_lib.text.tokenizer import Tokenizer

WRITING, ENDED, CUT, STOPPED = "writing", "ended", "cut off", "stopped"
ROOM = 40  # tokens that an answer to a follow-up finds free; all but a few answers have fewer


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
    follows: bool = False  # the turn before went to the models with it
    note: str = ""  # what of the talk did not go to the models, if so


def question_ids(speaker: Speaker, messages: list[Message]) -> list[int]:
    """The ids that the model goes on from; ValueError where they leave no room for an answer."""
    ids = _ids(speaker, messages)
    room = speaker.model.config.context_length
    if len(ids) >= room:
        raise ValueError(
            f"this is too long for {speaker.name}: {len(ids)} tokens, where question, conversation "
            f"so far and answer together may have {room}. Ask something shorter, or press New "
            "conversation."
        )
    return ids


def _ids(speaker: Speaker, messages: list[Message]) -> list[int]:
    if speaker.raw:
        text = "\n".join(message["content"] for message in messages)
        return [*speaker.tokenizer.start_ids, *speaker.tokenizer.encode(text)]
    return encode_prompt(speaker.tokenizer, messages)


def forgotten(
    speakers: list[Speaker], first: list[Message], talk: tuple["Turn", ...], question: str
) -> int:
    """How many of the oldest turns must go, so that each model has room for question and answer.

    `first` is the system message, if any, which stays.
    """
    last = [{"role": "user", "content": question}]
    for gone in range(len(talk)):
        lengths = [
            len(_ids(one, first + talk_so_far(talk[gone:], i) + last)) + ROOM
            for i, one in enumerate(speakers)
        ]
        rooms = (one.model.config.context_length for one in speakers)
        if all(length <= room for length, room in zip(lengths, rooms, strict=True)):
            return gone
    return len(talk)


def forgotten_in_words(gone: int, context_length: int) -> str:
    """The sentence under a question with which the oldest turns did not go to the models."""
    if not gone:
        return ""
    turns = "turn doesn't" if gone == 1 else f"{gone} turns don't"
    return (
        f"The conversation has grown too long for a context of {context_length} tokens: its first "
        f'{turns} reach the models any more. "New conversation" begins afresh.'
    )


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
