"""How to make N calls where no header tells the limit: the strategies of `plan`, each judged under all that the answers allow."""

from __future__ import annotations

import numpy as np

from probes.plan import Plan, Strategy, best_of, slowest_s
from probes.search.ratio_rates import Drawn
from probes.twin import Twin

EVERY = 4
"""Of the draws in order of their rates one in so many is replayed for odds."""


def ratio_plan(under: Drawn, odds: float, max_rate: float | None = None, max_in_flight: int | None = None) -> Plan:
    """The strategies for the job that `under` is about, from rest and under the instance's ceilings.

    Odds are means over the draws. No strategy is level-aware: no header tells the level.
    """
    twins = [under.twins[n] for n in np.argsort(under.rates_per_s)[EVERY // 2 :: EVERY]]
    found = [_workers("one_by_one", under, twins, 1), _even(under, twins, max_rate)]
    most = min(under.in_flight(), max_in_flight or under.job)
    for count in range(most, 0, -1):
        several = _workers("workers", under, twins, count)
        if several.refusal_odds <= odds:
            found.append(several)
            break
    return best_of(found, under.job, odds, slowest_s(under.middle, max_rate, max_in_flight))


def _even(under: Drawn, twins: list[Twin], max_rate: float | None) -> Strategy:
    rate = min(under.interval[0], max_rate or np.inf)
    risk = float(np.mean([twin.even_odds(rate, under.job) for twin in twins]))
    return Strategy("even_rate", under.middle.even_seconds(rate, under.job), risk, rate_per_s=rate)


def _workers(name: str, under: Drawn, twins: list[Twin], count: int) -> Strategy:
    risk = float(np.mean([twin.workers_odds(count, under.job, twin.round_trip_s) for twin in twins]))
    return Strategy(name, under.middle.workers_seconds(count, under.job), risk, in_flight=count if name == "workers" else None)
