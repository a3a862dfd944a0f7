"""What speaks against a fit: whether its constants are told, and what a person must know of them and of the calls they rest on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from probes.bucket import usual_maximum
from probes.changes import changed, moved, signs_of_calls
from probes.fit.distance import Distance
from probes.fit.identify import FEWEST_TELLING, FIRST_CALLS, Fit, fit
from probes.fit.regression import LEAST_COUNTED
from probes.fit.timeline import timeline
from probes.fit.touches import Touch, jitter_s, rounded_units
from probes.observation import Observation, Outcome
from probes.overlaps import no_overlap
from probes.resting import RISE
from probes.signatures import Regime, Sign, Signs, jumping, less_outflow
from probes.slowing import delayed, queued_s
from probes.windows import counts_down
from probes.wording import seconds

TOO_MANY_OUTLIERS = 0.35
"""Above this share of headers that no bucket explains, no constant is told."""
TOO_MANY_MOVED = 2.0
"""Nor where each header takes so many events for swapped: jitter of 30 ms and calls of 50 ms made it 1.0, a wrong reservation 3."""
TOO_NOISY = 1.5
"""Nor above this scatter of the headers around the bucket's own levels, units: jitter of 30 ms makes 0.3 of it."""
CLEAR_OUTLIERS, UNCLEAR_OUTLIERS = 0.08, 0.25
"""Above this share somebody else seems to use the token: where the order of calls is clear, and where they overtake one another."""
HEADERS_MISSING = 0.05
"""Share of answers without a header from which it is said, and from which a misfit is not blamed on somebody else."""
COSTS_MISSING = 0.1
"""Share of answers without a usable cost from which it is said."""
FREE_AT_REFUSALS = 2.2
"""Reservations that by the fit were free at every refusal, above which the fit is wrong."""
FREE_BY_HEADERS = 1.05
"""The same by the headers of the refusals themselves."""
OWN_COST = 0.05
"""How exactly a header lacks what its call cost, units, where nothing is reserved."""
OVERTAKING = 0.25
"""Jitter as a share of the server's time from which the order of dense calls is lost."""
MOST_ROUNDED = 0.1
"""A mark no further from a round number than this, units, and than three of its errors may be that number."""
MOST_APART_S = 0.25
"""Clocks of app servers are hardly further apart, s."""


def judged(touches: Sequence[Touch], seen: Sequence[Observation], away: Distance, regime: Regime) -> tuple[Fit | None, Signs]:
    """The fit to `touches`, None where no header tells a level or the fit is not to be believed; and all that is to be said of it."""
    leveled = regime in (Regime.HEADERS, Regime.NOT_ENFORCED)
    if leveled and (counter := counts_down(seen)) is not None:
        return None, (Sign("counts_down", counter), *signs_of_calls(seen))
    found, fitted, doubts = _believed(touches, seen, away) if leveled else (None, None, ())
    signs = (*doubts, *signs_of_calls(seen))
    if regime is not Regime.HEADERS:
        return fitted, signs
    told = () if away.told else (Sign("no_server_time", away.says),)
    changed = any(sign.kind == "limit_changed" for sign in doubts)  # which is what another job's calls would look like
    others = (sign for sign in _signs_of_fit(found, touches, seen) if not (changed and sign.kind == "shared_token"))
    return fitted, (*signs, *told, *others)


def _believed(touches: Sequence[Touch], seen: Sequence[Observation], away: Distance) -> tuple[Fit | None, Fit | None, Signs]:
    """The fit; the same, None where it is not to be believed; and why it is not."""
    if nothing_passes := _nothing_passes(touches):
        return None, None, (Sign("nothing_passes", nothing_passes),)
    found = fit(touches)
    signs: Signs = ()
    if found is not None and not _explains(found) and _out_of_order(seen):
        found, signs = _by_the_first(found, touches)
    if found is not None and (free := _without_reservation(found, touches)):
        return None, None, (Sign("no_reservation", free),)
    believed = found is not None and _explains(found)
    lost = _out_of_order(seen) or queued_s(seen) is not None or delayed(seen) is not None
    change = None if found is None or lost else (moved if believed else changed)(found, touches)
    if change is not None and not any(o.outcome is Outcome.READ_TIMEOUT for o in seen):  # which hold reservations unseen
        signs = (*signs, Sign("limit_changed", change))
    if found is None or not believed or change is not None:
        return found, None, signs
    if unforeseen := _unforeseen(found, touches):
        return found, None, (*signs, unforeseen)
    return found, _either(_whole(found, away), touches), signs


def _out_of_order(seen: Sequence[Observation]) -> bool:
    """Whether calls overtake one another on their way so often that dense ones do not show in which order the bucket saw them."""
    times = [o.server_time_s for o in seen if o.ok and o.server_time_s is not None]
    jitter = jitter_s(seen)
    return jitter is None or (bool(times) and jitter > OVERTAKING * float(np.median(times)))


def _by_the_first(found: Fit, touches: Sequence[Touch]) -> tuple[Fit, Signs]:
    """The fit to the first calls alone, which were sent to tell the bucket and are not dense, with a word on it; else the one to all."""
    first = fit(touches[:FIRST_CALLS]) if len(touches) > FIRST_CALLS else None
    if first is None or not _explains(first):
        return found, ()
    said = (
        f"On this network calls overtake one another: the bucket is told by the first {first.n} calls, whose order is clear enough; "
        "another job on this token might not show."
    )
    return first, (Sign("jitter", said),)


def _explains(fitted: Fit) -> bool:
    """Whether a bucket of our own calls alone explains the headers well enough for its constants to be told."""
    return fitted.possible and fitted.outliers <= TOO_MANY_OUTLIERS and fitted.noise <= TOO_NOISY and fitted.moved <= TOO_MANY_MOVED


def _unforeseen(fitted: Fit, touches: Sequence[Touch]) -> Sign | None:
    """Why the fit is not believed: refusals, two at least, all at levels where by it, or by their own headers, there was room.

    By the fit two reservations and more: the order of calls may be lost. A refusal's own header shows less than a reservation whatever the
    order.
    """
    reservation = fitted.bucket.up_front_cost
    free = [left for left, t in zip(timeline(touches).remaining(fitted.bucket), touches, strict=True) if t.refused]
    shown = [t.remaining for t in touches if t.refused and t.remaining is not None]
    by_headers = len(shown) >= 2 and min(shown) > FREE_BY_HEADERS * reservation
    if not by_headers and (len(free) < 2 or min(free) <= FREE_AT_REFUSALS * reservation):
        return None
    said = f"{len(free)} calls were refused where the bucket that the headers show had room"
    if not shown and all(t.remaining is not None for t in touches if not t.refused):
        return Sign("other_limit", f"{said}, and without its headers: a gateway or a proxy in front of it has a limit of its own.")
    return Sign("unforeseen_refusals", f"{said}: none of its constants is told.")


def _nothing_passes(touches: Sequence[Touch]) -> str | None:
    """Why there is nothing to fit: all calls were refused, two at least, by a bucket at rest."""
    left = [t.remaining for t in touches if t.refused and t.remaining is not None]
    if len(left) < 2 or len(left) < len(touches) or min(left) <= 0.0 or max(left) - min(left) > RISE:
        return None
    return (
        f"All {len(left)} calls were refused though {left[0]:.3g} units remained each time and nothing drained: one call reserves as "
        "much as the whole limit, so that not even one call passes."
    )


def _without_reservation(fitted: Fit, touches: Sequence[Touch]) -> str | None:
    """Why there is no reservation to tell: most headers lack just what their own call cost, which else is repaid from its reservation."""
    told = [(t.remaining + t.cost, t.cost) for t in touches if t.usable and t.remaining is not None and not t.refused]
    top = max((level for level, _ in told), default=0.0)
    own = [cost for level, cost in told if abs(level - top) < OWN_COST]
    if fitted.bucket.up_front_cost > LEAST_COUNTED or len(told) < FEWEST_TELLING or 2 * len(own) < len(told):
        return None
    if max(own) - min(own) < 2.0 * OWN_COST:  # headers at the mark look so where all calls cost the same
        return None
    return (
        f"{len(own)} of {len(touches)} headers lack just what their own call cost: nothing is reserved beforehand, and only what calls "
        "cost fills the bucket. No safe rate is told of such a one."
    )


def _either(fitted: Fit, touches: Sequence[Touch]) -> Fit:
    """The fit, with a reservation in doubt where refusals alone tell it, beside one call, and the maximum may have cut what they show.

    Remaining is then the mark less one reservation, or one reservation less what the maximum is above the mark.
    """
    bucket, told = fitted.bucket, fitted.solution.beside
    left = [t.remaining for t in touches if t.refused and t.usable and t.remaining is not None]
    leaked = bool(left) and max(left) - min(left) > RISE  # a level that was cut shows no leak
    if bucket.burst != 1 or not left or leaked or np.any(told & (fitted.solution.weight == 1.0)):
        return fitted
    mark = bucket.high_water_mark
    either = [size for size in (mark - left[0], left[0] + usual_maximum(mark) - mark) if max(left[0], mark / 2.0) <= size < mark]
    doubt = max((abs(size - bucket.up_front_cost) for size in either), default=0.0)
    return replace(fitted, covariance=fitted.covariance + np.diag([0.0, doubt**2 / 4.0, 0.0]))


def _whole(fitted: Fit, away: Distance) -> Fit:
    """The fit, as much in doubt as the distance; a mark that is a whole number of reservations within its error is taken for one.

    It then admits one call less, the safe side. Configured marks are round (600 / 50 = 12) and so is such a ratio; a mark that is not a
    round number earns no such trust. No header shows the mark itself where each call costs more than leaks before the next.
    """
    fitted = replace(fitted, covariance=fitted.covariance + away.covariance)
    bucket = fitted.bucket
    ratio = bucket.high_water_mark / bucket.up_front_cost
    error = ratio * math.hypot(fitted.errors[1] / bucket.up_front_cost, fitted.errors[0] / bucket.high_water_mark)
    is_round = abs(bucket.high_water_mark - round(bucket.high_water_mark)) < max(1e-6, min(3.0 * fitted.errors[0], MOST_ROUNDED))
    if not math.isfinite(error) or ratio < 0.5 or abs(ratio - round(ratio)) > min(0.2, max(1e-3, (5.0 if is_round else 1.0) * error)):
        return fitted
    return replace(fitted, bucket=replace(bucket, up_front_cost=bucket.high_water_mark / round(ratio)))


def _signs_of_fit(fitted: Fit | None, touches: Sequence[Touch], seen: Sequence[Observation]) -> Iterator[Sign]:
    """What is to be said of a fit, believed or not: of others on the token, of what it leaves unknown, of headers that are missing."""
    missing = _headers_missing(touches)
    others = _others(fitted, touches, seen)
    # what calls without a header paid is a guess, and the guess may be the misfit
    if others is not None and not (others.kind == "shared_token" and missing is not None):
        yield others
    if fitted is not None and (not math.isfinite(fitted.errors[1]) or (_explains(fitted) and not fitted.checked)):
        why = _unreserved(fitted, touches, seen)
        if others is None or others.kind != why.kind:
            yield why
    if fitted is not None and not fitted.bucket.floor_after_leak and queued_s(seen) is None and delayed(seen) is None:
        yield Sign("older_script", "The bucket swallows a reservation after an idle spell: this is the older throttle script.")
    if missing is not None:
        yield missing
    costless = sum(1 for t in touches if t.remaining is not None and not t.known_cost)
    if costless > COSTS_MISSING * len(touches):
        yield Sign("cost_missing", f"{costless} of {len(touches)} answers had no usable cost: they are left out of the price.")


def _others(fitted: Fit | None, touches: Sequence[Touch], seen: Sequence[Observation]) -> Sign | None:
    """Why the headers are not what a bucket of our own calls alone shows; None where they are, or calls without an answer may be why."""
    if (jumps := jumping(touches)) is not None:
        return Sign("remaining_jumps", jumps)
    if fitted is None:
        return None
    if (shared := _shared_token(fitted, seen)) is not None and (why := _misfit(shared, seen)) is not None:
        return why
    less = less_outflow(fitted.bucket, fitted.errors[2])
    return None if less is None else Sign("less_outflow", less)


def _misfit(shared: str, seen: Sequence[Observation]) -> Sign | None:
    """Why headers fit no bucket: calls that wait, fail or come late, else another job (`shared`); None where lost calls may."""
    if (waited_s := queued_s(seen)) is not None:
        return Sign("queueing", _queues(waited_s))
    if failed := _failed_unseen(seen):
        said = f"{failed} of {len(seen)} calls failed without a budget header, and may have filled the bucket unseen."
        return Sign("failed_unseen", said)
    if (late := delayed(seen)) is not None:
        return Sign("delayed", late)
    return None if any(o.outcome is Outcome.READ_TIMEOUT for o in seen) else Sign("shared_token", shared)


def _failed_unseen(seen: Sequence[Observation]) -> int:
    """How many calls failed on their way or at an edge without a header, though the bucket may have held their reservations."""
    unseen = (Outcome.THROTTLED, Outcome.READ_TIMEOUT)
    return sum(not o.ok and o.outcome not in unseen and o.remaining is None and o.sent_s is not None for o in seen)


def _headers_missing(touches: Sequence[Touch]) -> Sign | None:
    bare = sum(1 for t in touches if t.remaining is None and not t.refused and t.answered)
    if bare <= HEADERS_MISSING * len(touches):
        return None
    last = _bare_at_the_end(touches)
    when = f", and none of the last {last}" if last > 0.8 * bare else ""
    says = f"{bare} of {len(touches)} answers carried no budget header{when}: what these calls paid is a guess."
    return Sign("headers_missing", says)


def _queues(waited_s: float) -> str:
    return (
        f"Calls wait {seconds(waited_s)} in front of the server when others are beside them: it serves few at one time, and in which order "
        "the bucket saw them is not known."
    )


def _unreserved(fitted: Fit, touches: Sequence[Touch], seen: Sequence[Observation]) -> Sign:
    """Why the reservation is unknown; also where calls sent together were served one after another."""
    if (waited_s := queued_s(seen)) is None:
        return Sign("no_overlap", no_overlap(fitted, touches))
    said = "Too few were in the bucket together to show what one reserves: it and the safe rate are unknown."
    return Sign("queueing", f"{_queues(waited_s)} {said}")


def _bare_at_the_end(touches: Sequence[Touch]) -> int:
    """How many calls in a row, up to the last, came back without a header."""
    bare = [t.remaining is None for t in sorted(touches, key=lambda t: t.departed_s) if t.answered]
    return next((n for n, one in enumerate(reversed(bare)) if not one), len(bare))


def _shared_token(fitted: Fit, seen: Sequence[Observation]) -> str | None:
    """Why somebody else seems to use this token; None where these calls and the network's jitter explain the headers."""
    if not _explains(fitted) or fitted.outliers > (UNCLEAR_OUTLIERS if _out_of_order(seen) else CLEAR_OUTLIERS):
        share = round(100 * float(np.mean((np.abs(fitted.residuals) > 0.5) | (fitted.solution.swaps != 0.0))))
        return (
            f"{share} % of {fitted.n} headers show a level that these calls alone do not explain: another job seems to use this token, "
            f"{_clocks(fitted)}or its limit does not work as Canvas's."
        )
    jitter, rounded = jitter_s(seen), rounded_units(seen)
    if jitter is not None and fitted.noise > max(0.15, rounded, 5.0 * jitter * fitted.bucket.outflow_per_s):
        return (
            f"Headers scatter by {fitted.noise:.2g} units where the network's jitter explains {jitter * fitted.bucket.outflow_per_s:.2g}: "
            f"another job seems to use this token, {_clocks(fitted)}or its limit does not work as Canvas's; the outflow is what is left."
        )
    return None


def _clocks(fitted: Fit) -> str:
    """What else scatters headers so: by how much the clocks of its servers must be apart, where they may be."""
    apart_s, off = fitted.noise / fitted.bucket.outflow_per_s, max(fitted.outliers, fitted.moved)
    return f"the clocks of its servers are about {seconds(apart_s)} apart, " if apart_s < MOST_APART_S and off <= CLEAR_OUTLIERS else ""
