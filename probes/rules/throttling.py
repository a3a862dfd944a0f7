"""What the throttle allows: the safe rate with its odds and n, or why there is none to tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from probes.buckets import contradicted
from probes.calls import asked_by
from probes.observation import Observation, Outcome
from probes.rules.base import Document, Finding, Severity, View
from probes.wording import percent, plural, quoted, rounded_down

REGIMES = {
    "unthrottled": (
        "unthrottled",
        Severity.INFO,
        "showed no sign of a limit up to the ceilings of this run",
        "Keep to the ceilings all the same: what was not tried is not known.",
    ),
    "not_enforced": (
        "not_enforced",
        Severity.WARNING,
        "counts but does not enforce: Remaining falls below the limit while calls are answered",
        "Pace the job as if it did: the switch is the administrator's, and production has it on.",
    ),
    "blocked": (
        "blocked",
        Severity.ERROR,
        "refuses every call of this token: Remaining is forced to 0",
        "The token stands on a block list: ask the administrator or the vendor.",
    ),
}
BOUNDS = {
    "outflow": "what the bucket leaks binds",
    "reservations": "what calls in flight reserve binds",
    "latency": "the server slows down before the bucket fills",
    "ceiling": "the ceiling of the configuration binds",
    "refusals": "known from refusals alone",
}
REMEDIES = {
    "no_answer": "No call was answered as asked; ask why: probes diagnose -i {name} {call}",
    "unanswered_calls": "Mend these calls, or ask without them.",
    "credentials_ended": "Make a new token, then ask again: how long a token lasts is set where it is made.",
    "maintenance": "Ask again when it is over: windows last two hours at most as a rule.",
    "failing": "Ask why calls fail, then for the rate again: probes diagnose -i {name}",
    "headers_ended": "Look at what stands between: a proxy or an edge that drops headers, or answers from a cache.",
    "counts_down": "Name its dialect in the configuration (probes list names them); until then send no more than Remaining says is left.",
    "rate_unclear": "Send through probes.Limiter, which follows the level and needs no rate; a greater --budget narrows what is known.",
    "failed_unseen": "Ask again when calls no longer fail; why they do: probes diagnose.",
    "shared_token": "Ask again with a token that no other job uses.",
    "unforeseen_refusals": "Ask again when nothing else runs with this token; on a network with much jitter, ask from nearer by.",
    "other_limit": "Ask whoever runs what stands in front for its limit, set max_rate of the instance below that, and ask again.",
    "delayed": "Ask from a machine and over a network that hold no answers up; which of them does: probes diagnose.",
    "remaining_jumps": "Ask again: the limit may stand now; where several servers answer by turns, none of them can be told.",
    "queueing": "Its capacity binds before its limit: send one call after another, and see probes diagnose.",
    "timeouts": "Raise timeout_s of the instance until calls come back, or ask why they do not: probes diagnose.",
    "limit_changed": "Ask again when the limit stands, with a token that no other job uses.",
    "unexplained_refusals": "Ask whoever runs it for its limits; until then go one by one, and wait as long as Retry-After says.",
    "refusals_spent": "Ask whoever runs it for its limits; until then go one by one, and wait as long as Retry-After says.",
    "still_counter": "Ask whoever runs it for its limits; until then go one by one, and wait as long as Retry-After says.",
    "refusals_ended": "Ask again when nothing else runs with this token; until then go one by one.",
    "no_overlap": "Allow more in flight, a higher rate or a greater --budget, or ask with a call of about a second.",
    "no_reservation": "Go one by one, and watch X-Rate-Limit-Remaining: what calls cost must not exceed what drains.",
    "headers_missing": "Look at what stands between: a proxy or an edge that drops headers, or answers from a cache.",
    "cost_missing": "Its cost header cannot be used: go carefully, with few calls at one time, and watch X-Rate-Limit-Remaining.",
}
"""What to do by the kind of a sign, where no safe rate could be told."""
ENDINGS = frozenset({"credentials_ended", "maintenance", "failing", "headers_ended", "refusals_ended", "stopped"})
"""Signs that say why asking stopped: beside a rate that is told they are evidence of how far it was asked for."""


def judge(view: View) -> Iterator[Finding]:
    """One finding a call and instance from the rates, then refusals seen anywhere, then headers that never came."""
    for rate in view.rates:
        probed = view.of(str(rate.get("instance", "")), "throttling")
        yield from _rate(rate, in_vain=bool(probed) and not any(o.ok for o in probed))
    for name, seen in view.each():
        yield from _foreign(name, seen)
    yield from _counters(view)
    for name, seen in view.each():
        refused = _unwanted(seen, view.rates, name)
        yield from _refusals(name, refused, len(seen), asked=any(rate.get("instance") == name for rate in view.rates))
        if not refused:
            yield from _unseen(name, [o for o in view.of(name, "throttling") if o.status is not None])


def _counters(view: View) -> Iterator[Finding]:
    """Of each instance what is told of a window counter, once."""
    told = ((str(rate.get("instance", "")), _counter(rate)) for rate in view.rates)
    advice = "Send no more than is left, then wait for the reset, or spread it over the time until then; probes.Limiter follows buckets."
    for name, says in dict.fromkeys(told):
        if says is not None:
            yield Finding("window_counter", Severity.INFO, name, f"At {name} {says}", (), advice)


def _refusals(name: str, refused: Sequence[Observation], n: int, *, asked: bool) -> Iterator[Finding]:
    """Refusals among `n` requests that nobody wanted; `asked` is whether a rate was asked for."""
    if refused:
        kinds = ", ".join(sorted({o.scenario for o in refused}))
        says = f"{name} refused {len(refused)} of {plural(n, 'request')} for its rate limit (while asking {kinds})."
        advice = "Pace by the live headers (probes.Limiter)" + ("." if asked else f"; how fast is safe: probes rate -i {quoted(name)}")
        yield Finding("refused", Severity.WARNING, name, says, (), advice)


def _unseen(name: str, probed: Sequence[Observation]) -> Iterator[Finding]:
    """Budget headers that never came."""
    if probed and all(o.remaining is None and "budget_of" not in o.facts for o in probed):
        none = f"{name} sends no budget header on any of {plural(len(probed), 'answer')}"
        says = f"{_unread(name, probed) or none}: its level cannot be seen."
        advice = f"Its limit shows by refusals only: probes rate -i {quoted(name)} finds it with few of them, where load is allowed."
        yield Finding("no_budget_headers", Severity.INFO, name, says, (), advice)


def _unread(name: str, probed: Sequence[Observation]) -> str | None:
    """Which header is there and is no number."""
    if not any("budget_unread" in o.facts for o in probed):
        return None
    from probes.signatures import unread_header  # as in _foreign

    unread = unread_header(probed)
    return None if unread is None else f"At {name} {unread}"


def _foreign(name: str, seen: Sequence[Observation]) -> Iterator[Finding]:
    """Budget headers that another dialect reads."""
    if not any("budget_of" in o.facts for o in seen):
        return
    from probes.foreign import dialect_of, foreign_budget  # what it rests on is heavy, and seldom needed

    sign = foreign_budget(seen)
    if sign is not None:
        advice = f'Set dialect = "{dialect_of(seen)}" in [instances.{name}], then ask again.'
        yield Finding("wrong_dialect", Severity.WARNING, name, f"At {name} {sign.says}", (), advice)


def _unwanted(seen: Sequence[Observation], rates: Sequence[Document], name: str) -> list[Observation]:
    """The refusals, but for those that `--confirm` went beyond the estimate for: they show that the limit is real."""
    confirmed = [rate.get("confirmed") for rate in rates if rate.get("instance") == name]
    beyond = [one.get("beyond") for one in confirmed if isinstance(one, Mapping)]
    wanted = sum(int(one.get("refused") or 0) for one in beyond if isinstance(one, Mapping))
    refused = [o for o in seen if o.outcome is Outcome.THROTTLED]
    confirming = [o for o in refused if o.scenario == "confirm"]
    return [o for o in refused if o.scenario != "confirm"] + confirming[: max(0, len(confirming) - wanted)]


def _rate(rate: Document, *, in_vain: bool = False) -> Iterator[Finding]:
    name, call, regime = str(rate.get("instance", "")), rate.get("call", ""), str(rate.get("regime", ""))
    if _counter(rate) is not None or _shows(rate, "wrong_dialect"):
        return
    if (said := contradicted(rate)) is not None:
        yield _contradicted(name, str(call), said)
        return
    if regime in REGIMES:
        kind, severity, what, advice = REGIMES[regime]
        yield Finding(kind, severity, name, f"{name} {what}.", (f"call '{call}'",), advice)
    safe = rate.get("safe") or {}
    number = safe.get("rate_per_s") if isinstance(safe, Mapping) else None
    if isinstance(number, Mapping) and number.get("low") is not None:
        yield _safe(name, str(call), rate, safe, number)
    elif not safe and regime in ("headers", "refusals"):
        says = f"The data of {name} carry no safe rate for '{call}'."
        why = tuple(str(sign.get("says", "")) for sign in _signs(rate))
        yield Finding("rate_unknown", Severity.WARNING, name, says, why, _remedy(rate, name, str(call), in_vain=in_vain))
    for sign in _signs(rate):
        if sign.get("kind") == "shared_token":
            advice = "Use a token of its own for this job: each token has its own bucket."
            yield Finding("shared_token", Severity.WARNING, name, str(sign.get("says", "")), (), advice)


def _contradicted(name: str, call: str, said: str) -> Finding:
    advice = f"Measure again: probes rate -i {quoted(name)} --confirm. Was another job on the token, or did the limit change meanwhile?"
    says = f"What was found safe for '{call}' at {name} is not: {said} when it was tried."
    return Finding("contradicted", Severity.ERROR, name, says, (), advice)


def _signs(rate: Document) -> list[Mapping[str, Any]]:
    return [sign for sign in rate.get("signs") or () if isinstance(sign, Mapping)]


def _shows(rate: Document, kind: str) -> bool:
    return any(sign.get("kind") == kind for sign in _signs(rate))


def _counter(rate: Document) -> str | None:
    """What is told of a window counter, which has no bucket to find."""
    return next((str(sign.get("says", "")) for sign in _signs(rate) if sign.get("kind") == "window_counter"), None)


def _remedy(rate: Document, name: str, call: str, *, in_vain: bool) -> str:
    """What to do where no rate can be told: more calls help only where the answers are good and too few."""
    if in_vain:
        return f"No call was answered as asked; ask why: probes diagnose -i {quoted(name)}"
    signs = {str(sign.get("kind")) for sign in _signs(rate)}
    told = [words.format(name=quoted(name), call=asked_by(call)) for kind, words in REMEDIES.items() if kind in signs]
    more = f"Spend more calls on it by a greater --budget: probes rate -i {quoted(name)} {asked_by(call, '--calls-file FILE')}"
    return told[0] if told else more


def _safe(name: str, call: str, rate: Document, safe: Mapping[str, Any], number: Mapping[str, Any]) -> Finding:
    bound, together = str(safe.get("bound_by")), safe.get("in_flight")
    met = rate.get("regime") != "unthrottled"
    says = _promise(name, call, safe, number) if met else _tried(name, call, safe, number)
    says = " ".join([says, *(str(sign.get("says", "")) for sign in _signs(rate) if met and sign.get("kind") == "untried")])
    constants = (_constant(key, value) for key, value in (rate.get("bucket") or {}).items() if isinstance(value, Mapping))
    evidence = (*constants, *(str(sign.get("says", "")) for sign in _signs(rate) if sign.get("kind") in ENDINGS))
    keep = f"keep to {plural(together, 'worker')}" if together else "to that rate with pauses: no worker may go without one"
    planned = "; probes plan RUN --calls N says how long it takes" if met else ""
    severity = Severity.WARNING if bound == "latency" else Severity.INFO
    kind = "bound_by_latency" if bound == "latency" else "safe_rate"
    return Finding(kind, severity, name, says, evidence, f"Send through probes.Limiter, or {keep}{planned}.")


def _promise(name: str, call: str, safe: Mapping[str, Any], number: Mapping[str, Any]) -> str:
    """What is safe, and with which odds."""
    bound, odds, job = str(safe.get("bound_by")), float(safe.get("odds", 0.05)), int(safe.get("job_calls", 1000))
    together = f", or with {safe['in_flight']} in flight" if safe.get("in_flight") else ""
    return (
        f"'{call}' is safe at {name} up to {rounded_down(number['low'])} a second (best estimate {number['value']:.3g}){together}: a job "
        f"of {plural(job, 'call')} then meets a refusal with odds of {percent(odds)}; {BOUNDS.get(bound, bound)}; n = {number.get('n')}."
    )


def _tried(name: str, call: str, safe: Mapping[str, Any], number: Mapping[str, Any]) -> str:
    """What passed where no limit was met: nothing is known of more."""
    together = f" and with {safe['in_flight']} in flight" if safe.get("in_flight") else ""
    rate = rounded_down(number["low"])
    return f"'{call}' passed at {name} at {rate} a second{together}, no faster was tried; none refused of n = {number.get('n')}."


def _constant(key: str, value: Mapping[str, Any]) -> str:
    return f"{key} {value['value']:g} ({value['low']:g} to {value['high']:g}, n = {value['n']})"
