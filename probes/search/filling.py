"""Volleys that show how far calls before them filled the bucket, where no header tells its level.

A refusal tells what was paid to about half a reservation, whatever was paid: the more it was, the more it tells. So volleys leave room for
half of the calls that fit at one time while others fill the bucket, and between two refusals calls go about as fast as their cost drains.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from probes.calls import Round
from probes.safety import FASTEST_PER_S
from probes.search.climbing import MARGIN, Climbing
from probes.search.probing import LARGEST_BURST, SHORTEST_REST_S, SURE_SPREAD, Burst, Train, most_at_once
from probes.search.ratios import Ratios, network_by_refusals_s, served

FILLINGS = 8
"""Of the calls left one in so many goes before a volley at most ..."""
SEEN_SHARE = 0.25
"""... and no more than this part of those seen: what these left unknown is not stretched far."""
SURELY = 0.1
"""Odds that a volley meets a refusal; its size follows what the answers allow."""
MORE_SURELY = 0.02
"""Odds that it meets more of them than are risked, where calls are scarce or few refusals are left."""
ALLOWED = 0.08
"""Else so many of all that explains the answers, likely or not: a refusal comes when the level is as high as they allow at all."""
SCARCE = 20
"""Fewer calls left than so many times those that fit at one time are scarce: then refusals are risked for them."""
MOST_SHARE, HALF, FEW_SHARE = 2 / 3, 1 / 2, 1 / 3
"""Of the calls that fit into an empty bucket: at most so many are a volley that nothing fills for, and so many one after others that do.
Volleys of fewer than a third are little faster than it drains ..."""
SHARES = (HALF, FEW_SHARE, FEW_SHARE / 2.0)
"""... and come when larger ones do not surely fit after any that fill."""
SMALLEST = 3.0
FASTER_FILL = 1.2
BACK = 0.995
"""So many of the calls are back before a volley: those still on their way would take its room."""
GLIDES = 3
"""As many parts of time and calls as refusals are left, at most; one goes between two touches of the mark."""
SLOWER = 0.4
"""Quantile of outflow over cost: rather a little slower, so that the level falls and no call is refused on the way."""
RESTS = 0.3
"""Of what was paid so much drains first ..."""
KNOWN = 0.5
"""... and calls go on while the level is known to this part of the mark."""
SHORTEST_GLIDE_S, LONGER = 4.0, 1.25


class Volley(NamedTuple):
    """`fill` even calls at `rate_per_s`, and when they are back `size` at once, of which so many surely fit."""

    size: float
    fill: int = 0
    rate_per_s: float = FASTEST_PER_S


@dataclass
class Filling(Climbing, ABC):
    """A search that has found how many calls fit, and what fills the bucket."""

    _in_volleys: bool = False
    """Whether volleys fill the bucket, not a train."""

    @abstractmethod
    def _volley(self, after_s: float | None = None) -> Round | None:
        """What follows a volley, or its like."""

    def _filled(self, ratios: Ratios | None, after_s: float) -> Volley:
        """A volley after as many calls as leave room for half of those that fit, where that pays more a second than volleys alone."""
        if ratios is None:
            return Volley(0.0)
        plain = Volley(min(self._fitting(ratios, after_s), (1.0 if self._scarce else MOST_SHARE) * (self.limit or 0)))
        cycle_s, free = network_by_refusals_s(self.seen) + self._back_s, self._at_least(ratios, after_s) - 1.0
        for share in SHARES:
            least = max(SMALLEST, share * (self.limit or 0))
            volley = self._fullest(ratios, after_s, least, self._filling_per_s(max(least, free)))
            filling_s = volley.fill / volley.rate_per_s + self._back_s
            if volley.fill and (volley.fill + volley.size) / (filling_s + cycle_s) > plain.size / cycle_s:
                return volley
        return plain

    def _fullest(self, ratios: Ratios, after_s: float, least: float, rate: float) -> Volley:
        """The most calls at this rate after which `least` at once still fit."""
        found, fill = Volley(0.0), 1
        while fill <= min(self._left // FILLINGS - least, SEEN_SHARE * len(self.seen)):
            size = self._fitting(ratios, after_s, fill, fill / rate + self._back_s)
            if size < least:
                break
            found, fill = Volley(size if self._scarce else least, fill, rate), max(fill + 1, int(FASTER_FILL * fill))
        return found

    def _fitting(self, ratios: Ratios, after_s: float, paid: int = 0, over_s: float = 0.0) -> float:
        """Calls that fit surely enough; where they are few, and hardly fill the bucket any more, at even odds and usually."""
        sure, even = np.quantile(ratios.room(after_s, paid, over_s), (SURELY, 0.5))
        usual = even if not paid and SMALLEST <= sure < FEW_SHARE * (self.limit or 0) else sure
        return float(min(usual, self._at_least(ratios, after_s, paid, over_s) + 1.0))

    def _at_least(self, ratios: Ratios, after_s: float, paid: int = 0, over_s: float = 0.0) -> float:
        """All but those of a volley that may be refused surely fit: what costs as much as it reserves leaves no room at all."""
        if self._scarce:
            return float(np.quantile(ratios.room(after_s, paid, over_s), MORE_SURELY)) + max(0, self._spare - 2)
        allowed = ratios.allowed.room(after_s, paid, over_s)
        return float(np.quantile(allowed, ALLOWED if self._spare > 2 else MORE_SURELY))

    @property
    def _scarce(self) -> bool:
        """Whether refusals are risked for calls, of which few are left."""
        return self._left < SCARCE * (self.limit or 0)

    def _filling_per_s(self, fits: float) -> float:
        return min(self._evenly(int(fits)), self.max_rate or FASTEST_PER_S)

    @property
    def _back_s(self) -> float:
        """Nearly all calls are back so long after they were sent."""
        return float(np.quantile(served(self.seen, network_by_refusals_s(self.seen)), BACK))

    def _volleys(self, volley: Volley, after_s: float) -> Round | None:
        """The round of a volley, no more at once than may be risked."""
        size = min(max(int(SMALLEST), int(volley.size)), self._widest, (self.limit or LARGEST_BURST) + 1)
        if after_s < SHORTEST_REST_S:
            last = most_at_once(self._latest())
            size = min(size, max(int(SMALLEST), 2 * last), size if self.exact else last + self._spare)
        self._climbs, self._next, self._in_volleys = False, self._volley, True
        self.bursts.append(Burst(size, len(self.seen)))
        filled_s = (volley.fill / volley.rate_per_s + self._back_s) * (volley.fill > 0)
        offsets = [n / volley.rate_per_s for n in range(volley.fill)] + [filled_s] * size
        return self._in_turn(offsets[: self._left], after_s)

    def _glide(self, ratios: Ratios) -> Round | None:
        """Even calls about as fast as their cost drains: what drains from a refusal to the next is what they pay, to half a reservation."""
        rate = float(np.quantile(ratios.steady_per_s, SLOWER))
        if rate > self._filling_per_s(max(SMALLEST, HALF * (self.limit or 0))):
            return None
        left_s = min(self.longest_s - 20.0 - self._elapsed_s(), (self._left - 2.0 * (self.limit or 0)) / rate)
        most_s = left_s / max(1, min(GLIDES, self._spare))
        rest_s = min(RESTS * most_s, RESTS * float(np.median(ratios.level / ratios.outflow_per_s)))
        count = int(rate * self._known_for_s(ratios, rate, rest_s, most_s - rest_s))
        if count < MARGIN:
            return None
        self._next = self._volley
        self.trains.append(Train(rate, len(self.seen)))
        return self._in_turn([n / rate for n in range(count)], max(rest_s, network_by_refusals_s(self.seen)))

    def _known_for_s(self, ratios: Ratios, rate: float, rest_s: float, most_s: float) -> float:
        """So long even calls may go on after a rest: the level stays known, and so low that none is refused."""
        limit, flying = self.limit or 0, rate * self._time_s()
        flying += SURE_SPREAD * math.sqrt(flying) + 1.0
        rested = np.maximum(0.0, ratios.level - rest_s * ratios.outflow_per_s)
        found, over_s = 0.0, SHORTEST_GLIDE_S
        while over_s < most_s:
            level = rested + over_s * (rate * ratios.cost - ratios.outflow_per_s)  # below 0: what drained then is not known
            low, high, highest = np.quantile(level, (0.05, 0.95, 0.98))
            if high - low > KNOWN * limit or highest + flying > limit:
                break
            found, over_s = over_s, over_s * LONGER
        return found
