"""A class presses at once: does the room lose or double a vote, and how long does a phone wait?

    python -m benchmarks.room                      # 200 phones for 60 s: on an idle machine
    python -m benchmarks.room --kill               # and in the middle the server is killed (-9)
    python -m benchmarks.room --play 30            # instead: so many phones load the play page

Each phone looks every two seconds and changes its mind about every two seconds, over ten pairs of
answers. A vote in five is sent twice, one in ten is answered into a connection that is gone, so the
phone has to try again, and one in ten is followed by an older one that comes late. At the end each
phone's last vote must stand, once. Everything runs on one machine, phones and server alike.

Phones that load the play page share a network of `MBIT` Mbit/s: none reads faster than all together
may. They ask for what a browser asks for, in its order.
"""

import argparse
import asyncio
import json
import random
import re
import sqlite3
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from course_lib.classroom.store import hash_of
from tests.classroom.running import Server
from tools.build_page import build

LOOK, CHANGE = 2.0, 2.0  # seconds between looks, and between changes of a mind
PAUSE = 0.3  # before a phone tries again
PAIRS = 10
CHOICES = ("left", "right", "tie", "bad")
TWICE, LOST, STALE = 0.2, 0.1, 0.1  # how often
MBIT, CHUNK = 50, 16_384  # of the network that phones share; bytes that one reads at a time
FIRST = (
    "",
    "wasm/inside.wasm",
    "base-f16.gguf",
    "truth.json",
)  # then there are bars and their truth
OTHERS = ("sft-f16.gguf", "model-f16.gguf")


@dataclass
class Phone:
    """A phone and what it believes: the last vote that the room acknowledged for each pair."""

    port: int
    code: str
    rng: random.Random
    token: str = ""
    stands: dict[str, tuple[str, int]] = field(default_factory=dict)  # item -> (value, rev)
    waits: list[float] = field(default_factory=list)
    did: Counter = field(default_factory=Counter)
    line: tuple | None = None

    async def once(self, method: str, path: str, what: object = None, hang_up: bool = False):
        """One request over the phone's connection; OSError where the line breaks."""
        if self.line is None:
            self.line = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self.line
        body = b"" if what is None else json.dumps(what).encode()
        cookie = f"cookie: room={self.token}\r\n" if self.token else ""
        head = f"{method} {path} HTTP/1.1\r\nhost: room\r\ncontent-type: application/json\r\n"
        start = time.perf_counter()
        writer.write(f"{head}{cookie}content-length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        if hang_up:
            self.hang_up()
            raise ConnectionError("the answer came into a tunnel")
        headers = (await reader.readuntil(b"\r\n\r\n")).decode()
        told = await reader.readexactly(int(re.search(r"content-length: (\d+)", headers)[1]))
        self.waits.append(time.perf_counter() - start)
        if given := re.search(r"set-cookie: room=([^;]+)", headers):
            self.token = given[1]
        return int(headers.split(" ", 2)[1]), json.loads(told)

    def hang_up(self) -> None:
        if self.line:
            self.line[1].close()
            self.line = None

    async def ask(self, method: str, path: str, what: object = None, hang_up: bool = False):
        """Asks until there is an answer, as the page does."""
        while True:
            try:
                return await self.once(method, path, what, hang_up)
            except (OSError, asyncio.IncompleteReadError):
                self.did["lines broken"] += 1
                self.hang_up()
                hang_up = False
                await asyncio.sleep(PAUSE)

    async def vote(self, opening: int, item: str) -> None:
        value, rev = self.rng.choice(CHOICES), self.stands.get(item, ("", 0))[1] + 1
        vote = {"opening": opening, "item": item, "value": value, "rev": rev}
        old = self.stands.get(item)
        for again in range(1 + (self.rng.random() < TWICE)):
            status, told = await self.ask("PUT", "/vote", vote, self.rng.random() < LOST)
            assert status == 200 and told == {"value": value, "rev": rev}, (status, told, vote)
            self.did["sent again" if again else "votes"] += 1
        self.stands[item] = (value, rev)
        if old and self.rng.random() < STALE:
            late = {"opening": opening, "item": item, "value": old[0], "rev": old[1]}
            status, told = await self.ask("PUT", "/vote", late)
            assert status == 200 and told == {"value": value, "rev": rev}, (status, told)
            self.did["came late"] += 1

    async def live(self, seconds: float) -> None:
        """Joins, looks and votes for so long, and sends what is left at the end."""
        await asyncio.sleep(self.rng.random())
        status, told = await self.ask("POST", "/join", {"code": self.code})
        assert status == 200, told
        end = time.perf_counter() + seconds
        next_vote = time.perf_counter() + self.rng.random() * CHANGE
        while time.perf_counter() < end:
            status, told = await self.ask("GET", "/state")
            assert status == 200, told
            self.did["looks"] += 1
            here = time.perf_counter()
            one = told["round"]
            if here >= next_vote:
                await self.vote(one["opening"], self.rng.choice(one["parts"])["id"])
                next_vote = here + CHANGE * (0.5 + self.rng.random())
            spent = time.perf_counter() - here
            await asyncio.sleep(max(0, LOOK * (0.8 + 0.4 * self.rng.random()) - spent))
        self.hang_up()


@dataclass
class Found:
    """What came of it: how long requests took, what phones did, and what was lost or doubled."""

    waits: list[float]
    did: Counter
    lost: int
    doubled: int
    integrity: str

    def wait(self, share: float) -> float:
        """The wait in seconds that this share of all requests stays below."""
        return sorted(self.waits)[min(int(share * len(self.waits)), len(self.waits) - 1)]


async def _phones(server: Server, n: int, seconds: float, kill: bool) -> list[Phone]:
    phones = [Phone(server.port, server.code, random.Random(i)) for i in range(n)]

    async def killing() -> None:
        await asyncio.sleep(seconds / 2)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)

    await asyncio.gather(*(phone.live(seconds) for phone in phones), *([killing()] if kill else []))
    return phones


def measure(folder: Path, n: int = 200, seconds: float = 60, kill: bool = False) -> Found:
    """`n` phones vote for so long; with `kill` the server is killed and started in the middle."""
    server = Server(folder)
    try:
        server.teacher().opened("pairs", n=PAIRS)
        phones = asyncio.run(_phones(server, n, seconds, kill))
    finally:
        if server.process.poll() is None:
            server.stop()
    with sqlite3.connect(folder / "room.db") as db:
        (integrity,) = db.execute("pragma integrity_check").fetchone()
        rows = db.execute("select voter, item, value, rev from vote").fetchall()
    kept = {(voter, item): rev for voter, item, _, rev in rows}
    believed = {
        (hash_of(phone.token), item): rev
        for phone in phones
        for item, (_, rev) in phone.stands.items()
    }
    lost = sum(kept.get(key) != rev for key, rev in believed.items())
    doubled = len(rows) - len(believed)
    did = sum((phone.did for phone in phones), Counter())
    return Found([w for p in phones for w in p.waits], did, lost, doubled, integrity)


class Network:
    """Bytes are handed out one reader after the other, at `MBIT` altogether."""

    def __init__(self) -> None:
        self._free = time.perf_counter()

    async def carry(self, n: int) -> None:
        start = max(self._free, time.perf_counter())
        self._free = start + n * 8 / (MBIT * 1e6)
        await asyncio.sleep(self._free - time.perf_counter())


async def _visit(port: int, network: Network, start: float) -> list[float]:
    """Seconds after `start` at which the bars can be there, and all models."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    there = []
    for files in (FIRST, OTHERS):
        for file in files:
            writer.write(f"GET /play/{file} HTTP/1.1\r\nhost: room\r\n\r\n".encode())
            headers = (await reader.readuntil(b"\r\n\r\n")).decode()
            assert headers.split(" ", 2)[1] == "200", (file, headers)
            left = int(re.search(r"content-length: (\d+)", headers)[1])
            while left:
                n = min(left, CHUNK)
                await network.carry(n)
                await reader.readexactly(n)
                left -= n
        there.append(time.perf_counter() - start)
    writer.close()
    return there


def play(folder: Path, n: int) -> None:
    """Prints how long `n` phones wait for the play page when all of them open it at once."""
    build(folder / "play")
    server = Server(folder / "room", "--play", str(folder / "play"))

    async def visits() -> list[list[float]]:
        network, start = Network(), time.perf_counter()
        return await asyncio.gather(*(_visit(server.port, network, start) for _ in range(n)))

    try:
        times = asyncio.run(visits())
    finally:
        server.stop()
    for what, column in zip(("bars", "all models"), zip(*times, strict=True), strict=True):
        told = f"{min(column):.1f} to {max(column):.1f} s"
        print(f"{n} phones over {MBIT} Mbit/s: {what} after {told}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--phones", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--kill", action="store_true", help="kill the server in the middle")
    parser.add_argument("--play", type=int, help="so many phones load the play page")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.play:
            return play(Path(folder), options.play)
        found = measure(Path(folder), options.phones, options.seconds, options.kill)
    print(f"{options.phones} phones for {options.seconds:g} s: {len(found.waits):,} answers")
    print(", ".join(f"{n:,} {what}" for what, n in found.did.items()))
    waits = ", ".join(
        f"{100 * s:g}% below {1000 * found.wait(s):.0f} ms" for s in (0.5, 0.95, 0.99)
    )
    print(waits)
    print(f"lost {found.lost}, doubled {found.doubled}, integrity check: {found.integrity}")


if __name__ == "__main__":
    main()
