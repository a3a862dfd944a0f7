"""Other traffic on the same token as a limiter sees it: how often somebody else reserved, and what to keep free for the unseen."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

FORGET_S = 120.0
"""A jump of the level is held against the next calls for so long."""
EXPECTED_PER_S = 3.0
"""Before a header says otherwise a neighbour may make so many calls a second ..."""
DOUBT_FADES_PER_S = 1.0
"""... and each second of clean headers makes that unlikelier by this exponent."""
JUMP_FADES_PER_S = 0.4
"""The same after a jump was seen."""
APART_S = 0.3
"""Jumps closer than this are one."""
ACTIVE_S = 10.0
"""A jump blurs for so long what headers tell of the round trip."""
ODDS = 3e-4
"""The odds that more arrives unseen than was kept free."""
MOST_UNSEEN = 6
"""Never more reservations than these are kept free."""
DRIFT_PER_S = 6.0
"""Units a second that neighbours may pay in the first second after a header ..."""
DRIFT_GROWS = 1.5
"""... and later so many times what they paid of late."""
PAID_PER_S = 3.0
"""Units a second that they pay at least, where what cannot have leaked is asked."""
DRIFT_MEMORY_S = 20.0
JUDGED = 32
"""Headers of late that are judged together ..."""
LEAST_JUDGED = 8
CLEAN_SHARE, UNEXPLAINED_SHARE = 0.35, 0.6
"""... by how many of them the book does not explain: up to here nobody else is seen, from there somebody is. Alone it is below 1 % (a
quarter where the network jitters by 30 ms), with one who makes three calls a second about 70 %."""
CLEAN_ENOUGH_S = 20.0


@dataclass(slots=True)
class Neighbours:
    """Jumps of the level that our own calls do not explain, (instant, reservations), newest last."""

    jumps: deque[tuple[float, float]] = field(default_factory=deque)
    first_header_s: float = math.inf
    last_header_s: float = -math.inf
    clean_s: float = 0.0
    """For so long headers spoke against a neighbour."""
    drift_per_s: float = 0.0
    """What neighbours paid of late, units/s: by so much less than the outflow the level fell."""
    unexplained: deque[bool] = field(default_factory=lambda: deque(maxlen=JUDGED))

    def header(self, now_s: float) -> None:
        """A header was read at `now_s`."""
        self.first_header_s = min(self.first_header_s, now_s)
        self.last_header_s = now_s
        while self.jumps and self.jumps[0][0] < now_s - FORGET_S:
            self.jumps.popleft()

    def jump(self, reservations: float, now_s: float) -> None:
        """A header showed this many reservations more than ours."""
        self.jumps.append((now_s, min(reservations, float(MOST_UNSEEN))))

    def drifted(self, units: float, now_s: float) -> None:
        """Since the header before this one the level fell by so many units less than it should have (negative: more)."""
        seconds = now_s - self.last_header_s
        if 0.0 < seconds < math.inf:
            self.drift_per_s += (units / seconds - self.drift_per_s) * (1.0 - math.exp(-seconds / DRIFT_MEMORY_S))

    def compared(self, now_s: float, *, explained: bool) -> None:
        """A header showed the level that our own calls explain, or less: who was counted and is gone was a neighbour.

        To be called before `header`, with the same instant.
        """
        self.unexplained.append(not explained)
        share = sum(self.unexplained) / len(self.unexplained)
        if share >= UNEXPLAINED_SHARE:
            self.clean_s = 0.0
        elif share <= CLEAN_SHARE and len(self.unexplained) >= LEAST_JUDGED and self.last_header_s > -math.inf:
            self.clean_s = min(self.clean_s + min(1.0, now_s - self.last_header_s), CLEAN_ENOUGH_S)

    def rate_per_s(self, now_s: float) -> float:
        """Reservations a second that the neighbours may make: what was seen, or a doubt that fades."""
        rate = EXPECTED_PER_S * math.exp(-DOUBT_FADES_PER_S * self.clean_s)
        if self.jumps:
            rate = max(rate, EXPECTED_PER_S * math.exp(-JUMP_FADES_PER_S * (now_s - self.jumps[-1][0])))
        if self.settled:
            seen_s = min(FORGET_S, max(1.0, now_s - self.first_header_s))
            rate = max(rate, EXPECTED_PER_S, sum(size for _, size in self.jumps) / seen_s)
        return rate

    @property
    def settled(self) -> bool:
        """Whether more than one jump was seen: a single one may be a mistake of the book."""
        return len(self.jumps) > 1 and self.jumps[-1][0] - self.jumps[0][0] > APART_S

    @property
    def suspected(self) -> bool:
        """Whether too many headers of late showed less than the book has."""
        return len(self.unexplained) >= LEAST_JUDGED and sum(self.unexplained) >= UNEXPLAINED_SHARE * len(self.unexplained)

    def active(self, now_s: float) -> bool:
        """Whether a neighbour was seen of late."""
        return self.settled or self.suspected or (bool(self.jumps) and now_s - self.jumps[-1][0] < ACTIVE_S)

    def unseen(self, now_s: float, round_trip_s: float) -> int:
        """How many reservations may be there that no header showed yet when a call sent now arrives."""
        if self.first_header_s == math.inf:
            return MOST_UNSEEN - 1
        mean = self.rate_per_s(now_s) * max(0.0, min(1.0, now_s - self.last_header_s + round_trip_s))
        term = rest = math.exp(-mean)
        count = 0
        while 1.0 - rest > ODDS and count < MOST_UNSEEN:
            count += 1
            term *= mean / count
            rest += term
        return count

    @property
    def paying_per_s(self) -> float:
        """Units a second that neighbours may pay over a while."""
        return max(PAID_PER_S, DRIFT_GROWS * self.drift_per_s)

    def drift(self, now_s: float, round_trip_s: float) -> float:
        """Units that neighbours may have paid since the last header."""
        seconds = max(0.0, now_s - self.last_header_s + round_trip_s)
        return max(DRIFT_PER_S * min(1.0, seconds), DRIFT_GROWS * self.drift_per_s * min(seconds, FORGET_S))
