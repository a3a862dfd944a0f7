"""Which calls price a job once its bucket is known: steps at rates that rise slowly, and a last one at the rate that will be told."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from probes.calls import Call, Round
from probes.estimate import Estimate
from probes.mixture import mixture, pooled_twin
from probes.observation import Observation
from probes.rates import safe_rate
from probes.rounds import MARGIN, RESTED, elapsed_s, floor_of, rest_s
from probes.safety import ODDS, USUAL_JOB, even_rate
from probes.signatures import usual_s
from probes.slowing import SURE, SURE_AT_ONCE, climbing, least_overlapped, lining_up, queueing, slowed
from probes.twin import Twin

STEPS = ((0.25, 0.10), (0.4, 0.12), (0.55, 0.15), (0.7, 0.2), (0.85, 1.0))
"""Pricing: (share of the rate that is safe for so many calls, share of the calls that are there for pricing)."""
BEYOND_JOB = 2.0
"""The same share of no more than this times what the whole job may do: a step's few calls might all come at once where many fit, which no
server that is slow should be asked, and a pace far above the job's tells it nothing."""
SPRINT_CALLS, SPRINT = 60, 0.9
"""Calls that go at the very rate that will be recommended, where less than this part of it was tried: a queue shows in so many where it
grows by a fifth of a second each second, and at most one run in 350 meets a refusal by them, as does one job of a thousand in twenty."""
LEAST_SPRINT, PART_TO_SPRINT = 40, 0.2
"""Of a small budget this part goes so, or so many calls."""
LEAST_STEP, FASTER = 12, 2.5
"""Fewest calls of a step, and by how many times it may be faster than those before."""
LONE, SLOWEST_PER_S = 0.5, 0.02
"""One call after another, with as long a pause, asks nothing that the guard on Remaining would not stop in time: where few calls are far
dearer than the rest hardly any rate is safe for a job, and steps at a part of that would price next to nothing."""
UNDER_CEILING = 0.98
"""Share of `max_rate` at which calls go evenly, so that the ceiling itself never holds one back."""
ALONE_CALLS = 120
"""Answers that price the calls where only one at a time passes."""
CONTROL_CALLS, CONTROL_GAP = 10, 1.5
"""Calls made alone again where a step looks slower, so many times as long apart as calls usually take: a server that has grown slow for all
calls, after a deploy or at another hour, is not one that this load slows down."""
LEAST_JUDGED = 8
"""Fewest calls that a step is judged by: a last one that the budget cut short borrows from the step before."""
PRICING_S = 300.0
"""Pricing begins no step after so long, unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of pricing: what was asked, and how the server stood it."""

    rate_per_s: float
    first: int
    calls: int


@dataclass
class Pricing:
    """What a design knows of its calls, and how it prices them.

    `calls` share one bucket; `budget` is the most requests in all; `max_rate` (requests/s) and `max_in_flight` are ceilings. `price` is
    whether the calls are priced at all, `job` how many of them the rate is for; no step begins after `longest_s` (seconds). What was done
    stays readable: `steps`, and `slowed_at` (requests/s, None when never).
    """

    calls: tuple[Call, ...]
    budget: int = 400
    max_rate: float | None = None
    max_in_flight: int | None = None
    price: bool = True
    job: int = USUAL_JOB
    longest_s: float = PRICING_S
    cut_short: bool = False
    """Whether `longest_s` was over before the budget was spent."""
    steps: list[Step] = field(default_factory=list)
    slowed_at: float | None = None
    _turn: int = 0
    """Calls asked for so far: which of `calls` is next."""
    _step: int = 0
    """Of `STEPS` the next one; beyond them the last step at the recommended rate, and what follows it."""
    _to_price: int = 0
    """How many calls all steps together may take; 0 until the first."""
    _suspected: float | None = None
    """The rate, requests/s, of a step that looked slower and is to be looked at once more."""
    _control: int = 0
    """The first of those calls that were last made alone again."""
    _controlled: int = 0
    """Steps made when they were asked for; the last of these is judged once more by them."""

    def finish(self, seen: Sequence[Observation]) -> None:
        """Judges the last step, after which nothing more was asked: a sign that cannot be checked any more counts where it is clear."""
        if not self._slowed(seen) and self._suspected is not None and self._slower(seen, SURE_AT_ONCE):
            self.slowed_at = self._suspected

    @property
    def sprinted(self) -> bool:
        """Whether calls went at the rate that was to be recommended then."""
        return self._step > len(STEPS)

    @property
    def pricing_s(self) -> float:
        """About how long pricing takes, s, by the rate of its first step; 0.0 before that is set."""
        if not self.steps:
            return 0.0
        safe, left, seconds = self.steps[0].rate_per_s / STEPS[0][0], self._to_price, 0.0
        for share, part in STEPS:
            calls = self._calls_of(part, left)
            seconds += calls / min(share * safe, self._ceiling_per_s)
            left -= calls
        return min(seconds + self._to_sprint / min(0.5 * safe, self.max_rate or math.inf), self.longest_s)

    def _price(self, seen: Sequence[Observation], found: Estimate | None, left: int) -> Round | None:
        """The next step of pricing; None when the budget is spent, the server slowed down, or there is nothing to step on."""
        twin = pooled_twin(found) if found is not None else None
        if not self.price or twin is None or found is None or not found.identified or self._slowed(seen):
            return None
        if elapsed_s(seen) > self.longest_s:
            self.cut_short = True
            return None
        if self._suspected is None and self._step >= len(STEPS):
            return self._sprint(seen, found, left)
        if twin.bucket.burst < 2:
            return self._alone(seen, found)
        return self._next_step(seen, found, twin, left)

    def _next_step(self, seen: Sequence[Observation], found: Estimate, twin: Twin, left: int) -> Round:
        """The next step up; the one at which the server seemed to slow down once more, where it is suspected of that."""
        self._to_price = self._to_price or max(left - self._to_sprint, left // 2)
        if (control := self._alone_again(seen, found)) is not None:
            return control
        share, part = STEPS[min(self._step - (self._suspected is not None), len(STEPS) - 1)]
        calls = self._calls_of(part, left)
        if part == 1.0:
            calls = min(left, max(LEAST_STEP, calls - self._to_sprint))
        rate = self._suspected or self._step_rate(twin, share, calls)
        if self.steps:  # whatever a fit that others spoilt may say
            rate = min(rate, FASTER * max(step.rate_per_s for step in self.steps))
        calls = max(2, self._in_time(rate, calls, max(20.0, self.longest_s - elapsed_s(seen))))
        self._step -= self._suspected is not None  # looked at once more
        return self._evenly(rate, calls, found, seen)

    def _alone(self, seen: Sequence[Observation], found: Estimate) -> Round | None:
        """One call after another, where two at one time are refused; None once so many priced the calls."""
        return self._round([0.0], found, seen) if sum(o.ok for o in seen) < ALONE_CALLS else None

    def _alone_again(self, seen: Sequence[Observation], found: Estimate) -> Round | None:
        """Calls alone, where the last step looks slower; None where that was looked at, or little is left."""
        if self._suspected is None or not self._to_control(seen):
            return None
        gap = CONTROL_GAP * usual_s([o for o in seen if o.ok])
        self._control, self._controlled = len(seen), len(self.steps)
        return self._round([n * gap for n in range(CONTROL_CALLS)], found, seen)

    def _to_control(self, seen: Sequence[Observation]) -> bool:
        """Whether calls alone may still tell of the last step: they were not made yet, and calls do not wait in front of the server."""
        left = self.budget - len(seen)
        waits = queueing(seen[: self.steps[0].first], self._but_the_first(2, seen))
        return self._controlled < len(self.steps) and left >= CONTROL_CALLS + LEAST_STEP and not waits

    @property
    def _to_sprint(self) -> int:
        """Calls of the sprint."""
        return min(SPRINT_CALLS, max(LEAST_SPRINT, round(PART_TO_SPRINT * self.budget)))

    @property
    def _ceiling_per_s(self) -> float:
        """The fastest that steps go under `max_rate`, requests/s."""
        return UNDER_CEILING * self.max_rate if self.max_rate else math.inf

    def _calls_of(self, part: float, left: int) -> int:
        """Calls of a step that is to take this part of those that there are for pricing, of the `left` that may still be sent."""
        return min(left, max(LEAST_STEP, round(part * self._to_price)))

    def _sprint(self, seen: Sequence[Observation], found: Estimate, left: int) -> Round | None:
        """A last step at the rate that will be recommended, or at the last one's where about that was tried; None where it is not known.

        What is left of the budget when it was cut short goes at a pace between that and the step before: so few calls show no queue.
        """
        twin, prices = mixture(found, None) or (None, None)
        if self._step > len(STEPS) + 1 or left < LEAST_STEP or twin is None or prices is None:
            return None
        if self._step > len(STEPS):
            last = self.steps[-1].rate_per_s
            rate = math.sqrt(last * max((step.rate_per_s for step in self.steps if step.rate_per_s < last), default=last))
            return self._evenly(rate, max(1, self._in_time(rate, left, self.longest_s - elapsed_s(seen))), found, seen)
        answer = safe_rate(twin, found, prices, self.job)
        if answer is None:
            return None
        tried = max(step.rate_per_s for step in self.steps)
        in_flight = self.max_in_flight / (twin.mean_time_s + twin.round_trip_s) if self.max_in_flight else math.inf
        rate = min(answer[0].low, FASTER * tried, self._ceiling_per_s, in_flight)
        rate = self.steps[-1].rate_per_s if rate * SPRINT < tried else rate
        asked = self._evenly(rate, min(left, self._to_sprint), found, seen)
        below = max(asked.stop_below or 0.0, twin.underway(rate))
        return replace(asked, stop_below=below, most_in_flight=twin.most_in_flight)

    def _in_time(self, rate: float, calls: int, seconds: float) -> int:
        """So many of `calls` as go evenly in `seconds`."""
        held = int(rate * seconds)
        self.cut_short = self.cut_short or held < calls
        return min(calls, held)

    def _evenly(self, rate: float, calls: int, found: Estimate, seen: Sequence[Observation]) -> Round:
        self._step += 1
        self.steps.append(Step(rate, len(seen), calls))
        asked, twin = self._round([n / rate for n in range(calls)], found, seen), pooled_twin(found)
        if twin is None or asked.stop_below is None:
            return asked
        return replace(asked, stop_below=max(asked.stop_below, min(MARGIN * twin.bucket.high_water_mark, twin.underway(rate))))

    def _step_rate(self, twin: Twin, share: float, calls: int) -> float:
        """`share` of the rate that keeps the margin, should calls be dearer than seen so far.

        It starts from the level at which a rest leaves the bucket.
        """
        bucket = twin.bucket
        cautious = twin.scaled(cost=1.1, high_water_mark=(1.0 - MARGIN - RESTED) * bucket.high_water_mark)
        safe = even_rate(cautious, max(calls, 20), 0.02, replicas=300) if cautious.burst >= 1 else 0.0
        safe = min(safe, BEYOND_JOB * even_rate(twin, self.job, ODDS, replicas=300))
        ceilings = [safe * share, self._ceiling_per_s]
        if self.max_in_flight is not None:
            ceilings.append(self.max_in_flight / (twin.mean_time_s + twin.round_trip_s) * share)
        usual = max(float(np.median(twin.costs)), 1e-9)
        lone = min(LONE / (twin.mean_time_s + twin.round_trip_s), LONE * bucket.outflow_per_s / usual)
        return max(min(ceilings), min(lone * share, self._ceiling_per_s), SLOWEST_PER_S)

    def _slowed(self, seen: Sequence[Observation]) -> bool:
        """Whether the server is slower at the last step's rate, seen twice in a row; then the rate is kept in `slowed_at`."""
        if not self.steps or self.slowed_at is not None:
            return self.slowed_at is not None
        step, slower = self.steps[-1], self._slower(seen, SURE)
        twice = self._suspected is not None and self._controlled < len(self.steps)
        if slower and (twice or self._sure_at_once(seen)):
            self.slowed_at = step.rate_per_s
        self._suspected = step.rate_per_s if slower and self.slowed_at is None else None
        return self.slowed_at is not None

    def _sure_at_once(self, seen: Sequence[Observation]) -> bool:
        """Whether the sign is clear, and a second look could not be half as long as the last step: a queue would not grow again."""
        return not self._to_control(seen) and 2 * (self.budget - len(seen)) < self.steps[-1].calls and self._slower(seen, SURE_AT_ONCE)

    def _slower(self, seen: Sequence[Observation], sure: float) -> bool:
        before, late = seen[: self.steps[0].first], self._but_the_first(3, seen)
        again = seen[self._control : self._control + CONTROL_CALLS] if self._control else ()
        lone = least_overlapped(seen[: self.steps[-1].first])  # where threads are few the first calls, made together, waited as well
        longer = slowed(before, late, sure, again) or (len(lone) >= LEAST_STEP and slowed(lone, late, sure, again))
        alike = [self.made(n, seen) for n, step in enumerate(self.steps) if step.rate_per_s == self.steps[-1].rate_per_s]
        waits = queueing(before, self._but_the_first(2, seen)) or lining_up(alike[-1])
        return longer or waits or climbing(alike, sure, again)

    def made(self, n: int, seen: Sequence[Observation]) -> Sequence[Observation]:
        """The calls of step `n`, without those that were made alone again after it."""
        step = self.steps[n]
        ends = [step.first + step.calls, *(other.first for other in self.steps if other.first > step.first)]
        return seen[step.first : min([*ends, self._control] if self._control > step.first else ends)]

    def _but_the_first(self, part: int, seen: Sequence[Observation]) -> Sequence[Observation]:
        """The last step's calls without the first third or half (`part` 3 or 2), before which the server had not met its rate.

        They are as many as a step is judged by at least, of the step before if need be.
        """
        step = self.steps[-1]
        end = self._control if self._controlled == len(self.steps) else len(seen)
        return seen[max(self.steps[0].first, min(step.first + step.calls // part, end - LEAST_JUDGED)) : end]

    def _round(self, offsets: Sequence[float], found: Estimate | None, seen: Sequence[Observation]) -> Round:
        """The calls in turn at these offsets, after as long a rest as brings the level down to a tenth of the mark."""
        picked = tuple((offset, self.calls[(self._turn + n) % len(self.calls)]) for n, offset in enumerate(offsets))
        self._turn += len(offsets)
        return Round(picked, rest_s(found, seen), floor_of(found))
