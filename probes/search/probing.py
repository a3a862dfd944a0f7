"""What a search for a limit without headers knows so far: budget and refusals left, times, and what the answers allow (`ratios`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from probes.calls import Call, Round
from probes.observation import Observation, Outcome
from probes.search.population import Population
from probes.search.ratios import Ratios, network_by_refusals_s, ratios_of, served
from probes.slowing import least_overlapped, slowed

PROBING_S = 330.0
"""A search begins no round after so long, unless told otherwise."""
LARGEST_BURST = 80
"""Calls together at most."""
MOST_REFUSALS = 5
"""Refusals that a search may cause."""
SHORTEST_REST_S = 1.5
MOST_REST_S = 30.0
"""Rest before a burst that is to begin with an empty bucket, at least and at most, unless Retry-After asks for more."""
LONGEST_ASKED_S = 60.0
"""A server that asks for a longer wait after a refusal is not asked any more."""
REST_A_CALL_S = 0.8
"""Rest for each call of the burst before: as long as a dear call needs to drain."""
SURE_SPREAD = 1.7
"""Calls in flight fluctuate by this times their number's root, as far up as one job in twenty goes (3.2 deviations at a Gini of 0.28)."""
FAILURES = 4
"""Calls in a row that fail, after which a server is left alone."""
MOST_AT_RISK = 3
"""Calls on their way at most while a refusal of the first of them is not known."""
DESIGN_CANDIDATES = 1000
DESIGN_DRAWS = 200
"""Of `ratios_of`, for decisions between rounds: fewer than for the answer."""


class Burst(NamedTuple):
    """Calls sent together: how many, and the number of observations before the first of them."""

    size: int
    first: int


class Train(NamedTuple):
    """Calls sent evenly: calls/s, and the number of observations before the first of them."""

    rate_per_s: float
    first: int


@dataclass
class Probing:
    """The state of a search; `refusals` decides by it."""

    calls: tuple[Call, ...]
    budget: int = 400
    max_rate: float | None = None
    max_in_flight: int | None = None
    longest_s: float = PROBING_S
    cut_short: bool = False
    """Whether `longest_s` was over before budget and refusals were spent."""
    bursts: list[Burst] = field(default_factory=list)
    trains: list[Train] = field(default_factory=list)
    seen: Sequence[Observation] = ()
    limit: int | None = None
    """Calls at one time that fit ..."""
    exact: bool = True
    """... and whether one more does not; else costs may have taken room when it was refused."""
    earlier: Sequence[Observation] = ()
    """Calls made before, few at one time, and not for this search."""
    crowded: bool = False
    """Whether the server slowed down before any call was refused."""
    _known: tuple[int | None, Population] | None = None
    """What the answers allowed when it was last asked, and the `admitted` of then."""

    @property
    def _left(self) -> int:
        return self.budget - len(self.seen)

    @property
    def _spare(self) -> int:
        """Refusals that may still be caused."""
        return MOST_REFUSALS - self._refused(self.seen) - self._refused(self.earlier)

    @property
    def _guessed(self) -> bool:
        """Whether neither a refusal nor the server's own time told how soon a refusal is known: a connect may end at an edge near by."""
        return not any(o.server_time_s is not None or o.outcome is Outcome.THROTTLED for o in self.seen)

    @property
    def _known_s(self) -> float:
        """Seconds after which a refusal is known: as long as the slowest so far took, else the network's share of a call."""
        flights = [o.flight_s for o in self.seen if o.outcome is Outcome.THROTTLED and o.flight_s is not None]
        return max(flights, default=network_by_refusals_s(self.seen))

    @property
    def _step_s(self) -> float:
        """The same with a margin for a climb; inf while nothing tells them."""
        connects = [o.connect_s for o in self.seen if o.connect_s]
        return 1.2 * (min(connects, default=math.inf) if self._guessed else self._known_s) + 0.02

    def _steps(self) -> int:
        """How many refusals, one after another, could be known while nine of ten calls are still in flight."""
        times = served(self.seen, network_by_refusals_s(self.seen))
        return int(float(np.quantile(times, 0.1)) / self._step_s) if times else 0

    @property
    def _widest(self) -> int:
        return min(LARGEST_BURST, self.max_in_flight or LARGEST_BURST)

    @property
    def _quick(self) -> float:
        """Calls/s at which the calls in flight just stay below the limit, by reservations alone."""
        return self._evenly(self.limit or 1)

    def _evenly(self, fits: int) -> float:
        """Calls/s of which seldom more than `fits` are in flight."""
        root = (-SURE_SPREAD + math.sqrt(SURE_SPREAD**2 + 4.0 * max(0.5, fits - 0.5))) / 2.0
        return max(0.6, root**2) / self._time_s()

    @property
    def _slow(self) -> float:
        """Calls/s of which no more than may be refused are sent before a refusal is known."""
        return self._at_risk / (self._known_s + 0.01)

    @property
    def _at_risk(self) -> int:
        """Calls that may be on their way when a first refusal comes: all of them could be refused as well."""
        return max(1, min(MOST_AT_RISK, self._spare - 1))

    @property
    def admitted(self) -> int | None:
        """The limit where it is exact."""
        return self.limit if self.exact else None

    def _ratios(self) -> Ratios | None:
        before = self._known[1] if self._known and self._known[0] == self.admitted else None
        ratios = ratios_of(self.seen, self.admitted, DESIGN_DRAWS, DESIGN_CANDIDATES, before)
        if ratios is not None and ratios.population is not None:
            self._known = self.admitted, ratios.population
        return ratios

    def _latest(self) -> Sequence[Observation]:
        """Answers of the last round."""
        starts = [*(burst.first for burst in self.bursts), *(train.first for train in self.trains)]
        return self.seen[max(starts, default=0) :]

    def _in_turn(self, offsets: Sequence[float], after_s: float) -> Round:
        """A round of the calls in turn, one at each of these offsets (seconds)."""
        return Round(tuple((offset, self.calls[n % len(self.calls)]) for n, offset in enumerate(offsets)), after_s)

    def _refused(self, answers: Sequence[Observation]) -> int:
        return sum(o.outcome is Outcome.THROTTLED for o in answers)

    @property
    def crowds(self) -> bool:
        """Whether the latest calls took clearly longer than those made earlier, few at one time."""
        return slowed(least_overlapped(self.earlier), self._latest())

    def _time_s(self) -> float:
        return max(0.005, float(np.mean(served(self.seen, network_by_refusals_s(self.seen)) or [0.5])))

    def _flight_s(self) -> float:
        return float(np.median([o.flight_s for o in self.seen if o.ok and o.flight_s is not None] or [0.5]))

    def _elapsed_s(self) -> float:
        ends = [o.received_s for o in self.seen if o.received_s is not None]
        return max(ends) - min(o.due_s for o in self.seen) if ends else 0.0

    def _late(self) -> bool:
        self.cut_short = self._elapsed_s() > self.longest_s
        return self.cut_short

    def _rest_s(self, together: int) -> float:
        """Long enough for reservations to be given back and for costs to drain; what Retry-After says, when it is longer."""
        asked = self._asked_s()
        return min(max(MOST_REST_S, asked), max(SHORTEST_REST_S, 2.0 * self._flight_s(), REST_A_CALL_S * together, asked))

    def _asked_s(self) -> float:
        """The longest Retry-After of the last round."""
        return max([o.retry_after_s for o in self._latest() if o.retry_after_s is not None], default=0.0)


def failing(seen: Sequence[Observation]) -> bool:
    """Whether the last `FAILURES` calls brought neither an answer as asked nor a refusal."""
    recent = seen[-FAILURES:]
    return len(recent) == FAILURES and not any(o.ok or o.outcome is Outcome.THROTTLED for o in recent)


def kept_per_s(answers: Sequence[Observation]) -> float:
    """Calls/s at which these were answered, from the first sending to the last answer; 0 where that took no time."""
    sent = [o.sent_s for o in answers if o.ok and o.sent_s is not None]
    ends = [o.received_s for o in answers if o.ok and o.received_s is not None]
    return len(ends) / (max(ends) - min(sent)) if sent and ends and max(ends) > min(sent) else 0.0


def most_at_once(answers: Sequence[Observation], network_s: float = 0.0) -> int:
    """The most calls in flight at one instant of those let through; at the server, where the network's share of a call is given."""
    times = [(o.sent_s, o.received_s - network_s) for o in answers if o.ok and o.sent_s is not None and o.received_s is not None]
    return max((sum(sent <= start < received for sent, received in times) for start, _ in times), default=0)
