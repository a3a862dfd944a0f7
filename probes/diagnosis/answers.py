"""Causes that the application's answers name: status, body, the server's own words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from probes.diagnosis.base import OF_PROXY, Cause, argued
from probes.diagnosis.signs import BARRING, by_call, is_downtime, of_no_application, sentences, share, titles
from probes.diagnosis.symptoms import Symptoms
from probes.observation import Observation, Outcome
from probes.wording import plural, quoted, times

OTHER_SCHEMES = ("basic", "digest", "negotiate", "ntlm")
"""How servers and proxies ask for another login than the token of an application (WWW-Authenticate)."""
LOGIN = re.compile(r"\b(?:login|logon|signin|sign_in|sso|saml2?|adfs|idp|cas|shibboleth|oauth2?|auth)\b", re.IGNORECASE)
"""Words in addresses of login pages."""
FORBIDDEN, QUOTED = 403, 3
"""The status of a refusal; and how many request ids are quoted of calls that failed."""


def inside(symptoms: Symptoms) -> Iterator[str]:
    """What to quote where the application itself failed: no cause of the list, and nobody but its owner can look there."""
    bad = [o for o in symptoms.of_job if o.outcome is Outcome.SERVER_ERROR and o.status not in BARRING]
    ids = list(dict.fromkeys(o.request_id for o in bad if o.request_id))[:QUOTED]
    if bad:
        statuses = ", ".join(str(status) for status in sorted({o.status for o in bad if o.status is not None}))
        quote = f"quote the request ids to support: {', '.join(ids)}." if ids else "they carry no request id: tell support the times."
        yield f"The application itself failed on {share(bad, symptoms)} (status {statuses}); {quote}"


def credentials(symptoms: Symptoms) -> Iterator[Cause]:
    """401 whose token is not good; another call that works with the same token speaks against it."""
    bad = symptoms.having(Outcome.UNAUTHORIZED)
    relevant = [o for o in bad if o.call in symptoms.job.calls] or (bad if not any(o.ok for o in symptoms.of_job) else [])
    if not relevant:
        return
    good = len(symptoms.good)
    again = _taken_again(symptoms, relevant)
    challenge = next((str(o.facts["challenge"]) for o in relevant if o.facts.get("challenge")), None)
    signs = [*by_call(relevant), *sentences(relevant), *([f"WWW-Authenticate: {challenge}"] if challenge else [])]
    same = "without one" if symptoms.around.tokenless else "with the same token"
    against = [f"{plural(good, 'other call was', 'other calls were')} answered {same}"] if good else []
    if again:
        against.append(f"the very same call was answered {times(again)} after that: a token does not go bad and good again")
    sure = 0.6 if again else 0.8 if good else 0.98
    says, advice = _no_token(symptoms, relevant) if symptoms.around.tokenless else _bad_token(symptoms, relevant, at_times=again > 0)
    if challenge and challenge.partition(" ")[0].lower() in OTHER_SCHEMES and not any(o.request_id for o in relevant):
        says, advice = _other_login(symptoms, relevant, challenge.partition(" ")[0])
    yield Cause("credentials", sure, says, argued(signs, against), advice)


def _taken_again(symptoms: Symptoms, refused: Sequence[Observation]) -> int:
    """How often a call of these was answered after the first refusal."""
    first_s, calls = min(o.due_s for o in refused), {o.call for o in refused}
    return sum(o.ok and o.due_s > first_s for o in symptoms.seen if o.call in calls)


def _no_token(symptoms: Symptoms, refused: Sequence[Observation]) -> tuple[str, str]:
    """(what it says, advice) where none is configured."""
    name = symptoms.instance
    return f"No token was sent to {name}: it answered 401 to {share(refused, symptoms)}.", (
        f"Name where the token stands: token_env or token_file is missing at [instances.{name}] in probes.toml; without "
        "a configuration file it is the variable CANVAS_API_TOKEN."
    )


def _other_login(symptoms: Symptoms, refused: Sequence[Observation], scheme: str) -> tuple[str, str]:
    """(what it says, advice) where a login of another kind stands before the application."""
    name = symptoms.instance
    return (
        f"{name} wants a user and a password ({scheme}) on {share(refused, symptoms)} (401): a web server or proxy before Canvas asks.",
        (
            "A new token does not help: what asks does not read tokens. Ask whoever runs the instance to let calls with a token past its "
            "login, or from which addresses it does."
        ),
    )


def _bad_token(symptoms: Symptoms, refused: Sequence[Observation], *, at_times: bool) -> tuple[str, str]:
    """(what it says, advice) where the token that was sent is refused, always or `at_times`."""
    says = f"{symptoms.instance} refused the token on {share(refused, symptoms)} (401)"
    if at_times:
        return f"{says}, and took it on others of the same call.", (
            "Ask again before you make a new token: one of several servers, or something before them, does not know it or loses the "
            "Authorization header. Tell whoever runs the instance, with the times and request ids (observations.jsonl)."
        )
    return f"{says}.", "Make a new token on this very instance (Account > Settings); one made on beta or test vanishes at the next refresh."


def permission(symptoms: Symptoms) -> Iterator[Cause]:
    """The token is good and may not make the job's call."""
    bad = [o for o in symptoms.having(Outcome.FORBIDDEN) if o.call in symptoms.job.calls and not o.facts.get("html")]
    bad = [o for o in bad if not (o.status == FORBIDDEN and of_no_application(symptoms, o))]
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
    says = f"The token may not make {kinds} of the job's calls at {symptoms.instance}: {share(bad, symptoms)} refused."
    signs = [*by_call(bad), *sentences(bad)]
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
    says = f"{symptoms.instance} refused {share(bad, symptoms)} for want of a permission that the same call has at other times."
    against = [f"the very same call was answered {times(good)}: a permission does not come and go"]
    advice = (
        "Ask again before you ask for a permission; tell the vendor the request ids (observations.jsonl): one of several servers, or "
        "something before them, refuses what the others allow."
    )
    return Cause("permission", 0.5, says, argued(by_call(bad), against), advice)


def no_user_agent(symptoms: Symptoms) -> Iterator[Cause]:
    """403 of the edge, which wants a User-Agent."""
    bad = symptoms.having(Outcome.NO_USER_AGENT)
    if bad:
        says = f"The edge of {symptoms.instance} refused {share(bad, symptoms)} for want of a User-Agent."
        signs = [*by_call(bad), "this tool sends one, so something on the way takes it off"]
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
    nowhere = not any(o.request_id or o.ok for o in symptoms.seen if o.facts.get("phase") != "health")
    said = "were answered by a web page" + ("" if nowhere else ": the path is no part of the API")
    places = sorted({str(o.facts["location"]) for o in bad if o.facts.get("location")})
    signs = [*by_call(bad), *([f"{pages} {said}"] if pages else []), *titles(bad), *(f"sent on to {place}" for place in places)]
    signs += sentences(bad)
    says = f"The address is wrong: {symptoms.instance} has nothing for it at {share(bad, symptoms)}."
    advice = f"Ask what is wrong with it: probes explain {quoted(bad[0].path)} -i {quoted(symptoms.instance)}"
    if all(o.outcome is Outcome.NOT_FOUND and o.request_id and not o.facts.get("html") for o in bad):
        says = f"What is asked for is not there: {symptoms.instance} knows the path and has no such record, on {share(bad, symptoms)}."
        advice = (
            "Check the id, and whether this is the instance that has it: beta and test know nothing that was made after their last "
            f"refresh, and what was deleted is gone. {advice}"
        )
    if nowhere and (pages or places):
        says, advice = _no_api(symptoms, bad, places)
    sure = 0.95 if pages or any(o.outcome is Outcome.REDIRECTED for o in bad) else 0.85
    yield Cause("wrong_url", sure, says, argued(signs), advice)


def _misdirected(symptoms: Symptoms) -> list[Observation]:
    """Calls of the job to which came that nothing is there, or a web page that no edge put in the place of data."""
    kinds = (Outcome.NOT_FOUND, Outcome.REDIRECTED, Outcome.CLIENT_ERROR)
    bad = [o for o in symptoms.of_job if o.outcome in kinds and o.status not in (*BARRING, OF_PROXY) and not is_downtime(o)]
    pages = [o for o in symptoms.of_job if o.outcome is Outcome.PROTOCOL_ERROR and o.facts.get("html") and not is_downtime(o)]
    return bad + [o for o in pages if o.call not in symptoms.working and (o.request_id or not symptoms.identified)]


def _no_api(symptoms: Symptoms, bad: Sequence[Observation], places: Sequence[str]) -> tuple[str, str]:
    """(what it says, advice) where nothing that came was of an application: another site, or a login page before it, on any path."""
    name = symptoms.instance
    if places and "://" in places[0] and LOGIN.search(places[0]):
        says = f"A login catches calls to {name}: it sent on {share(bad, symptoms)} to {places[0]}, and answered none."
        return says, (
            "The token never reached the API, and the path is not at fault: a single sign-on or a network's login before it wants a "
            f"browser. Ask whoever runs {name}, or the network you are in, to let calls to /api/v1 with a token past it."
        )
    if places:
        says = f"The address is wrong, or something on the way catches calls: {name} sent on {share(bad, symptoms)} to {places[0]}."
        if "://" not in places[0]:
            return says, f"It is sent to no other site: open the url of {name} in a browser. A login page there: the path is no API's."
        return says, (
            f"If {places[0]} is where the instance lives now, write it into url of [instances.{name}]. If it is a login page of a network "
            "or a proxy, sign in there with a browser of this machine, then ask again."
        )
    says = f"No API answers at {name}: a web page came to {share(bad, symptoms)}, and no data to any."
    return says, (
        f"Open the url of {name} in a browser of this machine. A login page of a proxy or a network: sign in there, or call from "
        "elsewhere. Another site: correct url in probes.toml. Canvas after all: the path is wrong, and probes explain says how."
    )
