"""Several calls that share a bucket, made in stated shares: one twin and one set of prices for the job they make up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from probes.prices import Prices
from probes.twin import Twin

if TYPE_CHECKING:
    from probes.estimate import Estimate
    from probes.prices import Floats

ROWS = 8000
LEAST_ROWS = 50
"""Pairs to draw from: in all, and of a rare call."""
LEAST_KNOWN = 0.95
"""Share of a job whose calls must have a price for the job to have one."""


def mixture(found: Estimate, shares: Mapping[str, float] | None = None) -> tuple[Twin, Prices] | None:
    """The twin and the prices of calls made in `shares` (by name, any unit); as often as they were measured where None.

    None where calls that make up more than a twentieth of the job have no price.
    """
    asked = {call: float(prices.n) for call, prices in found.prices.items()} if shares is None else shares
    twins = {call: twin for call in asked if (twin := found.twin(call)) is not None}
    known = sum(asked[call] for call in twins)
    if not twins or known < LEAST_KNOWN * sum(asked.values()):
        return None
    if len(twins) == 1:
        return next((twin, found.prices[call]) for call, twin in twins.items())
    weights = [asked[call] / known for call in twins]
    rows = [_drawn(twin, max(LEAST_ROWS, round(ROWS * weight))) for twin, weight in zip(twins.values(), weights, strict=True)]
    costs, times = (np.concatenate(column) for column in zip(*rows, strict=True))
    bucket = next(iter(twins.values())).bucket
    return Twin(bucket, costs, times, found.round_trip_s, jitter_s=found.jitter_s), _prices([found.prices[call] for call in twins], weights)


def _drawn(twin: Twin, n: int) -> tuple[Floats, Floats]:
    picks = np.random.default_rng(2).integers(0, len(twin.costs), size=n)
    return twin.costs[picks], twin.times_s[picks]


def _prices(each: Sequence[Prices], weights: Sequence[float]) -> Prices:
    """As many pairs as an even draw would need to tell the mixture's mean as well: 1 / sum of weight^2 / n, of each call by its weight."""
    n = 1.0 / sum(weight**2 / prices.n for prices, weight in zip(each, weights, strict=True))
    rows = [_evenly(prices, max(1, round(weight * n))) for prices, weight in zip(each, weights, strict=True)]
    costs, times = (np.concatenate(column) for column in zip(*rows, strict=True))
    return Prices(costs, times, tuple(len(part) for part, _ in rows), _before_s(each, weights))


def _before_s(each: Sequence[Prices], weights: Sequence[float]) -> float | None:
    """How long the mixture's calls took before one kind of them began to take longer; None where none did."""
    means = [float(np.mean(prices.times_s)) if prices.before_s is None else prices.before_s for prices in each]
    return float(np.dot(means, weights)) if any(prices.before_s is not None for prices in each) else None


def _evenly(prices: Prices, n: int) -> tuple[Floats, Floats]:
    """`n` pairs spread over all, shortest server time first."""
    ordered = np.argsort(prices.times_s, kind="stable")
    picks = ordered[((np.arange(n) + 0.5) * prices.n / n).astype(int)]
    return prices.costs[picks], prices.times_s[picks]
