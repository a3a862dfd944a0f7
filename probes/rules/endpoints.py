"""Which calls are dear, what makes them so, what they cost a bulk job."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from probes.bucket import CANVAS
from probes.calls import asked_by
from probes.observation import Observation, Outcome
from probes.rules.base import Finding, Severity, View
from probes.stats import median
from probes.wording import percent, plural, quoted, seconds, times

LEAST = 3
"""So many answers of a call give a median."""
DEAR, DEAR_S = 5.0, 1.0
"""A call is dear that takes so many times as long as the cheapest, and so many seconds."""
ALIKE = 1.5
"""Calls whose times are no further apart than this factor take much the same."""
LEAST_TOLD_S = 0.001
DEAR_SHARE = 1.0 / 30.0
"""Share of the mark from which one call is dear by its cost: a few in a row fill the bucket."""
JOB = 1000
TOP = 5
REFUSALS = {
    Outcome.NOT_FOUND: "not there",
    Outcome.FORBIDDEN: "not permitted",
    Outcome.UNAUTHORIZED: "token refused",
    Outcome.CLIENT_ERROR: "not understood",
}
"""Outcomes of a call that cannot be asked, in words."""
MISSING = frozenset(REFUSALS)
WORKED_ON = frozenset({Outcome.OK, Outcome.READ_TIMEOUT, Outcome.GATEWAY_ERROR})
"""Outcomes of a call that may have been work."""
UNTOLD = MISSING | {Outcome.OK, Outcome.THROTTLED, Outcome.MAINTENANCE, Outcome.CANCELLED}
"""Outcomes that say nothing of how long a call takes, or that are told elsewhere."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One call of the ladder, medians: seconds, cost in units, shares of the server's time, bytes, items a page; None where not told."""

    call: str
    n: int
    time_s: float
    cost: float | None
    cpu_share: float | None
    db_share: float | None
    size_bytes: float
    items: float | None

    @property
    def line(self) -> str:
        """This rung as one line of evidence."""
        parts = [f"{seconds(self.time_s)}"]
        parts += [f"cost {self.cost:.3g}"] if self.cost is not None else []
        parts += [f"CPU {percent(self.cpu_share)}"] if self.cpu_share is not None else []
        parts += [f"database {percent(self.db_share)}"] if self.db_share is not None else []
        parts.append(f"{self.size_bytes:,.0f} bytes")
        parts += [plural(round(self.items), "item")] if self.items else []
        each_s = self.time_s / self.items if self.items and self.items > 1 else None
        parts += [] if each_s is None else ["less than 1 ms each"] if each_s < LEAST_TOLD_S else [f"{seconds(each_s)} each"]
        return f"'{self.call}': {', '.join(parts)}; n = {self.n}"


def ladder(seen: Sequence[Observation]) -> list[Rung]:
    """The calls that were answered often enough, dearest first."""
    rungs = []
    for call in dict.fromkeys(o.call for o in seen):
        good = [o for o in seen if o.call == call and o.ok and o.flight_s is not None]
        if len(good) >= LEAST:
            rungs.append(_rung(call, good))
    return sorted(rungs, key=lambda rung: -rung.time_s)


def _rung(call: str, good: Sequence[Observation]) -> Rung:
    took = [o.server_time_s if o.server_time_s is not None else o.flight_s or 0.0 for o in good]
    costs = [o.cost for o in good if o.cost is not None]
    items = [float(o.facts["items"]) for o in good if o.facts.get("items") is not None]
    sizes = [float(o.size_bytes or 0) for o in good]
    shares = [_share([getattr(o, key) for o in good], took) for key in ("cpu_s", "db_s")]
    cost, number = median(costs) if costs else None, median(items) if items else None
    return Rung(call, len(good), median(took), cost, shares[0], shares[1], median(sizes), number)


def _share(parts: Sequence[float | None], wholes: Sequence[float]) -> float | None:
    told = [(part, whole) for part, whole in zip(parts, wholes, strict=True) if part is not None and whole > 0.0]
    return min(1.0, sum(part for part, _ in told) / sum(whole for _, whole in told)) if told else None


def judge(view: View) -> Iterator[Finding]:
    """Of each instance: the ladder, then its dear calls, then those that brought no answer, then those that are missing."""
    for name, seen in view.each("endpoints"):
        rungs = ladder(seen)
        if len(rungs) >= 2:
            yield from _ranked(name, rungs)
        yield from _slow_first(name, seen)
        yield from _costly(name, seen)
        yield from _unanswered(name, seen)
        yield from _missing(name, seen)


def _ranked(name: str, rungs: Sequence[Rung]) -> Iterator[Finding]:
    dearest, cheapest, n = rungs[0], rungs[-1], sum(rung.n for rung in rungs)
    evidence = tuple(rung.line for rung in rungs)
    if dearest.time_s <= ALIKE * cheapest.time_s:
        ends = dict.fromkeys((seconds(cheapest.time_s), seconds(dearest.time_s)))
        says = f"The {len(rungs)} calls at {name} take much the same: {' to '.join(ends)}; n = {n}."
    else:
        says = (
            f"Of {len(rungs)} calls at {name} '{dearest.call}' is the dearest ({seconds(dearest.time_s)}), "
            f"'{cheapest.call}' the cheapest ({seconds(cheapest.time_s)}); n = {n}."
        )
    slow = cheapest.time_s > DEAR_S
    advice = f"Even the cheapest call is slow, so it is the instance and not the call: probes diagnose -i {quoted(name)}" if slow else ""
    yield Finding("ladder", Severity.WARNING if slow else Severity.INFO, name, says, evidence, advice)
    for rung in rungs[:3]:
        if rung.time_s > DEAR_S and rung.time_s > DEAR * cheapest.time_s:
            yield _dear(name, rung, cheapest)


def _slow_first(name: str, seen: Sequence[Observation]) -> Iterator[Finding]:
    """Calls that are slow once and quick when asked again: answers are kept, and a job over many things pays the first of each."""
    for call in dict.fromkeys(o.call for o in seen):
        first, *later = [o for o in seen if o.call == call]
        if first.outcome not in WORKED_ON or len(later) < LEAST - 1 or not all(o.ok and o.flight_s is not None for o in later):
            continue
        took, usual = _took(first), median([_took(o) for o in later])
        if took > DEAR_S and took > DEAR * max(map(_took, later)) and _worked_more(first, later):
            ended = f"took {seconds(took)}" if first.ok else f"ended with {first.status or 'no answer'} after {seconds(took)}"
            says = (
                f"'{call}' {ended} at {name} the first time it was asked, and {seconds(usual)} when asked again "
                f"({times(len(later))}): it looks as if the answer is made once and kept for a while."
            )
            yield Finding("slow_first", Severity.WARNING, name, says, (), _first_of_each(name, took, first))


def _first_of_each(name: str, took: float, first: Observation) -> str:
    """What a job does about it, which asks for many things once; where the first answer never came a longer timeout need not help."""
    surely = f"Ask for another course to be sure: probes run endpoints -i {quoted(name)} --course ID."
    if not first.ok:
        return f"A job over many courses or users loses the first call for each: ask again a little later, few at a time. {surely}"
    return (
        f"A job over many courses or users pays the first time for each: {seconds(took * JOB)} for {JOB:,} of them one by one. "
        f"Ask few at a time, with a timeout far above {seconds(took)}. {surely}"
    )


def _took(o: Observation) -> float:
    """The server's time where it was told, else the whole; of a call that was given up, how long was waited."""
    waited = o.facts.get("gave_up_after_s")
    return o.server_time_s if o.server_time_s is not None else float(waited) if waited is not None else o.flight_s or 0.0


def _worked_more(first: Observation, later: Sequence[Observation]) -> bool:
    """Whether the first answer was more work than the later ones, by their costs; one that only stood still was not. Untold: yes."""
    costs = [o.cost for o in later if o.cost is not None]
    return first.cost is None or not costs or first.cost > DEAR * max(costs)


def _missing(name: str, seen: Sequence[Observation]) -> Iterator[Finding]:
    """Calls that cannot be asked, each with the answer that says so."""
    missing = {o.call: o for o in seen if o.outcome in MISSING}
    if not missing:
        return
    says = f"{plural(len(missing), 'call')} of the ladder cannot be asked at {name}: not there, or not permitted."
    told = tuple(f"{call}: {REFUSALS[o.outcome]}{f' ({o.status})' if o.status else ''}" for call, o in sorted(missing.items()))
    yield Finding("endpoint_missing", Severity.INFO, name, says, told)


def _costly(name: str, seen: Sequence[Observation]) -> Iterator[Finding]:
    """Calls that fill the bucket, however quick they are: surcharges are not worked off in time."""
    mark = max((o.remaining for o in seen if o.remaining is not None), default=CANVAS.high_water_mark)
    costs = {call: [o.cost for o in seen if o.call == call and o.ok and o.cost is not None] for call in dict.fromkeys(o.call for o in seen)}
    dear = [(median(told), call, told) for call, told in costs.items() if told and median(told) > DEAR_SHARE * mark]
    for cost, call, told in sorted(dear, reverse=True)[:3]:
        took = median([o.flight_s or 0.0 for o in seen if o.call == call and o.ok])
        says = (
            f"'{call}' costs {cost:,.3g} units of the bucket at {name} in {seconds(took)}: "
            f"{math.ceil(mark / cost)} in a row fill it; n = {len(told)}."
        )
        advice = "Make it rarely, or send it through probes.Limiter, which waits for the bucket."
        yield Finding("dear_call", Severity.WARNING, name, says, (f"the level was {mark:,.0f} units at most",), advice)


def _unanswered(name: str, seen: Sequence[Observation]) -> Iterator[Finding]:
    """Calls that never brought a whole answer: they may be the dearest of all."""
    answered = {o.call for o in seen if o.ok}
    lost = {o.call: [p for p in seen if p.call == o.call] for o in seen if o.outcome not in UNTOLD and o.call not in answered}
    if lost:
        says = f"{plural(len(lost), 'call')} of the ladder brought no whole answer at {name}, and may be the dearest."
        evidence = tuple(_ends(call, asked) for call, asked in lost.items())
        advice = f"Ask why: probes diagnose -i {quoted(name)} {asked_by(next(iter(lost)))}"
        yield Finding("endpoint_unanswered", Severity.WARNING, name, says, evidence[:TOP], advice)


def _ends(call: str, asked: Sequence[Observation]) -> str:
    waits = [float(o.facts.get("gave_up_after_s", o.flight_s or 0.0)) for o in asked]
    status = next((f" {o.status}" for o in asked if o.status is not None), "")
    return f"'{call}':{status} {asked[0].outcome.value} after {seconds(median(waits))}, {times(len(asked))}"


def _dear(name: str, rung: Rung, cheapest: Rung) -> Finding:
    cost = f" and {rung.cost * JOB:,.0f} units of the bucket" if rung.cost is not None else ""
    says = (
        f"'{rung.call}' takes {seconds(rung.time_s)} at {name}, {rung.time_s / cheapest.time_s:.0f} times '{cheapest.call}'; "
        f"{JOB:,} of them cost {seconds(rung.time_s * JOB)} one by one{cost}; n = {rung.n}."
    )
    return Finding("dear_call", Severity.WARNING, name, says, (rung.line,), _why(rung))


def _why(rung: Rung) -> str:
    cpu, db = rung.cpu_share or 0.0, rung.db_share or 0.0
    less = _less(rung.call)
    if cpu + db > 0.5:
        return f"{'The database works on it' if db >= cpu else 'The server computes'}: {less}, and keep what you got."
    if rung.cpu_share is not None or rung.db_share is not None:
        return "The server waits for something else (another service, a cache, a queue): few at a time, with a long timeout."
    return "Ask for it rarely and keep what you got."


def _less(call: str) -> str:
    """What less of this very call would be."""
    if "include" in call:
        return "ask for fewer includes"
    return "ask for smaller pages" if "per_page" in call else "ask for it rarely"
