from __future__ import annotations

import random

import pytest

from probes import stats


@pytest.mark.parametrize(("q", "n"), [(0.5, 6), (0.9, 36), (0.95, 72), (0.99, 368), (0.999, 3688)])
def test_least_n(q: float, n: int) -> None:
    """A quantile's interval needs as many values as the table of the physics says, and one fewer carries none."""
    values = [float(i) for i in range(n)]
    assert stats.least_n(q) == n
    assert stats.quantile(values, q) is not None
    assert stats.quantile(values[1:], q) is None


def test_quantile_of_known_values() -> None:
    """The median of 1..99 is 50; its order-statistic interval is the 40th to the 60th value."""
    assert stats.quantile([float(i) for i in range(99, 0, -1)], 0.5) == stats.Interval(50.0, 40.0, 60.0, 99)


@pytest.mark.parametrize(("n", "q"), [(20, 0.5), (40, 0.9), (80, 0.95)])
def test_quantile_intervals_cover(n: int, q: float) -> None:
    """The interval holds the true quantile in at least 95 of 100 samples, and is not far wider than that needs."""
    source = random.Random(1)
    found = [stats.quantile([source.random() for _ in range(n)], q) for _ in range(600)]
    covered = sum(one is not None and one.low <= q <= one.high for one in found) / 600
    assert 0.94 <= covered <= 0.99


def test_quantile_of_many_values() -> None:
    """Above 20,000 values the ranks come from the normal approximation, to within a rank or two."""
    found = stats.quantile([float(i) for i in range(40_001)], 0.5)
    assert found is not None
    assert found.value == 20_000.0
    assert abs(found.low - (20_000 - 196)) <= 2
    assert abs(found.high - (20_000 + 196)) <= 2


def test_point_and_median() -> None:
    """Quantiles without a claim are linear between neighbours."""
    assert stats.point([1.0, 2.0, 3.0, 4.0], 0.5) == 2.5
    assert stats.point([5.0], 0.9) == 5.0
    assert stats.median([3.0, 1.0, 2.0]) == 2.0


def test_interval_document() -> None:
    """An interval is told as the contract says, six digits."""
    assert stats.Interval(1.23456789, 1.0, 2.0, 7).document() == {"value": 1.23457, "low": 1.0, "high": 2.0, "n": 7}


def test_share() -> None:
    """Wilson's interval of 0 of 20 begins at 0 and ends at 16 %, that of 20 of 20 ends at 1."""
    none, all_of_them = stats.share(0, 20), stats.share(20, 20)
    assert (none.value, none.low, round(none.high, 3)) == (0.0, 0.0, 0.161)
    assert (all_of_them.value, round(all_of_them.low, 3), all_of_them.high) == (1.0, 0.839, 1.0)


def test_clean_trials_of_a_sequential_test() -> None:
    """0.1 % against 1 % failures at errors of 5 % takes 326 clean trials; a share that is nearer takes more."""
    assert stats.clean_trials(0.001, 0.01, 0.05) == 326
    assert stats.clean_trials(0.001, 0.002, 0.05) == 2941


def test_pseudo_median() -> None:
    """Hodges-Lehmann's centre of -3..4 is 0.5; seven values carry none; the interval covers as it says."""
    found = stats.pseudo_median([float(i) for i in range(-3, 5)])
    assert found is not None
    assert (found.value, found.low, found.high, found.n) == (0.5, -1.5, 2.5, 8)
    assert stats.pseudo_median([1.0] * 7) is None
    source = random.Random(2)
    intervals = [stats.pseudo_median([source.gauss(0.0, 1.0) for _ in range(40)]) for _ in range(400)]
    assert 0.92 <= sum(one is not None and one.low <= 0.0 <= one.high for one in intervals) / 400 <= 0.98


def test_bootstrap() -> None:
    """The bootstrap's interval of a mean of 0 and 1 alike is about 0.5 +- 0.1 for 100 blocks; the same seed gives the same."""
    import numpy as np

    values = np.array([0.0, 1.0] * 50)
    low, high = stats.bootstrap(100, lambda drawn: float(values[drawn].mean()), seed=3)
    assert 0.38 <= low <= 0.42
    assert 0.58 <= high <= 0.62
    assert (low, high) == stats.bootstrap(100, lambda drawn: float(values[drawn].mean()), seed=3)


@pytest.mark.untraced
def test_ranks_of_ties() -> None:
    """Values that are alike share the mean of their ranks: the correlation is scipy's, and its p that of the normal approximation."""
    from scipy.stats import norm, spearmanr

    x, y = [1, 1, 1, 1, 2, 2, 3, 4], [3, 1, 2, 2, 2, 5, 4, 9]
    correlation, p = stats.rank_slope(x, y)
    assert correlation == pytest.approx(spearmanr(x, y).statistic)
    assert p == pytest.approx(norm.sf(correlation * 7**0.5))


def test_student() -> None:
    """Quantiles of Student's t within 0.5 % from four degrees on."""
    for degrees, quantile in ((4, 2.7764), (9, 2.2622), (30, 2.0423), (1000, 1.9623)):
        assert stats.student(degrees) == pytest.approx(quantile, rel=0.005)


def test_rank_slope() -> None:
    """A rising relation has a small p, a falling one a large, and too little says nothing."""
    correlation, p = stats.rank_slope([1, 1, 2, 2, 3, 3, 4, 4], [0.1, 0.1, 0.2, 0.2, 0.3, 0.3, 0.5, 0.5])
    assert round(correlation, 6) == 1.0
    assert p < 0.01
    assert stats.rank_slope([1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1])[1] > 0.95
    assert stats.rank_slope([1, 2, 3], [1, 2, 3]) == (0.0, 1.0)
    assert stats.rank_slope([1, 2, 3, 4, 5, 6], [1.0] * 6) == (0.0, 1.0)
