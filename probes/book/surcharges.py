"""What a call may pay beyond its reservation: Canvas charges some 150 or 200 units more, and nobody knows which before they return."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

REMEMBERED = 512
"""Answers for which a surcharge is kept in mind."""


@dataclass(slots=True)
class Surcharges:
    """The greatest of late, units: while calls are out one of them may pay as much."""

    answers: int = 0
    falling: deque[tuple[int, float]] = field(default_factory=deque)
    """(answer, units) of those that no later one exceeds, the greatest first."""

    def paid(self, more: float) -> None:
        """A call paid so many units more than it had reserved; less counts as none."""
        self.answers += 1
        while self.falling and (self.falling[-1][1] <= more or self.falling[0][0] <= self.answers - REMEMBERED):
            self.falling.pop() if self.falling[-1][1] <= more else self.falling.popleft()
        if more > 0.0:
            self.falling.append((self.answers, more))

    @property
    def greatest(self) -> float:
        """Units to keep free for one more such call."""
        return self.falling[0][1] if self.falling else 0.0
