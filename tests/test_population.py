"""Candidates resampled around the best: they come near what is known, however narrow, and tell when they do."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from probes.search.population import Population, sampled

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Box:
    """Four normal logarithms with a deviation of 1.5; none above `top`."""

    top: float = np.inf

    def draws(self, n: int, source: np.random.Generator) -> Floats:
        """As the sampler asks."""
        return np.minimum(1.5 * source.standard_normal((4, n)), self.top)

    def density(self, points: Floats) -> Floats:
        """As the sampler asks."""
        return np.where((points <= self.top).all(axis=0), -0.5 * ((points / 1.5) ** 2).sum(axis=0), -np.inf)


@dataclass
class Ridge:
    """The first two add up to `total` within 0.0005, and differ by 1 within 0.05; the third is 1 within 0.01, the fourth anything."""

    total: float = 3.0
    asked: list[int] = field(default_factory=list)

    def __call__(self, points: Floats) -> Floats:
        """The log likelihood, and one more that was asked for."""
        self.asked.append(points.shape[1])
        first, second, third, _ = points
        off = ((first + second - self.total) / 0.0005) ** 2 + ((first - second - 1.0) / 0.05) ** 2 + ((third - 1.0) / 0.01) ** 2
        return np.asarray(-0.5 * off)


def found(ridge: Ridge, before: Population | None = None, seed: int = 1) -> Population:
    """1,000 candidates, as a design between two rounds."""
    return sampled(ridge, Box(), 1000, np.random.default_rng(seed), before)


@pytest.mark.parametrize("seed", range(4))
def test_a_narrow_ridge_is_found(seed: int) -> None:
    """Three thousand times narrower than what was thought before: 150 candidates count after six likelihoods, and are the ridge's."""
    ridge = Ridge()
    known = found(ridge, seed=seed)
    total = known.points[0] + known.points[1]
    mean = float(total @ known.weights)
    spread = float(np.sqrt((total - mean) ** 2 @ known.weights))
    assert (known.effective > 150.0, len(ridge.asked)) == (True, 6)
    assert [mean, spread] == [pytest.approx(3.0, abs=0.0002), pytest.approx(0.0005, rel=0.25)]


def test_what_was_known_a_moment_ago_spares_the_way() -> None:
    """From a ridge nearly as it is now one or two likelihoods do, from nothing more than five."""
    anew, again = Ridge(), Ridge(total=3.0003)
    found(again, found(anew))
    assert (len(anew.asked) > 5, len(again.asked) <= 2) == (True, True)


def test_what_is_not_possible_any_more_is_no_start() -> None:
    """All that was known lies where nothing can be now: the search begins anew, and finds."""
    before = Population(np.full((4, 1000), 9.0), np.full(1000, 1e-3), np.ones(1000, bool))
    known = sampled(Ridge(), Box(top=8.0), 1000, np.random.default_rng(1), before)
    assert known.effective > 150.0
    assert float(known.points[2] @ known.weights) == pytest.approx(1.0, abs=0.01)


def test_what_explains_as_well_counts_however_unlikely() -> None:
    """Marked are the candidates whose likelihood is at most 1 less than the best one's, whatever was thought before."""
    ridge = Ridge()
    known = found(ridge)
    fits = ridge(known.points)
    assert np.array_equal(known.explains, fits >= fits.max() - 1.0)
    assert 0 < known.explains.sum() < 1000
