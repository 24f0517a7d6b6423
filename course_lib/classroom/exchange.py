"""Votes that leave a room and come into one: for lesson 05, for a table, and for another room.

    votes.jsonl        every vote, one a line: what `imported` reads, so that rooms can be merged
    votes.csv          the same as a table
    preferences.jsonl  the votes that prefer one answer, as `align.preferences`, TRL and `datasets`
                       read them: the pairs that a reward model learns from

A voter is a number drawn from the room and the phone's hash; no token leads to it. What comes in is
checked line by line, and all of it counts or none. No text of an import is kept: it can only vote
for what this room could ask itself.
"""

import csv
import hashlib
import io
import json
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from course_lib.align.preferences import Preference, save_preferences
from course_lib.classroom.room import MOST_DEVICES, MOST_HANDS, MOST_ROUNDS, TWICE, Room
from course_lib.classroom.rounds import MOST_PAIRS, WHOLE
from course_lib.classroom.store import Round, Vote

EXPORTS = ("votes.jsonl", "votes.csv", "preferences.jsonl")
FIELDS = ("room", "kind", "about", "ballot", "item", "voter", "value", "count")
TEXTS = ("prompt", "a", "b")  # of a pair, for whoever reads the file without the course
MOST_LINES = 50_000
NAME = re.compile(r"[0-9a-f]{12}")
VOTER = re.compile(r"[0-9a-f]{12}|hand:.{1,400}", re.DOTALL)
SHAPE = '{"room": "...", "kind": "guess", "about": "six-share", "ballot": 1, ...}'


def exported(room: Room, name: str) -> str:
    """One of `EXPORTS` as a text. Rounds that are open stay closed to it: nobody peeks."""
    if name == "preferences.jsonl":
        with tempfile.TemporaryDirectory() as folder:
            save_preferences(Path(folder) / name, preferences(room))
            return (Path(folder) / name).read_text(encoding="utf-8")
    rows = list(_rows(room))
    if name == "votes.jsonl":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    table = io.StringIO()
    writer = csv.DictWriter(table, [*FIELDS, *TEXTS], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _plain(value) for key, value in row.items()} for row in rows)
    return table.getvalue()


def preferences(room: Room) -> list[Preference]:
    """A pair for each vote that prefers one answer: who found both as good decides nothing."""
    found = []
    for one in _closed(room):
        for vote in room.store.votes(one.id) if one.kind == "pairs" else ():
            pair = room.material.pairs[vote.item]
            if vote.value in ("a", "b"):
                best, other = (pair.a, pair.b) if vote.value == "a" else (pair.b, pair.a)
                found += [Preference(pair.prompt, best, other)] * vote.count
    return found


def _closed(room: Room) -> list[Round]:
    rounds = [one for one in room.store.rounds() if one.state == "closed"]
    return [one for one in rounds if room.material.knows(one)]


def _rows(room: Room) -> Iterator[dict]:
    for one in _closed(room):
        for vote in room.store.votes(one.id):
            home, voter = _home(room, vote.voter)
            row = {"room": home, "kind": one.kind, "about": one.about, "ballot": vote.ballot}
            row |= {"item": vote.item, "voter": voter, "value": vote.value, "count": vote.count}
            if one.kind == "pairs":
                pair = room.material.pairs[vote.item]
                row |= {"prompt": pair.prompt, "a": pair.a, "b": pair.b}
            yield row


def _home(room: Room, voter: str) -> tuple[str, str]:
    """(the room in which somebody voted, who): `from:ROOM:VOTER` came in from another room."""
    if voter.startswith("from:"):
        _, home, who = voter.split(":", 2)
        return home, who
    if voter.startswith("hand:"):
        return room.id, voter
    return room.id, hashlib.sha256(f"{room.id} {voter}".encode()).hexdigest()[:12]


def _plain(value: object) -> object:
    """A cell that no spreadsheet takes for a formula."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return value if re.fullmatch(r"[-+]?\d[\d.]*(e[-+]?\d+)?", value) else f"'{value}"
    return value


# ---- Coming in -----------------------------------------------------------------------------------


def imported(room: Room, body: bytes) -> dict:
    """Takes in the votes.jsonl of another room; ValueError names the line that is wrong.

    The same file once more changes nothing. Votes go into the latest closed round that asked the
    same; where there is none, into a new one.
    """
    votes: list[tuple[tuple, Vote]] = []
    for number, line in enumerate(body.split(b"\n"), 1):
        if not line.strip():
            continue
        if len(votes) >= MOST_LINES:
            raise ValueError(f"an import has at most {MOST_LINES:,} votes")
        try:
            votes.append(_checked(room, line))
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from error
    own = sum(1 for _, vote in votes if vote is None)
    votes = [(key, vote) for key, vote in votes if vote is not None]
    voters = Counter(who.split(":")[1] for who in {vote.voter for _, vote in votes})
    if voters and max(voters.values()) > MOST_DEVICES:
        raise ValueError(f"a room has at most {MOST_DEVICES} voters, this file has more")
    places = _places(room, list(dict.fromkeys(key for key, _ in votes)))
    room.store.put_all((places[key], vote) for key, vote in votes)
    for id in {places[key] for key, vote in votes if vote.ballot == 2}:
        room.store.keep_round(replace(room.store.round(id), ballot=2))
    return {"votes": len(votes), "rounds": len(set(places.values())), "own": own}


def _checked(room: Room, line: bytes) -> tuple[tuple, Vote | None]:
    """((kind, about, item), vote) of a line; no vote if it is this room's own."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict) or not set(FIELDS) <= set(row):
        raise ValueError(f"expected one JSON object per line with {', '.join(FIELDS)}")
    home, kind, about, ballot, item, voter, value, count = (row[name] for name in FIELDS)
    if not all(isinstance(text, str) for text in (home, kind, about, item, voter, value)):
        raise ValueError("room, kind, about, item, voter and value are texts")
    if not NAME.fullmatch(home) or not VOTER.fullmatch(voter):
        raise ValueError("room and voter are 12 hexadecimal digits, or hand: and an answer")
    if type(count) is not int or not 1 <= count <= (MOST_HANDS if voter[:5] == "hand:" else 1):
        raise ValueError(f"count is 1, or up to {MOST_HANDS} of hands, got {count!r:.60}")
    if type(ballot) is not int or not 1 <= ballot <= (2 if kind in TWICE else 1):
        raise ValueError(f"ballot is 1, or 2 where neighbours talked, got {ballot!r:.60}")
    if kind == "pairs":
        if item not in room.material.pairs:
            raise ValueError("this pair of answers isn't one of this room: start it with --pairs")
        known = Round(0, "pairs", "", (item,))
    else:
        known = Round(0, kind, *room.material.about(kind, about))
    value = room.material.understood(known, item, value)
    if home == room.id:
        return (kind, about, item), None
    if voter.startswith("hand:"):
        voter = f"hand:{value}"
    return (kind, known.about, item), Vote(item, f"from:{home}:{voter}", value, ballot, count)


def _places(room: Room, keys: list[tuple]) -> dict[tuple, int]:
    """The round for each (kind, about, item); a new closed one where nothing asked it before."""
    closed = _closed(room)
    places, lacking = {}, []
    for key in keys:
        kind, about, item = key
        fits = [o for o in closed if (o.kind, o.about) == (kind, about) and item in o.items]
        if fits:
            places[key] = fits[-1].id
        else:
            lacking.append(key)
    pairs = [key for key in lacking if key[0] == "pairs"]
    groups = [pairs[i : i + MOST_PAIRS] for i in range(0, len(pairs), MOST_PAIRS)]
    groups += [[key] for key in lacking if key[0] != "pairs"]
    if len(room.store.rounds()) + len(groups) > MOST_ROUNDS:
        raise ValueError(f"that would make more than {MOST_ROUNDS} rounds: remove some first")
    for group in groups:
        kind, about, _ = group[0]
        items = [item for _, _, item in group] if kind == "pairs" else WHOLE
        one = room.store.add_round(kind, about, items)
        room.store.keep_round(replace(one, state="closed"))
        places |= dict.fromkeys(group, one.id)
    return places
