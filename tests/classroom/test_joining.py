"""A learner's notebook in a room: its guesses come to the board, and nothing stops the lesson."""

import json
import subprocess
import sys
import time

import pytest

from course_lib.check import asking, guess, skip
from course_lib.check.guesses import guesses_file
from course_lib.classroom import join, joining, leave
from tests.classroom.running import in_a_thread


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch):
    """No guess of another test, no room that was joined, and none afterwards."""
    monkeypatch.setenv("COURSE_ARTIFACTS", str(tmp_path / "artifacts"))
    monkeypatch.setattr(asking, "_skipped", set())
    monkeypatch.setattr(joining, "PAUSE", 0.1)
    yield
    leave()
    assert told_of_guesses() == 0
    assert not guesses_file().exists() or guesses_file().is_relative_to(tmp_path)


def told_of_guesses() -> int:
    """How many rooms would hear of a guess. The buttons of guesses listen, too: not counted."""
    return sum(hear.__module__ == joining.__name__ for hear in asking.listeners)


@pytest.fixture
def room(tmp_path):
    with in_a_thread(tmp_path / "room") as found:
        yield found


def link(room) -> str:
    return f"http://127.0.0.1:{room.port}/"


def rounds(room) -> dict:
    """Name of a question -> how many have guessed."""
    told = room.teacher().ask("GET", "/teacher/state").json["rounds"]
    return {one["name"][:8]: one["turnout"].get("1", 0) for one in told}


def arrived(room, expected: dict) -> None:
    """Waits for the thread that sends."""
    end = time.monotonic() + 10
    while time.monotonic() < end and rounds(room) != expected:
        time.sleep(0.05)
    assert rounds(room) == expected


def value_of(room) -> str:
    """The one vote of the one round there is."""
    teacher = room.teacher()
    teacher.do("open", round=1), teacher.do("close", round=1)
    (line,) = teacher.ask("GET", "/teacher/export/votes.jsonl").body.splitlines()
    return json.loads(line)["value"]


def test_a_guess_comes_to_the_board(room):
    told = join(room.code.lower(), link(room))
    assert "You are in the room" in told and room.code in told

    assert "45%" in guess("six-share", 45)
    arrived(room, {"Take 100": 1})
    guess("six-share", "50%")
    time.sleep(0.5)
    arrived(room, {"Take 100": 1})  # a change of mind is no second vote
    assert value_of(room) == "50"


def test_the_address_is_read_as_people_write_it(room):
    for written in (f"127.0.0.1:{room.port}", link(room)[:-1], f"{link(room)}#{room.code}"):
        assert "You are in" in join(room.code, written)
    assert told_of_guesses() == 1  # joining again doesn't send twice


def test_what_is_no_guess_of_the_record_stays_here(room):
    join(room.code, link(room))
    skip("deciding-name"), skip()
    guess("an older one", 7)
    guess("six-share", "many")
    guess("six-share", 45)

    arrived(room, {"Take 100": 1})


def test_a_kernel_that_starts_anew_is_nobody_else(room):
    join(room.code, link(room))
    guess("six-share", 45)
    arrived(room, {"Take 100": 1})
    leave()
    join(room.code, link(room))  # as the first cell of a restarted kernel does
    guess("six-share", 60)

    time.sleep(0.5)
    arrived(room, {"Take 100": 1})
    assert value_of(room) == "60"
    assert room.teacher().ask("GET", "/teacher/state").json["devices"] == 1


def test_whoever_has_left_sends_nothing(room):
    join(room.code, link(room))
    assert "left" in leave()
    assert "in no room" in leave()
    guess("six-share", 45)

    time.sleep(0.5)
    assert rounds(room) == {}


def test_without_a_room_the_lesson_goes_on(monkeypatch):
    told = join("7K4QX", "http://127.0.0.1:9/")
    assert "No room answers" in told and "go on without it" in told

    assert "45%" in guess("six-share", 45)
    assert told_of_guesses() == 0
    with pytest.raises(ValueError, match="expected the code on the board"):
        join("")
    with pytest.raises(ValueError, match="expected an address"):
        join("7K4QX", "file:///etc/passwd")


def test_a_wrong_code_is_told_in_a_sentence(room):
    assert "not the code on the board" in join("AAAAA", link(room))
    assert told_of_guesses() == 0


def test_something_else_at_that_address_is_no_room(tmp_path):
    script = "import http.server as h; s = h.HTTPServer(('127.0.0.1', 0), h.BaseHTTPRequestHandler)"
    script += "; print(s.server_port, flush=True); s.handle_request()"
    other = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        port = int(other.stdout.readline())
        assert "it is no room" in join("7K4QX", f"http://127.0.0.1:{port}/")
    finally:
        other.kill()
        other.wait()
        other.stdout.close()


def test_a_guess_waits_for_a_room_that_is_away_and_no_cell_waits(tmp_path):
    with in_a_thread(tmp_path / "room") as room:
        join(room.code, link(room))
    start = time.monotonic()
    guess("six-share", 45)
    assert time.monotonic() - start < 1
    assert joining._joined._waiting  # it will be tried again
    time.sleep(0.3)
    assert joining._joined._waiting and joining._joined.problem == ""


def test_a_guess_after_the_close_is_given_up(room):
    join(room.code, link(room))
    teacher = room.teacher()
    id = teacher.opened("guess", "six-share")
    teacher.do("close", round=id)
    guess("six-share", 45)

    end = time.monotonic() + 10
    while time.monotonic() < end and not joining._joined.problem:
        time.sleep(0.05)
    assert joining._joined.problem == "This vote is closed." and not joining._joined._waiting
