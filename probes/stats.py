"""Statistics a report can be trusted on: quantiles with intervals by order statistics, bootstrap over blocks, rank tests, sequential tests.

Times in seconds everywhere; "interval" means 95 % two-sided unless an argument says otherwise. Nothing here knows where numbers come from.
Sources: order-statistic intervals, David & Nagaraja, Order Statistics, 7.1; Hodges-Lehmann and its interval from Walsh averages,
Hollander & Wolfe, Nonparametric Statistical Methods, 3.2-3.3; SPRT, Wald 1945.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CONFIDENCE = 0.95
ROUNDS = 600
"""How often values are drawn anew for an interval."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimated number: its value, the ends of its interval, and how many observations carry it."""

    value: float
    low: float
    high: float
    n: int

    @classmethod
    def exactly(cls, value: float, n: int) -> Interval:
        """A number that leaves nothing open: a configured one, or a count."""
        return cls(value, value, value, n)

    def document(self) -> dict[str, float | int]:
        """As JSON carries it (contract): `{"value", "low", "high", "n"}`, six significant digits."""
        return {"value": short(self.value), "low": short(self.low), "high": short(self.high), "n": self.n}


def short(value: float) -> float:
    """Six significant digits, as JSON carries a number that was measured."""
    return float(f"{value:.6g}")


def least_n(q: float) -> int:
    """How many values a two-sided interval of the quantile `q` needs: the least n with 1 - q^n - (1-q)^n >= 95 %.

    p50 6, p90 29 and p95 59 by this bare rule; with equal tails (used here, as below `quantile`) p90 36, p95 72, p99 368, p99.9 3,688.
    """
    tail = (1.0 - CONFIDENCE) / 2.0
    return max(1, math.ceil(math.log(tail) / math.log(max(q, 1.0 - q))))


def quantile(values: Sequence[float], q: float) -> Interval | None:
    """The quantile `q` with its interval by order statistics (equal tails, any continuous distribution); None when n cannot carry it."""
    n = len(values)
    if n < least_n(q):
        return None
    ordered = sorted(values)
    low, high = _ranks(n, q, (1.0 - CONFIDENCE) / 2.0)
    return Interval(_interpolated(ordered, q), ordered[low], ordered[high], n)


def median(values: Sequence[float]) -> float:
    """The median of at least one value."""
    return _interpolated(sorted(values), 0.5)


def point(values: Sequence[float], q: float) -> float:
    """The quantile `q` of at least one value, linear between neighbours; without an interval, for what makes no claim."""
    return _interpolated(sorted(values), q)


def _interpolated(ordered: Sequence[float], q: float) -> float:
    at = q * (len(ordered) - 1)
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def _ranks(n: int, q: float, tail: float) -> tuple[int, int]:
    """Indices of the order statistics that bound the quantile: P(Binomial(n, q) <= low) <= tail, P(> high) <= tail."""
    if n > 20_000:
        half = NormalDist().inv_cdf(1.0 - tail) * math.sqrt(n * q * (1.0 - q))
        return max(0, math.floor(n * q - half)), min(n - 1, math.ceil(n * q + half))
    below = _binomial_below(n, q)
    low = max(0, bisect.bisect_right(below, tail) - 1)
    return low, min(n - 1, bisect.bisect_left(below, 1.0 - tail))


def _binomial_below(n: int, q: float) -> list[float]:
    """P(Binomial(n, q) <= k) for k = 0..n."""
    total, result = 0.0, []
    for k in range(n + 1):
        log = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * math.log(q) + (n - k) * math.log1p(-q)
        total += math.exp(log)
        result.append(total)
    return result


def share(count: int, n: int) -> Interval:
    """A share count/n with Wilson's interval."""
    z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2.0)
    p, scale = count / n, 1.0 + z * z / n
    middle = (p + z * z / (2 * n)) / scale
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / scale
    return Interval(p, max(0.0, middle - half) if count else 0.0, min(1.0, middle + half) if count < n else 1.0, n)


def bootstrap(
    blocks: int, statistic: Callable[[NDArray[np.intp]], float], *, seed: int = 0, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """The percentile interval of `statistic` over resampled blocks: it is given the indices of the blocks drawn (with repeats)."""
    import numpy as np

    source = np.random.default_rng(seed)
    drawn = [statistic(source.integers(0, blocks, blocks)) for _ in range(ROUNDS)]
    tail = 50.0 * (1.0 - confidence)
    low, high = np.percentile(np.asarray(drawn), [tail, 100.0 - tail])
    return float(low), float(high)


def pseudo_median(differences: Sequence[float], confidence: float = CONFIDENCE) -> Interval | None:
    """Hodges-Lehmann's centre of paired differences, with the interval that the signed-rank test does not reject; None below n = 8.

    It holds whatever the distribution, as the difference of two exchangeable values is symmetric; for normal differences it needs 5 % more
    values than the mean, where the median needs 57 % more. A drift shared by both values of a pair cancels.
    """
    import numpy as np

    n = len(differences)
    if n < 8:
        return None
    values = np.sort(np.asarray(differences, dtype=float))
    rows, columns = np.triu_indices(n)
    walsh = np.sort((values[rows] + values[columns]) / 2.0)
    z = NormalDist().inv_cdf(0.5 + confidence / 2.0)
    spread = math.sqrt(n * (n + 1) * (2 * n + 1) / 24.0)
    low = max(0, math.floor(n * (n + 1) / 4.0 - z * spread))
    return Interval(float(np.median(walsh)), float(walsh[low]), float(walsh[len(walsh) - 1 - low]), n)


def clean_trials(good: float, bad: float, error: float) -> int:
    """After so many trials without a failure Wald's sequential test of a share of failures decides for `good` against `bad`.

    Both errors are `error`: 0.1 % against 1 % with errors of 5 % takes 326.
    """
    return math.ceil(math.log((1.0 - error) / error) / math.log((1.0 - good) / (1.0 - bad)))


def student(degrees: int) -> float:
    """97.5 % quantile of Student's t (Cornish-Fisher expansion, within 0.5 % from 4 degrees on)."""
    z, v = 1.959964, float(max(degrees, 1))
    return (
        z + (z**3 + z) / (4 * v) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2) + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
    )


def rank_slope(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """Spearman's correlation of y with x, and the one-sided p of "it does not rise"; (0, 1) below n = 6. Ties get their mean rank."""
    import numpy as np

    if len(x) < 6 or len(set(x)) < 2 or len(set(y)) < 2:
        return 0.0, 1.0
    correlation = float(np.corrcoef(_rank(x), _rank(y))[0, 1])
    return correlation, 1.0 - NormalDist().cdf(correlation * math.sqrt(len(x) - 1))


def _rank(values: Sequence[float]) -> Any:
    import numpy as np

    array = np.asarray(values, dtype=float)
    _, inverse, counts = np.unique(array, return_inverse=True, return_counts=True)
    upper = np.cumsum(counts)
    return (upper - (counts - 1) / 2.0)[inverse]


def normal_scores(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Normal scores of the ranks, 0 in the mean, equal values at their mean rank: no single value sways what is told by them."""
    import numpy as np

    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    middles = ((np.cumsum(counts) - 0.5 * counts) / len(values)).tolist()
    scores = np.array([NormalDist().inv_cdf(middle) for middle in middles])[places]
    return np.asarray(scores - float(np.mean(scores)))
