"""A limiter that knows nothing of its bucket and is told nothing: Canvas's own constants, and a few more calls together step by step."""

from __future__ import annotations

from dataclasses import dataclass

from probes.bucket import CANVAS, BucketSettings

FIRST = 2
"""Calls together at first."""
CLEAN = 8
"""After so many clean answers each, one more."""
MOST = 10
"""Calls at one time that a bucket of Canvas's own constants stands, however long they take: a call costs about a unit for each second of
work, so ten pay what leaks (10 units/s), and ten reservations (500 units) lie below the mark (600)."""


@dataclass(slots=True)
class Silence:
    """How many calls may be out at one time while no answer carries a header."""

    clean: int = 0
    most: int = MOST

    @classmethod
    def found(cls, together: int) -> Silence:
        """Where a run found that so many calls may be out at one time, one at least."""
        most = max(1, together)
        return cls(CLEAN * most, most)

    @property
    def settings(self) -> BucketSettings:
        """A bucket that lets so many calls be out at one time: Canvas's own, or as many times it."""
        times = max(1.0, self.most / MOST)
        return CANVAS.scaled(
            high_water_mark=CANVAS.high_water_mark * times, maximum=CANVAS.maximum * times, outflow_per_s=CANVAS.outflow_per_s * times
        )

    @property
    def lasts(self) -> bool:
        """Whether enough answers were bare that no header is waited for."""
        return self.clean >= CLEAN

    @property
    def together(self) -> int:
        """Calls that may be out at one time."""
        return min(self.most, FIRST + self.clean // CLEAN)

    def answered(self) -> None:
        """A call was answered without a header, and not refused."""
        self.clean += 1

    def refused(self) -> None:
        """A call was refused: so many at one time are never tried again, and one at least is."""
        self.most = max(1, self.together - 1)
