"""The leaky bucket of Canvas's RequestThrottle as arithmetic; time is passed in, nothing is kept elsewhere.

Rules: `increment_bucket.lua` and `request_throttle.rb` of instructure/canvas-lms. One touch at time t leaks outflow * dt (only if the level
is above zero, never below it), adds an amount and clamps to 0..maximum. An arrival adds the up-front cost and is refused when the level is
then at or above the mark; a departure adds cost - up-front cost (a refused request: 0 - up-front cost) and its header is mark - level.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Units = TypeVar("Units", float, "NDArray[np.float64]")


def usual_maximum(high_water_mark: Units) -> Units:
    """The cap on the level, units, where only the mark is known: no header shows it, and Canvas's own stand as 800 to 600."""
    return high_water_mark * 4 / 3


@dataclass(frozen=True, slots=True)
class BucketSettings:
    """Constants of a bucket, in cost units and units per second. Defaults: Canvas's own source.

    `floor_after_leak=False` is the older script, where an idle spell could swallow the next reservation.
    """

    high_water_mark: float = 600.0
    maximum: float = 800.0
    outflow_per_s: float = 10.0
    up_front_cost: float = 50.0
    floor_after_leak: bool = True

    @classmethod
    def of(cls, high_water_mark: float, outflow_per_s: float, up_front_cost: float, *, floor_after_leak: bool = True) -> BucketSettings:
        """A bucket whose maximum nobody told: `usual_maximum`."""
        return cls(high_water_mark, usual_maximum(high_water_mark), outflow_per_s, up_front_cost, floor_after_leak)

    @property
    def constants(self) -> dict[str, float]:
        """The three that headers can tell, by name."""
        return {name: getattr(self, name) for name in ("high_water_mark", "outflow_per_s", "up_front_cost")}

    @property
    def burst(self) -> int:
        """Calls that may be sent at one instant from rest: ceil(mark / reservation) - 1."""
        return max(0, math.ceil(self.high_water_mark / self.up_front_cost - 1e-9) - 1)

    def scaled(self, **changes: Any) -> BucketSettings:
        """A copy with some constants, named as the fields are, changed."""
        return replace(self, **changes)


CANVAS = BucketSettings()
"""The constants that Canvas comes with (`LeakyBucket` in `request_throttle.rb`)."""
HOSTED_MARK = 700.0
"""The high-water mark of Instructure's own hosts, by its community's post "API Rate Limiting"."""


class Bucket:
    """A bucket at work: its settings, its level and when it was last touched (seconds, any origin)."""

    __slots__ = ("level", "settings", "touched_s")

    def __init__(self, settings: BucketSettings, level: float = 0.0, touched_s: float = 0.0) -> None:
        self.settings = settings
        self.level = level
        self.touched_s = touched_s

    def level_at(self, now_s: float) -> float:
        """The level at `now_s` if nothing touches the bucket until then."""
        leak = self.settings.outflow_per_s * max(0.0, now_s - self.touched_s)
        if self.level <= 0.0:
            return self.level
        left = self.level - leak
        return max(0.0, left) if self.settings.floor_after_leak else left

    def touch(self, amount: float, now_s: float) -> float:
        """Leak until `now_s`, add `amount`, clamp to 0..maximum; the new level."""
        level = self.level_at(now_s) + amount
        self.level = min(max(0.0, level), self.settings.maximum)
        self.touched_s = now_s
        return self.level

    def arrive(self, now_s: float) -> bool:
        """A request arrives and reserves; whether it is admitted."""
        return self.touch(self.settings.up_front_cost, now_s) < self.settings.high_water_mark

    def depart(self, cost: float, now_s: float) -> float:
        """A request leaves and pays `cost` (0 when it was refused); the Remaining header it carries."""
        return self.settings.high_water_mark - self.touch(cost - self.settings.up_front_cost, now_s)
