"""Rankings of several people, from several files and rooms, and how far these people agree."""

import json

import pytest

from course_lib.align.people import Agreement, agreed, people
from course_lib.align.preferences import Preference, save_preferences

A_OVER_B, B_OVER_A = Preference("q", "a", "b"), Preference("q", "b", "a")


def vote(voter, value, item="1", room="r" * 12, **more) -> dict:
    row = {"room": room, "kind": "pairs", "about": "", "ballot": 1, "item": item, "voter": voter}
    return row | {"value": value, "count": 1, "prompt": "q", "a": "a", "b": "b"} | more


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_each_file_of_rankings_is_one_person(tmp_path):
    (tmp_path / "other").mkdir()
    files = [tmp_path / "ann.jsonl", tmp_path / "bob.jsonl", tmp_path / "other" / "ann.jsonl"]
    for path, pair in zip(files, (A_OVER_B, B_OVER_A, A_OVER_B), strict=True):
        save_preferences(path, [pair])

    found = people(files)

    assert found == {"ann": [A_OVER_B], "bob": [B_OVER_A], "ann 2": [A_OVER_B]}


def test_a_room_has_a_person_for_each_voter_and_no_vote_counts_twice(tmp_path):
    rows = [vote("x", "a"), vote("y", "b"), vote("y", "tie", item="2"), vote("z", "tie")]
    rows.append({"kind": "guess", "voter": "x"})  # another round of the same room
    first = written(tmp_path / "votes.jsonl", rows)
    # the teacher's room has imported the first, and there x changed their mind
    merged = written(tmp_path / "all.jsonl", [vote("x", "b"), *rows[1:], vote("x", "a", room="s")])

    assert people([first]) == {f"{'r' * 12} x": [A_OVER_B], f"{'r' * 12} y": [B_OVER_A]}
    found = people([first, merged])
    assert found == {"r" * 12 + " x": [B_OVER_A], "r" * 12 + " y": [B_OVER_A], "s x": [A_OVER_B]}


def test_hands_count_as_often_as_they_were_raised(tmp_path):
    path = written(tmp_path / "v.jsonl", [vote("hand:a", "a", count=3), vote("hand:b", "b")])

    assert people([path]) == {"r" * 12 + " hands": [A_OVER_B] * 3 + [B_OVER_A]}


@pytest.mark.parametrize("broken", [{"prompt": None}, {"count": 0}, {"voter": 3}, {"item": []}])
def test_a_broken_vote_is_named(tmp_path, broken):
    path = written(tmp_path / "v.jsonl", [vote("x", "a"), vote("y", "b") | broken])

    with pytest.raises(ValueError, match=r"v\.jsonl, line 2: expected a vote"):
        people([path])


def test_a_majority_agrees_with_people_more_often_than_they_agree_with_each_other():
    decided = {str(i): [A_OVER_B] for i in range(75)} | {f"-{i}": [B_OVER_A] for i in range(25)}

    found = agreed(decided)

    assert (found.shared, found.ceiling) == (1, 0.75)
    assert found.two_people == pytest.approx((75 * 74 + 25 * 24) / (100 * 99))  # about 62.5%
    assert "Two of them agree in 62%, the majority agrees with one of them in 75%." in repr(found)


def test_half_and_half_counts_once_and_a_lonely_pair_not_at_all():
    lonely = Preference("other", "a", "b")

    assert agreed({"x": [A_OVER_B, lonely], "y": [B_OVER_A]}) == Agreement(1, 0.0, 0.5)
    assert agreed({"x": [lonely]}) == Agreement(0, 0.0, 0.0)
    assert "nobody knows how far they agree" in repr(agreed({}))
