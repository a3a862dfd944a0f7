"""The limit where no header tells it: by a few refusals. Only ratios can be known, and they suffice (`throttle-physics`, section 2).

Bursts from rest grow until one is refused in part: what was admitted is ceil(mark / reservation) - 1, or one more by the leak. Then
workers just below that number call without pause: either costs fill the bucket, and how long that takes gives outflow / cost, or
nothing happens and reservations alone bind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from probes.bucket import BucketSettings
from probes.calls import Call, Round
from probes.estimate import Number, mean_of
from probes.observation import Observation, Outcome
from probes.prices import Prices
from probes.rates import ODDS, Ceilings
from probes.safety import FASTEST_PER_S, even_rate, workers
from probes.twin import Twin

FIRST_BURST = 2
LARGEST_BURST = 80
MOST_REFUSALS = 5
GROWTH = 0.2
REST_S = 2.0
PROBING_S = 300.0


@dataclass
class RefusalDesign:
    """Called with all observations so far, answers with the next round, None at the end; see the module.

    `bursts` keeps (size, first observation).
    """

    calls: tuple[Call, ...]
    budget: int = 400
    max_rate: float | None = None
    max_in_flight: int | None = None
    bursts: list[tuple[int, int]] = field(default_factory=list)
    sustained: list[tuple[float, int]] = field(default_factory=list)

    def __call__(self, seen: Sequence[Observation]) -> Round | None:
        """The next round."""
        refused = sum(o.outcome is Outcome.THROTTLED for o in seen)
        left = self.budget - len(seen)
        if left < 2 or refused >= MOST_REFUSALS or _elapsed(seen) > PROBING_S or _failing(seen):
            return None
        limit = admitted_limit(self, seen)
        if limit is None and not self._at_ceiling():
            return self._burst(seen, left)
        return self._sustain(seen, left, limit)

    def _at_ceiling(self) -> bool:
        return bool(self.bursts) and self.bursts[-1][0] >= min(LARGEST_BURST, self.max_in_flight or LARGEST_BURST)

    def _burst(self, seen: Sequence[Observation], left: int) -> Round | None:
        last = self.bursts[-1][0] if self.bursts else 0
        size = FIRST_BURST if not last else last + max(1, min(MOST_REFUSALS - 1, int(1 + last * GROWTH)))
        size = min(size, self.max_in_flight or LARGEST_BURST, LARGEST_BURST)
        if size > left:
            return None
        self.bursts.append((size, len(seen)))
        return Round(tuple((0.0, self.calls[n % len(self.calls)]) for n in range(size)), _rest_after(seen))

    def _sustain(self, seen: Sequence[Observation], left: int, limit: int | None) -> Round | None:
        """Even calls at rising rates, to see whether costs fill the bucket: each step from what the last one left."""
        shares = (0.5, 0.7, 0.85)
        if len(self.sustained) >= len(shares):
            return None
        time_s = _median_flight(seen)
        width = (limit or self.max_in_flight or LARGEST_BURST) * shares[len(self.sustained)]
        rate = min(width / max(time_s, 0.01), self.max_rate or FASTEST_PER_S, FASTEST_PER_S)
        count = max(2, min(left, max(30, left // (len(shares) - len(self.sustained)))))
        self.sustained.append((rate, len(seen)))
        return Round(tuple((n / rate, self.calls[n % len(self.calls)]) for n in range(count)), 0.5 * _rest_after(seen))


def admitted_limit(design: RefusalDesign, seen: Sequence[Observation]) -> int | None:
    """ceil(mark / reservation) - 1 by the first burst that was refused in part; None when none was.

    The leak between the starts of a burst lets one call more through where the mark is a whole number of reservations, as configured
    ones are: so does a spread of milliseconds, and no burst can tell the two apart. The smaller number is taken.
    """
    for (size, first), end in zip(design.bursts, [*(start for _, start in design.bursts[1:]), len(seen)], strict=True):
        burst = seen[first : min(end, first + size)]
        refused = sum(o.outcome is Outcome.THROTTLED for o in burst)
        if refused:
            passed = sum(o.ok for o in burst)
            return max(1, passed - 1) if passed in ROUND_RATIOS else passed
    return None


ROUND_RATIOS = frozenset({12, 14})
"""600 / 50 and 700 / 50: Canvas's own mark and the hosted one, in reservations."""


def refusal_document(design: RefusalDesign, seen: Sequence[Observation], call: str, job: int, ceilings: Ceilings) -> dict[str, Any]:
    """The contract's entry for the regime without headers: `bucket` null, `ratios` in its place."""
    limit = admitted_limit(design, seen)
    refused = [o for o in seen if o.outcome is Outcome.THROTTLED]
    times = np.array([o.flight_s for o in seen if o.ok and o.call == call and o.flight_s is not None])
    steady = steady_rate(design, seen)
    regime = "refusals" if refused else "unthrottled"
    return {
        "call": call,
        "regime": regime,
        "bucket": None,
        "ratios": {"in_flight_limit": limit, "steady_calls_per_s": None if steady is None else steady.document()} if refused else None,
        "cost": None,
        "server_time_s": None if (mean := mean_of(times)) is None else mean.document(),
        "safe": _safe(limit, steady, times, job, ceilings) if refused else _highest_clean(design, seen, job),
        "confirmed": None,
        "signs": [{"kind": "no_headers", "says": f"No budget headers: told from {len(refused)} refusals in {len(seen)} calls."}],
    }


def steady_rate(design: RefusalDesign, seen: Sequence[Observation]) -> Number | None:
    """Outflow / cost where costs filled the bucket in a sustained step: calls admitted until the refusal over its time.

    None where they never did.
    """
    for (rate, first), end in zip(design.sustained, [*(start for _, start in design.sustained[1:]), len(seen)], strict=True):
        step = seen[first:end]
        times = [o.sent_s for o in step if o.outcome is Outcome.THROTTLED and o.sent_s is not None]
        starts = [o.sent_s for o in step if o.sent_s is not None]
        if times and min(times) - min(starts) > 2.0:
            passed = sum(o.ok for o in step)
            measured = passed / (max(starts) - min(starts) + 1e-9)
            return Number(min(measured, rate) * 0.85, measured * 0.5, measured, passed)
    return None


def _safe(limit: int | None, steady: Number | None, times: np.ndarray, job: int, ceilings: Ceilings) -> dict[str, Any] | None:
    if limit is None or len(times) < 5:
        return None
    outflow = 0.0 if steady is None else 1.0
    cost = 0.0 if steady is None else outflow / steady.value
    bucket = BucketSettings(float(limit) + 0.5, float(limit) * 2, max(outflow, 1e-6), 1.0)
    costs, smooth = Prices(np.full(len(times), max(cost, 1e-9)), np.maximum(times, 1e-3)).smoothed()
    twin = Twin(bucket, costs, smooth)
    middle = even_rate(twin, job, ODDS)
    rate = Number(middle * 0.96, middle * 0.85, middle * 1.15, len(times))
    bound = "refusals" if steady is None else "outflow"
    if ceilings.max_rate is not None and ceilings.max_rate < rate.low:
        rate, bound = Number(ceilings.max_rate, ceilings.max_rate, ceilings.max_rate, len(times)), "ceiling"
    in_flight = min(workers(twin, job, ODDS), ceilings.max_in_flight or limit)
    return {"rate_per_s": rate.document(), "in_flight": in_flight, "burst": limit, "bound_by": bound, "job_calls": job, "odds": ODDS}


def _highest_clean(design: RefusalDesign, seen: Sequence[Observation], job: int) -> dict[str, Any] | None:
    """No refusal up to the ceilings: the highest rate that was tried is what can be said."""
    if not design.sustained:
        return None
    rate = max(rate for rate, _ in design.sustained)
    width = max(size for size, _ in design.bursts)
    number = Number(rate, rate, rate, len(seen))
    return {"rate_per_s": number.document(), "in_flight": width, "burst": width, "bound_by": "ceiling", "job_calls": job, "odds": ODDS}


def _rest_after(seen: Sequence[Observation]) -> float:
    """Long enough for quick reservations to be given back and for costs to drain; what Retry-After says, when it is longer."""
    asked = [o.retry_after_s for o in seen[-10:] if o.retry_after_s is not None]
    return min(60.0, max([REST_S, 2.0 * _median_flight(seen), *asked]))


def _median_flight(seen: Sequence[Observation]) -> float:
    flights = [o.flight_s for o in seen if o.ok and o.flight_s is not None]
    return float(np.median(flights)) if flights else 0.5


def _elapsed(seen: Sequence[Observation]) -> float:
    ends = [o.received_s for o in seen if o.received_s is not None]
    return max(ends) - min(o.due_s for o in seen) if ends else 0.0


def _failing(seen: Sequence[Observation]) -> bool:
    recent = list(seen)[-4:]
    return len(recent) == 4 and not any(o.ok or o.outcome is Outcome.THROTTLED for o in recent)
