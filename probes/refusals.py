"""The limit where no header tells it: by a few refusals. Only ratios can be known, and they suffice (`throttle-physics`, section 2).

Bursts from rest grow until one is refused in part: what was admitted is ceil(mark / reservation) - 1, or one more by the leak. Then
workers just below that number call without pause: either costs fill the bucket, and how long that takes gives outflow / cost, or
nothing happens and reservations alone bind.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from probes.bucket import BucketSettings
from probes.calls import Call, Round
from probes.estimate import LEAST_PRICED, Number, mean_of
from probes.observation import Observation, Outcome
from probes.prices import Prices
from probes.rates import ODDS, Ceilings
from probes.replay import network_s
from probes.safety import FASTEST_PER_S, even_rate, workers
from probes.twin import Twin

FIRST_BURST = 2
LARGEST_BURST = 80
MOST_REFUSALS = 5
GROWTH = 0.2
REST_S = 2.0
PROBING_S = 330.0
MOST_REST_S = 45.0
REST_A_CALL_S = 0.7
"""Rest for each call of the burst before: as long as a dear call needs to drain."""
WIDTH = 0.5
"""Of the in-flight limit: how wide the sustained steps are."""
DRAINS_S = 60.0
"""600 / 10: how long a full Canvas bucket takes to drain, which most servers like it keep."""
GLIDE_S = 12.0
"""Rest between the two touches of the mark: a longer one would let the debt of a usual bucket run dry, which errs to the safe side."""


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
    seen: Sequence[Observation] = ()

    def __call__(self, seen: Sequence[Observation]) -> Round | None:
        """The next round."""
        self.seen = seen
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
        """Even calls just below the limit until costs fill the bucket; then, `GLIDE_S` later, the same until it is full again."""
        if len(self.sustained) >= 2 or (self.sustained and not fillings(self, seen)):
            return None
        width = WIDTH * (limit or self.max_in_flight or LARGEST_BURST)
        rate = min(width / max(_median_flight(seen), 0.01), self.max_rate or FASTEST_PER_S, FASTEST_PER_S)
        rate = self.sustained[0][0] if self.sustained else rate
        count = left if self.sustained else max(2, int(0.6 * left))
        rest = GLIDE_S if self.sustained else _rest_after(seen)
        self.sustained.append((rate, len(seen)))
        return Round(tuple((n / rate, self.calls[n % len(self.calls)]) for n in range(count)), rest)


@dataclass(frozen=True, slots=True)
class Filling:
    """Even calls until the first refusal (`refused` False: it never came): calls admitted, seconds, calls in flight, when it ended."""

    calls: int
    seconds: float
    in_flight: float
    refused: bool
    ended_s: float


def fillings(design: RefusalDesign, seen: Sequence[Observation]) -> list[Filling]:
    """The sustained steps, as long as the first of them ended in a refusal; empty when costs never filled the bucket."""
    found = [_filling(rate, step) for (rate, _), step in zip(design.sustained, _parts(design.sustained, seen), strict=True)]
    return found if found and found[0].refused else []


def _filling(rate: float, step: Sequence[Observation]) -> Filling:
    sent = sorted(o.sent_s for o in step if o.sent_s is not None)
    refused = sorted(o.sent_s for o in step if o.outcome is Outcome.THROTTLED and o.sent_s is not None)
    end = refused[0] if refused else sent[-1] if sent else 0.0
    seconds = max(end - sent[0], 1e-3) if sent else 1e-3
    return Filling(
        sum(at < end for at in sent), seconds, rate * float(np.median(_served(step, network_s(step)) or [0.0])), bool(refused), end
    )


def admitted_limit(design: RefusalDesign, seen: Sequence[Observation]) -> int | None:
    """ceil(mark / reservation) - 1 by the first burst that was refused in part; None when none was.

    The leak between the starts of a burst lets one call more through where the mark is a whole number of reservations, as configured ones
    are, and no burst can tell the two apart. For the marks that Canvas comes with the smaller number is taken.
    """
    for (size, first), end in zip(design.bursts, _ends(design.bursts, seen), strict=True):
        burst = seen[first : min(end, first + size)]
        if any(o.outcome is Outcome.THROTTLED for o in burst):
            passed = sum(o.ok for o in burst)
            return max(1, passed - 1) if passed in ROUND_RATIOS else passed
    return None


ROUND_RATIOS = frozenset({12, 14})
"""600 / 50 and 700 / 50: Canvas's own mark and the hosted one, in reservations."""


def refusal_document(design: RefusalDesign, call: str, job: int, ceilings: Ceilings) -> dict[str, Any]:
    """The contract's entry for the regime without headers: `bucket` null, `ratios` in its place."""
    seen = design.seen
    limit = admitted_limit(design, seen)
    refused = [o for o in seen if o.outcome is Outcome.THROTTLED]
    times = np.array(_served([o for o in seen if o.call == call], network_s(seen)))
    steady = steady_rate(design, seen, limit)
    ratios = None if limit is None else prices_in_reservations(design, seen, limit)
    regime = "refusals" if refused else "unthrottled"
    steps = [_filling(rate, step) for (rate, _), step in zip(design.sustained, _parts(design.sustained, seen), strict=True)]
    unfilled = steps[0] if steps and not steps[0].refused else None
    signs = [{"kind": "no_headers", "says": f"No budget headers: told from {len(refused)} refusals in {len(seen)} calls."}]
    if refused and not fillings(design, seen):
        said = f"Costs did not fill the bucket in {len(seen)} calls: for a longer job the answer rests on what calls in flight reserve."
        signs.append({"kind": "tested_shortly", "says": said})
    return {
        "call": call,
        "regime": regime,
        "bucket": None,
        "ratios": {"in_flight_limit": limit, "steady_calls_per_s": None if steady is None else steady.document()} if refused else None,
        "cost": None,
        "server_time_s": None if (mean := mean_of(times)) is None else mean.document(),
        "safe": _safe(limit, ratios, unfilled, times, job, ceilings) if refused else _highest_clean(design, seen, job),
        "confirmed": None,
        "signs": signs,
    }


def prices_in_reservations(design: RefusalDesign, seen: Sequence[Observation], limit: int) -> tuple[float, float] | None:
    """Cost and outflow per second in reservations; (0, 0) where costs never filled the bucket, None where only one filling was seen.

    Between two touches of the mark T seconds apart the outflow took what the N calls admitted meanwhile cost: outflow / cost = N / T.
    The first filling, from rest, then gives the cost: N cost - t outflow = mark - in flight.
    """
    filled = fillings(design, seen)
    if not filled:
        return 0.0, 0.0
    if len(filled) < 2 or not filled[1].refused:
        return None
    first, second = filled[:2]
    steady = second.calls / max(second.ended_s - first.ended_s, 1e-3)
    paid = first.calls - steady * first.seconds
    cost = max(0.5, limit + 0.5 - first.in_flight) / max(paid, 0.2 * first.calls)
    return cost, steady * cost


def steady_rate(design: RefusalDesign, seen: Sequence[Observation], limit: int | None) -> Number | None:
    """Outflow / cost, calls/s; None where costs never filled the bucket."""
    ratios = prices_in_reservations(design, seen, limit) if limit is not None and fillings(design, seen) else None
    if ratios is None or ratios[1] <= 0.0:
        return None
    rate = ratios[1] / ratios[0]
    return Number(rate, 0.85 * rate, 1.15 * rate, sum(one.calls for one in fillings(design, seen)))


def _twin(limit: int, cost: float, outflow: float, times: np.ndarray) -> Twin:
    """A twin in units of one reservation."""
    bucket = BucketSettings(limit + 0.5, 2.0 * limit, max(outflow, 1e-6), 1.0)
    return Twin(bucket, *Prices(np.full(len(times), max(cost, 1e-9)), np.maximum(times, 1e-3)).smoothed())


def _worst(limit: int, unfilled: Filling) -> tuple[float, float]:
    """Cost and outflow if the calls that did not fill the bucket had just not done so, and it drains in a minute as Canvas's does."""
    outflow = (limit + 0.5) / DRAINS_S
    return max(0.0, limit + 0.5 - unfilled.in_flight + outflow * unfilled.seconds) / max(unfilled.calls, 1), outflow


def _safe(
    limit: int | None, ratios: tuple[float, float] | None, unfilled: Filling | None, times: np.ndarray, job: int, ceilings: Ceilings
) -> dict[str, Any] | None:
    """Safe numbers of a twin in units of one reservation."""
    if limit is None or ratios is None or len(times) < LEAST_PRICED:
        return None
    cost, outflow = ratios
    twin = _twin(limit, cost, outflow, times)
    middle = even_rate(twin, job, ODDS)
    rate = Number(0.96 * middle, 0.85 * middle, 1.15 * middle, len(times))
    if unfilled is not None:
        twin = _twin(limit, *_worst(limit, unfilled), times)
        least = 0.9 * even_rate(twin, job, ODDS)
        rate = Number(math.sqrt(least * rate.value), min(least, rate.low), rate.high, len(times))
    bound = "refusals" if not outflow else "outflow" if outflow / cost < 1.2 * middle else "reservations"
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
    latest = max((o.due_s for o in seen), default=0.0)
    together = sum(1 for o in seen if o.due_s > latest - 1e-6)
    return min(MOST_REST_S, max([REST_S, 2.0 * _median_flight(seen), REST_A_CALL_S * together, *asked]))


def _served(seen: Sequence[Observation], base: float) -> list[float]:
    """Server times of the calls answered as asked: the server's own account, else flight less the network's share."""
    answered = [(o, o.flight_s) for o in seen if o.ok and o.flight_s is not None]
    return [max(1e-3, o.server_time_s if o.server_time_s is not None else flight - base) for o, flight in answered]


def _median_flight(seen: Sequence[Observation]) -> float:
    flights = [o.flight_s for o in seen if o.ok and o.flight_s is not None]
    return float(np.median(flights)) if flights else 0.5


def _elapsed(seen: Sequence[Observation]) -> float:
    ends = [o.received_s for o in seen if o.received_s is not None]
    return max(ends) - min(o.due_s for o in seen) if ends else 0.0


def _failing(seen: Sequence[Observation]) -> bool:
    recent = list(seen)[-4:]
    return len(recent) == 4 and not any(o.ok or o.outcome is Outcome.THROTTLED for o in recent)


def _ends(steps: Sequence[tuple[Any, int]], seen: Sequence[Observation]) -> list[int]:
    """Where each step ends among the observations."""
    return [*(first for _, first in steps[1:]), len(seen)] if steps else []


def _parts(steps: Sequence[tuple[Any, int]], seen: Sequence[Observation]) -> list[Sequence[Observation]]:
    return [seen[first:end] for (_, first), end in zip(steps, _ends(steps, seen), strict=True)]
