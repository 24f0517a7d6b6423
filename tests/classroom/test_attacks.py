"""Whatever somebody in the room, or on its network, may try: refused, or harmless.

Each test says how often it tries. A class shares one address, and so do all tests of one server
here: where a limit of the address is tried, the server is the test's own.
"""

import contextlib
import json
import random
import socket
import sqlite3
import time

import pytest

from course_lib.classroom import limits
from course_lib.classroom.limits import Buckets
from course_lib.classroom.room import CODE_LENGTH, LETTERS
from course_lib.classroom.server import LARGEST, LARGEST_IMPORT, Limits
from course_lib.classroom.store import hash_of
from tests.classroom.running import Here, in_a_thread

SCRIPT = '<script>alert(1)</script><img src=x onerror="alert(2)">'
TEACHERS = [
    ("GET", "/teacher/state"), ("GET", "/teacher/catalog"), ("POST", "/teacher/do"),
    ("GET", "/teacher/export/votes.jsonl"), ("GET", "/teacher/export/votes.csv"),
    ("GET", "/teacher/export/preferences.jsonl"), ("POST", "/teacher/import"),
    ("GET", "/teacher/qr.svg"),
]  # fmt: skip
ODD = [None, True, -1, 1e308, "", SCRIPT, "'; drop table vote; --", "\x00", "\ud800", [], {}, [[]],
       {"a": {}}, 10**40, "x" * 3000]  # fmt: skip


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    play = tmp_path_factory.mktemp("play")
    (play / "index.html").write_text("play")
    (play.parent / "secret.txt").write_text("not yours")

    def change(site) -> None:
        site.play = play
        site.limits = Limits(*(Buckets(1e6, 1e6) for _ in range(4)))  # they have tests of their own

    with in_a_thread(tmp_path_factory.mktemp("room"), change) as found:
        found.folder = play.parent
        yield found


@pytest.fixture
def ballot(room):
    """(teacher, the number of a fresh round that is open)."""
    teacher = room.teacher()
    yield teacher, (id := teacher.opened("guess", "deciding-name"))
    teacher.do("remove", round=id)


def votes(teacher, id) -> dict:
    """The tally, after the close."""
    teacher.do("close", round=id)
    bars = teacher.ask("GET", "/teacher/state").json["round"]["result"]["bars"]
    return {bar["value"]: bar["votes"][0] for bar in bars if bar["votes"][0]}


def raw(room: Here, data: bytes, seconds: float = 10) -> bytes:
    """Sends bytes as they are; what comes back until the connection closes or falls silent."""
    with socket.create_connection(("127.0.0.1", room.port), seconds) as line:
        line.sendall(data)
        told = b""
        try:
            while part := line.recv(65_536):
                told += part
                if b"content-length: " in told and told.endswith(b"}"):
                    break
        except OSError:
            pass
        return told


def test_200_guessed_codes_open_nothing(tmp_path):
    rng = random.Random(0)
    with in_a_thread(tmp_path) as room:
        before = room.phone()  # it is in already
        someone, told = room.someone(), []
        for _ in range(200):
            code = "".join(rng.choice(LETTERS) for _ in range(CODE_LENGTH))
            told.append(someone.ask("POST", "/join", {"code": code}).status)
        assert set(told) == {403, 429} and 30 <= told.count(403) <= 60
        # even the right one waits now: else whoever guesses could simply go on
        assert someone.ask("POST", "/join", {"code": room.code}).status == 429
        assert someone.cookies == {}
        assert before.ask("GET", "/state").status == 200  # and nobody who is in notices
    tries_a_year = 365 * 86_400 * Limits().codes.rate
    assert tries_a_year < len(LETTERS) ** CODE_LENGTH  # one address needs longer than a year


def test_60_guessed_secrets_open_nothing(tmp_path):
    with in_a_thread(tmp_path) as room:
        someone = room.someone()
        told = [
            someone.ask("POST", "/teacher/enter", {"secret": f"s{i}"}).status for i in range(60)
        ]
        assert set(told) == {403, 429} and told.count(403) <= 35
        assert someone.ask("GET", "/teacher/state").status == 403


def test_the_teachers_routes_are_the_teachers(room, ballot):
    """8 routes, each tried with 9 kinds of cookies, 72 tries."""
    phone = room.phone()
    token = phone.cookies["room"]
    with_room = [{}, {"room": token}]
    wrong = ["", "x", token, hash_of(token), room.code, hash_of(room.secret), room.secret[:-1]]
    tried = 0
    for method, path in TEACHERS:
        for cookies in [*with_room, *({"teacher": each} for each in wrong)]:
            someone = room.someone()
            someone.cookies = cookies
            body = None if method == "GET" else {"do": "close", "round": ballot[1]}
            assert someone.ask(method, path, body).status == 403, (path, cookies)
            tried += 1
    assert tried == 72
    assert ballot[0].ask("GET", "/teacher/state").json["round"]["state"] == "open"


def test_foreign_cookies_have_no_vote(room, ballot):
    """14 tokens that nobody was given."""
    phone = room.phone()
    token = phone.cookies["room"]
    opening = phone.round()["opening"]
    tokens = ["", "0", token[:-1], token + "A", token.swapcase(), token[::-1], hash_of(token),
              "' or 1=1 --", "../../etc/passwd", "%00", "*", "hand:a", "from:000000000000:x",
              "A" * 4000]  # fmt: skip
    for foreign in tokens:
        someone = room.someone()
        someone.cookies = {"room": foreign}
        assert someone.ask("GET", "/state").status == 401, foreign
        vote = {"opening": opening, "item": "", "value": "a", "rev": 1}
        assert someone.ask("PUT", "/vote", vote).status == 401, foreign
        assert someone.ask("DELETE", "/me").status == 401, foreign
    assert votes(*ballot) == {}


def test_odd_values_in_every_field_are_refused(room, ballot):
    """15 odd values in each of 13 fields, 195 tries; none is answered by an error of ours."""
    teacher, id = ballot
    phone = room.phone()
    good = {
        ("POST", "/join"): {"code": "x"},
        ("POST", "/teacher/enter"): {"secret": "x"},
        ("PUT", "/vote"): {"opening": phone.round()["opening"], "item": "", "value": "a", "rev": 1},
        ("PUT", "/guess/deciding-name"): {"value": "a", "rev": 1},
        ("POST", "/teacher/do"): {"do": "again", "round": 10**6, "kind": "guess", "about": "x"},
        ("POST", "/teacher/do?hands"): {"do": "hands", "round": id, "counts": []},
    }
    tried = 0
    for (method, path), body in good.items():
        for field in body if path != "/teacher/do?hands" else ["counts"]:
            for odd in ODD:
                if field == "counts" and odd == []:
                    odd = [[SCRIPT, SCRIPT, 1]]
                if field == "item" and odd == "":  # which is the one part that there is
                    odd = " "
                someone = teacher if path.startswith("/teacher") else phone
                what = body | {field: odd}
                if path == "/teacher/do" and field in ("kind", "about"):
                    what["do"] = "add"
                answer = someone.ask(method, path, what)
                assert 400 <= answer.status < 500, (path, field, odd, answer)
                # JSON that no browser takes for a page
                assert answer.headers["content-type"] == "application/json"
                assert answer.headers["x-content-type-options"] == "nosniff"
                assert len(answer.json["error"]) < 300
                tried += 1
    assert tried == 15 * 13
    assert votes(*ballot) == {}


def test_bodies_that_are_no_json_object(room, ballot):
    """12 bodies, 2 types."""
    phone = room.phone()
    bodies = [b"", b"null", b"[]", b"7", b'"x"', b"{", b"\xff\xfe", b'{"a": NaN', b"[" * 3000,
              b'{"a":' * 700, b"9" * 3900, SCRIPT.encode()]  # fmt: skip
    for body in bodies:
        answer = phone.ask("PUT", "/vote", body)
        assert answer.status == 400, body[:20]
    for kind in ("text/plain", "application/x-www-form-urlencoded"):  # what other sites can send
        assert phone.ask("PUT", "/vote", b"{}", content_type=kind).status == 415


def test_huge_bodies_are_stopped_while_they_come(room):
    """5 of up to a declared terabyte; the server reads no more than its limit."""
    head = "{} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncookie: {}\r\n"
    phone, teacher = room.phone(), room.teacher()
    for path, cookie, most in (
        ("PUT /vote", f"room={phone.cookies['room']}", LARGEST),
        ("POST /join", "", LARGEST),
        ("POST /teacher/enter", "", LARGEST),
        ("POST /teacher/do", f"teacher={teacher.cookies['teacher']}", 50_000),
        ("POST /teacher/import", f"teacher={teacher.cookies['teacher']}", LARGEST_IMPORT),
    ):
        start = head.format(path, cookie) + f"content-length: {10**12}\r\n\r\n"
        told = raw(room, start.encode() + b"x" * (most + 1))
        assert told.startswith(b"HTTP/1.1 413"), (path, told[:80])
        assert b"connection: close" in told.lower()
    assert phone.ask("GET", "/state").status == 200


def test_headers_without_an_end_are_stopped(room):
    """3: a long line, many lines, a long cookie."""
    for data in (b"GET /" + b"x" * 100_000, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 20_000,
                 b"GET / HTTP/1.1\r\ncookie: room=" + b"x" * 100_000):  # fmt: skip
        told = raw(room, data)
        assert told == b"" or told.startswith(b"HTTP/1.1 400"), told[:80]
    assert room.phone().ask("GET", "/state").status == 200


def test_whoever_dawdles_is_hung_up_on(room, monkeypatch):
    """80 connections that never finish: no word, half a head, half a body, drop by drop."""
    monkeypatch.setattr(limits, "PATIENCE", 0.7)
    half = b"PUT /vote HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n{"
    starts = [b"", b"GET /state HT", half, b"G"] * 20
    lines = [socket.create_connection(("127.0.0.1", room.port), 10) for _ in starts]
    for line, start in zip(lines, starts, strict=True):
        line.sendall(start)
    for _ in range(4):  # the last kind goes on, and gains nothing by it
        time.sleep(0.25)
        for line in lines[3::4]:
            with contextlib.suppress(OSError):  # hung up already
                line.sendall(b"E")
    assert room.phone().ask("GET", "/state").status == 200  # meanwhile everybody else votes
    for line in lines:
        line.settimeout(10)
        try:
            while line.recv(1000):
                pass
        except ConnectionError:
            pass
        line.close()


def test_one_address_holds_so_many_connections(room, monkeypatch):
    """20 where 10 are allowed."""
    monkeypatch.setattr(limits, "CONNECTIONS_EACH", 10)
    time.sleep(0.2)
    lines = [socket.create_connection(("127.0.0.1", room.port), 5) for _ in range(20)]
    end, closed = time.monotonic() + 5, set()  # before anybody loses patience
    while time.monotonic() < end and len(closed) < 10:
        for line in lines:
            line.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                with contextlib.suppress(ConnectionError):
                    assert line.recv(1) == b""
                closed.add(line)
        time.sleep(0.05)
    for line in lines:
        line.close()
    assert 10 <= len(closed) <= 12
    time.sleep(0.3)
    assert room.phone().ask("GET", "/state").status == 200


def test_a_flood_from_one_phone_is_slowed_down(tmp_path):
    """150 requests at once: the first 60 and a few are answered."""
    with in_a_thread(tmp_path) as room:
        phone, other = room.phone(), room.phone()
        told = [phone.ask("GET", "/state").status for _ in range(150)]
        assert set(told) == {200, 429} and told[:50] == [200] * 50
        assert other.ask("GET", "/state").status == 200
        time.sleep(1.2)
        assert phone.ask("GET", "/state").status == 200


def test_a_flood_from_one_address_is_slowed_down(tmp_path):
    """120 requests where 40 are allowed."""

    def change(site) -> None:
        site.limits.address = Buckets(rate=5, most=40)

    with in_a_thread(tmp_path, change) as room:
        told = [room.someone().ask("GET", "/page/phone.js").status for _ in range(120)]
        assert set(told) == {200, 429} and 40 <= told.count(200) < 100
        time.sleep(0.5)
        assert room.someone().ask("GET", "/").status == 200


def test_50_joins_make_no_more_phones_than_are_allowed(tmp_path):
    def change(site) -> None:
        site.limits.joins = Buckets(rate=0.01, most=20)

    with in_a_thread(tmp_path, change) as room:
        told = [room.someone().ask("POST", "/join", {"code": room.code}).status for _ in range(50)]
        assert told == [200] * 20 + [429] * 30


def test_buckets_fill_again_and_hold_so_many_keys(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(limits.time, "monotonic", lambda: now[0])
    bucket = Buckets(rate=2, most=4, keys=3)

    assert [bucket.take("a") for _ in range(6)] == [True] * 4 + [False] * 2
    now[0] += 1
    assert [bucket.take("a") for _ in range(3)] == [True, True, False]
    now[0] += 1000
    assert bucket.left("a") == 4
    for key in "bcdef":
        bucket.take(key)
    assert len(bucket._full) == 3


def test_no_path_leads_out_of_the_folders(room):
    """18 paths, as they are and below 2 folders."""
    paths = [
        "../secret.txt", "..%2fsecret.txt", "%2e%2e/secret.txt", "%2e%2e%2fsecret.txt",
        "..\\secret.txt", "..%5csecret.txt", "....//secret.txt", "./../secret.txt",
        "%252e%252e%252fsecret.txt", "/etc/passwd", "//etc/passwd", "..%c0%afsecret.txt",
        "x/../../secret.txt", "~root", "server.py", "../server.py", "..%00/secret.txt", "room.db",
    ]  # fmt: skip
    for folder in ("/page/", "/play/"):
        for path in paths:
            told = raw(room, f"GET {folder}{path} HTTP/1.0\r\nhost: x\r\n\r\n".encode())
            assert b" 404 " in told[:20] or b" 400 " in told[:20], (folder, path, told[:60])
            assert b"not yours" not in told and b"root:" not in told and b"import " not in told


def test_500_votes_replayed_and_out_of_order_leave_the_last_one(room, ballot):
    phone = room.phone()
    opening, rng = phone.round()["opening"], random.Random(1)
    sent = [(rng.choice("abc"), rev) for rev in range(1, 101)] * 5
    last = next(value for value, rev in sent if rev == 100)
    rng.shuffle(sent)
    for value, rev in sent:
        assert phone.vote(value, rev, opening=opening).status == 200

    assert phone.round()["mine"] == {"": [last, 100]}
    assert votes(*ballot) == {last: 1}


def test_40_votes_after_the_close_count_for_nothing(room, ballot):
    teacher, id = ballot
    phones = [room.phone() for _ in range(4)]
    opening = phones[0].round()["opening"]
    phones[0].vote("a")
    teacher.do("close", round=id)

    for phone in phones:
        for rev in range(2, 12):
            assert phone.vote("b", rev, opening=opening).status == 409
    teacher.do("show", round=id)
    assert phones[1].ask("PUT", "/guess/deciding-name", {"value": "b", "rev": 99}).status == 409
    assert votes(teacher, id) == {"a": 1}


def test_openings_that_were_guessed_are_no_ballots(room, ballot):
    """6 numbers."""
    phone = room.phone()
    opening = phone.round()["opening"]
    for wrong in (0, opening - 1, opening + 1, -1, None, str(opening)):
        assert phone.vote("a", opening=wrong).status == 409
    assert votes(*ballot) == {}


def test_methods_that_a_route_does_not_have(room):
    """24 pairs of route and method."""
    tried = 0
    for path in ("/", "/state", "/join", "/vote", "/teacher/do", "/page/phone.js"):
        for method in ("PATCH", "TRACE", "OPTIONS", "DELETE"):
            answer = room.phone().ask(method, path)
            assert answer.status == 405, (method, path)
            assert not any(name.startswith("access-control") for name in answer.headers)
            tried += 1
    assert tried == 24


def test_requests_that_are_no_http(room):
    """6, and the server is still there."""
    post = b"POST /join HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    for data in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20,  # as https begins
        b"\x00" * 500,
        b"GET / HTTP/1.1 and more\r\n\r\n",
        b"GET http://elsewhere/ HTTP/1.1\r\n\r\n",
        post + b"content-length: -1\r\n\r\n",
        post + b"transfer-encoding: chunked\r\n\r\nzz\r\n",
    ):
        told = raw(room, data, 2)
        assert told == b"" or b" 40" in told[:16], (data[:30], told[:60])
    assert room.phone().ask("GET", "/state").status == 200


def lines(**changes) -> bytes:
    """A line of votes.jsonl, with changes."""
    row = {"room": "0123456789ab", "kind": "guess", "about": "deciding-name", "ballot": 1,
           "item": "", "voter": "ba9876543210", "value": "a", "count": 1}  # fmt: skip
    return json.dumps(row | changes).encode()


POISON = [
    b"<html>", b"[1, 2]", b"{}", b"[" * 5000, b"\xff\xfe\x00", lines(room=SCRIPT), lines(room=7),
    lines(kind=SCRIPT), lines(kind="shell"), lines(kind=None), lines(about=SCRIPT),
    lines(about="softmax"), lines(ballot=0), lines(ballot=3), lines(ballot="1"), lines(ballot=True),
    lines(item=SCRIPT), lines(item=None), lines(voter=SCRIPT), lines(voter="hand:" + "x" * 500),
    lines(voter="from:a:b"), lines(value=SCRIPT), lines(value=45), lines(value="z"),
    lines(count=2), lines(count=0), lines(count=-5), lines(count=10**9), lines(count=1.0),
    lines(voter="hand:a", count=10**6), lines(kind="pairs", about="", item="0123456789ab"),
    lines(kind="pairs", about="", item="", prompt=SCRIPT, a="x", b="y"),
    lines(kind="stuck", ballot=2),
]  # fmt: skip


def test_a_poisoned_import_changes_nothing(room, ballot):
    """33 lines, each behind a good one; and 1,001 voters of one room."""
    teacher, _ = ballot
    for poison in POISON:
        told = teacher.ask("POST", "/teacher/import", lines() + b"\n" + poison)
        assert told.status == 400 and told.json["error"].startswith("line 2: "), (poison[:80], told)
        assert "<script" not in told.json["error"].replace("'<script", "")  # at most as a quotation
    crowd = b"\n".join(lines(voter=f"{i:012x}") for i in range(1001))
    assert "at most 1000 voters" in teacher.ask("POST", "/teacher/import", crowd).json["error"]
    assert votes(*ballot) == {} and len(POISON) == 33
    assert len(teacher.ask("GET", "/teacher/state").json["rounds"]) == 1


def test_texts_of_an_import_are_not_kept(tmp_path):
    with in_a_thread(tmp_path) as room:
        teacher = room.teacher()
        told = teacher.ask("POST", "/teacher/import", lines(prompt=SCRIPT, a=SCRIPT, more=SCRIPT))
        assert told.json == {"votes": 1, "rounds": 1, "own": 0}
        assert b"script" not in teacher.ask("GET", "/teacher/export/votes.jsonl").body
    with sqlite3.connect(tmp_path / "room.db") as db:
        assert "script" not in str([*db.iterdump()])
    db.close()
