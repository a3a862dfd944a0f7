"""When the next request is due: pure functions of how many were sent, after vegeta's pacers.

A Schedule answers `due(n)`: seconds after the start at which request n (0, 1, 2 ...) is due, or None when the schedule has ended.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

Schedule = Callable[[int], float | None]


def even(rate_per_s: float, duration_s: float = math.inf) -> Schedule:
    """`rate_per_s` requests a second, equally spaced, for `duration_s` seconds."""

    def due(n: int) -> float | None:
        at = n / rate_per_s
        return at if at < duration_s else None

    return due


def burst(size: int, every_s: float = math.inf, count: int = 1) -> Schedule:
    """`size` requests at one instant, `count` times, `every_s` seconds apart."""

    def due(n: int) -> float | None:
        number = n // size
        if number >= count:
            return None
        return number * every_s if number else 0.0

    return due


def ramp(start_per_s: float, end_per_s: float, duration_s: float) -> Schedule:
    """A rate that rises (or falls) in a straight line: request n is due where the integral of the rate reaches n."""
    slope = (end_per_s - start_per_s) / duration_s

    def due(n: int) -> float | None:
        inside = start_per_s**2 + 2.0 * slope * n
        if inside < 0.0:
            return None
        at = 2.0 * n / (start_per_s + math.sqrt(inside)) if n else 0.0
        return at if at < duration_s else None

    return due


def steps(rates_per_s: Sequence[float], each_s: float) -> Schedule:
    """Each rate of `rates_per_s` for `each_s` seconds, equally spaced within a step; a rate of 0 is a pause."""
    counts = [math.ceil(rate * each_s - 1e-9) for rate in rates_per_s]

    def due(n: int) -> float | None:
        for step, count in enumerate(counts):
            if n < count:
                return step * each_s + n / rates_per_s[step]
            n -= count
        return None

    return due


def poisson(rate_per_s: float, duration_s: float = math.inf, seed: int = 0) -> Schedule:
    """Exponential gaps with mean 1/`rate_per_s`; the same seed gives the same arrivals. To ask for an earlier one takes long."""
    source, count, at = random.Random(seed), 0, 0.0

    def due(n: int) -> float | None:
        nonlocal source, count, at
        if n + 1 < count:  # only the last arrival is kept: a long run has too many
            source, count, at = random.Random(seed), 0, 0.0
        while count <= n:
            count, at = count + 1, at + source.expovariate(rate_per_s)
        return at if at < duration_s else None

    return due
