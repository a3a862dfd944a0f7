"""Server times that leave out a part of how long a call holds its reservation, as where something in front of them works as well.

Such a part grows with the time that is told, where the network's does not. Whether the bucket holds the reservation meanwhile its headers
tell: they count those held.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from probes.fit.identify import FIRST_CALLS, fit
from probes.fit.touches import touches_of
from probes.observation import Observation, Outcome
from probes.stats import normal_scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FEWEST, TOGETHER, LEAST_MORE = 16, 0.7, 0.05
"""Calls, correlation of the ranks of told and untold time, and part of the told that the untold grows by, from which it is looked at."""
CLEARLY = 0.9
"""Headers fit better by the whole where the misfit is less than this part: of calls that were all made alone either fits as well."""
NETWORK = 0.1
"""Quantile of what is left of the flights that is taken for the network."""


def whole_times(seen: Sequence[Observation]) -> tuple[list[Observation], float]:
    """`seen` with server times as long as reservations are held, and which part of these is told: 1 where it is all, as it mostly is."""
    told = [o for o in seen if o.ok and o.server_time_s is not None and o.flight_s is not None]
    inside = np.array([o.server_time_s for o in told])
    beside = np.array([(o.flight_s or 0.0) - (o.receive_s or 0.0) for o in told]) - inside
    more = _grows(inside, beside)
    if more is None:
        return list(seen), 1.0
    network_s = max(0.0, float(np.quantile(beside - more * inside, NETWORK)))
    whole = [_longer(o, 1.0 + more, network_s) for o in seen]
    return (whole, 1.0 / (1.0 + more)) if _misfit(whole) < CLEARLY * _misfit(seen) else (list(seen), 1.0)


def _grows(inside: Floats, beside: Floats) -> float | None:
    """By how many seconds a second of told time the untold time grows, by the medians of thirds; None where it does not surely."""
    if len(inside) < FEWEST or min(float(np.ptp(inside)), float(np.ptp(beside))) <= 0.0:
        return None
    if float(np.corrcoef(normal_scores(inside), normal_scores(beside))[0, 1]) < TOGETHER:
        return None
    order, part = np.argsort(inside, kind="stable"), len(inside) // 3
    short, long = order[:part], order[-part:]
    apart = float(np.median(inside[long]) - np.median(inside[short]))
    more = float(np.median(beside[long]) - np.median(beside[short])) / apart if apart > 0.0 else 0.0
    return more if more > LEAST_MORE else None


def _longer(o: Observation, times: float, network_s: float) -> Observation:
    """The observation with its server time so many times as long, as far as its flight leaves that."""
    if o.server_time_s is None or o.flight_s is None or o.outcome is Outcome.THROTTLED:
        return o
    most = max(o.server_time_s, o.flight_s - (o.receive_s or 0.0) - network_s)
    return replace(o, server_time_s=min(times * o.server_time_s, most))


def _misfit(seen: Sequence[Observation]) -> float:
    """How badly a bucket explains the headers of the first calls with these times."""
    found = fit(touches_of(seen)[:FIRST_CALLS])
    return np.inf if found is None else found.solution.cost
