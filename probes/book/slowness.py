"""Calls so slow that what they reserved has leaked before they return: of a bucket that is being learnt no burst of them tells anything.

Each header tells the level all the same, and one that shows an empty bucket that nothing of what is out is in it any more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

ARRIVED_S = 0.5
"""A call that was sent so long ago is at the server."""
SLOW_S = 5.0
"""A call that takes so long is slow: what Canvas's bucket needs to leak one reservation."""
QUICK_IN_A_ROW = 8
"""After so many others in a row calls are slow no more."""


@dataclass(slots=True)
class Slowness:
    """Whether calls are slow, and when a header last showed an empty bucket, -inf while they are not. Seconds."""

    emptied_s: float = -math.inf
    opens: bool = False
    """Whether no answer came since."""
    quick: int = 0

    @property
    def lasts(self) -> bool:
        """Whether only the level that headers show says when the next call may leave."""
        return self.emptied_s > -math.inf

    def answered(self, out: Mapping[int, float], sent_s: float, now_s: float, *, traced: bool, begins: bool) -> list[float]:
        """An answer to a call sent at `sent_s`, `traced` where the bucket was not empty; when the calls were sent that it tells of.

        It tells of those sent since the bucket was empty, if it is the first since. Calls are slow when the first of a burst to come
        back (`begins`) was, and left no trace although others are `out`.
        """
        arrived = bool(out) and now_s - max(out.values()) >= ARRIVED_S
        if not self.lasts and (traced or not arrived or not begins or now_s - sent_s < SLOW_S):
            return []
        told = [when for when in (*out.values(), sent_s) if when >= self.emptied_s] if arrived and self.opens else []
        self.opens = arrived and not traced
        self.emptied_s = now_s if self.opens else self.emptied_s
        self.quick = self.quick + 1 if now_s - sent_s < SLOW_S else 0
        return told

    @property
    def over(self) -> bool:
        """Whether calls were slow and are no more."""
        return self.lasts and self.quick >= QUICK_IN_A_ROW

    @staticmethod
    def unseen(out: Mapping[int, float], now_s: float) -> int:
        """Calls that a header of now may lack."""
        return sum(when > now_s - ARRIVED_S for when in out.values())
