from __future__ import annotations

import math

import numpy as np
import pytest

from probes.prices import FINENESS, Prices, gini, looks_lognormal, mean_of, normal_quantile, tail_index
from probes.stats import Interval


def lognormal(n: int, spread: float = 0.5, seed: int = 1) -> np.ndarray:
    return np.asarray(np.exp(np.random.default_rng(seed).normal(0.0, spread, n)))


def test_gini_index() -> None:
    """Equal values have 0, all in one hand 1 - 1/n, a lognormal erf(spread / 2)."""
    assert all(0.0 <= gini(np.full(n, value)) < 1e-12 for n in (9, 400) for value in (3.0, 0.1, 0.586))
    assert gini(np.array([0.0, 0.0, 0.0, 8.0])) == pytest.approx(0.75)
    assert gini(lognormal(200_000)) == pytest.approx(math.erf(0.25), rel=0.01)


def test_what_looks_lognormal() -> None:
    """Lognormal values look so, two humps, constants and values at zero do not."""
    assert sum(looks_lognormal(lognormal(200, seed=seed)) for seed in range(40)) >= 37
    humps = np.concatenate([np.full(100, 0.1), np.full(100, 5.0)]) * lognormal(200, 0.05)
    assert not looks_lognormal(humps)
    assert not looks_lognormal(np.full(50, 0.3))
    assert not looks_lognormal(np.append(lognormal(60), 0.0))


def test_smoothed_lognormal() -> None:
    """A lognormal shape is told by its own quantiles: the tail reaches beyond what was seen, mean and pairing stay."""
    times = lognormal(300, seed=3)
    costs, smooth = Prices(times * 0.5, times).smoothed()
    assert len(costs) == len(smooth) == 300 * FINENESS
    assert np.max(smooth) > np.max(times)
    assert np.mean(smooth) == pytest.approx(np.mean(times), rel=0.03)
    assert np.corrcoef(np.log(costs), np.log(smooth))[0, 1] > 0.98


def test_smoothed_otherwise() -> None:
    """Another shape is kept as it was seen; few values are, too."""
    humps = np.concatenate([np.full(40, 0.1), np.full(40, 5.0)])
    costs, times = Prices(np.full(80, 0.3), humps).smoothed()
    assert set(times) == {0.1, 5.0}
    assert set(costs) == {0.3}
    few = Prices(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    assert [list(column) for column in few.smoothed()] == [[1.0, 2.0], [3.0, 4.0]]
    assert few.n == 2


def test_resampled_spread() -> None:
    """The spread of resampled means is what n values of that spread carry: about spread / sqrt(n)."""
    prices = Prices(lognormal(400, seed=5), lognormal(400, seed=6))
    cost, time, ginis = prices.resampled()
    assert np.std(cost) == pytest.approx(0.5 / math.sqrt(400), rel=0.25)
    assert np.std(time) == pytest.approx(0.5 / math.sqrt(400), rel=0.25)
    assert np.mean(ginis) == pytest.approx(math.log(math.erf(0.25)), abs=0.1)
    humps = np.concatenate([np.full(40, 0.1), np.full(40, 5.0)])
    assert np.mean(Prices(humps, humps).resampled()[0]) == pytest.approx(math.log(2.55), abs=0.05)
    assert np.mean(Prices(humps, humps).resampled()[2]) == pytest.approx(math.log(gini(humps)), abs=0.05)


def test_kinds_are_drawn_from_each_by_itself() -> None:
    """Of 300 calls at 0.1 and 100 at 8 only what each kind leaves open is left open: a third of what drawing the shares as well makes."""
    costs = np.concatenate([0.1 * lognormal(300, 0.2), 8.0 * lognormal(100, 0.2, seed=2)])
    error = 0.2 / math.sqrt(100)
    drawn, known = (float(np.std(Prices(costs, costs, kinds).resampled()[0])) for kinds in ((), (300, 100)))
    assert known == pytest.approx(error, rel=0.15)
    assert drawn > 3.0 * known
    told, mean = mean_of(costs), mean_of(costs, (300, 100))
    assert told is not None
    assert mean is not None
    assert (mean.value, mean.n) == (told.value, told.n)
    assert math.log(mean.high / mean.value) == pytest.approx(1.966 * error, rel=0.15)
    assert math.log(told.high / told.value) > 3.0 * math.log(mean.high / mean.value)


def test_a_rare_dear_kind_is_no_heavy_tail() -> None:
    """One call in twenty that costs eighty times as much is a kind of its own, and no tail of the others."""
    values = np.concatenate([0.1 * lognormal(380, 0.3), 8.0 * lognormal(20, 0.3, seed=2)])
    assert Prices(values, values).heavy
    assert not Prices(values, values, (380, 20)).heavy


def test_normal_quantile() -> None:
    """The standard normal quantiles."""
    assert normal_quantile(np.array([0.5, 0.975])) == pytest.approx([0.0, 1.959964], abs=1e-6)


def test_heavy_tails() -> None:
    """A power's tail has its index, an exponential one about none; lognormal, bimodal and equal values are not heavy, nor are few."""
    rng = np.random.default_rng(8)
    assert tail_index(1.0 + rng.pareto(2.0, 40_000)) == pytest.approx(0.5, abs=0.04)
    assert tail_index(rng.exponential(1.0, 40_000)) == pytest.approx(0.0, abs=0.06)
    assert tail_index(np.full(400, 2.0)) == 0.0
    plain = lognormal(400)
    humps = np.concatenate([np.full(360, 0.1), np.full(40, 5.0)]) * np.exp(0.05 * rng.standard_normal(400))
    heavy = 1.0 + rng.pareto(1.5, 400)
    assert [Prices(each, plain).heavy for each in (plain, humps, heavy, heavy[:60])] == [False, False, True, False]
    assert Prices(plain, heavy).heavy


def test_mean_of() -> None:
    """A mean with Student's interval on the logarithm's scale; unknown below five values."""
    number = mean_of(np.array([1.0, 1.1, 0.9, 1.0, 1.0]))
    assert number is not None
    half = 2.776 * np.std([1.0, 1.1, 0.9, 1.0, 1.0], ddof=1) / math.sqrt(5)
    assert number.value == pytest.approx(1.0)
    assert number.n == 5
    assert number.high == pytest.approx(math.exp(half), rel=0.005)
    assert mean_of(np.ones(4)) is None
    assert mean_of(np.zeros(6)) == Interval(0.0, 0.0, 0.0, 6)
