"""A room's server as a process of its own, and somebody who asks it, for tests and benchmarks."""

import asyncio
import http.client
import json
import re
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

READY = "Ctrl-C closes the room."


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict:
        return json.loads(self.body)


class Here:
    """A room that answers at a port of this machine."""

    def __init__(self, port: int, code: str = "", secret: str = "") -> None:
        self.port, self.code, self.secret = port, code, secret

    def someone(self) -> "Someone":
        return Someone(self.port)

    def phone(self) -> "Someone":
        """Somebody who has joined."""
        someone = self.someone()
        assert someone.ask("POST", "/join", {"code": self.code}).status == 200
        return someone

    def teacher(self) -> "Someone":
        someone = self.someone()
        entered = someone.ask("POST", "/teacher/enter", {"secret": self.secret})
        assert entered.status == 200, entered
        return someone


class Server(Here):
    """The process; `start` it anew with the same port and folder as often as you like."""

    def __init__(self, folder: Path, *options: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            super().__init__(free.getsockname()[1])
        self.folder, self.options = folder, options
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "course_lib", "classroom", "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--folder", str(self.folder), *self.options]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8"
        )
        told = []
        for line in self.process.stdout:
            told.append(line)
            if line.strip() == READY:
                break
        self.said = "".join(told)
        assert READY in self.said, self.said
        self.code = re.search(r"and type (\w+)", self.said)[1]
        if found := re.search(r"teacher#(\S+)", self.said):  # shown once
            self.secret = found[1]

    def stop(self) -> None:
        self.process.terminate()
        self._ended()

    def kill(self) -> None:
        """As `kill -9` does: the process hears nothing of it, and tidies nothing up."""
        self.process.kill()
        self._ended()

    def _ended(self) -> None:
        self.process.wait(timeout=20)
        self.process.stdout.close()


class Someone:
    """A browser, as far as the server can tell: it keeps the cookies that it gets."""

    def __init__(self, port: int) -> None:
        self.port, self.cookies = port, {}

    def ask(self, method: str, path: str, what: object = None, **headers: str) -> Answer:
        """Asks once; `what` goes as JSON unless it is bytes."""
        body = what if isinstance(what, bytes | None) else json.dumps(what).encode()
        sent = {"content-type": "application/json"} if body is not None else {}
        if self.cookies:
            sent["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            sent |= {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            given = {name.lower(): value for name, value in answer.getheaders()}
            cookie = re.match(r"(\w+)=([^;]*)", given.get("set-cookie", ""))
            if cookie:
                self.cookies[cookie[1]] = cookie[2].strip('"')
            return Answer(answer.status, given, answer.read())
        finally:
            connection.close()

    def do(self, what: str, **more) -> Answer:
        """As the teacher."""
        return self.ask("POST", "/teacher/do", {"do": what, **more})

    def opened(self, kind: str, about: str = "", **more) -> int:
        """As the teacher: the number of a new round, which is open."""
        id = self.do("add", kind=kind, about=about, **more).json["id"]
        assert self.do("open", round=id).status == 200
        return id

    def round(self) -> dict | None:
        return self.ask("GET", "/state").json["round"]

    def vote(self, value: object, rev: object = 1, item: object = "", **more) -> Answer:
        """Votes in the ballot that is open, or in another if `more` names its opening."""
        now = {} if "opening" in more else {"opening": self.round()["opening"]}
        return self.ask("PUT", "/vote", {"item": item, "value": value, "rev": rev, **now, **more})


@contextmanager
def in_a_thread(folder: Path, change=lambda site: None, prefix: str = "") -> Iterator["Here"]:
    """A server in this process, so that a test can change its limits: `change` gets its site."""
    from course_lib.classroom.opening import listening
    from course_lib.classroom.room import Room, new_room
    from course_lib.classroom.server import Site, web_server

    secret, ready, found = new_room(folder), threading.Event(), {}

    def run() -> None:  # SQLite's connection belongs to the thread that made it
        site = Site(Room(folder), lambda: [f"http://127.0.0.1:{port}{prefix}/"])
        change(site)
        found["server"] = web_server(site, prefix)
        ready.set()
        asyncio.run(found["server"].serve(sockets=[open_socket]))
        site.room.store.close()

    with listening("127.0.0.1", 0) as open_socket:
        port = open_socket.getsockname()[1]
        thread = threading.Thread(target=run)
        thread.start()
        ready.wait(30)
        with sqlite3.connect(folder / "room.db") as db:
            (code,) = db.execute("select value from fact where name = 'code'").fetchone()
        db.close()
        try:
            yield Here(port, code, secret)
        finally:
            found["server"].should_exit = True
            thread.join(30)


@contextmanager
def server(folder: Path, *options: str) -> Iterator[Server]:
    found = Server(folder, *options)
    try:
        yield found
    finally:
        if found.process.poll() is None:
            found.stop()
