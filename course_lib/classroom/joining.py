"""`join("7K4QX")` in a learner's notebook: from then on its guesses go to the board, namelessly.

`check` knows no network; it tells a function of each guess. Sending waits in a thread of its own:
a cell never waits for the room, and a room that is gone stops no lesson.
"""

import json
import threading
import time
import urllib.error
import urllib.request
from urllib.parse import quote, urlsplit

from course_lib.check import asking
from course_lib.check.question import question
from course_lib.classroom.opening import PORT, folder_of_the_class, running
from course_lib.machine.disk import locked, read_json, write_json
from course_lib.machine.folders import artifacts_folder

SECONDS = 3.0  # for an answer of the room
TRIES = 60  # to send a guess, some seconds apart
PAUSE = 5.0
COOKIE = "room"
# A room is in the same Wi-Fi: a company's proxy, which a laptop may have set, knows nothing of it.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Joined:
    """A notebook in a room: what it still has to send, and the thread that sends it."""

    def __init__(self, link: str, token: str) -> None:
        self.link, self.token = link, token
        self.problem = ""  # what the room said last, if it refused
        self._waiting: dict[str, dict] = {}  # the latest guess for each question
        self._news = threading.Condition()
        self._left = False
        threading.Thread(target=self._send_all, name="classroom", daemon=True).start()

    def hear(self, id: str | None) -> None:
        """Called by `check` after a guess, or a skip: that one is nobody's vote."""
        value = None if id is None else asking.answer_to(question(id))
        if value is None:
            return
        with self._news:
            # the time grows even from kernel to kernel, so that the latest guess counts
            self._waiting[id] = {"value": value, "rev": time.time_ns() // 1_000_000}
            self._news.notify()

    def leave(self) -> None:
        with self._news:
            self._left = True
            self._news.notify()

    def _send_all(self) -> None:
        tries = 0
        while True:
            with self._news:
                self._news.wait_for(lambda: self._waiting or self._left)
                if self._left:
                    return
                id, guess = next(iter(self._waiting.items()))
            try:
                ask(self.link, "PUT", f"guess/{quote(id)}", guess, self.token)
                self.problem = ""
            except ValueError as error:  # it was refused: trying again would not help
                self.problem = str(error)
            except OSError:
                tries += 1
                if tries < TRIES:
                    time.sleep(PAUSE)
                    continue
            tries = 0
            with self._news:
                if self._waiting.get(id) is guess:  # no other one has come meanwhile
                    del self._waiting[id]


_joined: Joined | None = None


def join(code: str, link: str | None = None) -> asking.Sentences:
    """Sends this notebook's guesses to the room with this code, without a name.

    The board shows the code and the `link`; without one a room on this machine is meant.

    >>> join("7K4QX", "http://192.168.1.7:8800/")
    You are in the room 7K4QX. Your guesses go to its board, without your name. leave() ends that.
    """
    global _joined
    link = _link(code, link)
    known, place = _known(), link.rstrip("/")
    try:
        token = ask(link, "POST", "join", {"code": code}, known.get(place, ""))
    except OSError as error:
        return asking.Sentences(
            f"No room answers at {link} ({error}). Take code and address from the board; you need "
            "the same Wi-Fi as the room. You can go on without it."
        )
    except ValueError as error:
        return asking.Sentences(f"The room doesn't let you in: {error}")
    with locked(_file()):
        write_json(_file(), _known() | {place: token})
    leave()
    _joined = Joined(link, token)
    asking.listeners.append(_joined.hear)
    return asking.Sentences(
        f"You are in the room {code.upper()}. Your guesses go to its board, without your name. "
        "leave() ends that."
    )


def leave() -> asking.Sentences:
    """No guess goes to the room any more. What was sent stays there."""
    global _joined
    if _joined is None:
        return asking.Sentences("This notebook is in no room.")
    asking.listeners.remove(_joined.hear)
    _joined.leave()
    _joined = None
    return asking.Sentences("You have left the room.")


def _link(code: str, link: str | None) -> str:
    if not isinstance(code, str) or not code.strip():
        raise ValueError(f'expected the code on the board, as in join("7K4QX"), got {code!r:.60}')
    if link is None:
        found = running(folder_of_the_class())
        return f"http://127.0.0.1:{urlsplit(found.links[-1]).port or PORT}/" if found else _local()
    link = link.split("#")[0].rstrip("/") + "/"
    link = link if "://" in link else f"http://{link}"
    if urlsplit(link).scheme not in ("http", "https") or not urlsplit(link).netloc:
        raise ValueError(f"expected an address as the board shows it, got {link!r:.60}")
    return link


def _local() -> str:
    return f"http://127.0.0.1:{PORT}/"


def _file():
    return artifacts_folder() / "joined.json"


def _known() -> dict:
    """The token for each room, so that a kernel that starts anew is nobody else."""
    try:
        return {place: token for place, token in read_json(_file()).items() if type(token) is str}
    except (OSError, ValueError):
        return {}


def ask(link: str, method: str, path: str, what: dict, token: str = "") -> str:
    """Asks the room; returns the token that is valid now. ValueError holds what it refused."""
    request = urllib.request.Request(
        link + path,
        json.dumps(what).encode(),
        {"content-type": "application/json", "cookie": f"{COOKIE}={token}"},
        method=method,
    )
    try:
        with _direct.open(request, timeout=SECONDS) as answer:
            given = answer.headers.get("set-cookie", "")
    except urllib.error.HTTPError as error:
        with error:
            told = error.read(1000)
        try:
            why = str(json.loads(told)["error"])[:200]
        except (ValueError, LookupError, TypeError):
            raise OSError(f"it answers {error.code}, so it is no room") from error
        if error.code == 429:
            raise OSError(why) from error
        raise ValueError(why) from error
    return given.partition(";")[0].partition("=")[2] or token
