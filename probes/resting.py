"""What was in a bucket before the first of these calls: which of them came while that still leaked, and how long it will take."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from probes.observation import Observation, Outcome
from probes.signatures import CANVAS_MARKS

RISE = 0.5
"""Remaining that rises by no more than this between two calls made alone is at rest, units."""
SHORT_OF = 0.05
"""A rise smaller by this share than the leak before brought is one that ended on the way."""
LONGEST_WAIT_S = 60.0


def since_rest(seen: Sequence[Observation]) -> list[Observation]:
    """`seen` without the first calls, made alone, whose Remaining rises and lacks more than they paid: others had filled the bucket.

    The last of that rise stays: it shows the bucket at rest, or whatever was the most of it.
    """
    ordered = sorted(seen, key=lambda o: (o.sent_s is None, o.sent_s or 0.0))
    alone = _alone(ordered)
    rising = next((n for n, (a, b) in enumerate(pairwise(alone)) if _left(b) <= _left(a) + RISE), len(alone) - 1)
    top = max((o.remaining for o in seen if o.remaining is not None), default=0.0)
    if rising < 1 or top - _left(alone[0]) <= _paid(alone[0]) + RISE:
        return list(seen)
    return ordered[rising:]


def draining_s(seen: Sequence[Observation]) -> float:
    """Seconds until a bucket that others had filled is at rest, by what leaked between calls made alone; 0 where none seems left.

    The mark is not known yet: it is taken for the next that Canvas is known to have, and beyond these the wait is as long as all so far.
    """
    alone = _alone(seen)
    if len(alone) < 2 or len(alone) < len(seen):
        return 0.0
    before, last = alone[-2:]
    rise, lasted = _left(last) - _left(before), _at(last) - _at(before)
    leak = (_left(alone[1]) - _left(alone[0]) + _paid(alone[1])) / max(_at(alone[1]) - _at(alone[0]), 1e-3)
    ended = rise + _paid(last) < (1.0 - SHORT_OF) * leak * lasted - RISE
    if rise <= RISE or ended or _left(last) in CANVAS_MARKS:
        return 0.0
    missing = min((mark - _left(last) for mark in CANVAS_MARKS if mark > _left(last)), default=leak * (_at(last) - _at(alone[0])))
    return min(LONGEST_WAIT_S, missing / leak)


def _alone(seen: Sequence[Observation]) -> list[Observation]:
    """The first of `seen` with a header each, as far as each was sent after the one before had come back."""
    found: list[Observation] = []
    for o in seen:
        if o.remaining is None or o.sent_s is None or o.received_s is None or (found and o.sent_s < _at(found[-1])):
            break
        found.append(o)
    return found


def _left(o: Observation) -> float:
    return o.remaining or 0.0


def _at(o: Observation) -> float:
    return o.received_s or 0.0


def _paid(o: Observation) -> float:
    return 0.0 if o.outcome is Outcome.THROTTLED else o.cost or 0.0
