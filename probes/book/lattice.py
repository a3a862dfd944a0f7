"""The reservation as the unit of a lattice: between two departures a level changes by whole reservations, whoever made them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

STEP = 1.01
"""Units are tried this far apart."""
LEAST_SHARE, MOST_SHARE = 0.012, 0.34
"""A reservation is between these parts of the mark."""
LONGEST_S = 1.5
"""Between departures further apart the leak blurs the unit."""
OUTFLOWS_PER_S = (6.0, 10.0, 16.0)
"""Tried with every unit; between them a second blurs by a few units."""
SMALL_SHARE = 0.008
"""A change below this part of the mark is no reservation at all."""
LEAST_CHANGES = 10
"""Fewer changes tell no unit."""
LEAST_SPOKEN, NEUTRAL = 4, 0.5
"""So many changes must be by a reservation or more; one of less than a sixth of a unit is by none, and what leaked since."""
LEAST_FIT, NEAR_BEST = 0.6, 0.15
"""Mean cosine of the changes' phases: what a unit must reach, and how far below the best it may stay: every part of a unit fits too."""

KEPT = 48
"""Changes that are kept to find their unit."""
EAGER, IN_VAIN_SHARE = 32, 0.125
"""After so many searches in vain another follows after so large a part of the times that one was wanted: it costs some ten milliseconds."""


class Change(NamedTuple):
    """By how many units a level changed over some seconds, without the cost paid."""

    seconds: float
    units: float


@dataclass(slots=True)
class Steps:
    """Changes of late that may have a unit, and when it is looked for."""

    changes: deque[Change] = field(default_factory=lambda: deque(maxlen=KEPT))
    wanted: int = 0
    searched: int = 0
    """How often a unit was wanted, and how often when one was looked for last."""

    def unit(self, mark: float) -> float | None:
        """The unit of the changes, as `unit` finds it; None where none was found, lately or now."""
        self.wanted += 1
        if EAGER < self.wanted <= self.searched * (1.0 + IN_VAIN_SHARE):
            return None
        self.searched = self.wanted
        return unit(self.changes, mark)


def unit(changes: Sequence[Change], mark: float) -> float | None:
    """The greatest reservation (units) that the changes are multiples of; None when too few are there or none fits."""
    seen = [change for change in changes if change.seconds <= LONGEST_S and abs(change.units) > SMALL_SHARE * mark]
    if len(seen) < LEAST_CHANGES:
        return None
    count = int(math.log(MOST_SHARE / LEAST_SHARE) / math.log(STEP))
    tried = [LEAST_SHARE * mark * STEP**step for step in range(count + 1)]
    fits = max((_fits(seen, outflow, tried) for outflow in OUTFLOWS_PER_S), key=max)
    best = max(fits)
    if best < LEAST_FIT:
        return None
    place = max(index for index, fit in enumerate(fits) if fit >= best - NEAR_BEST)
    while place > 0 and fits[place - 1] > fits[place]:
        place -= 1
    return tried[place]


def _fits(seen: Sequence[Change], outflow_per_s: float, tried: Sequence[float]) -> list[float]:
    """How well the changes are multiples of each unit tried: 1 when all are, no unit at all for -1."""
    turns = [2.0 * math.pi * (change.units + outflow_per_s * change.seconds) for change in seen]
    return [_fit([turn / one for turn in turns]) for one in tried]


def _fit(phases: Sequence[float]) -> float:
    """Mean cosine of the phases; those near zero, changes by no reservation, speak for no unit and against none."""
    spoken = sum(abs(phase) >= math.pi for phase in phases)
    if spoken < LEAST_SPOKEN:
        return -1.0
    told = [cosine for phase in phases if (cosine := math.cos(phase)) < NEUTRAL or abs(phase) >= math.pi]
    return sum(told) / len(told)
