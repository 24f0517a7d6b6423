"""Known constants are found again; the recorded runs show what notebook 05 says of them."""

import csv
import json
import math

import numpy as np
import pytest

from benchmarks.table import DATA
from course_lib.scaling.overoptimisation import Overoptimisation, fit_overoptimisation


def test_known_constants_are_found_again():
    truth = Overoptimisation(0.8, 0.5, 0.3)
    d = np.linspace(0.0, 3.0, 40)

    fit = fit_overoptimisation(d, truth(d))

    assert (fit.alpha, fit.beta, fit.start) == pytest.approx((0.8, 0.5, 0.3))


def test_noise_is_averaged_out():
    truth = Overoptimisation(0.8, 0.5, 0.3)
    rng = np.random.default_rng(0)
    d = rng.uniform(0.05, 3.0, 600)

    fit = fit_overoptimisation(d, truth(d) + rng.normal(0, 0.1, 600))

    assert fit.alpha == pytest.approx(0.8, abs=0.06)
    assert fit.beta == pytest.approx(0.5, abs=0.06)


def test_the_top_is_where_the_notebook_says():
    form = Overoptimisation(0.7, 0.4)
    d = np.linspace(0.001, 10, 100_000)

    assert d[form(d).argmax()] == pytest.approx(math.exp(0.7 / 0.4 - 1), rel=1e-3)


def test_without_optimisation_nothing_has_changed():
    form = Overoptimisation(0.7, 0.4, 0.25)

    assert form(0) == 0.25
    assert form([0.0, 1.0]) == pytest.approx([0.25, 0.25 + 0.7])


@pytest.mark.parametrize("d", [[], [0.0, 1.0, 1.0, 1.0]])
def test_too_few_points_make_no_fit(d):
    with pytest.raises(ValueError, match="3 or more different d"):
        fit_overoptimisation(d, d)


# ---- What notebook 05 says of the recorded runs --------------------------------------------------

SEEDS = (0, 1, 2)


def recorded(bias: float, kl_price: float, seed: int) -> list[dict]:
    with (DATA / "overoptimisation.csv").open() as file:
        rows = [
            {name: float(value) for name, value in row.items() if name != "world"}
            for row in csv.DictReader(file)
        ]
    wanted = (bias, kl_price, seed)
    return [row for row in rows if (row["bias"], row["kl_price"], row["seed"]) == wanted]


def first_and_last(rows: list[dict], name: str, n: int = 5) -> tuple[float, float]:
    values = [row[name] for row in rows]
    return float(np.mean(values[:n])), float(np.mean(values[-n:]))


@pytest.mark.parametrize("seed", SEEDS)
def test_without_a_leash_the_learned_reward_rises_and_gold_falls(seed):
    rows = recorded(0.4, 0.0, seed)

    learned, gold = first_and_last(rows, "reward"), first_and_last(rows, "gold")
    assert learned[1] > learned[0] + 0.4 and gold[1] < gold[0] - 0.4
    fit = fit_overoptimisation(
        [max(row["kl"], 0) ** 0.5 for row in rows], [r["gold"] for r in rows]
    )
    assert fit.alpha < 0


@pytest.mark.parametrize("bias", [0.0, 0.4])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_leash_keeps_gold_higher(bias, seed):
    free, leashed = (first_and_last(recorded(bias, price, seed), "gold")[1] for price in (0.0, 0.4))

    assert leashed > free + 0.2


@pytest.mark.parametrize(
    ("cards", "method"),
    [("cards.jsonl", method) for method in ("ppo", "grpo", "dpo")]
    + [("cards_gpu.jsonl", method) for method in ("ppo", "grpo", "dpo", "iterative-dpo")],
)
@pytest.mark.parametrize("seed", SEEDS)
def test_with_a_leash_and_an_unbiased_crowd_each_method_raises_gold(cards, method, seed):
    rows = map(json.loads, (DATA / cards).read_text(encoding="utf-8").splitlines())
    gold = {row["model"]: row.get("gold_sampled") for row in rows if row["seed"] == seed}

    assert gold[method] > gold["sft"] + 0.1


@pytest.mark.parametrize("seed", SEEDS)
def test_an_unbiased_crowd_alone_does_not_keep_gold_from_falling(seed):
    before, after = first_and_last(recorded(0.0, 0.0, seed), "gold")

    assert after < before - 0.2
