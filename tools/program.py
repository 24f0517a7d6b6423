"""How a program of this folder ends: with 0, or with a sentence and 1."""

import sys
from collections.abc import Callable


def status_of(work: Callable[[], None]) -> int:
    """The exit status of `work`. Wrong input, or a disk that refuses, is told in one sentence."""
    try:
        work()
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
