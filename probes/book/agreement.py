"""When a limiter's book may be lowered: several headers in a row must show less, since one can mistake the order of two events."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

AGREEING = 5
"""So many headers in a row must show less than the book before it is lowered."""
LONG_AGREEING = 64
"""So many where they are read less cautiously: what frees a book that is too high to tell how old an unseen call can be."""


@dataclass(slots=True)
class Agreement:
    """By how much headers in a row showed less than the book, units: as cautiously as can be, and less cautiously."""

    cautious: deque[float] = field(default_factory=lambda: deque(maxlen=AGREEING))
    bold: deque[float] = field(default_factory=lambda: deque(maxlen=LONG_AGREEING))

    def heard(self, cautiously: float, boldly: float) -> float:
        """One more header; the units by which all in a row agree that the book is too high, 0 where they do not."""
        self.cautious.append(cautiously)
        self.bold.append(boldly)
        for shown in (self.cautious, self.bold):
            if len(shown) == shown.maxlen and (least := min(shown)) > 0.0:
                self.clear()
                return least
        return 0.0

    def clear(self) -> None:
        """The book was changed: what headers showed before says nothing any more."""
        self.cautious.clear()
        self.bold.clear()
