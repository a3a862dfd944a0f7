"""Causes that lie in where the time goes: our side, names, handshakes, the way, the instance's queue, its work, our patience."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from probes.diagnosis.base import Cause, argued, surer
from probes.diagnosis.symptoms import Symptoms
from probes.observation import Observation, Outcome
from probes.rules.base import seconds
from probes.stats import median, percent, point, rank_slope

LAG_S = 0.04
LAG_SHARE = 0.35
LEAST_LAGS = 10
POOL_S, POOL_SHARE = 0.1, 0.5
CROWD_POOL_S, CROWD_POOL_SHARE = 0.3, 0.3
DNS_S = 0.5
TLS_S = 0.4
FAR_S, FAR_SHARE = 0.25, 0.3
UNSTEADY_S = 0.5
TRANSFER_S, TRANSFER_SHARE = 0.4, 0.5
QUEUE_S, QUEUE_SHARE = 0.1, 0.25
GROWTH, GROWTH_S, GROWTH_P = 1.6, 0.15, 0.01
BLUR_S = 0.01
"""Waits that differ by less rank alike."""
SLOW_S = 1.0
BROKEN = (Outcome.CONNECT_TIMEOUT, Outcome.CONNECT_ERROR, Outcome.WRITE_TIMEOUT)


def client(symptoms: Symptoms) -> Iterator[Cause]:
    """Our own side: a loop that wakes late, waiting for slots or ceilings, a proxy that cannot be reached."""
    signs, effects = [], []
    lag = symptoms.around.lag_s
    if len(lag) >= LEAST_LAGS and (point(lag, 0.9) > LAG_S or sum(lag) / (sum(lag) + 0.02 * len(lag)) > LAG_SHARE):
        signs.append(f"our own loop woke {seconds(point(lag, 0.9))} late in one of ten cases, n = {len(lag)}: this machine is busy")
        effects.append(max(point(lag, 0.9) / LAG_S, 2.0))
    pools = [(o.pool_s, o.pool_s + (o.flight_s or 0.0)) for o in symptoms.alone if o.pool_s is not None]
    if len(pools) >= 4 and median([pool for pool, _ in pools]) > max(POOL_S, POOL_SHARE * median([whole for _, whole in pools])):
        ceiling = f" (max_rate = {symptoms.around.max_rate:g})" if symptoms.around.max_rate else ""
        signs.append(f"calls waited {seconds(median([pool for pool, _ in pools]))} on our side before they went{ceiling}, n = {len(pools)}")
        effects.append(median([pool for pool, _ in pools]) / POOL_S)
    crowd = [(o.pool_s, o.pool_s + (o.flight_s or 0.0)) for k, o in symptoms.overlapped if k >= 3 and o.pool_s is not None]
    if len(crowd) >= 6 and median([pool for pool, _ in crowd]) > max(
        CROWD_POOL_S, CROWD_POOL_SHARE * median([whole for _, whole in crowd])
    ):
        signs.append(
            f"calls made together waited {seconds(median([pool for pool, _ in crowd]))} on our side before they went, n = {len(crowd)}"
        )
        effects.append(median([pool for pool, _ in crowd]) / CROWD_POOL_S)
    starved = symptoms.count(Outcome.POOL_TIMEOUT)
    if starved:
        signs.append(f"{starved} calls found no free slot of ours in time")
        effects.append(3.0)
    failed = [o for o in symptoms.having(Outcome.CONNECT_ERROR, Outcome.CONNECT_TIMEOUT) if symptoms.around.proxy]
    if failed:
        signs.append(f"{len(failed)} connections failed, all by way of the proxy {symptoms.around.proxy}")
        effects.append(3.0)
    if signs:
        says = f"Our own side holds the job back: {signs[0]}."
        advice = "Run it on an idle machine, raise the ceilings in probes.toml, or check the proxy, before you blame the instance."
        yield Cause("client", surer(max(effects), 1.0, 20), says, argued(signs), advice)


def dns(symptoms: Symptoms) -> Iterator[Cause]:
    """The name is not found, or slowly."""
    failed, slow = symptoms.count(Outcome.DNS_ERROR), symptoms.around.dns_s
    if failed or symptoms.around.dns_error:
        said = symptoms.around.dns_error or next((o.error for o in symptoms.having(Outcome.DNS_ERROR) if o.error), "no address")
        says = f"The name of {symptoms.instance} was not found, on {failed} of {len(symptoms.seen)} requests."
        yield Cause("dns", 0.98, says, argued([str(said)]), "Check the host in url for a slip, then the resolver of this machine.")
    elif slow and median(slow) > DNS_S:
        says = f"Finding the name of {symptoms.instance} takes {seconds(median(slow))}, n = {len(slow)}; each new connection waits for it."
        advice = "Keep connections open, and ask whoever runs the resolver of this machine."
        yield Cause("dns", surer(median(slow), DNS_S, len(slow)), says, argued(["measured by resolving the name alone"]), advice)


def tls(symptoms: Symptoms) -> Iterator[Cause]:
    """The handshake fails, or takes far longer than its two round trips."""
    failed = symptoms.having(Outcome.TLS_ERROR)
    if failed:
        said = sorted({o.error for o in failed if o.error})
        says = f"The TLS handshake with {symptoms.instance} failed on {len(failed)} of {len(symptoms.seen)} requests."
        advice = "Look at the certificate: ended, for another host, or signed by a company proxy whose root this machine does not know."
        yield Cause("tls", 0.98, says, argued(said[:3]), advice)
        return
    times = [o.tls_s for o in symptoms.seen if o.reused is False and o.tls_s]
    expected = 3.0 * median(symptoms.connects_s) if symptoms.connects_s else 0.0
    if len(times) >= 2 and median(times) > max(TLS_S, expected):
        says = f"The TLS handshake with {symptoms.instance} takes {seconds(median(times))}, n = {len(times)}."
        signs = [f"the TCP handshake before it takes {seconds(median(symptoms.connects_s))}"] if symptoms.connects_s else []
        yield Cause(
            "tls",
            surer(median(times), TLS_S, len(times)),
            says,
            argued(signs),
            "Keep connections open; ask for the reason at the instance's edge.",
        )


def network(symptoms: Symptoms) -> Iterator[Cause]:
    """Connections that fail or break, a long way, an unsteady way, a narrow way."""
    signs, effects = [*_broken(symptoms)], []
    left, trip = symptoms.unexplained_s, symptoms.round_trip_s
    flights = [o.flight_s or 0.0 for o in symptoms.alone]
    if trip is not None and trip > FAR_S:
        signs.append(f"one round trip takes {seconds(trip)} by the TCP handshakes, n = {len(symptoms.connects_s)}")
        effects.append(trip / FAR_S)
    elif trip is None and len(left) >= 4 and median(left) > max(FAR_S, FAR_SHARE * median(flights)):
        signs.append(f"{seconds(median(left))} of {seconds(median(flights))} are spent outside the server, n = {len(left)}")
        effects.append(median(left) / FAR_S)
    if len(left) >= 12 and point(left, 0.9) - median(left) > UNSTEADY_S:
        signs.append(
            f"the way is unsteady: one call of ten takes {seconds(point(left, 0.9))} outside the server, the median {seconds(median(left))}"
        )
        effects.append((point(left, 0.9) - median(left)) / UNSTEADY_S)
    transfers = [(o.receive_s, o.flight_s) for o in symptoms.answered if o.receive_s is not None and o.flight_s]
    if len(transfers) >= 4 and median([r for r, _ in transfers]) > max(TRANSFER_S, TRANSFER_SHARE * median([f for _, f in transfers])):
        signs.append(f"the body takes {seconds(median([r for r, _ in transfers]))} to come, n = {len(transfers)}")
        effects.append(median([r for r, _ in transfers]) / TRANSFER_S)
    if signs:
        broken = [line for line in signs if "failed" in line or "broke" in line or "never" in line]
        says = f"The way to {symptoms.instance} costs the job its time or its answers: {signs[0]}."
        confidence = 0.9 if broken and not effects else surer(max(effects), 1.0, max(4, len(left)))
        advice = "Try from another network; run the job near the instance, keep connections open, send several calls at once."
        yield Cause("network", confidence, says, argued(signs), advice)


def _broken(symptoms: Symptoms) -> Iterator[str]:
    """Connections that failed or broke; one in twenty at least, and two."""
    resets = [o for o in symptoms.having(Outcome.PROTOCOL_ERROR) if not o.facts.get("html")]
    refused = [o for o in symptoms.having(*BROKEN) if symptoms.around.proxy is None]
    least = max(2.0, 0.04 * len(symptoms.seen))
    for what, bad in (("connections failed", refused), ("answers broke off", resets), ("answers never came", _lost(symptoms))):
        if len(bad) >= min(least, max(1, len(symptoms.seen))):
            told = ", ".join(f"{outcome.value} {count}" for outcome, count in Counter(o.outcome for o in bad).most_common())
            yield f"{len(bad)} of {len(symptoms.seen)} {what} ({told})"


def _lost(symptoms: Symptoms) -> list[Observation]:
    """Read timeouts that more patience would not have cured: asked again, the answer came in good time, or never."""
    late = symptoms.having(Outcome.READ_TIMEOUT)
    patient = [o for o in symptoms.answered if o.facts.get("phase") == "patient"]
    if any((o.flight_s or 0.0) > symptoms.job.timeout_s for o in patient):
        return []
    if patient:
        return late
    came = {o.call for o in symptoms.answered}
    alive = any(o.facts.get("phase") == "health" for o in symptoms.answered)
    return [o for o in late if o.call in came] if alive else late


def capacity(symptoms: Symptoms) -> Iterator[Cause]:
    """Requests queue at the instance: at once, or the more the more of ours are in flight, while its work for each stays the same."""
    told = [(k, o.queue_s) for k, o in symptoms.overlapped if o.queue_s is not None]
    waits = told or _hidden_waits(symptoms)
    if len(waits) < 6:
        return
    alone = [wait for k, wait in waits if k == 1]
    most = max(k for k, _ in waits)
    crowd = [wait for k, wait in waits if k == most and k > 1]
    high = point(crowd, 0.75) if crowd else 0.0
    flight = median([o.flight_s or 0.0 for k, o in symptoms.overlapped if k == 1] or [0.0])
    base = median(alone) if alone else 0.0
    _, p = rank_slope([float(k) for k, _ in waits], [round(wait / BLUR_S) * BLUR_S for _, wait in waits])
    at_once = bool(told) and len(alone) >= 4 and base > max(QUEUE_S, QUEUE_SHARE * flight)
    grows = len(crowd) >= 4 and p < GROWTH_P and high - base > max(GROWTH_S, (GROWTH - 1.0) * _own_work(symptoms))
    if not at_once and not grows:
        return
    where = "in its queue" if told else "beyond its usual time"
    signs = [f"alone a call stands {seconds(base)} {where}, n = {len(alone)}"]
    crowded = f"with {most} at once one in four stands {seconds(high)} or longer, n = {len(crowd)} (p = {p:.1g} that it does not rise)"
    signs += [crowded] if crowd else []
    steady, growth = _work_steady(symptoms, most)
    signs += [growth] if growth and steady else []
    against = ["it does not tell its queue time: this is read from the times alone"] if not told else []
    against += [growth] if growth and not steady else []
    effect = max(base / QUEUE_S if at_once else 0.0, (high - base) / GROWTH_S if grows else 0.0)
    confidence = surer(effect, 1.0, len(waits), 0.98 if told else 0.85)
    says = f"{symptoms.instance} is short of backend slots: {crowded if grows else signs[0]}."
    advice = (
        f"Fewer calls at once; more of them only wait longer. Compare with another instance: probes compare -i {symptoms.instance} -i OTHER"
    )
    yield Cause("capacity", confidence, says, argued(signs, against), advice)


def _own_work(symptoms: Symptoms) -> float:
    works = [o.server_time_s for k, o in symptoms.overlapped if k == 1 and o.server_time_s is not None]
    flights = [o.flight_s or 0.0 for k, o in symptoms.overlapped if k == 1]
    return min(median(works) if works else median(flights) if flights else 0.0, 0.5)


def _hidden_waits(symptoms: Symptoms) -> list[tuple[int, float]]:
    """(calls at once, seconds beyond the usual) of one call, where the instance tells no queue time."""
    calls = Counter(o.call for k, o in symptoms.overlapped if k > 1)
    if not calls:
        return []
    call = calls.most_common(1)[0][0]
    mine = [(k, o) for k, o in symptoms.overlapped if o.call == call]
    alone = [o.flight_s or 0.0 for k, o in mine if k == 1]
    usual = median(alone) if alone else 0.0
    return [(k, max(0.0, (o.flight_s or 0.0) - usual)) for k, o in mine]


def _work_steady(symptoms: Symptoms, most: int) -> tuple[bool, str]:
    """Whether CPU and database time stay the same while more are in flight, and the sentence that says so."""

    def work(o: Observation) -> float | None:
        return None if o.cpu_s is None and o.db_s is None else (o.cpu_s or 0.0) + (o.db_s or 0.0)

    calls = {o.call for k, o in symptoms.overlapped if k == most}
    alone = [w for k, o in symptoms.overlapped if k == 1 and o.call in calls and (w := work(o)) is not None]
    crowd = [w for k, o in symptoms.overlapped if k == most and (w := work(o)) is not None]
    if len(alone) < 3 or len(crowd) < 3:
        return True, ""
    steady = median(crowd) < 1.5 * median(alone) + 0.02
    verb = "stay the same" if steady else "rise as well"
    return steady, f"CPU and database time {verb}: {seconds(median(alone))} alone, {seconds(median(crowd))} with {most} at once"


def slow_call(symptoms: Symptoms) -> Iterator[Cause]:
    """A call that works long by itself, one at a time."""
    for call in dict.fromkeys(symptoms.job.calls):
        mine = [o for o in symptoms.answered if o.call == call and o.facts.get("phase") in ("self", "alone", "patient") and o.ok]
        times = [symptoms.work_s(o) for o in mine]
        if len(times) >= 2 and median(times) > SLOW_S:
            yield _slow(symptoms, call, mine, times)
            return
    yield from _never(symptoms)


def _never(symptoms: Symptoms) -> Iterator[Cause]:
    """A call that was never answered, however patient we were, though the instance answers something else."""
    late = [o for o in symptoms.having(Outcome.READ_TIMEOUT) if o.call in symptoms.job.calls]
    came = {o.call for o in symptoms.answered}
    for call in dict.fromkeys(o.call for o in late if o.call not in came):
        if came:
            waited = max(float(o.facts.get("gave_up_after_s", symptoms.job.timeout_s)) for o in late if o.call == call)
            says = f"'{call}' brought no answer from {symptoms.instance} within {seconds(waited)}, n = {sum(o.call == call for o in late)}."
            signs = [f"other calls are answered at the same time: {', '.join(sorted(came)[:2])}"]
            advice = "Ask for less of it; if it never ends, tell the vendor with the time of the call."
            yield Cause("slow_call", 0.65, says, argued(signs, ["it may hang rather than work: no answer came to tell"]), advice)
            return


def _slow(symptoms: Symptoms, call: str, mine: Sequence[Observation], times: Sequence[float]) -> Cause:
    parts = [((o.cpu_s or 0.0) + (o.db_s or 0.0), o.db_s or 0.0) for o in mine if o.cpu_s is not None or o.db_s is not None]
    others = [symptoms.work_s(o) for o in symptoms.alone if o.call != call and o.ok]
    signs, against = [], []
    if parts:
        busy = sum(part for part, _ in parts) / max(sum(times), 1e-9)
        signs.append(
            f"CPU and database make {percent(min(busy, 1.0))} of it, the database "
            f"{percent(min(1.0, sum(db for _, db in parts) / max(sum(times), 1e-9)))}"
        )
        if busy < 0.3:
            against.append("little of it is CPU or database time: it waits for something else inside")
    else:
        against.append("the instance does not tell CPU and database time")
    if others:
        signs.append(f"other calls take {seconds(median(others))} at the same time, n = {len(others)}")
    says = f"'{call}' works {seconds(median(times))} at {symptoms.instance} by itself, one at a time, n = {len(times)}."
    advice = "Ask for less (fewer includes, smaller pages, a narrower range), keep what you got, and set the timeout well above it."
    return Cause("slow_call", surer(median(times), SLOW_S, len(times), 0.97), says, argued(signs, against), advice)


def timeout_too_short(symptoms: Symptoms) -> Iterator[Cause]:
    """Calls that ran into the timeout and were answered when we waited longer."""
    late = [o for o in symptoms.having(Outcome.READ_TIMEOUT) if o.call in symptoms.job.calls]
    names = {o.call for o in late}
    came = [o.flight_s or 0.0 for o in symptoms.answered if o.call in names and (o.flight_s or 0.0) > symptoms.job.timeout_s]
    if late and came:
        limit = symptoms.job.timeout_s
        says = (
            f"The timeout of {seconds(limit)} is too short for {symptoms.instance}: {len(late)} calls "
            f"ran into it, and answers came after {seconds(median(came))}."
        )
        signs = [
            f"asked again with more patience, {len(came)} of {len(came)} late calls were answered, the slowest after {seconds(max(came))}"
        ]
        advice = f"Set the timeout to {seconds(max(10.0, 3.0 * max(came)))}: three times the slowest seen, and 10 s at least."
        yield Cause("timeout_too_short", surer(max(came), limit, len(late)), says, argued(signs), advice)
