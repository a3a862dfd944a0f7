"""Which calls to make next so that they narrow the answer most, and no refusal is caused.

One call, then two, then three together give the mark, the reservation and a first outflow. A train that never lets the bucket touch its
floor gives the outflow (its error falls with the length of the train). Then the price of the calls (`pricing`), at rates that rise in
small steps and stop at the first sign of a slower server. Every round but the last is checked against a forecast first: the level may not
come nearer to the mark than `MARGIN` of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from probes.calls import Round
from probes.endings import headers_stopped, maintained
from probes.estimate import Estimate, estimate
from probes.observation import Observation, Outcome
from probes.pricing import MARGIN, Pricing, elapsed_s, pooled_twin
from probes.probing import failing
from probes.signatures import Regime
from probes.windows import ENOUGH_CALLS

OPENING = (1, 1, 2, 2, 3, 3)
"""Calls together in the first rounds."""
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
REFUSALS_BORNE = 2
"""Refusals after which the design gives up: its forecast does not hold here."""


@dataclass
class Design(Pricing):
    """Called with all observations so far, answers with the next round, None when nothing more is needed.

    What it learnt stays readable: `identified_after` (requests, seconds), and what pricing did.
    """

    identified_after: tuple[int, float] | None = None
    _identify_turns: int = 0
    _still: int = 0

    def __call__(self, seen: Sequence[Observation]) -> Round | None:
        """The next round. A bucket that shows no headers, or refuses more than twice, ends the design."""
        left = self.budget - len(seen)
        if left < 1 or _hopeless(seen):
            return None
        found = estimate(seen) if len(seen) >= 2 else None
        if found is not None and found.window is not None and len(seen) >= ENOUGH_CALLS:
            return None
        if found is not None and found.regime is not Regime.HEADERS:
            return self._without_level(seen, found)
        asked = self._identify(seen, found, left) if self.identified_after is None else None
        if asked is None:
            asked = self._price(seen, found, left)
        return asked

    def _identify(self, seen: Sequence[Observation], found: Estimate | None, left: int) -> Round | None:
        """The opening, then trains, until the outflow is known or calls and time are spent."""
        size = OPENING[self._identify_turns] if self._identify_turns < len(OPENING) else 0
        self._identify_turns += 1
        most = IDENTIFY_CALLS - STILL[-1] if self._still else UNCLEAR_CALLS
        unclear = found is not None and not found.identified and len(seen) < most and _roomy(seen)
        size = size or (self._unclear_size if unclear else 0)
        asked = self._together(size, found, seen) if size else self._train(seen, found, min(left, IDENTIFY_CALLS - len(seen)))
        if asked is None:
            self.identified_after = (len(seen), elapsed_s(seen))
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
        if found is None or not found.identified or left < 4 or elapsed_s(seen) > IDENTIFY_S:
            return None
        assert found.fit is not None
        outflow, error = found.fit.bucket.outflow_per_s, found.fit.errors[2]
        first = self._identify_turns <= len(OPENING) + 1
        if math.isfinite(error) and error < OUTFLOW_ERROR * outflow and not first:
            return None
        time_s = max(_median_time(found), 0.005)
        leaked = math.ceil(outflow * time_s / found.fit.bucket.up_front_cost)
        in_flight = max(1, min(self._room(found, 9), leaked + (2 if first else 3)))
        gap = max(time_s / in_flight, 1.0 / self.max_rate if self.max_rate else 0.0)
        most = max(4, min(left, TRAIN_CALLS, int(TRAIN_S / gap) + 1))
        return self._round([n * gap for n in range(self._affordable(most, gap, found))], found, seen)

    def _affordable(self, calls: int, gap: float, found: Estimate) -> int:
        """How many calls of a train keep the forecast level below the margin: reservations in flight plus what costs leave behind."""
        assert found.fit is not None
        bucket = found.fit.bucket
        twin = pooled_twin(found)
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

    def _without_level(self, seen: Sequence[Observation], found: Estimate) -> Round | None:
        """A few more overlapping calls when headers say nothing of a level: enough to name the signature, then the end.

        Where the level stays at rest more are sent together each time: a bucket may leak what a few calls reserve before the first returns.
        """
        still = found.shows("approve_listed")
        size = (STILL[self._still] if self._still < len(STILL) else 0) if still else 3 * (len(seen) < SIGNED_CALLS)
        if not size or found.regime in (Regime.BLOCKED, Regime.REFUSALS) or (still and _usual_s(seen) > STILL_S):
            self.identified_after = self.identified_after or (len(seen), elapsed_s(seen))
            return None
        self._still += still
        return self._round([0.0] * min(size, self.max_in_flight or size), None, seen)


def _hopeless(seen: Sequence[Observation]) -> bool:
    """Whether to stop: refusals beyond those borne, maintenance, nothing but failures lately, or headers that were there and stopped."""
    refused = sum(o.outcome is Outcome.THROTTLED for o in seen)
    return refused > REFUSALS_BORNE or failing(seen) or headers_stopped(seen) or maintained(seen)


def _roomy(seen: Sequence[Observation]) -> bool:
    """Whether no answer so far, three together among them, showed less than ROOMY of the most that remained."""
    told = [o.remaining for o in seen if o.remaining is not None]
    return bool(told) and min(told) >= ROOMY * max(told)


def _median_time(found: Estimate) -> float:
    times = [p.times_s for p in found.prices.values()]
    return float(np.median(np.concatenate(times))) if times else 0.2


def _usual_s(seen: Sequence[Observation]) -> float:
    return float(np.median([o.flight_s for o in seen if o.flight_s is not None] or [0.0]))
