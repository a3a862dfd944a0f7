"""A ceiling on how many calls leave in any second, as arithmetic; time is passed in."""

from __future__ import annotations

import math
from collections import deque

MOST_PER_S = 1e6
"""A higher ceiling is none: nobody sends so many calls a second."""
MARGIN_S = 0.02
"""The window is at least so much longer than a second, so that jitter on the way does not break the promise where the server counts."""


def window(most_per_s: float) -> tuple[int, float]:
    """(calls, seconds): so many calls in any so many seconds, at least one second, are `most_per_s` for good.

    Of a rate that is no whole number the next greater one in a little more than a second: 9.75 is 10 in 1.026 s, 0.5 is one in 2 s.
    """
    calls = max(1, math.ceil(most_per_s - 1e-9))
    return calls, calls / most_per_s


def lasting_per_s(most_per_s: float) -> float:
    """The rate, calls/s, at which a long job goes through a Pace: at most its ceiling, at least 98 % of it."""
    calls, seconds = window(most_per_s)
    return calls / max(seconds, 1.0 + MARGIN_S)


class Pace:
    """No more than `most_per_s` calls/s: of whole numbers in any second, of others as `window` says. None is no ceiling."""

    def __init__(self, most_per_s: float | None) -> None:
        calls, seconds = (0, 0.0) if most_per_s is None or most_per_s > MOST_PER_S else window(most_per_s)
        self._window_s = max(seconds, 1.0 + MARGIN_S)
        self._sends: deque[float] | None = deque(maxlen=calls) if calls else None

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
