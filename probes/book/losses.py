"""Answers to a limiter's job without a word from the bucket where others bring one: a gateway's own pages, say."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

STANDING_S = 60.0
"""For so long the server may go on with a call that a gateway has given up."""


@dataclass(slots=True)
class Losses:
    """What a lost call reserved stays in the book until the header of a call sent later shows the level, with whatever still stands."""

    untold: deque[tuple[float, float]] = field(default_factory=deque)
    """(when it was lost, units reserved) of those that no header has spoken of."""
    instants: deque[float] = field(default_factory=deque)

    def lost(self, units: float, now_s: float) -> None:
        """A call came back at `now_s` without a header; it may still hold `units`."""
        self.standing(now_s)  # forgets the oldest: nobody else may ask
        self.untold.append((now_s, units))
        self.instants.append(now_s)

    def told(self, sent_s: float) -> float:
        """Units of the losses before `sent_s`, when a call left that has now brought a header; each is told once."""
        units = 0.0
        while self.untold and self.untold[0][0] <= sent_s:
            units += self.untold.popleft()[1]
        return units

    def standing(self, now_s: float) -> int:
        """How many lost calls the server may still be working on."""
        while self.instants and self.instants[0] < now_s - STANDING_S:
            self.instants.popleft()
        return len(self.instants)
