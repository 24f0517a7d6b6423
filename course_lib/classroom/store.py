"""The room's memory: who has joined, what is asked, who answered what. One SQLite file.

It writes ahead (WAL) and commits each vote before the phone hears of it. So whoever kills the
process loses nothing that was acknowledged; a power cut may cost the last moments. Of a phone only
the hash of a random token is kept: no name, no address, no time.
"""

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

SCHEMA = """
create table if not exists fact (name text primary key, value text not null) without rowid;
create table if not exists device (id text primary key) without rowid;
create table if not exists round (
    id integer primary key autoincrement, kind text not null, about text not null,
    items text not null, state text not null default 'draft', ballot integer not null default 1,
    opening integer not null default 0, shown integer not null default 0
);
create table if not exists vote (
    round integer not null references round on delete cascade, ballot integer not null,
    item text not null, voter text not null, value text not null, rev integer not null,
    count integer not null default 1, primary key (round, ballot, item, voter)
) without rowid;
create index if not exists of_a_voter on vote (voter);
"""
ALONE = "hand:"  # what hands in the room are kept under, in place of a phone
# What a voter sent twice, or what an older try of theirs brings late, changes nothing.
PUT = """
insert into vote (round, ballot, item, voter, value, rev, count) values (?, ?, ?, ?, ?, ?, ?)
on conflict do update set value = excluded.value, rev = excluded.rev, count = excluded.count
where excluded.rev > vote.rev
"""


@dataclass(frozen=True)
class Round:
    """Something that is asked. `items` names its parts: pairs of answers, or one part, "".

    It is voted on in one ballot, or in two with a talk in between. Whoever votes names the
    `opening`, a number that no other ballot of this room has had, so a vote never strays.
    """

    id: int
    kind: str  # a key of `rounds.KINDS`
    about: str
    items: tuple[str, ...]
    state: str = "draft"  # draft, open or closed
    ballot: int = 1
    opening: int = 0
    shown: bool = False  # whether the room has seen the right answer


@dataclass(frozen=True)
class Vote:
    """What one voter answered; `count` is more than 1 where hands were counted in the room."""

    item: str
    voter: str
    value: str
    ballot: int = 1
    count: int = 1
    rev: int = 0


# item -> a count of votes for each value, for one ballot
Tally = dict[str, dict[str, int]]


def hash_of(token: str) -> str:
    """What is kept of a token. It is drawn by lot from so many that no hash leads back to it."""
    return hashlib.sha256(token.encode()).hexdigest()[:32]


class Store:
    """The file. The server writes from one thread; a practice adds a fact from its own process."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.db = sqlite3.connect(path, isolation_level=None)
        try:
            self.db.execute("pragma journal_mode = wal")
            self.db.execute("pragma synchronous = normal")
            self.db.execute("pragma foreign_keys = on")
            self.db.execute("pragma secure_delete = on")  # what is deleted is gone from the disk
            self.db.executescript(SCHEMA)
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{path} is no room ({error}): move it away, or use --new") from error

    def close(self) -> None:
        self.db.close()

    def fact(self, name: str) -> str | None:
        """What the room knows about itself: its code, the hash of the teacher's secret."""
        row = self.db.execute("select value from fact where name = ?", (name,)).fetchone()
        return row[0] if row else None

    def keep_fact(self, name: str, value: str) -> None:
        self.db.execute("insert or replace into fact values (?, ?)", (name, value))

    # ---- Phones ---------------------------------------------------------------------------------

    def devices(self) -> int:
        return self.db.execute("select count(*) from device").fetchone()[0]

    def join(self, voter: str) -> None:
        self.db.execute("insert or ignore into device values (?)", (voter,))

    def has_joined(self, voter: str) -> bool:
        return bool(self.db.execute("select 1 from device where id = ?", (voter,)).fetchone())

    def forget(self, voter: str) -> int:
        """Deletes a phone and all its votes; returns how many there were."""
        with self.db:
            self.db.execute("begin")
            self.db.execute("delete from device where id = ?", (voter,))
            return self.db.execute("delete from vote where voter = ?", (voter,)).rowcount

    # ---- Rounds ---------------------------------------------------------------------------------

    def rounds(self) -> list[Round]:
        rows = self.db.execute("select * from round order by id").fetchall()
        return [_round(row) for row in rows]

    def round(self, id: int) -> Round | None:
        row = self.db.execute("select * from round where id = ?", (id,)).fetchone()
        return _round(row) if row else None

    def add_round(self, kind: str, about: str, items: Iterable[str], state: str = "draft") -> Round:
        row = (kind, about, json.dumps(list(items)), state)
        columns = "insert into round (kind, about, items, state) values (?, ?, ?, ?)"
        return self.round(self.db.execute(columns, row).lastrowid)

    def keep_round(self, one: Round) -> Round:
        """Stores another standing of a round: its state, ballot, opening, and what was shown."""
        self.db.execute(
            "update round set state = ?, ballot = ?, opening = ?, shown = ? where id = ?",
            (one.state, one.ballot, one.opening, one.shown, one.id),
        )
        return one

    def next_opening(self) -> int:
        """A number that no ballot has had: it never goes back, even where a round is removed."""
        number = int(self.fact("openings") or 0) + 1
        self.keep_fact("openings", str(number))
        return number

    def remove_round(self, id: int) -> None:
        self.db.execute("delete from round where id = ?", (id,))

    # ---- Votes ----------------------------------------------------------------------------------

    def put(self, round: int, vote: Vote) -> Vote:
        """Keeps a vote unless a later one is there; returns the one that stands now."""
        key = (round, vote.ballot, vote.item, vote.voter)
        self.db.execute(PUT, (*key, vote.value, vote.rev, vote.count))
        query = "select item, voter, value, ballot, count, rev from vote where round = ? "
        query += "and ballot = ? and item = ? and voter = ?"
        return Vote(*self.db.execute(query, key).fetchone())

    def put_all(self, votes: Iterable[tuple[int, Vote]]) -> None:
        """Keeps votes of rounds, all or none."""
        with self.db:
            self.db.execute("begin")
            for round, vote in votes:
                self.put(round, vote)

    def votes(self, round: int, voter: str | None = None) -> list[Vote]:
        """The votes in a round; those of one voter if asked for."""
        query = "select item, voter, value, ballot, count, rev from vote where round = ?"
        rows = (
            self.db.execute(query, (round,))
            if voter is None
            else self.db.execute(f"{query} and voter = ?", (round, voter))
        )
        return [Vote(*row) for row in rows]

    def drop_votes(self, round: int, ballot: int | None = None, voters: str = "*") -> None:
        """Deletes the votes of a round: in one ballot only, or of voters like this only."""
        query = "delete from vote where round = ? and voter glob ?"
        if ballot is None:
            self.db.execute(query, (round, voters))
        else:
            self.db.execute(f"{query} and ballot = ?", (round, voters, ballot))

    def tally(self, round: int, ballot: int) -> Tally:
        """How many votes there are for each value of each item."""
        query = "select item, value, sum(count) from vote where round = ? and ballot = ? "
        found: Tally = {}
        for item, value, n in self.db.execute(query + "group by item, value", (round, ballot)):
            found.setdefault(item, {})[value] = n
        return found

    def preferring(self) -> int:
        """How many votes of closed rounds prefer one answer of a pair."""
        query = """select coalesce(sum(count), 0) from vote join round on vote.round = round.id
            where kind = 'pairs' and state = 'closed' and value in ('a', 'b')"""
        return self.db.execute(query).fetchone()[0]

    def turnout(self, round: int) -> Mapping[int, int]:
        """How many have voted in each ballot: phones, and hands for the item with the most."""
        # Each phone shows pairs in an order of its own, so no one pair has all that voted.
        # The hands of another room, brought by an import, have that room's name before them.
        phones = """select ballot, count(distinct voter) from vote
            where round = ? and voter not glob ? group by ballot"""
        hands = """select ballot, max(n) from (select ballot, sum(count) as n from vote
            where round = ? and voter glob ? group by ballot, item) group by ballot"""
        found = Counter()
        for query in (phones, hands):
            found.update(dict(self.db.execute(query, (round, f"*{ALONE}*")).fetchall()))
        return dict(sorted(found.items()))


def _round(row: tuple) -> Round:
    id, kind, about, items, state, ballot, opening, shown = row
    return Round(id, kind, about, tuple(json.loads(items)), state, ballot, opening, bool(shown))
