"""What may be voted when, and what anybody gets to see: the room without its web."""

from dataclasses import replace

import pytest

from course_lib.check.question import question
from course_lib.classroom.room import LETTERS, MOST_DEVICES, Refused, Room, new_room, new_secret
from course_lib.classroom.rounds import Material, read_pairs
from course_lib.classroom.store import Store, hash_of

MATERIAL = Material()
SIX = "six-share"  # a number; 45 is so
NAME = "deciding-name"  # a choice; b is so


@pytest.fixture
def room(tmp_path):
    new_room(tmp_path)
    room = Room(tmp_path, MATERIAL)
    yield room
    room.store.close()


def joined(room) -> str:
    return hash_of(room.join())


def opened(room, kind="guess", about=NAME, **more) -> int:
    id = room.do({"do": "add", "kind": kind, "about": about, **more})["id"]
    room.do({"do": "open", "round": id})
    return id


def vote(room, voter, value, rev=1, item="", opening=None) -> dict:
    opening = opening or room.seen_by(voter)["round"]["opening"]
    return room.vote(voter, {"opening": opening, "item": item, "value": value, "rev": rev})


def counts(room, id, ballot=1) -> dict:
    return room.store.tally(id, ballot)


def test_a_code_is_read_as_people_write_it(room):
    assert len(room.code) == 5 and set(room.code) <= set(LETTERS)
    assert room.is_code(room.code) and room.is_code(f" {room.code.lower()} ")
    assert room.is_code(f"{room.code[:2]}-{room.code[2:]}")
    for wrong in ("", room.code[:-1], room.code + "2", "é" * 5, None, 7, ["2"] * 5, "2" * 10_000):
        assert not room.is_code(wrong)


def test_of_a_phone_only_the_hash_of_its_token_is_kept(room, tmp_path):
    token = room.join()
    opened(room)
    vote(room, hash_of(token), "a")

    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert hash_of(token).encode() in kept
    assert token.encode() not in kept


def test_whoever_has_not_joined_has_no_vote(room):
    joined(room)

    for token in ("", "x", hash_of(room.join())):  # nor does the hash help, should anybody see it
        with pytest.raises(Refused, match="aren't in this room"):
            room.voter(token)


def test_a_room_that_is_full_lets_nobody_in(room, monkeypatch):
    monkeypatch.setattr("course_lib.classroom.room.MOST_DEVICES", 2)
    joined(room), joined(room)

    with pytest.raises(Refused, match="full"):
        room.join()
    assert MOST_DEVICES >= 500


def test_the_same_vote_twice_counts_once_and_a_late_older_one_not_at_all(room):
    id, voter = opened(room), joined(room)

    assert vote(room, voter, "a", 1) == {"value": "a", "rev": 1}
    assert vote(room, voter, "b", 2) == {"value": "b", "rev": 2}
    assert vote(room, voter, "b", 2) == {"value": "b", "rev": 2}
    assert vote(room, voter, "a", 1) == {"value": "b", "rev": 2}
    assert vote(room, voter, "c", 2) == {"value": "b", "rev": 2}  # a revision is one vote
    assert counts(room, id) == {"": {"b": 1}}


def test_nobody_votes_in_a_draft_nor_after_the_close(room):
    voter = joined(room)
    with pytest.raises(Refused, match="closed"):
        room.vote(voter, {"opening": 0, "item": "", "value": "a", "rev": 1})
    id = opened(room)
    opening = room.seen_by(voter)["round"]["opening"]
    room.do({"do": "close", "round": id})

    with pytest.raises(Refused, match="closed") as refused:
        vote(room, voter, "a", opening=opening)
    assert refused.value.status == 409
    assert counts(room, id) == {}


@pytest.mark.parametrize("move", ["again", "reset"])
def test_a_vote_never_strays_into_another_ballot(room, move):
    id, voter = opened(room), joined(room)
    old = room.seen_by(voter)["round"]["opening"]
    room.do({"do": move, "round": id})
    if move == "reset":
        room.do({"do": "open", "round": id})

    with pytest.raises(Refused, match="closed"):
        vote(room, voter, "a", opening=old)
    assert vote(room, voter, "a")["value"] == "a"


def test_two_votes_stand_side_by_side(room):
    id, voters = opened(room), [joined(room) for _ in range(4)]
    for voter, value in zip(voters, "aaab", strict=True):
        vote(room, voter, value)
    room.do({"do": "again", "round": id})
    assert room.seen_by(voters[0])["round"]["mine"] == {}  # the first is no longer in the way
    for voter, value in zip(voters, "abbb", strict=True):
        vote(room, voter, value)
    assert room.board()["round"]["result"] is None
    room.do({"do": "close", "round": id})

    told = room.board()["round"]["result"]
    assert told["ballots"] == [1, 2]
    assert [bar["votes"] for bar in told["bars"]] == [[3, 1], [1, 3], [0, 0]]
    with pytest.raises(Refused, match="twice at most"):
        room.do({"do": "again", "round": id})


def test_of_an_open_vote_only_the_number_of_voters_is_told(room):
    id, voters = opened(room), [joined(room) for _ in range(3)]
    for voter in voters[:2]:
        vote(room, voter, "c")

    told = room.board()
    assert told["round"]["result"] is None and told["round"]["turnout"] == {1: 2}
    assert told["devices"] == 3
    seen = room.seen_by(voters[2])["round"]
    assert set(seen) == {"opening", "kind", "title", "state", "ballot", "parts", "mine"}
    assert "answer" not in str(told) and "right" not in str(told)
    room.do({"do": "close", "round": id})
    assert room.board()["round"]["result"]["bars"][2]["votes"] == [2]


def test_what_is_so_comes_last_and_ends_the_voting(room):
    id, right, wrong = opened(room), joined(room), joined(room)
    vote(room, right, "b"), vote(room, wrong, "a")
    with pytest.raises(Refused, match="Close the round"):
        room.do({"do": "show", "round": id})
    room.do({"do": "close", "round": id})
    assert all("right" not in bar for bar in room.board()["round"]["result"]["bars"])
    assert "outcome" not in room.seen_by(right)["round"]
    room.do({"do": "show", "round": id})

    asked = question(NAME)
    assert [bar["right"] for bar in room.board()["round"]["result"]["bars"]] == [False, True, False]
    assert asked.options[1].why in room.seen_by(right)["round"]["outcome"]
    assert asked.options[0].why in room.seen_by(wrong)["round"]["outcome"]  # why one thinks so
    for move in ("open", "again"):
        with pytest.raises(Refused):
            room.do({"do": move, "round": id})


def test_a_vote_that_was_closed_too_early_goes_on(room):
    id, voter = opened(room), joined(room)
    vote(room, voter, "a")
    room.do({"do": "close", "round": id})
    room.do({"do": "open", "round": id})

    vote(room, voter, "b", 2)
    assert counts(room, id) == {"": {"b": 1}}


def test_one_round_is_open_at_a_time(room):
    first, second = opened(room), opened(room, about=SIX)

    assert [room.store.round(id).state for id in (first, second)] == ["closed", "open"]
    assert room.board()["round"]["id"] == second
    room.do({"do": "put", "round": first})
    assert room.board()["round"]["id"] == first
    room.do({"do": "remove", "round": first})
    assert room.board()["round"] is None and room.seen_by(joined(room)) == {"round": None}


def test_whoever_joins_late_votes_too(room):
    id = opened(room)
    vote(room, joined(room), "a")
    late = joined(room)

    assert vote(room, late, "b")["value"] == "b"
    assert counts(room, id) == {"": {"a": 1, "b": 1}}


@pytest.mark.parametrize(
    ("about", "value", "kept"),
    [(SIX, "45%", "45"), (SIX, 0.45, "45"), (SIX, "1e1", "10"), (NAME, "2", "b"), (NAME, "B", "b")],
)
def test_a_guess_is_understood_as_in_the_notebooks(room, about, value, kept):
    opened(room, about=about)

    assert vote(room, joined(room), value)["value"] == kept


@pytest.mark.parametrize(
    ("about", "value"),
    [(SIX, 101), (SIX, "many"), (SIX, None), (SIX, True), (SIX, [45]), (NAME, "d"),
     (NAME, "x" * 999), ("merge-saves", "1e300"), ("merge-saves", "1e-300")],
)  # fmt: skip
def test_what_is_no_answer_is_refused_with_a_sentence(room, about, value):
    id, voter = opened(room, about=about), joined(room)

    with pytest.raises(Refused) as refused:
        vote(room, voter, value)
    assert refused.value.status == 400 and len(str(refused.value)) < 200
    assert counts(room, id) == {}


@pytest.mark.parametrize("rev", [None, -1, 1.5, "1", True, 2**53 + 1, [1]])
def test_a_revision_is_a_whole_number(room, rev):
    opened(room)

    with pytest.raises(Refused, match="revision"):
        vote(room, joined(room), "a", rev)


def test_pairs_are_blind_and_in_an_order_of_each_phones_own(room):
    id = opened(room, "pairs", "", n=10)
    voters = [joined(room) for _ in range(60)]
    seen = [room.seen_by(voter)["round"]["parts"] for voter in voters]

    orders = {tuple(part["id"] for part in parts) for parts in seen}
    assert len(orders) > 50 and {frozenset(order) for order in orders} == {frozenset(min(orders))}
    pair = MATERIAL.pairs[seen[0][0]["id"]]
    (sides,) = [
        [part["answers"] for parts in seen for part in parts if part["id"] == pair.id],
    ]
    turned = sides.count((pair.b, pair.a))
    assert turned + sides.count((pair.a, pair.b)) == 60 and 15 < turned < 45
    for voter, parts in zip(voters, seen, strict=True):  # all take the answer a, wherever it stands
        (part,) = [each for each in parts if each["id"] == pair.id]
        side = "left" if part["answers"][0] == pair.a else "right"
        assert vote(room, voter, side, item=pair.id) == {"value": side, "rev": 1}
        assert room.seen_by(voter)["round"]["mine"] == {pair.id: [side, 1]}
    assert counts(room, id) == {pair.id: {"a": 60}}
    with pytest.raises(Refused, match="left, right, tie or bad"):
        vote(room, voters[0], "a", item=pair.id)  # no phone knows which is a


def test_who_judged_another_pair_has_voted_too(room):
    id, voters = opened(room, "pairs", "", n=10), [joined(room) for _ in range(3)]
    first, second, third, *_ = room.store.round(id).items
    for voter, item in zip(voters, (first, second, second), strict=True):
        vote(room, voter, "left", item=item)
    vote(room, voters[0], "right", item=third)  # who has judged two is one voter still

    assert room.store.turnout(id) == {1: 3}


def test_a_round_takes_pairs_that_no_other_has(room):
    one, other = opened(room, "pairs", "", n=20), opened(room, "pairs", "", n=20)

    first, second = (set(room.store.round(id).items) for id in (one, other))
    assert len(first) == len(second) == 20 and not first & second
    opened(room, "pairs", "", n=30)
    with pytest.raises(Refused, match="Every pair has been asked"):
        opened(room, "pairs", "", n=1)


def test_hands_count_beside_phones(room):
    id = opened(room)
    vote(room, joined(room), "a")
    room.do({"do": "hands", "round": id, "counts": [["", "a", 3], ["", "b", 9], ["", "c", 0]]})
    assert counts(room, id) == {"": {"a": 4, "b": 9}}
    assert room.store.turnout(id) == {1: 13}

    room.do({"do": "hands", "round": id, "counts": [["", "b", 2]]})  # counted anew
    assert counts(room, id) == {"": {"a": 1, "b": 2}}


@pytest.mark.parametrize(
    "wrong", [None, {}, [[""]], [["", "z", 1]], [["", "a", -1]], [["", "a", 1.5]],
              [["", "a", 10**9]], [["x", "a", 1]], [["", "a", True]], [["", "a", 1]] * 600]
)  # fmt: skip
def test_hands_that_make_no_sense_change_nothing(room, wrong):
    id = opened(room)
    room.do({"do": "hands", "round": id, "counts": [["", "a", 3]]})

    with pytest.raises(Refused):
        room.do({"do": "hands", "round": id, "counts": wrong})
    assert counts(room, id) == {"": {"a": 3}}


def test_a_guess_in_a_notebook_waits_until_its_round_is_opened(room):
    voter = joined(room)
    told = room.early(voter, NAME, {"value": "a", "rev": 1})
    assert told == {"value": "a", "rev": 1}
    (one,) = room.store.rounds()
    assert one.state == "draft" and room.board()["round"] is None

    room.early(joined(room), NAME, {"value": "b", "rev": 1})
    assert len(room.store.rounds()) == 1
    room.do({"do": "open", "round": one.id})
    assert room.seen_by(voter)["round"]["mine"] == {"": ["a", 1]}
    vote(room, voter, "b", 2)
    room.do({"do": "close", "round": one.id})
    assert counts(room, one.id) == {"": {"b": 2}}
    with pytest.raises(Refused, match="closed"):
        room.early(voter, NAME, {"value": "a", "rev": 3})
    with pytest.raises(Refused, match="no guess"):
        room.early(voter, "softmax", {"value": "a", "rev": 3})  # an exercise


def test_whoever_is_done_or_stuck_is_seen_at_once(room):
    id = opened(room, "stuck", "")
    voter = joined(room)
    vote(room, voter, "stuck"), vote(room, joined(room), "done"), vote(room, voter, "done", 2)

    bars = room.board()["round"]["result"]["bars"]
    assert {bar["value"]: bar["votes"] for bar in bars} == {"done": [2], "stuck": [0]}
    assert room.store.round(id).state == "open"


def test_a_phone_can_have_all_its_votes_deleted(room):
    first, voter, other = opened(room), joined(room), joined(room)
    vote(room, voter, "a"), vote(room, other, "a")
    second = opened(room, about=SIX)
    vote(room, voter, 45)

    assert room.store.forget(voter) == 2
    assert counts(room, first) == {"": {"a": 1}} and counts(room, second) == {}
    assert not room.store.has_joined(voter) and room.store.has_joined(other)


def test_reset_makes_a_draft_without_votes(room):
    id, voter = opened(room), joined(room)
    vote(room, voter, "a")
    room.do({"do": "close", "round": id}), room.do({"do": "show", "round": id})
    room.do({"do": "reset", "round": id})

    one = room.store.round(id)
    assert (one.state, one.ballot, one.shown, counts(room, id)) == ("draft", 1, False, {})
    assert room.seen_by(voter) == {"round": None}


@pytest.mark.parametrize(
    "what",
    [{}, {"do": "open"}, {"do": "open", "round": 99}, {"do": "open", "round": "1"},
     {"do": "open", "round": True}, {"do": "open", "round": 10**30}, {"do": "close", "round": 1},
     {"do": "again", "round": 1}, {"do": "show", "round": 1}, {"do": "put", "round": 1},
     {"do": "hands", "round": 1, "counts": []}, {"do": "__init__", "round": 1},
     {"do": ["open"], "round": 1}, {"do": "add"}, {"do": "add", "kind": "guess", "about": "none"},
     {"do": "add", "kind": "word", "about": NAME}, {"do": "add", "kind": "shell"},
     {"do": "add", "kind": "pairs", "n": 0}, {"do": "add", "kind": "pairs", "n": 31},
     {"do": "add", "kind": "pairs", "n": "8"}, {"do": "add", "kind": "guess", "about": "softmax"}],
)  # fmt: skip
def test_what_the_room_does_not_do_is_refused_with_a_sentence(room, what):
    room.do({"do": "add", "kind": "guess", "about": NAME})

    with pytest.raises(Refused) as refused:
        room.do(what)
    assert refused.value.status in (400, 404, 409) and str(refused.value)[-1] == "."
    assert [one.state for one in room.store.rounds()] == ["draft"]


def test_a_room_holds_so_many_rounds(room, monkeypatch):
    monkeypatch.setattr("course_lib.classroom.room.MOST_ROUNDS", 2)
    opened(room), opened(room)

    with pytest.raises(Refused, match="remove one"):
        opened(room)


def test_a_new_room_puts_the_old_one_aside(tmp_path):
    secret = new_room(tmp_path)
    room = Room(tmp_path, MATERIAL)
    token, code = room.join(), room.code
    room.store.close()
    new_room(tmp_path), new_room(tmp_path)

    fresh, old = Room(tmp_path, MATERIAL), Store(tmp_path / "room-1.db")
    assert fresh.store.devices() == 0 and not fresh.is_teacher(secret)
    assert old.has_joined(hash_of(token)) and old.fact("code") == code
    assert (tmp_path / "room-2.db").exists()
    other = new_secret(tmp_path)
    assert fresh.is_teacher(other)
    fresh.store.close(), old.close()


def test_what_is_no_room_is_named(tmp_path):
    with pytest.raises(ValueError, match="there is no room in"):
        Room(tmp_path, MATERIAL)
    (tmp_path / "room.db").write_bytes(b"no database" * 999)
    with pytest.raises(ValueError, match="is no room"):
        Room(tmp_path, MATERIAL)


def test_a_round_whose_question_is_gone_is_left_out(room):
    opened(room), opened(room, about=SIX)
    one = room.store.rounds()[1]
    room.store.db.execute("update round set about = 'gone' where id = ?", (one.id,))

    assert [each["id"] for each in room.rounds()] == [1]
    assert room.board()["round"] is None
    with pytest.raises(Refused, match="no such round"):
        room.do({"do": "close", "round": one.id})


@pytest.mark.parametrize(
    ("line", "why"),
    [('{"prompt": "a", "a": "b"}', "three texts"),
     ('{"prompt": "", "a": "b", "b": "c"}', "three texts"),
     ('{"prompt": "a", "a": "b", "b": "b"}', "both answers"), ("[]", "JSON object"),
     ('{"prompt": "a", "a": "b", "b": "%s"}' % ("x" * 500), "400 letters"), ("", "no pairs")],
)  # fmt: skip
def test_a_file_of_pairs_is_checked(tmp_path, line, why):
    path = tmp_path / "pairs.jsonl"
    path.write_text(line + "\n")

    with pytest.raises(ValueError, match=why):
        read_pairs(path)


def test_openings_never_come_again(room):
    id = opened(room)
    first = room.store.round(id).opening
    room.do({"do": "remove", "round": id})
    again = opened(room)

    assert room.store.round(again).opening == first + 1
    room.store.keep_round(replace(room.store.round(again), state="closed"))
    assert room.store.next_opening() == first + 2
