"""Scaling laws: the loss of a model of N parameters that has read D tokens; fits, repeated data.

The form is L = E + A / N^a + B / D^b (Hoffmann et al. 2022, arXiv 2203.15556, approach 3): what no
model can beat, plus what the model is too small for, plus what it has read too little for. Left
out: Kaplan's older form, learning rates and batch sizes, losses of tasks. N, D and losses may be
arrays.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import least_squares, nnls

# Of tokens: Muennighoff et al. 2023, arXiv 2305.16264, gh huggingface/datablations.
R_STAR = 15.387756
DELTA = 1e-2  # of the Huber loss; Hoffmann et al. chose 1e-3 for runs that scatter less
EXPONENTS = (0.2, 0.4, 0.8, 1.3)  # where the fit starts, for a and for b


@dataclass(frozen=True)
class Law:
    """L = E + A / N^a + B / D^b, in any unit of loss."""

    E: float
    A: float
    B: float
    a: float
    b: float

    def loss(self, parameters: ArrayLike, tokens: ArrayLike):
        """The loss that the law expects."""
        n, d = np.asarray(parameters, dtype=float), np.asarray(tokens, dtype=float)
        return self.E + self.A * n**-self.a + self.B * d**-self.b

    def optimal(self, flops: ArrayLike):
        """(N, D) with the lowest loss at `flops` = 6 N D operations."""
        flops = np.asarray(flops, dtype=float)
        ratio = (self.a * self.A / (self.b * self.B)) ** (1 / (self.a + self.b))
        n = ratio * (flops / 6) ** (self.b / (self.a + self.b))
        return n, flops / 6 / n


# Chinchilla as its page prints it, as its TeX source holds it, and as Besiroglu, Erdil, Barnett and
# You fitted it anew to the points of its figure (2024, arXiv 2404.10102).
PUBLISHED_LAWS = {
    "Chinchilla, as printed": Law(1.69, 406.4, 410.7, 0.34, 0.28),
    "Chinchilla, its TeX source": Law(1.6934, 406.40, 410.72, 0.33917, 0.28491),
    "replication of 2024": Law(1.8169, 482.01, 2085.43, 0.3478, 0.3658),
}
CHINCHILLA_FLOPS = 5.76e23  # its own budget: 70 billion parameters, 1.4 trillion tokens


def fit(
    parameters: ArrayLike, tokens: ArrayLike, losses: ArrayLike, near: Law | None = None
) -> Law:
    """The law closest to measured losses: least Huber loss of ln L, from a grid of starts.

    The cost is Hoffmann et al.'s, the method is not: they used L-BFGS, which stopped too soon on
    their badly scaled cost (Besiroglu et al. 2024). These are Gauss-Newton steps, which don't
    depend on the scale. `near`, a law of similar data, replaces the grid as the only start, which
    makes the many fits of `bootstrap` affordable.
    """
    n, d, found = (np.asarray(v, dtype=float) for v in (parameters, tokens, losses))
    if n.size < 6:
        raise ValueError(f"five constants need six points or more, got {n.size}: add runs")
    fewest = min(np.unique(n).size, np.unique(d).size)
    if near is None and fewest < 3:  # E, and the height and slope of a term, are three unknowns
        raise ValueError(
            "a law needs three sizes of models or more, and three amounts of text, got "
            f"{fewest} of one of them: through two points, curves go anywhere"
        )
    # Sizes are measured from the middle of the data. There a steeper slope leaves the height of a
    # term as it is, so the fit can find the two nearly independently.
    middle_n, middle_d = np.exp(np.log(n).mean()), np.exp(np.log(d).mean())
    x, y, target = np.log(n / middle_n), np.log(d / middle_d), np.log(found)

    def parts(theta: np.ndarray) -> np.ndarray:
        ln_e, ln_a, ln_b, a, b = theta
        return np.stack([np.full_like(x, ln_e), ln_a - a * x, ln_b - b * y])  # (3, points)

    def off(theta: np.ndarray) -> np.ndarray:
        # ln of the sum of the three parts, without leaving the logarithm: it can't overflow
        return np.logaddexp.reduce(parts(theta)) - target

    def slope(theta: np.ndarray) -> np.ndarray:
        share = np.exp(parts(theta) - np.logaddexp.reduce(parts(theta)))  # each term's of the loss
        return np.stack([*share, -share[1] * x, -share[2] * y], axis=1)  # (points, 5)

    if near is None:
        starts = [_start(x, y, found, a, b) for a, b in product(EXPONENTS, EXPONENTS)]
    else:
        scaled = near.E, near.A * middle_n**-near.a, near.B * middle_d**-near.b
        starts = [[*np.log(np.maximum(scaled, 1e-9)), near.a, near.b]]
    bounds = [-30.0] * 3 + [0.02] * 2, [30.0] * 3 + [3.0] * 2
    options = dict(jac=slope, bounds=bounds, loss="huber", f_scale=DELTA, x_scale="jac")
    results = [least_squares(off, start, max_nfev=200, **options) for start in starts]
    ln_e, ln_a, ln_b, a, b = min(results, key=lambda result: result.cost).x
    E, A, B = np.exp([ln_e, ln_a + a * np.log(middle_n), ln_b + b * np.log(middle_d)]).tolist()
    return Law(E, A, B, float(a), float(b))


def bootstrap(
    parameters: ArrayLike,
    tokens: ArrayLike,
    losses: ArrayLike,
    n_samples: int = 200,
    seed: int = 0,
    trunks: ArrayLike | None = None,
) -> list[Law]:
    """Laws fitted to as many points again, drawn with replacement; their scatter is the band.

    Points of one training run are not independent. `trunks` names the run of each point: then whole
    runs are drawn, and the band is as wide as what was really tried independently allows.
    """
    n, d, found = (np.asarray(v, dtype=float) for v in (parameters, tokens, losses))
    best, rng = fit(n, d, found), np.random.default_rng(seed)
    runs = np.arange(len(n)) if trunks is None else np.unique(trunks, return_inverse=True)[1]
    n_runs = runs.max() + 1
    draws = rng.integers(n_runs, size=(n_samples, n_runs))
    points = [np.concatenate([np.flatnonzero(runs == run) for run in draw]) for draw in draws]
    return [fit(n[i], d[i], found[i], near=best) for i in points]


def interval(values: ArrayLike, share: float = 0.9) -> tuple[float, float]:
    """(low, high): the middle `share` of the values lies between these two."""
    low, high = np.quantile(np.asarray(values, dtype=float), [(1 - share) / 2, (1 + share) / 2])
    return float(low), float(high)


def effective_tokens(unique: ArrayLike, epochs: ArrayLike, r_star: float = R_STAR):
    """How many fresh tokens `unique` ones are worth when they are read `epochs` times.

    Each reading is worth exp(-1 / r_star) of the one before (Muennighoff et al. 2023, eq. 5, with
    R = epochs - 1 repetitions): D' = U + U r_star (1 - exp(-R / r_star)).
    """
    unique, epochs = np.asarray(unique, dtype=float), np.asarray(epochs, dtype=float)
    repeated = unique + unique * r_star * -np.expm1(-(epochs - 1) / r_star)
    worth = np.where(epochs < 1, unique * epochs, repeated)  # less than once: nothing is repeated
    return worth if worth.ndim else float(worth)


def _start(x, y, losses, a: float, b: float) -> list[float]:
    """A start for the fit: once the exponents are chosen, the rest is linear and solved exactly."""
    columns = np.stack([np.ones_like(x), np.exp(-a * x), np.exp(-b * y)], axis=1)
    amounts, _ = nnls(columns / losses[:, None], np.ones_like(x))
    return [*np.log(np.maximum(amounts, 1e-6)), a, b]
