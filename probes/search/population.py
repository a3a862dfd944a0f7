"""Draws from what can be known: candidates whose likelihood is replayed, resampled around the best until enough of them count."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

GENERATIONS, MOST_GENERATIONS = 6, 20
"""Fewest from the prior on, and most where too few of the last count."""
ENOUGH_EFFECTIVE = 150
FEWEST_EFFECTIVE = 40.0
"""Likelihoods are flattened until so many candidates count, and no further: a generation drawn around many more hardly comes nearer."""
AS_WELL = 1.0
"""Log likelihoods that are less by no more than this explain as well."""
HALVINGS = 14
CENTRES = 300
"""Of the candidates, how many make up the density that the next generation is drawn from."""


class Prior(Protocol):
    """What is thought before any answer, about points of shape (dimensions, n)."""

    def draws(self, n: int, source: np.random.Generator) -> Floats:
        """`n` points."""

    def density(self, points: Floats) -> Floats:
        """Logarithm of the density, but for a constant."""


@dataclass(frozen=True, slots=True)
class Population:
    """Points of shape (dimensions, n) and their weights, which add up to 1."""

    points: Floats
    weights: Floats
    explains: NDArray[np.bool_]
    """Which of them explain what was seen about as well as any, however unlikely they are."""

    @property
    def effective(self) -> float:
        """So many equally likely points would tell as much."""
        return 1.0 / float(np.sum(self.weights**2))

    def offspring(self, source: np.random.Generator) -> tuple[Floats, Floats]:
        """(new points, log density they were drawn from): a normal kernel around resampled points, its width by Silverman's rule."""
        points, weights, (dimensions, n) = self.points, self.weights, self.points.shape
        centred = points - (points @ weights)[:, None]
        width = (2.0 / 3.0 / self.effective) ** (1.0 / 8.0)
        root = np.linalg.cholesky(1.5 * width**2 * ((centred * weights) @ centred.T) + 1e-9 * np.eye(dimensions))
        new = points[:, source.choice(n, n, p=weights)] + root @ source.standard_normal((dimensions, n))
        inverse = np.linalg.inv(root)
        here, centres = inverse @ new, inverse @ points[:, source.choice(n, CENTRES, p=weights)]
        squares = (here**2).sum(axis=0)[:, None] + (centres**2).sum(axis=0) - 2.0 * here.T @ centres
        return new, np.log(np.exp(-0.5 * squares).mean(axis=1) + 1e-6) - math.log(np.linalg.det(root))


def sampled(
    likelihood: Callable[[Floats], Floats], prior: Prior, n: int, source: np.random.Generator, before: Population | None = None
) -> Population:
    """`n` points by their log likelihood; `before` is what was known a few answers ago, and near what is known now."""
    points = prior.draws(n, source)
    proposed = prior.density(points)
    if before is not None:
        points, proposed = before.offspring(source)
    fewest = GENERATIONS if before is None else 1
    for generation in range(1, MOST_GENERATIONS + 1):
        fits, density = likelihood(points), prior.density(points)
        logs = fits + density - proposed
        if before is not None and not np.isfinite(logs).any():
            return sampled(likelihood, prior, n, source)
        fits = np.where(np.isfinite(density), fits, -np.inf)
        found = Population(points, _weights(logs, 0.0), fits >= fits.max() - AS_WELL)
        if generation == MOST_GENERATIONS or (generation >= fewest and found.effective >= ENOUGH_EFFECTIVE):
            break
        points, proposed = Population(points, _weights(logs, FEWEST_EFFECTIVE), found.explains).offspring(source)
    return found


def _weights(logs: Floats, least: float) -> Floats:
    """Normalised weights, flattened as far as needed, and no further, for so many to count."""
    off = logs - logs.max()
    low, temper, high = 0.0, 1.0, 1.0
    for _ in range(HALVINGS):
        weights = np.exp(temper * off)
        weights /= weights.sum()
        enough = 1.0 / float(np.sum(weights**2)) >= least
        if enough and temper == 1.0:
            break
        low, high = (temper, high) if enough else (low, temper)
        temper = (low + high) / 2.0
    return np.asarray(weights)
