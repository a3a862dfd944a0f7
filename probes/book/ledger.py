"""The limiter's book: an upper bound of the bucket's level from what was sent, what came back, and what the headers say. Time is passed in.

A call counts from when it is sent until its answer is received, which is longer than the bucket holds its reservation: as far as our own
calls go the book is never below the bucket, but for a call that costs more than it reserved, of which nobody knows before its answer.
Headers raise and lower it (`reconciliation`). Departures are not gambled on: a call leaves when it would pass even if nothing left the
bucket meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from probes.book.bursts import Bursts
from probes.book.hearing import Hearing
from probes.book.learner import CAUTIOUS_OUTFLOW_PER_S, CAUTIOUS_SHARE, Learner
from probes.book.neighbours import Neighbours
from probes.book.passage import Passage
from probes.book.reconciliation import Reconciled
from probes.book.retreat import BLIND_WAIT_S, LONGEST_BLIND_WAIT_S, Retreat
from probes.book.revision import Revision
from probes.book.silence import Silence
from probes.book.slowness import Slowness
from probes.book.surcharges import Surcharges
from probes.bucket import BucketSettings

BLUR_KEPT = 1.5
"""So many standard errors of an outflow that is still being learnt count as drift since the last header."""


@dataclass(slots=True)
class Ledger(Reconciled):
    """The book of one bucket; `margin` (units) is kept free below the mark."""

    margin: float = 2.0
    learned_once: bool = False
    hearing: Hearing = field(default_factory=Hearing)
    retreat: Retreat = field(default_factory=Retreat)
    learner: Learner = field(default_factory=Learner)
    silence: Silence = field(default_factory=Silence)
    surcharges: Surcharges = field(default_factory=Surcharges)
    revision: Revision = field(default_factory=Revision)

    def expect_silence(self, together: int) -> None:
        """No header will tell the level; so many calls may be out at one time, as far as a run found."""
        self.silence = Silence.found(together)
        self.settings = self.silence.settings

    def send(self, now_s: float) -> int:
        """Books one call that is sent now; its number. Where no call is out but those that hang it begins a new burst."""
        if not self.known and not self.passage.expected(self.out, now_s):
            self.learner.bursts.over()
        beside = bool(self.out)
        number = Reconciled.send(self, now_s)  # `super()` knows no class of slots
        self.narrows.sent(number, beside=beside)
        return number

    def wait_s(self, now_s: float) -> float:
        """Seconds until one more call may be sent if nothing comes back until then; 0 now."""
        if now_s < self.retreat.until_s:
            return self.retreat.until_s - now_s
        if self.retreat.in_a_row and (expected := self.passage.expected(self.out, now_s)):  # one goes ahead alone, to see how things stand
            return max(next(iter(expected.values())) + self.passage.patience_s - now_s, 1e-3)
        if not self.known and (wait := self._crowded(now_s)) > 0.0:
            return wait
        if self.known and self.out and not self.hearing.bare and (wait := self.passage.first_s(self.out, now_s)) > 0.0:
            return wait
        wait = self._room_s(now_s)
        if not (self.known or self.learner.free) or not self.neighbours.active(now_s):
            return wait
        instant_s = self._instant_s(now_s)
        return wait if instant_s is None else instant_s

    def _instant_s(self, now_s: float) -> float | None:
        """Seconds until the best instant in a narrow bucket that others use; None where any will do."""
        header_s = now_s - self.neighbours.last_header_s
        latest_s = min(self.passage.late_s(doubted=True), self.narrows.refusal_s)
        ages_s = header_s + min(latest_s, self.passage.round_trip_s), header_s + latest_s
        mark = self.settings.high_water_mark - self.margin - self.neighbours.paying_per_s
        return self.narrows.wait_s(mark, self.settings.up_front_cost, len(self.out), ages_s, now_s)

    def _room_s(self, now_s: float) -> float:
        """Seconds until the level leaves room for one more call and what is kept free."""
        level = self.level_at(now_s)
        over = level + self.settings.up_front_cost + self.reserve(now_s) - self.settings.high_water_mark
        if over < 0.0 or (not self.out and level <= 0.0):
            return 0.0
        return over / self.settings.outflow_per_s + 1e-6

    def _crowded(self, now_s: float) -> float:
        """Seconds for which an unknown bucket has as many calls out as it may, or until the oldest of them seems to hang."""
        expected = self.passage.expected(self.out, now_s)
        if len(expected) < (self.silence.together if self._silent else self.learner.most_together(awaited=bool(expected))):
            return 0.0
        return max(next(iter(expected.values())) + self.passage.patience_s - now_s, 1e-3)

    def reserve(self, now_s: float) -> float:
        """Units kept free below the mark: the margin, and what neighbours may have taken unseen, at most two fifths of the mark.

        After a refusal, or once all that was out is lost, one call goes ahead as soon as the bucket has room for it, to see how things
        stand.
        """
        if not self.out and (self.retreat.in_a_row or self.overdue.doubtful(self.settings.up_front_cost)):
            return self.margin
        if not (self.known or self.learner.free):  # two together, then bursts that are sized with caution
            return self.margin
        late_s = self.passage.late_s(doubted=self.neighbours.active(now_s) or self.passage.unknown)
        unseen = self.neighbours.unseen(now_s, late_s) * self.settings.up_front_cost
        drift = self.neighbours.drift(now_s, late_s)
        if not self.known:
            drift += BLUR_KEPT * self.learner.blur_per_s * min(now_s - self.neighbours.last_header_s, LONGEST_BLIND_WAIT_S)
        surcharge = self.surcharges.greatest if self.out else 0.0
        return self.margin + min(unseen + drift + surcharge, 0.4 * self.settings.high_water_mark)

    def answer(
        self,
        number: int,
        now_s: float,
        *,
        cost: float | None = None,
        remaining: float | None = None,
        refused: bool = False,
        retry_after_s: float | None = None,
        lost: bool = False,
    ) -> None:
        """Books the answer to call `number`, or that none came (`lost`); an unknown number is ignored.

        `cost` and `remaining` (units) as the headers told them, None where none did; values that can be neither count as not seen.
        """
        sent_s = self._back(number, now_s)
        if sent_s is None:
            return
        self.expire(now_s)
        if refused:
            self.narrows.refusal_s = min(self.narrows.refusal_s, now_s - sent_s)
        usual = self.hearing.usual
        silent = usual and cost is None and remaining is None and not refused
        cost, remaining = self.hearing.believed(cost, remaining, self._highest_mark)
        hung = now_s - sent_s >= self.passage.patience_s
        paid = self._book(now_s, now_s - sent_s, cost, lost=lost, silent=silent, refused=refused)
        if not (refused or lost):
            if remaining is not None or not usual:  # else a gateway may have answered, which is nearer than the bucket
                self.passage.flown(now_s - sent_s)
                self.overdue.flown(now_s - sent_s)
            self._heard(now_s, bare=remaining is None)
        self.narrows.pays(paid, now_s, self.settings.outflow_per_s - self.neighbours.paying_per_s)
        if remaining is not None:
            since_s = now_s - self.neighbours.last_header_s
            self._read(sent_s, now_s, paid, remaining, refused or hung)
            self._show(now_s, remaining, since_s, alone=number == self.narrows.alone and not self.out)
        self.overtaking.release(now_s, max(0.0, self.settings.up_front_cost - paid))
        if refused:
            self._refused(sent_s, now_s, remaining, retry_after_s)
        elif not (lost or silent):
            self.retreat.passed()

    @property
    def _highest_mark(self) -> float:
        """The mark, units; of an unknown bucket the greater of what is booked by and what was learnt."""
        mark = self.settings.high_water_mark
        return mark if self.known else max(self.learner.mark, mark)

    def _heard(self, now_s: float, *, bare: bool) -> None:
        """Where answers without a header become usual nothing is lost with them, and what was learnt stands.

        An unknown bucket of which none tells anything is taken for Canvas's own.
        """
        self.hearing.heard(bare=bare)
        if bare and self.hearing.stopped:
            self.neighbours.last_header_s = now_s
            self._take_back(now_s)
        elif bare and self.hearing.headers == 0 and not self.known:
            self.silence.answered()
            self.settings = self.silence.settings if self._silent else self.settings

    def _book(self, now_s: float, flight_s: float, cost: float | None, *, lost: bool, silent: bool, refused: bool) -> float:
        """What the answered call paid: nothing when refused, at most about a unit a second where it was not told.

        A call that was lost, or brought no header where headers are usual (`silent`), may be at work still.
        """
        held = self.settings.up_front_cost
        paid = 0.0 if refused else flight_s if cost is None else cost
        self.surcharges.paid(paid - held)
        if lost:
            self._give_up(now_s - flight_s, now_s)
            self._touch(paid, now_s)
        elif silent:
            self.losses.lost(held, now_s)
            self._set(self.level_at(now_s) + paid, max(0.0, self._own_at(now_s) + paid - held), now_s)
        else:
            self._touch(paid - held, now_s)
        return paid

    @property
    def _silent(self) -> bool:
        return not self.known and self.hearing.headers == 0 and self.silence.lasts

    def _read(self, sent_s: float, now_s: float, paid: float, remaining: float, refused: bool) -> None:
        self._take_back(sent_s, now_s)
        if self.known and not refused:
            self._revise(sent_s, now_s, remaining)
        if not self.known and not refused and self.learner.learn(self.passage.expected(self.out, now_s), sent_s, now_s, paid, remaining):
            self._relearn(now_s, remaining)
        if self.known or self.learner.free:
            self._correct(now_s, max(0.0, self.settings.high_water_mark - remaining))
        elif not refused:  # the header holds all there is when all that was sent is back, and else what is not more than there is
            shown = max(0.0, self.settings.high_water_mark - remaining)
            level = max(self.level_at(now_s), shown) if self.out else shown
            if self.learner.slow:
                level = shown + self.settings.up_front_cost * Slowness.unseen(self.out, now_s)
            self._set(level, min(self._own_at(now_s), level), now_s)
        self.neighbours.header(now_s)

    def _revise(self, sent_s: float, now_s: float, remaining: float) -> None:
        """Constants that stood may be others by now."""
        hangs = self.passage.expected(self.out, now_s) is not self.out  # what hangs may be nowhere, and the book fuller than the bucket
        filled = 0.0 if hangs else self._own_at(now_s) - self.settings.up_front_cost * self.passage.hardly_unseen(self.out, now_s)
        if self.revision.gone(sent_s, now_s, remaining, self.passage.quickest_s, filled, self.settings):
            self._begin_again()
        elif (mark := self.revision.mark(now_s, remaining, self.settings)) is not None:
            self._take_mark(mark, now_s)

    def _take_mark(self, mark: float, now_s: float) -> None:
        """What headers showed by the old mark says nothing of neighbours and of the way."""
        self._move_mark(mark, now_s)
        self.learner.mark = mark
        self.agreement.clear()
        self.neighbours, self.passage = Neighbours(), Passage(self.passage.quickest_s, self.passage.longest_s)

    def _begin_again(self) -> None:
        """The constants are not those of this bucket: they are learnt, with the mark as a first guess."""
        self.known, self.learned_once, mark = False, False, self.settings.high_water_mark
        self.learner, self.revision = Learner(at_rest=not self.out, bursts=Bursts(int(bool(self.out)))), Revision()
        self.settings = BucketSettings.of(mark, CAUTIOUS_OUTFLOW_PER_S, mark * CAUTIOUS_SHARE)

    def _relearn(self, now_s: float, remaining: float | None) -> None:
        """Takes the learner's constants; the calls that are out are booked anew at the new reservation."""
        old, self.settings = self.settings.up_front_cost, self.learner.settings()
        self.known = self.learner.finished
        more = (self.settings.up_front_cost - old) * len(self.out)
        level, own = self.level_at(now_s) + more, self._own_at(now_s) + more
        if not self.learned_once and remaining is not None:  # nothing was sent since the burst: the header holds all that is out
            self.learned_once = self.learner.free
            held = Slowness.unseen(self.out, now_s) if self.learner.slowness.lasts else len(self.out)
            level = own = max(self.settings.high_water_mark - remaining, self.settings.up_front_cost * held)
            self.passage = Passage(self.passage.quickest_s, self.passage.longest_s)
        self._set(max(0.0, level), max(0.0, own), now_s)

    def _refused(self, sent_s: float, now_s: float, remaining: float | None, retry_after_s: float | None) -> None:
        """Waits for what the server says, else until the level that Remaining shows has leaked, else until the bucket must have room.

        A Remaining that shows room, or that nothing is known of yet, explains no refusal.
        """
        again = self.retreat.refused(sent_s, now_s)
        if self.known and not self.learner.free and self.revision.refused(self.sent, remaining, self.settings):
            self.neighbours.jump(1.0, now_s)
            self._begin_again()
        elif again:
            self._doubt(now_s, remaining)
        understood = remaining is not None and (self.known or self.learner.free) and remaining <= 2.0 * self.settings.up_front_cost
        if retry_after_s is not None and retry_after_s > 0.0:
            self.retreat.asked(retry_after_s, now_s)
        elif again and not understood:
            self._refused_blindly(now_s)
        elif again and self.retreat.in_a_row > 1 and not self.out:  # Remaining foretold room, and a lone call found none
            self.retreat.blindly(0.5 * self.settings.up_front_cost / self.settings.outflow_per_s, now_s)

    def _refused_blindly(self, now_s: float) -> None:
        """Where the constants are known the bucket is full and a reservation must leak; one that is refused again was fuller than that.

        Of an unknown bucket not even that can be told.
        """
        if self.known or self.learner.free:
            full = self.settings.high_water_mark + (self.retreat.times - 1.0) * self.settings.up_front_cost
            self._touch(max(0.0, min(full, self.settings.maximum) - self.level_at(now_s)), now_s)
        else:
            self.retreat.blindly(BLIND_WAIT_S, now_s)

    def _doubt(self, now_s: float, remaining: float | None) -> None:
        """A refusal was not foreseen: a neighbour, or a reservation that was learnt too small."""
        self.neighbours.jump(1.0, now_s)
        if self.learner.free:
            self.learner.doubt(remaining)
            self.known = False
            self._relearn(now_s, None)
        elif self._silent:
            self.silence.refused()
        elif not self.known:
            self.learner.refused()
