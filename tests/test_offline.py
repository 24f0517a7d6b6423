"""Once installed, the course needs no network: it is blocked here, and the package still runs."""

import socket
import subprocess
import sys

import pytest


def run(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=120, encoding="utf-8"
    )


@pytest.mark.parametrize("address", [("192.0.2.1", 80), ("example.org", 80), ("2001:db8::1", 80)])
def test_a_foreign_address_is_refused(address):
    with pytest.raises(ConnectionRefusedError, match="without a network"):
        socket.create_connection(address, timeout=5)


def test_a_local_address_is_reached():
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname(), timeout=5) as client,
    ):
        assert client.getpeername() == server.getsockname()


def test_processes_that_a_test_starts_are_blocked_too():
    result = run("-c", "import socket; socket.create_connection(('192.0.2.1', 80), timeout=5)")

    assert result.returncode == 1
    assert "without a network" in result.stderr


def test_the_package_is_imported_without_a_network():
    result = run("-c", "import course_lib; print(course_lib.__name__)")

    assert (result.returncode, result.stdout, result.stderr) == (0, "course_lib\n", "")


def test_help_is_shown_without_a_network():
    result = run("-m", "course_lib", "--help")

    assert result.returncode == 0, result.stderr
    assert "doctor" in result.stdout
    assert "chat" in result.stdout


def test_doctor_reports_without_a_network():
    result = run("-m", "course_lib", "doctor")

    assert "Traceback" not in result.stderr
    for word in ("Python", "torch", "JupyterLab"):
        assert word in result.stdout
