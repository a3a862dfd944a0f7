"""A ceiling on how many calls leave in any second, as arithmetic; time is passed in."""

from __future__ import annotations

import math
from collections import deque

MOST_PER_S = 1e6
"""A higher ceiling is none: nobody sends so many calls a second."""
MARGIN_S = 0.02
"""The window is a little longer than a second, so that jitter on the way does not break the promise where the server counts."""


class Pace:
    """No more than `most_per_s` calls in any second; below 1 no more than one in 1 / most_per_s seconds. None is no ceiling."""

    def __init__(self, most_per_s: float | None) -> None:
        rate = math.inf if most_per_s is None else most_per_s
        self._window_s = (1.0 if rate >= 1.0 else 1.0 / rate) + MARGIN_S
        self._sends: deque[float] | None = None if rate > MOST_PER_S else deque(maxlen=max(1, math.floor(rate)))

    def next_s(self, now_s: float) -> float:
        """The earliest instant from `now_s` on at which one more call may leave, none before a call that was given its instant already."""
        if not self._sends:
            return now_s
        full = len(self._sends) == self._sends.maxlen
        return max(now_s, self._sends[0] + self._window_s if full else self._sends[-1])

    def wait_s(self, now_s: float) -> float:
        """Seconds until one more call may leave; 0 now."""
        return self.next_s(now_s) - now_s

    def sent(self, at_s: float) -> None:
        """A call left, or leaves, at `at_s`."""
        if self._sends is not None:
            self._sends.append(at_s)
