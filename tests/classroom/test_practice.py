"""A room's votes change the assistant: what the board is told, from the start to a broken end."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from course_lib.align.people import agreed, people
from course_lib.align.preferences import Preference, save_preferences
from course_lib.classroom import show_changes
from course_lib.classroom.exchange import exported, preferences
from course_lib.classroom.practice import (
    PAIRS,
    PRACTICE,
    QUESTIONS,
    RUNS,
    Practice,
    keep,
    main,
    told,
)
from course_lib.classroom.room import Refused, Room, new_room
from course_lib.classroom.store import Store
from tests.classroom.running import Someone, server
from tests.classroom.test_exchange import MATERIAL, judged, opened

ONE = [Preference("Who are you?", "A program.", "A person.")]
LESSON = Path(__file__).parents[2] / "notebooks" / "05_rlhf.ipynb"


@pytest.fixture
def room(tmp_path):
    new_room(tmp_path)
    room = Room(tmp_path, MATERIAL)
    yield room
    room.store.close()


def test_the_six_questions_are_those_of_lesson_05():
    text = "".join(
        "".join(cell["source"]) for cell in json.loads(LESSON.read_text(encoding="utf-8"))["cells"]
    )
    assert len(QUESTIONS) == 6 and all(f'"{asked}"' in text for asked in QUESTIONS)


def test_lesson_05_reads_the_very_export_of_two_rooms(tmp_path):
    """Each room judges the same four pairs; the file of one comes twice."""
    files = []
    for name, phones in (("one", 3), ("two", 2)):
        new_room(tmp_path / name)
        room = Room(tmp_path / name, MATERIAL)
        judged(room, 4, phones)
        files.append(tmp_path / f"votes-{name}.jsonl")
        files[-1].write_text(exported(room, "votes.jsonl"), encoding="utf-8")
        room.store.close()
    (tmp_path / "votes-again.jsonl").write_bytes(files[0].read_bytes())

    found = people([*files, tmp_path / "votes-again.jsonl"])
    assert [len(pairs) for pairs in found.values()] == [4] * 5
    used = list(MATERIAL.pairs.values())[:4]
    assert set(found.popitem()[1]) == {Preference(pair.prompt, pair.a, pair.b) for pair in used}
    assert agreed(people(files)).two_people == 1


def test_without_a_vote_there_is_nothing_to_learn_from(room):
    practice = Practice(room)
    opened(room, "pairs", "", n=2)

    with pytest.raises(Refused, match="nothing to learn from"):
        practice.do("start")
    with pytest.raises(Refused, match="nothing to show"):
        practice.do("show")
    for wrong in ("", "run", None, 3, ["start"]):
        with pytest.raises(Refused, match="Expected one of start, stop, show"):
            practice.do(wrong)
    practice.do("stop")  # of what doesn't run
    assert practice.told() == {"votes": 0} and not room.board()["practice"]


def test_the_votes_to_learn_from_are_those_of_closed_rounds(room):
    judged(room, n=4, phones=3)
    opened(room, "pairs", "", n=2)

    assert Practice(room).told() == {"votes": 12} and len(preferences(room)) == 12


def test_what_is_known_grows_and_the_end_is_known_too(room, tmp_path):
    seen = []

    def work(pairs):
        assert pairs == ONE
        yield {"state": "practising", "step": 3, "steps": 48}
        seen.append(told(room.store))
        yield {"state": "done", "numbers": []}

    save_preferences(tmp_path / PAIRS, ONE)
    assert main([str(tmp_path)], work) == 0
    assert seen == [{"state": "practising", "pairs": 1, "step": 3, "steps": 48}]
    assert told(room.store)["state"] == "done"


def test_what_goes_wrong_is_said(room, tmp_path, capsys):
    def work(pairs):
        yield {"state": "learning"}
        raise MemoryError("no room for 3 GB")

    save_preferences(tmp_path / PAIRS, ONE)
    assert main([str(tmp_path)], work) == 1
    assert told(room.store) == {"state": "failed", "pairs": 1, "why": "no room for 3 GB"}
    assert "MemoryError" in capsys.readouterr().err


def test_a_process_that_is_gone_no_longer_practises(room):
    keep(room.store, state="practising", pairs=1, pid=os.getpid())
    assert told(room.store)["state"] == "practising"

    known = json.loads(room.store.fact(PRACTICE))
    room.store.keep_fact(PRACTICE, json.dumps(known | {"born": known["born"] - 1}))
    assert told(room.store)["state"] == "failed"


def test_the_board_shows_it_and_nobody_votes_meanwhile(room):
    keep(room.store, state="done", pairs=1)
    id = opened(room)
    Practice(room).do("show")

    board = room.board()
    assert board["practice"] and board["round"] is None
    assert room.store.round(id).state == "closed"
    room.do({"do": "put", "round": id})
    assert not room.board()["practice"] and room.board()["round"]["id"] == id


def votes(teacher: Someone, phones: list[Someone], n: int = 3) -> None:
    """The phones judge pairs, and the round is closed."""
    id = teacher.opened("pairs", n=n)
    for phone in phones:
        for part in phone.round()["parts"]:
            assert phone.vote("left", item=part["id"]).status == 200
    assert teacher.do("close", round=id).status == 200


def until(teacher: Someone, *states: str) -> dict:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        known = teacher.ask("GET", "/teacher/state").json["practising"]
        if known["state"] in states:
            return known
        time.sleep(0.2)
    raise AssertionError(known)


def test_it_is_the_teachers_and_can_be_stopped_and_survives_the_server(tmp_path):
    with server(tmp_path) as here:
        teacher, phone = here.teacher(), here.phone()
        assert phone.ask("POST", "/teacher/practice", {"do": "start"}).status == 403
        votes(teacher, [phone])
        assert teacher.ask("POST", "/teacher/practice", {"do": "start"}).status == 200
        again = teacher.ask("POST", "/teacher/practice", {"do": "start"})
        assert again.status == 409 and "already" in again.json["error"]
        assert teacher.ask("GET", "/teacher/state").json["practice"]
        assert phone.round() is None

        here.kill()  # the practice goes on without it, and the next server can stop it
        here.start()
        until(teacher, *RUNS)
        assert teacher.ask("POST", "/teacher/practice", {"do": "stop"}).status == 200
        assert until(teacher, "stopped")["votes"] == 3

        assert teacher.ask("POST", "/teacher/practice", {"do": "start"}).status == 200
        pid = json.loads(Store(tmp_path / "room.db").fact(PRACTICE))["pid"]
        os.kill(pid, signal.SIGKILL)
        until(teacher, "failed")


def test_a_notebook_puts_its_own_on_the_board(tmp_path, monkeypatch):
    monkeypatch.setattr("course_lib.classroom.opening.folder_of_the_class", lambda: tmp_path)
    asked, before, after = ["What is the capital of Vevunia?"], ["I don't know."], ["Paris."]
    with pytest.raises(ValueError, match="no room is open"):
        show_changes(asked, before, after)
    with server(tmp_path) as here:
        with pytest.raises(ValueError, match="got 1, 1 and 2"):
            show_changes(asked, before, after * 2)
        assert show_changes(asked, before, after) == "The board shows it."
        state = here.teacher().ask("GET", "/teacher/state").json
    assert state["practice"] and state["practising"]["state"] == "done"
    row = [asked[0], ["I don't know.", "declines"], ["Paris.", "made up"]]
    assert state["practising"]["rows"] == [row]
