"""Which calls to make next so that they narrow the answer most, and no refusal is caused.

One call, then two, then three together give the mark, the reservation and a first outflow. A train that never lets the bucket touch its
floor gives the outflow (its error falls with the length of the train). Then the price of the calls, at rates that rise in small steps
and stop at the first sign of a slower server. Every round is checked against a forecast first: the level may not come nearer to the
mark than `MARGIN` of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from probes.calls import Call, Round
from probes.estimate import Estimate, estimate
from probes.observation import Observation, Outcome
from probes.safety import even_rate
from probes.slowing import queueing, slowed
from probes.twin import Twin

MARGIN = 0.2
"""Share of the mark that stays free in every forecast."""
RESTED = 0.1
"""Share of the mark down to which the level may fall before the next round."""
IDENTIFY_CALLS = 60
IDENTIFY_S = 20.0
"""Most calls and seconds for the bucket's constants."""
UNCLEAR_CALLS = 30
"""Until so many, two at a time are asked where the bucket is still unclear: a few headers whose order was lost need not be another job."""
ROOMY = 0.6
STILL, STILL_S = (3, 6, 12), 10.0
"""How many calls start together while Remaining never moves; not where they take longer than this, s: a bucket could fill meanwhile."""
SIGNED_CALLS = 12
TRAIN_CALLS = 22
TRAIN_S = 7.0
OUTFLOW_ERROR = 0.004
"""A train is repeated until the outflow's standard error is below this share."""
STEPS = ((0.25, 0.10), (0.4, 0.12), (0.55, 0.15), (0.7, 0.2), (0.85, 1.0))
"""Pricing: (share of the rate that is safe for so many calls, share of the calls that are there for pricing)."""
LEAST_STEP, FASTER = 12, 2.5
"""Fewest calls of a step, and by how many times it may be faster than those before."""
LEAST_JUDGED = 8
"""Fewest calls that a step is judged by: a last one that the budget cut short borrows from the step before."""
PRICING_S = 300.0
BARE_IN_A_ROW = 20
REFUSALS_BORNE = 2
"""Refusals after which the design gives up: its forecast does not hold here."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of pricing: what was asked, and how the server stood it."""

    rate_per_s: float
    first: int
    calls: int


@dataclass
class Design:
    """Called with all observations so far, answers with the next round, None when nothing more is needed.

    `calls` share one bucket; `budget` is the most requests in all; `max_rate` (requests/s) and `max_in_flight` are ceilings. `price` is
    whether the calls are priced after the bucket is known. What it learnt stays readable: `identified_after` (requests, seconds),
    `steps`, `slowed_at` (requests/s, None when never).
    """

    calls: tuple[Call, ...]
    budget: int = 400
    max_rate: float | None = None
    max_in_flight: int | None = None
    price: bool = True
    identified_after: tuple[int, float] | None = None
    steps: list[Step] = field(default_factory=list)
    slowed_at: float | None = None
    _turn: int = 0
    _step: int = 0
    _to_price: int = 0
    _suspected: float | None = None
    _identify_turns: int = 0
    _still: int = 0

    def __call__(self, seen: Sequence[Observation]) -> Round | None:
        """The next round. A bucket that shows no headers, or refuses more than twice, ends the design."""
        left = self.budget - len(seen)
        if left < 1 or _hopeless(seen):
            return None
        found = estimate(seen) if len(seen) >= 2 else None
        if found is not None and found.regime != "headers":
            return self._without_level(seen, found)
        asked = self._identify(seen, found, left) if self.identified_after is None else None
        if asked is None:
            asked = self._price(seen, found, left)
        return asked

    def finish(self, seen: Sequence[Observation]) -> None:
        """Judges the last step, after which nothing more was asked: a first sign that cannot be checked any more counts."""
        if not self._slowed(seen) and self._suspected is not None:
            self.slowed_at = self._suspected

    @property
    def pricing_s(self) -> float:
        """About how long pricing takes, s, by the rate of its first step; 0.0 before that is set."""
        if not self.steps:
            return 0.0
        safe, left, seconds = self.steps[0].rate_per_s / STEPS[0][0], self._to_price, 0.0
        for share, part in STEPS:
            calls = min(left, max(LEAST_STEP, round(part * self._to_price)))
            seconds += calls / min(share * safe, 0.98 * self.max_rate if self.max_rate else math.inf)
            left -= calls
        return min(seconds, PRICING_S)

    def _identify(self, seen: Sequence[Observation], found: Estimate | None, left: int) -> Round | None:
        """Alone, alone, two, two, three, three, then trains, until the outflow is known or calls and time are spent."""
        self._identify_turns += 1
        size = (0, 1, 1, 2, 2, 3, 3)[self._identify_turns] if self._identify_turns <= 6 else 0
        most = IDENTIFY_CALLS - STILL[-1] if self._still else UNCLEAR_CALLS
        unclear = found is not None and not found.identified and len(seen) < most and _roomy(seen)
        size = size or (self._unclear_size if unclear else 0)
        asked = self._together(size, found, seen) if size else self._train(seen, found, min(left, IDENTIFY_CALLS - len(seen)))
        if asked is None:
            self.identified_after = (len(seen), _elapsed(seen))
        return asked

    @property
    def _unclear_size(self) -> int:
        """How many calls may start together while the bucket is unclear: two, or as many as first moved a level that seemed still."""
        return STILL[self._still - 1] if self._still else 2

    def _together(self, size: int, found: Estimate | None, seen: Sequence[Observation]) -> Round | None:
        size = min(size, self.max_in_flight or size)
        unclear = found is None or not found.identified
        size = min(size, self._unclear_size) if unclear or found is None else max(1, min(size, self._room(found, size)))
        return self._round([0.0] * size, found, seen)

    def _train(self, seen: Sequence[Observation], found: Estimate | None, left: int) -> Round | None:
        """Evenly spaced calls that overlap, so that reservations or costs keep the level off its floor.

        None when the outflow is known well enough.
        """
        if found is None or not found.identified or left < 4 or _elapsed(seen) > IDENTIFY_S:
            return None
        assert found.fit is not None
        outflow, error = found.fit.bucket.outflow_per_s, found.fit.errors[2]
        if math.isfinite(error) and error < OUTFLOW_ERROR * outflow and self._identify_turns > 7:
            return None
        time_s = max(_median_time(found), 0.005)
        leaked = math.ceil(outflow * time_s / found.fit.bucket.up_front_cost)
        in_flight = max(1, min(self._room(found, 9), leaked + (2 if self._identify_turns < 8 else 3)))
        gap = max(time_s / in_flight, 1.0 / self.max_rate if self.max_rate else 0.0)
        most = max(4, min(left, TRAIN_CALLS, int(TRAIN_S / gap) + 1))
        return self._round([n * gap for n in range(self._affordable(most, gap, found))], found, seen)

    def _affordable(self, calls: int, gap: float, found: Estimate) -> int:
        """How many calls of a train keep the forecast level below the margin: reservations in flight plus what costs leave behind."""
        assert found.fit is not None
        bucket = found.fit.bucket
        twin = _any_twin(found)
        if twin is None:
            return min(calls, 4)
        cautious = twin.scaled(time=1.3, cost=1.3)
        while calls > 2:
            peaks = cautious.even_peaks(1.0 / gap, calls, 100)
            if float(np.quantile(peaks, 0.99)) < (1.0 - MARGIN) * bucket.high_water_mark:
                break
            calls = int(calls * 0.7)
        return calls

    def _room(self, found: Estimate, wanted: int) -> int:
        """How many calls may start at one instant from rest and leave the margin free."""
        assert found.fit is not None
        bucket = found.fit.bucket
        costs = np.concatenate([p.costs for p in found.prices.values()]) if found.prices else np.zeros(1)
        dear = max(0.0, 2.0 * float(np.max(costs)))
        room = int(((1.0 - MARGIN / 2) * bucket.high_water_mark - dear) // bucket.up_front_cost)
        return max(1, min(wanted, room, self.max_in_flight or wanted))

    def _price(self, seen: Sequence[Observation], found: Estimate | None, left: int) -> Round | None:
        """The next step of pricing; None when the budget is spent, the server slowed down, or there is nothing to step on."""
        twin = _any_twin(found) if found is not None else None
        if not self.price or twin is None or found is None or self._slowed(seen):
            return None
        if (self._suspected is None and self._step >= len(STEPS)) or _elapsed(seen) > PRICING_S:
            return None
        self._to_price = self._to_price or left
        share, part = STEPS[self._step - (self._suspected is not None)]
        calls = min(left, max(LEAST_STEP, round(part * self._to_price)))
        rate = self._suspected or self._step_rate(twin, share, calls)
        if self.steps:  # whatever a fit that others spoilt may say
            rate = min(rate, FASTER * max(step.rate_per_s for step in self.steps))
        self._step += self._suspected is None
        calls = max(2, min(calls, int(rate * max(20.0, PRICING_S - _elapsed(seen)))))
        self.steps.append(Step(rate, len(seen), calls))
        return self._round([n / rate for n in range(calls)], found, seen)

    def _step_rate(self, twin: Twin, share: float, calls: int) -> float:
        """`share` of the rate that keeps the margin, should calls be dearer than seen so far.

        It starts from the level at which a rest leaves the bucket.
        """
        bucket = twin.bucket
        cautious = twin.scaled(cost=1.1, high_water_mark=(1.0 - MARGIN - RESTED) * bucket.high_water_mark)
        safe = even_rate(cautious, max(calls, 20), 0.02, replicas=300) if cautious.burst >= 1 else 0.0
        ceilings = [safe * share]
        if self.max_rate is not None:
            ceilings.append(self.max_rate * 0.98)
        if self.max_in_flight is not None:
            ceilings.append(self.max_in_flight / (twin.mean_time_s + twin.round_trip_s) * share)
        return max(min(ceilings), 0.02)

    def _slowed(self, seen: Sequence[Observation]) -> bool:
        """Whether the server is slower at the last step's rate, seen twice in a row; then the rate is kept in `slowed_at`."""
        if not self.steps or self.slowed_at is not None:
            return self.slowed_at is not None
        step, first = self.steps[-1], self.steps[0].first
        settled, waiting = (max(first, min(step.first + step.calls // part, len(seen) - LEAST_JUDGED)) for part in (3, 2))
        slower = slowed(seen[:first], seen[settled:]) or queueing(seen[:first], seen[waiting:])
        if slower and self._suspected is not None:
            self.slowed_at = step.rate_per_s
        self._suspected = step.rate_per_s if slower and self.slowed_at is None else None
        return self.slowed_at is not None

    def _without_level(self, seen: Sequence[Observation], found: Estimate) -> Round | None:
        """A few more overlapping calls when headers say nothing of a level: enough to name the signature, then the end.

        Where the level stays at rest more are sent together each time: a bucket may leak what a few calls reserve before the first returns.
        """
        still = any(kind == "approve_listed" for kind, _ in found.signs)
        size = (STILL[self._still] if self._still < len(STILL) else 0) if still else 3 * (len(seen) < SIGNED_CALLS)
        if not size or found.regime in ("blocked", "refusals") or (still and _usual_s(seen) > STILL_S):
            self.identified_after = self.identified_after or (len(seen), _elapsed(seen))
            return None
        self._still += still
        return self._round([0.0] * min(size, self.max_in_flight or size), None, seen)

    def _round(self, offsets: Sequence[float], found: Estimate | None, seen: Sequence[Observation]) -> Round:
        """The calls in turn at these offsets, after as long a rest as brings the level down to a tenth of the mark."""
        picked = tuple((offset, self.calls[(self._turn + n) % len(self.calls)]) for n, offset in enumerate(offsets))
        self._turn += len(offsets)
        floor = None if found is None or found.fit is None else MARGIN / 3 * found.fit.bucket.high_water_mark
        return Round(picked, _rest_s(found, seen), floor)


def _rest_s(found: Estimate | None, seen: Sequence[Observation]) -> float:
    """Seconds until the level is down to a tenth of the mark; 0.05 when it is there."""
    if found is None or found.fit is None:
        return 0.05 if len(seen) < 2 else 0.3
    bucket = found.fit.bucket
    last = max((o for o in seen if o.remaining is not None), key=lambda o: o.received_s or 0.0, default=None)
    level = bucket.high_water_mark - (last.remaining or 0.0) if last is not None else 0.0
    excess = level - RESTED * bucket.high_water_mark
    return min(60.0, 0.05 + max(0.0, excess) / max(bucket.outflow_per_s, 0.5)) if excess > 0.0 else 0.05


def _hopeless(seen: Sequence[Observation]) -> bool:
    """Whether to stop: refusals beyond those borne, maintenance, nothing but failures lately, or headers that were there and stopped."""
    refused = sum(o.outcome is Outcome.THROTTLED for o in seen)
    recent = list(seen)[-4:]
    failing = len(recent) == 4 and not any(o.ok or o.outcome is Outcome.THROTTLED for o in recent)
    stopped = any(o.remaining is not None for o in seen) and not any(o.remaining is not None for o in list(seen)[-BARE_IN_A_ROW:])
    return refused > REFUSALS_BORNE or failing or stopped or any(o.outcome is Outcome.MAINTENANCE for o in recent)


def _roomy(seen: Sequence[Observation]) -> bool:
    """Whether no answer so far, three together among them, showed less than ROOMY of the most that remained."""
    told = [o.remaining for o in seen if o.remaining is not None]
    return bool(told) and min(told) >= ROOMY * max(told)


def _any_twin(found: Estimate) -> Twin | None:
    """A twin over the prices of all calls together, as the design sends them in turn."""
    if not found.identified or not found.prices:
        return None
    assert found.fit is not None
    costs = np.concatenate([p.costs for p in found.prices.values()])
    times = np.concatenate([p.times_s for p in found.prices.values()])
    return Twin(found.fit.bucket, costs, times, found.round_trip_s)


def _median_time(found: Estimate) -> float:
    times = [p.times_s for p in found.prices.values()]
    return float(np.median(np.concatenate(times))) if times else 0.2


def _usual_s(seen: Sequence[Observation]) -> float:
    return float(np.median([o.flight_s for o in seen if o.flight_s is not None] or [0.0]))


def _elapsed(seen: Sequence[Observation]) -> float:
    ends = [o.received_s for o in seen if o.received_s is not None]
    starts = [o.sent_s for o in seen if o.sent_s is not None]
    return max(ends) - min(starts) if ends and starts else 0.0
