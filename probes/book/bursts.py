"""How many calls may start together at a bucket that is being learnt: two, more where they leave no trace, one where not even two fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

FIRST_ALONE, MOST_ALONE = 64, 8192
"""Where not even two calls fit, so many go one after another before two are tried again, and twice as many each time."""
STILL_BURSTS, MOST_DOUBLED = 3, 7
"""After so many bursts that left no trace in Remaining, twice as many calls start together; at most so many times."""
UNBOUNDED = 1_000_000
BOUNDED = 8
"""However small a reservation two calls showed: a neighbour who came or went meanwhile, or jitter, makes them show too small a one."""


class Answer(NamedTuple):
    """When an answer came, and the Remaining it showed, units."""

    at_s: float
    remaining: float


class Opening(NamedTuple):
    """The first answer of a burst: how many others were out, its flight, and the Remaining that it showed before it paid, units."""

    others: int
    seconds: float
    remaining: float


@dataclass(slots=True)
class Bursts:
    """`together` calls are out in the burst of now, 0 when none is."""

    together: int = 0
    alone: int = 0
    """So many calls are still to go one after another."""
    alone_next: int = FIRST_ALONE
    still: int = 0
    """Bursts without a trace: no bucket is kept for this token, or it leaks what so few calls reserve before the first returns."""
    most_doubled: int = MOST_DOUBLED

    @property
    def doubled(self) -> int:
        """How often the two that start together were made twice as many."""
        return min(self.still // STILL_BURSTS, self.most_doubled)

    def most(self, *, bounded: bool, awaited: bool) -> int:
        """How many calls may be out. `bounded`: a bound of the reservation is known; `awaited`: calls are out that do not hang."""
        if self.alone:
            return 1
        if self.together and awaited:  # none is refilled before it told what it can
            return 0
        if self.doubled == MOST_DOUBLED:
            return UNBOUNDED
        return max(2 << self.doubled, BOUNDED if bounded else 0)

    def over(self) -> None:
        """No call is out whose answer could still tell something of the burst of now."""
        self.together = 0

    def answered(self) -> None:
        """A header came."""
        self.alone = max(0, self.alone - 1)

    def traceless(self, others: int) -> bool:
        """A burst in which so many `others` started beside the first left no trace; whether more start together from now on."""
        self.still += others >= 1
        return others >= 1 and self.still % STILL_BURSTS == 0

    def refused(self, *, bounded: bool) -> None:
        """A call of a burst was refused: never so many together again."""
        if not bounded and self.doubled == 0:
            self.alone, self.alone_next = self.alone_next, min(2 * self.alone_next, MOST_ALONE)
        self.most_doubled = max(0, self.doubled - 1)
        self.still = 0
