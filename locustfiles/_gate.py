"""Ceilings on sending: no more requests a second than the instance allows, no more at one time than were granted."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import gevent
import gevent.event

from probes.pace import window


class RateGate:
    """At most `max_rate` requests/s, whoever sends them: of whole numbers in any second, of others as `probes.pace.window` says.

    Only requests that are late can bunch up so far: a schedule below the ceiling passes untouched.
    """

    def __init__(self, max_rate: float | None, now: Callable[[], float]) -> None:
        self._now = now
        self._sent: deque[float] = deque()
        self.set(None if max_rate is None else window(max_rate))

    def set(self, pace: tuple[int, float] | None) -> None:
        """Another ceiling from now on, so many calls in any so many seconds, or the same again, as every lease tells it.

        What was sent just now still counts.
        """
        self._most, self._window_s = pace or (0, 0.0)
        if self._sent.maxlen != self._most:
            self._sent = deque(self._sent, maxlen=self._most)

    def wait(self) -> None:
        """Waits until one more request may go, and counts it as sent then."""
        if not self._most:
            return
        at = self._now()
        if len(self._sent) == self._most:
            at = max(at, self._sent[0] + self._window_s)
        self._sent.append(at)  # taken before waiting, so that those who wait keep their order
        while (left := at - self._now()) > 0.0:
            gevent.sleep(left)


class FlightGate:
    """At most `limit` requests in flight in this process. The limit may change; a lower one holds for every request that begins later."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.flying = 0
        self._changed = gevent.event.Event()

    @property
    def held(self) -> int:
        """How many of the total this process may still be using: its limit, or what flies yet from a greater one."""
        return max(self.limit, self.flying)

    def set(self, limit: int) -> None:
        """Another limit from now on."""
        self.limit = limit
        self._changed.set()

    def enter(self) -> None:
        """Waits until one more request may fly, and counts it."""
        while self.flying >= self.limit:
            self._changed.clear()
            self._changed.wait(0.1)
        self.flying += 1

    def leave(self) -> None:
        """One request has landed."""
        self.flying -= 1
        self._changed.set()
