"""Whether an instance answers, whether the token is good, whether it is what it seems to be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from probes.observation import Observation, Outcome
from probes.rules.base import Finding, Severity, View
from probes.stats import median
from probes.wording import plural, quoted, seconds, times

TRYING = frozenset({"enrollment", "endpoints", "vocabulary", "queue"})
"""Scenarios that try paths which an instance need not have."""
BROKEN = frozenset({Outcome.CONNECT_ERROR, Outcome.PROTOCOL_ERROR, Outcome.TLS_ERROR, Outcome.DNS_ERROR})
KEPT = frozenset({Outcome.NOT_FOUND, Outcome.FORBIDDEN, Outcome.UNAUTHORIZED, Outcome.REDIRECTED, Outcome.PROTOCOL_ERROR})
"""How a public page ends that an operator keeps to himself, as many do with the health page."""
NO_PERMISSION = (
    "Ask an administrator for the permission, or use a token of somebody who has it; what depends on these calls is unknown here."
)
NO_SCOPE = "Ask whoever keeps the developer key of this token to add the scope, or use a token that a user made under Account > Settings."
GATEWAY_TIMEOUT = 504
SOON_DAYS = 21.0
"""Before so many days a certificate that renews itself has been renewed, a month before its end as a rule."""
VERY_SOON_DAYS = 4.0
"""A long weekend: whoever could renew it may be back too late."""


def judge(view: View) -> Iterator[Finding]:
    """Of each instance, from all its observations: one finding on whether it answers, then what stands out."""
    for name, seen in view.each():
        answered = [o for o in seen if o.status is not None]
        if not answered:
            yield _no_answer(name, seen)
            continue
        wanted = _wanted(seen)
        yield from _refused(name, wanted)
        yield from _misled(name, wanted)
        yield from _maintenance(name, seen)
        yield from _lost(name, seen)
        yield from _identity(name, view.of(name, "reach"))


def _wanted(seen: Sequence[Observation]) -> Sequence[Observation]:
    """Without a public page that is kept to the operator, where other calls show that the instance is well."""
    if not any(o.ok or o.outcome in (Outcome.UNAUTHORIZED, Outcome.FORBIDDEN) for o in seen if not o.facts.get("public")):
        return seen
    return [o for o in seen if not _kept(o)]


def _kept(o: Observation) -> bool:
    return bool(o.facts.get("public")) and o.outcome in KEPT


def _no_answer(name: str, seen: Sequence[Observation]) -> Finding:
    outcomes = Counter(o.outcome.value for o in seen)
    errors = tuple(dict.fromkeys(o.error for o in seen if o.error))[:3]
    told = ", ".join(f"{outcome} {count}" for outcome, count in outcomes.most_common())
    says = f"{name} answered none of {plural(len(seen), 'request')}: {told}."
    return Finding("no_answer", Severity.ERROR, name, says, errors, f"Ask what stands in the way: probes diagnose -i {quoted(name)}")


def _refused(name: str, seen: Sequence[Observation]) -> Iterator[Finding]:
    bad = [o for o in seen if o.outcome is Outcome.UNAUTHORIZED and o.facts.get("no_token") != "none sent"]
    if bad:
        yield (_no_token if bad[0].facts.get("no_token") else _bad_token)(name, seen, bad)
    edge = [o for o in seen if o.outcome is Outcome.NO_USER_AGENT]
    if edge:
        says = f"{name} refused {plural(len(edge), 'request')} for want of a User-Agent, before it came to Canvas."
        advice = "Something between here and there strips the User-Agent, probably a proxy: let it through."
        yield Finding("no_user_agent", Severity.ERROR, name, says, (), advice)
    calls = sorted({o.call for o in seen if o.outcome is Outcome.FORBIDDEN and not o.facts.get("reason")})
    if calls:
        told = ", ".join(calls[:3]) + (" ..." if len(calls) > 3 else "")
        says = f"{name} does not let this token make {plural(len(calls), 'kind')} of call: {told}."
        words = _words(o for o in seen if o.outcome is Outcome.FORBIDDEN)
        advice = NO_SCOPE if any("scope" in one.lower() for one in words) else NO_PERMISSION
        severity = Severity.INFO if len(calls) < len({o.call for o in seen if not o.facts.get("public")}) else Severity.WARNING
        yield Finding("permission", severity, name, says, words, advice)


def _words(refused: Iterable[Observation]) -> tuple[str, ...]:
    """What the server itself said of its refusals: a scope that is missing is no matter of permissions."""
    return tuple(f"it says: {words}" for words in dict.fromkeys(str(o.facts["said"]) for o in refused if o.facts.get("said")))[:3]


def _no_token(name: str, seen: Sequence[Observation], bad: Sequence[Observation]) -> Finding:
    says = f"No token was sent to {name}: {len(bad)} of {plural(len(seen), 'request')} ended with 401."
    advice = f"Name where the token stands: token_env or token_file of [instances.{name}], or the variable CANVAS_API_TOKEN without a file."
    return Finding("credentials", Severity.ERROR, name, says, (), advice)


def _bad_token(name: str, seen: Sequence[Observation], bad: Sequence[Observation]) -> Finding:
    challenge = next((str(o.facts["challenge"]) for o in bad if o.facts.get("challenge")), None)
    evidence = [*_words(bad), *([f"WWW-Authenticate: {challenge}"] if challenge else [])]
    says = f"{name} refused the token: {len(bad)} of {plural(len(seen), 'request')} ended with 401."
    advice = "Make a new token in Account > Settings of this instance; tokens made on beta or test vanish at the next refresh."
    calls = {o.call for o in bad}
    good = sum(o.ok and o.due_s > bad[0].due_s for o in seen if o.call in calls)
    if good:
        evidence.append(f"the very same calls were answered {times(good)} after that: a token does not go bad and good again")
        advice = "No new token helps: one of several servers, or something before them, does not know it."
        advice = f"{advice} Ask: probes diagnose -i {quoted(name)}"
    return Finding("credentials", Severity.ERROR, name, says, tuple(evidence), advice)


def _misled(name: str, seen: Sequence[Observation]) -> Iterator[Finding]:
    away = [o for o in seen if o.outcome is Outcome.REDIRECTED]
    if away:
        places = sorted({str(o.facts["location"]) for o in away if o.facts.get("location")})
        to = f" to {', '.join(places)}; the token was not sent there." if places else "."
        advice = "Put the address where the API answers into url; a login page means the path is no API."
        yield Finding("redirected", Severity.WARNING, name, f"{name} redirected {plural(len(away), 'request')}{to}", (), advice)
    asked = [o for o in seen if o.scenario not in TRYING and o.facts.get("html")]
    pages = [o for o in asked if o.outcome in (Outcome.PROTOCOL_ERROR, Outcome.NOT_FOUND)]
    if pages:
        calls = tuple(sorted({o.call for o in pages}))[:3]
        says = f"{name} answered {plural(len(pages), 'request')} with a web page in place of JSON."
        advice = f"The path is not of this API, or something in between answered: probes explain {quoted(pages[0].path)} -i {quoted(name)}"
        if not any(o.ok for o in seen):
            advice = f"Another site, or a login page of a network or a proxy before it, on any path: probes diagnose -i {quoted(name)}"
        yield Finding("wrong_url", Severity.WARNING, name, says, calls, advice)


def _maintenance(name: str, seen: Sequence[Observation]) -> Iterator[Finding]:
    down = [o for o in seen if o.outcome is Outcome.MAINTENANCE]
    if down:
        says = f"{name} answered 503 to {len(down)} of {plural(len(seen), 'request')}: it is in maintenance, or being refreshed."
        advice = (
            "Wait: windows last two hours at most as a rule; beta is overwritten each Saturday, test on the third Saturday of the month."
        )
        yield Finding("maintenance", Severity.ERROR, name, says, (), advice)
    broken = [o for o in seen if o.outcome in (Outcome.GATEWAY_ERROR, Outcome.SERVER_ERROR)]
    if broken:
        yield _failed(name, seen, broken)


def _failed(name: str, seen: Sequence[Observation], broken: Sequence[Observation]) -> Finding:
    codes = Counter(o.status for o in broken)
    waits = [o.flight_s for o in broken if o.status == GATEWAY_TIMEOUT and o.flight_s is not None]
    gave_up = f" (what stands before it gave up waiting for it, after {seconds(median(waits))})" if waits else ""
    told = ", ".join(f"{code} {times(count)}{gave_up if code == GATEWAY_TIMEOUT else ''}" for code, count in codes.most_common())
    calls = tuple(f"'{call}': {times(count)}" for call, count in Counter(o.call for o in broken).most_common(3))
    ids = tuple(f"X-Request-Context-Id {o.request_id}" for o in broken if o.request_id)[:3]
    says = f"{name} failed on {len(broken)} of {plural(len(seen), 'request')}: {told}."
    advice = "Quote the request ids to the vendor's support; without one the answer came from the edge."
    if waits:
        advice = f"A longer timeout on our side does not help against a 504: ask for less at a time. {advice}"
    return Finding("server_errors", Severity.WARNING, name, says, calls + ids, advice)


def _lost(name: str, seen: Sequence[Observation]) -> Iterator[Finding]:
    """Connections that broke; timeouts and pages in place of JSON have findings of their own."""
    broken = [o for o in seen if o.outcome in BROKEN and not o.facts.get("html")]
    if broken:
        errors = tuple(dict.fromkeys(o.error for o in broken if o.error))[:3]
        began = sum(o.status is not None and not o.garbled for o in broken)
        half = f"; {began} of the answers broke off half-way" if began else ""
        garbled = sum(o.garbled for o in broken)
        why = "what came was no sound HTTP" if garbled == len(broken) else f"the connection broke{half}"
        why += f"; {garbled} of what came was no sound HTTP" if 0 < garbled < len(broken) else ""
        says = f"{name} gave no whole answer to {len(broken)} of {plural(len(seen), 'request')}: {why}."
        advice = "Whether a call that writes was carried out cannot be told then: look before it is sent again. Ask why: probes diagnose"
        yield Finding("connections_lost", Severity.WARNING, name, says, errors, f"{advice} -i {quoted(name)}")


def _identity(name: str, reach: Sequence[Observation]) -> Iterator[Finding]:
    facts = {key: value for o in reach for key, value in o.facts.items()}
    good = [o for o in reach if o.ok]
    if good:
        who = f", as user {facts['user_id']}" if facts.get("user_id") is not None else ""
        revision = f", revision {facts['revision']}" if facts.get("revision") else ""
        times = [o.flight_s for o in good if o.flight_s is not None]
        took = f" in {seconds(median(times))}" if times else ""
        says = f"{name} answers{took} ({facts.get('kind', 'unknown kind')}{revision}){who}; n = {len(good)}."
        if any(o.facts.get("json") is False for o in good):
            says = f"{name} answers{took}, and what came for the token holds no data (status {good[-1].status})."
            yield Finding("answers", Severity.WARNING, name, says, (), f"Ask why: probes diagnose -i {quoted(name)}")
        else:
            kept = tuple(f"its public health page does not show ({o.status}), nor its revision" for o in reach if _kept(o))
            yield Finding("answers", Severity.INFO, name, says, kept)
    yield from _certificate(name, facts.get("certificate_days"))
    guess, kind = facts.get("kind_by_host"), facts.get("kind")
    if guess in ("test", "beta", "sandbox") and kind is not None and guess != kind:
        says = f"{name} is configured as {kind}, but its host name looks like {guess}."
        yield Finding("kind_differs", Severity.WARNING, name, says, (), f"Check kind and url in [instances.{name}].")


def _certificate(name: str, days: object) -> Iterator[Finding]:
    if isinstance(days, int | float) and days < SOON_DAYS:
        severity = Severity.ERROR if days < VERY_SOON_DAYS else Severity.WARNING
        says = f"The certificate of {name} ends in {plural(round(days), 'day')}."
        yield Finding("certificate_ends", severity, name, says, (), "Have it renewed; calls fail from that day on.")
