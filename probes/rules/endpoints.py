"""Which calls are dear, what makes them so, what they cost a bulk job."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from probes.observation import Observation, Outcome
from probes.rules.base import Finding, Severity, View, plural, seconds
from probes.stats import median, percent

LEAST = 3
DEAR = 5.0
DEAR_S = 1.0
JOB = 1000
TOP = 5
MISSING = frozenset({Outcome.NOT_FOUND, Outcome.FORBIDDEN, Outcome.CLIENT_ERROR, Outcome.UNAUTHORIZED})


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
        parts += [f"{self.items:.0f} items, {seconds(self.time_s / self.items)} each"] if self.items else []
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
    times = [o.server_time_s if o.server_time_s is not None else o.flight_s or 0.0 for o in good]
    costs = [o.cost for o in good if o.cost is not None]
    items = [float(o.facts["items"]) for o in good if o.facts.get("items") is not None]
    sizes = [float(o.size_bytes or 0) for o in good]
    shares = [_share([getattr(o, key) for o in good], times) for key in ("cpu_s", "db_s")]
    cost, number = median(costs) if costs else None, median(items) if items else None
    return Rung(call, len(good), median(times), cost, shares[0], shares[1], median(sizes), number)


def _share(parts: Sequence[float | None], wholes: Sequence[float]) -> float | None:
    told = [(part, whole) for part, whole in zip(parts, wholes, strict=True) if part is not None and whole > 0.0]
    return min(1.0, sum(part for part, _ in told) / sum(whole for _, whole in told)) if told else None


def judge(view: View) -> Iterator[Finding]:
    """Of each instance: the ladder, then its dear calls, then those that are missing."""
    for name, seen in view.each("endpoints"):
        rungs = ladder(seen)
        if len(rungs) >= 2:
            yield from _ranked(name, rungs)
        missing = sorted({o.call for o in seen if o.outcome in MISSING})
        if missing:
            says = f"{plural(len(missing), 'call')} of the ladder cannot be asked at {name}: not there, or not permitted."
            yield Finding("endpoint_missing", Severity.INFO, name, says, tuple(missing[:TOP]))


def _ranked(name: str, rungs: Sequence[Rung]) -> Iterator[Finding]:
    dearest, cheapest = rungs[0], rungs[-1]
    says = (
        f"Of {len(rungs)} calls at {name} '{dearest.call}' is the dearest ({seconds(dearest.time_s)}), "
        f"'{cheapest.call}' the cheapest ({seconds(cheapest.time_s)}); n = {sum(rung.n for rung in rungs)}."
    )
    yield Finding("ladder", Severity.INFO, name, says, tuple(rung.line for rung in rungs))
    for rung in rungs[:3]:
        if rung.time_s > DEAR_S and rung.time_s > DEAR * cheapest.time_s:
            yield _dear(name, rung, cheapest)


def _dear(name: str, rung: Rung, cheapest: Rung) -> Finding:
    cost = f" and {rung.cost * JOB:,.0f} units of the bucket" if rung.cost is not None else ""
    says = (
        f"'{rung.call}' takes {seconds(rung.time_s)} at {name}, {rung.time_s / cheapest.time_s:.0f} times '{cheapest.call}'; "
        f"{JOB:,} of them cost {seconds(rung.time_s * JOB)} one by one{cost}; n = {rung.n}."
    )
    return Finding("dear_call", Severity.WARNING, name, says, (rung.line,), _why(rung))


def _why(rung: Rung) -> str:
    cpu, db = rung.cpu_share or 0.0, rung.db_share or 0.0
    if cpu + db > 0.5 and db >= cpu:
        return "The database works on it: ask for fewer items or includes, and keep what you got."
    if cpu + db > 0.5:
        return "The server computes: ask for fewer includes, and keep what you got."
    if rung.cpu_share is not None or rung.db_share is not None:
        return "The server waits for something else (another service, a cache, a queue): few at a time, with a long timeout."
    return "Ask for it rarely and keep what you got."
