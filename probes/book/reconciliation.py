"""A limiter's book held against what headers state: the way in which each corrects the level. Time is passed in.

Each header tells the true level at one instant; it lacks the calls that had not arrived by then. One header can raise the book at once.
To lower it takes several that agree, since one can mistake the order of an arrival and a departure.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from probes.book.agreement import Agreement
from probes.book.balance import Balance
from probes.book.losses import Losses
from probes.book.narrows import Narrows
from probes.book.neighbours import Neighbours
from probes.book.overtaking import Overtaking
from probes.book.passage import Passage

FOLLOWED_SHARE = 0.25
"""A part of a reservation by which a header differs from the book is a drift up to here, and unexplained beyond."""


@dataclass(slots=True)
class Reconciled(Balance):
    """A balance that headers correct. `known`: the bucket's constants were given, or are learnt by now."""

    known: bool = True
    agreement: Agreement = field(default_factory=Agreement)
    losses: Losses = field(default_factory=Losses)
    neighbours: Neighbours = field(default_factory=Neighbours)
    passage: Passage = field(default_factory=Passage)
    overtaking: Overtaking = field(default_factory=Overtaking)
    narrows: Narrows = field(default_factory=Narrows)

    def _correct(self, now_s: float, shown: float) -> None:
        """`shown` is the level when this answer left; calls that had not arrived by then come on top: surely some, and maybe more."""
        cost, overtaken = self.settings.up_front_cost, self.overtaking.units(now_s, self.passage.quickest_s)
        own = self._followed(self._own_at(now_s), shown, now_s)
        if not self.overdue.doubtful(cost):
            self.passage.compare(self.out, now_s, (own - shown) / cost)
        self.neighbours.compared(now_s, explained=own - shown <= cost * (self.passage.hardly_unseen(self.out, now_s) + FOLLOWED_SHARE))
        self.overdue.units = min(self.overdue.units, max(0.0, self.level_at(now_s) - own))  # the rest has leaked
        standing = self.overdue.standing(shown - overtaken - own, cost)
        self._set(max(self.level_at(now_s), own), max(own, shown - overtaken - standing), now_s)
        mine = self.level
        excess = shown - overtaken + cost * self.passage.surely_unseen(self.out, now_s) - mine
        self.overtaking.judge(now_s, excess + overtaken)
        if shown <= 0.0:  # an empty bucket forgave all that was in it: what is out is all there can be
            empty = min(mine, cost * len(self.passage.expected(self.out, now_s)))
            self.overdue.settle(self.overdue.units)
            self._set(max(empty, cost * self.passage.maybe_unseen(self.out, now_s)), min(self.own, empty), now_s)
        elif excess > 0.0:
            self._raise(excess, now_s)
            return
        cautiously = mine - shown - cost * self.passage.maybe_unseen(self.out, now_s)
        less = self.agreement.heard(cautiously, mine - shown - cost * self.passage.hardly_unseen(self.out, now_s))
        if less > 0.0:
            if less >= 0.5 * cost and self.overdue.doubtful(cost):  # what headers lacked was no call on its way
                self.passage.mistook(self.overdue.since_s)
            self.overdue.settle(less)
            level = self.level_at(now_s) - less
            self._set(level, min(self._own_at(now_s), level), now_s)

    def _followed(self, own: float, shown: float, now_s: float) -> float:
        """Our own level and the header differ by whole reservations, but for what neighbours pay bit by bit."""
        cost = self.settings.up_front_cost
        part = (shown - own) / cost - round((shown - own) / cost)
        if abs(part) >= FOLLOWED_SHARE:
            return own
        if self.known:
            self.neighbours.drifted(part * cost, now_s)
        return max(0.0, own + part * cost)

    def _raise(self, excess: float, now_s: float) -> None:
        if excess > max(0.3 * self.settings.up_front_cost, 3.0):
            unexplained = excess / self.settings.up_front_cost - self.losses.standing(now_s)
            if unexplained > 0.0:
                self.neighbours.jump(unexplained, now_s)
        self.agreement.clear()
        self._set(self.level_at(now_s) + excess, self._own_at(now_s), now_s)

    def _show(self, now_s: float, remaining: float, since_s: float, *, alone: bool) -> None:
        """What a header says of neighbours: all, where its call was `alone` on its way. In a narrow bucket no other need agree then."""
        mark, cost = self.settings.high_water_mark, self.settings.up_front_cost
        shown = max(0.0, mark - remaining)
        if not alone or not self.neighbours.active(now_s) or self.overdue.doubtful(cost):
            self.narrows.shown(self.level_at(now_s) - cost * len(self.out), cost)
            return
        self.narrows.shown_exactly(shown, cost, since_s)
        if self.level_at(now_s) > shown and self.narrows.at(mark, cost):
            self.agreement.clear()
            self._set(shown, min(self._own_at(now_s), shown), now_s)

    def _take_back(self, sent_s: float, now_s: float | None = None) -> None:
        """What calls lost before `sent_s` reserved is no more in the book than the header of now says, or nothing where none is to come."""
        now_s = sent_s if now_s is None else now_s
        if (told := self.losses.told(sent_s)) > 0.0:
            self._set(max(self._own_at(now_s), self.level_at(now_s) - told), self._own_at(now_s), now_s)
