"""Which calls to make next where no header tells the limit: a few refusals do.

First how many fit at one time (`climbing`), then round after round what tells most of the safe rate (`experiments`), by all that the
answers so far allow (`ratios`). Where no round would tell anything worth its price, even calls that surely fit tell how long calls take.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from probes.calls import Round
from probes.safety import FASTEST_PER_S, USUAL_JOB
from probes.search.climbing import PROBING_S, Climbing
from probes.search.experiments import Belief, Experiment, Left
from probes.search.probing import Burst, Train
from probes.search.ratios import network_by_refusals_s, served

SURELY, SLOWER = 0.1, 0.8
"""Even calls that are to fit go at so much of the rate that is exceeded with these odds."""
SHARE, LEAST_CALLS, LONGEST_S = 3, 20, 60.0
"""They are one in so many of the calls left, so many at least, for so long at most: answers may come to tell something worth asking."""
KNOWN_S = 0.01
"""By so much later than it was before a refusal may be known."""


@dataclass
class RefusalDesign(Climbing):
    """Called with all observations so far, answers with the next round, None at the end; see the module. `job`: calls it is asked for."""

    job: int = USUAL_JOB

    def _limited(self, limit: int) -> Round | None:
        self.limit = limit
        return self._telling()

    def _telling(self) -> Round | None:
        """The round that tells most, else calls that surely fit."""
        belief = self._belief()
        if belief is None:
            return None
        self._next = self._telling
        left = Left(self._left, self._spare, max(1.0, PROBING_S - self._elapsed_s()))
        asked = belief.best(left, self._widest, self._fastest_per_s)
        return self._surely(belief) if asked is None else self._asked(asked)

    def _belief(self) -> Belief | None:
        ratios = self._ratios()
        times = np.array(served(self.seen, network_by_refusals_s(self.seen)))
        return None if ratios is None or not len(times) else Belief(ratios, times, self._known_s + KNOWN_S, self.job)

    @property
    def _fastest_per_s(self) -> float:
        """Calls/s that go evenly at most under the ceilings."""
        in_flight = self.max_in_flight / self._flight_s() if self.max_in_flight else FASTEST_PER_S
        return min(self.max_rate or FASTEST_PER_S, in_flight, FASTEST_PER_S)

    def _asked(self, asked: Experiment) -> Round:
        if asked.burst:
            self.bursts.append(Burst(asked.burst, len(self.seen)))
        else:
            self.trains.append(Train(asked.rate_per_s, len(self.seen)))
        return self._in_turn(asked.offsets, asked.after_s)

    def _surely(self, belief: Belief) -> Round:
        """Even calls at a rate that all but one in ten draws stand for a whole job, and slower still."""
        rate = min(SLOWER * float(np.exp(np.quantile(belief.log_rates(), SURELY))), self._fastest_per_s)
        calls = max(2, min(self._left, max(LEAST_CALLS, self._left // SHARE), int(rate * LONGEST_S)))
        return self._asked(Experiment(calls, rate, 0, belief.known_s, 0.0))
