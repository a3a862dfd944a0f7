"""Which calls to make next so that they narrow the answer most, and no refusal is caused.

One call, then two, then three together give the mark, the reservation and a first outflow. A train that never lets the bucket touch its
floor gives the outflow (its error falls with the length of the train). Then the price of the calls (`pricing`), at rates that rise in
small steps and stop at the first sign of a slower server. Every round but the last is checked against a forecast first: the level may not
come nearer to the mark than `MARGIN` of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from probes.calls import Round
from probes.endings import headers_stopped, maintained
from probes.estimate import Estimate, estimate
from probes.mixture import pooled_twin
from probes.observation import Observation, Outcome
from probes.pricing import Pricing
from probes.resting import draining_s, since_rest
from probes.rounds import MARGIN, elapsed_s
from probes.search.probing import failing
from probes.signatures import LONG_S, Regime, usual_s
from probes.windows import ENOUGH_CALLS

OPENING = (1, 1, 2, 2, 3, 3)
"""Calls together in the first rounds."""
IDENTIFY_CALLS = 60
IDENTIFY_S = 20.0
"""Most calls and seconds for the bucket's constants."""
UNCLEAR_CALLS = 30
"""Until so many, two at a time are asked where the bucket is still unclear: a few headers whose order was lost need not be another job."""
UNCLEAR_S = 120.0
"""For as long, s, with the opening: slow calls would else take minutes for nothing."""
AT_REST = 0.05
"""Share of the most that remained by which every header may lack and the level still counts as hardly moved."""
MOST_WAITS, MOST_DRAIN_S = 8, 240.0
"""How often and how long a bucket that others had filled is waited for."""
ROOMY = 0.6
STILL = (3, 6, 12)
"""How many calls start together while Remaining never moves; not where they take longer than `LONG_S`: a bucket could fill meanwhile."""
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
    drains_s: float = 0.0
    """How long the round asked last waits for a bucket that others had filled, s; 0 where it is at rest."""
    _identify_turns: int = 0
    _still: int = 0
    _waited: list[float] = field(default_factory=list)

    def __call__(self, seen: Sequence[Observation]) -> Round | None:
        """The next round. A bucket that shows no headers, or refuses more than twice, ends the design."""
        left = self.budget - len(seen)
        if left < 1 or _hopeless(seen):
            return None
        if asked := self._after_draining(seen):
            return asked
        found = estimate(seen) if len(seen) >= 2 else None
        if found is not None and _untellable(found, seen):
            return None
        if found is not None and found.regime is not Regime.HEADERS:
            return self._without_level(seen, found)
        asked = self._identify(seen, found, left) if self.identified_after is None else None
        if asked is None:
            asked = self._price(seen, found, left)
        return asked

    def _after_draining(self, seen: Sequence[Observation]) -> Round | None:
        """A call alone after as long a wait as brings a bucket that others had filled to rest; None where it is, or after long waits."""
        wait_s = draining_s(seen) if len(self._waited) < MOST_WAITS else 0.0
        self.drains_s = min(wait_s, MOST_DRAIN_S - sum(self._waited))
        if not self.drains_s:
            return None
        self._waited.append(self.drains_s)
        return replace(self._round([0.0], None, seen), after_s=self.drains_s)

    def _identify(self, seen: Sequence[Observation], found: Estimate | None, left: int) -> Round | None:
        """The opening, then trains, until the outflow is known or calls and time are spent."""
        size = OPENING[self._identify_turns] if self._identify_turns < len(OPENING) else 0
        self._identify_turns += 1
        rested = since_rest(seen)
        most = IDENTIFY_CALLS - STILL[-1] if self._still else UNCLEAR_CALLS
        soon = elapsed_s(rested) < UNCLEAR_S
        asked = self._together(size, found, seen) if size and soon else None
        asked = asked or self._train(rested, found, min(left, IDENTIFY_CALLS - len(rested)))
        if asked is None and soon and found is not None and not found.identified and len(rested) < most:
            asked = self._unclear(found, seen)
        if asked is None:
            self.identified_after = (len(seen), elapsed_s(seen))
        return asked

    @property
    def _unclear_size(self) -> int:
        """How many calls may start together while the bucket is unclear: two, or as many as first moved a level that seemed still."""
        return STILL[self._still - 1] if self._still else 2

    def _unclear(self, found: Estimate, seen: Sequence[Observation]) -> Round | None:
        """More calls together while the bucket is unclear, ever more where the level hardly moves; None where little may be left."""
        if not found.determined and not _roomy(seen):
            return None
        hardly = found.window is None and _least_share(seen) >= 1.0 - AT_REST
        if self._still < len(STILL) and hardly and usual_s(seen) <= LONG_S:
            self._still += 1
        return self._together(self._unclear_size, found, seen)

    def _together(self, size: int, found: Estimate | None, seen: Sequence[Observation]) -> Round:
        size = int(min(size, self.max_in_flight or size, _passed_together(seen)))
        unclear = found is None or not found.determined or (_refused_once(seen) and not found.identified)
        size = min(size, self._unclear_size) if unclear or found is None else max(1, min(size, self._room(found, size)))
        return self._round(self._spread(size, seen), found, seen)

    def _spread(self, size: int, seen: Sequence[Observation]) -> list[float]:
        """All at once; but after one refusal a pair half a call apart, as what leaked between the two then tells the outflow."""
        return [0.0, usual_s([o for o in seen if o.ok]) / 2.0] if _refused_once(seen) and size == 2 else [0.0] * size

    def _train(self, seen: Sequence[Observation], found: Estimate | None, left: int) -> Round | None:
        """Evenly spaced calls that overlap, so that reservations or costs keep the level off its floor.

        None when the outflow is known well enough.
        """
        if found is None or not found.determined or left < 4 or elapsed_s(seen) > IDENTIFY_S:
            return None
        assert found.fit is not None
        if found.fit.bucket.burst < 2:
            return None
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
        if not size or found.regime in (Regime.BLOCKED, Regime.REFUSALS):
            self.identified_after = self.identified_after or (len(seen), elapsed_s(seen))
            return None
        self._still += still
        return self._round([0.0] * min(size, self.max_in_flight or size), None, seen)


def _untellable(found: Estimate, seen: Sequence[Observation]) -> bool:
    """Whether no bucket is to be told: a counter in a window, one that lets nothing pass, or one that reserves nothing."""
    return (found.window is not None and len(seen) >= ENOUGH_CALLS) or found.shows("nothing_passes") or found.shows("no_reservation")


def _hopeless(seen: Sequence[Observation]) -> bool:
    """Whether to stop: refusals beyond those borne, maintenance, nothing but failures lately, or headers that were there and stopped."""
    refused = sum(o.outcome is Outcome.THROTTLED for o in since_rest(seen))
    return refused > REFUSALS_BORNE or failing(seen) or headers_stopped(seen) or maintained(seen)


def _roomy(seen: Sequence[Observation]) -> bool:
    """Whether no answer so far, three together among them, showed less than ROOMY of the most that remained."""
    return _least_share(seen) >= ROOMY


def _least_share(seen: Sequence[Observation]) -> float:
    """The least that remained as a share of the most; 0 where no header told."""
    told = [o.remaining for o in since_rest(seen) if o.remaining is not None]
    return min(told) / max(told) if told and max(told) > 0.0 else 0.0


def _median_time(found: Estimate) -> float:
    times = [p.times_s for p in found.prices.values()]
    return float(np.median(np.concatenate(times))) if times else 0.2


def _refused_once(seen: Sequence[Observation]) -> bool:
    """Whether one call was refused: it is asked once more, as it may have been another job's doing."""
    return sum(o.outcome is Outcome.THROTTLED for o in since_rest(seen)) == 1


def _passed_together(seen: Sequence[Observation]) -> float:
    """How many calls together never met a refusal, where refusals came twice among so few; inf where they did not."""
    refused = [o for o in since_rest(seen) if o.outcome is Outcome.THROTTLED]
    beside = [sum(o is not r and (o.sent_s or 0.0) <= (r.sent_s or 0.0) < (o.received_s or 0.0) for o in seen) for r in refused]
    return max(1, min(beside)) if len(beside) >= REFUSALS_BORNE else math.inf
