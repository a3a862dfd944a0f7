"""What bounds a rate besides the bucket: the instance's own ceilings, and what the server was seen to keep."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from probes.safety import BoundBy
from probes.stats import Interval

PILED = 0.75
"""Of the rate at which what piled up once just fills the bucket so much is recommended: another time calls may stand still for longer."""
CLEARLY = 0.75
"""Where the server was seen to slow down calls pile up as well: only clearly below that rate it is another thing."""
BEYOND_TRIED = 1.1
"""Where the rate that is to be recommended was tried and met the guard, or the server changed since, no more than this times a pace that
was kept is recommended: threads or a lock may stand between, which neither the bucket nor so few calls show."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What bounds a rate besides the bucket: the instance's own ceilings and the rate at which the server slowed down.

    None where there is none; `steady_at` is the highest rate at which the server was seen not to slow down, `tried_at` the same where the
    recommended rate itself was to be tried, `piles_at` the one at which calls that stand still together fill the bucket; all in requests/s.
    """

    max_rate: float | None = None
    max_in_flight: int | None = None
    slowed_at: float | None = None
    steady_at: float | None = None
    piles_at: float | None = None
    tried_at: float | None = None

    def with_flight(self, seconds: float) -> Bounds:
        """The same with the rate that `max_in_flight` calls of so many seconds come to, where that is the lower ceiling."""
        if self.max_in_flight is None or seconds <= 0.0:
            return self
        return replace(self, max_rate=min(self.max_rate or math.inf, self.max_in_flight / seconds))

    def workers(self, most: int, flight_s: float) -> int:
        """`most` workers without pause, whose calls take so many seconds, or as many as keep the ceilings."""
        kept = math.inf if self.max_rate is None else math.floor(self.max_rate * flight_s + 1e-6)
        return int(min(most, kept, self.max_in_flight or math.inf))

    def burst(self, most: int) -> int:
        """`most` calls at one instant, or as many as keep the ceilings."""
        kept = math.inf if self.max_rate is None else max(1, int(self.max_rate))
        return int(min(most, kept, self.max_in_flight or math.inf))

    def applied(self, rate: Interval | None, bound: BoundBy) -> tuple[Interval | None, BoundBy]:
        """The rate under the server's own limits and the configured ceiling, and which of them binds."""
        n = rate.n if rate else 0
        if self.slowed_at is not None:
            steady = self.steady_at or self.slowed_at / 2
            if rate is None or steady < rate.low:
                rate, bound = Interval(steady, steady, self.slowed_at, n), BoundBy.LATENCY
        piled = math.inf if self.piles_at is None else self.piles_at * PILED
        if piled < (math.inf if rate is None else rate.low * (CLEARLY if bound is BoundBy.LATENCY else 1.0)):
            rate, bound = Interval(piled / PILED, piled, piled / PILED, n), BoundBy.RESERVATIONS
        if self.tried_at is not None and rate is not None:
            rate = replace(rate, low=min(rate.low, BEYOND_TRIED * self.tried_at))
        if self.max_rate is not None and (rate is None or self.max_rate < rate.low):
            rate, bound = Interval.exactly(self.max_rate, n), BoundBy.CEILING
        return rate, bound
