"""The form of Gao et al.: known constants are found again, from clean and from noisy rewards."""

import math

import numpy as np
import pytest

from course_lib.scaling.overoptimisation import Overoptimisation, fit_overoptimisation


def test_known_constants_are_found_again():
    truth = Overoptimisation(0.8, 0.5, 0.3)
    d = np.linspace(0.0, 3.0, 40)

    fit = fit_overoptimisation(d, truth(d))

    assert (fit.alpha, fit.beta, fit.start) == pytest.approx((0.8, 0.5, 0.3))
    fixed = fit_overoptimisation(d, truth(d), start=0.3)
    assert (fixed.alpha, fixed.beta, fixed.start) == pytest.approx((0.8, 0.5, 0.3))


def test_noise_is_averaged_out():
    truth = Overoptimisation(0.8, 0.5, 0.3)
    rng = np.random.default_rng(0)
    d = rng.uniform(0.05, 3.0, 600)

    fit = fit_overoptimisation(d, truth(d) + rng.normal(0, 0.1, 600))

    assert fit.alpha == pytest.approx(0.8, abs=0.06)
    assert fit.beta == pytest.approx(0.5, abs=0.06)
    assert fit.peak == pytest.approx(truth.peak, rel=0.05)


def test_the_peak_is_where_the_formula_is_highest():
    form = Overoptimisation(0.7, 0.4)
    d = np.linspace(0.001, 10, 100_000)

    assert d[form(d).argmax()] == pytest.approx(form.peak, rel=1e-3)
    assert form.peak == pytest.approx(math.exp(0.7 / 0.4 - 1))
    assert form(form.peak) == pytest.approx(0.4 * form.peak)
    assert Overoptimisation(0.7, -0.1).peak == math.inf


def test_without_optimisation_nothing_has_changed():
    form = Overoptimisation(0.7, 0.4, 0.25)

    assert form(0) == 0.25
    assert form([0.0, 1.0]) == pytest.approx([0.25, 0.25 + 0.7])
    with pytest.raises(ValueError, match="0 or more"):
        form(-0.1)


@pytest.mark.parametrize(
    ("d", "reward", "words"),
    [
        ([0.0, 1.0, 1.0, 1.0], [1, 2, 3, 4], "3 or more different d"),
        ([1.0, 2.0, 3.0], [1.0, 2.0], "each with a reward"),
        ([-1.0, 1.0, 2.0, 3.0], [1, 2, 3, 4], "0 or more"),
        ([1.0, 2.0, 3.0, 4.0], [1, 2, 3, math.nan], "finite"),
    ],
)
def test_what_cannot_be_fitted_is_refused(d, reward, words):
    with pytest.raises(ValueError, match=words):
        fit_overoptimisation(d, reward)
