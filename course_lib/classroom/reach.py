"""Can phones reach this machine? What can be told from here, and then a phone is asked to try.

Whether a network keeps its devices apart can't be seen from one of them. So the last finding is the
only proof: a phone that opens the address while we listen.
"""

import http.server
import platform
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from importlib.util import find_spec

from course_lib.classroom.opening import (
    EVERYWHERE,
    INSTALL,
    NEEDED,
    folder_of_the_class,
    links,
    listening,
    running,
)
from course_lib.doctor import Finding
from course_lib.machine.network import addresses

WITHOUT = (
    "Other ways: the hotspot of a phone or of this laptop; one laptop per table, which opens a "
    "room of its own (merge the votes afterwards); or count hands, and type the counts in."
)
# The system's firewall: a command that only looks, what it says while the firewall is on, advice.
FIREWALLS = {
    "Darwin": (
        ["/usr/libexec/ApplicationFirewall/socketfilterfw", "--getglobalstate"],
        "enabled",
        'macOS asks once whether Python may accept connections: answer "Allow", or look in System '
        "Settings > Network > Firewall.",
    ),
    "Windows": (
        ["netsh", "advfirewall", "show", "currentprofile", "state"],
        "on",
        "Windows asks once whether Python may be reached: tick private AND public networks, or "
        "call this Wi-Fi private (Settings > Network). Company laptops may forbid it.",
    ),
}
LINUX = {
    "ufw": "sudo ufw allow {port}/tcp",
    "firewall-cmd": "sudo firewall-cmd --add-port={port}/tcp",
}
HERE = {"127.0.0.1"}  # who comes from there is no phone
PAGE = b"<!doctype html><meta name=viewport content='width=device-width'><title>Yes</title>"
PAGE += b"<h1>Yes, this phone reaches the room.</h1>"


def findings(port: int | None = None, link: str | None = None, seconds: int = 0) -> Iterator:
    """What there is to say, the most basic first; a phone has `seconds` to come."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        yield Finding("packages", "fail", f"{', '.join(missing)} missing", f"{INSTALL}.")
    else:
        yield Finding("packages", "ok", "all there")
    yield (network := _network(addresses()))
    room = running(folder_of_the_class())
    if room:
        yield Finding("port", "ok", f"a room is open already: {room.links[0]}")
        return
    try:
        open_socket = listening(EVERYWHERE, port)
    except OSError as error:
        yield Finding("port", "fail", str(error), "Close the other program, or choose another.")
        return
    with open_socket:
        place = open_socket.getsockname()[1]
        yield Finding("port", "ok", f"{place} is free")
        if network.status != "fail":
            for address in list(addresses())[:3]:
                yield _own_way(open_socket, address, place)
        yield _firewall(place)
        if link:
            words = f"others come through {link}: the hub must let them, and most ask for a login"
            yield Finding("hub", "warn", words, "Try the link on a phone before class.")
        if seconds and network.status != "fail":
            yield Finding("listening", "ok", f"open {links(place)[0]} on a phone now ({seconds} s)")
            yield _phone(open_socket, seconds, set(addresses()))
        else:
            words = "whether this network keeps devices apart can't be seen from here"
            yield Finding("phones", "warn", words, f"Try one: --check --wait 60. {WITHOUT}")


def _network(found: dict[str, str]) -> Finding:
    """Which addresses this machine has, and what is odd about the first of them."""
    if not found:
        return Finding("network", "fail", "no address: this machine is in no network", WITHOUT)
    first, told = next(iter(found)), ", ".join(f"{a} ({name})" for a, name in found.items())
    if first.startswith("169.254."):
        advice = f"The Wi-Fi gave no address: connect to it anew. {WITHOUT}"
        return Finding("network", "fail", told, advice)
    private = first.startswith(("10.", "192.168.")) or (
        first.startswith("172.") and 16 <= int(first.split(".")[1]) < 32
    )
    if not private:
        advice = "That isn't a home or school network's address: try it with a phone."
        return Finding("network", "warn", told, advice)
    return Finding("network", "ok", told)


def _own_way(open_socket: socket.socket, address: str, port: int) -> Finding:
    """Whether this machine reaches itself by an address, as a phone would have to."""
    name = f"way to {address}"
    try:
        with socket.create_connection((address, port), 3) as asking:
            open_socket.settimeout(3)
            answering, _ = open_socket.accept()
            with answering:
                answering.sendall(b"yes")
                asking.settimeout(3)
                heard = asking.recv(3)
    except OSError as error:
        advice = f"A firewall or a VPN is in the way: leave the VPN, allow Python. {WITHOUT}"
        return Finding(name, "fail", f"blocked ({error.strerror or error})", advice)
    if heard != b"yes":
        return Finding(name, "fail", "something else answers there", "Choose another port: --port.")
    return Finding(name, "ok", "this machine reaches itself by it")


def _firewall(port: int) -> Finding:
    """What this system's firewall may need."""
    system = platform.system()
    if system in FIREWALLS:
        command, is_on, advice = FIREWALLS[system]
        said = _said(command)
        words = said.lower().replace(":", " ").replace(".", " ").split()
        if said and is_on not in words:
            return Finding("firewall", "ok", "off")
        return Finding("firewall", "warn", "on" if said else "can't be asked", advice)
    for program, command in LINUX.items():
        if shutil.which(program):
            found = f"{program} is installed; whether it lets phones in only an administrator sees"
            return Finding("firewall", "warn", found, f"If it doesn't: {command.format(port=port)}")
    return Finding("firewall", "ok", "no ufw or firewalld on this machine")


def _said(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=10)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _phone(open_socket: socket.socket, seconds: float, own: set[str]) -> Finding:
    """Waits for somebody else to open the address; nothing of them is kept."""
    came = set()

    class Answer(http.server.BaseHTTPRequestHandler):
        timeout = 2

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(PAGE)))
            self.end_headers()
            self.wfile.write(PAGE)
            came.update({self.client_address[0]} - own - HERE)

        def log_message(self, *_) -> None:
            pass

    server = http.server.HTTPServer(("", 0), Answer, bind_and_activate=False)
    server.socket.close()
    server.socket, server.timeout = open_socket, 0.5
    open_socket.settimeout(0.5)
    end = time.monotonic() + seconds
    while time.monotonic() < end and not came:
        server.handle_request()
    if came:
        return Finding("phones", "ok", "a phone came through: this room will do")
    advice = (
        "Is the phone in the same Wi-Fi, and mobile data off? Then the network keeps its devices "
        f"apart, as guest networks do, or a firewall is in the way. {WITHOUT}"
    )
    return Finding("phones", "fail", "no phone came", advice)
