"""How long calls take, where the time goes, and which timeouts run out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime

from probes.calls import asked_by
from probes.observation import Observation, Outcome
from probes.rules.base import Finding, Severity, View
from probes.rules.shape import shape
from probes.stats import Interval, least_n, median, quantile, share
from probes.wording import percent, plural, quoted, seconds

SCENARIOS = ("latency", "compare", "timeouts", "export")
"""In the order in which they tell a call's time best; see `report.latencies.BEST_SOURCES`."""
SLOW_S = 2.0
"""A median beyond which a person waits."""
OWN_WAIT_S, OWN_SHARE = 0.02, 0.1
"""Waits on our own side that are worth a word: longer than a scheduler makes them, and than such a share of a call."""
QUEUE_SHARE, QUEUE_S = 0.15, 0.03
"""Share of a call's time in the server's own queue from which its backends are short, and a median below which that is no wait."""
LEAST_COLD, COLD_EXTRA_S = 3, 0.15
"""So many new connections, and what each costs, from which a job gains by keeping them open."""
TIMED_OUT = {
    Outcome.CONNECT_TIMEOUT: "connecting",
    Outcome.READ_TIMEOUT: "waiting for the answer",
    Outcome.WRITE_TIMEOUT: "sending",
    Outcome.POOL_TIMEOUT: "waiting for a slot of our own",
}
STOOD_STILL = "the answer stood still half-way"
PATIENT_S = 30.0
"""A diagnosis waits longer than the timeout that is given to it only where that is shorter."""
CLOSE = 0.4
"""Share of the timeout from which an answer that came shows that the instance is slow rather than silent."""
NAMED = 3
"""So many calls are named in a sentence."""
THURSDAY, SATURDAY = 3, 5


def judge(view: View) -> Iterator[Finding]:
    """Of each instance and call: the time it takes; of each instance: what the time is made of, and its timeouts."""
    for name in view.instances():
        seen = [o for o in view.of(name) if o.scenario in SCENARIOS]
        calls = list(dict.fromkeys(o.call for o in seen))
        for call in calls:
            yield from _taken(name, call, _best([o for o in seen if o.call == call]), alone=len(calls) <= NAMED)
        yield from _made_of(name, [o for o in seen if o.ok])
        yield from _timeouts(name, view.of(name), view)
        if view.of(name, "timeouts"):
            yield from _timeout_to_set(name, [o for o in seen if not _whether_alive(o)], view.of(name))


def _best(seen: Sequence[Observation]) -> list[Observation]:
    """Those answered as asked of the scenario that tells best, as in the report's table: there is one median of a call."""
    scenario = next(one for one in SCENARIOS if any(o.scenario == one for o in seen))
    return [o for o in seen if o.scenario == scenario and o.ok]


def _taken(name: str, call: str, good: Sequence[Observation], *, alone: bool) -> Iterator[Finding]:
    """What a call takes; too few answers for a median are a word worth where it is asked `alone`, or nearly so."""
    warm = [o for o in good if o.latency_s is not None and not o.facts.get("cold")]
    times = [o.latency_s for o in warm if o.latency_s is not None]
    middle = quantile(times, 0.5)
    if middle is None:
        if alone and any(o.scenario == "latency" for o in warm):
            yield _a_few(name, call, times)
        return
    high = quantile(times, 0.95)
    tail = f", 95th percentile {seconds(high.value)} ({_ends(high)})" if high else f"; {_too_few(len(times))}"
    slow = middle.value > SLOW_S
    says = f"'{call}' takes {seconds(middle.value)} at {name} in the median ({_ends(middle)}){tail}; n = {len(times)}."
    advice = f"See what it waits for: probes diagnose -i {quoted(name)} {asked_by(call)}" if slow else ""
    yield Finding("slow" if slow else "latency", Severity.WARNING if slow else Severity.INFO, name, says, (), advice)
    yield from shape(name, call, warm)


def _a_few(name: str, call: str, times: Sequence[float]) -> Finding:
    ends = " to ".join(dict.fromkeys((seconds(min(times)), seconds(max(times)))))
    says = f"'{call}' took {ends} at {name}; {plural(len(times), 'call is', 'calls are')} too few for a median ({least_n(0.5)} needed)."
    return Finding("latency", Severity.INFO, name, says, (), "Ask more often: --repeat 40.")


def _too_few(count: int) -> str:
    return f"{plural(count, 'call is', 'calls are')} too few for a 95th percentile ({least_n(0.95)} needed)"


def _ends(interval: Interval) -> str:
    return f"{seconds(interval.low)} to {seconds(interval.high)}"


def _made_of(name: str, good: Sequence[Observation]) -> Iterator[Finding]:
    yield from _own_waits(name, good)
    yield from _queued(name, good)
    yield from _cold(name, good)


def _own_waits(name: str, good: Sequence[Observation]) -> Iterator[Finding]:
    waits = [o.pool_s for o in good if o.pool_s is not None]
    flights = [o.flight_s for o in good if o.flight_s]
    if waits and flights and median(waits) > max(OWN_WAIT_S, OWN_SHARE * median(flights)):
        says = f"Our own side held calls to {name} back for {seconds(median(waits))} in the median, n = {len(waits)}"
        advice = "Raise max_in_flight or max_rate of the instance, or ask less at a time."
        yield Finding("own_wait", Severity.WARNING, name, f"{says}; the times told leave that out.", (), advice)


def _queued(name: str, good: Sequence[Observation]) -> Iterator[Finding]:
    queues = [(o.queue_s, o.flight_s) for o in good if o.queue_s is not None and o.flight_s]
    if not queues:
        return
    stood = sum(queue for queue, _ in queues) / sum(flight for _, flight in queues)
    if stood > QUEUE_SHARE and median([queue for queue, _ in queues]) > QUEUE_S:
        says = f"Requests spend {percent(stood)} of their time in the queue of {name} before it works on them, n = {len(queues)}."
        advice = f"It is short of backend slots: send fewer at a time; probes diagnose -i {quoted(name)} says more."
        yield Finding("queue_share", Severity.WARNING, name, says, (), advice)


def _cold(name: str, good: Sequence[Observation]) -> Iterator[Finding]:
    cold = [(o.connect_s or 0.0) + (o.tls_s or 0.0) for o in good if o.reused is False and o.connect_s is not None]
    if len(cold) >= LEAST_COLD and median(cold) > COLD_EXTRA_S:
        says = f"A new connection to {name} costs {seconds(median(cold))} before the first byte, n = {len(cold)}."
        yield Finding("cold_connection", Severity.INFO, name, says, (), "Keep connections open: one session for the whole job.")


def _timeouts(name: str, seen: Sequence[Observation], view: View) -> Iterator[Finding]:
    late = [o for o in seen if o.outcome in TIMED_OUT]
    if late:
        yield _late(name, seen, late)
        yield from _alive(name, view.of(name, "timeouts"), late)
        yield from _day(name, late, view)


def _whether_alive(o: Observation) -> bool:
    """Whether it asked the health page after a timeout: no call of a job."""
    return o.call.endswith("after a timeout")


def _timeout_to_set(name: str, seen: Sequence[Observation], whole: Sequence[Observation]) -> Iterator[Finding]:
    """The timeout to set by the slowest answers, of other scenarios too, as the `whole` run saw them.

    Where some were waited for in vain there is none to advise, as those are slower still.
    """
    times = [o.flight_s for o in seen if o.ok and o.flight_s is not None]
    cut = [o for o in seen if o.outcome is Outcome.READ_TIMEOUT and _while(o) != STOOD_STILL]
    if not (times or cut):
        return
    if cut:
        yield _unknown_timeout(name, seen, cut, times)
        return
    tail, worst = quantile(times, 0.95), max(times)
    slower = max((o for o in whole if o.ok and (o.flight_s or 0.0) > worst), key=lambda o: o.flight_s or 0.0, default=None)
    advised = max(10.0, 3.0 * max(worst, tail.high if tail else 0.0, (slower and slower.flight_s) or 0.0))
    slowest = f"the slowest of {plural(len(times), 'answer')} took {seconds(worst)}"
    says = (
        f"95 of 100 answers of {name} to {_calls(seen)} come within {seconds(tail.value)} ({_ends(tail)}), {slowest}."
        if tail
        else f"By now {slowest} at {name}: {_too_few(len(times))}."
    )
    if slower is not None:
        says += f" '{slower.call}' took {seconds(slower.flight_s or 0.0)}."
    advice = f"Set the read timeout to {seconds(advised)}: three times the slowest, and 10 s at least."
    yield Finding("timeout_to_set", Severity.INFO, name, says, (), advice)


def _calls(seen: Sequence[Observation]) -> str:
    """Which calls: other calls may take longer."""
    calls = list(dict.fromkeys(o.call for o in seen if o.ok))
    return " and ".join(f"'{call}'" for call in calls) if len(calls) <= NAMED else f"{len(calls)} calls"


def _unknown_timeout(name: str, seen: Sequence[Observation], cut: Sequence[Observation], times: Sequence[float]) -> Finding:
    waited = max(float(o.facts.get("gave_up_after_s", 0.0)) for o in cut)
    slowest = f"; the slowest answer that came took {seconds(max(times))}" if times else ""
    says = (
        f"How long the slowest answers of {name} take is not known: {len(cut)} of {plural(len(seen), 'call')} brought no answer "
        f"within {seconds(waited)}{slowest}."
    )
    more = f"probes diagnose -i {quoted(name)} {asked_by(cut[0].call)} --timeout {float(f'{waited:.2g}'):g}"
    find = f"wait longer to learn it: {more}" if waited < PATIENT_S else f"raise timeout_s of {name} to learn it, and ask again"
    return Finding("timeout_to_set", Severity.WARNING, name, says, (), f"Set no timeout below {seconds(waited)}; {find}")


def _while(o: Observation) -> str:
    """What ran out of time: an answer that had begun is not one that never came."""
    began = o.outcome is Outcome.READ_TIMEOUT and o.status is not None
    return STOOD_STILL if began else TIMED_OUT[o.outcome]


def _late(name: str, seen: Sequence[Observation], late: Sequence[Observation]) -> Finding:
    which = Counter(map(_while, late))
    part = share(len(late), len(seen))
    calls = Counter(o.call for o in late)
    evidence = [f"while {what}: {count}" for what, count in which.most_common()]
    evidence += [f"'{call}': {count}" for call, count in calls.most_common(3)]
    evidence.append(f"the first of them {seconds(min(o.due_s for o in late))} into the run")
    told = " and ".join(f"{count} while {what}" for what, count in which.most_common())
    says = f"{len(late)} of {plural(len(seen), 'request')} to {name} timed out ({percent(part.low)} to {percent(part.high)}): {told}."
    return Finding("timeouts", Severity.WARNING, name, says, tuple(evidence), f"Ask why: probes diagnose -i {quoted(name)}")


def _alive(name: str, asked: Sequence[Observation], late: Sequence[Observation]) -> Iterator[Finding]:
    probes = [o for o in asked if _whether_alive(o)]
    if not probes:
        return
    alive = [o for o in probes if o.status is not None]
    if alive:
        says = f"{name} is alive: after {len(alive)} of {plural(len(probes), 'timeout')} its health page answered, though the call did not."
        evidence = (f"{plural(len(late), 'timeout')} in all",)
        yield Finding("slow_but_alive", Severity.WARNING, name, says, evidence, _patience(name, asked, late))
    else:
        says = f"After {plural(len(probes), 'timeout')} nothing of {name} answered, its health page included."
        yield Finding("dead", Severity.ERROR, name, says, (), "Wait, and tell the vendor when it lasts beyond a maintenance window.")


def _patience(name: str, asked: Sequence[Observation], late: Sequence[Observation]) -> str:
    """What waiting longer may bring: much where answers came close to the timeout, nothing where one stood still half-way."""
    if all(_while(o) == STOOD_STILL for o in late):
        return "Waiting longer does not bring an answer that stands still: tell the vendor the times, and ask what stands between."
    waited = max(float(o.facts.get("gave_up_after_s", 0.0)) for o in late)
    if any(o.ok and (o.flight_s or 0.0) > CLOSE * waited > 0.0 for o in asked if not _whether_alive(o)):
        return "Wait longer rather than ask again: a repeated call makes it slower still."
    return f"Whether these calls work long or hang is not told by this; find out with more patience: probes diagnose -i {quoted(name)}"


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
