"""The level of a limiter's book: an upper bound that leaks as the bucket does, and the calls that are out. Time is passed in."""

from __future__ import annotations

from dataclasses import dataclass, field

from probes.book.overdue import FORGOTTEN_S, Overdue
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
    overdue: Overdue = field(default_factory=Overdue)

    @property
    def unanswered(self) -> int:
        """Calls sent of which an answer may still come, with those that are overdue."""
        return len(self.out) + len(self.overdue.waiting)

    def holds(self, number: int) -> bool:
        """Whether an answer to call `number` is still awaited."""
        return number in self.out or number in self.overdue.waiting

    def forgotten_s(self, now_s: float) -> float:
        """Seconds until the call that was sent first counts as unanswered no more."""
        sent_s = min((next(iter(calls.values())) for calls in (self.out, self.overdue.waiting) if calls), default=now_s)
        return max(0.0, sent_s + FORGOTTEN_S - now_s)

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
        if self._back(number, now_s) is not None:
            self._touch(-self.settings.up_front_cost, now_s)

    def expire(self, now_s: float) -> None:
        """Gives up the calls that are overdue, and forgets the oldest."""
        for number in self.overdue.among(self.out, now_s):
            self.overdue.waiting[number] = self.out.pop(number)
            self._give_up(self.overdue.waiting[number], now_s)
        self.overdue.forget(now_s)

    def _give_up(self, sent_s: float, now_s: float) -> None:
        own = self._own_at(now_s)
        held = min(own, self.settings.up_front_cost)  # the rest has leaked
        self.overdue.give_up(held, sent_s, self.settings.up_front_cost)
        self._set(self.level_at(now_s), own - held, now_s)

    def _back(self, number: int, now_s: float) -> float | None:
        """When call `number` was sent that is out no more, None where it was not; what it reserved counts as our own, given up or not."""
        if (sent_s := self.out.pop(number, None)) is not None:
            return sent_s
        if (sent_s := self.overdue.waiting.pop(number, None)) is not None:
            gone, held = self.overdue.returned(number, self.settings.up_front_cost)
            self._set(self.level_at(now_s) + gone, self._own_at(now_s) + gone + held, now_s)
        return sent_s

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
