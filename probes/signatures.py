"""What answers show before any fit: whether there is a bucket, whether its limit is enforced, whether its headers can be read."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from probes.bucket import CANVAS, HOSTED_MARK, BucketSettings
from probes.fit.touches import Touch, usable_remaining, way_spread_s
from probes.observation import Observation, Outcome
from probes.overlaps import SURELY_S, overlapped, together

FEW_METERED = 10
"""Headers that are enough to tell a bucket by, however many answers came without."""
CANVAS_MARKS = (CANVAS.high_water_mark, HOSTED_MARK)
LONG_S = 10.0
"""Where calls usually take longer, s, what a few of them reserve may leak before the first returns: a level that stays says nothing."""
LESS = 0.97
"""Where mark and reservation are Canvas's own, an outflow surely below this share of Canvas's is what another job leaves."""
ABOVE, JUST_BEFORE_S = 5.0, 0.5
"""Where a header showed the level so many units above the mark, and a call that came within so many seconds passed, nothing is enforced."""
JUMPS = 1.05
"""A header above this share of what the rested bucket showed is more than one can hold."""


class Regime(StrEnum):
    """What limits the calls of a token, by what is known of it; the contract's closed list."""

    HEADERS = "headers"
    """A bucket whose level the server's own headers show."""
    REFUSALS = "refusals"
    """A limit that shows by refusals alone."""
    UNTHROTTLED = "unthrottled"
    """No sign of a limit up to the ceilings."""
    NOT_ENFORCED = "not_enforced"
    """A level is shown, and calls pass above its mark."""
    BLOCKED = "blocked"
    """Every call of the token is refused."""


class Sign(NamedTuple):
    """A remark on what the answers show: its `kind`, and `says`, a sentence for a person."""

    kind: str
    says: str

    def document(self) -> dict[str, str]:
        """As `probes.rate/1` writes it."""
        return self._asdict()


Signs = tuple[Sign, ...]


def regime_of(answered: Sequence[Observation], touches: Sequence[Touch]) -> tuple[Regime, Signs]:
    """(regime, signs), by what a leaky bucket of our own calls cannot show.

    Every call refused and Remaining forced to 0.0: a blocked token. Remaining that stays although calls overlap: a token on the approve
    list, or no store behind the throttle. Calls that pass above the mark: nothing is enforced.
    """
    metered = [o for o in answered if usable_remaining(o) is not None]
    refused = [o for o in answered if o.outcome is Outcome.THROTTLED]
    if refused and len(refused) == len(answered) and all(o.remaining == 0.0 for o in metered) and metered:
        said = f"All {len(answered)} calls were refused with Remaining forced to 0.0: this token is blocked."
        return Regime.BLOCKED, (Sign("blocked", said),)
    if len(metered) < min(FEW_METERED, 0.2 * len(answered)) or not metered:
        return Regime.REFUSALS if refused else Regime.UNTHROTTLED, (_unmetered(answered, len(metered)),)
    still = _constant_although_overlapping(touches, max(SURELY_S, way_spread_s(answered)))
    if still and not refused and usual_s(answered) <= LONG_S:
        said = (
            f"Remaining stayed {metered[0].remaining:g} in {still} overlapping calls, up to {together(touches)} at one time: "
            "no bucket is kept for this token, or it leaks what so many reserve before the first returns."
        )
        return Regime.UNTHROTTLED, (Sign("approve_listed", said),)
    if _passed_above(touches) >= 3 and not refused:
        said = "Calls passed although the bucket was above its mark: the limit is counted, not enforced."
        return Regime.NOT_ENFORCED, (Sign("not_enforced", said),)
    return Regime.HEADERS, ()


def _unmetered(answered: Sequence[Observation], metered: int) -> Sign:
    """Why no level is known: no header came, or one that is no number."""
    if (unread := unread_header(answered)) is not None:
        return Sign("unread_headers", f"{unread}: the level cannot be read.")
    return Sign("no_headers", f"{len(answered) - metered} of {len(answered)} answers carried no budget header.")


def unread_header(seen: Sequence[Observation]) -> str | None:
    """Which header should tell what remains and is no number, by at least half of the answers; None where there is none such."""
    answered = [o for o in seen if o.status is not None]
    found = Counter(str(o.facts["budget_unread"]) for o in answered if "budget_unread" in o.facts)
    if not found or found.total() < 0.5 * len(answered):
        return None
    name, _, value = found.most_common(1)[0][0].partition(": ")
    return f"{name} is no number ('{value}') on {found.total()} of {len(answered)} answers"


def _constant_although_overlapping(touches: Sequence[Touch], margin_s: float) -> int:
    """How many headers were read while another call was surely in flight, if all headers are one value; else 0."""
    values = {t.remaining for t in touches if t.remaining is not None}
    if len(values) != 1:
        return 0
    sure = overlapped(touches, margin_s)
    return sure if sure >= 2 else 0


def usual_s(seen: Sequence[Observation]) -> float:
    """How long a call usually takes, s; 0 where none came back."""
    return float(np.median([o.flight_s for o in seen if o.flight_s is not None] or [0.0]))


def _passed_above(touches: Sequence[Touch]) -> int:
    """How many calls were served although the header just before them showed that the bucket was at or above its mark."""
    headers = sorted((t.departed_s, t.remaining) for t in touches if t.remaining is not None)
    departed = [at for at, _ in headers]
    count = 0
    for touch in touches:
        last = bisect_left(departed, touch.arrived_s) - 1
        shown = headers[last][1] if last >= 0 and touch.arrived_s - departed[last] < JUST_BEFORE_S else 0.0
        count += shown < -ABOVE and not touch.refused
    return count


def jumping(touches: Sequence[Touch]) -> str | None:
    """Headers above what a rested bucket shows, twice the same at first, which no other job can cause: it only takes."""
    told = [t.remaining for t in touches if t.remaining is not None]
    rested = len(told) > FEW_METERED // 2 and told[0] == told[1]
    above = sum(value > JUMPS * told[0] for value in told) if rested else 0
    if above < 2:
        return None
    return (
        f"Remaining jumped from {told[0]:g} to as much as {max(told):g}, in {above} of {len(told)} headers: the limit was changed "
        "meanwhile, or several servers answer, each with its own bucket."
    )


def less_outflow(bucket: BucketSettings, error: float) -> str | None:
    """Why the outflow may be what another job leaves: mark and reservation are Canvas's own, and it is clearly less than Canvas's."""
    usual_mark = any(abs(bucket.high_water_mark - mark) < 0.5 for mark in CANVAS_MARKS)
    own = usual_mark and abs(bucket.up_front_cost - CANVAS.up_front_cost) < 0.1
    if not own or bucket.outflow_per_s + 3.0 * error > LESS * CANVAS.outflow_per_s:
        return None
    return (
        f"The outflow is {bucket.outflow_per_s:.3g} units/s where Canvas's own is {CANVAS.outflow_per_s:g}: it is configured so, or "
        "another job on this token takes the rest bit by bit, and what is told here holds while that goes on."
    )
