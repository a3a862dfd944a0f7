"""How many calls fit at one time where no header tells the limit: more and more together until one is refused.

Where calls take long they are added two at a time, each two when a refusal of the two before were known. Bursts come from rest, so that
the one that is refused tells the mark in reservations; where many fit they follow one another without a rest, which tells besides that
costs fill nothing meanwhile, and after a refusal one more than was let through is tried from rest.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from probes.calls import Round
from probes.observation import Observation, Outcome
from probes.safety import FASTEST_PER_S
from probes.search.probing import LARGEST_BURST, LONGEST_ASKED_S, Burst, Probing, Train, failing, kept_per_s, most_at_once
from probes.search.ratios import network_by_refusals_s

FIRST_BURST = 5
TOGETHER_S = 0.01
"""Calls of a burst that were sent no further apart than this came together."""
PACED, PACED_CALLS, MOST_PACES = 0.7, 40, 4
"""Of what a crowded server answered a second so much is tried evenly, with so many calls, and again of that, at most so often."""
WORTH_CLIMBING = 2
"""Pairs of calls on top of those that fit, from which a climb leads further than a burst that risks as many refusals as it adds calls."""
REST_SHARE = 0.6
"""Of the calls left so many may go into a burst from rest."""
UNRESTED_FROM = 22
"""Where so many calls fit larger bursts do not wait until costs have drained: with a rest before each they would take most of the budget
and tell nothing of costs; without, a refusal that comes late shows that many calls in little time filled next to nothing."""
UNRESTED_CLIMB_FROM = 30
"""The same for pairs on top of those that fit, which lead further."""
UNRESTED_GROWTH, GROWS_FROM = 3, 30
"""By so many the first of them grow, and by one more from there on: costs may have taken room for some more."""
AMPLE, AMPLE_GROWTH = 30, 2
"""Where so many bursts could still be made they grow by no more: refusals are scarcer than calls, and each tells of costs later."""
SHORTEST_TRAIN_S = 10.0
"""A train lasts as long as the search may, and so long at least."""
MARGIN = 10
"""A train of fewer calls teaches nothing."""

Step = Callable[[], Round | None]


@dataclass
class Climbing(Probing, ABC):
    """A search that begins with how many calls fit; what follows is `_limited`.

    Called with all observations so far, it answers with the next round, None at the end.
    """

    _next: Step | None = None
    _fits: int = 0
    """The most calls that were in flight at one time and let through."""
    _climbs: bool = False
    """Whether the last round added pairs of calls on top of those that fit."""
    _rests: bool = True
    """Whether the last burst waited until what others paid had drained ..."""
    _settles: bool = False
    """... and whether all that follow will, since one that did not was refused."""

    def __call__(self, seen: Sequence[Observation]) -> Round | None:
        """The next round, not before the last one's Retry-After."""
        self.seen = seen
        if self._left < 2 or self._spare <= 0 or failing(seen) or self._asked_s() > LONGEST_ASKED_S or self._late():
            return None
        asked_s = self._asked_s()
        wanted = (self._next or self._grow)()
        return None if wanted is None else replace(wanted, after_s=max(wanted.after_s, asked_s))

    def finish(self, seen: Sequence[Observation]) -> None:
        """Takes in the last round, after which nothing more was asked: a burst that took the last refusal may tell how many calls fit."""
        self.seen = seen
        if self.limit is None and self.bursts and not self.trains and self._rests and not self._climbs and self._refused(self._latest()):
            self.limit = self._beside_refused()

    @property
    def hurried(self) -> bool:
        """Whether the last burst came without a rest."""
        return not self._rests

    @abstractmethod
    def _limited(self, limit: int) -> Round | None:
        """What follows when so many calls fit."""

    def _grow(self) -> Round | None:
        """More together than ever passed: all at once and few more, or, where calls take long, pair after pair on top of those that fit."""
        if self._refused(self._latest()):
            return self._bounded() if self._climbs else self._together()
        if self.crowds:
            self.crowded = True
            return self._paced(kept_per_s(self._latest()))
        last = self._fits = max(self._fits, most_at_once(self._latest(), network_by_refusals_s(self.seen)))
        self._rests = self._settles or last < (UNRESTED_CLIMB_FROM if self._steps() >= WORTH_CLIMBING else UNRESTED_FROM)
        size, rest = min(last + self._growth(last), self._widest), self._rest_s(last) if self._rests else network_by_refusals_s(self.seen)
        if size <= last or size > self._affordable or (self._settles and self._spare < 2):
            return self._limited_at_least(last) if self._settles else self._unlimited()
        return self._climb(last, rest, self._grow) or self._burst(size, rest, self._grow)

    @property
    def _affordable(self) -> float:
        """Calls of a burst at most: after one from rest as many again are needed to tell what costs do, which others told by the way."""
        return max(REST_SHARE * self._left, FIRST_BURST) if self._rests else self._left

    def _growth(self, size: int) -> int:
        """By so many a burst grows, which may all be refused."""
        if self._settles:
            return max(1, min(2, self._spare - 1))
        if not size:
            return FIRST_BURST
        if self._left > AMPLE * size:
            return AMPLE_GROWTH
        if not self._rests:
            return UNRESTED_GROWTH + (size >= GROWS_FROM)
        return 2 if size < 15 else 3 if size < 18 else 4

    def _climb(self, size: int, after_s: float, then: Step) -> Round | None:
        """`size` calls at once, then two at a time, each two when a refusal of the two before were known: no more than two are refused.

        While that is guessed no more are sent than may all be refused. None where too few calls would still be in flight for it to lead
        further than a burst that risks as many refusals as it adds calls.
        """
        risked = (self._spare - 1) // 2 if self._guessed else self._steps()
        pairs = min(self._steps(), risked, ((self.limit or self._widest) + 1 - size) // 2, (int(REST_SHARE * self._left) - size) // 2)
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
        if self._rests and beside == len(before):
            return self._burst(beside, self._rest_s(len(before)), self._together)
        self._settles = self._settles or not self._rests
        return self._from_rest(beside + 1, len(before))

    def _together(self) -> Round | None:
        """A burst was refused in part: it told how many fit, if it came from rest; else one more than it let through is tried from rest."""
        admitted = self._beside_refused()
        if self._rests:
            return self._limited(admitted)
        if self._spare < 1:
            return self._limited_at_least(admitted)
        self._fits, self._settles = admitted, True
        return self._from_rest(admitted + 1, admitted)

    def _from_rest(self, size: int, before: int) -> Round | None:
        """A burst when what `before` calls paid has drained."""
        self._rests = True
        return self._burst(size, self._rest_s(before), self._grow)

    def _limited_at_least(self, fits: int) -> Round | None:
        """So many fit, and it would take more refusals than are left to know whether more do."""
        self.exact = False
        return self._limited(fits)

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

    def _unlimited(self) -> Round | None:
        """No burst was refused: the rest of the budget goes evenly, as many in flight as ever fitted."""
        return self._train(self._fits / self._time_s(), self._left, self._rest_s(self._fits), self._end)

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
        in_time = rate * max(SHORTEST_TRAIN_S, self.longest_s - self._elapsed_s() - after_s)
        offsets = [n // group * group / rate for n in range(min(self._left, max(4, int(min(count, in_time)))))]
        return self._in_turn(offsets, after_s)
