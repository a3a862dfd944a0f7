"""A bucket so narrow that neighbours alone fill it now and then: no reserve helps there, only the right instant does.

Who waits knows less with every moment, and after a long wait a call is refused as often as neighbours fill the bucket. So calls go one by
one: at once where the last header showed so much room that neighbours will hardly take it while the call travels, else when those that it
showed have left. Neighbours are thought to come at random, each held for about as long as headers show. No sender that makes one call at a
time and is told no more can be much safer (`make bench-beside`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from probes.book.neighbours import EXPECTED_PER_S

NARROW = 1e-5
"""Odds that neighbours alone leave no room for a call at a random instant, from which a bucket is narrow."""
ODDS = 1e-4
"""A call goes beside others of ours where it is refused with such odds."""
AS_GOOD = 1.01
"""Odds up to so many times the best that waiting gives are as good."""
PART = 0.3
"""A smaller part of a reservation on top of whole ones is no neighbour's."""
MEMORY_S, SHORTEST_GAP_S, LONGEST_GAP_S = 30.0, 0.02, 1.0
"""The mean of neighbours is over so long; a header counts for the time since the one before, within these bounds."""
KEPT = 0.98
"""What two headers in a row tell of how long neighbours are held counts by this part of what the next two do ..."""
TELLING = 1.5
"""... and where more time is between them than this times that long they tell nothing."""
GAPS_S, CHANGES = 1.0, 2.0 * EXPECTED_PER_S
SHORTEST_HELD_S, LONGEST_HELD_S = 0.05, 5.0
DRAINS_S = 10.0
"""When all neighbours that a header showed have left, what was paid may drain for so much longer."""
SOON_S = 1e-4
"""So much later an instant has surely come, and one nearer than that is now."""
LOOKS_S = 0.5
"""While a call is out its answer is waited for, and the clock looked at so often."""


@dataclass(slots=True)
class Narrows:
    """What headers told of neighbours, as reservations; `paid` is units."""

    paid: float = 0.0
    """At most so much of the level at `paid_s` was paid, and leaks; the rest are reservations, which leave at once."""
    paid_s: float = 0.0
    leaks_per_s: float = 0.0
    beside: int = 0
    """Neighbours that the last header showed ..."""
    usual: float = 1.0
    """... and their mean ..."""
    heard_s: float = 2.0
    """... over so long."""
    held_s: float = 2.0 * GAPS_S / CHANGES
    """How long each is held, by how fast their number changes."""
    gaps_s: float = GAPS_S
    changes: float = CHANGES
    """Time between headers of late, and by how much their numbers differed, squared; before any, what is expected."""
    alone: int = 0
    """The call that was sent while none was out, until the next is sent; 0 for none."""
    refusal_s: float = math.inf
    """The shortest flight of a refusal: hardly more than the round trip."""

    def sent(self, number: int, *, beside: bool) -> None:
        """Call `number` was sent, alone or `beside` others."""
        self.alone = 0 if beside else number

    def pays(self, units: float, now_s: float, leaks_per_s: float) -> None:
        """A call of ours paid; by so much the leak is faster than what neighbours pay, units/s."""
        self.leaks_per_s = leaks_per_s
        self.paid, self.paid_s = self._paid_at(now_s) + units, now_s

    def shown(self, level: float, cost: float) -> None:
        """A header showed so many units beside the reservations (`cost`) of our own calls."""
        self.beside = math.ceil(max(0.0, level - self.paid) / cost - PART)

    def shown_exactly(self, level: float, cost: float, since_s: float) -> None:
        """The same of one that came `since_s` after the one before, while no call of ours was out."""
        before, self.paid = self.beside, min(self.paid, level)
        self.shown(level, cost)
        if since_s < math.inf:
            weight = min(LONGEST_GAP_S, max(SHORTEST_GAP_S, since_s))
            self.heard_s = min(self.heard_s + weight, MEMORY_S)
            self.usual += ((level - self.paid) / cost - self.usual) * weight / self.heard_s
            self._changed(self.beside - before, since_s)

    def _changed(self, by: int, in_s: float) -> None:
        """A number with mean m, whose members come at random and stay for H, changes in t < H by 2 m t / H, squared, in the mean."""
        self.gaps_s += (1.0 - KEPT) * (GAPS_S - self.gaps_s)
        self.changes += (1.0 - KEPT) * (CHANGES - self.changes)
        if in_s < TELLING * self.held_s:
            self.gaps_s += min(in_s, self.held_s)
            self.changes += by * by
        self.held_s = min(LONGEST_HELD_S, max(SHORTEST_HELD_S, 2.0 * self.usual * self.gaps_s / self.changes))

    def at(self, mark: float, cost: float) -> bool:
        """Whether a bucket of this mark is narrow for calls that reserve `cost`."""
        return self._best(fits(mark, cost)) >= NARROW

    def wait_s(self, mark: float, cost: float, out: int, ages_s: tuple[float, float], now_s: float) -> float | None:
        """Seconds until one more call may be sent if nothing comes back; None where the bucket is not narrow.

        Up to `mark` units may be filled, a call reserves `cost`, `out` of ours are out. `ages_s`: how old the last header is, at least and
        at most, when a call sent now arrives.
        """
        best, paid = self._best(fits(mark, cost)), self._paid_at(now_s)
        if best < NARROW:
            return None
        room = fits(mark - paid, cost) - out
        worst = max(self._odds(age_s, room) for age_s in ages_s)
        if worst <= (ODDS if out else max(ODDS, AS_GOOD * best)):
            return 0.0
        return LOOKS_S if out else self._left_s(ages_s[0], paid - mark + cost * fits(mark, cost))

    def _left_s(self, age_s: float, above: float) -> float:
        """Seconds until those have left that a header so old showed, and then, for a while, until these units have drained."""
        left_s = self.held_s - age_s
        if left_s > 0.0:
            return left_s + SOON_S
        drained_s = above / self.leaks_per_s + SOON_S if self.leaks_per_s > 0.0 else math.inf
        wait_s = min(drained_s, left_s + DRAINS_S)
        return wait_s if wait_s > SOON_S else 0.0

    def _best(self, room: int) -> float:
        """Odds of a refusal after a long wait where `room` calls fit that were all somebody else's."""
        return odds(0, 0.0, self.usual, room)

    def _odds(self, age_s: float, room: int) -> float:
        """The same so long after the last header."""
        per_s = max(EXPECTED_PER_S, self.usual / self.held_s)
        return odds(self.beside, max(0.0, 1.0 - age_s / self.held_s), min(per_s * age_s, self.usual), room)

    def _paid_at(self, now_s: float) -> float:
        return max(0.0, self.paid - max(0.0, self.leaks_per_s) * max(0.0, now_s - self.paid_s))


def fits(mark: float, cost: float) -> int:
    """Calls that fit at one time where each reserves `cost`; 0 or less where none does."""
    return math.ceil(mark / cost) - 1


def odds(there: int, stay: float, come: float, room: int) -> float:
    """That `room` neighbours or more are there, of whom `there` were and each stays with odds `stay`; `come` more come in the mean."""
    if room <= 0:
        return 1.0
    staying = [math.comb(there, n) * stay**n * (1.0 - stay) ** (there - n) for n in range(min(there, room - 1) + 1)]
    term = coming = math.exp(-come)
    most = [coming]  # at most so many come
    for n in range(1, room):
        term *= come / n
        coming += term
        most.append(coming)
    return max(0.0, 1.0 - sum(share * most[room - 1 - n] for n, share in enumerate(staying)))
