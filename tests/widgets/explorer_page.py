"""The page of an explorer's widget in node, as it runs in a browser but for the drawing."""

import base64
import json
import subprocess
from pathlib import Path

from tests.node import NODE

DRIVER = Path(__file__).with_name("explorer.mjs")


class Page:
    """`act` does what a person would do, and gives what there is to see then."""

    def __init__(self, widget):
        self.widget, self.asked, self.view = widget, [], None
        widget.send = self._answer
        self._answers = []
        self.node = subprocess.Popen(
            [NODE, DRIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        names = ("info", "tokens", "known", "now")
        self._write(traits={name: packed(getattr(widget, name)) for name in names})
        self._until("done")

    def act(self, do: str, **of) -> dict:
        """One action."""
        return self.at_once(dict(do=do, **of))

    def at_once(self, *actions: dict) -> dict:
        """Several actions, faster than anybody answers."""
        self._write(act=list(actions))
        self._until("done")
        return self.view

    def set(self, **dials) -> dict:
        return self.act("set", **dials)

    def play(self, seed: int, sequences: int, **files) -> dict:
        """What came of so many random sequences of actions; of `files` a second engine is made."""
        self._write(play=dict(seed=seed, sequences=sequences, **files))
        return self._until("played")

    def close(self) -> None:
        self.node.stdin.close()
        self.node.wait(timeout=20)
        self.node.stdout.close()

    def _write(self, **what) -> None:
        self.node.stdin.write(json.dumps(what) + "\n")

    def _until(self, name: str):
        """Serve the page as the kernel does, until it says `name`."""
        for line in self.node.stdout:
            said = json.loads(line)
            if "send" in said:
                self.asked.append(said["send"]["ask"])
                self.widget._handle_custom_msg(said["send"], [])
            if "view" in said:
                self.view = said["view"]
                if "state" in self.view:
                    self.widget.now = self.view["state"]  # as explorer.js does
            if name in said:
                return said[name]
        raise AssertionError("node has ended")

    def _answer(self, content: dict, buffers=()) -> None:
        self._write(hear=content, data=[base64.b64encode(data).decode() for data in buffers])


def packed(value):
    """JSON for `value`; bytes travel as base64."""
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {name: packed(one) for name, one in value.items()}
    return [packed(one) for one in value] if isinstance(value, list | tuple) else value
