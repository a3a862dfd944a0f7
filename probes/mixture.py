"""Several calls that share a bucket, made in stated shares: one twin and one set of prices for the job they make up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from probes.prices import Prices
from probes.spells import Spells
from probes.twin import Rows, Twin

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
    costs, times, places = (np.concatenate(column) for column in zip(*rows, strict=True))
    prices = _prices([found.prices[call] for call in twins], weights)
    twin = Twin(next(iter(twins.values())).bucket, costs, times, found.round_trip_s, jitter_s=found.jitter_s)
    return _in_order(twin, places, prices.spells, sum(found.prices[call].n for call in twins)), prices


def _drawn(twin: Twin, n: int) -> tuple[Floats, Floats, Floats]:
    """(costs, times, when each was seen as a share of the time asked)."""
    picks = np.random.default_rng(2).integers(0, len(twin.costs), size=n)
    return twin.costs[picks], twin.times_s[picks], picks / len(twin.costs)


def _in_order(twin: Twin, places: Floats, spells: Spells, n: int) -> Twin:
    """`twin` with its pairs in the order of `places`, as spells need; as it is where there are none. It was seen by `n` pairs."""
    if spells.row == 1:
        return twin
    order = np.argsort(places, kind="stable")
    return replace(twin, costs=twin.costs[order], times_s=twin.times_s[order], rows=Rows(spells.row, max(1, len(order) // n)))


def _prices(each: Sequence[Prices], weights: Sequence[float]) -> Prices:
    """As many pairs as an even draw would need to tell the mixture's mean as well: 1 / sum of weight^2 / n, of each call by its weight."""
    n = 1.0 / sum(weight**2 / prices.n for prices, weight in zip(each, weights, strict=True))
    rows = [_evenly(prices, max(1, round(weight * n))) for prices, weight in zip(each, weights, strict=True)]
    costs, times = (np.concatenate(column) for column in zip(*rows, strict=True))
    return Prices(costs, times, tuple(len(part) for part, _ in rows), _earlier(each, weights), _spells(each, weights))


def _spells(each: Sequence[Prices], weights: Sequence[float]) -> Spells:
    """The longest spells of its calls, others of which come between."""
    rows = [prices.spells.row / weight if prices.spells.row > 1 else 1.0 for prices, weight in zip(each, weights, strict=True)]
    return Spells(round(max(rows)), max(prices.spells.fewer for prices in each))


def _earlier(each: Sequence[Prices], weights: Sequence[float]) -> Prices | None:
    """What the mixture's calls cost and took, in the mean, before one kind of them began to cost or take more; None where none did."""
    if all(prices.earlier is None for prices in each):
        return None
    parts = [prices.earlier or prices for prices in each]
    costs, times = ([float(np.mean(getattr(part, name))) for part in parts] for name in ("costs", "times_s"))
    return Prices(np.array([np.dot(costs, weights)]), np.array([np.dot(times, weights)]))


def _evenly(prices: Prices, n: int) -> tuple[Floats, Floats]:
    """`n` pairs spread over all, shortest server time first."""
    ordered = np.argsort(prices.times_s, kind="stable")
    picks = ordered[((np.arange(n) + 0.5) * prices.n / n).astype(int)]
    return prices.costs[picks], prices.times_s[picks]


def pooled_twin(found: Estimate) -> Twin | None:
    """A twin over the prices of all calls together, as the design sends them in turn."""
    if not found.determined or not found.prices:
        return None
    assert found.fit is not None
    costs = np.concatenate([p.costs for p in found.prices.values()])
    times = np.concatenate([p.times_s for p in found.prices.values()])
    return Twin(found.fit.bucket, costs, times, found.round_trip_s)
