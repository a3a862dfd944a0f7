"""What is safe by a twin: the greatest even rate, number of workers and burst at stated odds, and how the rate depends on each input."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from probes.prices import gini
from probes.stats import Interval
from probes.twin import EVEN_REPLICAS, Twin

ROUGH_REPLICAS = 600
FASTEST_PER_S = 2000.0
"""No even rate above this is looked for; a job that may be sent at once has no safe rate of its own."""

USUAL_JOB = 1000
"""Calls of a job of which nobody said how many it has."""
ODDS = 0.05
"""Odds of any refusal at which a rate is called the greatest safe one (contract)."""


class BoundBy(StrEnum):
    """What binds a safe rate; the contract's closed list."""

    OUTFLOW = "outflow"
    RESERVATIONS = "reservations"
    LATENCY = "latency"
    CEILING = "ceiling"
    REFUSALS = "refusals"


@dataclass(frozen=True, slots=True)
class Safe:
    """What a job of `job_calls` may do from rest, each with odds `ODDS` of any refusal.

    `rate_per_s`: evenly, calls/s; None where no even rate is refused. `in_flight`: workers; `burst`: calls at one instant.
    """

    rate_per_s: Interval | None
    in_flight: int
    burst: int
    bound_by: BoundBy
    job_calls: int

    def document(self) -> dict[str, Any]:
        """`safe` of `probes.rate/1`."""
        return {
            "rate_per_s": None if self.rate_per_s is None else self.rate_per_s.document(),
            "in_flight": self.in_flight,
            "burst": self.burst,
            "bound_by": self.bound_by.value,
            "job_calls": self.job_calls,
            "odds": ODDS,
        }


SLOWEST_PER_S = 1e-4
"""No even rate below this is looked for: three calls in a working day."""
STEP = 0.06
"""By this share each input is changed to both sides to see how the rate depends on it."""
BEYOND, SHORTEST_STEP, LONGEST_STEP = 1.3, 0.01, 1.0
"""A step that is to bracket the crossing goes so much further than that seems to be, and so far at least and at most (log rate)."""
MOST_STEPS, TOLERANCE = 14, 1e-3
"""Of the search for the crossing: steps at most, and how far below it, in logarithms of the rate, counts as there."""

Point = tuple[float, float]
"""(log rate, excess over the mark)."""


@dataclass(frozen=True, slots=True)
class Elasticities:
    """By how many per cent the safe even rate changes when an input grows by one per cent."""

    time: float
    cost: float
    high_water_mark: float
    outflow_per_s: float
    up_front_cost: float
    spread: float


MOST_REPLAYED, LEAST_SEEN = 5000, 3.0
"""Calls of a job that are replayed; of a longer one what it pays is reckoned with beside that. Replicas that odds are told by."""


def even_rate(twin: Twin, calls: int, odds: float, guess: float | None = None, replicas: int = EVEN_REPLICAS) -> float:
    """Greatest even rate, requests/s, at which a job of `calls` from rest meets any refusal with probability `odds`.

    It is 0 when even one call is refused. The (1 - odds) quantile of the peak grows smoothly with the rate; its crossing of the mark is
    found on a logarithmic scale by regula falsi.
    """
    job, calls = calls, min(calls, MOST_REPLAYED)
    if twin.burst < 1:
        return 0.0
    odds = max(_of_part(odds, calls / job), LEAST_SEEN / replicas)
    start = guess or analytic_rate(twin)

    def excess(log_rate: float) -> float:
        return _peak(twin, calls, odds, math.exp(log_rate), replicas) - twin.bucket.high_water_mark

    bracket = _bracket(excess, math.log(max(start, 1e-3)), twin.bucket.high_water_mark)
    rate = math.exp(_root(excess, *bracket)) if bracket is not None else FASTEST_PER_S
    return min(rate, _lasting_rate(twin, job))


def _peak(twin: Twin, calls: int, odds: float, rate: float, replicas: int) -> float:
    """The level that a job at this rate reaches with these odds."""
    return float(np.quantile(twin.even_peaks(rate, calls, replicas), 1.0 - odds))


def _lasting_rate(twin: Twin, job: int) -> float:
    """Calls/s at which all that a job longer than is replayed pays, but for what the bucket stores, drains while it lasts."""
    stored = (twin.bucket.high_water_mark - twin.bucket.up_front_cost) / job
    if job <= MOST_REPLAYED or twin.mean_cost <= stored:
        return FASTEST_PER_S
    return min(FASTEST_PER_S, twin.bucket.outflow_per_s / (twin.mean_cost - stored))


def _of_part(odds: float, part: float) -> float:
    """Odds of any refusal in a part of a job that make it `odds` in all of it."""
    return float(1.0 - (1.0 - odds) ** part)


def _bracket(excess: Callable[[float], float], start: float, mark: float) -> tuple[Point, Point] | None:
    """((low, excess), (high, excess)) around the crossing, or None when no rate is refused.

    Each step goes as far as the crossing seems to be, and a part further: at first as if a rate by a factor e greater took up the mark.
    """
    here, slope = excess(start), mark
    while True:
        far = min(LONGEST_STEP, max(SHORTEST_STEP, BEYOND * abs(here) / slope))
        there = min(start + (far if here < 0.0 else -far), math.log(FASTEST_PER_S))
        value = excess(there)
        if (value >= 0.0) != (here >= 0.0) or there < math.log(SLOWEST_PER_S):
            pair = sorted([(start, here), (there, value)])
            return pair[0], pair[1]
        if there >= math.log(FASTEST_PER_S):
            return None
        slope = max((value - here) / (there - start), abs(value) / LONGEST_STEP)
        start, here = there, value


def _root(excess: Callable[[float], float], low: Point, high: Point) -> float:
    """The log rate at the crossing, from the side that is not refused.

    By regula falsi, in which an end that stays counts half (Illinois), to half of `TOLERANCE` below; the crossing is then no further than
    that by the flatter of the two chords.
    """
    (a, fa), (b, fb) = low, high
    ga, gb, last = fa, fb, 0
    for _ in range(MOST_STEPS):
        if fa >= 0.0 or b - a < TOLERANCE:
            break
        off = (b - a) * ga / (ga - gb) - TOLERANCE / 2.0
        middle = a + min(b - a - TOLERANCE / 2.0, max(TOLERANCE / 2.0, off))
        value = excess(middle)
        if value >= 0.0:
            ga, gb = ga / 2.0 if last > 0 else fa, value
            b, fb, last = middle, value, 1
            continue
        flatter = min((value - fa) / (middle - a), (fb - value) / (b - middle))
        ga, gb = value, gb / 2.0 if last < 0 else fb
        a, fa, last = middle, value, -1
        if -value < TOLERANCE * flatter:
            break
    return float(a)


def analytic_rate(twin: Twin) -> float:
    """First guess: the smaller root of r <= o/x and u(rL + z sqrt(G r L)) - oL + u <= h, with z = 3 and G the Gini index of L."""
    bucket, time = twin.bucket, twin.mean_time_s
    unevenness = gini(twin.times_s)
    room = (bucket.high_water_mark + bucket.outflow_per_s * time - bucket.up_front_cost) / bucket.up_front_cost
    root = (-3.0 * math.sqrt(unevenness) + math.sqrt(9.0 * unevenness + 4.0 * max(room, 0.1))) / 2.0
    by_reservations = root**2 / max(time, 1e-4)
    return min(by_reservations, bucket.outflow_per_s / max(twin.mean_cost, 1e-6), FASTEST_PER_S / 2)


def workers(twin: Twin, calls: int, odds: float) -> int:
    """Greatest number of workers, all starting at one instant, that meet any refusal with at most `odds`; may be 0.

    Each sends its next call when its last has returned, a round trip after the bucket saw the end of that one.
    """
    lasting = _lasting_rate(twin, calls) * (twin.mean_time_s + twin.round_trip_s)
    job, calls = calls, min(calls, MOST_REPLAYED)
    odds = _of_part(odds, calls / job)
    low, high = 0, int(min(twin.burst, calls, lasting))
    middle = high  # where reservations bind it is as many as fit at one time
    while low < high:
        if twin.workers_odds(middle, calls, twin.round_trip_s) <= odds:
            low = middle
        else:
            high = middle - 1
        middle = (low + high + 1) // 2
    return low


def elasticities(twin: Twin, calls: int, odds: float, rate: float) -> Elasticities:
    """How the safe even rate around `rate` depends on each input, by differences to both sides with the same draws.

    Four differences give all six (`spread` is the Gini index of the server times): units of cost cancel (the elasticities of mark,
    outflow, reservation and cost add up to 0), and so do units of time (outflow and server time together slow everything alike). To both
    sides, since the rate has kinks where one call more in flight begins to count.
    """

    def change(more: Twin, less: Twin) -> float:
        rates = [even_rate(one, calls, odds, rate, replicas=ROUGH_REPLICAS) for one in (more, less)]
        return math.log(max(rates[0], 1e-6) / max(rates[1], 1e-6))

    grown, stretch = 1.0 + STEP, 2.0 * math.log1p(STEP)
    smooth = change if calls > MOST_REPLAYED else _by_slopes(twin, calls, odds, rate)
    time = smooth(twin.scaled(time=grown), twin.scaled(time=1.0 / grown)) / stretch
    cost = smooth(twin.scaled(cost=grown), twin.scaled(cost=1.0 / grown)) / stretch
    up_front = change(*(twin.scaled(up_front_cost=twin.bucket.up_front_cost * by) for by in (grown, 1.0 / grown))) / stretch
    return Elasticities(time, cost, -(up_front + 1.0 + time + cost), 1.0 + time, up_front, _of_spread(twin, change))


def _by_slopes(twin: Twin, calls: int, odds: float, rate: float) -> Callable[[Twin, Twin], float]:
    """By how much the logarithm of the rate changes from one twin to another, by how their peaks differ and grow with the rate.

    It takes a quarter of the replays of looking for both rates, and tells as much of times and costs, with which the peak grows as
    smoothly as with the rate; of reservations and of how times spread it tells less.
    """

    def peak(one: Twin, faster: float = 1.0) -> float:
        return _peak(one, calls, odds, rate * faster, ROUGH_REPLICAS)

    grown = 1.0 + STEP
    slope = max((peak(twin, grown) - peak(twin, 1.0 / grown)) / (2.0 * math.log(grown)), 1e-9)
    return lambda more, less: (peak(less) - peak(more)) / slope


def _of_spread(twin: Twin, change: Callable[[Twin, Twin], float]) -> float:
    wider, closer = twin.with_spread(1.0 + 2.0 * STEP), twin.with_spread(1.0 / (1.0 + 2.0 * STEP))
    if gini(twin.times_s) <= 1e-3:
        return 0.0
    return min(0.0, change(wider, closer) / math.log(gini(wider.times_s) / gini(closer.times_s)))
