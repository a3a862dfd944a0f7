"""Learns an unknown bucket from the headers of the job's own first calls: two together, then as many as surely fit, then freely."""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from probes.bucket import BucketSettings
from probes.lattice import unit
from probes.line import USUAL_OUTFLOW_PER_S, drawn

CAUTIOUS_OUTFLOW_PER_S = 5.0
CAUTIOUS_SHARE = 1 / 3
"""An unknown bucket is taken for one that leaks slowly and holds few reservations."""
MOST_SHARE = 0.9
SHARE_GROWS = 1.25
"""After each burst that was refused a reservation is taken for so many times as large a share of the mark, up to the most."""
FIRST_ALONE, MOST_ALONE = 64, 8192
"""Where not even two calls fit, so many go one after another before two are tried again, and twice as many each time."""
HIGH_OUTFLOW_PER_S = 25.0
"""Bursts are sized for an outflow up to this, with caution ..."""
GREATEST_OUTFLOW_PER_S = 50.0
"""... and none beyond this is thought of."""
SHARP_PER_S = 0.4
"""The outflow stands when its standard error is below this."""
MOST_ROWS = 160
"""Of more rows those over the shortest times are dropped."""
FREE_AFTER = 4
"""Pairs of neighbouring departures before more calls may follow the first full burst."""
ENOUGH = 80
"""Pairs after which the constants stand."""
SMALL_SHARE = 0.08
"""A reservation below this share of the mark may be a mistake."""
BURST_CAUTION = 1.5
"""A neighbour who came or went meanwhile makes two calls tell too small a reservation; a burst is sized for one so much larger."""
QUICK_S = 0.3
"""... and is looked at three times where a flight is so short that jitter may fill it."""
UNBOUNDED = 1_000_000
STILL_BURSTS, MOST_DOUBLED = 3, 7
"""After so many bursts that left no trace in Remaining, twice as many calls start together; at most so many times."""
TRACE_SHARE = 0.005
"""Less than this share of the mark is no trace."""
NEAR = 0.15
"""Rows this near to each other agree."""
AGREEING_SHARE = 0.75
"""So many of the first rows must agree, or a neighbour is among them and the unit of many changes is looked for."""
AGREEING_STEPS = 3
"""So many of those that agree must be departures one after another, which no mistake about the mark can falsify."""
AGREEING_PAIRS = 12
"""... or so many bursts, where the bucket holds only two calls: the second to come back leaves it empty, which shows the mark."""
KEPT = 48
"""Changes that are kept to find their unit."""
JUDGED = 24
"""After so many changes the line is judged by how many of them it explains."""
EXPLAINED_SHARE = 0.7
AT_THE_BRIM, BRIM_S, BRIM_SHARE = 3, 2.5, 0.01
"""So many headers, over so many seconds, that show the highest Remaining but for this share of it show the mark: a level would leak."""
SURE = 20
"""A line through so many rows is not doubted for a refusal: a neighbour was there."""


@dataclass(slots=True)
class Learner:
    """Between two departures the level changes by cost - outflow * seconds + a whole number of reservations: a line gives u and o."""

    mark: float = -math.inf
    bound: float = math.inf
    greatest: float = math.inf
    """The reservation is hardly more than `bound`, and not more than `greatest`, by what two calls showed; units."""
    last: tuple[float, float] | None = None
    """When the last answer came, and its level, in this burst."""
    sent_together: int = 0
    at_rest: bool = True
    """Whether no call is out that was sent before there was anything to learn: it would blur what the others tell."""
    opening: tuple[int, float, float] = (0, 0.0, 0.0)
    rows: list[tuple[int, float, float]] = field(default_factory=list)
    """(reservations, seconds, change of the level without its cost)."""
    line: tuple[float, float] = (math.inf, CAUTIOUS_OUTFLOW_PER_S)
    usual: float = 0.0
    blur_per_s: float = math.inf
    """Standard error of the line's outflow."""
    free: bool = False
    share: float = CAUTIOUS_SHARE
    """A reservation is no more than this share of the mark, as far as is known."""
    alone: int = 0
    """So many calls are still to go one after another."""
    alone_next: int = FIRST_ALONE
    still: int = 0
    """Bursts without a trace: no bucket is kept for this token, or it leaks what so few calls reserve before the first returns."""
    most_doubled: int = MOST_DOUBLED
    brim: tuple[float, float, int] = (-math.inf, -math.inf, 0)
    """(since when, Remaining, headers) of the highest Remaining: a level that does not leak is none, and the mark is there."""
    changes: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=KEPT))
    """(seconds, change of the level without its cost) of all neighbouring departures of late that did not empty the bucket."""
    explained: deque[bool] = field(default_factory=lambda: deque(maxlen=JUDGED))

    @property
    def most_together(self) -> int:
        """How many calls may be out as far as learning goes: two, then bursts that are not refilled too early, then any number."""
        if self.free:
            return UNBOUNDED
        if self.alone:
            return 1
        if self.sent_together:
            return 0
        if self.bound < math.inf or self._doubled == MOST_DOUBLED:
            return UNBOUNDED
        return 2 << self._doubled

    @property
    def _doubled(self) -> int:
        return min(self.still // STILL_BURSTS, self.most_doubled)

    @property
    def finished(self) -> bool:
        """Whether the constants stand."""
        return len(self.rows) >= ENOUGH and self._explains and self.blur_per_s <= SHARP_PER_S

    def settings(self) -> BucketSettings:
        """The constants as far as they are known, the reservation on the high side while little is."""
        cautious = min(BURST_CAUTION * self.bound, self.share * self.mark / (1 << self._doubled))
        reservation, outflow = self.line if self.free else (cautious, CAUTIOUS_OUTFLOW_PER_S)
        return BucketSettings.of(self.mark, outflow, reservation)

    def learn(self, out: Mapping[int, float], sent_s: float, now_s: float, cost: float, remaining: float) -> bool:
        """Takes one answer in; whether the constants changed."""
        before = self.mark
        self.alone = max(0, self.alone - 1)
        self.mark = max(self.mark, remaining)
        full = self._at_the_brim(now_s, remaining)
        if self.free:
            return self._goes_on(now_s, cost, remaining) or self.mark > before
        if self.mark <= 0.0:  # a bucket above its mark tells nothing of it yet
            return False
        if not self.at_rest:
            self.at_rest, self.sent_together = not out, int(bool(out))
            return full
        if not self.sent_together:
            self.sent_together, self.last = len(out) + 1, None
            self._opens(now_s - sent_s, now_s, cost, remaining)
        else:
            self._follows(now_s, cost, remaining)
        if not out:
            self.sent_together = 0
            return self._judge() or full
        if len(self.rows) >= FREE_AFTER:
            self._agree()
        return self.free or full

    def _at_the_brim(self, now_s: float, remaining: float) -> bool:
        """Whether this header makes it sure that the highest Remaining is the mark, whatever was guessed."""
        since_s, base, count = self.brim
        if remaining > base + BRIM_SHARE * max(base, 0.0) + 1e-9 or count == 0:
            since_s, base, count = now_s, remaining, 0
        count += remaining >= base - BRIM_SHARE * max(base, 0.0)
        self.brim = since_s, base, count
        return count >= AT_THE_BRIM and now_s - since_s >= BRIM_S

    def _opens(self, seconds: float, now_s: float, cost: float, remaining: float) -> None:
        """The first of a burst from rest to come back shows the reservations of all others, less what leaked meanwhile."""
        self.opening = (self.sent_together - 1, seconds, remaining + cost)
        self.last = (now_s, remaining)

    def _follows(self, now_s: float, cost: float, remaining: float) -> None:
        assert self.last is not None
        seconds, change = now_s - self.last[0], self.last[1] - remaining - cost
        if remaining < self.mark - 1e-6 and self.bound < math.inf:
            self.changes.append((seconds, change))
            if change < 0.0:
                self.rows.append((-1, seconds, change))
        self.last = (now_s, remaining)

    def _judge(self) -> bool:
        """What a burst told."""
        count, seconds, remaining = self.opening
        taken = self.mark - remaining
        if self.bound == math.inf:
            return self._bounds(count, seconds, taken)
        if count >= 1:
            self.rows.append((count, seconds, taken))
        if len(self.rows) >= FREE_AFTER:
            self._agree()
        return True

    def _bounds(self, count: int, seconds: float, taken: float) -> bool:
        """Two calls bound the reservation; a small one is looked at twice, since the second call may have come too late to be seen."""
        if taken < TRACE_SHARE * self.mark:
            self.still += count >= 1
            return count >= 1 and self.still % STILL_BURSTS == 0
        if count < 1:
            return False
        self.rows.append((count, seconds, taken))
        if taken < SMALL_SHARE * self.mark * count and len(self.rows) < (3 if seconds < QUICK_S else 2):
            return False
        self.bound = min(self._most(HIGH_OUTFLOW_PER_S), self.share * self.mark)
        self.greatest = min(self._most(GREATEST_OUTFLOW_PER_S), self.share * self.mark)
        return True

    def _most(self, outflow_per_s: float) -> float:
        return max((change + outflow_per_s * seconds) / count for count, seconds, change in self.rows)

    def refused(self) -> None:
        """A call of a burst was refused before the bucket was known: never so many together again until it is."""
        if self.bound < math.inf:
            self.share = min(SHARE_GROWS * self.share, MOST_SHARE)
            self.bound = min(SHARE_GROWS * self.bound, self.share * self.mark)
            self.greatest = min(SHARE_GROWS * self.greatest, self.share * self.mark)
        elif self._doubled == 0:
            self.alone, self.alone_next = self.alone_next, min(2 * self.alone_next, MOST_ALONE)
        self.most_doubled = max(0, self._doubled - 1)
        self.still = 0

    def doubt(self, remaining: float | None) -> None:
        """A call was refused that the line let pass: the reservation is more than was thought, unless many rows speak for it.

        A refusal that shows more Remaining than the line's reservation proves it too small.
        """
        proven = remaining is not None and remaining > self.line[0]
        if len(self.rows) >= SURE and self._explains and not proven:
            return
        self.rows.clear()
        self._begin(min(1.1 * self.line[0], MOST_SHARE * self.mark), self.line[1])

    def _begin(self, reservation: float, outflow: float) -> None:
        self.usual, self.line = reservation, (reservation, outflow)

    def _agree(self) -> None:
        """Drops rows whose calls were taken in another order than they came, then draws the line."""
        rows = [row for row in self.rows if row[2] / row[0] <= 1.02 * self.greatest]
        if len(rows) < FREE_AFTER:
            return
        usual = statistics.median_high(change / count for count, _, change in rows)
        near = [row for row in rows if abs(row[2] / row[0] - usual) < NEAR * usual]
        if len(near) < AGREEING_SHARE * len(rows) or not _many(near):
            found = unit(self.changes, self.mark)
            if found is None:
                return
            usual, near = found, [row for row in rows if abs(row[2] / row[0] - found) < NEAR * found]
        self.rows, self.free = near, True
        self._begin(usual, USUAL_OUTFLOW_PER_S)
        self._draw()

    def _goes_on(self, now_s: float, cost: float, remaining: float) -> bool:
        assert self.last is not None
        seconds, change = now_s - self.last[0], self.last[1] - remaining - cost
        floor = self.mark - self.last[1] - GREATEST_OUTFLOW_PER_S * seconds
        self.last = (now_s, remaining)
        reservation, outflow = self.line
        if min(floor, self.mark - remaining - 1e-6) <= 0.0 or outflow * seconds > 0.5 * reservation:
            return False
        self.changes.append((seconds, change))
        count = round((change + outflow * seconds) / reservation)
        self.explained.append(abs(change + outflow * seconds - count * reservation) <= 0.2 * reservation)
        if not self.explained[-1]:
            return self._begins_again()
        self.rows.append((count, seconds, change))
        self._draw()
        return True

    @property
    def _explains(self) -> bool:
        """Whether the line explains what it saw of late."""
        return sum(self.explained) >= EXPLAINED_SHARE * len(self.explained)

    def _begins_again(self) -> bool:
        """A line that does not explain what it sees was drawn through a neighbour's calls: the unit of all changes is another."""
        if self._explains or len(self.explained) < JUDGED:
            return False
        self.explained.clear()
        found = unit(self.changes, self.mark)
        if found is None or abs(found - self.usual) < NEAR * self.usual:
            return False
        self.rows.clear()
        self._begin(found, USUAL_OUTFLOW_PER_S)
        return True

    def _draw(self) -> None:
        """The line through the rows of late; near the usual reservation it stays."""
        self._forget()
        reservation, outflow, self.blur_per_s = drawn([*self.rows, (1, 0.0, self.usual)], self.line)
        self.line = min(max(reservation, 0.9 * self.usual), 1.1 * self.usual), min(max(outflow, 1.0), GREATEST_OUTFLOW_PER_S)

    def _forget(self) -> None:
        """Keeps rows of both kinds: those that count reservations tell u, those without any, over long times, tell o."""
        if len(self.rows) > MOST_ROWS:
            telling = [row for row in self.rows if row[0] != 0]
            pool = telling if len(telling) > MOST_ROWS // 2 else [row for row in self.rows if row[0] == 0]
            self.rows.remove(min(pool, key=lambda row: row[1]))


def _many(rows: Sequence[tuple[int, float, float]]) -> bool:
    steps = sum(count == -1 for count, _, _ in rows)
    return steps >= AGREEING_STEPS or len(rows) - steps >= AGREEING_PAIRS
