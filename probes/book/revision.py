"""Whether constants that a limiter was given are those of the bucket still: a mark that moved, a reservation that grew, a bucket gone."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from probes.book.hearing import Standing
from probes.bucket import BucketSettings

JUDGED, ABOVE = 16, 12
"""Of so many headers of late so many above the mark show that it is higher; a server that tells nonsense now and then does not."""
REACHED = 4
"""The mark is raised to what so many of them reach."""
ABOVE_UNITS = 0.5
STILL, STILL_S, STILL_UNITS = 6, 2.5, 0.2
"""So many headers in a row, over so many seconds, that differ by no more: a level would leak, so the bucket is empty ..."""
LEAKED_UNITS = 2.0
"""... if at least this much would have leaked meanwhile."""
LOWER_SHARE = 0.02
"""A Remaining that stands still below the mark shows a lower mark, if it is lower by more than this share."""
ROOM = 1.05
"""A Remaining of more reservations than this lets a call pass: one that was refused there shows a greater reservation."""
PROOFS, WITHIN_CALLS = 2, 1500
"""So many such refusals within so many calls: one alone may be a departure between the verdict and its header."""
UNTOUCHED = 12
"""So many calls in a row that were at the server while another's header showed the mark, and by the book the bucket was not empty ..."""
FILLED = 1.5
"""... but held so many reservations: then none is kept."""
LEAKED_SHARE = 0.5
"""A call is sure to be seen until this part of its reservation has leaked."""


@dataclass(slots=True)
class Revision:
    """What headers and refusals of late say of the constants."""

    remaining: deque[float] = field(default_factory=lambda: deque(maxlen=JUDGED))
    still: Standing = field(default=Standing(0.0, 0.0, 0))
    proofs: deque[int] = field(default_factory=lambda: deque(maxlen=PROOFS))
    """How many calls were sent when refusals came that Remaining had room for."""
    empty_s: deque[float] = field(default_factory=lambda: deque(maxlen=JUDGED))
    """When headers at the mark came, of late and in a row."""
    untouched: int = 0

    def mark(self, now_s: float, remaining: float, settings: BucketSettings) -> float | None:
        """A header: the mark that those of late show, where it is another, units."""
        self.remaining.append(remaining)
        since_s, base, count = self.still
        if abs(remaining - base) > STILL_UNITS:
            since_s, base, count = now_s, remaining, 0
        self.still = Standing(since_s, base, count + 1)
        found = self._higher(settings) or self._lower(now_s - since_s, settings)
        if found is not None:
            self.remaining.clear()
        return found

    def _higher(self, settings: BucketSettings) -> float | None:
        above = sorted((told for told in self.remaining if told > settings.high_water_mark + ABOVE_UNITS), reverse=True)
        return above[REACHED - 1] if len(above) >= ABOVE else None

    def _lower(self, still_s: float, settings: BucketSettings) -> float | None:
        _, base, count = self.still
        lower = settings.up_front_cost * ROOM < base < (1.0 - LOWER_SHARE) * settings.high_water_mark
        lasts = still_s >= max(STILL_S, LEAKED_UNITS / settings.outflow_per_s)
        return base if count >= STILL and lower and lasts else None

    def refused(self, sent: int, remaining: float | None, settings: BucketSettings) -> bool:
        """A refusal after so many calls: whether the reservation must be greater than was thought."""
        if remaining is None or remaining <= ROOM * settings.up_front_cost:
            return False
        self.proofs.append(sent)
        return len(self.proofs) == PROOFS and self.proofs[-1] - self.proofs[0] < WITHIN_CALLS

    def gone(self, sent_s: float, now_s: float, remaining: float, way_s: float, filled: float, settings: BucketSettings) -> bool:
        """The header of a call: whether no bucket is kept for this token any more.

        A call and its answer travel less than `way_s`; calls that must have arrived fill `filled` units by the book. Only calls that
        came back count: a ticket that nobody releases is at no server.
        """
        if abs(remaining - settings.high_water_mark) > STILL_UNITS:
            self.empty_s.clear()
            self.untouched = 0
            return False
        until_s = min(now_s - way_s, sent_s + LEAKED_SHARE * settings.up_front_cost / settings.outflow_per_s)
        there = any(sent_s + way_s < when < until_s for when in self.empty_s)
        self.untouched += there and filled >= FILLED * settings.up_front_cost
        self.empty_s.append(now_s)
        return self.untouched >= UNTOUCHED
