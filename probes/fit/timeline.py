"""The touches of a bucket as arrays, and replayed: the level after each is linear in the constants, so that a fit is linear regression.

It is reservations held times u, minus outflow times the seconds, plus the costs paid, all since the floor was last touched. Between two
touches of the floor that is a plain sum (Lindley's recursion, as in `twin`), and the floor was touched last where the free sum was least:
microseconds for each of the thousands of replays that a fit makes. What sums cannot tell, a bucket filled to its maximum and the older
script, is replayed event by event, by the rule of `bucket` for many buckets at one time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from probes.bucket import BucketSettings, usual_maximum
from probes.fit.touches import Touch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Columns = tuple[Floats, Floats, Floats, NDArray[np.int64]]

SWAPPED_S = 0.08
"""Events no further apart may have swapped on their way."""
MOST_SWAPPED = 3
"""Of so many departures beside a header it is asked whether they swapped with it."""
FEW_BUCKETS = 8
"""Replays of no more buckets are quicker one by one."""
MOST_ELEMENTS = 2_000_000
"""Replays at one time are so few that none of their arrays is larger."""


@dataclass(frozen=True)
class Courses:
    """What the level was after each usable departure in each of B replays, all of shape (B, departures).

    It was reservations * u - seconds * o + constants, since touch `origins` of the floor.
    """

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
    def arrivals(self) -> Floats:
        """When each call reached the bucket, seconds."""
        return np.array([touch.arrived_s for touch in self.touches])

    @cached_property
    def departures(self) -> Floats:
        """When each call left it, seconds."""
        return np.array([touch.departed_s for touch in self.touches])

    @cached_property
    def costs(self) -> Floats:
        """What each call paid, units."""
        return np.array([touch.cost for touch in self.touches])

    @cached_property
    def headers(self) -> Floats:
        """Remaining of the usable touches, units."""
        return np.array([touch.remaining for touch in self.touches if touch.usable], dtype=float)

    @cached_property
    def refused(self) -> NDArray[np.bool_]:
        """Which of the usable touches are refusals."""
        return np.array([touch.refused for touch in self.touches if touch.usable], dtype=bool)

    @cached_property
    def weight(self) -> Floats:
        """How many headers each usable touch is worth to a reservation: a refusal beside another call is worth two, one alone none."""
        return np.array([(2.0 * self._met(touch) if touch.refused else 1.0) for touch in self.touches if touch.usable])

    def _met(self, touch: Touch) -> bool:
        return any(other.arrived_s < touch.departed_s < other.departed_s for other in self.touches)

    @cached_property
    def neighbours(self) -> Floats:
        """For each usable touch, how many events of other calls lie so near its departure that they may have swapped with it."""
        at = self.departures[self.usable]
        both = (np.sort(self.arrivals), np.sort(self.departures))
        near = [np.searchsorted(events, at + SWAPPED_S) - np.searchsorted(events, at - SWAPPED_S) for events in both]
        return np.asarray(near[0] + near[1] - 1, dtype=float)

    @cached_property
    def paid_beside(self) -> tuple[Floats, Floats]:
        """What the next 0, 1 ... departures after each usable touch's own paid together, and what those before it; inf beyond SWAPPED_S.

        Of shape (MOST_SWAPPED + 1, headers).
        """
        order = np.argsort(self.departures, kind="stable")
        at, paid = self.departures[order], self.costs[order]
        after = _beside(at, paid)
        before = _beside(-at[::-1], paid[::-1])[:, ::-1]
        places = np.argsort(order, kind="stable")[self.usable]
        return after[:, places], before[:, places]

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        """Which touch's arrival (its number) or departure (its number + n) each event is; an arrival stands first on a tie."""
        return np.argsort(np.concatenate([self.arrivals, self.departures]), kind="stable")

    @cached_property
    def _places(self) -> NDArray[np.int64]:
        """Where in the order of events each touch departs."""
        return np.argsort(self._order, kind="stable")[len(self.touches) :]

    @cached_property
    def _events(self) -> tuple[Floats, Floats, Floats]:
        """(instants, +1 for an arrival and -1 for a departure, what is paid) in order of time."""
        n, order = len(self.touches), self._order
        instants, paid = np.concatenate([self.arrivals, self.departures]), np.concatenate([np.zeros(n), self.costs])
        return instants[order], np.where(order < n, 1.0, -1.0), paid[order]

    @cached_property
    def _sums(self) -> tuple[Floats, Floats]:
        """(reservations held, paid) before each event and after the last, from the first event on."""
        _, steps, paid = self._events
        return np.concatenate([[0.0], np.cumsum(steps)]), np.concatenate([[0.0], np.cumsum(paid)])

    def courses(self, constants: Floats, floor_after_leak: bool = True) -> Courses:
        """The replays of B buckets, `constants` of shape (B, 3): mark, reservation, outflow; the maximum is `usual_maximum`."""
        rows = max(1, MOST_ELEMENTS // (4 * len(self.touches)))
        parts = [self._replays(constants[n : n + rows], floor_after_leak) for n in range(0, len(constants), rows)]
        return parts[0] if len(parts) == 1 else Courses(*(np.concatenate([_columns(p)[n] for p in parts]) for n in range(4)))

    def remaining(self, bucket: BucketSettings) -> Floats:
        """The header that each touch should have carried, usable or not, units; the bucket's maximum is `usual_maximum`."""
        constants = np.array([[bucket.high_water_mark, bucket.up_front_cost, bucket.outflow_per_s]])
        course = self._by_events(constants, bucket.floor_after_leak, self._places)
        levels = course.reservations * bucket.up_front_cost - course.seconds * bucket.outflow_per_s + course.constants
        return np.asarray(bucket.high_water_mark - levels[0])

    def _replays(self, constants: Floats, floor_after_leak: bool) -> Courses:
        found, full = self._by_sums(constants)
        rows = np.flatnonzero(full | (not floor_after_leak))
        if len(rows):
            right = self._by_events(constants[rows], floor_after_leak, self._places[self.usable])
            for column, values in zip(_columns(found), _columns(right), strict=True):
                column[rows] = values
        return found

    def _by_sums(self, constants: Floats) -> tuple[Courses, NDArray[np.bool_]]:
        """(the replays of buckets that nothing fills, which of them would have been filled to their maximum and so are wrong)."""
        mark, reservation, outflow = constants.T[:, :, None]
        instants, places = self._events[0], self._places[self.usable]
        held, paid = self._sums
        units = reservation * held + paid
        leaked = outflow * (instants - instants[0])
        free = np.empty((len(constants), 2 * len(instants)))
        np.subtract(units[:, :-1], leaked, out=free[:, 0::2])
        np.subtract(units[:, 1:], leaked, out=free[:, 1::2])
        lowest = np.minimum.accumulate(np.minimum(free, 0.0), axis=1)
        full = np.max(free - lowest, axis=1) > usual_maximum(mark[:, 0])
        touched = np.empty(free.shape, dtype=bool)
        touched[:, 0] = free[:, 0] <= 0.0
        np.less_equal(free[:, 1:], lowest[:, :-1], out=touched[:, 1:])
        return self._since(touched, places), full

    def _by_events(self, constants: Floats, floor_after_leak: bool, places: NDArray[np.int64]) -> Courses:
        """The same for any bucket, after the departures at `places` in the order of events."""
        mark, reservation, outflow = constants.T
        maximum = usual_maximum(mark)
        instants, steps, paid = self._events
        leaks = outflow * np.diff(instants, prepend=instants[0])[:, None]
        leaked, touched = _levels(leaks, reservation * steps[:, None] + paid[:, None], maximum, floor_after_leak)
        started = leaked <= 0.0 if floor_after_leak else np.vstack([np.zeros_like(mark), touched[:-1]]) <= 0.0
        full = touched > maximum
        found = self._since(np.stack([started, (touched <= 0.0) | full], axis=2).swapaxes(0, 1).reshape(len(mark), -1), places)
        filled = full.T[np.arange(len(mark))[:, None], found.origins // 2] & (found.origins % 2 == 1)
        return replace(found, constants=found.constants + filled * maximum[:, None])

    def _since(self, begun: NDArray[np.bool_], places: NDArray[np.int64]) -> Courses:
        """The sums after the departures at `places` since each of B levels last began anew, before an event or by it: (B, 2 * events)."""
        instants = self._events[0]
        held, paid = self._sums
        last = np.maximum.accumulate(np.where(begun, np.arange(begun.shape[1]), 0), axis=1)[:, 2 * places + 1]
        since = (last + 1) // 2
        return Courses(held[places + 1] - held[since], instants[places] - instants[last // 2], paid[places + 1] - paid[since], last)


def _levels(leaks: Floats, added: Floats, maximum: Floats, floor_after_leak: bool) -> tuple[Floats, Floats]:
    """The rule of `bucket.Bucket` for B buckets: levels after the leak before each event, and by it, both before they are held to bounds.

    All of shape (events, B).
    """
    if leaks.shape[1] <= FEW_BUCKETS:
        columns = zip(leaks.T.tolist(), added.T.tolist(), maximum.tolist(), strict=True)
        found = np.array([_levels_of_one(*column, floor_after_leak) for column in columns])
        return found[:, 0].T, found[:, 1].T
    leaked, touched = np.empty_like(leaks), np.empty_like(leaks)
    level, base = np.zeros((2, leaks.shape[1]))
    for leak, more, left, now in zip(leaks, added, leaked, touched, strict=True):
        np.subtract(level, leak, out=left)
        if floor_after_leak:
            np.maximum(left, 0.0, out=base)
        else:
            np.multiply(left, level > 0.0, out=base)
        np.add(base, more, out=now)
        np.minimum(np.maximum(now, 0.0, out=level), maximum, out=level)
    return leaked, touched


def _levels_of_one(leaks: list[float], added: list[float], maximum: float, floor_after_leak: bool) -> tuple[list[float], list[float]]:
    """The same for one bucket."""
    leaked, touched, level = [], [], 0.0
    for leak, more in zip(leaks, added, strict=True):
        left = level - leak
        now = (left if (left if floor_after_leak else level) > 0.0 else 0.0) + more
        level = min(max(now, 0.0), maximum)
        leaked.append(left)
        touched.append(now)
    return leaked, touched


def buckets_of(constants: Floats, floor_after_leak: bool) -> list[BucketSettings]:
    """The buckets of B constants, shape (B, 3): mark, reservation, outflow."""
    return [BucketSettings.of(mark, outflow, held, floor_after_leak=floor_after_leak) for mark, held, outflow in constants.tolist()]


def _beside(at: Floats, paid: Floats) -> Floats:
    """Of each of n events in order of time: what the next 0 ... MOST_SWAPPED paid together, inf where one is not within SWAPPED_S."""
    found = np.full((MOST_SWAPPED + 1, len(at)), np.inf)
    found[0] = 0.0
    for count in range(1, min(MOST_SWAPPED, len(at) - 1) + 1):
        near = at[count:] - at[:-count] < SWAPPED_S
        found[count, : len(at) - count] = np.where(near, found[count - 1, : len(at) - count] + paid[count:], np.inf)
    return found


def _columns(courses: Courses) -> Columns:
    return courses.reservations, courses.seconds, courses.constants, courses.origins


def timeline(touches: Sequence[Touch]) -> Timeline:
    """The timeline of `touches`."""
    return Timeline(tuple(touches))
