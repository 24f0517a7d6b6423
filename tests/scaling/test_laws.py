"""Scaling laws against known constants, sums worked by hand, and the published anomalies."""

import numpy as np
import pytest

from course_lib.scaling.laws import (
    CHINCHILLA_FLOPS,
    PUBLISHED_LAWS,
    R_STAR,
    Law,
    bootstrap,
    effective_tokens,
    fit,
    interval,
)

OURS = Law(E=0.4, A=60.0, B=3000.0, a=0.55, b=0.75)  # like a sweep of this course
NEW_CHINCHILLA = PUBLISHED_LAWS["replication of 2024"]


def grid(sizes, tokens, repeats: int = 1) -> tuple[np.ndarray, np.ndarray]:
    n, d = map(np.ravel, np.meshgrid(np.array(sizes, dtype=float), np.array(tokens, dtype=float)))
    return np.repeat(n, repeats), np.repeat(d, repeats)


def noisy(law: Law, n: np.ndarray, d: np.ndarray, noise: float) -> np.ndarray:
    return law.loss(n, d) * np.exp(noise * np.random.default_rng(0).normal(size=n.size))


def test_a_loss_worked_by_hand():
    assert Law(E=1, A=8, B=6, a=0.5, b=1).loss(16, 3) == 1 + 8 / 4 + 6 / 3


@pytest.mark.parametrize("law", [OURS, Law(0.4, 3, 1e4, 0.3, 0.9), Law(1.8, 400, 2000, 0.34, 0.36)])
def test_the_fit_recovers_known_constants(law):
    n, d = grid([5e4, 2e5, 8e5, 3e6], np.geomspace(2e5, 8e6, 5))

    found = fit(n, d, law.loss(n, d))

    for name in ("E", "A", "B", "a", "b"):
        assert getattr(found, name) == pytest.approx(getattr(law, name), rel=1e-3)


def test_the_fit_recovers_chinchillas_constants_at_chinchillas_sizes():
    n, d = grid(np.geomspace(7e7, 1.6e10, 6), np.geomspace(5e9, 5e11, 6))

    found = fit(n, d, NEW_CHINCHILLA.loss(n, d))

    assert found.E == pytest.approx(NEW_CHINCHILLA.E, rel=1e-3)
    assert found.b == pytest.approx(NEW_CHINCHILLA.b, rel=1e-3)


def test_noise_of_a_percent_moves_the_floor_by_little():
    n, d = grid([5e4, 2e5, 8e5, 3e6], np.geomspace(2e5, 8e6, 5), repeats=2)

    assert fit(n, d, noisy(OURS, n, d, 0.01)).E == pytest.approx(OURS.E, rel=0.05)


def test_one_broken_run_does_not_spoil_the_fit():
    n, d = grid([5e4, 2e5, 8e5, 3e6], np.geomspace(2e5, 8e6, 5), repeats=2)
    losses = noisy(OURS, n, d, 0.002)
    losses[7] *= 3  # a run that diverged: squares would follow it, the Huber loss does not

    assert fit(n, d, losses).E == pytest.approx(OURS.E, rel=0.02)


@pytest.mark.slow
def test_the_band_holds_the_truth_and_narrows_with_the_noise():
    n, d = grid([5e4, 2e5, 8e5, 3e6], np.geomspace(2e5, 8e6, 5), repeats=2)

    bands = [
        interval([law.E for law in bootstrap(n, d, noisy(OURS, n, d, noise), n_samples=60)])
        for noise in (0.01, 0.002)
    ]

    assert all(low <= OURS.E <= high for low, high in bands)
    assert bands[1][1] - bands[1][0] < 0.5 * (bands[0][1] - bands[0][0])


def test_the_bootstrap_is_a_function_of_its_seed():
    n, d = grid([5e4, 2e5, 8e5], np.geomspace(2e5, 8e6, 4))
    losses = noisy(OURS, n, d, 0.01)

    first, again, other = (bootstrap(n, d, losses, 2, seed=seed) for seed in (1, 1, 2))

    assert first == again != other


def test_the_optimum_spends_the_budget_and_no_neighbour_is_better():
    n, d = OURS.optimal(1e13)

    assert 6 * n * d == pytest.approx(1e13)
    assert all(OURS.loss(n, d) < OURS.loss(n * k, d / k) for k in (0.9, 1.1))


@pytest.mark.parametrize(
    ("name", "per_parameter"),
    [("as printed", 93), ("its TeX source", 59), ("replication", 18)],
)
def test_three_sets_of_constants_disagree_about_chinchillas_own_budget(name, per_parameter):
    (law,) = [law for label, law in PUBLISHED_LAWS.items() if name in label]

    n, d = law.optimal(CHINCHILLA_FLOPS)

    assert round(float(d / n)) == per_parameter


@pytest.mark.parametrize(("epochs", "share"), [(1, 1), (2, 0.98), (4, 0.93), (8, 0.83), (32, 0.45)])
def test_repeated_tokens_are_worth_what_the_paper_says(epochs, share):
    assert effective_tokens(1, epochs) / epochs == pytest.approx(share, abs=0.005)


def test_repetition_has_a_limit_and_less_than_once_is_worth_what_it_is():
    assert effective_tokens(100, 1e6) == pytest.approx(100 * (1 + R_STAR))
    assert effective_tokens(100, 0.25) == 25
    assert effective_tokens([1, 2], [2, 2], r_star=1e9) == pytest.approx([2, 4])


def test_too_few_points_make_no_law():
    with pytest.raises(ValueError, match="six points or more, got 2"):
        fit([1, 2], [1, 2], [1, 2])


@pytest.mark.parametrize("column", [0, 1])
def test_two_amounts_leave_the_law_open(column):
    """Every exponent fits two amounts of text equally well, each with another E."""
    points = [(n, d) for n in (1e4, 1e5, 1e6) for d in (1e4, 1e5, 1e6)]
    two = [point for point in points if point[column] < 1e6]
    n, d = zip(*two, strict=True)

    with pytest.raises(ValueError, match="got 2 of one of them"):
        fit(n, d, OURS.loss(np.array(n), np.array(d)))


def test_drawing_whole_trunks_gives_the_wider_band():
    """Each trunk has its own luck, and all of its points share it."""
    rng = np.random.default_rng(0)
    sizes, amounts, seeds = [4e4, 1e5, 2e5, 5e5], [3e4, 1e5, 4e5, 2e6], [0, 1, 2]
    n, d, seed = (v.ravel() for v in np.meshgrid(sizes, amounts, seeds))
    trunks = [f"{size} {luck}" for size, luck in zip(n, seed, strict=True)]
    luck = {trunk: 1 + 0.03 * rng.normal() for trunk in sorted(set(trunks))}
    found = Law(0.4, 2000.0, 4000.0, 0.85, 0.8).loss(n, d) * [luck[trunk] for trunk in trunks]

    by_point, by_trunk = (
        np.std([one.E for one in bootstrap(n, d, found, 40, trunks=names)])
        for names in (None, trunks)
    )

    assert by_trunk > 1.25 * by_point
