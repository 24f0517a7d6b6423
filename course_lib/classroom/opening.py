"""Opening a room: as a command, in a process of its own, and found again after a kernel restart.

Not a thread of the notebook's kernel, because training holds that for minutes, and not a part of
Jupyter's server, because that port executes code.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from course_lib.classroom.practice import keep, rows_of
from course_lib.classroom.room import Room, new_room, new_secret
from course_lib.classroom.rounds import PAIRS, Material
from course_lib.machine.disk import read_json, write_json
from course_lib.machine.folders import artifacts_folder, course_folder
from course_lib.machine.network import addresses, born

PORT, PORTS = 8800, 10  # the first one to try, and how many
EVERYWHERE = "0.0.0.0"
NEEDED = ("starlette", "uvicorn", "segno")
INSTALL = 'pip install -c constraints.txt -e ".[classroom]" in the course\'s folder brings them'
SECONDS = 20.0  # to wait for the server
MOST_SHOWN = 12  # questions that a board has room for

_servers: list[subprocess.Popen] = []  # of this kernel: Python complains of one that is forgotten


@dataclass(frozen=True)
class OpenRoom:
    """A room whose server runs. `teacher` holds the secret, and is known where it was made only."""

    code: str
    links: tuple[str, ...]
    pid: int
    teacher: str = ""

    def __repr__(self) -> str:
        lines = [f"The room is open: phones go to {self.links[0]} and type {self.code}."]
        lines += [f"  or to {link}" for link in self.links[1:]]
        if self.teacher:
            lines.append(f"Yours alone, and shown this once: {self.teacher}")
        else:
            lines.append("Your own link was shown when the room was made.")
        lines.append(f"In learners' notebooks: {joining(self.code, self.links[0])}")
        return "\n".join(lines)


def joining(code: str, link: str) -> str:
    """What takes a learner's notebook into the room."""
    return f'from course_lib.classroom import join; join("{code}", "{link}")'


def folder_of_the_class() -> Path:
    """Where the room is kept."""
    return artifacts_folder() / "class"


def open_room(port: int | None = None, link: str | None = None, new: bool = False) -> OpenRoom:
    """Starts the room's server as a process of its own, or finds the one that runs.

    `link` is the address under which others reach it, where a hub gives it another than this
    machine's own. `new` begins an empty room; the one before is put aside.
    """
    need_packages()
    folder = folder_of_the_class()
    found = running(folder)
    if found and not new:
        return found
    if found:
        close_room()
    secret = prepared(folder, new)
    command = [sys.executable, "-m", "course_lib", "classroom", "--folder", str(folder)]
    command += ["--port", str(port)] if port else []
    command += ["--link", link] if link else []
    apart = {"start_new_session": True}
    if os.name == "nt":
        apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    log = folder / "server.log"
    with log.open("w", encoding="utf-8") as told:
        server = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=told, stderr=told, **apart
        )
    _servers.append(server)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and server.poll() is None:
        found = running(folder)
        if found and found.pid == server.pid:
            return OpenRoom(found.code, found.links, found.pid, teachers(found.links[0], secret))
        time.sleep(0.1)
    why = log.read_text(encoding="utf-8", errors="replace").strip()[-500:]
    raise OSError(f"the room did not open: {why or 'its server said nothing'}")


def close_room() -> str:
    """Stops the room's server. What was voted is kept, and `open_room` goes on with it."""
    found = running(folder_of_the_class())
    if not found:
        return "No room is open here."
    os.kill(found.pid, signal.SIGTERM)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and running(folder_of_the_class()):
        time.sleep(0.05)
    for server in _servers:
        if server.pid == found.pid:
            server.wait(SECONDS)
    return "The room is closed. What was voted is kept."


def show_changes(asked: Sequence[str], before: Sequence[str], after: Sequence[str]) -> str:
    """Puts answers before and after a training of your own on the board of this machine's room."""
    folder = folder_of_the_class()
    if not running(folder):
        raise ValueError("no room is open on this machine: open_room() opens one")
    if not len(asked) == len(before) == len(after) or not 1 <= len(asked) <= MOST_SHOWN:
        sizes = f"{len(asked)}, {len(before)} and {len(after)}"
        raise ValueError(f"expected 1 to {MOST_SHOWN} questions with two answers each, got {sizes}")
    room = Room(folder)
    keep(room.store, state="done", rows=rows_of(asked, before, after))
    room.show_practice()
    room.store.close()
    return "The board shows it."


def running(folder: Path) -> OpenRoom | None:
    """The room in `folder` whose server runs; None if none does."""
    try:
        told = read_json(folder / "room.json")
        alive = born(told["pid"]) == told["born"]
        found = OpenRoom(told["code"], tuple(told["links"]), told["pid"])
    except (OSError, ValueError, LookupError, TypeError):  # never opened, or a broken file
        return None
    try:
        with socket.create_connection((told["host"], told["port"]), 1):
            return found if alive else None
    except OSError:
        return None


def need_packages() -> None:
    """ValueError where a package is missing, with what to do."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise ValueError(f"the classroom needs {', '.join(missing)}: {INSTALL}")


def prepared(folder: Path, new: bool = False, another_secret: bool = False) -> str:
    """The teacher's secret of a room that is made now; "" where the room was there before."""
    if new or not (folder / "room.db").is_file():
        return new_room(folder)
    return new_secret(folder) if another_secret else ""


def teachers(link: str, secret: str) -> str:
    """The teacher's own link; what stands behind # never leaves the browser as an address."""
    return f"{link}teacher#{secret}" if secret else ""


def listening(host: str, port: int | None) -> socket.socket:
    """An open socket: at `port`, or at the first of ours that is free."""
    if port is not None and not 0 <= port <= 65535:
        raise OSError(f"there is no port {port}: choose one from 1024 to 65535 with --port")
    tries = [port] if port is not None else range(PORT, PORT + PORTS)
    for each in tries:
        try:
            return _bound(host, each)
        except OSError as error:
            why = error
    where = f"port {port}" if port is not None else f"ports {PORT} to {PORT + PORTS - 1}"
    raise OSError(f"{where} can't be used ({why.strerror or why}): choose another with --port")


def _bound(host: str, port: int) -> socket.socket:
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if os.name != "nt":  # there it would let two programs have one port
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
        found.listen(512)
    except OSError:
        found.close()
        raise
    return found


def links(port: int, host: str = EVERYWHERE, link: str | None = None) -> list[str]:
    """The addresses of the room, the likeliest first."""
    here = list(addresses()) if host == EVERYWHERE else [host]
    found = [f"http://{address}:{port}/" for address in here or ["127.0.0.1"]]
    return [f"{link.rstrip('/')}/", *found] if link else found


def run_room(
    folder: Path | None = None,
    host: str = EVERYWHERE,
    port: int | None = None,
    link: str | None = None,
    new: bool = False,
    another_secret: bool = False,
    pairs: Path | None = None,
    play: Path | None = None,
    told=print,
) -> None:
    """Opens the room here and answers until somebody stops it; `told` hears what to say."""
    need_packages()
    from course_lib.classroom.server import Site, prefix_of, web_server

    folder = folder or folder_of_the_class()
    if running(folder):
        raise ValueError(f"the room in {folder} is open already: {running(folder).links[0]}")
    material = Material(pairs or PAIRS)
    play = play or course_folder() / "build" / "play"
    has_page = (play / "index.html").is_file()
    with listening(host, port) as found:
        place = found.getsockname()[1]
        secret = prepared(folder, new, another_secret)
        room = Room(folder, material)
        here = links(place, host, link)
        _many_files()
        own = os.getpid()
        local = "127.0.0.1" if host == EVERYWHERE else host
        facts = {"pid": own, "born": born(own), "host": local, "port": place}
        write_json(folder / "room.json", facts | {"code": room.code, "links": here})
        told(repr(OpenRoom(room.code, tuple(here), own, teachers(here[0], secret))))
        if not secret:
            told("(--new-secret makes another, --new begins an empty room.)")
        if not has_page:
            told("Phones get no play page: `make play` builds it, or name a folder with --play.")
        told("Ctrl-C closes the room.")
        site = Site(room, lambda: links(place, host, link), play if has_page else None)
        try:
            asyncio.run(web_server(site, prefix_of(link or "")).serve(sockets=[found]))
        finally:
            site.practice.stop()
            room.store.close()


def _many_files() -> None:
    """Each phone holds a connection, and some systems allow a program 256 files at first."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    want = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
    if soft < want:
        resource.setrlimit(resource.RLIMIT_NOFILE, (want, hard))
