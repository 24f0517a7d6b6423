"""Rankings of several people: read from several files, and how far these people agree.

Two kinds of file are read. `rankings.jsonl` is what the ranker writes and TRL reads: one person's
pairs. `votes.jsonl` is what a room exports: a line per vote, with the voter's number. Rooms can be
merged, so the same vote may come in twice; it counts once.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from course_lib.align.preferences import Preference, load_preferences
from course_lib.machine.disk import read_json_lines

VOTE = '{"room": "...", "kind": "pairs", "item": "...", "voter": "...", "value": "a", ...}'
TEXTS = ("room", "item", "voter", "value", "prompt", "a", "b")


def people(files: Iterable[str | Path]) -> dict[str, list[Preference]]:
    """The pairs that each person decided, by file name or by room and voter.

    Who found both answers as good decided nothing. Hands that a teacher counted are one entry, with
    a pair for each hand.
    """
    found: dict[str, list[Preference]] = {}
    voted: dict[tuple[str, str, str], list[Preference]] = {}
    for path in map(Path, files):
        if _is_of_a_room(path):
            # a later line about the same vote replaces the earlier one
            voted |= _votes(path)
            continue
        name, number = path.stem, 2
        while name in found:  # from two folders
            name, number = f"{path.stem} {number}", number + 1
        found[name] = load_preferences(path)
    for (room, voter, _), pairs in voted.items():
        who = "hands" if voter.startswith("hand:") else voter
        found.setdefault(f"{room} {who}", []).extend(pairs)
    return {name: pairs for name, pairs in found.items() if pairs}


def _is_of_a_room(path: Path) -> bool:
    for _, record in read_json_lines(path, VOTE):
        return "voter" in record
    return False


def _votes(path: Path) -> dict[tuple[str, str, str], list[Preference]]:
    """(room, voter, pair) -> what that vote decides; other rounds of the room are left out."""
    found = {}
    for number, record in read_json_lines(path, VOTE):
        if record.get("kind") != "pairs":
            continue
        texts = [record.get(name) for name in TEXTS]
        count = record.get("count", 1)
        if not all(isinstance(text, str) for text in texts) or type(count) is not int or count < 1:
            raise ValueError(f"{path}, line {number}: expected a vote such as {VOTE}")
        room, item, voter, value, prompt, a, b = texts
        best, other = (a, b) if value == "a" else (b, a)
        decided = [Preference(prompt, best, other)] * count if value in ("a", "b") else []
        found[room, voter, item] = decided
    return found


@dataclass(frozen=True)
class Agreement:
    """How far people decide the same pairs alike."""

    shared: int  # pairs that two people or more decided
    two_people: float  # how often two of them, drawn at random, decide such a pair alike
    ceiling: float  # how often the verdict of the majority agrees with one of them

    def __repr__(self) -> str:
        if not self.shared:
            return "No pair was decided by two people, so nobody knows how far they agree."
        return (
            f"{self.shared} pairs were decided by two people or more. Two of them agree in "
            f"{self.two_people:.0%}, the majority agrees with one of them in {self.ceiling:.0%}."
        )


def agreed(decided: Mapping[str, Iterable[Preference]]) -> Agreement:
    """How far these people agree.

    No model can agree with people more often than the majority's own verdict does, and that is more
    often than two people agree with each other. Of a pair that people decide 75 to 25, two agree in
    0.75 * 0.75 + 0.25 * 0.25 = 62.5%, and the majority agrees with one of them in 75%.
    """
    counts = Counter(pair for pairs in decided.values() for pair in pairs)
    alike = two = with_majority = votes = shared = 0
    for pair, n in counts.items():
        other = counts.get(Preference(pair.prompt, pair.rejected, pair.chosen), 0)
        # each pair once: from the side of its majority, or, where both are as many, of one of them
        if n + other < 2 or other > n or (other == n and pair.chosen > pair.rejected):
            continue
        shared += 1
        alike += n * (n - 1) / 2 + other * (other - 1) / 2
        two += (n + other) * (n + other - 1) / 2
        with_majority += n
        votes += n + other
    if not shared:
        return Agreement(0, 0.0, 0.0)
    return Agreement(shared, alike / two, with_majority / votes)
