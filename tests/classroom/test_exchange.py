"""Votes that leave a room, and come into another: for lesson 05, for a table, and merged."""

import csv
import io
import json
import re

import pytest
from datasets import load_dataset

from course_lib.align.preferences import agreement, load_preferences
from course_lib.classroom.exchange import EXPORTS, exported, imported
from course_lib.classroom.room import Room, new_room
from course_lib.classroom.rounds import Material, read_pairs
from course_lib.classroom.store import Vote, hash_of

MATERIAL = Material()
NAME = "deciding-name"


@pytest.fixture
def rooms(tmp_path):
    """Three rooms: those of two tables, and the teacher's."""
    found = []
    for name in ("first", "second", "all"):
        new_room(tmp_path / name)
        found.append(Room(tmp_path / name, MATERIAL))
    yield found
    for room in found:
        room.store.close()


def opened(room, kind="guess", about=NAME, **more) -> int:
    id = room.do({"do": "add", "kind": kind, "about": about, **more})["id"]
    room.do({"do": "open", "round": id})
    return id


def press(room, values, item="") -> list[str]:
    """New phones vote so, each once."""
    voters = [hash_of(room.join()) for _ in values]
    for voter, value in zip(voters, values, strict=True):
        one = room.seen_by(voter)["round"]
        vote = {"opening": one["opening"], "item": item, "value": value, "rev": 1}
        room.vote(voter, vote)
    return voters


def judged(room, n=4, phones=3) -> int:
    """A round of pairs in which all phones prefer the answer a, wherever they see it; closed."""
    id = opened(room, "pairs", "", n=n)
    for voter in [hash_of(room.join()) for _ in range(phones)]:
        one = room.seen_by(voter)["round"]
        for part in one["parts"]:
            side = "left" if part["answers"][0] == MATERIAL.pairs[part["id"]].a else "right"
            vote = {"opening": one["opening"], "item": part["id"], "value": side, "rev": 1}
            room.vote(voter, vote)
    room.do({"do": "close", "round": id})
    return id


def test_preferences_are_what_lesson_05_and_datasets_read(rooms, tmp_path):
    room = rooms[0]
    id = judged(room)
    tied, other = room.store.round(id).items[:2]
    voter = hash_of(room.join())
    for item, value in ((tied, "tie"), (other, "bad")):
        room.store.put(id, Vote(item, voter, value))
    room.do({"do": "hands", "round": id, "counts": [[tied, "b", 2]]})
    path = tmp_path / "preferences.jsonl"
    path.write_text(exported(room, path.name), encoding="utf-8")

    pairs = load_preferences(path)
    assert len(pairs) == 4 * 3 + 2  # ties and bad pairs decide nothing, each hand is a vote
    pair = MATERIAL.pairs[tied]
    of_it = [(p.chosen, p.rejected) for p in pairs if p.prompt == pair.prompt]
    assert sorted(of_it) == sorted([(pair.a, pair.b)] * 3 + [(pair.b, pair.a)] * 2)
    assert agreement(pairs[:1], pairs) == (1, 1)
    rows = load_dataset("json", data_files=str(path), cache_dir=str(tmp_path / "cache"))["train"]
    assert len(rows) == len(pairs)
    assert set(rows.column_names) == {"prompt", "chosen", "rejected"}
    assert rows[0]["prompt"][0]["role"] == "user" and rows[0]["chosen"][0]["role"] == "assistant"


def test_of_an_open_round_nothing_leaves(rooms):
    room = rooms[0]
    id = opened(room)
    press(room, "aab")

    assert exported(room, "votes.jsonl") == "" and exported(room, "preferences.jsonl") == ""
    assert exported(room, "votes.csv").count("\n") == 1  # the head
    room.do({"do": "close", "round": id})
    assert exported(room, "votes.jsonl").count("\n") == 3


def test_the_table_holds_what_the_lines_hold(rooms):
    room = rooms[0]
    judged(room)
    opened(room, about="six-share")
    press(room, ["45", "0.5", 90])
    opened(room)  # which closes the one before
    room.do({"do": "close", "round": 3})

    lines = [json.loads(line) for line in exported(room, "votes.jsonl").splitlines()]
    table = list(csv.DictReader(io.StringIO(exported(room, "votes.csv"))))
    assert len(table) == len(lines) == 4 * 3 + 3
    for line, row in zip(lines, table, strict=True):
        assert {name: str(value) for name, value in line.items()} == {n: row[n] for n in line}
    assert {line["value"] for line in lines if line["kind"] == "guess"} == {"45", "50", "90"}


def test_no_cell_of_the_table_is_a_formula(rooms, monkeypatch):
    room = rooms[0]
    judged(room, n=1, phones=1)
    (item,) = room.store.round(1).items
    evil = type(MATERIAL.pairs[item])("=HYPERLINK(1)", "@SUM(A1)", "-2+3")
    monkeypatch.setitem(MATERIAL.pairs, item, evil)

    (row,) = csv.DictReader(io.StringIO(exported(room, "votes.csv")))
    assert [row[name] for name in ("prompt", "a", "b")] == ["'=HYPERLINK(1)", "'@SUM(A1)", "'-2+3"]


def test_an_export_leads_to_no_phone(rooms):
    room = rooms[0]
    id = opened(room)
    voters = press(room, "aab")
    room.do({"do": "close", "round": id})

    for name in EXPORTS:
        text = exported(room, name)
        assert not any(voter[:12] in text for voter in voters)
    names = [json.loads(line)["voter"] for line in exported(room, "votes.jsonl").splitlines()]
    assert len(set(names)) == 3 and all(re.fullmatch("[0-9a-f]{12}", name) for name in names)


def test_two_tables_come_into_one_room_and_twice_is_as_once(rooms):
    first, second, everybody = rooms
    for room, values in ((first, "aab"), (second, "bbc")):
        id = opened(room)
        press(room, values)
        room.do({"do": "again", "round": id})
        press(room, "bb")
        room.do({"do": "close", "round": id})
        judged(room)
    room = everybody
    own = opened(room)
    press(room, "c")
    room.do({"do": "hands", "round": own, "counts": [["", "a", 2]]})
    room.do({"do": "close", "round": own})

    for again in range(2):
        for table in (first, second):
            told = imported(room, exported(table, "votes.jsonl").encode())
            assert told == {"votes": 5 + 4 * 3, "rounds": 2, "own": 0}, again
    assert room.store.tally(own, 1) == {"": {"a": 4, "b": 3, "c": 2}}
    assert room.store.tally(own, 2) == {"": {"b": 4}}
    assert room.store.round(own).ballot == 2  # and the board shows it
    (pairs,) = [one for one in room.store.rounds() if one.kind == "pairs"]
    assert pairs.state == "closed" and len(pairs.items) == 4
    assert all(count == {"a": 6} for count in room.store.tally(pairs.id, 1).values())
    told = imported(room, exported(room, "votes.jsonl").encode())  # our own votes come back
    assert told["own"] == 1 + 1 and room.store.tally(own, 1) == {"": {"a": 4, "b": 3, "c": 2}}


def test_a_merged_room_can_be_merged_on(rooms):
    first, second, everybody = rooms
    for room in (first, second):
        id = opened(room)
        press(room, "ab")
        room.do({"do": "hands", "round": id, "counts": [["", "c", 5]]})
        room.do({"do": "close", "round": id})
    imported(second, exported(first, "votes.jsonl").encode())

    imported(everybody, exported(second, "votes.jsonl").encode())
    imported(everybody, exported(first, "votes.jsonl").encode())  # which the other held already
    (one,) = everybody.store.rounds()
    assert everybody.store.tally(one.id, 1) == {"": {"a": 2, "b": 2, "c": 10}}


def test_an_import_counts_as_a_whole_or_not_at_all(rooms):
    first, _, everybody = rooms
    id = opened(first)
    press(first, "abc")
    first.do({"do": "close", "round": id})
    text = exported(first, "votes.jsonl")

    with pytest.raises(ValueError, match="line 4: expected one JSON object per line"):
        imported(everybody, text.encode() + b'{"room": ')
    assert everybody.store.rounds() == []
    for most, why in (("MOST_LINES", "at most 1 votes"), ("MOST_ROUNDS", "more than 1 rounds")):
        opened(everybody)  # one is there already
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(f"course_lib.classroom.exchange.{most}", 1)
            with pytest.raises(ValueError, match=why):
                imported(everybody, text.encode())
        everybody.do({"do": "remove", "round": everybody.store.rounds()[0].id})
    assert everybody.store.rounds() == []
    assert imported(everybody, b"\n\n") == {"votes": 0, "rounds": 0, "own": 0}


def test_pairs_of_other_models_need_their_own_room(rooms, tmp_path):
    first, _, everybody = rooms
    id = judged(first, n=1)
    text = exported(first, "votes.jsonl")
    other = tmp_path / "pairs.jsonl"
    other.write_text('{"prompt": "Hello", "a": "Hi.", "b": "Hello."}\n')
    everybody.material = Material(pairs=other)

    with pytest.raises(ValueError, match="start it with --pairs"):
        imported(everybody, text.encode())
    assert [pair.prompt for pair in read_pairs(other)] == ["Hello"] and id
