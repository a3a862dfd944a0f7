"""The limiter's book: an upper bound of the bucket's level from what was sent, what came back, and what the headers say. Time is passed in.

A call counts from when it is sent until its answer is received, which is longer than the bucket holds its reservation: the book is
never below the bucket as far as
our own calls go. Each header then tells the true level at one instant; what it cannot hold are calls sent so lately that they may not
have arrived by then, and those are added
again. The lower of the two bounds counts, unless the header shows more than we owe: then somebody else uses the token, and the header
counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from probes.bucket import BucketSettings

CAUTIOUS_OUTFLOW_PER_S = 5.0
CAUTIOUS_SHARE = 1 / 3
"""An unknown bucket is taken for one that leaks slowly and holds few reservations."""
FORGET_OTHERS_S = 30.0
"""How long the most that somebody else was seen to owe is held against the next call."""


@dataclass(slots=True)
class Sent:
    """A call that is out: when it was sent, seconds, and how many were out before it."""

    sent_s: float
    number: int


@dataclass(slots=True)
class Ledger:
    """The book of one bucket. `known` is whether its constants were given or are still being learnt; `margin`: units kept free."""

    settings: BucketSettings
    known: bool = True
    margin: float = 2.0
    level: float = 0.0
    touched_s: float = 0.0
    blocked_until_s: float = -math.inf
    out: dict[int, Sent] = field(default_factory=dict)
    sent: int = 0
    answered: int = 0
    quickest_s: float = math.inf
    others: float = 0.0
    others_seen_s: float = -math.inf
    learner: Learner = field(default_factory=lambda: Learner())  # noqa: PLW0108 - the class stands below

    def level_at(self, now_s: float) -> float:
        """Upper bound of the level at `now_s`, units."""
        return max(0.0, self.level - self.settings.outflow_per_s * max(0.0, now_s - self.touched_s))

    def wait_s(self, now_s: float) -> float:
        """Seconds until one more call may be sent if nothing comes back until then; 0 now; inf when only an answer can make room."""
        if now_s < self.blocked_until_s:
            return self.blocked_until_s - now_s
        if not self.known and len(self.out) >= self.learner.most_together:
            return math.inf
        over = self.level_at(now_s) + self.settings.up_front_cost - (self.settings.high_water_mark - self.reserve(now_s))
        if over < 0.0 or (not self.out and self.level_at(now_s) <= 0.0):
            return 0.0
        return over / self.settings.outflow_per_s + 1e-6

    def reserve(self, now_s: float) -> float:
        """Units kept free below the mark: the margin, the leak of a call under way, and what others were seen to take lately."""
        under_way = self.settings.outflow_per_s * min(0.3, self.quickest_s if self.quickest_s < math.inf else 0.0)
        return self.margin + under_way + self._others_at(now_s)

    def send(self, now_s: float) -> int:
        """Books one call that is sent now; its number."""
        self._touch(self.settings.up_front_cost, now_s)
        self.sent += 1
        self.out[self.sent] = Sent(now_s, len(self.out))
        return self.sent

    def answer(
        self, number: int, now_s: float, cost: float | None, remaining: float | None, refused: bool, retry_after_s: float | None
    ) -> None:
        """Books the answer to call `number`; an unknown number is ignored. Values that are not finite count as not seen."""
        call = self.out.pop(number, None)
        if call is None:
            return
        self.answered += 1
        paid = 0.0 if refused or cost is None or not 0.0 <= cost < 1e6 else cost
        self._touch(paid - self.settings.up_front_cost, now_s)
        if not refused:
            self.quickest_s = min(self.quickest_s, now_s - call.sent_s)
        if remaining is not None and math.isfinite(remaining) and abs(remaining) < 1e6:
            self._learn(call, now_s, paid, remaining)
            self._correct(now_s, remaining)
        if refused:
            self._refused(now_s, remaining, retry_after_s)

    def _correct(self, now_s: float, remaining: float) -> None:
        shown = max(0.0, self.settings.high_water_mark - remaining)
        recent = now_s - (self.quickest_s if self.quickest_s < math.inf else 0.0)
        unseen = sum(1 for call in self.out.values() if call.sent_s >= recent)
        bound = shown + unseen * self.settings.up_front_cost
        mine = self.level_at(now_s)
        excess = shown - mine - self.settings.outflow_per_s * min(self.quickest_s, 1.0) - 1.0
        if excess > 0.0:
            self._note_others(excess, now_s)
            self.level = max(bound, mine)
        else:
            self.level = min(bound, mine)
        self.touched_s = now_s

    def _note_others(self, excess: float, now_s: float) -> None:
        """Keeps the most that others added between two answers; one more reservation may always be on its way."""
        if self.known:
            self.others = max(self._others_at(now_s), min(excess, 4.0 * self.settings.up_front_cost), 0.5 * self.settings.up_front_cost)
            self.others_seen_s = now_s

    def _others_at(self, now_s: float) -> float:
        age = now_s - self.others_seen_s
        return 0.0 if age > FORGET_OTHERS_S else self.others

    def _refused(self, now_s: float, remaining: float | None, retry_after_s: float | None) -> None:
        """After a refusal the next call waits as long as the nearly full bucket needs, or as long as the server says."""
        if remaining is None:
            self.level = max(self.level_at(now_s), self.settings.high_water_mark - self.settings.up_front_cost * 0.5)
            self.touched_s = now_s
        if retry_after_s is not None and 0.0 <= retry_after_s < 3600.0:
            self.blocked_until_s = max(self.blocked_until_s, now_s + retry_after_s)

    def _learn(self, call: Sent, now_s: float, cost: float, remaining: float) -> None:
        changed = self.learner.learn(self, call, now_s, cost, remaining)
        if changed is not None:
            self.settings = changed

    def _touch(self, amount: float, now_s: float) -> None:
        self.level = max(0.0, self.level_at(now_s) + amount)
        self.touched_s = max(now_s, self.touched_s)


@dataclass(slots=True)
class Learner:
    """Learns an unknown bucket from the headers of the job's own calls: alone, then two, three together, then freely."""

    mark: float = 0.0
    reservations: list[float] = field(default_factory=list)
    most_together: int = 1
    anchor: tuple[float, float] | None = None
    paid: float = 0.0
    outflow: float = CAUTIOUS_OUTFLOW_PER_S

    def learn(self, book: Ledger, call: Sent, now_s: float, cost: float, remaining: float) -> BucketSettings | None:
        """The constants as far as they are known after this answer; None when they were given."""
        if book.known:
            return None
        self.mark = max(self.mark, remaining)
        sure = self._surely_out(book, now_s)
        if sure is not None:
            self._reservation(sure, call, now_s, cost, remaining)
            self._leak(sure, now_s, cost, remaining)
        self.most_together = min(1 + len(self.reservations), 3) if len(self.reservations) < 4 else 10_000
        reservation = self.reservation()
        return BucketSettings(self.mark, self.mark * 4 / 3, self.outflow, reservation)

    def reservation(self) -> float:
        """The reservation, on the high side while little is known."""
        if not self.reservations:
            return max(self.mark * CAUTIOUS_SHARE, 1.0)
        ordered = sorted(self.reservations)
        return ordered[len(ordered) // 2] if len(ordered) >= 4 else ordered[-1]

    def _surely_out(self, book: Ledger, now_s: float) -> int | None:
        """How many others the bucket surely held when this answer left; None when some may or may not have arrived."""
        if any(other.sent_s > now_s - book.quickest_s for other in book.out.values()):
            return None
        return len(book.out)

    def _reservation(self, sure: int, call: Sent, now_s: float, cost: float, remaining: float) -> None:
        """From rest: mark - remaining = reservations + cost - leak."""
        if 1 <= sure <= 2 and len(self.reservations) < 9:
            found = (self.mark - remaining - cost + 10.0 * (now_s - call.sent_s)) / sure
            if 0.01 * self.mark < found < self.mark:
                self.reservations.append(found)

    def _leak(self, sure: int, now_s: float, cost: float, remaining: float) -> None:
        """The outflow from how much less the level is than costs and reservations would make it, since the bucket was last at its floor."""
        self.paid += cost
        debt = self.mark - remaining - sure * self.reservation()
        if remaining >= self.mark - 1e-6 or self.anchor is None or len(self.reservations) < 4:
            self.anchor, self.paid = (now_s, debt), 0.0
            return
        seconds = now_s - self.anchor[0]
        if seconds > 3.0 and self.mark - remaining > self.reservation():
            found = (self.paid - (debt - self.anchor[1])) / seconds
            self.outflow = min(max(0.97 * found, 1.0), 50.0)
