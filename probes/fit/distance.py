"""How far away a server is that does not tell its own time.

Half of the network's share of a flight lies before the bucket, half behind it. A share that is wrong moves all arrivals and departures
against each other, and no bucket explains the headers then: the share is the one under which a bucket explains them best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from probes.bucket import BucketSettings
from probes.fit.identify import fit
from probes.fit.regression import Solution, refined
from probes.fit.timeline import timeline
from probes.fit.touches import Touch, network_s, touches_of
from probes.observation import Observation, Outcome

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FEWEST, MOST = 8, 60
"""Calls that are looked at: the first ones, which were sent to tell the bucket."""
BLUR = 0.02
"""The share is not known better than to this part of the shortest flight."""
FINE = np.linspace(-0.06, 0.06, 9)
GUESSED = (0.12, 0.45, 0.75, 0.95)
"""Parts of the shortest flight at which any bucket is looked for."""
PARTS = np.linspace(0.0, 0.98, 15)
"""Parts at which the buckets found so are fitted anew."""
DOUBTS = ((0.25, 0.9, 1.3, 2.4), (0.001, 0.0015, 0.006, 0.015), (0.0, 0.015, 0.7, 1.0))
"""Cost of the best fit; standard errors of reservation and outflow beside those of the formulas, as shares; measured on 60 buckets."""
LATER_S, MOST_LATER = 0.002, 0.5
"""A server's own time longer than the flight by so much, in so large a share of the calls, is none."""
AS_GOOD = (1.25, 0.05)
"""A share whose fit costs no more than this times the least, and this more, may be the true one as well."""


@dataclass(frozen=True)
class Distance:
    """The network's share of a call, seconds, between `low` and `high`.

    `told` by the server's time, or taken from a connect where headers say nothing of it; else found by fits. `covariance` (3 x 3: mark,
    reservation, outflow) is what the constants owe to not knowing it better.
    """

    round_trip_s: float
    low: float
    high: float
    covariance: Floats
    told: bool = True

    @classmethod
    def known(cls, round_trip_s: float) -> Distance:
        """One that nothing leaves in doubt, or no answer tells more of."""
        return cls(round_trip_s, round_trip_s, round_trip_s, np.zeros((3, 3)))

    @property
    def says(self) -> str:
        """A sentence on it."""
        return (
            f"No answer tells the server's own time: {1e3 * self.low:.0f} to {1e3 * self.high:.0f} ms of each call are taken for the "
            "network, with which a bucket explains the headers best."
        )


def with_times(seen: Sequence[Observation]) -> list[Observation]:
    """`seen`, without the server's own times where they cannot be such: all 0, or longer than the flights (milliseconds, say)."""
    told = [o for o in seen if o.server_time_s is not None and o.flight_s is not None]
    longer = sum((o.server_time_s or 0.0) > (o.flight_s or 0.0) + LATER_S for o in told)
    if not told or (any(o.server_time_s for o in told) and longer <= MOST_LATER * len(told)):
        return list(seen)
    return [replace(o, server_time_s=None) for o in seen]


def distance(observations: Sequence[Observation]) -> Distance:
    """The distance of the one server that was asked."""
    usual = network_s(observations)
    touches = _first(tuple(t for t in touches_of(observations, 0.0) if t.remaining is not None))
    told = [t.remaining for t in touches if t.usable]
    if len(told) < FEWEST or len(set(told)) < 3 or _tells_time(observations):
        return Distance.known(usual)
    return _found(touches, usual)


def _first(touches: tuple[Touch, ...]) -> tuple[Touch, ...]:
    """At most MOST touches, up to a moment when all had departed: of those cut off none was beside them."""
    ends = np.maximum.accumulate([t.departed_s for t in touches])
    quiet = [n for n in range(FEWEST, min(MOST, len(touches) - 1) + 1) if touches[n].arrived_s >= ends[n - 1]]
    return touches[: max(quiet, default=MOST)] if len(touches) > MOST else touches


def _tells_time(observations: Sequence[Observation]) -> bool:
    return any(o.server_time_s is not None and o.outcome is not Outcome.THROTTLED for o in observations)


@lru_cache(maxsize=16)  # a design asks again after each round, of the same calls
def _found(touches: tuple[Touch, ...], usual: float) -> Distance:
    """The middle of the shares, parts of the shortest flight, that explain the headers about as well as the best; `usual` if it does."""
    shortest = min(t.departed_s - t.arrived_s for t in touches if not t.refused) if not all(t.refused for t in touches) else usual
    starts = [guess for part in GUESSED for guess in _guesses(touches, part * shortest)]
    coarse = {share: _best(touches, share, starts) for share in (*(PARTS * shortest).tolist(), min(usual, shortest))}
    middle = min(coarse, key=lambda share: coarse[share].cost)
    near = [share for share in (middle + FINE * shortest).tolist() if 0.0 <= share <= shortest]
    found = dict(sorted({**coarse, **{share: _best(touches, share, starts) for share in near}}.items()))
    shares, fits = list(found), list(found.values())
    costs = np.array([one.cost for one in fits])
    good = np.flatnonzero(costs <= AS_GOOD[0] * costs.min() + AS_GOOD[1])
    constants = np.array([(f.bucket.high_water_mark, f.bucket.up_front_cost, f.bucket.outflow_per_s) for f in fits])
    doubts = [0.0, *(float(np.interp(costs.min(), DOUBTS[0], errors)) for errors in DOUBTS[1:])]
    spread = np.diff(np.quantile(constants[good], (0.16, 0.84), axis=0), axis=0)[0] / 2.0 + constants[int(np.argmin(costs))] * doubts
    low, high = max(0.0, shares[good[0]] - BLUR * shortest), shares[good[-1]] + BLUR * shortest
    share = usual if low <= usual <= high and usual > 0.0 else (low + high) / 2.0
    return Distance(share, low, high, np.diag(spread**2), told=False)


def _guesses(touches: tuple[Touch, ...], share: float) -> list[BucketSettings]:
    """The bucket that explains the headers best at this share, and one of twice the reservation, of which it may be a half."""
    found = fit(_nearer(touches, share))
    if found is None:
        return []
    twice = replace(found.bucket, up_front_cost=2.0 * found.bucket.up_front_cost)
    return [found.bucket, *([twice] if twice.up_front_cost < twice.high_water_mark else [])]


def _best(touches: tuple[Touch, ...], share: float, starts: Sequence[BucketSettings]) -> Solution:
    return min(refined(timeline(_nearer(touches, share)), starts, [0] * len(starts)), key=lambda found: found.cost)


def _nearer(touches: Sequence[Touch], share: float) -> list[Touch]:
    """The touches of a bucket that far away, from those of one that is here."""
    return [
        replace(t, arrived_s=t.arrived_s + half, departed_s=t.departed_s - half)
        for t in touches
        for half in (min(share, t.departed_s - t.arrived_s) / 2.0,)
    ]
