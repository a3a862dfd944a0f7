"""Where a number that is measured again and again takes a new level, and where it only scatters. Logarithms; pure.

Binary segmentation: the series is parted where its two sides differ most, as long as chance would hardly do so at any of the places, and
each side again. How much runs of one level differ is told by successive differences, which a shift of the level enters only once.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from itertools import accumulate, pairwise

FALSE = 0.02
"""How often a series in which nothing changed may show a change, all its places together."""
LEAST_NOISE, UNKNOWN_NOISE = 0.02, 0.08
"""Runs of an unchanged instance differ by so much (relative standard deviation) at least, whatever their own intervals say; and are taken
to differ by so much while too few of them show it."""
LEAST_STEPS = 4
FIRST_DEGREES, DEGREES_A_RUN = 4.0, 0.4
"""Degrees of freedom of that noise: what the least noise is worth, and what a difference adds to a median of them."""
HIDDEN = 0.75
"""Of the variance that the values' own errors tell so much may hide noise between runs: that part is known no better than noise is."""


def splits(logs: Sequence[float], errors: Sequence[float], least: float = 0.0) -> list[int]:
    """Indices of the first values of new levels, in order; none between two levels of one value each, which no repetition bears out.

    `errors` are the values' own standard errors on the logarithm's scale; levels closer than `least`, not as logarithms, are one.
    """
    between = noise(logs, errors)
    weights = [1.0 / (error**2 + between) for error in errors]
    enough = sure(len(logs), statistics.fmean(error**2 for error in errors), between)
    ends = [0, *sorted(_splits(logs, weights, 0, len(logs), least, enough)), len(logs)]
    return [place for before, place, after in zip(ends, ends[1:], ends[2:], strict=False) if after - before > 2]


def noise(logs: Sequence[float], errors: Sequence[float]) -> float:
    """Variance between values of one level beyond their own errors."""
    steps = [abs(b - a) for a, b in pairwise(logs)]
    if len(steps) < LEAST_STEPS:
        return UNKNOWN_NOISE**2
    spread = (statistics.median(steps) / statistics.NormalDist().inv_cdf(0.75)) ** 2 / 2.0
    return float(max(LEAST_NOISE**2, spread - sum(error**2 for error in errors) / len(errors)))


def _splits(logs: Sequence[float], weights: Sequence[float], start: int, end: int, least: float, enough: float) -> list[int]:
    """Those between `start` and `end`, where two sides are `enough` standard errors apart."""
    place, apart = _widest(logs[start:end], weights[start:end], least)
    if apart < enough:
        return []
    middle = start + place
    return [*_splits(logs, weights, start, middle, least, enough), middle, *_splits(logs, weights, middle, end, least, enough)]


def _widest(logs: Sequence[float], weights: Sequence[float], least: float) -> tuple[int, float]:
    """(where the two sides differ most, by how many standard errors)."""
    sums, moments = list(accumulate(weights)), list(accumulate(w * y for w, y in zip(weights, logs, strict=True)))
    best = 0, 0.0
    for place in range(1, len(logs)):
        left, right = sums[place - 1], sums[-1] - sums[place - 1]
        before, after = moments[place - 1] / left, (moments[-1] - moments[place - 1]) / right
        apart = abs(before - after) / math.sqrt(1.0 / left + 1.0 / right)
        if apart > best[1] and abs(math.exp(before) - math.exp(after)) >= least:
            best = place, apart
    return best


def sure(count: int, own: float = 0.0, between: float = 1.0) -> float:
    """Standard errors that chance reaches with odds of `FALSE` at any place of `count` values: Student's t by Wallace (1959).

    `own` and `between` are the variances of the values' own errors, which are known, and of the noise between runs, which a few differences
    tell: the degrees of freedom of their sum after Welch and Satterthwaite.
    """
    degrees = FIRST_DEGREES + DEGREES_A_RUN * (count - 1)
    degrees *= ((own + between) / (HIDDEN * own + between)) ** 2
    z = statistics.NormalDist().inv_cdf(1.0 - FALSE / (2.0 * count)) * (8.0 * degrees + 3.0) / (8.0 * degrees + 1.0)
    return math.sqrt(degrees * math.expm1(z * z / degrees))
