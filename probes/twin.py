"""A fitted bucket plus the observed (cost, server time) pairs: answers what-if questions by replay.

Every question is one vectorised replay. Between two touches of the floor the level is a plain sum, so the level after event k is (A_k -
o*t_k) - min(0, least of (min(A_j-1, A_j) - o*t_j) up to k), with A the running sum of reservations and costs, t the instants and o the
outflow (Lindley's recursion): exact as long as nothing was refused, which is all that the odds of *any* refusal need.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from probes.bucket import BucketSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

REPLICAS = 300
"""Replays of a closed loop per question."""
EVEN_REPLICAS = 1500
"""Replays of an even job per question: odds of 5 % are then known to 0.6 %, and the rate that has them to about 0.5 %."""
EVEN_ENOUGH = 0.1
"""Jitter below this share of the gap between calls changes no answer."""
MOST_EVENTS = 1_500_000
"""Upper bound on calls * replicas of one replay; a longer job is replayed in part and its hazard scaled."""

LEAST_OF_LONG, LEAST_REPLICAS = 50, 20
"""A job so long that it is replayed in part is replayed so often at least; any job so often."""
LEAST_TIME_S = 1e-9
"""No call leaves at the very instant at which it comes."""
ROWS = 32
"""Replicas of one job worked on at one time: their arrays stay in the processor's cache, and a replay takes a third of the time."""


class Rows(NamedTuple):
    """Pairs are drawn so many `at_once`, one after another as they were seen, and of each so many `alike` that follow one another."""

    at_once: int = 1
    alike: int = 1


EACH = Rows()


@dataclass(frozen=True)
class Twin:
    """`costs` (units) and `times_s` (seconds between the bucket's two touches) are pairs, equally long, drawn together with equal odds.

    `round_trip_s` is the network's share of a call, which a worker waits as well; `jitter_s` by how much one way there varies (standard
    deviation): calls that are sent evenly do not arrive so. `rows` keeps spells together: pairs then stand in order of time. The seed makes
    answers repeatable.
    """

    bucket: BucketSettings
    costs: Floats
    times_s: Floats
    round_trip_s: float = 0.0
    seed: int = 1
    jitter_s: float = 0.0
    rows: Rows = EACH
    _cache: dict[tuple[int, int], tuple[Floats, Floats]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def mean_cost(self) -> float:
        """Mean cost of a call, units."""
        return float(np.mean(self.costs))

    @property
    def mean_time_s(self) -> float:
        """Mean server time of a call, seconds."""
        return float(np.mean(self.times_s))

    @property
    def burst(self) -> int:
        """Calls that may be sent at one instant from rest: ceil(mark / reservation) - 1."""
        return self.bucket.burst

    def underway(self, rate_per_s: float) -> float:
        """Units for one more call and those on their way when its header comes, should the server be slower than it was."""
        return self.bucket.up_front_cost * (1.0 + rate_per_s * self.round_trip_s)

    def scaled(self, *, cost: float = 1.0, time: float = 1.0, **bucket: float) -> Twin:
        """A twin with costs and times multiplied and some constants of the bucket replaced; the same draws."""
        return replace(self, costs=self.costs * cost, times_s=self.times_s * time, bucket=self.bucket.scaled(**bucket), _cache={})

    def with_spread(self, power: float) -> Twin:
        """A twin whose server times spread wider (power > 1) around the same mean."""
        stretched = np.power(np.maximum(self.times_s, 1e-9), power)
        return replace(self, times_s=stretched * (self.mean_time_s / float(np.mean(stretched))), _cache={})

    def draws(self, calls: int, replicas: int) -> tuple[Floats, Floats]:
        """(costs, times) of shape (replicas, calls): the same for the same question, so that answers change smoothly."""
        key = (calls, replicas)
        if key not in self._cache:
            picks = _picks(self.seed, len(self.costs), self.rows, calls, replicas)
            self._cache.clear()
            self._cache[key] = (self.costs[picks], np.maximum(self.times_s, LEAST_TIME_S)[picks])
        return self._cache[key]

    def even_peaks(self, rate_per_s: float, calls: int, replicas: int = EVEN_REPLICAS) -> Floats:
        """Greatest level right after an arrival, one per replica, when `calls` are sent evenly at `rate_per_s` from rest.

        Departures are counted at the arrival that follows them, which needs no sorting and is exact while no call costs more than its
        reservation.
        """
        costs, times = self.draws(calls, replicas)
        jittery = self.jitter_s * rate_per_s > EVEN_ENOUGH
        if jittery or float(np.max(self.costs)) > self.bucket.up_front_cost:
            late = self.jitter_s * _ways(self.seed + 1, *times.shape) if jittery else 0.0
            arrivals = np.broadcast_to(np.arange(calls) / rate_per_s + late, times.shape)
            return peaks(self.bucket, arrivals, arrivals + times, costs)
        return even_peaks(self.bucket, rate_per_s, costs, times)

    def worker_peaks(self, workers: int, calls: int, replicas: int = REPLICAS, pause_s: float = 0.0) -> Floats:
        """Greatest level, one per replica, of `workers` in a closed loop that start at one instant and make `calls` calls together."""
        arrivals, departures, costs = self._closed_loop(workers, calls, replicas, pause_s)
        return peaks(self.bucket, arrivals, departures, costs)

    def even_odds(self, rate_per_s: float, calls: int) -> float:
        """Probability of any refusal in an even job of `calls` from rest."""
        part, replicas = _affordable(calls, EVEN_REPLICAS)
        return _scaled_odds(self.even_peaks(rate_per_s, part, replicas), self.bucket, calls / part)

    def workers_odds(self, workers: int, calls: int, pause_s: float = 0.0) -> float:
        """Probability of any refusal when `workers` make `calls` calls together, each `pause_s` after its last returned."""
        if workers < 1 or calls < 1:
            return 0.0
        part, replicas = _affordable(calls)
        return _scaled_odds(self.worker_peaks(min(workers, calls), part, replicas, pause_s), self.bucket, calls / part)

    def even_seconds(self, rate_per_s: float, calls: int) -> float:
        """Seconds from the first send to the last answer of an even job."""
        return (calls - 1) / rate_per_s + self.mean_time_s + self.round_trip_s

    def workers_seconds(self, workers: int, calls: int) -> float:
        """Mean seconds from the first send to the last answer of a closed loop."""
        part, replicas = _affordable(calls, 40)
        _, departures, _ = self._closed_loop(min(workers, calls), part, replicas, self.round_trip_s)
        last = float(np.mean(np.max(departures, axis=1))) + self.round_trip_s
        return last + (calls - part) * (self.mean_time_s + self.round_trip_s) / workers

    def _closed_loop(self, workers: int, calls: int, replicas: int, pause_s: float) -> tuple[Floats, Floats, Floats]:
        """(arrivals, departures, costs), each of shape (replicas, calls): the first `calls` arrivals of all workers."""
        each = min(calls, math.ceil(calls / workers * 1.25) + 12)
        costs, times = self.draws(workers * each, replicas)
        if self.rows.at_once > 1:  # what is alike is alike for all workers at one time
            costs, times = (values.reshape(replicas, each, workers).swapaxes(1, 2).reshape(replicas, -1) for values in (costs, times))
        times = times.reshape(replicas, workers, each)
        returned = np.cumsum(times + pause_s, axis=2)
        # the very instant at which the last call returned: a rounding error would let the next arrive before the last has left
        arrivals = np.concatenate([np.zeros((replicas, workers, 1)), returned[:, :, :-1]], axis=2)
        departures = returned if pause_s == 0.0 else arrivals + times
        flat = arrivals.reshape(replicas, -1)
        first = (
            np.argpartition(flat, calls - 1, axis=1)[:, :calls]
            if flat.shape[1] > calls
            else np.broadcast_to(np.arange(flat.shape[1]), flat.shape)
        )
        found = [_picked(values.reshape(replicas, -1), first) for values in (arrivals, departures, costs)]
        return found[0], found[1], found[2]


@lru_cache(maxsize=1)  # of a long job they fill 60 MB
def _picks(seed: int, pairs: int, rows: Rows, calls: int, replicas: int) -> NDArray[np.int64]:
    """Which of the pairs each call takes, of shape (replicas, calls); one of another size or price takes the same."""
    rng, (at_once, alike) = np.random.default_rng(seed), rows
    if at_once == 1:
        return rng.integers(0, pairs, size=(replicas, calls))
    each = pairs // alike
    starts = rng.integers(0, each, size=(replicas, math.ceil(calls / at_once)))
    places = ((starts[:, :, None] + np.arange(at_once)) % each).reshape(replicas, -1)[:, :calls]
    return places * alike + rng.integers(0, alike, size=places.shape)


@lru_cache(maxsize=1)
def _ways(seed: int, replicas: int, calls: int) -> Floats:
    """How late each call arrives, in standard deviations: the same at every rate."""
    return np.random.default_rng(seed).standard_normal((replicas, calls))


def even_peaks(bucket: BucketSettings, rate_per_s: float, costs: Floats, times: Floats) -> Floats:
    """Greatest level right after an arrival, one per row, of calls that arrive at 0, 1/rate, 2/rate ... and take any time at all.

    No cost is above the reservation.
    """
    replicas, calls = times.shape
    left, columns = np.arange(calls, 0.0, -1.0), calls + 1  # one column more takes what leaves after the last arrival
    places = np.arange(float(calls)) + columns * np.arange(float(min(ROWS, replicas)))[:, None]
    grown = bucket.up_front_cost - bucket.outflow_per_s / rate_per_s
    changes = np.empty((calls, replicas))
    for first in range(0, replicas, ROWS):
        part = slice(first, first + ROWS)
        later = np.minimum(np.ceil(times[part] * rate_per_s), left)
        later += places[: len(later)]
        amounts = costs[part] - bucket.up_front_cost
        returned = np.bincount(later.astype(np.intp).ravel(), weights=amounts.ravel(), minlength=len(later) * columns)
        np.add(returned.reshape(len(later), columns)[:, :calls].T, grown, out=changes[:, part])
    changes[0] = 0.0  # the first finds an empty bucket
    return _highest(changes) + bucket.up_front_cost


def _highest(changes: Floats) -> Floats:
    """Greatest level, one per column, of levels that change by one row after another and never fall below 0."""
    level, highest = np.zeros(changes.shape[1]), np.zeros(changes.shape[1])
    for change in changes:
        level += change
        np.maximum(level, 0.0, out=level)
        np.maximum(highest, level, out=highest)
    return highest


def levels_after(bucket: BucketSettings, arrivals: Floats, departures: Floats, costs: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """(level after each event in order of time, whether it was an arrival), shape (replicas, 2 * calls); a departure first on a tie."""
    calls = arrivals.shape[1]
    instants = np.concatenate([departures, arrivals], axis=1)
    amounts = np.concatenate([costs - bucket.up_front_cost, np.full(arrivals.shape, bucket.up_front_cost)], axis=1)
    order = np.argsort(instants, axis=1, kind="stable")
    leaked = _picked(instants, order) * bucket.outflow_per_s
    running = np.cumsum(_picked(amounts, order), axis=1)
    lowest = np.minimum(running, 0.0)
    np.minimum(running[:, 1:], running[:, :-1], out=lowest[:, 1:])
    lowest -= leaked
    np.minimum.accumulate(lowest, axis=1, out=lowest)
    running -= leaked
    running -= np.minimum(lowest, 0.0, out=lowest)
    return running, order >= calls


def _picked(values: Floats, columns: NDArray[np.int64]) -> Floats:
    """`numpy.take_along_axis` of the last of two axes, in a fifth of the time."""
    return np.asarray(values.take(columns + values.shape[1] * np.arange(len(values))[:, None]))


def peaks(bucket: BucketSettings, arrivals: Floats, departures: Floats, costs: Floats) -> Floats:
    """Greatest level right after an arrival, one per replica."""
    parts = (slice(first, first + ROWS) for first in range(0, len(arrivals), ROWS))
    return np.concatenate([_peaks(bucket, arrivals[part], departures[part], costs[part]) for part in parts])


def _peaks(bucket: BucketSettings, arrivals: Floats, departures: Floats, costs: Floats) -> Floats:
    levels, is_arrival = levels_after(bucket, arrivals, departures, costs)
    return np.asarray(np.max(np.where(is_arrival, levels, 0.0), axis=1))


def _affordable(calls: int, replicas: int = REPLICAS) -> tuple[int, int]:
    """(calls of a job that are replayed, how often) within `MOST_EVENTS`."""
    part = min(calls, MOST_EVENTS // LEAST_OF_LONG)
    return part, max(LEAST_REPLICAS, min(replicas, MOST_EVENTS // part))


def _scaled_odds(peaks_seen: Floats, bucket: BucketSettings, times: float) -> float:
    odds = float(np.mean(peaks_seen >= bucket.high_water_mark))
    return odds if times <= 1.0 else 1.0 - (1.0 - odds) ** times
