"""Causes that lie in the bucket: the limit that such a job meets, and traffic that is not ours."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from probes.bucket import CANVAS
from probes.calls import asked_by
from probes.diagnosis.base import Cause, argued
from probes.diagnosis.signs import of_no_application
from probes.diagnosis.symptoms import Symptoms
from probes.observation import Observation, Outcome
from probes.signatures import Regime
from probes.stats import median
from probes.wording import percent, quoted, times

LEAST_ODDS = 0.05
"""Odds of a refusal in the described job from which the limit is a cause."""
LEAST_SEEN, TOO_MANY = 6, 429
FULL = 1.1
"""Share of the mark that the reservations of a job make up for it to be overfull: what leaks meanwhile is far less than a tenth."""
OFTEN = 0.15
"""Share of answers whose level our own calls do not explain, from which others are blamed."""
UNITS = 8.0
SHARE_OF_MARK = 0.015
GIVEN_UP = (Outcome.READ_TIMEOUT, Outcome.PROTOCOL_ERROR)
"""Calls that went out whole and brought no answer: the server may be at work on them still."""
WAITED_S = 4.0
"""Seconds in which any known bucket gives back units enough to be seen."""
SLOWEST_LEAK = 2.0 / CANVAS.high_water_mark
"""Units a second for each unit of the mark: a leak slower than any known, so that what our own calls left behind is never underrated."""
SURE_LEAK, LEAST_FALLS = 0.8, 4
"""Share of the leak seen that is counted on, and by how many falls from one call alone to the next it is seen."""


def throttle(symptoms: Symptoms) -> Iterator[Cause]:
    """Refusals met here, or odds of them for the job described, by the twin."""
    refused = symptoms.having(Outcome.THROTTLED)
    if refused:
        yield _met(symptoms, refused)
        return
    call, odds = max(((call, _odds(symptoms, call)) for call in symptoms.job.calls), key=lambda pair: pair[1], default=("", 0.0))
    if odds > LEAST_ODDS:
        yield _foretold(symptoms, call, odds)
    elif fit := _fit(symptoms):
        yield _overfull(symptoms, *fit)


def _met(symptoms: Symptoms, refused: Sequence[Observation]) -> Cause:
    name = symptoms.instance
    levels = [o.remaining for o in refused if o.remaining is not None]
    waits = [o.retry_after_s for o in refused if o.retry_after_s is not None]
    signs = [f"status {refused[0].status} {times(len(refused))}"]
    lowest, highest = (f"{min(levels):.0f}", f"{max(levels):.0f}") if levels else ("", "")
    signs.append(
        f"Remaining on the refusals {lowest}{'' if lowest == highest else f' to {highest}'}" if levels else "the refusals tell no level"
    )
    signs += [f"Retry-After {max(waits):.0f} s"] if waits else []
    ours = [int(o.facts.get("together", 1)) for o in refused]
    if max(ours, default=1) <= 1:
        signs.append("they came to calls made one at a time: what fills the bucket is not the number of our calls in flight")
    says = f"{name} refused {len(refused)} of {len(symptoms.seen)} requests for its rate limit."
    if _never_passes(symptoms, refused):
        signs.append("none made with the token was answered, and the level did not change while we waited")
        advice = (
            "Waiting does not help, in probes.Limiter or elsewhere: the limit of this token is smaller than what one call reserves, or the "
            "token is blocked. Ask whoever runs the instance to raise it."
        )
        return Cause("throttle", 0.99, says, argued(signs), advice)
    if refused[0].status == TOO_MANY and not levels and all(o.facts.get("html") or of_no_application(symptoms, o) for o in refused):
        signs.append("they carry no request id: something before the application counts, perhaps by address or by connections")
        advice = (
            "Send fewer calls at once and a minute, and wait after a refusal as long as it asks. The token's bucket is not what is full: "
            "ask whoever runs the edge to let this job's address or token through."
        )
        return Cause("throttle", 0.95, says, argued(signs), advice)
    advice = (
        f"Send through probes.Limiter, which waits exactly as long as the bucket needs; how fast is safe: probes rate -i {quoted(name)}"
    )
    return Cause("throttle", 0.99, says, argued(signs), advice)


def _never_passes(symptoms: Symptoms, refused: Sequence[Observation]) -> bool:
    """Whether even a call made alone is refused by a bucket that is as empty as it gets: its level stands, refusal after refusal."""
    levels = [o.remaining for o in refused if o.remaining is not None]
    waited_s = max(map(_when_s, refused)) - min(map(_when_s, refused))
    told = [o for o in symptoms.answered if o.facts.get("phase") != "health"]
    return len(levels) > 1 and len(told) == len(refused) and waited_s >= WAITED_S and max(levels) - min(levels) <= 1.0


def _odds(symptoms: Symptoms, call: str) -> float:
    """Odds that the job meets any refusal, by the twin fitted to what was seen; 0 where none can be fitted."""
    from probes.estimate import estimate

    told = [o for o in symptoms.seen if o.remaining is not None and o.facts.get("phase") != "again"]
    if len(told) < LEAST_SEEN:
        return 0.0
    found = estimate(told)
    twin = found.twin(call) if found is not None and found.regime is Regime.HEADERS else None
    return 0.0 if twin is None else twin.workers_odds(symptoms.job.workers, symptoms.job.total)


def _fit(symptoms: Symptoms) -> tuple[float, float] | None:
    """(units that a call in flight holds at least, mark) where the job's workers hold more than the mark at once; else None."""
    sizes = {int(o.facts.get("together", 1)) for o in symptoms.seen if o.remaining is not None and o.facts.get("phase") == "group"}
    if not sizes or not _is_level(symptoms):
        return None
    mark = _mark(symptoms)
    lowest = {k: min(o.remaining for o in symptoms.seen if o.remaining is not None and o.facts.get("together") == k) for k in sizes}
    each = min((mark - level) / (k - 1) for k, level in lowest.items())
    return (each, mark) if each * min(symptoms.job.workers, symptoms.job.total) > FULL * mark else None


def _overfull(symptoms: Symptoms, each: float, mark: float) -> Cause:
    job, name = symptoms.job, symptoms.instance
    says = f"{job.workers} workers at {name} hold more than the limit allows at once: about {each:.0f} units each, of {mark:.0f}."
    most = max(int(o.facts.get("together", 1)) for o in symptoms.seen)
    signs = [f"with {most} calls at once Remaining fell by so much for each call beside the one that told it"]
    against = ["no refusal was met here: no more at once were tried"]
    advice = f"Fewer workers, or probes.Limiter; how many are safe: probes rate -i {quoted(name)} --job {job.total}"
    return Cause("throttle", 0.9, says, argued(signs, against), advice)


def untold(symptoms: Symptoms) -> Iterator[str]:
    """What is not known of more calls at once than were tried: whether they are refused, or only how quick they are, with a level told."""
    most, workers = max((k for k, _ in symptoms.overlapped), default=0), min(symptoms.job.workers, symptoms.job.total)
    if not most or workers <= most or symptoms.having(Outcome.THROTTLED):
        return
    tried = "they were tried one at a time" if most == 1 else f"at most {most} were tried together"
    if all(o.remaining is None for o in symptoms.seen):
        yield f"Whether {workers} at once are refused is not known: no header tells the budget, and {tried}."
    else:
        yield f"How quick {workers} at once are is not known: {tried}."


def _foretold(symptoms: Symptoms, call: str, odds: float) -> Cause:
    job, name = symptoms.job, symptoms.instance
    says = (
        f"{job.workers} workers sending {job.total:,} calls of '{call}' to {name} meet a "
        f"refusal with odds of {percent(odds)}, by the bucket seen here."
    )
    lowest = min(o.remaining for o in symptoms.seen if o.remaining is not None)
    signs = [f"the bucket was fitted to {sum(1 for o in symptoms.seen if o.remaining is not None)} headers and the job replayed in it"]
    against = [f"no refusal was met here; the lowest Remaining was {lowest:.0f}"]
    advice = f"Fewer workers, or probes.Limiter; how many are safe: probes rate -i {quoted(name)} {asked_by(call)} --job {job.total}"
    return Cause("throttle", min(0.98, 0.6 + 0.4 * odds), says, argued(signs, against), advice)


def shared_token(symptoms: Symptoms) -> Iterator[Cause]:
    """The level stands higher than our own calls can have left it, while only one of ours was in flight.

    What stood there at the first answer is not held against anybody: this very job may have left it, and it only falls.
    """
    told = symptoms.levels
    if len(told) < LEAST_SEEN or not _is_level(symptoms):
        return
    mark = _mark(symptoms)
    strange = [gap for gap in _gaps(symptoms, told, mark) if gap > _blur(mark)]
    if len(strange) < max(2.0, OFTEN * len(told)):
        return
    says = (
        f"Another job draws on the bucket of this token at {symptoms.instance}: {len(strange)} of "
        f"{len(told)} calls made alone found it fuller than ours explain."
    )
    signs = [f"up to {max(strange):.0f} units beyond what our own calls can have left, of {mark:.0f}"]
    against = ["one odd header could be an answer that was overtaken"] if len(strange) < 4 else []
    advice = "Give this job a token of its own: each token has its own bucket, also two of one user."
    yield Cause("shared_token", min(0.98, 0.6 + 0.4 * len(strange) / len(told)), says, argued(signs, against), advice)


def _blur(mark: float) -> float:
    """Units by which a level may differ from what explains it."""
    return max(UNITS, SHARE_OF_MARK * mark)


def _mark(symptoms: Symptoms) -> float:
    """The highest level that was seen again, within the blur: one odd header is no mark."""
    told = sorted((o.remaining for o in symptoms.seen if o.remaining is not None), reverse=True)
    return next((high for high, next_one in pairwise(told) if high - next_one <= _blur(high)), told[0])


def _is_level(symptoms: Symptoms) -> bool:
    """Whether Remaining behaves as the level of a leaking bucket: it rises again between calls, and comes with a cost."""
    told = [o for o in symptoms.seen if o.remaining is not None]
    return any(o.cost is not None for o in told) and not any(o.reset_s is not None for o in told)


def _gaps(symptoms: Symptoms, told: Sequence[Observation], mark: float) -> list[float]:
    """Of each answer alone: units below the mark that our own calls cannot have left, by the leak seen or a slow one; first of all -inf.

    Where the level was seen lower than that, it started anew from there. A call that brought no answer may hold its reservation still.
    """
    wanted = {id(o) for o in told}
    ours = sorted((o for o in symptoms.seen if o.received_s is not None or o.sent_s is not None), key=_when_s)
    level, last_s, gaps, leak = math.inf, 0.0, [], max(SLOWEST_LEAK * mark, SURE_LEAK * _leak(ours, wanted))
    quiet = _quiet(ours)
    for o in ours:
        level = max(0.0, level - leak * (_when_s(o) - last_s)) + (o.cost or 0.0)
        level, last_s = _held(o, level, mark), _when_s(o)
        found = max(0.0, mark - (o.remaining or 0.0))
        if id(o) in wanted:
            gaps.append(found - level)
        if o.remaining is not None and id(o) in quiet:
            level = min(level, found)
    return gaps


def _quiet(ours: Sequence[Observation]) -> set[int]:
    """Answers after which no other call of ours was in flight: what they tell is all that stood there. The health page's is none."""
    begun_s, quiet = math.inf, set()
    for o in reversed(ours):
        if o.received_s is not None and o.received_s <= begun_s and o.facts.get("phase") != "health":
            quiet.add(id(o))
        begun_s = min(begun_s, o.sent_s if o.sent_s is not None else o.due_s)
    return quiet


def _leak(ours: Sequence[Observation], wanted: set[int]) -> float:
    """Units/s by which the level fell from one call alone to the very next, in the median; 0 where that was seen too seldom."""
    pairs = [(a, b) for a, b in pairwise(ours) if id(a) in wanted and id(b) in wanted and _when_s(b) > _when_s(a)]
    falls = [((b.remaining or 0.0) - (a.remaining or 0.0) + (b.cost or 0.0)) / (_when_s(b) - _when_s(a)) for a, b in pairs]
    return max(0.0, median(falls)) if len(falls) >= LEAST_FALLS else 0.0


def _when_s(o: Observation) -> float:
    return o.received_s if o.received_s is not None else o.sent_s or 0.0


def _held(o: Observation, level: float, mark: float) -> float:
    """`level` with what our calls beside this one may have reserved, twice the usual; or this one, where it was given up."""
    reserved = 2.0 * CANVAS.up_front_cost / CANVAS.high_water_mark * mark
    if o.received_s is None:
        return level + (reserved if o.outcome in GIVEN_UP else 0.0)
    return max(level, reserved * (int(o.facts.get("together", 1)) - 1))
