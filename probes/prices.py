"""What a call costs and how long the server works on it: the observed pairs, and a sample drawn from what they suggest.

The odds of a refusal hang on the tail, which a few hundred pairs carry badly. Where a marginal looks lognormal (as service times and
costs mostly do) its own quantiles are used in place of the observed ones, the pairing kept; where it does not, the observed values
stay.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from probes.spells import NONE, Spells
from probes.stats import Interval, student

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LEAST_PRICED = 5
"""Fewest answered calls from which a cost or a safe rate is told."""
LEAST_SMOOTHED = 30
"""Fewest pairs for which a shape is looked for."""
LEAST_TAIL, HEAVY = 8, 0.25
"""Fewest values of a tail, and above which index it counts as heavy."""
FINENESS = 12
"""Smoothed values drawn per observed pair."""
RESAMPLES = 400


@dataclass(frozen=True, slots=True)
class Prices:
    """(cost, server time) pairs of one call; units and seconds, equally long.

    Of a mix of calls `kinds` says how many pairs one after another are of each: how often each is made is known, and no part of what the
    pairs leave open. `earlier` are those of calls before the first of these, where these surely cost or take more; `seen` is these
    as they were seen, where they are told as if all had come last; `spells` is whether calls in a row are alike.
    """

    costs: Floats
    times_s: Floats
    kinds: tuple[int, ...] = ()
    earlier: Prices | None = None
    spells: Spells = NONE
    seen: Prices | None = None

    @property
    def n(self) -> int:
        """Number of pairs."""
        return len(self.costs)

    @property
    def whole(self) -> Prices:
        """All that was seen, without regard to what changed or came in rows."""
        seen = self.seen or self
        parts = [seen] if self.earlier is None else [self.earlier, seen]
        return Prices(np.concatenate([part.costs for part in parts]), np.concatenate([part.times_s for part in parts]))

    @property
    def degrees(self) -> int:
        """Degrees of freedom that they leave to a mean."""
        return _degrees(self.n, self.spells.fewer)

    def smoothed(self) -> tuple[Floats, Floats]:
        """(costs, times) to draw from."""
        if self.n < LEAST_SMOOTHED:
            return self.costs, self.times_s
        return _smooth(self.costs, seed=3), _smooth(self.times_s, seed=5)

    def mean_of(self, values: Floats) -> Interval | None:
        """Mean of the costs or times with its interval."""
        return mean_of(values, self.kinds, self.spells.fewer)

    @property
    def heavy(self) -> bool:
        """Whether costs or times have a tail that falls like a power: then far dearer or longer calls exist than those that were seen."""
        each = [part for values in (self.costs, self.times_s) for part in np.split(values, np.cumsum(self.kinds)[:-1])]
        return any(not looks_lognormal(part) and tail_index(part) > HEAVY for part in each)

    def resampled(self) -> tuple[Floats, Floats, Floats]:
        """(log mean cost, log mean time, log Gini index of the times) of `RESAMPLES` bootstrap samples, by shape where there is one.

        Each kind is drawn from by itself.
        """
        rng, ends = np.random.default_rng(7), np.cumsum(self.kinds or (self.n,))
        picks = np.hstack([rng.integers(end - n, end, size=(RESAMPLES, n)) for n, end in zip(self.kinds or (self.n,), ends, strict=True)])
        costs, times = self.costs[picks], self.times_s[picks]
        shaped = self.n >= LEAST_SMOOTHED and looks_lognormal(self.times_s)
        return (
            _log_means(costs, self.n >= LEAST_SMOOTHED and looks_lognormal(self.costs)),
            _log_means(times, shaped),
            _log_ginis(times, shaped),
        )


def mean_of(values: Floats, kinds: Sequence[int] = (), fewer: float = 1.0) -> Interval | None:
    """Mean with its interval by Student's t on the logarithm's scale where the spread is wide; None below `LEAST_PRICED`.

    `kinds`: how many values one after another are of each kind, where the shares of the kinds are known and not drawn. `fewer`: as of
    `Spells`.
    """
    n = len(values)
    if n < LEAST_PRICED:
        return None
    mean, half = float(np.mean(values)), student(_degrees(n, fewer)) * math.sqrt(fewer) * _error_of_mean(values, kinds or (n,))
    if mean <= 0.0:
        return Interval(mean, mean - half, mean + half, n)
    ratio = math.exp(half / mean)
    return Interval(mean, mean / ratio, mean * ratio, n)


def _degrees(n: int, fewer: float) -> int:
    """Degrees of freedom that n values leave to a mean."""
    return max(1, int(n / fewer) - 1)


def _error_of_mean(values: Floats, kinds: Sequence[int]) -> float:
    """Standard error of the mean of values that were drawn from each kind by itself."""
    parts = np.split(values, np.cumsum(kinds)[:-1])
    return math.sqrt(sum(len(part) * float(np.var(part, ddof=1)) for part in parts if len(part) > 1)) / len(values)


def looks_lognormal(values: Floats) -> bool:
    """Whether skewness and kurtosis of the logarithms are what a normal distribution of this size would show (both tests at about 1 %)."""
    if float(np.min(values)) <= 0.0:
        return False
    logs = np.log(values)
    spread = float(np.std(logs))
    if spread < 1e-3:
        return False
    scaled = (logs - float(np.mean(logs))) / spread
    n = len(values)
    skewness, excess = float(np.mean(scaled**3)), float(np.mean(scaled**4)) - 3.0
    return abs(skewness) < 2.6 * math.sqrt(6.0 / n) and -2.2 * math.sqrt(24.0 / n) < excess < 3.6 * math.sqrt(24.0 / n)


def tail_index(values: Floats) -> float:
    """Index of the upper tail by the moment estimator of Dekkers, Einmahl and de Haan over the greatest tenth.

    1/a where the tail falls like x^-a, about 0 where it falls like an exponential one; 0 as well where too few values tell it.
    """
    count = len(values) // 10
    ordered = np.sort(values)[::-1]
    if count < LEAST_TAIL or ordered[count] <= 0.0:
        return 0.0
    excess = np.log(ordered[:count] / ordered[count])
    first, second = float(np.mean(excess)), float(np.mean(excess**2))
    spread = second - first**2
    return 0.0 if spread <= 1e-9 * second else first + 1.0 - 0.5 * second / spread


def gini(values: Floats) -> float:
    """Gini index of `values`: 0 when all are equal."""
    return float(_ginis(values[None, :])[0])


def _smooth(values: Floats, seed: int) -> Floats:
    """Each value `FINENESS` times; for a lognormal shape, spread over the quantiles that belong to its rank."""
    if not looks_lognormal(values):
        return np.repeat(values, FINENESS)
    n = len(values)
    logs = np.log(values)
    ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    inside = np.random.default_rng(seed).permuted(np.tile((np.arange(FINENESS) + 0.5) / FINENESS, (n, 1)), axis=1)
    quantiles = ((ranks[:, None] + inside) / n).ravel()
    return np.asarray(np.exp(float(np.mean(logs)) + float(np.std(logs, ddof=1)) * normal_quantile(quantiles)))


def normal_quantile(shares: Floats) -> Floats:
    """Quantiles of the standard normal distribution."""
    from scipy.special import ndtri

    return np.asarray(ndtri(shares))


def _log_means(samples: Floats, shaped: bool) -> Floats:
    if not shaped:
        return np.asarray(np.log(np.maximum(samples.mean(axis=1), 1e-9)))
    logs = np.log(samples)
    return np.asarray(logs.mean(axis=1) + logs.var(axis=1) / 2.0)


def _log_ginis(samples: Floats, shaped: bool) -> Floats:
    """For a lognormal shape with spread s the Gini index is erf(s / 2)."""
    ginis = np.array([math.erf(s / 2.0) for s in np.log(samples).std(axis=1)]) if shaped else _ginis(samples)
    return np.asarray(np.log(np.maximum(ginis, 1e-9)))


def _ginis(samples: Floats) -> Floats:
    ordered = np.sort(samples, axis=1)
    n = ordered.shape[1]
    weights = 2.0 * np.arange(1, n + 1) - n - 1.0
    totals = np.maximum(ordered.sum(axis=1), 1e-300)
    return np.asarray(np.maximum((ordered @ weights) / (n * totals), 0.0))  # equal values come to 0 but for rounding, on either side
