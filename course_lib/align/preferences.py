"""Rankings of answers, the pairs they give, and their file.

A ranking of K answers gives K (K - 1) / 2 pairs, less those whose answers are tied or the same: a
person who orders five answers decides ten pairs at once. The file is JSON lines with `prompt`,
`chosen`, `rejected` as messages: what TRL and `datasets` read.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby
from pathlib import Path

from course_lib.machine.disk import read_json_lines, write_json_lines
from course_lib.text.chat import Message, Question, dialogue_of, exchange, question_of

Ranking = Sequence[int | Sequence[int]]  # indices of answers, best first; tied ones in a list


@dataclass(frozen=True)
class Preference:
    """Of two answers to a prompt, which one somebody liked better."""

    prompt: Question
    chosen: str
    rejected: str


def ranking_to_pairs(prompt: str, answers: list[str], ranking: Ranking) -> list[Preference]:
    """Every pair that a ranking decides, best answers first; ties and repetitions decide nothing.

    >>> [(p.chosen, p.rejected) for p in ranking_to_pairs("?", ["a", "b", "c"], [2, [0, 1]])]
    [('c', 'a'), ('c', 'b')]
    """
    places = [[place] if isinstance(place, int) else list(place) for place in ranking]
    if sorted(i for place in places for i in place) != list(range(len(answers))):
        raise ValueError(
            f"a ranking of {len(answers)} answers names each index once, got {ranking}"
        )
    return [
        Preference(prompt, answers[i], answers[j])
        for better, worse in combinations(places, 2)
        for i in better
        for j in worse
        if answers[i] != answers[j]
    ]


def ranking_by(worths: Sequence[float]) -> list[list[int]]:
    """The ranking of answers by their worths, the highest first; equal worths are tied.

    >>> ranking_by([0.5, 1.0, 0.5])
    [[1], [0, 2]]
    """
    order = sorted(range(len(worths)), key=lambda i: -worths[i])
    return [list(place) for _, place in groupby(order, key=lambda i: worths[i])]


def agreement(ours: Iterable[Preference], theirs: Iterable[Preference]) -> tuple[int, int]:
    """Of the pairs that both decide: how many they decide alike, and how many there are."""
    theirs = set(theirs)
    # One entry for each of our pairs that they decide too: True where they chose as we did.
    both = [
        pair in theirs
        for pair in set(ours)
        if pair in theirs or Preference(pair.prompt, pair.rejected, pair.chosen) in theirs
    ]
    return sum(both), len(both)


def collect(
    prompts: Iterable[str],
    answer_groups: Iterable[list[str]],
    rank: Callable[[str, list[str]], Ranking],
) -> list[Preference]:
    """The pairs of all rankings, one for each prompt: `rank(prompt, answers)` is the annotator."""
    pairs = []
    for prompt, answers in zip(prompts, answer_groups, strict=True):
        # A model sure of itself says the same several times; nobody has to read that twice.
        distinct = list(dict.fromkeys(answers))
        pairs += ranking_to_pairs(prompt, distinct, rank(prompt, distinct))
    return pairs


def save_preferences(path: str | Path, preferences: Iterable[Preference]) -> None:
    """Writes one JSON line per pair; the file changes as a whole or not at all."""
    records = []
    for pair in preferences:
        *prompt, chosen = exchange(pair.prompt, pair.chosen)
        rejected = {**chosen, "content": pair.rejected}
        records.append({"prompt": prompt, "chosen": [chosen], "rejected": [rejected]})
    write_json_lines(path, records)


def load_preferences(path: str | Path) -> list[Preference]:
    """The pairs of a file that `save_preferences` wrote, or that holds messages as TRL's may.

    A prompt may have several of them. It may also have no field of its own: then `chosen` and
    `rejected` are whole conversations, which differ in their last message.
    """
    pairs, shape = [], '{"prompt": [...], "chosen": [...], "rejected": [...]}'
    for number, record in read_json_lines(Path(path), shape):
        try:
            *prompt, chosen = _conversation(record, "chosen")
            *other, rejected = _conversation(record, "rejected")
            if prompt != other:
                raise ValueError("chosen and rejected must answer the same messages")
        except ValueError as error:
            wanted = f"expected {shape}, each a list of messages"
            raise ValueError(f"{path}, line {number}: {wanted} ({error})") from error
        pairs.append(Preference(question_of(prompt), chosen["content"], rejected["content"]))
    return pairs


def _conversation(record: dict, answer: str) -> list[Message]:
    """All messages from the first question to the `answer`, which is "chosen" or "rejected"."""
    prompt, said = record.get("prompt"), record.get(answer)
    if isinstance(prompt, list) and isinstance(said, list) and said[: len(prompt)] != prompt:
        said = [*prompt, *said]
    return dialogue_of(said)
