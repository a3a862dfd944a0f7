"""The greenlet that hands due times to users, each punctual to a fraction of a millisecond."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import gevent
from gevent.queue import SimpleQueue

from probes.arrivals import Due

SPIN_S = 0.001
"""A timer of the event loop may fire this much late; so the last stretch is waited out awake."""
SPIN_SHARE = 0.2
"""At most this share of the time between two requests is waited out awake: answers must be read, too."""
YIELD_AFTER = 50
"""After so many due times without a pause the event loop gets a turn: users must take them and answers be read."""


class Dispatcher:
    """Hands due times to whoever takes them from `slots`, each when it is due. `handed` counts them; `ended` once there are no more."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.slots: SimpleQueue[Due] = SimpleQueue()
        self.handed = 0
        self.ended = False
        self._now = now
        self._unyielded = 0

    def run(self, dues: Iterable[Due], start_s: float, go_on: Callable[[], bool]) -> None:
        """Hands out `dues`, which count from `start_s`, until they end or `go_on` says no; in `slots` they count from the run's start."""
        last = 0.0
        for n, due in dues:
            self.hand(n, start_s + due, min(SPIN_S, SPIN_SHARE * max(0.0, due - last)))
            last = due
            if not go_on():
                break
        self.ended = True

    def hand(self, n: int, due_s: float, spin_s: float = SPIN_S) -> None:
        """Waits until request `n` is due and hands it out."""
        self._wait_until(due_s, spin_s)
        self.slots.put((n, due_s))
        self.handed += 1
        self._unyielded += 1
        if self._unyielded >= YIELD_AFTER:
            self._yield()

    def _wait_until(self, due_s: float, spin_s: float) -> None:
        while (left := due_s - self._now()) > 0.0:
            if left > spin_s:
                gevent.sleep(max(0.0, left - SPIN_S))
                self._unyielded = 0
            elif self._unyielded:
                self._yield()
            else:
                while self._now() < due_s:
                    pass

    def _yield(self) -> None:
        self._unyielded = 0
        gevent.sleep(0)
