"""Your guesses and your exercises, beside the truth.

`question` reads the records of what the course asks; `asking` keeps what you guessed and shows it
beside the right answer. `verdict` runs your functions and says what they got wrong, never just that
they are wrong, and `parts` uses those that are right. The other modules are the exercises, one
module per notebook; look into one after you have tried it.
"""

from course_lib.check.asking import guess, guesses, hint, skip
from course_lib.check.calibration import bets
from course_lib.check.guesses import band, beside

__all__ = ["band", "beside", "bets", "guess", "guesses", "hint", "skip", "use"]


def __getattr__(name: str) -> object:
    if name == "use":  # it alone needs torch, which takes seconds to load
        from course_lib.check.parts import use

        return use
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
