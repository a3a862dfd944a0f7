"""Causes that the answers themselves name: status, body, where the answer was made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from probes.diagnosis.base import OF_PROXY, Cause, argued, surer
from probes.diagnosis.symptoms import Symptoms
from probes.observation import Observation, Outcome
from probes.stats import median
from probes.wording import plural, quoted, seconds, times

CHALLENGES = ("Just a moment", "Attention Required", "Checking your browser", "Please Wait... | Cloudflare", "DDoS-Guard")
"""How pages begin their title that let browsers through and no job."""
BARRING = (451, 511)
"""Statuses of those who bar the way: for legal reasons (RFC 7725), until one signs in to the network (RFC 6585)."""
QUOTED = 3
"""Request ids that are quoted of calls that failed."""
HELD_S, HELD_SHARE = 0.25, 0.3
"""Time that neither the application nor two round trips explain, from which something between is blamed: seconds, share of a flight."""


def _told(bad: Sequence[Observation], symptoms: Symptoms) -> str:
    return f"{len(bad)} of {len(symptoms.seen)} requests"


def _calls(bad: Sequence[Observation]) -> list[str]:
    seen = Counter((o.call, o.status) for o in bad).most_common(3)
    return [f"'{call}' {times(count)}, {'no status' if status is None else f'status {status}'}" for (call, status), count in seen]


def _sentences(bad: Sequence[Observation]) -> list[str]:
    """What the answers themselves say, each sentence once."""
    said = Counter(str(o.facts["said"]) for o in bad if o.facts.get("said"))
    return [f"the answer says: {sentence}" for sentence, _ in said.most_common(2)]


def inside(symptoms: Symptoms) -> Iterator[str]:
    """What to quote where the application itself failed: no cause of the list, and nobody but its owner can look there."""
    bad = [o for o in symptoms.of_job if o.outcome is Outcome.SERVER_ERROR and o.status not in BARRING]
    ids = list(dict.fromkeys(o.request_id for o in bad if o.request_id))[:QUOTED]
    if bad:
        statuses = ", ".join(str(status) for status in sorted({o.status for o in bad if o.status is not None}))
        quote = f"quote the request ids to support: {', '.join(ids)}." if ids else "they carry no request id: tell support the times."
        yield f"The application itself failed on {_told(bad, symptoms)} (status {statuses}); {quote}"


def _titles(bad: Sequence[Observation]) -> list[str]:
    """What the web pages that came call themselves."""
    titles = Counter(str(o.facts["title"]) for o in bad if o.facts.get("title"))
    return [f"the page calls itself '{title}'" for title, _ in titles.most_common(2)]


def _is_barrier(o: Observation) -> bool:
    """Whether the edge wants a browser to prove itself (Cloudflare: cf-mitigated), or a law or a network's login bars the way."""
    return bool(o.facts.get("barrier")) or str(o.facts.get("title", "")).startswith(CHALLENGES) or o.status in BARRING


def edge(symptoms: Symptoms) -> Iterator[Cause]:
    """Something before the application answers in its place: gateway errors, web pages; or, where nothing does, it holds calls up."""
    bad = _in_its_place(symptoms)
    if not bad:
        yield from [*_garbled(symptoms)] or _spoilt(symptoms)
        yield from _held(symptoms)
        return
    says = f"Something before the application answered {_told(bad, symptoms)} to {symptoms.instance} in its place."
    signs = [*_calls(bad), f"{sum(1 for o in bad if not o.request_id)} of {len(bad)} carry no request id, so never reached the application"]
    others = plural(len(symptoms.answered) - len(bad), "other request was", "other requests were")
    against = [f"{others} answered by the application"] if symptoms.identified else []
    signs += _titles(bad)
    advice = "Tell the vendor or whoever runs the load balancer or proxy, with the times; a job should wait and try later, not at once."
    if any(_is_barrier(o) for o in bad):
        advice = (
            "No job passes such a page: waiting does not help. Ask whoever runs the instance's edge, or the network you are in, to let "
            "calls with a token through, or call from another network."
        )
    yield Cause("edge", 0.95 if len(bad) > 1 else 0.75, says, argued(signs, against), advice)


def _in_its_place(symptoms: Symptoms) -> list[Observation]:
    """Gateway errors, and web pages where other answers are data of the application, or where all that ever came are pages of 403."""
    ids = symptoms.identified
    barred = not ids and not symptoms.good
    pages = [o for o in symptoms.seen if o.facts.get("html") and o.outcome in (Outcome.PROTOCOL_ERROR, Outcome.FORBIDDEN)]
    placed = [o for o in pages if (ids and not o.request_id) or o.call in symptoms.working or (barred and o.outcome is Outcome.FORBIDDEN)]
    barriers = [o for o in symptoms.seen if not o.ok and _is_barrier(o) and o not in placed]
    return symptoms.having(Outcome.GATEWAY_ERROR) + placed + barriers


def _spoilt(symptoms: Symptoms) -> Iterator[Cause]:
    """Answers whose status says that all is well and that hold no data."""
    bad = [o for o in symptoms.of_job if o.facts.get("unreadable")]
    if bad:
        good = sum(o.ok and not o.facts.get("unreadable") for o in symptoms.of_job)
        says = f"{_told(bad, symptoms)} to {symptoms.instance} were answered with status 200 and hold no data."
        kinds = Counter(str(o.facts["unreadable"]) for o in bad).most_common(3)
        signs = [*_calls(bad), *(f"{times(count)} {kind} came where JSON should have" for kind, count in kinds)]
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
        says = f"{_told(bad, symptoms)} to {symptoms.instance} brought what is no sound HTTP, or is packed otherwise than it says."
        against = [f"{plural(len(symptoms.good), 'other answer was', 'other answers were')} whole"] if symptoms.good else []
        advice = (
            "See what comes with curl -v, from another network too: a proxy or a compressor between may spoil it, or another service "
            f"answers at the port in the url of {symptoms.instance}."
        )
        errors = sorted({o.error for o in bad if o.error})[:3]
        yield Cause("edge", 0.8 if len(bad) > 1 else 0.6, says, argued([*_calls(bad), *errors], against), advice)


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
    """503 from the load balancer."""
    bad = [o for o in symptoms.having(Outcome.MAINTENANCE) if not _is_barrier(o)]
    if bad:
        says = f"{symptoms.instance} answered 503 to {_told(bad, symptoms)}: maintenance, or a refresh from production."
        advice = "Wait: two hours at most as a rule. Beta is overwritten each Saturday, test on the third Saturday of the month."
        waits = [o.retry_after_s for o in bad if o.retry_after_s is not None]
        signs = [*_calls(bad), *([f"it asks for {seconds(max(waits))} of patience (Retry-After)"] if waits else [])]
        yield Cause("maintenance", 0.97 if len(bad) > 1 else 0.85, says, argued(signs), advice)


def credentials(symptoms: Symptoms) -> Iterator[Cause]:
    """401 whose token is not good; another call that works with the same token speaks against it."""
    bad = symptoms.having(Outcome.UNAUTHORIZED)
    relevant = [o for o in bad if o.call in symptoms.job.calls] or (bad if not any(o.ok for o in symptoms.of_job) else [])
    if not relevant:
        return
    good = len(symptoms.good)
    again = _taken_again(symptoms, relevant)
    challenge = next((str(o.facts["challenge"]) for o in relevant if o.facts.get("challenge")), None)
    signs = [*_calls(relevant), *_sentences(relevant), *([f"WWW-Authenticate: {challenge}"] if challenge else [])]
    same = "without one" if symptoms.around.tokenless else "with the same token"
    against = [f"{plural(good, 'other call was', 'other calls were')} answered {same}"] if good else []
    if again:
        against.append(f"the very same call was answered {times(again)} after that: a token does not go bad and good again")
    sure = 0.6 if again else 0.8 if good else 0.98
    says, advice = _no_token(symptoms, relevant) if symptoms.around.tokenless else _bad_token(symptoms, relevant, at_times=again > 0)
    yield Cause("credentials", sure, says, argued(signs, against), advice)


def _taken_again(symptoms: Symptoms, refused: Sequence[Observation]) -> int:
    """How often a call of these was answered after the first refusal."""
    first_s, calls = min(o.due_s for o in refused), {o.call for o in refused}
    return sum(o.ok and o.due_s > first_s for o in symptoms.seen if o.call in calls)


def _no_token(symptoms: Symptoms, refused: Sequence[Observation]) -> tuple[str, str]:
    """(what it says, advice) where none is configured."""
    name = symptoms.instance
    return f"No token was sent to {name}: it answered 401 to {_told(refused, symptoms)}.", (
        f"Name where the token stands: token_env or token_file is missing at [instances.{name}] in probes.toml; without "
        "a configuration file it is the variable CANVAS_API_TOKEN."
    )


def _bad_token(symptoms: Symptoms, refused: Sequence[Observation], *, at_times: bool) -> tuple[str, str]:
    """(what it says, advice) where the token that was sent is refused, always or `at_times`."""
    says = f"{symptoms.instance} refused the token on {_told(refused, symptoms)} (401)"
    if at_times:
        return f"{says}, and took it on others of the same call.", (
            "Ask again before you make a new token: one of several servers, or something before them, does not know it or loses the "
            "Authorization header. Tell whoever runs the instance, with the times and request ids (observations.jsonl)."
        )
    return f"{says}.", "Make a new token on this very instance (Account > Settings); one made on beta or test vanishes at the next refresh."


def permission(symptoms: Symptoms) -> Iterator[Cause]:
    """The token is good and may not make the job's call."""
    bad = [o for o in symptoms.having(Outcome.FORBIDDEN) if o.call in symptoms.job.calls and not o.facts.get("html")]
    at_times = [o for o in bad if o.call in symptoms.working]
    if at_times:
        yield _refused_at_times(symptoms, at_times)
    always = [o for o in bad if o.call not in symptoms.working]
    if always:
        yield _refused_always(symptoms, always)


def _refused_always(symptoms: Symptoms, bad: Sequence[Observation]) -> Cause:
    """Calls that never were answered: for want of a permission, or of the scope of a developer key."""
    good = len(symptoms.good)
    kinds = len({o.call for o in bad})
    says = f"The token may not make {kinds} of the job's calls at {symptoms.instance}: {_told(bad, symptoms)} refused."
    signs = [*_calls(bad), *_sentences(bad)]
    if good:
        signs.append(f"the token itself is good: {plural(good, 'call was', 'calls were')} answered")
    advice = "Ask an administrator for the permission, or use the token of somebody who has it; trying again does not help."
    if any("scope" in str(o.facts.get("said", "")).lower() for o in bad):
        advice = (
            "The developer key of this token lacks the scope of this call, whatever its user may do: ask whoever keeps the key to "
            "add the scope, then make a new token with it, or use a token that a user made under Account > Settings."
        )
    return Cause("permission", 0.96 if good else 0.85, says, argued(signs), advice)


def _refused_at_times(symptoms: Symptoms, bad: Sequence[Observation]) -> Cause:
    """The very call that was refused was also answered: no permission does that."""
    good = sum(o.ok for o in symptoms.seen if o.call in {one.call for one in bad})
    says = f"{symptoms.instance} refused {_told(bad, symptoms)} for want of a permission that the same call has at other times."
    against = [f"the very same call was answered {times(good)}: a permission does not come and go"]
    advice = (
        "Ask again before you ask for a permission; tell the vendor the request ids (observations.jsonl): one of several servers, or "
        "something before them, refuses what the others allow."
    )
    return Cause("permission", 0.5, says, argued(_calls(bad), against), advice)


def no_user_agent(symptoms: Symptoms) -> Iterator[Cause]:
    """403 of the edge, which wants a User-Agent."""
    bad = symptoms.having(Outcome.NO_USER_AGENT)
    if bad:
        says = f"The edge of {symptoms.instance} refused {_told(bad, symptoms)} for want of a User-Agent."
        signs = [*_calls(bad), "this tool sends one, so something on the way takes it off"]
        advice = (
            "Let the job send a User-Agent that names it, and let the proxy leave it alone (hosted Canvas wants one since January 2026)."
        )
        yield Cause("no_user_agent", 0.98 if len(bad) > 1 else 0.9, says, argued(signs), advice)


def wrong_url(symptoms: Symptoms) -> Iterator[Cause]:
    """Paths that are not of this API, records that are not there, addresses that send elsewhere."""
    bad = _misdirected(symptoms)
    if not bad:
        return
    pages = sum(bool(o.facts.get("html")) for o in bad)
    nowhere = not symptoms.identified and not symptoms.working
    said = "were answered by a web page" + ("" if nowhere else ": the path is no part of the API")
    places = sorted({str(o.facts["location"]) for o in bad if o.facts.get("location")})
    signs = [*_calls(bad), *([f"{pages} {said}"] if pages else []), *_titles(bad), *(f"sent on to {place}" for place in places)]
    says = f"The address is wrong: {symptoms.instance} has nothing for it at {_told(bad, symptoms)}."
    advice = f"Ask what is wrong with it: probes explain '{bad[0].path}' -i {quoted(symptoms.instance)}"
    if nowhere and (pages or places):
        says, advice = _no_api(symptoms, bad, places)
    sure = 0.95 if pages or any(o.outcome is Outcome.REDIRECTED for o in bad) else 0.85
    yield Cause("wrong_url", sure, says, argued(signs), advice)


def _misdirected(symptoms: Symptoms) -> list[Observation]:
    """Calls of the job to which came that nothing is there, or a web page that no edge put in the place of data."""
    kinds = (Outcome.NOT_FOUND, Outcome.REDIRECTED, Outcome.CLIENT_ERROR)
    bad = [o for o in symptoms.of_job if o.outcome in kinds and o.status not in (*BARRING, OF_PROXY)]
    pages = [o for o in symptoms.of_job if o.outcome is Outcome.PROTOCOL_ERROR and o.facts.get("html")]
    return bad + [o for o in pages if o.call not in symptoms.working and (o.request_id or not symptoms.identified)]


def _no_api(symptoms: Symptoms, bad: Sequence[Observation], places: Sequence[str]) -> tuple[str, str]:
    """(what it says, advice) where nothing that came was of an application: another site, or a login page before it, on any path."""
    name = symptoms.instance
    if places:
        says = f"The address is wrong, or something on the way catches calls: {name} sent on {_told(bad, symptoms)} to {places[0]}."
        if "://" not in places[0]:
            return says, f"It is sent to no other site: open the url of {name} in a browser. A login page there: the path is no API's."
        return says, (
            f"If {places[0]} is where the instance lives now, write it into url of [instances.{name}]. If it is a login page of a network "
            "or a proxy, sign in there with a browser of this machine, then ask again."
        )
    says = f"No API answers at {name}: a web page came to {_told(bad, symptoms)}, and no data to any."
    return says, (
        f"Open the url of {name} in a browser of this machine. A login page of a proxy or a network: sign in there, or call from "
        "elsewhere. Another site: correct url in probes.toml. Canvas after all: the path is wrong, and probes explain says how."
    )
