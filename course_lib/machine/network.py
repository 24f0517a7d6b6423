"""This machine's addresses, and processes that were started here. Nothing is sent to find them."""

from __future__ import annotations

import socket

import psutil

# Adapters that no phone is on: of containers, virtual machines and tunnels.
NOT_A_ROOM = (
    "br-", "docker", "tailscale", "tun", "utun", "vbox", "veth", "vethernet", "virbr", "virtual",
    "vmnet", "vmware", "wg", "zt",
)  # fmt: skip


def addresses() -> dict[str, str]:
    """IPv4 address -> its adapter, the likeliest to be the room's first; without 127.0.0.1.

    An address that begins with 169.254 is one that the machine gave itself, since nobody else did.
    """
    states = psutil.net_if_stats()
    found = {
        each.address: name
        for name, all_of_it in psutil.net_if_addrs().items()
        for each in all_of_it
        if each.family == socket.AF_INET
        and not each.address.startswith("127.")
        and (name not in states or states[name].isup)
    }
    way_out = _way_out()

    def unlikely(address: str) -> tuple:
        virtual = found[address].lower().startswith(NOT_A_ROOM)
        return address.startswith("169.254."), virtual, address != way_out

    return {address: found[address] for address in sorted(found, key=unlikely)}


def _way_out() -> str | None:
    """The address from which this machine would speak to the internet."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(("192.0.2.1", 9))  # a test network: for UDP this sends nothing
            return asking.getsockname()[0]
        except OSError:
            return None


def born(pid: int) -> float | None:
    """When the process with this number started; None where there is none.

    Numbers are used again, so whoever wants to know a process later must ask for both.
    """
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return None
