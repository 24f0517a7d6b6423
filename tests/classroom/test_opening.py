"""A room is a process of its own, found again after a kernel restart; and can phones get to it?"""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from course_lib.classroom import close_room, opening, reach
from course_lib.classroom.opening import (
    folder_of_the_class,
    joining,
    links,
    listening,
    open_room,
    running,
    teachers,
)
from course_lib.machine import network
from course_lib.machine.disk import read_json, write_json
from tests.classroom.running import server

KERNEL = """
from course_lib.classroom import open_room
room = open_room(port={port}, link="http://127.0.0.1:{port}/")
print(room.pid, room.code, room.teacher or "-", room.links[0])
"""


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_ARTIFACTS", str(tmp_path))
    yield
    close_room()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def in_a_kernel(port: int) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", KERNEL.format(port=port)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def status_of(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse().status
    connection.close()
    return answer


def test_a_room_outlives_the_kernel_that_opened_it():
    port = free_port()
    pid, code, teacher, link = in_a_kernel(port)
    assert link == f"http://127.0.0.1:{port}/" and teacher.startswith(f"{link}teacher#")

    assert status_of(port, "/") == 200  # the kernel is gone, the room is there
    again = in_a_kernel(port)
    assert again == [pid, code, "-", link]  # found, and the secret is not told again
    found = running(folder_of_the_class())
    assert found.code == code and "shown when the room was made" in repr(found)
    assert "The room is closed" in close_room() and "No room is open" in close_room()
    assert running(folder_of_the_class()) is None


def test_a_closed_room_goes_on_with_its_code():
    first = open_room(port=free_port(), link="http://127.0.0.1/")
    close_room()
    second = open_room(port=free_port(), link="http://127.0.0.1/")
    assert second.code == first.code and first.teacher and not second.teacher
    third = open_room(port=free_port(), link="http://127.0.0.1/", new=True)
    assert third.teacher and third.pid != second.pid
    assert (folder_of_the_class() / "room-1.db").exists()


def test_a_process_with_the_same_number_is_no_room():
    room = open_room(port=free_port(), link="http://127.0.0.1/")
    path = folder_of_the_class() / "room.json"
    told = read_json(path)
    write_json(path, told | {"born": told["born"] - 100})  # as if the number was used again

    assert running(folder_of_the_class()) is None
    write_json(path, told)
    assert running(folder_of_the_class()).pid == room.pid
    for broken in ("", "[]", '{"pid": "x"}', '{"pid": 1}'):
        path.write_text(broken)
        assert running(folder_of_the_class()) is None
    write_json(path, told)


def test_a_second_room_in_the_folder_is_refused(tmp_path):
    with server(tmp_path / "class"), pytest.raises(ValueError, match="is open already"):
        opening.run_room(tmp_path / "class")


def test_a_port_that_is_taken_is_named(tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"port {port} can't be used"):
            listening("127.0.0.1", port)
        with pytest.raises(OSError, match=r"did not open: .*can't be used"):
            open_room(port=port)
        with pytest.raises(OSError, match="choose one from 1024 to 65535"):
            listening("127.0.0.1", 65536)
        monkeypatch.setattr(opening, "PORT", port)  # of ours, the next one that is free
        with listening("127.0.0.1", None) as found:
            assert port < found.getsockname()[1] < port + opening.PORTS


def test_a_missing_package_is_named_with_what_to_do(monkeypatch):
    monkeypatch.setattr(opening, "NEEDED", ("starlette", "no_such_package"))

    with pytest.raises(ValueError, match=r"needs no_such_package: pip install .*\[classroom\]"):
        open_room()


@pytest.mark.skipif(os.name == "nt", reason="Windows sends Ctrl-C to a console, not to a process")
def test_ctrl_c_closes_the_room(tmp_path):
    with server(tmp_path / "class") as room:
        os.kill(room.process.pid, signal.SIGINT)
        assert room.process.wait(timeout=20) in (0, 130)
        room.process.stdout.close()


def test_links_name_every_way_in(monkeypatch):
    monkeypatch.setattr(opening, "addresses", lambda: {"192.168.1.7": "wlan0", "10.0.0.2": "eth0"})

    assert links(8800) == ["http://192.168.1.7:8800/", "http://10.0.0.2:8800/"]
    assert links(8800, link="https://hub.org/x")[0] == "https://hub.org/x/"
    assert (
        joining("7K4QX", "http://192.168.1.7:8800/")
        == 'from course_lib.classroom import join; join("7K4QX", "http://192.168.1.7:8800/")'
    )
    assert teachers("http://192.168.1.7:8800/", "s") == "http://192.168.1.7:8800/teacher#s"
    monkeypatch.setattr(opening, "addresses", dict)
    assert links(8800) == ["http://127.0.0.1:8800/"]


# ---- Can phones reach it? ------------------------------------------------------------------------


def found(monkeypatch, addresses: dict, **options) -> dict:
    monkeypatch.setattr(reach, "addresses", lambda: addresses)
    return {each.name: each for each in reach.findings(free_port(), **options)}


def test_a_machine_without_a_network_hears_of_the_other_ways(monkeypatch):
    told = found(monkeypatch, {})

    assert told["network"].status == "fail"
    for way in ("hotspot", "one laptop per table", "count hands"):
        assert way in told["network"].advice


@pytest.mark.parametrize(
    ("address", "status"),
    [("192.168.1.7", "ok"), ("10.1.2.3", "ok"), ("172.20.0.5", "ok"), ("172.40.0.5", "warn"),
     ("169.254.3.4", "fail"), ("8.8.4.4", "warn")],
)  # fmt: skip
def test_an_address_says_what_network_it_is(monkeypatch, address, status):
    monkeypatch.setattr(reach, "_own_way", lambda *_: reach.Finding("way", "ok", ""))

    told = found(monkeypatch, {address: "wlan0"})
    assert told["network"].status == status and address in told["network"].found
    assert told["phones"].status == "warn" and "--check --wait" in told["phones"].advice


def test_the_way_through_ones_own_address_is_tried(monkeypatch):
    told = found(monkeypatch, {"127.0.0.1": "lo"})
    assert told["way to 127.0.0.1"].status == "ok"

    closed = found(monkeypatch, {"127.0.0.2": "lo"}) if sys.platform == "linux" else {}
    if closed:  # all of 127 is this machine's on Linux
        assert closed["way to 127.0.0.2"].status == "ok"
    with listening("127.0.0.1", 0) as other:  # which listens at one address only
        blocked = reach._own_way(other, "127.0.0.1", free_port())
    assert blocked.status == "fail" and "firewall or a VPN" in blocked.advice


def test_a_phone_that_comes_is_the_proof():
    def phone(port: int) -> None:
        time.sleep(0.3)
        assert status_of(port, "/") == 200

    with listening("127.0.0.1", 0) as open_socket:
        port = open_socket.getsockname()[1]
        coming = threading.Thread(target=phone, args=(port,))
        coming.start()
        told = reach._phone(open_socket, 10, own=set())
        coming.join()
        assert told.status == "fail"  # from this machine itself it proves nothing
    with listening("127.0.0.1", 0) as open_socket, pytest.MonkeyPatch.context() as patch:
        patch.setattr(reach, "HERE", set())
        coming = threading.Thread(target=phone, args=(open_socket.getsockname()[1],))
        coming.start()
        assert reach._phone(open_socket, 20, own=set()).status == "ok"
        coming.join()


def test_a_busy_port_and_a_missing_package_are_found(monkeypatch):
    monkeypatch.setattr(reach, "NEEDED", ("no_such_package",))
    with socket.create_server(("0.0.0.0", 0)) as taken:
        told = {each.name: each for each in reach.findings(taken.getsockname()[1])}

    assert told["packages"].status == told["port"].status == "fail"
    assert "no_such_package" in told["packages"].found and "can't be used" in told["port"].found


@pytest.mark.parametrize(
    ("system", "said", "status"),
    [("Darwin", "Firewall is enabled. (State = 1)", "warn"), ("Windows", "State    OFF", "ok"),
     ("Darwin", "Firewall is disabled.", "ok"), ("Windows", "State      ON", "warn"),
     ("Darwin", "", "warn")],
)  # fmt: skip
def test_each_systems_firewall_is_asked(monkeypatch, system, said, status):
    monkeypatch.setattr(reach.platform, "system", lambda: system)
    monkeypatch.setattr(reach, "_said", lambda command: said)

    told = reach._firewall(8800)
    assert told.status == status and bool(told.advice) == (status == "warn")


@pytest.mark.parametrize("program", ["ufw", "firewall-cmd"])
def test_on_linux_the_command_is_named(monkeypatch, program):
    monkeypatch.setattr(reach.platform, "system", lambda: "Linux")
    monkeypatch.setattr(reach.shutil, "which", lambda name: name == program)

    assert (
        f"sudo {program}" in reach._firewall(8800).advice and "8800" in reach._firewall(8800).advice
    )


def test_the_check_is_a_command(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "course_lib", "classroom", "--check", "--port", str(free_port())],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode in (0, 1) and "] packages: all there" in done.stdout
    assert "] phones: " in done.stdout and "Traceback" not in done.stderr
    assert not Path(tmp_path / "class").exists()  # it opens no room


def test_addresses_put_the_room_before_what_no_phone_is_on(monkeypatch):
    adapters = {"docker0": "172.17.0.1", "wlan0": "192.168.1.7", "lo": "127.0.0.1",
                "utun3": "10.9.0.2", "eth1": "169.254.9.9", "eth0": "10.0.0.5"}  # fmt: skip
    every = {
        name: [SimpleNamespace(family=socket.AF_INET, address=address)]
        for name, address in adapters.items()
    }
    monkeypatch.setattr(network.psutil, "net_if_addrs", lambda: every)
    monkeypatch.setattr(network.psutil, "net_if_stats", dict)
    monkeypatch.setattr(network, "_way_out", lambda: "10.0.0.5")

    order = list(network.addresses())
    assert order[:2] == ["10.0.0.5", "192.168.1.7"] and order[-1] == "169.254.9.9"
    assert set(order) == set(adapters.values()) - {"127.0.0.1"}
    assert network.born(os.getpid()) and network.born(2**30) is None
