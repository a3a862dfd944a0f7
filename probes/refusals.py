"""Which calls to make next where no header tells the limit: a few refusals do.

Bursts from rest grow by little, or slow calls are added two at a time, until one is refused, which gives the mark in reservations. Then
even calls, slowly first and then about as fast as reservations allow, or volleys where quick calls outrun what is known of refusals:
either costs fill the bucket, and after a rest they fill it again, which gives outflow / cost; or they do not, and a burst right after
them shows how much room is left. `ratios` makes of the answers what they allow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from probes.calls import Round
from probes.observation import Observation, Outcome
from probes.probing import LARGEST_BURST, LONGEST_ASKED_S, Burst, Probing, Train, failing, kept_per_s, most_at_once
from probes.ratios import Ratios, network_by_refusals_s, served
from probes.safety import FASTEST_PER_S

FIRST_BURST = 5
TOGETHER_S = 0.01
"""Calls of a burst that were sent no further apart than this came together."""
PACED, PACED_CALLS, MOST_PACES = 0.7, 40, 4
"""Of what a crowded server answered a second so much is tried evenly, with so many calls, and again of that, at most so often."""
WORTH_CLIMBING = 2
"""Pairs of calls on top of those that fit, from which a climb leads further than a burst that risks as many refusals as it adds calls."""
WORTH_VOLLEYS = 6
"""Calls that fit from which volleys fill the bucket quicker than a train that waits for refusals to be known."""
FILLINGS = 8
"""Of the calls left one in so many goes into the next volley and the calls before it, or as many as make the volley."""
TRAIN_SHARE = 0.35
FASTER = 1.2
"""From one train to the next: about from one refusal in 1,000 calls to one in 50."""
SURELY = 0.1
"""Odds that a volley meets a refusal; its size follows what the answers allow."""
MORE_SURELY = 0.02
"""Odds that even calls fill the bucket sooner than they should: all that are on their way are refused then."""
PROBING_S = 330.0
"""A search begins no round after so long."""
SHORTEST_TRAIN_S = 10.0
"""A train lasts as long as the search may, and so long at least."""
FILL = 40.0
"""Calls whose cost drains between two touches of the mark: the outflow is then known to about one in so many."""
DRAINED_SHARE = 0.6
LONGEST_DRAIN_S = 60.0
"""Of what was paid so much drains before the bucket is filled again: an empty one would not tell for how long it has been empty."""
MOST_READINGS = 5
"""Larger and larger bursts in a row that ask how much room a train left."""
MARGIN = 10
"""A train of fewer calls teaches nothing."""

Step = Callable[[], Round | None]


@dataclass
class RefusalDesign(Probing):
    """Called with all observations so far, answers with the next round, None at the end; see the module."""

    _next: Step | None = None
    _fits: int = 0
    """The most calls that were in flight at one time and let through."""
    _climbs: bool = False
    """Whether the last round added pairs of calls on top of those that fit."""
    _touches: int = 0
    """How often the mark was met since costs are measured."""
    _readings: int = 0
    """Bursts since it was last asked how much room a train left."""

    def __call__(self, seen: Sequence[Observation]) -> Round | None:
        """The next round, not before the last one's Retry-After."""
        self.seen = seen
        if self._left < 2 or self._spare <= 0 or self._elapsed_s() > PROBING_S or failing(seen) or self._asked_s() > LONGEST_ASKED_S:
            return None
        asked_s = self._asked_s()
        wanted = (self._next or self._grow)()
        return None if wanted is None else replace(wanted, after_s=max(wanted.after_s, asked_s))

    def finish(self, seen: Sequence[Observation]) -> None:
        """Takes in the last round, after which nothing more was asked."""
        self.seen = seen

    # -- from rest: how many calls fit

    def _grow(self) -> Round | None:
        """More together than ever passed: all at once and few more, or, where calls take long, pair after pair on top of those that fit."""
        if self._refused(self._latest()):
            return self._bounded() if self._climbs else self._together()
        if self.crowds:
            self.crowded = True
            return self._paced(kept_per_s(self._latest()))
        last = self._fits = max(self._fits, most_at_once(self._latest()))
        size = min(last + _growth(last), self._widest) if last else min(FIRST_BURST, self._widest)
        if size <= last or size > max(0.6 * self._left, FIRST_BURST):
            return self._unlimited()
        return self._climb(last, self._rest_s(last), self._grow) or self._burst(size, self._rest_s(last), self._grow)

    def _climb(self, size: int, after_s: float, then: Step) -> Round | None:
        """`size` calls at once, then two at a time, each two when a refusal of the two before were known: no more than two are refused.

        While that is guessed no more are sent than may all be refused. None where too few calls would still be in flight for it to lead
        further than a burst that risks as many refusals as it adds calls.
        """
        risked = (self._spare - 1) // 2 if self._guessed else self._steps()
        pairs = min(self._steps(), risked, ((self.limit or self._widest) + 1 - size) // 2, (int(0.6 * self._left) - size) // 2)
        if pairs < WORTH_CLIMBING or self._spare < 2:
            return None
        self._climbs, self._next = True, then
        self.bursts.append(Burst(size + 2 * pairs, len(self.seen)))
        offsets = [0.0] * size + [(n // 2 + 1) * self._step_s for n in range(2 * pairs)]
        return self._in_turn(offsets, after_s)

    def _bounded(self) -> Round | None:
        """A climb was refused: as many at once as were in flight then; one more where others had come back, whose cost took room."""
        first = next(o for o in self._latest() if o.outcome is Outcome.THROTTLED)
        at = (first.sent_s or 0.0) + network_by_refusals_s(self.seen)
        before = [o for o in self._latest() if o.ok and (o.sent_s or 0.0) <= (first.sent_s or 0.0) + 1e-3]
        beside = sum((o.received_s or 0.0) > at for o in before)
        exact = beside == len(before)
        return self._burst(beside if exact else beside + 1, self._rest_s(len(before)), self._together if exact else self._grow)

    def _together(self) -> Round | None:
        """The burst after a climb told exactly how many fit."""
        return self._limited(self._beside_refused())

    def _beside_refused(self) -> int:
        """Calls let through that the server still had when another was refused: those on new connections come a handshake later."""
        let = [o for o in self._latest() if o.ok]
        network = network_by_refusals_s(self.seen)
        refused = [o.sent_s or 0.0 for o in self._latest() if o.outcome is Outcome.THROTTLED]
        beside = [sum((o.sent_s or 0.0) <= at + TOGETHER_S and (o.received_s or 0.0) > at + network for o in let) for at in refused]
        return min(beside, default=len(let))

    def _paced(self, rate: float) -> Round | None:
        """Even calls at a part of what a crowded server answered a second: slower and slower until it keeps its pace."""
        if rate <= 0.0 or self._left < MARGIN or len(self.trains) >= MOST_PACES:
            return None
        return self._train(PACED * rate, min(self._left, PACED_CALLS), 2.0 * self._flight_s(), self._paced_on)

    def _paced_on(self) -> Round | None:
        if self._refused(self._latest()) or not self.crowds:
            return None
        return self._paced(min(self.trains[-1].rate_per_s, kept_per_s(self._latest())))

    def _limited(self, limit: int) -> Round | None:
        self.limit = limit
        return self._first_train()

    def _unlimited(self) -> Round | None:
        """No burst was refused: the rest of the budget goes evenly, as many in flight as ever fitted."""
        return self._train(self._fits / self._time_s(), self._left, self._rest_s(self._fits), self._end)

    # -- does cost fill the bucket

    def _first_train(self) -> Round | None:
        slow, quick, rest = min(self._quick, self._slow), self._quick, self._rest_s(self.bursts[-1].size)
        if slow < 0.7 * quick and (self.limit or 0) >= WORTH_VOLLEYS:
            return self._volley(rest)
        return self._train(slow, self._share(slow), rest, self._faster)

    def _share(self, rate: float) -> float:
        """Calls of the next of several trains: a part of those, and of the time, that are left."""
        return TRAIN_SHARE * min(self._left, rate * (PROBING_S - self._elapsed_s()))

    def _faster(self) -> Round | None:
        """Where all of a train was let through a quicker one follows: how fast calls in flight may be is met first hand."""
        if self._refused(self._latest()):
            return self._touched()
        last = self.trains[-1].rate_per_s
        rate = min(FASTER * last, self._slow)
        count = min(self._share(rate), self._left - (self.limit or 0) - 1)
        if count < MARGIN or rate < 1.01 * last:
            return self._reading(0.0, self._read_on)
        return self._train(rate, count, 0.0, self._faster)

    def _volley(self, after_s: float | None = None) -> Round | None:
        """As many at once as surely fit, again and again as soon as all are back; after a refusal as after a train."""
        ratios = self._ratios()
        rest = network_by_refusals_s(self.seen) if after_s is None else after_s
        room = int(np.quantile(ratios.room(rest), SURELY)) if ratios is not None else 0
        if after_s is None and (self._refused(self._latest()) or self._left < 1.5 * (self.limit or 0) or room < 3):
            return self._touched() if self._refused(self._latest()) else self._reading(0.0, self._read_on)
        return self._volleys(max(3, room), rest, ratios)

    def _volleys(self, size: int, after_s: float, ratios: Ratios | None) -> Round | None:
        """A volley; before it, where more calls are left, even calls that surely fit: they fill the bucket, the volley shows how far."""
        size = min(size, self._widest, (self.limit or LARGEST_BURST) + 1)
        times = served(self.seen, network_by_refusals_s(self.seen))
        rate = min(self._evenly(size), self.max_rate or FASTEST_PER_S)
        gap, step, most = float(np.quantile(times, 0.98)), max(1, size // 2), self._left // FILLINGS - size
        fill = 0
        while ratios is not None and fill + step <= most and self._surely_fits(ratios, size, fill + step, rate, after_s + gap):
            fill += step
        self._climbs, self._next = False, self._volley
        self.bursts.append(Burst(size, len(self.seen)))
        offsets = [n / rate for n in range(fill)] + [(fill / rate + gap) * (fill > 0)] * size
        return self._in_turn(offsets[: self._left], after_s)

    def _surely_fits(self, ratios: Ratios, size: int, before: int, rate: float, after_s: float) -> bool:
        """Whether `size` calls still fit when `before` calls were paid for at `rate`."""
        return bool(np.quantile(ratios.room(before / rate + after_s, before), MORE_SURELY) >= size)

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
        drain = min(drain, max(0.0, PROBING_S - 30.0 - self._elapsed_s()))
        if not self.trains:
            return self._volley(max(drain, network_by_refusals_s(self.seen)))
        rate = max(0.5 * rate, min(rate, 3.0 * steady))
        count = self._left if self._touches > 1 else 0.6 * self._left
        return self._train(rate, count, drain, self._touched)

    # -- how much room is left after a train

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
        size = self.bursts[-1].size
        if self._refused(self._latest()) or self._spare < 3 or self._readings >= MOST_READINGS or size >= (self.limit or 0):
            return None  # one call more at a time would spend the budget on little
        self._readings += 1
        after_s = network_by_refusals_s(self.seen)
        return self._climb(most_at_once(self._latest()), after_s, then) or self._burst(size + min(3, self._spare - 1), after_s, then)

    def _drained(self) -> Round | None:
        filled = (self.limit or 0) - most_at_once(self._latest())
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
        self.bursts.append(Burst(size, len(self.seen)))
        return self._in_turn([0.0] * size, after_s)

    def _train(self, rate: float, count: float, after_s: float, then: Step) -> Round | None:
        """Even calls, in groups where one call's round trip is too long for the rate."""
        round_trip = self._known_s + 0.01
        group = max(1, min(math.ceil(rate * round_trip - 0.01), self._at_risk))
        rate = min(rate, group / round_trip, self.max_rate or FASTEST_PER_S, FASTEST_PER_S)
        self._next = then
        self.trains.append(Train(rate, len(self.seen)))
        in_time = rate * max(SHORTEST_TRAIN_S, PROBING_S - self._elapsed_s() - after_s)
        offsets = [n // group * group / rate for n in range(min(self._left, max(4, int(min(count, in_time)))))]
        return self._in_turn(offsets, after_s)


def _growth(size: int) -> int:
    """By so many may a burst be refused in part."""
    return 2 if size < 15 else 3 if size < 18 else 4
