"""Firefox and WebKit as a distribution has them, which Playwright can't drive: it brings its own.

Just what test_other_browsers.py needs: open a file, evaluate, type, and the name that a screen
reader would hear. Firefox speaks WebDriver BiDi by itself, WebKit has a WebDriver beside it.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import websocket

SECONDS = 60  # for whatever a browser does; a quiet machine needs two


def need(*commands: str) -> list[str]:
    """The paths of these programs; where one is missing the test is skipped."""
    paths = {name: shutil.which(name) for name in commands}
    missing = [name for name, path in paths.items() if path is None]
    if missing:
        pytest.skip(f"this machine has no {' and no '.join(missing)}")
    return list(paths.values())


def wait_for(found: Callable[[], object], what: str) -> object:
    """What `found` gives as soon as it is something; OSError counts as not yet."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        try:
            if result := found():
                return result
        except OSError:
            pass
        time.sleep(0.1)
    pytest.fail(f"{what} did not come within {SECONDS} s")


@contextmanager
def running(command: list[str], **environment: str) -> Iterator[None]:
    """A program without input and output; it and all that it starts end at the end."""
    quiet = dict(stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    program = subprocess.Popen(
        command, env={**os.environ, **environment}, start_new_session=True, **quiet
    )
    try:
        yield
    finally:
        os.killpg(program.pid, signal.SIGTERM)
        try:
            program.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(program.pid, signal.SIGKILL)
            program.wait()


def keys(text: str) -> dict:
    """The keys of `text`, one after the other, as both protocols have them."""
    pressed = [{"type": kind, "value": key} for key in text for kind in ("keyDown", "keyUp")]
    return {"type": "key", "id": "keyboard", "actions": pressed}


class Firefox:
    """A tab of Firefox, over WebDriver BiDi."""

    def __init__(self, line: websocket.WebSocket) -> None:
        self._line, self._number, self._errors = line, 0, []
        self._send("session.new", capabilities={})
        self._send("session.subscribe", events=["log.entryAdded"])
        [tab] = self._send("browsingContext.getTree")["contexts"]
        self._tab = {"context": tab["context"]}

    def open(self, address: str) -> None:
        self._send("browsingContext.navigate", **self._tab, url=address, wait="complete")

    def evaluate(self, expression: str) -> object:
        """Its value, which has a form in JSON."""
        script = f"JSON.stringify({expression})"
        found = self._send(
            "script.evaluate", expression=script, target=self._tab, awaitPromise=False
        )
        assert found["type"] == "success", found
        return json.loads(found["result"].get("value", "null"))

    def type(self, text: str) -> None:
        """Press the keys of `text` where the focus is."""
        self._send("input.performActions", **self._tab, actions=[keys(text)])

    def names_a_button(self, name: str, selector: str) -> bool:
        """Whether the first element that fits `selector` is the button of this accessible name."""
        wanted = {"type": "accessibility", "value": {"name": name, "role": "button"}}
        by_name, by_selector = (
            self._send("browsingContext.locateNodes", **self._tab, locator=locator)["nodes"]
            for locator in (wanted, {"type": "css", "value": selector})
        )
        return by_selector[0]["sharedId"] in {node["sharedId"] for node in by_name}

    def errors(self) -> list[str]:
        """What the page complained about since the browser started."""
        self.evaluate("1")  # what came before it is read on the way
        return self._errors

    def _send(self, method: str, **params) -> dict:
        self._number += 1
        self._line.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while True:
            said = json.loads(self._line.recv())
            if said.get("method") == "log.entryAdded" and said["params"]["level"] == "error":
                self._errors.append(said["params"]["text"])
            if said.get("id") == self._number:
                assert said["type"] == "success", said
                return said["result"]


@contextmanager
def firefox(folder: Path) -> Iterator[Firefox]:
    """Firefox without a window, with a fresh profile in `folder`."""
    [program] = need("firefox-esr")
    folder = folder / "profile"
    folder.mkdir()
    where = folder / "WebDriverBiDiServer.json"  # Firefox writes it when it listens
    command = [program, "--headless", "--no-remote", "--profile", str(folder)]
    with running([*command, "--remote-debugging-port=0"]):
        at = wait_for(lambda: json.loads(where.read_text()), "Firefox")
        address = f"ws://{at['ws_host']}:{at['ws_port']}/session"
        # with an Origin it takes us for a page, and refuses
        line = websocket.create_connection(address, timeout=SECONDS, suppress_origin=True)
        with closing(line):
            yield Firefox(line)


class WebKit:
    """A tab of WebKit's MiniBrowser, over WebDriver."""

    def __init__(self, address: str) -> None:
        self._address = address

    def open(self, address: str) -> None:
        self.ask("POST", "/url", url=address)
        watch = """(() => {
            window.complaints = [];
            const note = (event) => complaints.push(String(event.message ?? event.reason));
            for (const kind of ["error", "unhandledrejection"]) addEventListener(kind, note);
            return true;
        })()"""  # earlier ones are lost; a page that can't start says so itself
        self.evaluate(watch)

    def evaluate(self, expression: str) -> object:
        return self.ask("POST", "/execute/sync", script=f"return {expression}", args=[])

    def type(self, text: str) -> None:
        self.ask("POST", "/actions", actions=[keys(text)])

    def names_a_button(self, name: str, selector: str) -> bool:
        found = self.ask("POST", "/element", using="css selector", value=selector)
        [element] = found.values()
        told = [self.ask("GET", f"/element/{element}/computed{what}") for what in ("label", "role")]
        return told == [name, "button"]

    def errors(self) -> list[str]:
        return self.evaluate("complaints")

    def ask(self, method: str, path: str, **body) -> object:
        data = json.dumps(body).encode() if method == "POST" else None
        request = urllib.request.Request(self._address + path, data, method=method)
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return json.load(answer)["value"]


@contextmanager
def webkit(folder: Path) -> Iterator[WebKit]:
    """WebKitGTK's MiniBrowser on a screen that nobody sees."""
    screen, driver = need("xvfb-run", "WebKitWebDriver")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    # root may not begin a sandbox of its own in a container; what is opened here is our own page
    sandbox = {"WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1"}
    with running([screen, "-a", driver, f"--port={port}"], **sandbox):
        wait_for(lambda: WebKit(address).ask("GET", "/status"), "WebKitWebDriver")
        session = WebKit(address).ask("POST", "/session", capabilities={})["sessionId"]
        browser = WebKit(f"{address}/session/{session}")
        try:
            yield browser
        finally:
            browser.ask("DELETE", "")
