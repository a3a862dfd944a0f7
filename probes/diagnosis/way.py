"""Causes that lie on the way to the instance, or where the way ends: connections that fail, answers that never come, distance."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from probes.diagnosis.base import Cause, argued, surer
from probes.diagnosis.signs import AT_ONCE_S
from probes.diagnosis.symptoms import Symptoms, of_own_system, unexplained_s
from probes.observation import Observation, Outcome
from probes.stats import median, point
from probes.wording import plural, quoted, seconds

FAR_S, FAR_SHARE = 0.25, 0.3
"""A round trip as long as one half-way around the globe, and its share of a call, from which the distance is to blame."""
UNSTEADY_S = 0.5
"""Time on the way beyond the usual one from which a call counts as held up there."""
TRANSFER_S, TRANSFER_SHARE = 0.4, 0.5
"""How long a body takes to come, and its share of a call, from which the line or the answer's size is to blame."""
LEAST_LATE, LATE_SHARE = 3, 0.05
"""So many calls that stand on the way, and such a share of all, are more than chance."""
NEAR_SHARE = 0.7
"""An answer that came within such a share of what a connection takes shows that it is no round trip that takes so long."""
FIRST_ADDRESS = "the first address of the name may not answer (IPv6 that leads nowhere)"
LEAST_LEFT, LEAST_TAIL = 4, 12
"""So many calls tell a median, and so many the slowest of ten."""
LATE_BODIES, LATE_BODIES_SHARE = 3, 0.1
"""So many bodies that come slowly, and such a share of all, are more than chance."""
BROKEN = (Outcome.CONNECT_TIMEOUT, Outcome.CONNECT_ERROR, Outcome.WRITE_TIMEOUT)
_REFUSED = re.compile(r"Errno (?:61|111)\b|WinError (?:1225|10061)\b|connection refused", re.IGNORECASE)
"""How Linux, macOS and Windows say that a connection was refused."""
_NO_WAY = re.compile(r"Errno (?:50|51|64|65|100|101|112|113)\b|WinError (?:10050|10051|10065)\b|unreachable|No route", re.IGNORECASE)
"""How they say that there is no way to the host or its network."""
CLOSED = (
    "The other end closes connections that the job takes for open still: by an idle timeout, or after so many calls. Let the job ask "
    "again on a new connection where the call only reads, and keep idle connections for a shorter time; tell whoever runs the proxy."
)
LEAST, LEAST_SHARE = 2.0, 0.04
"""So many requests in vain, and such a share of all, are more than chance."""


def network(symptoms: Symptoms) -> Iterator[Cause]:
    """Connections that fail, a long way, an unsteady way, a narrow way; or, where the way itself stands, answers that do not come."""
    refused = [o for o in symptoms.having(*BROKEN) if symptoms.around.proxy is None and not (o in symptoms.mute or of_own_system(o))]
    resets = [o for o in symptoms.having(Outcome.PROTOCOL_ERROR) if not (o.facts.get("html") or o.garbled)]
    late = _late(symptoms)
    failed = [*_counted(symptoms, "connections failed", refused)]
    lost = [*_counted(symptoms, "answers broke off", resets), *_counted(symptoms, _ways(late), late)]
    slow = [*_slow_way(symptoms)]
    if failed and all(_REFUSED.search(o.error or "") for o in refused) and not lost and not slow:
        yield _nobody_listens(symptoms, refused)
    elif lost and not failed and not slow:
        yield _unanswered(symptoms, [*resets, *late], lost)
    elif failed or slow:
        ends = sorted({o.error for o in refused if o.error})[:2] if failed else []
        yield _costly(symptoms, [*failed, *lost], slow, ends)


def _costly(symptoms: Symptoms, failures: Sequence[str], slow: Sequence[tuple[str, float]], ends: Sequence[str]) -> Cause:
    """Where connections fail, with these `ends`, or the way is slow, and whatever else fails with it."""
    signs = [*failures, *ends, *(line for line, _ in slow)]
    says = f"The way to {symptoms.instance} costs the job {'its answers' if failures else 'its time'}: {signs[0]}."
    sure = surer(max(effect for _, effect in slow), 1.0, max(4, len(symptoms.unexplained_s))) if slow else 0.9
    advice = "Try from another network; run the job near the instance, keep connections open, send several calls at once."
    if slow and FIRST_ADDRESS in slow[0][0]:
        advice = "See which addresses the name has and which of them answers: curl -4 and curl -6; keep connections open meanwhile."
    if ends and all(_NO_WAY.search(end) for end in ends):
        advice = "This machine knows no way there: see whether it is online, and whether a VPN has to be up; then try from another network."
    return Cause("network", sure, says, argued(signs, _well(symptoms) if failures else ()), advice)


def _nobody_listens(symptoms: Symptoms, refused: Sequence[Observation]) -> Cause:
    """Connections that the other end's system refuses at once: the way stands, and ends where nothing listens."""
    name = symptoms.instance
    says = f"Nothing listens at {name}: {len(refused)} of {plural(len(symptoms.seen), 'request')} found the connection refused."
    signs = sorted({o.error for o in refused if o.error})[:3]
    came = len(symptoms.answered)
    against = [*([f"{plural(came, 'request was', 'requests were')} answered: it listens at times"] if came else []), *_well(symptoms)]
    advice = f"Check the host and the port in the url of {name}, whether the server runs, and whether a firewall turns this machine away."
    return Cause("network", 0.9, says, argued(signs, against), advice)


def _ways(late: Sequence[Observation]) -> str:
    began = sum(o.status is not None for o in late)
    return "answers never came" if not began else "answers stood still half-way" if began == len(late) else "answers never came whole"


def _counted(symptoms: Symptoms, what: str, bad: Sequence[Observation]) -> Iterator[str]:
    """The sign that such requests are, where they are enough."""
    least = max(LEAST, LEAST_SHARE * len(symptoms.seen))
    if len(bad) >= min(least, max(1, len(symptoms.seen))):
        told = ", ".join(f"{outcome.value} {count}" for outcome, count in Counter(o.outcome for o in bad).most_common())
        yield f"{len(bad)} of {len(symptoms.seen)} {what} ({told})"


def _slow_way(symptoms: Symptoms) -> Iterator[tuple[str, float]]:
    """Signs of a long, an unsteady, a narrow way, each with how many times it is beyond what is ordinary."""
    yield from _far(symptoms)
    yield from _unsteady(symptoms)
    yield from _narrow(symptoms)


def _far(symptoms: Symptoms) -> Iterator[tuple[str, float]]:
    """A long round trip by the handshakes; where none was seen, much time of each call outside the server."""
    left, trip = symptoms.unexplained_s, symptoms.round_trip_s
    if trip is not None:
        if trip > FAR_S and symptoms.quickest_s < NEAR_SHARE * trip:
            line = f"a new connection takes {seconds(trip)}, n = {len(symptoms.connects_s)}"
            yield f"{line}, though an answer came in {seconds(symptoms.quickest_s)}: {FIRST_ADDRESS}", trip / FAR_S
        elif trip > FAR_S:
            yield f"one round trip takes {seconds(trip)} by the TCP handshakes, n = {len(symptoms.connects_s)}", trip / FAR_S
        return
    flight = median([o.flight_s or 0.0 for o in symptoms.alone]) if len(left) >= LEAST_LEFT else 0.0
    if len(left) >= LEAST_LEFT and median(left) > max(FAR_S, FAR_SHARE * flight):
        yield f"{seconds(median(left))} of {seconds(flight)} are spent outside the server, n = {len(left)}", median(left) / FAR_S


def _unsteady(symptoms: Symptoms) -> Iterator[tuple[str, float]]:
    left = symptoms.unexplained_s
    if len(left) < LEAST_LEFT:
        return
    high, middle = point(left, 0.9), median(left)
    if len(left) >= LEAST_TAIL and high - middle > UNSTEADY_S:
        line = f"the way is unsteady: one call of ten takes {seconds(high)} outside the server, the median {seconds(middle)}"
        yield line, (high - middle) / UNSTEADY_S
        return
    yield from _unsteady_at_times(symptoms, middle)


def _unsteady_at_times(symptoms: Symptoms, usual_s: float) -> Iterator[tuple[str, float]]:
    """Calls alone and together that stand outside the server at times.

    Where the crowd's do more often it is no matter of the way, unless all of a crowd stand, as behind no queue. Nor is it where our own
    process stood still as long.
    """
    if max(symptoms.around.lag_s, default=0.0) > UNSTEADY_S:
        return
    took = [(k, o, left) for k, o in symptoms.overlapped if (left := unexplained_s(o)) is not None]
    late = [(k, o, left) for k, o, left in took if left - usual_s > UNSTEADY_S]
    alone, late_alone = sum(k == 1 for k, _, _ in took), sum(k == 1 for k, _, _ in late)
    if not late_alone or len(late) < max(LEAST_LATE, LATE_SHARE * len(took)):
        return
    whole = all(k == 1 or _all_stand(took, k, o, usual_s) for k, o, _ in late)
    if whole or late_alone / alone >= len(late) / len(took) / 2.0:
        slow_s = median([left for _, _, left in late])
        line = f"{len(late)} of {len(took)} calls take {seconds(slow_s)} outside the server, the median {seconds(usual_s)}"
        yield f"the way is unsteady: {line}", (slow_s - usual_s) / UNSTEADY_S


def _all_stand(took: Sequence[tuple[int, Observation, float]], size: int, one: Observation, usual_s: float) -> bool:
    """Whether all `size` calls that were made at once with `one` stood: of a queue the first are served."""
    crowd = [left for k, o, left in took if k == size and abs(o.due_s - one.due_s) < AT_ONCE_S]
    return min(crowd) - usual_s > UNSTEADY_S / 2.0


def _narrow(symptoms: Symptoms) -> Iterator[tuple[str, float]]:
    """Bodies that take long to come: most of them, or more than chance makes."""
    transfers = [(o.receive_s, o.flight_s) for o in symptoms.answered if o.receive_s is not None and o.flight_s]
    if len(transfers) >= LEAST_LEFT:
        takes, flight = median([taken for taken, _ in transfers]), median([flight for _, flight in transfers])
        if takes > max(TRANSFER_S, TRANSFER_SHARE * flight):
            yield f"the body takes {seconds(takes)} to come, n = {len(transfers)}", takes / TRANSFER_S
            return
    late = [taken for taken, flight in transfers if taken > max(TRANSFER_S, TRANSFER_SHARE * flight)]
    if len(late) >= max(LATE_BODIES, LATE_BODIES_SHARE * len(transfers)):
        yield f"the body of {len(late)} of {len(transfers)} answers takes {seconds(median(late))} to come", median(late) / TRANSFER_S


def _late(symptoms: Symptoms) -> list[Observation]:
    """Read timeouts that more patience would not have cured: asked again, the answer came in good time, or never."""
    late = symptoms.having(Outcome.READ_TIMEOUT)
    patient = [o for o in symptoms.answered if o.facts.get("phase") == "patient"]
    names = {o.call for o in late}
    if any((o.flight_s or 0.0) > symptoms.job.timeout_s for o in symptoms.answered if o.call in names):
        return []
    if patient:
        return late
    came = {o.call for o in symptoms.answered}
    alive = any(o.facts.get("phase") == "health" for o in symptoms.answered)
    return [o for o in late if o.call in came] if alive else late


def _unanswered(symptoms: Symptoms, lost: Sequence[Observation], signs: Sequence[str]) -> Cause:
    """Requests that went out and brought no whole answer: by the way or by the instance, which the answers do not tell."""
    name, first = symptoms.instance, min(o.sent_s or o.due_s for o in lost)
    good = [o for o in symptoms.answered if o.ok and o.facts.get("phase") != "health"]
    before = [o for o in good if (o.sent_s or o.due_s) < first]
    stopped = bool(before) and len(before) == len(good)
    began = f" It began after {plural(len(before), 'answered call')}." if stopped else ""
    says = f"{name} took {len(lost)} of {plural(len(symptoms.seen), 'request')} and {_ended(lost)}.{began}"
    closed = _closed(symptoms, lost)
    ends = sorted({o.error for o in lost if o.error and o.outcome is Outcome.PROTOCOL_ERROR})[:2]
    found = [
        *signs,
        *ends,
        *([closed] if closed else []),
        f"{plural(len(before), 'call')} answered before the first of them, {len(good) - len(before)} after it",
    ]
    stands = [f"connections are made in {seconds(median(symptoms.connects_s))}: the way itself stands"] if symptoms.connects_s else []
    against = [*stands, *_well(symptoms)]
    sure = 0.5 if stopped or symptoms.around.well else 0.65
    return Cause("network", sure, says, argued(found, against), CLOSED if closed else _advice(symptoms, stopped))


def _closed(symptoms: Symptoms, lost: Sequence[Observation]) -> str | None:
    """The sign that only connections which had carried calls before were lost, before any answer: the other end had closed them."""
    fresh = sum(o.reused is False for o in symptoms.answered)
    if fresh < LEAST or not all(o.reused and o.status is None and o.outcome is Outcome.PROTOCOL_ERROR for o in lost):
        return None
    return f"all {len(lost)} on connections that had carried calls before, of {fresh} new connections none"


def _ended(lost: Sequence[Observation]) -> str:
    """What became of the answers."""
    ends = {(o.outcome is Outcome.READ_TIMEOUT, o.status is not None) for o in lost}
    if ends == {(True, False)}:
        return "never answered them"
    if ends == {(True, True)}:
        return "stood still half-way through the answers"
    return "broke them off" if all(not timed_out for timed_out, _ in ends) else "brought no whole answer"


def _well(symptoms: Symptoms) -> list[str]:
    return [f"{other} answered at the same time from this machine" for other in symptoms.around.well]


def _advice(symptoms: Symptoms, stopped: bool) -> str:
    name = symptoms.instance
    if stopped:
        return (
            f"Ask whoever runs {name}, or a firewall or proxy before it, whether so many calls from one address or on one connection are "
            "cut off; let the job pause and open a new connection there, and tell them the times."
        )
    elsewhere = "" if symptoms.around.well else "Try from another network. "
    return f"{elsewhere}See whether its health page answers meanwhile, and tell the vendor the times: probes run timeouts -i {quoted(name)}"
