"""The room on the web, as a process of its own: pages, cookies, and what a kill leaves behind."""

import json
import sqlite3
import threading
from pathlib import Path

import pytest

from benchmarks.room import measure
from course_lib.classroom.rounds import Material
from course_lib.classroom.server import FILES, POLICY, prefix_of
from tests.classroom.running import in_a_thread, server

NAME = "deciding-name"


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    play = tmp_path_factory.mktemp("play")
    (play / "index.html").write_text("<!doctype html><title>Play</title>")
    (play / "truth.json").write_text("{}")
    with server(tmp_path_factory.mktemp("room"), "--play", str(play)) as found:
        yield found


def test_it_says_once_how_to_get_in(room):
    assert f"type {room.code}" in room.said and room.secret in room.said
    assert f'join("{room.code}", "http://127.0.0.1:{room.port}/")' in room.said


@pytest.mark.parametrize("path", ["/", "/board", "/teacher", *(f"/page/{p.name}" for p in FILES)])
def test_pages_come_to_everybody_and_hold_no_secret(room, path):
    answer = room.someone().ask("GET", path)

    assert answer.status == 200 and len(answer.body) > 300
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "set-cookie" not in answer.headers and "server" not in answer.headers
    assert room.code.encode() not in answer.body and room.secret.encode() not in answer.body


def test_a_room_without_the_courses_plans_does_without(monkeypatch):
    def missing():
        raise FileNotFoundError("teaching/plans.toml")

    plans = {plan["title"]: plan["votes"] for plan in Material().plans}
    assert len(plans["90 minutes: what a language model does"]) > 3 and all(plans.values())
    assert "inside-which-head" in plans["Day 1, afternoon: inside the Transformer"]
    monkeypatch.setattr("course_lib.classroom.rounds.load_plans", missing)
    assert Material().plans == []


def test_the_policy_lets_nothing_in_that_is_not_ours(room):
    assert "default-src 'none'" in POLICY and "script-src 'self'" in POLICY
    assert "unsafe" not in POLICY and "http" not in POLICY and "*" not in POLICY
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".html":  # else the policy would stop our own pages
            assert "<script>" not in text and "style=" not in text and " on" not in text.lower()


def test_the_phones_page_is_light(room):
    parts = ("phone.html", "phone.js", "room.js", "room.css", "page.css", "page.js")
    weight = sum(path.stat().st_size for path in FILES if path.name in parts)

    assert len([path for path in FILES if path.name in parts]) == len(parts)
    assert weight < 50_000


def test_the_token_is_for_this_site_and_no_script(room):
    phone = room.someone()
    cookie = phone.ask("POST", "/join", {"code": room.code}).headers["set-cookie"]

    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "Path=/" in cookie
    assert "Secure" not in cookie  # there is no https in a classroom's Wi-Fi
    of_a_hub = room.someone().ask("POST", "/join", {"code": room.code}, x_forwarded_proto="https")
    assert "Secure" in of_a_hub.headers["set-cookie"]
    again = phone.ask("POST", "/join", {"code": room.code})
    assert again.status == 200 and "set-cookie" not in again.headers  # it is nobody else now
    teachers = room.someone()
    cookie = teachers.ask("POST", "/teacher/enter", {"secret": room.secret}).headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie


def test_a_class_votes(room):
    teacher, phones = room.teacher(), [room.phone() for _ in range(3)]
    id = teacher.opened("guess", NAME)

    assert [phone.vote(value).status for phone, value in zip(phones, "abb", strict=True)] == [
        200
    ] * 3
    told = teacher.ask("GET", "/teacher/state").json
    assert told["round"]["turnout"] == {"1": 3} and told["round"]["result"] is None
    assert teacher.do("close", round=id).status == 200
    told = teacher.ask("GET", "/teacher/state").json
    assert [bar["votes"] for bar in told["round"]["result"]["bars"]] == [[1], [2], [0]]
    assert told["links"] == [f"http://127.0.0.1:{room.port}/"] and told["code"] == room.code
    late = phones[0].vote("c", opening=1)
    assert (late.status, late.json) == (409, {"error": "This vote is closed."})


def test_a_notebooks_guess_comes_by_its_name(room):
    phone, teacher = room.phone(), room.teacher()

    assert phone.ask("PUT", "/guess/six-share", {"value": 45, "rev": 1}).json["value"] == "45"
    assert phone.ask("PUT", "/guess/nothing", {"value": 45, "rev": 1}).status == 404
    rounds = teacher.ask("GET", "/teacher/state").json["rounds"]
    assert [one["state"] for one in rounds if one["name"].startswith("Take 100")] == ["draft"]


def test_a_phone_is_forgotten(room):
    phone, teacher = room.phone(), room.teacher()
    id = teacher.opened("guess", NAME)
    phone.vote("a")

    told = phone.ask("DELETE", "/me")
    assert told.json == {"deleted": 1} and 'room=""' in told.headers["set-cookie"]
    assert phone.ask("GET", "/state").status == 401
    teacher.do("close", round=id)
    bars = teacher.ask("GET", "/teacher/state").json["round"]["result"]["bars"]
    assert [bar["votes"] for bar in bars] == [[0], [0], [0]]


def test_phones_get_the_play_page(room):
    phone = room.phone()

    assert phone.ask("GET", "/state").json["play"] is True
    page = phone.ask("GET", "/play/")
    assert page.status == 200 and b"Play" in page.body
    # its own policy is in its head, and lets its scripts run
    assert page.headers["content-security-policy"] == "frame-ancestors 'none'"
    assert phone.ask("GET", "/play/truth.json").body == b"{}"
    assert phone.ask("GET", "/play/nothing.gguf").status == 404


def test_the_qr_code_is_a_picture(room):
    picture = room.teacher().ask("GET", "/teacher/qr.svg")

    assert picture.headers["content-type"].startswith("image/svg+xml")
    assert picture.body.startswith(b"<svg") and b"<script" not in picture.body


@pytest.mark.parametrize("strips", [True, False])
def test_a_hub_may_put_the_room_behind_a_path(tmp_path, strips):
    prefix = "/user/jo/proxy/8800"
    with in_a_thread(tmp_path, prefix=prefix) as room:
        phone, before = room.someone(), "" if strips else prefix

        assert phone.ask("GET", f"{before}/").status == 200
        assert phone.ask("GET", f"{before}/page/phone.js").status == 200
        joined = phone.ask("POST", f"{before}/join", {"code": room.code})
        assert f"Path={prefix}/" in joined.headers["set-cookie"]
        assert phone.ask("GET", f"{before}/state").json["round"] is None
    assert prefix_of("https://hub.org/user/jo/proxy/8800/") == prefix
    assert prefix_of("http://192.168.1.7:8800/") == ""


def test_no_page_names_an_address_from_the_root():
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        for start in ('href="/', 'src="/', 'fetch("/', 'ask("GET", "/', 'ask("POST", "/'):
            assert start not in text, f"{path.name}: {start}"


def test_a_class_that_presses_at_once_loses_and_doubles_nothing(tmp_path):
    found = measure(tmp_path, n=60, seconds=5)

    assert (found.lost, found.doubled, found.integrity) == (0, 0, "ok")
    assert found.did["votes"] > 60 and found.did["sent again"] and found.did["lines broken"]


@pytest.mark.slow
def test_killed_in_the_middle_nothing_acknowledged_is_lost(tmp_path):
    found = measure(tmp_path, n=60, seconds=8, kill=True)

    assert (found.lost, found.doubled, found.integrity) == (0, 0, "ok")
    assert found.did["votes"] > 60 and found.did["lines broken"] > 60


@pytest.mark.long
@pytest.mark.parametrize("kill", [False, True])
def test_a_hall_of_two_hundred_votes_for_a_minute(kill, tmp_path):
    found = measure(tmp_path, n=200, seconds=60, kill=kill)

    print(f"{len(found.waits):,} answers, {1000 * found.wait(0.5):.0f} ms at the median")
    assert (found.lost, found.doubled, found.integrity) == (0, 0, "ok")
    # Each phone looks every two seconds, and changes its mind about as often.
    assert found.did["votes"] > 2_000 and len(found.waits) > 6_000
    assert found.did["sent again"] and found.did["came late"] and found.did["lines broken"] > 100


def test_a_server_that_was_killed_goes_on_where_it_was(tmp_path):
    with server(tmp_path) as room:
        teacher, phone = room.teacher(), room.phone()
        id = teacher.opened("guess", NAME)
        acknowledged = phone.vote("b").json
        code, secret = room.code, room.secret
        room.kill()
        with pytest.raises(ConnectionError):
            phone.round()
        room.start()

        assert (room.code, room.secret) == (code, secret)
        assert "was shown when the room was made" in room.said and secret not in room.said
        seen = phone.round()
        assert seen["state"] == "open" and seen["mine"] == {"": ["b", 1]}
        assert acknowledged == {"value": "b", "rev": 1}
        assert teacher.do("close", round=id).status == 200
    with sqlite3.connect(tmp_path / "room.db") as db:
        assert db.execute("pragma integrity_check").fetchone() == ("ok",)
    db.close()


def test_votes_at_the_same_time_are_all_there(tmp_path):
    with server(tmp_path) as room:
        teacher = room.teacher()
        teacher.opened("guess", "merge-saves")
        phones = [room.phone() for _ in range(12)]

        def press(phone, value) -> None:
            for rev in range(1, 6):
                phone.vote(str(value), rev)

        threads = [threading.Thread(target=press, args=(p, i)) for i, p in enumerate(phones)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        teacher.do("close", round=1)
        lines = teacher.ask("GET", "/teacher/export/votes.jsonl").body.splitlines()
        assert sorted(int(json.loads(line)["value"]) for line in lines) == list(range(12))


def test_who_came_from_where_is_written_nowhere(room):
    phone = room.phone()
    phone.ask("GET", "/state", user_agent="A very special phone", x_forwarded_for="203.0.113.7")

    kept = b"".join(path.read_bytes() for path in Path(room.folder).iterdir())
    for trace in (b"special phone", b"203.0.113.7", phone.cookies["room"].encode()):
        assert trace not in kept
