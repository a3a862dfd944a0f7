"""The line that gives a bucket's reservation and outflow: change = reservation * count - outflow * seconds, units and units/s."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from probes.bucket import CANVAS

USUAL_OUTFLOW_PER_S = CANVAS.outflow_per_s
USUAL_SPREAD_PER_S = 3.0
"""The usual outflow counts as evidence with this standard error."""
LEAST_BLUR = 0.4
"""A change is taken for this many units off at least: arrivals and departures are not seen to the millisecond."""
LEAST_FAR = 0.5
FAR = 4.0
"""A row that is off by so many medians is left out, unless by less than the least (units)."""

Row = tuple[int, float, float]
"""(reservations, seconds, change of the level)."""


def drawn(rows: Sequence[Row], before: tuple[float, float]) -> tuple[float, float, float]:
    """(reservation, outflow, its standard error). Drawn twice: rows far off the first line are left out of the second.

    `before` is a first guess of (reservation, outflow), which tells how blurred the rows are.
    """
    blur = max(LEAST_BLUR, 1.5 * statistics.median(_off(rows, *before)))
    off = _off(rows, *_fitted(rows, blur))
    far = max(LEAST_FAR, FAR * statistics.median(off))
    near = [row for row, error in zip(rows, off, strict=True) if error <= far]
    reservation, outflow = _fitted(near, blur)
    return reservation, outflow, blur / math.sqrt(sum(t * t for _, t, _ in near) + 1e-9)


def _off(rows: Sequence[Row], reservation: float, outflow: float) -> list[float]:
    return [abs(y - n * reservation + t * outflow) for n, t, y in rows]


def _fitted(rows: Sequence[Row], blur: float) -> tuple[float, float]:
    """Least squares; changes are `blur` units off, the usual outflow is evidence beside them."""
    weight = (blur / USUAL_SPREAD_PER_S) ** 2
    nn = sum(n * n for n, _, _ in rows) + 1e-9
    nt = sum(n * t for n, t, _ in rows)
    tt = sum(t * t for _, t, _ in rows) + weight
    ny = sum(n * y for n, _, y in rows)
    ty = sum(t * y for _, t, y in rows) - weight * USUAL_OUTFLOW_PER_S
    width = nn * tt - nt * nt
    return (ny * tt - nt * ty) / width, (nt * ny - nn * ty) / width
