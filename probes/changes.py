"""What changed at the server while it was asked: its limit, or the time it takes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from probes.fit.identify import FIRST_CALLS, Fit, fit
from probes.fit.touches import Touch
from probes.observation import Observation

FAR, FAR_SHARE, FEWEST_FAR, ONE_WAY = 2.0, 0.05, 4, 0.8
"""Reservations off; which share of the headers must be, and how many at least; how much more of them one way than the other."""
CLEAR_NOISE, CLEAR_OUTLIERS, ANOTHER = 0.3, 0.08, 0.05
"""A scatter (units) and a share of outliers above which the first calls are looked at by themselves; by which share they must differ."""
LEAST_DRIFTED, DRIFTED, SURELY = 8, 1.5, 5.0
"""Fewest calls of a part; by which factor its server time differs, and by how many standard errors."""


def moved(fitted: Fit, touches: Sequence[Touch]) -> str | None:
    """Why a fit is not believed: headers off by whole reservations, all one way, that no order of calls explains; or other first calls.

    A limit that is changed by whole reservations, or another job's calls that last, look so.
    """
    far = fitted.solution.swaps[np.abs(fitted.solution.swaps) >= FAR]
    if len(far) >= max(FEWEST_FAR, FAR_SHARE * fitted.n) and abs(float(np.mean(np.sign(far)))) > ONE_WAY:
        return f"{len(far)} of {fitted.n} headers are off by whole reservations: the limit was changed, or another job holds calls."
    if len(touches) <= FIRST_CALLS or (fitted.noise <= CLEAR_NOISE and fitted.outliers <= CLEAR_OUTLIERS):
        return None
    first = fit(touches[:FIRST_CALLS])
    if first is None or first.outliers > CLEAR_OUTLIERS or abs(first.bucket.up_front_cost / fitted.bucket.up_front_cost - 1.0) < ANOTHER:
        return None
    return "The first calls show another bucket than all of them: it was changed meanwhile, or another job uses this token."


def drifting(seen: Sequence[Observation]) -> str | None:
    """Whether the server's own time changed for good while it was asked: the first or the last calls of each kind against the others."""
    for mine in _by_call(seen).values():
        times = np.log(np.array([o.server_time_s for o in mine if o.server_time_s]))
        part = len(times) // 6
        for early, late in ((times[:part], times[part:]), (times[: len(times) - part], times[len(times) - part :])):
            if _differ(early, late):
                before, after = (math.exp(float(np.median(each))) for each in (early, late))
                return f"The server took {before:.2g} s a call at one time and {after:.2g} s at another: the rate is that of the mixture."
    return None


def _differ(early: np.ndarray, late: np.ndarray) -> bool:
    """Whether two samples of logarithms differ by more than `DRIFTED`, surely."""
    if min(len(early), len(late)) < LEAST_DRIFTED:
        return False
    error = 1.25 * math.sqrt(float(np.var(early)) / len(early) + float(np.var(late)) / len(late))
    return abs(float(np.median(late) - np.median(early))) > max(math.log(DRIFTED), SURELY * error)


def _by_call(seen: Sequence[Observation]) -> dict[str, list[Observation]]:
    found: dict[str, list[Observation]] = {}
    for o in seen:
        if o.ok:
            found.setdefault(o.call, []).append(o)
    return found
