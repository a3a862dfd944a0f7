"""Calls that a limiter counts on no more: lost on their way, or out far longer than others of late. Seconds and units.

A server may be at work on such a call still, or not: a ticket that nobody releases is at no server. The next headers show it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

JUDGED, LEAST = 64, 16
"""Flights of late, and how many must be known ..."""
SLOW_SHARE, TIMES, SHORTEST_S = 0.95, 1.6, 0.3
"""... before a call is overdue that takes so many times as long as so large a part of them, and no less than so long. Of calls whose
lengths are lognormal with a spread of a half, 1 in 200 is."""
FORGOTTEN_S = 300.0
"""Longer than clients wait for an answer: whoever holds a ticket for so long will not release it."""


@dataclass(slots=True)
class Overdue:
    """What was given up: no part of our own level any more, but of the level until headers show less."""

    flights: deque[float] = field(default_factory=lambda: deque(maxlen=JUDGED))
    waiting: dict[int, float] = field(default_factory=dict)
    """When each call was sent that was given up and may come back; oldest first."""
    units: float = 0.0
    """So much of what calls reserved that were given up may be in the level still."""
    settled: float = 0.0
    """So much of what those reserved that may come back was taken out of the level, since headers showed it gone ..."""
    newest: int = 0
    """... of this call and those before it."""
    since_s: float = -math.inf
    """When the first of those was sent that are in doubt now, or were last."""

    def flown(self, seconds: float) -> None:
        """A call came back after `seconds`."""
        self.flights.append(seconds)

    @property
    def after_s(self) -> float:
        """A call that is out for longer is overdue."""
        if len(self.flights) < LEAST:
            return FORGOTTEN_S
        return max(SHORTEST_S, TIMES * sorted(self.flights)[int(SLOW_SHARE * len(self.flights))])

    def among(self, out: Mapping[int, float], now_s: float) -> list[int]:
        """Which of the calls that are `out` (oldest first) are overdue."""
        until_s = now_s - self.after_s
        found = []
        for number, sent_s in out.items():
            if sent_s > until_s:
                break
            found.append(number)
        return found

    def give_up(self, held: float, sent_s: float, reservation: float) -> None:
        """A call that was sent at `sent_s` is counted on no more; it may hold so many units."""
        if not self.doubtful(reservation):
            self.since_s = sent_s
        self.units += held

    def doubtful(self, reservation: float) -> bool:
        """Whether headers may show a call that was given up, as if they lacked none of those that are out."""
        return self.units >= 0.5 * reservation

    def standing(self, above: float, reservation: float) -> float:
        """Of `above` units that a header shows beyond our own level: what calls given up may hold, in whole reservations."""
        return reservation * max(0, min(round(above / reservation), round(self.units / reservation)))

    def settle(self, units: float) -> None:
        """Headers showed that so much is in the level no more."""
        settled = min(units, self.units)
        self.units -= settled
        self.settled += settled
        self.newest = next(reversed(self.waiting), 0)

    def returned(self, number: int, reservation: float) -> tuple[float, float]:
        """Call `number` came back: so much of its `reservation` is in the level no more, and so much is still; the rest has leaked."""
        self.settled = min(self.settled, reservation * (1 + len(self.waiting)))  # lost calls come back no more
        gone = min(reservation, self.settled) if number <= self.newest else 0.0
        held = min(reservation - gone, self.units)
        self.units -= held
        self.settled -= gone
        return gone, held

    def forget(self, now_s: float) -> None:
        """Calls that were sent too long ago come back no more."""
        while self.waiting and next(iter(self.waiting.values())) <= now_s - FORGOTTEN_S:
            del self.waiting[next(iter(self.waiting))]
