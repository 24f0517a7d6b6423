"""Your guesses and your exercises, beside the truth.

`guesses` keeps what you guessed and shows it beside what came out. `verdict` runs your functions
and says what they got wrong, never just that they are wrong. The other modules are the exercises,
one module per notebook; look into one after you have tried it.
"""

from course_lib.check.guesses import band, beside, guess, guesses

__all__ = ["band", "beside", "guess", "guesses"]
