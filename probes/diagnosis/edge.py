"""Causes that lie before the application: what answers in its place, spoils its answers, or holds calls up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from probes.diagnosis.base import Cause, argued, surer
from probes.diagnosis.signs import by_call, by_crowd, is_barrier, is_downtime, of_no_application, only_together, sentences, share, titles
from probes.diagnosis.symptoms import Symptoms
from probes.observation import Observation, Outcome
from probes.stats import median
from probes.wording import plural, seconds, times

UNAVAILABLE, LEAST_BETWEEN = 503, 4
"""The status of maintenance; and so many calls answered between two of them show that it comes and goes."""
HELD_S, HELD_SHARE = 0.25, 0.3
"""Time that neither the application nor two round trips explain, from which something between is blamed: seconds, share of a flight."""


def edge(symptoms: Symptoms) -> Iterator[Cause]:
    """Something before the application answers in its place: gateway errors, web pages; or, where nothing does, it holds calls up."""
    bad = _in_its_place(symptoms)
    if not bad:
        yield from [*_garbled(symptoms)] or _spoilt(symptoms)
        yield from _held(symptoms)
        return
    says = f"Something before the application answered {share(bad, symptoms)} to {symptoms.instance} in its place."
    crowded = only_together(symptoms, bad)
    signs = [*by_call(bad), *_unidentified(bad), *([by_crowd(symptoms, bad)] if crowded else []), *titles(bad), *sentences(bad)]
    others = plural(len(symptoms.answered) - len(bad), "other request was", "other requests were")
    against = [f"{others} answered by the application"] if symptoms.identified else []
    yield Cause("edge", 0.95 if len(bad) > 1 else 0.75, says, argued(signs, against), _advice(bad, crowded=crowded))


def _unidentified(bad: Sequence[Observation]) -> list[str]:
    return [f"{sum(1 for o in bad if not o.request_id)} of {len(bad)} carry no request id, so never reached the application"]


def _advice(bad: Sequence[Observation], *, crowded: bool) -> str:
    if any(is_barrier(o) for o in bad):
        return (
            "No job passes such a page: waiting does not help. Ask whoever runs the instance's edge, or the network you are in, to let "
            "calls with a token through, or call from another network."
        )
    if all(o.outcome is Outcome.FORBIDDEN for o in bad):
        return (
            "No permission of the token is at fault: a firewall or gateway before the application refuses. Ask whoever runs it, with the "
            "times, which rule it was and whether it counts calls from one address; call from another network to compare."
        )
    if crowded:
        return "Fewer calls at once: alone none was lost. Tell whoever runs the load balancer or proxy how many at once it gave up on."
    return "Tell the vendor or whoever runs the load balancer or proxy, with the times; a job should wait and try later, not at once."


def _in_its_place(symptoms: Symptoms) -> list[Observation]:
    """Gateway errors; refusals and pages that no application made, where others are its own; or pages of 403 where nothing else came."""
    ids = symptoms.identified
    barred = not ids and not symptoms.good
    pages = [o for o in symptoms.of_calls if o.facts.get("html") and o.outcome in (Outcome.PROTOCOL_ERROR, Outcome.FORBIDDEN)]
    pages = [o for o in pages if not is_downtime(o)]
    refused = [
        o
        for o in symptoms.of_calls
        if o.outcome is Outcome.FORBIDDEN and o not in pages and of_no_application(symptoms, o) and o.status == 403
    ]
    placed = [o for o in pages if (ids and not o.request_id) or o.call in symptoms.working or (barred and o.outcome is Outcome.FORBIDDEN)]
    barriers = [o for o in symptoms.of_calls if not o.ok and is_barrier(o) and o not in placed]
    return (
        [o for o in symptoms.of_calls if o.outcome is Outcome.GATEWAY_ERROR] + placed + [o for o in refused if o not in barriers] + barriers
    )


def _spoilt(symptoms: Symptoms) -> Iterator[Cause]:
    """Answers whose status says that all is well and that hold no data."""
    bad = [o for o in symptoms.of_job if o.facts.get("unreadable")]
    if bad:
        good = sum(o.ok and not o.facts.get("unreadable") for o in symptoms.of_job)
        says = f"{share(bad, symptoms)} to {symptoms.instance} were answered with status 200 and hold no data."
        kinds = Counter(str(o.facts["unreadable"]) for o in bad).most_common(3)
        signs = [*by_call(bad), *(f"{times(count)} {kind} came where JSON should have" for kind, count in kinds)]
        against = [f"{plural(good, 'other answer was', 'other answers were')} whole"] if good else []
        if any(o.request_id for o in bad):
            against.append("they carry a request id: the application itself may have sent them so")
        advice = (
            "Let the job read each answer before it counts it as done. See what comes with curl -i, from another network too: a proxy, a "
            "compressor or a cache between may spoil it; then ask whoever runs the instance."
        )
        yield Cause("edge", 0.8 if len(bad) > 1 else 0.6, says, argued(signs, against), advice)


def _garbled(symptoms: Symptoms) -> Iterator[Cause]:
    """Answers that are no sound HTTP."""
    bad = [o for o in symptoms.seen if o.garbled]
    if bad:
        says = f"{share(bad, symptoms)} to {symptoms.instance} brought what is no sound HTTP, or is packed otherwise than it says."
        against = [f"{plural(len(symptoms.good), 'other answer was', 'other answers were')} whole"] if symptoms.good else []
        advice = (
            "See what comes with curl -v, from another network too: a proxy or a compressor between may spoil it, or another service "
            f"answers at the port in the url of {symptoms.instance}."
        )
        errors = sorted({o.error for o in bad if o.error})[:3]
        yield Cause("edge", 0.8 if len(bad) > 1 else 0.6, says, argued([*by_call(bad), *errors], against), advice)


def _held(symptoms: Symptoms) -> Iterator[Cause]:
    """Time between the end of our connection and the application: a near peer, whose answers stand long outside the server's account."""
    left, trip = symptoms.unexplained_s, symptoms.round_trip_s
    if trip is None or len(left) < 4:
        return
    # two round trips: a connection that rested sends the first bytes of a long answer slowly again
    held, flight = median(left) - 2.0 * trip, median([o.flight_s or 0.0 for o in symptoms.alone])
    least = max(HELD_S, HELD_SHARE * flight)
    if held > least:
        says = (
            f"{seconds(median(left))} of the {seconds(flight)} that a call takes at {symptoms.instance} pass neither in the application "
            f"nor on the way to what answers the connection, n = {len(left)}."
        )
        signs = [f"one round trip takes {seconds(trip)} by the TCP handshakes, n = {len(symptoms.connects_s)}"]
        advice = "Something between holds it: an edge far from its origin, a proxy, a queue that is not told. Ask whoever runs it."
        yield Cause("edge", surer(held, least, len(left), 0.9), says, argued(signs), advice)


def maintenance(symptoms: Symptoms) -> Iterator[Cause]:
    """503 from the load balancer, or pages that call themselves so; not where only a crowd met it: that is too much at once."""
    named = [o for o in symptoms.of_calls if not o.ok and o.status != UNAVAILABLE and o.request_id is None and is_downtime(o)]
    bad = [o for o in symptoms.of_calls if o.outcome is Outcome.MAINTENANCE and not is_barrier(o)] + named
    if not bad or only_together(symptoms, bad):
        return
    waits = [o.retry_after_s for o in bad if o.retry_after_s is not None]
    signs = [*by_call(bad), *([f"it asks for {seconds(max(waits))} of patience (Retry-After)"] if waits else []), *titles(bad)]
    signs += sorted({f"sent on to {o.facts['location']}" for o in named if o.facts.get("location")})
    said = "told of maintenance on" if named else "answered 503 to"
    says = f"{symptoms.instance} {said} {share(bad, symptoms)}: maintenance, or a refresh from production."
    advice = "Wait: two hours at most as a rule. Beta is overwritten each Saturday, test on the third Saturday of the month."
    sure, against = 0.97 if len(bad) > 1 else 0.85, []
    if between := _answered_between(symptoms, bad):
        well = plural(between, "call")
        says = f"{symptoms.instance} answered 503 to {share(bad, symptoms)}, and {well} between them well: "
        says += "one of several servers is down, or all full."
        sure, against = 0.7, [f"{plural(between, 'call was', 'calls were')} answered between them: maintenance does not come and go"]
        advice = "Ask again after a second or two, a few times. Tell whoever runs the instance the times: one of its servers may be down."
    yield Cause("maintenance", sure, says, argued(signs, against), advice)


def _answered_between(symptoms: Symptoms, bad: Sequence[Observation]) -> int:
    """How many calls were answered as asked between the first and the last of these; 0 where they are too few to come and go."""
    first_s, last_s = min(o.due_s for o in bad), max(o.due_s for o in bad)
    between = sum(first_s < o.due_s < last_s for o in symptoms.good)
    return between if len(bad) > 1 and between >= LEAST_BETWEEN else 0
