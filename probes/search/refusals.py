"""Which calls to make next where no header tells the limit: a few refusals do.

When it is known how many fit (`climbing`): even calls, slowly first and then about as fast as reservations allow, or volleys where quick
calls outrun what is known of refusals. Either costs fill the bucket, and after a rest they fill it again, which gives outflow / cost; or
they do not, and a burst right after them shows how much room is left. `ratios` makes of the answers what they allow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from probes.calls import Round
from probes.safety import FASTEST_PER_S
from probes.search.climbing import MARGIN, Climbing, Step
from probes.search.probing import LARGEST_BURST, SHORTEST_REST_S, Burst, most_at_once
from probes.search.ratios import Ratios, network_by_refusals_s, served

WORTH_VOLLEYS = 6
"""Calls that fit from which volleys may fill the bucket quicker than a train that waits for refusals to be known."""
ENOUGH_VOLLEYS = 4
"""As many full ones must be left to go on with them after a reading."""
FILLINGS = 8
"""Of the calls left one in so many goes into the next volley and the calls before it, or as many as make the volley."""
TRAIN_SHARE = 0.35
FASTER = 1.2
"""From one train to the next: about from one refusal in 1,000 calls to one in 50."""
SURELY = 0.1
"""Odds that a volley meets a refusal; its size follows what the answers allow."""
MORE_SURELY = 0.02
"""Odds that even calls fill the bucket sooner than they should: all that are on their way are refused then."""
FEW_SHARE = 1 / 3
"""Of the calls that fit into an empty bucket; volleys of fewer are little faster than the bucket drains."""
FILL = 40.0
"""Calls whose cost drains between two touches of the mark: the outflow is then known to about one in so many."""
DRAINED_SHARE = 0.6
LONGEST_DRAIN_S = 60.0
"""Of what was paid so much drains before the bucket is filled again: an empty one would not tell for how long it has been empty."""
MOST_READINGS = 5
"""Larger and larger bursts in a row that ask how much room a train left."""


@dataclass
class RefusalDesign(Climbing):
    """Called with all observations so far, answers with the next round, None at the end; see the module."""

    _touches: int = 0
    """How often the mark was met since costs are measured."""
    _readings: int = 0
    """Bursts since it was last asked how much room a train left."""

    def _limited(self, limit: int) -> Round | None:
        self.limit = limit
        return self._first_train()

    # -- does cost fill the bucket

    def _first_train(self) -> Round | None:
        slow, rest = min(self._quick, self._slow), self._rest_s(self.bursts[-1].size)
        if self._outruns:
            return self._volley(rest)
        return self._train(slow, self._share(slow), rest, self._faster)

    @property
    def _outruns(self) -> bool:
        """Whether volleys fill the bucket quicker than a train that waits for refusals to be known."""
        return self._slow < 0.7 * self._quick and (self.limit or 0) >= WORTH_VOLLEYS

    def _share(self, rate: float) -> float:
        """Calls of the next of several trains: a part of those, and of the time, that are left."""
        return TRAIN_SHARE * min(self._left, rate * (self.longest_s - self._elapsed_s()))

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
        usual, worst = self._room(ratios, rest)
        if after_s is None and (self._refused(self._latest()) or self._left < 1.5 * (self.limit or 0) or usual < 3.0):
            return self._touched() if self._refused(self._latest()) else self._reading(0.0, self._read_on)
        # all but those that may still be refused fit more surely: what costs as much as it reserves leaves no room at all
        return self._volleys(max(3, int(min(usual, worst + max(1, self._spare - 1)))), rest, ratios)

    def _room(self, ratios: Ratios | None, after_s: float) -> tuple[float, float]:
        """Calls that fit, usually and more surely; where they are few, and hardly fill the bucket any more, at even odds and usually."""
        if ratios is None:
            return 0.0, 0.0
        surest, sure, even = np.quantile(ratios.room(after_s), (MORE_SURELY, SURELY, 0.5))
        return (even, sure) if 3.0 <= sure < FEW_SHARE * (self.limit or 0) else (sure, surest)

    def _volleys(self, size: int, after_s: float, ratios: Ratios | None) -> Round | None:
        """A volley; before it, where more calls are left, even calls that surely fit: they fill the bucket, the volley shows how far."""
        size = min(size, self._widest, (self.limit or LARGEST_BURST) + 1)
        if not self.exact and after_s < SHORTEST_REST_S:
            size = min(size, most_at_once(self._latest()) + self._spare)
        times = served(self.seen, network_by_refusals_s(self.seen))
        rate = min(self._evenly(size), self.max_rate or FASTEST_PER_S)
        gap, step, most = float(np.quantile(times, 0.98)), max(1, size // 2), self._left // FILLINGS - size
        fill = 0
        while ratios is not None and fill + step <= most and _surely_fits(ratios, size, fill + step, (fill + step) / rate + gap, after_s):
            fill += step
        self._climbs, self._next = False, self._volley
        self.bursts.append(Burst(size, len(self.seen)))
        offsets = [n / rate for n in range(fill)] + [(fill / rate + gap) * (fill > 0)] * size
        return self._in_turn(offsets[: self._left], after_s)

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
        drain = min(drain, max(0.0, self.longest_s - 30.0 - self._elapsed_s()))
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
        """What is left goes evenly, or in volleys where these fill the bucket quicker and some could still be made."""
        if self._outruns and self._left > ENOUGH_VOLLEYS * (self.limit or 0):
            return self._volley(network_by_refusals_s(self.seen))
        count = self._left - (self.limit or 0) - 1
        return self._train(self._quick, count, 0.0, self._read_last) if count > MARGIN else None

    def _read_last(self) -> Round | None:
        return self._touched() or self._reading(0.0, self._end)


def _surely_fits(ratios: Ratios, size: int, before: int, over_s: float, after_s: float) -> bool:
    """Whether `size` calls still fit when `before` calls were paid for over `over_s`, which began `after_s` after the last event."""
    return bool(np.quantile(ratios.room(after_s, before, over_s), MORE_SURELY) >= size)
