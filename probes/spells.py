"""Spells: calls that are dear, or take long, many in a row, as a server that is busy for seconds or minutes makes them.

A replay that draws each call by itself never meets such a row, and foretells too low a level. Means of calls in a row then differ by more
than chance makes them; from how long a row they do, and by how much, is what a replay and an interval need.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from probes.stats import normal_scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

ROWS = (4, 6, 9, 13, 20, 30)
"""Calls in a row whose means are compared."""
FEWEST_ROWS, SURELY = 8, 4.0
"""Of so many rows at least; by how many standard errors their means differ by more than those of independent calls: of a hundred series
without spells none seems to have them."""
LONGER = 2
"""A replay draws rows so many times as long: one that is cut out anywhere begins and ends within a spell."""


class Spells(NamedTuple):
    """`row` calls one after another are alike, and a mean of calls scatters as if there were `fewer` times less of them; 1 for neither."""

    row: int = 1
    fewer: float = 1.0


NONE = Spells()


def spells_of(*series: Floats) -> Spells:
    """What the series, each in order of time, show of spells: of the rows that surely differ those that differ most."""
    found = [(excess, length) for values in series for length in ROWS if (excess := _excess(normal_scores(values), length)) is not None]
    if not found:
        return NONE
    fewer, length = max(found)
    return Spells(LONGER * length, fewer)


def _excess(scores: Floats, length: int) -> float | None:
    """How many times the variance of means of `length` calls in a row is what independent ones make it; None where that may be chance."""
    rows = len(scores) // length
    if rows < FEWEST_ROWS:
        return None
    means = scores[len(scores) - rows * length :].reshape(rows, length).mean(axis=1)
    excess = length * float(np.var(means, ddof=1)) / max(float(np.var(scores)), 1e-9)
    free = 2.0 / (9.0 * (rows - 1))  # the cube root of a chi-squared variable is nearly normal (Wilson and Hilferty, 1931)
    return excess if (math.cbrt(excess) - (1.0 - free)) / math.sqrt(free) > SURELY else None
