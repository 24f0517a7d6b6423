"""How often, how large and how slowly somebody may ask. All of it in memory, nothing is kept.

A classroom often has one address for all its phones, so the limits for an address are wide: they
stop a program that floods the room, not thirty people who press at once.
"""

import time
from collections import Counter
from typing import ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol

PATIENCE = 10.0  # seconds for a whole request, from its first byte to its last
CONNECTIONS = 1000  # at once
CONNECTIONS_EACH = 400  # of one address


class Buckets:
    """A bucket for each key: it fills at `rate` a second up to `most`, and each try takes one out.

    >>> wrong_codes = Buckets(rate=0.5, most=30)
    >>> wrong_codes.take("192.168.1.7")
    True
    """

    def __init__(self, rate: float, most: float, keys: int = 10_000) -> None:
        self.rate, self.most, self.keys = rate, most, keys
        self._full: dict[str, tuple[float, float]] = {}  # key -> (how full, when)

    def left(self, key: str) -> float:
        """How many tries the key has left."""
        full, at = self._full.get(key, (self.most, 0.0))
        return min(self.most, full + self.rate * (time.monotonic() - at))

    def take(self, key: str) -> bool:
        """Takes one out; False if there is none."""
        left = self.left(key)
        # a key is moved to the end, so that the first is the one that has been quiet for longest
        self._full.pop(key, None)
        self._full[key] = (left - 1 if left >= 1 else left, time.monotonic())
        if len(self._full) > self.keys:
            del self._full[next(iter(self._full))]
        return left >= 1


class Impatient(H11Protocol):
    """A connection that hangs up on whoever takes too long to ask, or holds too many others.

    uvicorn itself waits for ever: a few hundred connections that send a letter now and then would
    shut out a class.
    """

    _of: ClassVar[Counter[str]] = Counter()  # connections by address

    def connection_made(self, transport) -> None:
        super().connection_made(transport)
        self._late, self._who = None, self.client[0] if self.client else ""
        Impatient._of[self._who] += 1
        if Impatient._of[self._who] > CONNECTIONS_EACH:
            transport.close()
        else:
            self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc) -> None:
        self._stop()
        Impatient._of[self._who] -= 1
        if not Impatient._of[self._who]:
            del Impatient._of[self._who]
        super().connection_lost(exc)

    def _watch(self) -> None:
        """The clock runs from the first byte of a request to the last one."""
        asking = str(self.conn.their_state) in ("IDLE", "SEND_BODY")
        if not asking:
            self._stop()
        elif self._late is None:
            self._late = self.loop.call_later(PATIENCE, self.transport.close)

    def _stop(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
