"""What a learner guesses and writes, beside what is so.

`guesses` keeps guesses, `verdict` judges what a function does; the other modules hold the exercises
of the notebook that they are named like.
"""

from course_lib.check.guesses import band, beside, guess, guesses

__all__ = ["band", "beside", "guess", "guesses"]
