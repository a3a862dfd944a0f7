"""The line that gives a bucket's reservation and outflow: change = reservation * count - outflow * seconds, units and units/s."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from probes.bucket import CANVAS

USUAL_OUTFLOW_PER_S = CANVAS.outflow_per_s
USUAL_SPREAD_PER_S = 3.0
"""The usual outflow counts as evidence with this standard error."""
LEAST_BLUR = 0.4
"""A change is taken for this many units off at least: arrivals and departures are not seen to the millisecond."""
LEAST_FAR = 0.5
FAR = 4.0
"""A row that is off by so many medians is left out, unless by less than the least (units)."""

COUNTED, MULTIPLES_SHARE = 8, 0.9
"""So many counts, and so large a share of them, tell that a reservation is a multiple of what was taken for one."""


@dataclass(frozen=True, slots=True)
class Row:
    """By how many units a level changed over some seconds, without the cost paid, as so many reservations came in (negative: left)."""

    reservations: int
    seconds: float
    change: float

    @property
    def each(self) -> float:
        """The change by one reservation, units."""
        return self.change / self.reservations


@dataclass(frozen=True, slots=True)
class Line:
    """A bucket's reservation, units, and its outflow, units/s."""

    reservation: float
    outflow_per_s: float


def multiple(rows: Sequence[Row]) -> int:
    """How many of a line's reservations are one: 2 or 3 where nearly all counts are multiples of it (half of one fits all too), else 1."""
    counts = [row.reservations for row in rows if row.reservations]
    if len(counts) < COUNTED:
        return 1
    return next((many for many in (3, 2) if sum(count % many == 0 for count in counts) >= MULTIPLES_SHARE * len(counts)), 1)


def drawn(rows: Sequence[Row], before: Line) -> tuple[Line, float]:
    """The line, and the standard error of its outflow. Drawn twice: rows far off the first line are left out of the second.

    `before` is a first guess, which tells how blurred the rows are.
    """
    blur = max(LEAST_BLUR, 1.5 * statistics.median(_off(rows, before)))
    off = _off(rows, _fitted(rows, blur))
    far = max(LEAST_FAR, FAR * statistics.median(off))
    near = [row for row, error in zip(rows, off, strict=True) if error <= far]
    return _fitted(near, blur), blur / math.sqrt(sum(row.seconds * row.seconds for row in near) + 1e-9)


def _off(rows: Sequence[Row], line: Line) -> list[float]:
    reservation, outflow = line.reservation, line.outflow_per_s
    return [abs(row.change - row.reservations * reservation + row.seconds * outflow) for row in rows]


def _fitted(rows: Sequence[Row], blur: float) -> Line:
    """Least squares; changes are `blur` units off, the usual outflow is evidence beside them."""
    weight = (blur / USUAL_SPREAD_PER_S) ** 2
    nn = sum(row.reservations * row.reservations for row in rows) + 1e-9
    nt = sum(row.reservations * row.seconds for row in rows)
    tt = sum(row.seconds * row.seconds for row in rows) + weight
    ny = sum(row.reservations * row.change for row in rows)
    ty = sum(row.seconds * row.change for row in rows) - weight * USUAL_OUTFLOW_PER_S
    width = nn * tt - nt * nt
    return Line((ny * tt - nt * ty) / width, (nt * ny - nn * ty) / width)
