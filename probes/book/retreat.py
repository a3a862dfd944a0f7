"""How a limiter gives way after a refusal: for as long as the server says, else longer with each further one in a row."""

from __future__ import annotations

import math
from dataclasses import dataclass

BLIND_WAIT_S = 5.0
"""Wait after a refusal by a bucket of which nothing is known: what Canvas's needs to leak one reservation (50 units at 10/s) ..."""
LONGEST_BLIND_WAIT_S = 60.0
"""... twice as long after each further one in a row, up to this."""
LONGEST_WAIT_S = 3600.0
"""A longer Retry-After is taken for this; Canvas's store forgets a bucket after an hour."""


@dataclass(slots=True)
class Retreat:
    """Until when nothing is sent, and how many refusals came in a row since the last call that passed."""

    until_s: float = -math.inf
    in_a_row: int = 0
    refused_s: float = -math.inf

    def refused(self, sent_s: float, now_s: float) -> bool:
        """A call sent at `sent_s` was refused; False when it left before the last refusal was known, and tells nothing new."""
        if sent_s < self.refused_s:
            return False
        self.refused_s = now_s
        self.in_a_row += 1
        return True

    def passed(self) -> None:
        """A call passed."""
        self.in_a_row = 0

    @property
    def times(self) -> float:
        """1 for the first refusal in a row, 2, 4 ... for the next ones."""
        return float(2.0 ** min(self.in_a_row - 1, 10))

    def asked(self, seconds: float, now_s: float) -> None:
        """The server said how long to wait."""
        self._block(now_s + min(seconds, LONGEST_WAIT_S))

    def blindly(self, seconds: float, now_s: float) -> None:
        """Nothing says how long: `seconds`, and twice as long each time."""
        self._block(now_s + min(seconds * self.times, LONGEST_BLIND_WAIT_S))

    def _block(self, until_s: float) -> None:
        self.until_s = max(self.until_s, until_s)
