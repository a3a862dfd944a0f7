"""How long calls travel, learnt from the limiter's book: the round trip, and which calls a header can and cannot have seen."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

FIRST_S = 2.0
"""So long the first call is waited for before others follow it: what stood in the bucket before it only its answer tells."""
KEPT = 64
SAFE_SHARE = 0.4
"""Of the youngest call that a header had seen; where calls are sent far apart few of them are so young, and the true round trip is less."""
PATIENCE_S, PATIENCE_FLIGHTS, MOST_PATIENCE_S = 5.0, 5.0, 30.0
"""A call seems to hang when it is out for so long, and for so many times the longest flight; or for as long as the last."""
FEW = 8
FORGOTTEN = 512
"""The shortest flight is that of so many flights at least, and of twice as many at most: who was nearer once may be no more."""
LATER = 1.1
"""A header may lack a call that is so many times as old as any that was lacked of late."""
LEAST = 32
"""Headers before a lower bound of the round trip is believed."""


@dataclass(slots=True)
class Passage:
    """What is known of the round trip, seconds.

    `quickest_s`, `longest_s`: the shortest flight, more than a round trip, and the longest. `round_trip_s`:
    less than the age of the youngest call that a header of late
    had seen; 0 until that is known. `latest_s`: more than the age of the oldest one that a header of late lacked.
    """

    quickest_s: float = math.inf
    longest_s: float = 0.0
    round_trip_s: float = 0.0
    latest_s: float = 0.0
    flights: int = 0
    quickest_lately_s: float = math.inf
    unseen: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=KEPT))
    """(instant, age) of the oldest call that each header of late lacked."""
    seen: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))

    def flown(self, seconds: float) -> None:
        """A call came back after `seconds`."""
        self.quickest_s = min(self.quickest_s, seconds)
        self.longest_s = max(self.longest_s, seconds)
        self.flights += 1
        self.quickest_lately_s = min(self.quickest_lately_s, seconds)
        if self.flights % FORGOTTEN == 0:
            self.quickest_s, self.quickest_lately_s = self.quickest_lately_s, math.inf

    @property
    def patience_s(self) -> float:
        """A call that is out for longer seems to hang."""
        return min(max(PATIENCE_S, PATIENCE_FLIGHTS * self.longest_s), MOST_PATIENCE_S)

    def expected(self, out: Mapping[int, float], now_s: float) -> Mapping[int, float]:
        """The calls that are `out`, without those that seem to hang; number and instant of sending, in that order."""
        if now_s - next(iter(out.values()), now_s) < self.patience_s:
            return out
        return {number: sent_s for number, sent_s in out.items() if now_s - sent_s < self.patience_s}

    def first_s(self, out: Mapping[int, float], now_s: float) -> float:
        """Seconds for which the oldest call that is `out` is waited for, where none has come back yet."""
        return FIRST_S - (now_s - next(iter(out.values()), -math.inf))

    def compare(self, out: Mapping[int, float], now_s: float, missing: float) -> None:
        """A header showed `missing` reservations less than the book: all but so many of the latest calls had arrived."""
        count, unseen_s = max(0, round(missing)), 0.0
        for index, sent_s in enumerate(reversed(list(out.values()))):
            if index == count:
                self.seen.append(now_s - sent_s)
                break
            unseen_s = now_s - sent_s
        self.unseen.append((now_s, unseen_s))
        self._measure()
        if len(self.seen) >= LEAST:
            self.round_trip_s = min(SAFE_SHARE * min(self.seen), self.quickest_s)

    def mistook(self, since_s: float) -> None:
        """What headers since then lacked was no call on its way; where nothing is left they are doubted until a few more came."""
        while self.unseen and self.unseen[-1][0] >= since_s:
            self.unseen.pop()
        self._measure()

    def _measure(self) -> None:
        self.latest_s = LATER * max((age_s for _, age_s in self.unseen), default=0.0)

    @property
    def unknown(self) -> bool:
        """Whether too few headers were compared with the book to tell how old they are."""
        return len(self.unseen) < FEW

    def late_s(self, *, doubted: bool) -> float:
        """How old a header may be when a call that is sent now arrives.

        While neighbours blur what headers tell no more is known than the shortest flight.
        """
        if doubted:
            return min(self.quickest_s, 1.0)
        return min(self.quickest_s, self.latest_s)

    def surely_unseen(self, out: Mapping[int, float], now_s: float) -> int:
        """Calls so young that no header of now can hold them."""
        return _younger(out, now_s - self.round_trip_s, among_equals=False)

    def maybe_unseen(self, out: Mapping[int, float], now_s: float) -> int:
        """Calls so young that a header of now may lack them: as young as any that one lacked of late."""
        return _younger(out, now_s - max(self.quickest_s, self.latest_s), among_equals=True)

    def hardly_unseen(self, out: Mapping[int, float], now_s: float) -> int:
        """The same if nothing is known but the shortest flight."""
        return _younger(out, now_s - self.quickest_s, among_equals=True)


def _younger(out: Mapping[int, float], since_s: float, *, among_equals: bool) -> int:
    count = 0
    for sent_s in reversed(list(out.values())):
        if sent_s < since_s or (sent_s == since_s and not among_equals):
            break
        count += 1
    return count
