"""Learns an unknown bucket from the headers of the job's own first calls: two together, then as many as surely fit, then freely."""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from probes.book.bursts import BOUNDED, UNBOUNDED, Answer, Bursts, Opening
from probes.book.hearing import Standing
from probes.book.lattice import Change, Steps, unit
from probes.book.line import COUNTED, USUAL_OUTFLOW_PER_S, Line, Row, drawn, multiple
from probes.book.slowness import Slowness
from probes.bucket import BucketSettings

CAUTIOUS_OUTFLOW_PER_S = 5.0
CAUTIOUS_SHARE = 1 / 3
"""An unknown bucket is taken for one that leaks slowly and holds few reservations."""
MOST_SHARE = 0.9
SHARE_GROWS = 1.25
"""After each burst that was refused a reservation is taken for so many times as large a share of the mark, up to the most."""
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
    last: Answer | None = None
    """The last of this burst."""
    bursts: Bursts = field(default_factory=Bursts)
    at_rest: bool = True
    """Whether no call is out that was sent before there was anything to learn: it would blur what the others tell."""
    opening: Opening = field(default=Opening(0, 0.0, 0.0))
    rows: list[Row] = field(default_factory=list)
    line: Line = field(default=Line(math.inf, CAUTIOUS_OUTFLOW_PER_S))
    usual: float = 0.0
    blur_per_s: float = math.inf
    """Standard error of the line's outflow."""
    free: bool = False
    share: float = CAUTIOUS_SHARE
    """A reservation is no more than this share of the mark, as far as is known."""
    brim: Standing = field(default=Standing(-math.inf, -math.inf, 0))
    """The highest Remaining: a level that does not leak is none, and the mark is there."""
    steps: Steps = field(default_factory=Steps)
    """Between all neighbouring departures of late that did not empty the bucket."""
    explained: deque[bool] = field(default_factory=lambda: deque(maxlen=JUDGED))
    slowness: Slowness = field(default_factory=Slowness)

    @property
    def slow(self) -> bool:
        """Whether the level that headers show is all that is known, and tells when the next call may leave."""
        return self.slowness.lasts and not self.free

    def most_together(self, *, awaited: bool) -> int:
        """How many calls may be out as far as learning goes; `awaited` as for `Bursts.most`."""
        if self.slow or (self.free and len(self.rows) >= COUNTED):
            return UNBOUNDED
        return BOUNDED if self.free else self.bursts.most(bounded=self.bound < math.inf, awaited=awaited)

    @property
    def finished(self) -> bool:
        """Whether the constants stand."""
        return len(self.rows) >= ENOUGH and self._explains and self.blur_per_s <= SHARP_PER_S

    def settings(self) -> BucketSettings:
        """The constants as far as they are known, the reservation on the high side while little is."""
        cautious = min(BURST_CAUTION * self.bound, self.share * self.mark / (1 << self.bursts.doubled))
        line = self.line if self.free else Line(cautious, CAUTIOUS_OUTFLOW_PER_S)
        return BucketSettings.of(self.mark, line.outflow_per_s, line.reservation)

    def learn(self, out: Mapping[int, float], sent_s: float, now_s: float, cost: float, remaining: float) -> bool:
        """Takes one answer in; whether the constants changed."""
        before = self.mark
        self.bursts.answered()
        self.mark = max(self.mark, remaining)
        full = self._at_the_brim(now_s, remaining)
        if self.free:
            return self._goes_on(now_s, cost, remaining) or self.mark > before
        if self.mark <= 0.0:  # a bucket above its mark tells nothing of it yet
            return False
        if not self.at_rest:
            self.at_rest, self.bursts.together = not out, int(bool(out))
            return full
        if self._slowly(out, sent_s, now_s, remaining + cost):
            return True
        if not self.bursts.together:
            self.bursts.together = len(out) + 1
            self._opens(now_s - sent_s, now_s, cost, remaining)
        else:
            self._follows(now_s, cost, remaining)
        if not out:
            self.bursts.over()
            return self._judge() or full
        if len(self.rows) >= FREE_AFTER:
            self._agree()
        return self.free or full

    def _slowly(self, out: Mapping[int, float], sent_s: float, now_s: float, remaining: float) -> bool:
        """Whether calls are slow after an answer that showed so much before it paid."""
        traced = self.mark - remaining >= TRACE_SHARE * self.mark
        fresh = self.slowness.answered(out, sent_s, now_s, traced=traced, begins=not self.bursts.together)
        others, seconds = len(fresh) - 1, now_s - min(fresh, default=now_s)
        if fresh and traced:
            self.opening = Opening(others, seconds, remaining)
            self._judge()
        elif HIGH_OUTFLOW_PER_S * seconds < others * self.share * self.mark / (2 << self.bursts.doubled):  # twice as many would fit
            self.bursts.traceless(others)
        if self.slowness.over:
            self.slowness, self.at_rest = Slowness(), not out
        return self.slowness.lasts

    def _at_the_brim(self, now_s: float, remaining: float) -> bool:
        """Whether this header makes it sure that the highest Remaining is the mark, whatever was guessed."""
        since_s, base, count = self.brim
        if remaining > base + BRIM_SHARE * max(base, 0.0) + 1e-9 or count == 0:
            since_s, base, count = now_s, remaining, 0
        count += remaining >= base - BRIM_SHARE * max(base, 0.0)
        self.brim = Standing(since_s, base, count)
        return count >= AT_THE_BRIM and now_s - since_s >= BRIM_S

    def _opens(self, seconds: float, now_s: float, cost: float, remaining: float) -> None:
        """The first of a burst from rest to come back shows the reservations of all others, less what leaked meanwhile."""
        self.opening = Opening(self.bursts.together - 1, seconds, remaining + cost)
        self.last = Answer(now_s, remaining)

    def _follows(self, now_s: float, cost: float, remaining: float) -> None:
        assert self.last is not None
        seconds, change = now_s - self.last.at_s, self.last.remaining - remaining - cost
        if remaining < self.mark - 1e-6 and self.bound < math.inf:
            self.steps.changes.append(Change(seconds, change))
            if change < 0.0:
                self.rows.append(Row(-1, seconds, change))
        self.last = Answer(now_s, remaining)

    def _judge(self) -> bool:
        """What a burst told."""
        count, seconds, remaining = self.opening
        taken = self.mark - remaining
        if self.bound == math.inf:
            return self._bounds(count, seconds, taken)
        if count >= 1:
            self.rows.append(Row(count, seconds, taken))
        if len(self.rows) >= FREE_AFTER:
            self._agree()
        return True

    def _bounds(self, count: int, seconds: float, taken: float) -> bool:
        """Two calls bound the reservation; a small one is looked at twice, since the second call may have come too late to be seen."""
        if taken < TRACE_SHARE * self.mark:
            return self.bursts.traceless(count)
        if count < 1:
            return False
        self.rows.append(Row(count, seconds, taken))
        if taken < SMALL_SHARE * self.mark * count and len(self.rows) < (3 if seconds < QUICK_S else 2):
            return False
        self.bound = min(self._most(HIGH_OUTFLOW_PER_S), self.share * self.mark)
        self.greatest = min(self._most(GREATEST_OUTFLOW_PER_S), self.share * self.mark)
        return True

    def _most(self, outflow_per_s: float) -> float:
        return max((row.change + outflow_per_s * row.seconds) / row.reservations for row in self.rows)

    def refused(self) -> None:
        """A call of a burst was refused before the bucket was known: never so many together again until it is."""
        if self.bound < math.inf:
            self.share = min(SHARE_GROWS * self.share, MOST_SHARE)
            self.bound = min(SHARE_GROWS * self.bound, self.share * self.mark)
            self.greatest = min(SHARE_GROWS * self.greatest, self.share * self.mark)
        self.bursts.refused(bounded=self.bound < math.inf)
        if self.slowness.lasts:
            self.slowness, self.at_rest = Slowness(), False

    def doubt(self, remaining: float | None) -> None:
        """A call was refused that the line let pass: the reservation is more than was thought, unless many rows speak for it.

        A refusal that shows more Remaining than the line's reservation proves it too small.
        """
        proven = remaining is not None and remaining > self.line.reservation
        if len(self.rows) >= SURE and self._explains and not proven:
            return
        self.rows.clear()
        self._begin(min(1.1 * self.line.reservation, MOST_SHARE * self.mark), self.line.outflow_per_s)

    def _begin(self, reservation: float, outflow: float) -> None:
        self.usual, self.line = reservation, Line(reservation, outflow)

    def _agree(self) -> None:
        """Drops rows whose calls were taken in another order than they came, then draws the line."""
        del self.rows[:-MOST_ROWS]
        rows = [row for row in self.rows if row.each <= 1.02 * self.greatest]
        if len(rows) < FREE_AFTER:
            return
        usual = statistics.median_high(row.each for row in rows)
        near = [row for row in rows if abs(row.each - usual) < NEAR * usual]
        if len(near) < AGREEING_SHARE * len(rows) or not _many(near):
            if (found := self.steps.unit(self.mark)) is None:
                return
            usual, near = found, [row for row in rows if abs(row.each - found) < NEAR * found]
        self.rows, self.free = near, True
        self._begin(usual, USUAL_OUTFLOW_PER_S)
        self._draw()

    def _goes_on(self, now_s: float, cost: float, remaining: float) -> bool:
        assert self.last is not None
        seconds, change = now_s - self.last.at_s, self.last.remaining - remaining - cost
        floor = self.mark - self.last.remaining - GREATEST_OUTFLOW_PER_S * seconds
        self.last = Answer(now_s, remaining)
        reservation, outflow = self.line.reservation, self.line.outflow_per_s
        if min(floor, self.mark - remaining - 1e-6) <= 0.0 or outflow * seconds > 0.5 * reservation:
            return False
        self.steps.changes.append(Change(seconds, change))
        count = round((change + outflow * seconds) / reservation)
        self.explained.append(abs(change + outflow * seconds - count * reservation) <= 0.2 * reservation)
        if not self.explained[-1]:
            return self._begins_again()
        self.rows.append(Row(count, seconds, change))
        if (many := multiple(self.rows)) > 1:
            self.rows = [Row(row.reservations // many, row.seconds, row.change) for row in self.rows if row.reservations % many == 0]
            self._begin(many * reservation, outflow)
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
        found = unit(self.steps.changes, self.mark)
        if found is None or abs(found - self.usual) < NEAR * self.usual:
            return False
        self.rows.clear()
        self._begin(found, USUAL_OUTFLOW_PER_S)
        return True

    def _draw(self) -> None:
        """The line through the rows of late; near the usual reservation it stays."""
        self._forget()
        line, self.blur_per_s = drawn([*self.rows, Row(1, 0.0, self.usual)], self.line)
        reservation = min(max(line.reservation, 0.9 * self.usual), 1.1 * self.usual)
        self.line = Line(reservation, min(max(line.outflow_per_s, 1.0), GREATEST_OUTFLOW_PER_S))

    def _forget(self) -> None:
        """Keeps rows of both kinds: those that count reservations tell u, those without any, over long times, tell o."""
        if len(self.rows) > MOST_ROWS:
            telling = [row for row in self.rows if row.reservations != 0]
            pool = telling if len(telling) > MOST_ROWS // 2 else [row for row in self.rows if row.reservations == 0]
            self.rows.remove(min(pool, key=lambda row: row.seconds))


def _many(rows: Sequence[Row]) -> bool:
    steps = sum(row.reservations == -1 for row in rows)
    return steps >= AGREEING_STEPS or len(rows) - steps >= AGREEING_PAIRS
