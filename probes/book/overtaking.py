"""Answers that overtake each other on their way: how far apart they may be, learnt from the limiter's book. Seconds and units."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

LONGEST_S = 0.05
"""An answer that is received this much before another may have left after it ..."""
FLIGHT_SHARE = 0.25
"""... or this part of the shortest flight, where that is less."""
JUDGED = 64
"""After so many headers the longest overtaking that one of them needed says how long they are."""
SHORTEST_S = 0.01
"""Threads and event loops of one process are that late themselves."""
CAUTION = 2.0
NEAR_UNITS = 2.0


@dataclass(slots=True)
class Overtaking:
    """What answers freed of late, (instant, units), and how long an overtaking each header needed to agree with the book."""

    released: deque[tuple[float, float]] = field(default_factory=deque)
    needed: deque[float] = field(default_factory=lambda: deque(maxlen=JUDGED))

    def release(self, now_s: float, units: float) -> None:
        """An answer freed so many units."""
        self._forget(now_s)
        self.released.append((now_s, units))

    def longest_s(self, quickest_s: float) -> float:
        """An answer received so long before another may have left after it; `quickest_s` is the shortest flight."""
        longest = min(LONGEST_S, FLIGHT_SHARE * quickest_s)
        if len(self.needed) < JUDGED:
            return longest
        return min(longest, max(SHORTEST_S, CAUTION * max(self.needed)))

    def units(self, now_s: float, quickest_s: float) -> float:
        """Units that a header of now may still hold although the book has freed them."""
        self._forget(now_s)
        since_s = now_s - self.longest_s(quickest_s)
        return sum(units for when, units in self.released if when >= since_s)

    def _forget(self, now_s: float) -> None:
        while self.released and self.released[0][0] < now_s - LONGEST_S:
            self.released.popleft()

    def judge(self, now_s: float, excess: float) -> None:
        """A header shows `excess` units more than the book has: how long an overtaking would explain it, if any does."""
        needed_s, freed = 0.0, 0.0
        for when, units in reversed(self.released):
            if freed >= excess - NEAR_UNITS:
                break
            freed += units
            needed_s = now_s - when
        self.needed.append(needed_s if freed >= excess - NEAR_UNITS else 0.0)
