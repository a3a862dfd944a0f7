"""First guesses of a bucket's constants, from which the fit in `identify` starts, and which orders of events are in doubt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

import numpy as np

from probes.bucket import CANVAS, BucketSettings, usual_maximum
from probes.fit.timeline import Timeline, timeline
from probes.fit.touches import Touch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

OUTFLOW_STARTS = (CANVAS.outflow_per_s, 3.0, 5.0, 7.0, 13.0, 16.0, 20.0, 30.0)
"""First guesses of the outflow, units/s."""
RESERVATION_PARTS = tuple(float(part) for part in np.geomspace(1.3, 80.0, 32))
"""First guesses of mark / reservation."""
CROSSED = 8
"""So many headers that show a level are taken two by two, each pair telling a reservation and an outflow."""
DOUBTFUL_S = 0.06
"""Of two events so near to each other either may have been first."""
GRID_CALLS = 40
"""The grid of first guesses looks at this many calls only: over a longer time a wrong outflow blurs everything."""


def grid(touches: Sequence[Touch]) -> list[BucketSettings]:
    """The best few of a grid of reservations and outflows, the mark of each being what its replay makes the headers agree on."""
    sample = timeline(touches[:GRID_CALLS])
    top = max(t.remaining for t in touches if t.remaining is not None)
    pairs = [(top / parts, outflow) for outflow in OUTFLOW_STARTS for parts in RESERVATION_PARTS]
    pairs += [(value, CANVAS.outflow_per_s) for value in _first_reservations(touches, top)]
    pairs += [(value, CANVAS.outflow_per_s) for value in _clamped_reservations(touches, top)]
    pairs += _crossed(touches, top)
    misses, marks = _scored(sample, top, np.array(pairs))
    best = np.argsort(misses, kind="stable")[:3]
    return [BucketSettings.of(float(marks[n]), outflow_per_s=pairs[n][1], up_front_cost=pairs[n][0]) for n in best]


def _scored(line: Timeline, top: float, pairs: Floats) -> tuple[Floats, Floats]:
    """(how badly each pair of reservation and outflow explains the headers, the mark that its replay makes them agree on)."""
    reservations, outflows = pairs[:, :1], pairs[:, 1:]
    courses = line.courses(np.column_stack([np.full(len(pairs), top), pairs]))
    marks = line.headers + courses.reservations * reservations - courses.seconds * outflows + courses.constants
    agreed = np.maximum(np.median(marks, axis=1), top)
    return np.mean(np.minimum(np.abs(marks - agreed[:, None]), 0.1 * top), axis=1), agreed


def _first_reservations(touches: Sequence[Touch], mark: float) -> list[float]:
    """The reservation by the first answers that came while exactly one other call was in flight.

    mark - Remaining - cost is then that call's reservation, less what leaked since the first of the two arrived.
    """
    found = []
    for touch in touches[:12]:
        others = [t for t in touches if t is not touch and t.arrived_s < touch.departed_s < t.departed_s]
        if len(others) == 1 and touch.remaining is not None:
            began = min(touch.arrived_s, others[0].arrived_s)
            found.append(mark - touch.remaining - touch.cost + CANVAS.outflow_per_s * (touch.departed_s - began))
    return [value for value in found if 0.01 * mark < value < mark]


def _crossed(touches: Sequence[Touch], top: float) -> list[tuple[float, float]]:
    """(reservation, outflow) by each two headers below `top`, if the level was off its floor while any call was in flight.

    A header then misses held * reservation - seconds * outflow, and what was paid: an outflow far from all first guesses shows so.
    """
    below = [t for t in touches if t.usable and t.remaining is not None and top - t.remaining > 0.5][:CROSSED]
    rows = [_since_rest(touch, touches, top) for touch in below]
    found = []
    for (held, since_s, missing), (held_then, since_then_s, missing_then) in combinations(rows, 2):
        turn = held_then * since_s - held * since_then_s
        if abs(turn) > 1e-3:
            reservation = (missing_then * since_s - missing * since_then_s) / turn
            outflow = (missing_then * held - missing * held_then) / turn
            found.append((reservation, outflow))
    return [(reservation, outflow) for reservation, outflow in found if 0.01 * top < reservation < top and 0.1 < outflow < top]


def _since_rest(touch: Touch, touches: Sequence[Touch], top: float) -> tuple[float, float, float]:
    """(calls in flight at its departure, seconds since none was, units that these reservations less the leak left out of its header)."""
    busy = [t for t in touches if t.arrived_s < touch.departed_s]
    began = touch.arrived_s
    for t in sorted(busy, key=lambda t: t.arrived_s, reverse=True):
        if t.departed_s >= began:
            began = min(began, t.arrived_s)
    held = sum(t.departed_s > touch.departed_s for t in busy)
    paid = sum(t.cost for t in busy if began <= t.departed_s <= touch.departed_s)
    assert touch.remaining is not None
    return float(held), touch.departed_s - began, top - touch.remaining - paid


def _clamped_reservations(touches: Sequence[Touch], mark: float) -> list[float]:
    """The reservation by refusals that filled the bucket to its maximum: Remaining shows that less the reservation taken back."""
    beside = [t for t in touches if t.refused and any(o.arrived_s < t.departed_s < o.departed_s for o in touches)]
    shown = [t.remaining + usual_maximum(mark) - mark for t in beside if t.remaining is not None]
    return [value for value in dict.fromkeys(shown) if 0.0 < value < mark][:2]


def combs(touches: Sequence[Touch]) -> list[BucketSettings]:
    """Guesses that need no order of events: the levels seen lie near whole numbers of reservations when calls are quick."""
    top = max(t.remaining for t in touches if t.remaining is not None)
    levels = np.array([top - t.remaining for t in touches if t.remaining is not None and top - t.remaining > 0.01 * top])
    if len(levels) < 3:
        return []
    sizes = np.geomspace(top / 1.2, top / 80.0, 400)
    parts = levels[None, :] / sizes[:, None]
    misses = np.mean(np.abs(parts - np.maximum(1.0, np.round(parts))), axis=1)
    best = [float(sizes[n]) for n in np.argsort(misses)[:40]]
    apart: list[float] = []
    for size in best:
        if all(abs(math.log(size / other)) > 0.08 for other in apart):
            apart.append(size)
    return [BucketSettings.of(top, CANVAS.outflow_per_s, size) for size in apart[:3]]


def doubtful_orders(touches: Sequence[Touch]) -> list[tuple[int, int]]:
    """Neighbouring events with one call in flight before, nearest first.

    Each is (index of the call that arrives, index of the call that departs).
    """
    events = sorted([(t.arrived_s, False, n) for n, t in enumerate(touches)] + [(t.departed_s, True, n) for n, t in enumerate(touches)])
    found, in_flight = [], 0
    for (now, departs, index), (then, departs_then, index_then) in pairwise(events):
        if in_flight == 1 and departs != departs_then and index != index_then and then - now < DOUBTFUL_S:
            found.append((then - now, *((index_then, index) if departs else (index, index_then))))
        in_flight += -1 if departs else 1
    return [(call, other) for _, call, other in sorted(found)]
