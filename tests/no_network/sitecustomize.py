"""Refuses every connection that leaves this machine; Python runs it at the start of a process.

Only where this folder is on PYTHONPATH: `tests/conftest.py` puts it there, so that the tests and
all that they start (the command line, notebook kernels, JupyterLab) run as without a network.
An audit hook sees what C extensions do through Python's sockets too; it can't be taken out again.
"""

import socket
import sys

LOCAL = {None, "", "localhost", "0.0.0.0", "::", "::1", socket.gethostname()}


def is_local(host) -> bool:
    host = host.decode() if isinstance(host, bytes) else host
    return host in LOCAL or (isinstance(host, str) and host.startswith("127."))


def refuse_foreign_hosts(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        if not isinstance(address, tuple):  # a Unix socket's path, or an already refused connection
            return
        host = address[0]
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    else:
        return
    if not is_local(host):
        raise ConnectionRefusedError(f"the tests run without a network, but {host!r} was asked for")


sys.addaudithook(refuse_foreign_hosts)
