"""Calls that stand still together, behind a lock of the database or a collection of garbage: even calls pile up behind it.

A twin draws each call's time by itself, and foretells far too low a level for such a server. Two things give them away at the steps of
pricing: the level rises above all that the twin foretells, and long calls come in a row. The rate is then bound by what piles up while
calls stand for as long as they did.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from probes.estimate import Estimate
from probes.fit.touches import Touch, touches_of
from probes.mixture import mixture
from probes.observation import Observation
from probes.pricing import Step
from probes.signatures import Sign
from probes.twin import Twin, peaks

REPLICAS = 2000
BEYOND = 1.03
"""By how many times the highest of so many replays must be passed: by chance once in some hundred runs."""
LEAST_CALLS = 12
MORE = 1.5
"""And by so many reservations: where all calls take the same time jitter alone makes one more or less."""
LONG, LONGER = 0.9, 1.5
"""Quantile above which a call counts as long, in a row of which one takes so many times what its kind usually does ..."""
SELDOM = 5e-3
"""... and odds below which so many of them in a row are no chance."""
DRIFTS = ("server_time_drifts", "asked_again")
"""Signs of why calls take long in a row, that do not stand still."""


def piled_rate(found: Estimate, steps: Sequence[Step], seen: Sequence[Observation]) -> float | None:
    """Calls/s at which what piles up while calls stand still just fills the bucket; None where they did not stand still together.

    `seen` are the observations that the steps count.
    """
    alone = replace(found, prices={call: prices.whole for call, prices in found.prices.items()})
    twin = (mixture(alone, None) or (None, None))[0]
    if twin is None or not steps:
        return None
    ends = [*(step.first for step in steps[1:]), len(seen)]
    parts = [touches_of(seen[step.first : end], found.away.round_trip_s) for step, end in zip(steps, ends, strict=True)]
    rates = [rate for step, touches in zip(steps, parts, strict=True) if (rate := _by_peak(twin, step, touches)) is not None]
    stood_s = _stood_s(seen[steps[0].first :])
    if not rates and (stood_s is None or any(map(found.shows, DRIFTS))):
        return None
    longest_s = stood_s or max(t.departed_s - t.arrived_s for touches in parts for t in touches)
    return min([*rates, twin.bucket.high_water_mark / twin.bucket.up_front_cost / longest_s])


def _by_peak(twin: Twin, step: Step, touches: Sequence[Touch]) -> float | None:
    """The rate at which the peak of this step would fill the bucket; None where calls that are independent make such a peak."""
    if len(touches) < LEAST_CALLS:
        return None
    peak, foretold = _peak(twin, touches), float(np.max(twin.even_peaks(step.rate_per_s, len(touches), REPLICAS)))
    if peak <= max(BEYOND * foretold, foretold + MORE * twin.bucket.up_front_cost):
        return None
    return step.rate_per_s * twin.bucket.high_water_mark / peak


def _peak(twin: Twin, touches: Sequence[Touch]) -> float:
    """Highest level, units, that these calls made from rest; the mark at least where one was refused."""
    let = [t for t in touches if not t.refused]
    arrivals, departures, costs = (np.array([[getattr(t, name) for t in let]]) for name in ("arrived_s", "departed_s", "cost"))
    highest = float(peaks(twin.bucket, arrivals, departures, costs)[0]) if let else 0.0
    return max(highest, twin.bucket.high_water_mark) if len(let) < len(touches) else highest


def _stood_s(seen: Sequence[Observation]) -> float | None:
    """How long the longest call of a row of long ones took, seconds; None where no row is longer than chance makes it."""
    calls = sorted((o for o in seen if o.ok and o.flight_s and o.sent_s is not None), key=lambda o: o.sent_s or 0.0)
    if len(calls) < 2 * LEAST_CALLS:
        return None
    held_s = _held_s(calls)
    relative = _relative(calls, held_s)
    long = relative > float(np.quantile(relative, LONG))
    share, row = float(np.mean(long)), _longest_row(long.tolist())
    by_chance = len(calls) * (1.0 - share) * share ** (row.stop - row.start)
    if by_chance > SELDOM or float(np.max(relative[row], initial=0.0)) < LONGER:
        return None
    return float(np.max(held_s[row]))


def _held_s(calls: Sequence[Observation]) -> np.ndarray:
    """Seconds for which each call was at the bucket: the server's own time where it is told, as whoever waits in front reserves nothing."""
    told = all(o.server_time_s is not None for o in calls)
    return np.array([(o.server_time_s if told else o.flight_s) or 0.0 for o in calls])


def _longest_row(marked: Sequence[bool]) -> slice:
    """Where the most marked values stand one after another, the last of several such places."""
    row, best = 0, (0, 0)
    for n, one in enumerate(marked):
        row = row + 1 if one else 0
        best = max(best, (row, n))
    length, last = best
    return slice(last - length + 1, last + 1)


def _relative(calls: Sequence[Observation], held_s: np.ndarray) -> np.ndarray:
    """Each call's time at the bucket as a part of what its kind usually takes."""
    names = np.array([o.call for o in calls])
    usual = {call: float(np.median(held_s[names == call])) for call in set(names.tolist())}
    return np.array([held / max(usual[call], 1e-6) for held, call in zip(held_s.tolist(), names.tolist(), strict=True)])


def stalling(document: dict[str, Any], piles_at: float | None) -> Sign | None:
    """A sign that calls stand still together, which bounds the rate; None where they do not."""
    rate = (document["safe"] or {}).get("rate_per_s")
    if piles_at is None or rate is None or not math.isclose(rate["high"], piles_at, rel_tol=1e-4):
        return None
    said = (
        "Calls stand still together at times (a lock, a collection of garbage): even calls pile up behind that, workers do not. The rate "
        "is bound by what piled up meanwhile; a longer stand is not foreseen."
    )
    return Sign("stalls", said)
