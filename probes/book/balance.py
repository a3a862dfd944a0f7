"""The level of a limiter's book: an upper bound that leaks as the bucket does, and the calls that are out. Time is passed in."""

from __future__ import annotations

from dataclasses import dataclass, field

from probes.bucket import BucketSettings, usual_maximum


@dataclass(slots=True)
class Balance:
    """`level` and `own` (the level by our own calls alone) in units at `touched_s`; what is above `own` is a neighbour's."""

    settings: BucketSettings
    level: float = 0.0
    touched_s: float = 0.0
    own: float = 0.0
    out: dict[int, float] = field(default_factory=dict)
    """When each call that is out was sent, in the order of sending."""
    sent: int = 0

    def level_at(self, now_s: float) -> float:
        """Upper bound of the level at `now_s`, units."""
        return max(0.0, self.level - self._leaked(now_s))

    def send(self, now_s: float) -> int:
        """Books one call that is sent now; its number."""
        self._touch(self.settings.up_front_cost, now_s)
        self.sent += 1
        self.out[self.sent] = now_s
        return self.sent

    def unsend(self, number: int, now_s: float) -> None:
        """Takes back a call that was booked and never left."""
        if self.out.pop(number, None) is not None:
            self._touch(-self.settings.up_front_cost, now_s)

    def _own_at(self, now_s: float) -> float:
        return max(0.0, self.own - self._leaked(now_s))

    def _leaked(self, now_s: float) -> float:
        return self.settings.outflow_per_s * max(0.0, now_s - self.touched_s)

    def _touch(self, amount: float, now_s: float) -> None:
        self._set(max(0.0, self.level_at(now_s) + amount), max(0.0, self._own_at(now_s) + amount), now_s)

    def _set(self, level: float, own: float, now_s: float) -> None:
        self.level, self.own, self.touched_s = level, own, max(now_s, self.touched_s)

    def _move_mark(self, mark: float, now_s: float) -> None:
        """What was read from headers is off by as much as the mark is; our own calls are not."""
        level = self.level_at(now_s)
        held = min(level, self.settings.up_front_cost * len(self.out))
        moved = level + mark - self.settings.high_water_mark
        self.settings = self.settings.scaled(high_water_mark=mark, maximum=usual_maximum(mark))
        self._set(max(held, moved), self._own_at(now_s), now_s)
