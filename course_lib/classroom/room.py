"""A room: a class, what it is asked, and how it votes. It knows no web; `server` puts it there.

A round is a draft, then open, then closed, and only the teacher moves it. While it is open nobody
sees a count but that of the voters. A guess can be voted on twice: once alone, and once more after
neighbours have talked. The answer is shown last, and after it nobody votes again.
"""

import hashlib
import json
import secrets
from dataclasses import replace
from pathlib import Path

from course_lib.classroom.rounds import KINDS, Material
from course_lib.classroom.store import ALONE, Round, Store, Vote, hash_of
from course_lib.classroom.tally import result

LETTERS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # of codes: none that are taken for another
CODE_LENGTH = 5
MOST_DEVICES, MOST_ROUNDS = 1000, 200
MOST_HANDS = 1000  # that can be counted for one answer
LAST_REV = 2**53  # the last whole number that every browser counts to
TWICE = ("guess", "word")  # what can be voted on a second time
PRACTICE = "practice"  # what the board shows in place of a round, and the fact that holds it


class Refused(ValueError):
    """Something that the room doesn't do, with the HTTP status and a sentence that says why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def _refusal(error: ValueError) -> Refused:
    """What the rooms below find wrong, as a sentence."""
    words = str(error)
    return Refused(400, f"{words[:1].upper()}{words[1:]}.")


def new_room(folder: Path) -> str:
    """Makes an empty room in `folder` and returns the teacher's secret, which only they know now.

    An older room is put aside, as room-1.db, room-2.db, ...
    """
    path = folder / "room.db"
    if path.exists():
        Store(path).close()  # so that what was written ahead goes into the file
        place = next(i for i in range(1, 10**6) if not (folder / f"room-{i}.db").exists())
        path.rename(folder / f"room-{place}.db")
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    store = Store(path)
    store.keep_fact("id", secrets.token_hex(6))
    store.keep_fact("code", "".join(secrets.choice(LETTERS) for _ in range(CODE_LENGTH)))
    store.close()
    return new_secret(folder)


def new_secret(folder: Path) -> str:
    """Another secret for the teacher's pages; the one before opens them no longer."""
    secret, store = secrets.token_urlsafe(16), Store(folder / "room.db")
    store.keep_fact("secret", hash_of(secret))
    store.close()
    return secret


class Room:
    """The room in a folder."""

    def __init__(self, folder: Path, material: Material | None = None) -> None:
        if not (folder / "room.db").is_file():
            raise ValueError(f"there is no room in {folder}: `new_room` makes one")
        self.folder, self.store = folder, Store(folder / "room.db")
        self.material = material or Material()
        self.id, self.code = self.store.fact("id"), self.store.fact("code")
        if not self.id or not self.code:
            raise ValueError(f"the room in {folder} has no code: begin another with --new")

    # ---- Phones ----------------------------------------------------------------------------------

    def is_teacher(self, secret: str) -> bool:
        kept = self.store.fact("secret") or ""
        return secrets.compare_digest(hash_of(secret), kept)

    def is_code(self, given: object) -> bool:
        """Whether it is the room's code, in capitals or not."""
        if not isinstance(given, str) or len(given) > 40:
            return False
        bare = "".join(given.upper().split()).replace("-", "")
        return secrets.compare_digest(bare.encode(), self.code.encode())

    def join(self) -> str:
        """Lets a phone in; returns the token by which it is known from now on."""
        if self.store.devices() >= MOST_DEVICES:
            raise Refused(403, f"The room is full: {MOST_DEVICES} phones are in it.")
        token = secrets.token_urlsafe(24)
        self.store.join(hash_of(token))
        return token

    def voter(self, token: str) -> str:
        """The voter whose token it is."""
        voter = hash_of(token)
        if not self.store.has_joined(voter):
            raise Refused(401, "You aren't in this room: type the code that is on the board.")
        return voter

    def vote(self, voter: str, given: dict) -> dict:
        """Keeps a vote in the ballot that is open, and says which one stands now.

        The same vote may come again, and an older one may come late: both change nothing.
        """
        one, opening = self._current(), given.get("opening")
        is_its_own = type(opening) is int and one is not None and opening == one.opening
        if not is_its_own or one.state != "open":
            raise Refused(409, "This vote is closed.")
        return self._keep(one, voter, given)

    def early(self, voter: str, about: str, given: dict) -> dict:
        """Keeps a guess made in a notebook. It waits in a draft until its round is opened."""
        if about not in self.material.guesses:
            raise Refused(404, f"There is no guess {about!r:.60}.")
        found = [one for one in self.store.rounds() if (one.kind, one.about) == ("guess", about)]
        one = found[-1] if found else self._add("guess", about)
        if one.state == "closed":
            raise Refused(409, "This vote is closed.")
        return self._keep(one, voter, {**given, "item": ""})

    def _keep(self, one: Round, voter: str, given: dict) -> dict:
        rev, item = given.get("rev"), given.get("item", "")
        if type(rev) is not int or not 0 <= rev <= LAST_REV:
            raise Refused(400, f"A revision is a whole number from 0, got {rev!r:.60}.")
        try:
            value = self.material.understood(one, item, self._sides(one, voter, item, given))
        except ValueError as error:
            raise _refusal(error) from error
        kept = self.store.put(one.id, Vote(item, voter, value, one.ballot, 1, rev))
        return {"value": self._seen(one, voter, kept), "rev": kept.rev}

    def _sides(self, one: Round, voter: str, item: object, given: dict) -> object:
        """A vote for the left or right answer as one for the answer: phones see them blind."""
        value = given.get("value")
        if one.kind != "pairs":
            return value
        if value not in ("left", "right", "tie", "bad"):
            raise ValueError(f"expected left, right, tie or bad, got {value!r:.60}")
        if value in ("left", "right"):
            return "ab"[(value == "right") ^ _is_turned(voter, item)]
        return value

    def _seen(self, one: Round, voter: str, vote: Vote) -> str:
        """A kept vote as its voter sees it."""
        if one.kind == "pairs" and vote.value in ("a", "b"):
            return ("left", "right")[(vote.value == "b") ^ _is_turned(voter, vote.item)]
        return vote.value

    def seen_by(self, voter: str) -> dict:
        """What a phone shows: the round, its own votes, and at the end the right answer."""
        one = self._current()
        if one is None or one.state == "draft":
            return {"round": None}
        told = {"opening": one.opening, "kind": one.kind, "title": KINDS[one.kind]}
        told |= {"state": one.state, "ballot": one.ballot, "parts": self._parts(one, voter)}
        mine = [v for v in self.store.votes(one.id, voter) if v.ballot == one.ballot]
        told["mine"] = {v.item: [self._seen(one, voter, v), v.rev] for v in mine}
        if one.shown:
            told["outcome"] = self._outcome(one, mine)
        return {"round": told}

    def _parts(self, one: Round, voter: str) -> list[dict]:
        """The parts in this phone's own order, and the answers on this phone's own sides."""
        parts = []
        for item in sorted(one.items, key=lambda item: hash_of(voter + item)):
            part = self.material.part(one, item)
            told = {"id": item, "ask": part.ask, "unit": part.unit}
            if part.answers:
                turn = -1 if _is_turned(voter, item) else 1
                told["answers"] = part.answers[::turn]
            else:
                told["choices"] = list(part.choices.items())
            parts.append(told)
        return parts

    def _outcome(self, one: Round, mine: list[Vote]) -> str:
        """The right answer, for whoever voted as these votes say."""
        asked = self.material.question(one)
        if asked is None:
            return "" if one.kind != "pairs" else "The board shows what the room thinks."
        value = asked.understood(mine[0].value) if mine else None
        told = f"The answer: {asked.told(asked.right)}."
        if asked.options:
            why = asked.option(asked.right if value is None else value).why
        else:
            trap = [t.why for t in asked.traps if value is not None and t.low <= value <= t.high]
            why = trap[0] if trap else asked.why
        return f"{told} {why}".strip()

    # ---- The teacher -----------------------------------------------------------------------------

    def board(self) -> dict:
        """What the board shows. No count of an open vote is in it."""
        one = self._current()
        told = {"code": self.code, "devices": self.store.devices(), "round": None}
        if one is not None and one.state != "draft":
            told["round"] = self._told(one) | {"result": self.result(one)}
        return told | {"practice": self.store.fact("current") == PRACTICE}

    def result(self, one: Round) -> dict | None:
        """The closed ballots of a round; those who are done or stuck are seen at once."""
        live = one.kind == "stuck"
        closed = range(1, one.ballot + (one.state == "closed" or live))
        if one.state == "open" and not live:
            return None
        tallies = {ballot: self.store.tally(one.id, ballot) for ballot in closed}
        return result(self.material, one, tallies)

    def rounds(self) -> list[dict]:
        """All rounds, for the teacher's list."""
        current = self.store.fact("current")
        return [
            self._told(one) | {"current": str(one.id) == current}
            for one in self.store.rounds()
            if self.material.knows(one)
        ]

    def _told(self, one: Round) -> dict:
        part = self.material.part(one, one.items[0])
        told = {"id": one.id, "kind": one.kind, "title": KINDS[one.kind], "state": one.state}
        told |= {"ballot": one.ballot, "shown": one.shown, "name": self.material.title(one)}
        told |= {"turnout": self.store.turnout(one.id), "items": one.items, "unit": part.unit}
        if one.kind == "pairs":
            parts = [self.material.part(one, item) for item in one.items]
            told["pairs"] = [[each.ask, *each.answers] for each in parts]
        return told | {"ask": part.ask, "choices": list(part.choices.items())}

    def do(self, what: dict) -> dict:
        """What the teacher asks for: add, open, close, again, show, reset, remove, put or hands."""
        name = what.get("do")
        if name == "add":
            kind, about, n = what.get("kind"), what.get("about", ""), what.get("n", 10)
            if not isinstance(kind, str) or not isinstance(about, str) or type(n) is not int:
                raise Refused(400, "A round has a kind, a name and a number of pairs.")
            return {"id": self._add(kind, about, n).id}
        moves = {
            "open": self._open,
            "close": self._close,
            "again": self._again,
            "show": self._show,
            "reset": self._reset,
            "remove": self._remove,
            "put": self._put_on_the_board,
        }
        id = what.get("round")
        one = self.store.round(id) if type(id) is int and 0 <= id < 2**62 else None
        if one is None or not self.material.knows(one):
            raise Refused(404, "There is no such round.")
        if name == "hands":
            return self._hands(one, what.get("counts"))
        if not isinstance(name, str) or name not in moves:
            raise Refused(400, f"Expected one of add, hands, {', '.join(moves)}, got {name!r:.60}.")
        moves[name](one)
        return {"id": one.id}

    def _add(self, kind: str, about: str, n: int = 10) -> Round:
        rounds = self.store.rounds()
        if len(rounds) >= MOST_ROUNDS:
            raise Refused(409, f"There are {MOST_ROUNDS} rounds already: remove one.")
        used = [item for one in rounds for item in one.items]
        try:
            return self.store.add_round(kind, *self.material.about(kind, about, used, n))
        except ValueError as error:
            raise _refusal(error) from error

    def _current(self) -> Round | None:
        id = self.store.fact("current")
        one = self.store.round(int(id)) if id and id != PRACTICE else None
        return one if one is not None and self.material.knows(one) else None

    def _open(self, one: Round) -> None:
        """Opens a round, or opens it again where it was closed too early; closes any other."""
        if one.shown:
            raise Refused(409, "The answer has been shown: reset the round to vote again.")
        self._close_all(but=one.id)
        opening = one.opening or self.store.next_opening()
        self.store.keep_round(replace(one, state="open", opening=opening))
        self._put_on_the_board(one)

    def _close_all(self, but: int | None = None) -> None:
        for other in self.store.rounds():
            if other.state == "open" and other.id != but:
                self.store.keep_round(replace(other, state="closed"))

    def show_practice(self) -> None:
        """The board shows how the votes change the assistant; nobody votes meanwhile."""
        self._close_all()
        self.store.keep_fact("current", PRACTICE)

    def _close(self, one: Round) -> None:
        if one.state != "open":
            raise Refused(409, "Only an open round can be closed.")
        self.store.keep_round(replace(one, state="closed"))

    def _again(self, one: Round) -> None:
        """Convince your neighbour, then vote again: the first ballot is closed, its tally waits."""
        if one.kind not in TWICE or one.ballot != 1 or one.state == "draft" or one.shown:
            raise Refused(409, "A guess is voted on twice at most, before its answer is shown.")
        opening = self.store.next_opening()
        self._open(replace(one, ballot=2, opening=opening))

    def _show(self, one: Round) -> None:
        if one.state != "closed":
            raise Refused(409, "Close the round first.")
        self.store.keep_round(replace(one, shown=True))

    def _reset(self, one: Round) -> None:
        """A draft without votes again. What a phone still has to send belongs to no ballot then."""
        self.store.drop_votes(one.id)
        self.store.keep_round(Round(one.id, one.kind, one.about, one.items))

    def _remove(self, one: Round) -> None:
        self.store.remove_round(one.id)

    def _put_on_the_board(self, one: Round) -> None:
        if self.store.round(one.id).state == "draft":
            raise Refused(409, "Open the round first.")
        self.store.keep_fact("current", str(one.id))

    def _hands(self, one: Round, counts: object) -> dict:
        """Hands that were counted in the room: [[item, value, how many], ...] in this ballot."""
        if one.state == "draft":
            raise Refused(409, "Open the round first.")
        if not isinstance(counts, list) or len(counts) > 500:
            raise Refused(400, "Counts are a list of [part, answer, how many].")
        votes = []
        for row in counts:
            if not isinstance(row, list) or len(row) != 3 or type(row[2]) is not int:
                raise Refused(400, f"Expected [part, answer, how many], got {row!r:.60}.")
            if not 0 <= row[2] <= MOST_HANDS:
                raise Refused(400, f"Expected 0 to {MOST_HANDS} hands, got {row[2]}.")
            try:
                value = self.material.understood(one, row[0], row[1])
            except ValueError as error:
                raise _refusal(error) from error
            votes.append(Vote(row[0], f"{ALONE}{value}", value, one.ballot, row[2]))
        self.store.drop_votes(one.id, one.ballot, f"{ALONE}*")
        self.store.put_all((one.id, vote) for vote in votes if vote.count)
        return {"id": one.id}


def _is_turned(voter: str, item: object) -> bool:
    """Whether this phone sees the two answers the other way round: a coin that falls only once."""
    return bool(hashlib.sha256(json.dumps([voter, item]).encode()).digest()[0] & 1)
