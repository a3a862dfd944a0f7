"""Which calls to make next where no header tells the limit: a few refusals do.

When it is known how many fit (`climbing`): even calls, slowly first and then about as fast as reservations allow, or volleys where quick
calls outrun what is known of refusals. Either costs fill the bucket, and after a rest they fill it again, which gives outflow / cost; or
they do not, and a burst right after them shows how much room is left. `ratios` makes of the answers what they allow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from probes.calls import Round
from probes.search.climbing import MARGIN, Step
from probes.search.filling import SMALLEST, Filling
from probes.search.probing import most_at_once
from probes.search.ratios import network_by_refusals_s

WORTH_VOLLEYS = 6
"""Calls that fit from which volleys may fill the bucket quicker than a train that waits for refusals to be known."""
ENOUGH_VOLLEYS = 4
"""As many full ones must be left to go on with them after a reading."""
TRAIN_SHARE = 0.35
FASTER = 1.2
"""From one train to the next: about from one refusal in 1,000 calls to one in 50."""
FILL = 40.0
"""Calls whose cost drains between two touches of the mark: the outflow is then known to about one in so many."""
DRAINED_SHARE = 0.6
LONGEST_DRAIN_S = 60.0
"""Of what was paid so much drains before the bucket is filled again: an empty one would not tell for how long it has been empty."""
MOST_READINGS = 5
"""Larger and larger bursts in a row that ask how much room a train left."""


@dataclass
class RefusalDesign(Filling):
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
        if after_s is None and self._refused(self._latest()):
            return self._touched()
        rest = network_by_refusals_s(self.seen) if after_s is None else after_s
        volley = self._filled(ratios, rest)
        if after_s is None and (self._left < 1.5 * (self.limit or 0) or volley.size < SMALLEST):
            return self._reading(0.0, self._read_on)
        return self._volleys(volley, rest)

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
        if self._in_volleys:
            return self._glide(ratios) or self._volley(max(drain, network_by_refusals_s(self.seen)))
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
        if self._in_volleys and self._refused(self._latest()) and self._left > ENOUGH_VOLLEYS * (self.limit or 0):
            return self._touched()
        return self._larger(self._read_on) or self._drained() or self._last_train()

    def _larger(self, then: Step) -> Round | None:
        size = self.bursts[-1].size
        if self._refused(self._latest()) or self._spare < 2 or self._readings >= MOST_READINGS or size >= (self.limit or 0):
            return None  # one call more at a time would spend the budget on little
        self._readings += 1
        after_s = network_by_refusals_s(self.seen)
        larger = min(size + max(1, min(3, self._spare - 2)), self.limit or size + 1)
        return self._climb(most_at_once(self._latest()), after_s, then) or self._burst(larger, after_s, then)

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
