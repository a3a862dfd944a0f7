"""How long calls take, where the time goes, and which timeouts run out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime

from probes.observation import Observation, Outcome
from probes.rules.base import Finding, Severity, View, plural, seconds
from probes.stats import Interval, median, percent, quantile, share

SCENARIOS = ("latency", "timeouts", "compare", "export")
SLOW_S = 2.0
OWN_WAIT_S = 0.02
OWN_SHARE = 0.1
QUEUE_SHARE = 0.15
QUEUE_S = 0.03
COLD_EXTRA_S = 0.15
TIMED_OUT = {
    Outcome.CONNECT_TIMEOUT: "connecting",
    Outcome.READ_TIMEOUT: "waiting for the answer",
    Outcome.WRITE_TIMEOUT: "sending",
    Outcome.POOL_TIMEOUT: "waiting for a slot of our own",
}
THURSDAY, SATURDAY = 3, 5


def judge(view: View) -> Iterator[Finding]:
    """Of each instance and call: the time it takes; of each instance: what the time is made of, and its timeouts."""
    for name in view.instances():
        seen = [o for o in view.of(name) if o.scenario in SCENARIOS]
        for call in dict.fromkeys(o.call for o in seen):
            yield from _taken(name, call, [o for o in seen if o.call == call and o.ok])
        yield from _made_of(name, [o for o in seen if o.ok])
        yield from _timeouts(name, view.of(name), view)


def _taken(name: str, call: str, good: Sequence[Observation]) -> Iterator[Finding]:
    times = [o.flight_s for o in good if o.flight_s is not None and not o.facts.get("cold")]
    middle = quantile(times, 0.5)
    if middle is None:
        return
    high = quantile(times, 0.95)
    tail = f", 95th percentile {seconds(high.value)} ({_ends(high)})" if high else f"; {len(times)} calls carry no 95th percentile"
    slow = middle.value > SLOW_S
    says = f"'{call}' takes {seconds(middle.value)} at {name} in the median ({_ends(middle)}){tail}; n = {len(times)}."
    advice = f"See what it waits for: probes diagnose -i {name} --call '{call}'" if slow else ""
    yield Finding("slow" if slow else "latency", Severity.WARNING if slow else Severity.INFO, name, says, (), advice)


def _ends(interval: Interval) -> str:
    return f"{seconds(interval.low)} to {seconds(interval.high)}"


def _made_of(name: str, good: Sequence[Observation]) -> Iterator[Finding]:
    waits = [o.pool_s for o in good if o.pool_s is not None]
    flights = [o.flight_s for o in good if o.flight_s]
    if waits and flights and median(waits) > max(OWN_WAIT_S, OWN_SHARE * median(flights)):
        says = (
            f"Our own side held calls to {name} back for {seconds(median(waits))} in the "
            f"median, n = {len(waits)}; the times told leave that out."
        )
        yield Finding(
            "own_wait", Severity.WARNING, name, says, (), "Raise max_in_flight or max_rate of the instance, or ask less at a time."
        )
    queues = [(o.queue_s, o.flight_s) for o in good if o.queue_s is not None and o.flight_s]
    if queues:
        stood = sum(queue for queue, _ in queues) / sum(flight for _, flight in queues)
        if stood > QUEUE_SHARE and median([queue for queue, _ in queues]) > QUEUE_S:
            says = f"Requests spend {percent(stood)} of their time in the queue of {name} before it works on them, n = {len(queues)}."
            advice = f"It is short of backend slots: send fewer at a time; probes diagnose -i {name} says more."
            yield Finding("queue_share", Severity.WARNING, name, says, (), advice)
    cold = [(o.connect_s or 0.0) + (o.tls_s or 0.0) for o in good if o.reused is False and o.connect_s is not None]
    if len(cold) >= 3 and median(cold) > COLD_EXTRA_S:
        says = f"A new connection to {name} costs {seconds(median(cold))} before the first byte, n = {len(cold)}."
        yield Finding("cold_connection", Severity.INFO, name, says, (), "Keep connections open: one session for the whole job.")


def _timeouts(name: str, seen: Sequence[Observation], view: View) -> Iterator[Finding]:
    late = [o for o in seen if o.outcome in TIMED_OUT]
    asked = view.of(name, "timeouts")
    if late:
        yield _late(name, seen, late)
        yield from _alive(name, asked, late)
        yield from _day(name, late, view)
    times = [o.flight_s for o in seen if o.scenario in SCENARIOS and o.ok and o.flight_s is not None]
    tail = quantile(times, 0.95)
    if asked and tail is not None:
        worst = max(times)
        advised = max(10.0, 3.0 * max(worst, tail.high))
        says = (
            f"95 of 100 answers of {name} come within {seconds(tail.value)} "
            f"({_ends(tail)}), the slowest of {len(times)} took {seconds(worst)}."
        )
        yield Finding(
            "timeout_to_set",
            Severity.INFO,
            name,
            says,
            (),
            f"Set the read timeout to {seconds(advised)}: three times the slowest, and 10 s at least.",
        )


def _late(name: str, seen: Sequence[Observation], late: Sequence[Observation]) -> Finding:
    which = Counter(TIMED_OUT[o.outcome] for o in late)
    part = share(len(late), len(seen))
    calls = Counter(o.call for o in late)
    evidence = [f"while {what}: {count}" for what, count in which.most_common()]
    evidence += [f"'{call}': {count}" for call, count in calls.most_common(3)]
    first = min((o.due_s for o in late), default=0.0)
    evidence.append(f"the first {seconds(first)} after the start")
    told = " and ".join(f"{count} while {what}" for what, count in which.most_common())
    says = f"{len(late)} of {plural(len(seen), 'request')} to {name} timed out ({percent(part.low)} to {percent(part.high)}): {told}."
    return Finding("timeouts", Severity.WARNING, name, says, tuple(evidence), f"Ask why: probes diagnose -i {name}")


def _alive(name: str, asked: Sequence[Observation], late: Sequence[Observation]) -> Iterator[Finding]:
    probes = [o for o in asked if o.call.endswith("after a timeout")]
    if not probes:
        return
    alive = [o for o in probes if o.status is not None]
    if alive:
        says = f"{name} is slow but alive: after {len(alive)} of {len(probes)} timeouts its health page answered at once."
        advice = "Wait longer rather than ask again: a repeated call makes it slower still."
        yield Finding("slow_but_alive", Severity.WARNING, name, says, (f"{plural(len(late), 'timeout')} in all",), advice)
    else:
        says = f"After {plural(len(probes), 'timeout')} nothing of {name} answered, its health page included."
        yield Finding("dead", Severity.ERROR, name, says, (), "Wait, and tell the vendor when it lasts beyond a maintenance window.")


def _day(name: str, late: Sequence[Observation], view: View) -> Iterator[Finding]:
    """Whether the day fits a refresh or a maintenance window (hosted Canvas)."""
    started = _started(view)
    kind = view.kind_of(name)
    if started is None or kind not in ("beta", "test", "production"):
        return
    fits = None
    if kind == "beta" and started.weekday() == SATURDAY:
        fits = "beta is overwritten from production every Saturday"
    elif kind == "test" and started.weekday() == SATURDAY and 15 <= started.day <= 21:
        fits = "test is refreshed on the third Saturday of the month"
    elif started.weekday() == THURSDAY and (started.day <= 7 or 15 <= started.day <= 21):
        fits = "hosted Canvas has its maintenance windows on the first and third Thursday, after midnight local time"
    if fits:
        says = f"The {plural(len(late), 'timeout')} of {name} fell on {started:%A, %d %B}: {fits}."
        yield Finding("refresh_day", Severity.INFO, name, says, (), "Measure again on another day before you blame the instance.")


def _started(view: View) -> datetime | None:
    try:
        return datetime.fromisoformat(str(view.facts["started_at"]))
    except (KeyError, ValueError):
        return None
