"""Which calls to make next where no header tells the limit: a few refusals do (`throttle-physics`, section 2).

Bursts from rest grow by little until one is refused in part, which gives the mark in reservations. Then even calls, slowly first and then
about as fast as reservations allow: either costs fill the bucket, and after a rest they fill it again, which gives outflow / cost; or
they do not, and a burst right after them shows how much room is left. `ratios` makes of the answers what they allow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from probes.calls import Call, Round
from probes.observation import Observation, Outcome
from probes.ratios import Ratios, network_s, ratios_of, served
from probes.safety import FASTEST_PER_S

FIRST_BURST = 5
LARGEST_BURST = 80
MOST_REFUSALS = 5
SHORTEST_REST_S = 1.5
MOST_REST_S = 30.0
WORTH_CLIMBING = 2
"""Pairs of calls on top of those that fit, from which a climb leads further than a burst that risks as many refusals as it adds calls."""
REST_A_CALL_S = 0.8
"""Rest for each call of the burst before: as long as a dear call needs to drain."""
PROBING_S = 330.0
SHORTEST_TRAIN_S = 10.0
GROUP = 2
"""Calls sent together where a network is slow against the rate: more could be refused before the first refusal is known."""
SURE_SPREAD = 1.7
"""Calls in flight fluctuate by this times their number's root, as far up as one job in twenty goes (3.2 deviations at a Gini of 0.28)."""
FILL = 40.0
"""Calls whose cost drains between two touches of the mark: the outflow is then known to about one in so many."""
DRAINED_SHARE = 0.6
LONGEST_DRAIN_S = 60.0
MOST_READINGS = 5
MARGIN = 10
"""A train of fewer calls teaches nothing."""
DESIGN_CANDIDATES = 1000
DESIGN_DRAWS = 200

Step = Callable[[], Round | None]


@dataclass
class RefusalDesign:
    """Called with all observations so far, answers with the next round, None at the end; see the module.

    `bursts` and `trains` keep (size, first observation) and (calls/s, first observation) of each round.
    """

    calls: tuple[Call, ...]
    budget: int = 400
    max_rate: float | None = None
    max_in_flight: int | None = None
    bursts: list[tuple[int, int]] = field(default_factory=list)
    trains: list[tuple[float, int]] = field(default_factory=list)
    seen: Sequence[Observation] = ()
    limit: int | None = None
    _next: Step | None = None
    _fits: int = 0
    _climbs: bool = False
    _touches: int = 0
    _readings: int = 0

    def __call__(self, seen: Sequence[Observation]) -> Round | None:
        """The next round."""
        self.seen = seen
        if self._left < 2 or self._spare <= 0 or self._elapsed_s() > PROBING_S or _failing(seen):
            return None
        return (self._next or self._grow)()

    # -- from rest: how many calls fit

    def _grow(self) -> Round | None:
        """More together than ever passed: all at once and few more, or, where calls take long, pair after pair on top of those that fit."""
        if self._refused(self._latest()):
            return self._bounded() if self._climbs else self._limited(sum(o.ok for o in self._latest()))
        last = self._fits = max(self._fits, _most_at_once(self._latest()))
        size = min(last + _growth(last), self._widest) if last else min(FIRST_BURST, self._widest)
        if size <= last or size > max(0.6 * self._left, FIRST_BURST):
            return self._unlimited()
        return self._climb(last, self._rest_s(last), self._grow) or self._burst(size, self._rest_s(last), self._grow)

    def _climb(self, size: int, after_s: float, then: Step) -> Round | None:
        """`size` calls at once, then two at a time, each two when a refusal of the two before were known: no more than two are refused.

        None where too few calls would still be in flight for it to lead further than a burst that risks as many refusals as it adds calls.
        """
        pairs = min(self._steps(), ((self.limit or self._widest) + 1 - size) // 2, (int(0.6 * self._left) - size) // 2)
        if pairs < WORTH_CLIMBING or self._spare < 2:
            return None
        self._climbs, self._next = True, then
        self.bursts.append((size + 2 * pairs, len(self.seen)))
        offsets = [0.0] * size + [(n // 2 + 1) * self._step_s for n in range(2 * pairs)]
        return Round(tuple((offset, self.calls[n % len(self.calls)]) for n, offset in enumerate(offsets)), after_s)

    def _bounded(self) -> Round | None:
        """A climb was refused: as many at once as were in flight then; one more where others had come back, whose cost took room."""
        first = next(o for o in self._latest() if o.outcome is Outcome.THROTTLED)
        at = (first.sent_s or 0.0) + network_s(self.seen)
        before = [o for o in self._latest() if o.ok and (o.sent_s or 0.0) <= (first.sent_s or 0.0) + 1e-3]
        beside = sum((o.received_s or 0.0) > at for o in before)
        exact = beside == len(before)
        return self._burst(beside if exact else beside + 1, self._rest_s(len(before)), self._fit if exact else self._grow)

    def _fit(self) -> Round | None:
        return self._limited(sum(o.ok for o in self._latest()))

    def _limited(self, limit: int) -> Round | None:
        self.limit = limit
        return self._first_train()

    def _unlimited(self) -> Round | None:
        """No burst was refused: the rest of the budget goes evenly, as many in flight as ever fitted."""
        return self._train(self._fits / self._time_s(), self._left, self._rest_s(self._fits), self._end)

    # -- does cost fill the bucket

    def _first_train(self) -> Round | None:
        slow, quick = min(self._quick, self._slow), self._quick
        hurries = slow >= 0.7 * quick
        share = 0.4 if hurries else 0.25
        return self._train(slow, share * self._left, self._rest_s(self.bursts[-1][0]), self._read if hurries else self._second_train)

    def _second_train(self) -> Round | None:
        return self._touched() or self._train(self._quick, 0.4 * self._left, 0.0, self._read)

    def _touched(self) -> Round | None:
        """After a train that was refused: rest until most of what was paid has drained, not all, then fill the bucket again.

        Slower where the costs allow: the fewer calls are in flight, the more of the bucket is paid for, and the more there is to measure.
        """
        if not self._refused(self._latest()):
            return self._train(self._quick, self._left, 0.0, self._touched) if self._touches and self._left > MARGIN else None
        self._touches += 1
        rate, ratios = min(self._quick, 0.75 * self._slow), self._ratios()
        if ratios is None:
            return None
        steady = float(np.median(ratios.steady_per_s))
        drain = min(LONGEST_DRAIN_S, FILL / steady, DRAINED_SHARE * float(np.median(ratios.level / ratios.outflow_per_s)))
        rate = max(0.5 * rate, min(rate, 3.0 * steady))
        count = self._left if self._touches > 1 else 0.6 * self._left
        return self._train(rate, count, min(drain, max(0.0, PROBING_S - 30.0 - self._elapsed_s())), self._touched)

    # -- how much room is left after a train

    def _read(self) -> Round | None:
        return self._touched() or self._reading(0.0, self._read_on)

    def _reading(self, after_s: float, then: Step) -> Round | None:
        """A burst as large as would pass with odds of nine in ten, and one more; above what surely passes by fewer than are spare."""
        ratios = self._ratios()
        self._readings = 0
        room = float(np.quantile(ratios.room(after_s), 0.1)) if ratios is not None else 1.0
        size = int(max(2.0, min(room + 1.0, self._passed() + self._spare - 1)))
        return self._climb(int(max(1.0, min(room, self._passed()))), after_s, then) or self._burst(size, after_s, then)

    def _passed(self) -> int:
        """Calls that were let through at one time at the end of the last round: so many surely fit again."""
        passed = [o for o in self._latest() if o.ok and o.sent_s is not None and o.received_s is not None]
        last = max((o.sent_s or 0.0 for o in passed), default=0.0)
        return sum((o.received_s or 0.0) > last for o in passed)

    def _read_on(self) -> Round | None:
        """Larger bursts until one is refused or the bucket is seen to be empty; then, if costs had filled it, again after they drained."""
        return self._larger(self._read_on) or self._drained() or self._last_train()

    def _larger(self, then: Step) -> Round | None:
        size = self.bursts[-1][0]
        if self._refused(self._latest()) or self._spare < 3 or self._readings >= MOST_READINGS or size >= (self.limit or 0):
            return None  # one call more at a time would spend the budget on little
        self._readings += 1
        after_s = network_s(self.seen)
        return self._climb(_most_at_once(self._latest()), after_s, then) or self._burst(size + min(3, self._spare - 1), after_s, then)

    def _drained(self) -> Round | None:
        filled = (self.limit or 0) - _most_at_once(self._latest())
        ratios = self._ratios()
        if filled < 2 or ratios is None or not self._refused(self._latest()):
            return None
        rest = DRAINED_SHARE * filled / float(np.median(ratios.outflow_per_s))
        return self._reading(min(LONGEST_DRAIN_S, max(3.0, rest)), self._read_drained)

    def _read_drained(self) -> Round | None:
        return self._larger(self._read_drained) or self._last_train()

    def _last_train(self) -> Round | None:
        count = self._left - (self.limit or 0) - 1
        return self._train(self._quick, count, 0.0, self._read_last) if count > MARGIN else None

    def _read_last(self) -> Round | None:
        return self._touched() or self._reading(0.0, self._end)

    def _end(self) -> Round | None:
        return None

    # -- rounds

    def _burst(self, size: int, after_s: float, then: Step) -> Round | None:
        size = min(size, self._widest, self._left, (self.limit or LARGEST_BURST) + 1)
        self._climbs, self._next = False, then
        self.bursts.append((size, len(self.seen)))
        return Round(tuple((0.0, self.calls[n % len(self.calls)]) for n in range(size)), after_s)

    def _train(self, rate: float, count: float, after_s: float, then: Step) -> Round | None:
        """Even calls, in groups of two where one call's round trip is too long for the rate."""
        round_trip = network_s(self.seen) + 0.01
        group = 1 if rate * round_trip <= 1.0 or self._spare <= GROUP else GROUP
        rate = min(rate, group / round_trip, self.max_rate or FASTEST_PER_S, FASTEST_PER_S)
        self._next = then
        self.trains.append((rate, len(self.seen)))
        in_time = rate * max(SHORTEST_TRAIN_S, PROBING_S - self._elapsed_s() - after_s)
        offsets = [n // group * group / rate for n in range(min(self._left, max(4, int(min(count, in_time)))))]
        return Round(tuple((offset, self.calls[n % len(self.calls)]) for n, offset in enumerate(offsets)), after_s)

    # -- what is known

    @property
    def _left(self) -> int:
        return self.budget - len(self.seen)

    @property
    def _spare(self) -> int:
        """Refusals that may still be caused."""
        return MOST_REFUSALS - self._refused(self.seen)

    @property
    def _step_s(self) -> float:
        """Seconds after which a refusal is known; inf while nothing tells the network's share of a call."""
        connects = [o.connect_s for o in self.seen if o.connect_s]
        told = any(o.server_time_s is not None or o.outcome is Outcome.THROTTLED for o in self.seen)
        return 1.2 * (network_s(self.seen) if told else min(connects, default=math.inf)) + 0.02

    def _steps(self) -> int:
        """How many refusals, one after another, could be known while nine of ten calls are still in flight."""
        times = served(self.seen, network_s(self.seen))
        return int(float(np.quantile(times, 0.1)) / self._step_s) if times else 0

    @property
    def _widest(self) -> int:
        return min(LARGEST_BURST, self.max_in_flight or LARGEST_BURST)

    @property
    def _quick(self) -> float:
        """Calls/s at which the calls in flight just stay below the limit, by reservations alone."""
        root = (-SURE_SPREAD + math.sqrt(SURE_SPREAD**2 + 4.0 * max(0.5, (self.limit or 1) - 0.5))) / 2.0
        return max(0.6, root**2) / self._time_s()

    @property
    def _slow(self) -> float:
        """Calls/s at which two are sent before a refusal is known."""
        return 2.0 / (network_s(self.seen) + 0.01)

    def _ratios(self) -> Ratios | None:
        return ratios_of(self.seen, self.limit, DESIGN_DRAWS, DESIGN_CANDIDATES)

    def _latest(self) -> Sequence[Observation]:
        return self.seen[max([first for _, first in (*self.bursts, *self.trains)], default=0) :]

    def _refused(self, answers: Sequence[Observation]) -> int:
        return sum(o.outcome is Outcome.THROTTLED for o in answers)

    def _time_s(self) -> float:
        return max(0.005, float(np.mean(served(self.seen, network_s(self.seen)) or [0.5])))

    def _flight_s(self) -> float:
        return float(np.median([o.flight_s for o in self.seen if o.ok and o.flight_s is not None] or [0.5]))

    def _elapsed_s(self) -> float:
        ends = [o.received_s for o in self.seen if o.received_s is not None]
        return max(ends) - min(o.due_s for o in self.seen) if ends else 0.0

    def _rest_s(self, together: int) -> float:
        """Long enough for reservations to be given back and for costs to drain; what Retry-After says, when it is longer."""
        asked = [o.retry_after_s for o in self.seen[-10:] if o.retry_after_s is not None]
        return min(max([MOST_REST_S, *asked]), max([SHORTEST_REST_S, 2.0 * self._flight_s(), REST_A_CALL_S * together, *asked]))


def _growth(size: int) -> int:
    """By so many may a burst be refused in part."""
    return 2 if size < 15 else 3


def _most_at_once(answers: Sequence[Observation]) -> int:
    """The most calls in flight at one instant of those let through."""
    times = [(o.sent_s, o.received_s) for o in answers if o.ok and o.sent_s is not None and o.received_s is not None]
    return max((sum(sent <= start < received for sent, received in times) for start, _ in times), default=0)


def _failing(seen: Sequence[Observation]) -> bool:
    recent = list(seen)[-4:]
    return len(recent) == 4 and not any(o.ok or o.outcome is Outcome.THROTTLED for o in recent)
