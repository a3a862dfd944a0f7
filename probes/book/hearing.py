"""What answers tell a limiter of its bucket: which of their headers are believed, and whether they carry any as a rule."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

BARE_IN_A_ROW, USUALLY_BARE = 8, 0.8
"""After so many answers in a row without a header, or so large a part of these among twice as many, no header is waited for."""
MOST_MARKS, ODD_IN_A_ROW = 2.0, 5
"""A cost or a level of more marks than these is none, unless so many headers in a row say so: then the mark is another."""


class Standing(NamedTuple):
    """A Remaining that stands still: since when, its value (units), and how many headers showed it."""

    since_s: float
    remaining: float
    headers: int


@dataclass(slots=True)
class Hearing:
    """`headers` counts answers that told a level; `bare` is whether each of the latest told none."""

    headers: int = 0
    bare: deque[bool] = field(default_factory=lambda: deque(maxlen=2 * BARE_IN_A_ROW))
    odd_in_a_row: int = 0

    def believed(self, cost: float | None, remaining: float | None, mark: float) -> tuple[float | None, float | None]:
        """Both, None for what no bucket of this mark (units; inf when unknown) can tell."""
        cost = cost if cost is not None and 0.0 <= cost <= MOST_MARKS * mark and math.isfinite(cost) else None
        if remaining is None or not math.isfinite(remaining):
            return cost, None
        self.odd_in_a_row = 0 if -mark <= remaining <= MOST_MARKS * mark else self.odd_in_a_row + 1
        raised = self.odd_in_a_row >= ODD_IN_A_ROW and remaining > 0.0
        return cost, remaining if self.odd_in_a_row == 0 or raised else None

    def heard(self, *, bare: bool) -> None:
        """An answer that was no refusal, without a header or with one."""
        self.bare.append(bare)
        self.headers += not bare

    @property
    def usual(self) -> bool:
        """Whether headers came, and an answer without one is an exception."""
        return self.headers > 0 and not self.stopped

    @property
    def stopped(self) -> bool:
        """Whether headers came and answers without one are usual now: all of late, or many."""
        latest = list(self.bare)[-BARE_IN_A_ROW:]
        all_bare = len(latest) == BARE_IN_A_ROW and all(latest)
        return self.headers > 0 and (all_bare or sum(self.bare) >= USUALLY_BARE * BARE_IN_A_ROW)
