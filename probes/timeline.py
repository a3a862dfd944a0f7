"""The touches of a bucket as arrays, so that a replay of one set of constants takes microseconds: a fit makes thousands.

Between two touches of the floor the level is a plain sum (Lindley's recursion, as in `twin`); where the floor was touched last is where
the free sum was least. What this cannot tell, a bucket filled to its maximum and the older script, `replay` tells event by event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from probes.bucket import BucketSettings
from probes.replay import Touch, replay

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SWAPPED_S = 0.08
"""Events no further apart may have swapped on their way."""


@dataclass(frozen=True)
class Course:
    """What the level was after each usable departure: reservations * u - seconds * o + constant, since touch `origins` of the floor."""

    reservations: Floats
    seconds: Floats
    constants: Floats
    origins: NDArray[np.int64]


@dataclass(frozen=True)
class Timeline:
    """Touches, at least one; all arrays are made once."""

    touches: tuple[Touch, ...]

    @cached_property
    def usable(self) -> NDArray[np.bool_]:
        """Which touches have a header that says something of the level."""
        return np.array([touch.usable for touch in self.touches])

    @cached_property
    def headers(self) -> Floats:
        """Remaining of the usable touches, units."""
        return np.array([touch.remaining for touch in self.touches if touch.usable], dtype=float)

    @cached_property
    def neighbours(self) -> Floats:
        """For each usable touch, how many events of other calls lie so near its departure that they may have swapped with it."""
        arrivals = np.sort([touch.arrived_s for touch in self.touches])
        departures = np.sort([touch.departed_s for touch in self.touches])
        at = np.array([touch.departed_s for touch in self.touches])[self.usable]
        near = [np.searchsorted(events, at + SWAPPED_S) - np.searchsorted(events, at - SWAPPED_S) for events in (arrivals, departures)]
        return np.asarray(near[0] + near[1] - 1, dtype=float)

    @cached_property
    def _events(self) -> tuple[Floats, Floats, Floats, NDArray[np.int64]]:
        """(instants, +1 for an arrival and -1 for a departure, what is paid, where each usable touch departs) in order of time."""
        n = len(self.touches)
        instants = np.array([touch.arrived_s for touch in self.touches] + [touch.departed_s for touch in self.touches])
        order = np.argsort(instants, kind="stable")  # an arrival stands before a departure of the same instant
        steps = np.where(order < n, 1.0, -1.0)
        paid = np.concatenate([np.zeros(n), [touch.cost for touch in self.touches]])[order]
        places = np.empty(2 * n, dtype=np.int64)
        places[order] = np.arange(2 * n)
        return instants[order], steps, paid, places[n:][self.usable]

    @cached_property
    def _sums(self) -> tuple[Floats, Floats]:
        """(reservations held, paid) before each event and after the last, from the first event on."""
        _, steps, paid, _ = self._events
        return np.concatenate([[0.0], np.cumsum(steps)]), np.concatenate([[0.0], np.cumsum(paid)])

    def course(self, bucket: BucketSettings) -> Course:
        """The replay of `bucket`."""
        found = self._quick(bucket) if bucket.floor_after_leak else None
        return found if found is not None else self._slow(bucket)

    def _quick(self, bucket: BucketSettings) -> Course | None:
        """By sums; None where the bucket would have been full."""
        instants, _, _, places = self._events
        held, paid = self._sums
        units = held * bucket.up_front_cost + paid
        leaked = (instants - instants[0]) * bucket.outflow_per_s
        free = np.empty(2 * len(instants))
        free[0::2], free[1::2] = units[:-1] - leaked, units[1:] - leaked
        lowest = np.minimum.accumulate(np.minimum(free, 0.0))
        if float(np.max(free - lowest)) > bucket.maximum:
            return None
        touched = free <= np.concatenate([[0.0], lowest[:-1]])
        last = np.maximum.accumulate(np.where(touched, np.arange(len(free)), 0))[1::2][places]
        since = (last + 1) // 2
        return Course(held[places + 1] - held[since], instants[places] - instants[last // 2], paid[places + 1] - paid[since], last)

    def _slow(self, bucket: BucketSettings) -> Course:
        found = [c for c, usable in zip(replay(bucket, self.touches), self.usable, strict=True) if usable]
        columns = np.array([(c.reservations, c.seconds, c.constant) for c in found]).reshape(-1, 3)
        return Course(columns[:, 0], columns[:, 1], columns[:, 2], np.array([c.origin for c in found], dtype=np.int64))


def timeline(touches: Sequence[Touch]) -> Timeline:
    """The timeline of `touches`."""
    return Timeline(tuple(touches))
