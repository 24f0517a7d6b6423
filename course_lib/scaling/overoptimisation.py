"""What happens to the true reward when a learned one is pushed: a form with two constants.

Gao, Schulman and Hilton (2022, arXiv 2210.10760) measured the gold reward against d, the square
root of the KL between the optimised model and the one it started from, and found

    R(d) = d (alpha - beta ln d)

for RL. alpha says how fast the gold reward rises at first, beta how fast that wears off; the top is
at d = exp(alpha / beta - 1).
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Overoptimisation:
    """R(d) = start + d (alpha - beta ln d); `start` is the reward before any optimisation."""

    alpha: float
    beta: float
    start: float = 0.0

    def __call__(self, d):
        """The reward at d, a number or an array; at d = 0 it is `start`."""
        d = np.asarray(d, dtype=float)
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.where(d > 0, np.log(d), 0.0)
        return self.start + d * (self.alpha - self.beta * logs)


def fit_overoptimisation(d, reward) -> Overoptimisation:
    """The constants that fit best (least squares).

    The form is linear in its constants, so the best fit is found exactly, without a search.
    """
    d, reward = np.asarray(d, dtype=float), np.asarray(reward, dtype=float)
    if len(set(d[d > 0].tolist())) < 3:
        raise ValueError(f"a fit needs 3 or more different d above 0, got {d}")
    columns = [d, -d * np.log(np.where(d > 0, d, 1.0)), np.ones_like(d)]
    return Overoptimisation(*np.linalg.lstsq(np.stack(columns, 1), reward, rcond=None)[0].tolist())
