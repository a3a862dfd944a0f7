"""One statement with evidence, severity and advice, of a closed list of kinds; `judge` makes them from what was seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from probes.observation import Observation
from probes.rules import causes as causes_rules
from probes.rules import comparison, endpoints, enrollment, latency, pagination, queue, reach, throttling, vocabulary
from probes.rules.base import Finding, Severity, View

__all__ = ["KINDS", "RULES", "Finding", "Severity", "View", "judge"]

KINDS: dict[str, str] = {
    # reach
    "no_answer": "no request brought an answer",
    "credentials": "the token was refused (401)",
    "no_user_agent": "refused for want of a User-Agent, before Canvas",
    "permission": "calls that this token may not make",
    "redirected": "sent elsewhere; the token does not follow",
    "wrong_url": "a web page came in place of JSON",
    "maintenance": "503: maintenance or a refresh",
    "server_errors": "500, 502, 504 and the like",
    "connections_lost": "connections broke before a whole answer came",
    "answers": "it answers, who the token is, which revision",
    "certificate_ends": "its certificate ends soon",
    "kind_differs": "its host name looks like another kind than configured",
    # latency and timeouts
    "latency": "how long a call takes",
    "slow": "a call takes more than 2 s in the median",
    "stalls": "a few calls take far longer than the others",
    "two_speeds": "a call takes either of two times",
    "changed": "a call became slower or quicker while it was measured",
    "own_wait": "our own side held calls back",
    "queue_share": "time in the instance's own queue",
    "cold_connection": "what a new connection costs",
    "timeouts": "which waits ran out, how often",
    "timeout_to_set": "the timeout that the tail of the times suggests",
    "slow_but_alive": "timeouts while its health page answers",
    "dead": "timeouts, and the health page does not answer either",
    "refresh_day": "timeouts on a day of refresh or maintenance",
    # throttling
    "safe_rate": "how fast a job may go, with odds and n",
    "bound_by_latency": "the server slows down before the bucket fills",
    "contradicted": "a load met a refusal where none was to come",
    "rate_unknown": "the data carry no safe rate",
    "refused": "calls were refused for the rate limit",
    "window_counter": "it counts calls in a window",
    "wrong_dialect": "budget headers of another dialect than the configured one",
    "no_budget_headers": "its level cannot be seen",
    "unthrottled": "no sign of a limit up to the ceilings",
    "not_enforced": "it counts but does not refuse",
    "blocked": "every call of the token is refused",
    "shared_token": "another job uses the token",
    # pagination
    "page_size": "default and greatest page size",
    "page_size_unknown": "no page size shows",
    "page_clamped": "less than asked for, without an error",
    "bookmarks": "pages are not numbered",
    "no_last": "rel=last is missing",
    "pages_cut": "a full page that names no next one, though there is more",
    "circular_next": "a page names itself as the next one",
    "foreign_next": "next links lead to another origin",
    "empty_beyond": "a page beyond the end is empty",
    "best_page_size": "the page size with the least time an item",
    "no_list": "the call answers with no list",
    # queue
    "queue_wait": "how long past imports waited",
    "no_imports": "no import tells its wait",
    "queue_empty": "nothing waits now",
    "backlog": "who waits now, and the wait to expect",
    "import_stuck": "an import that hangs, or that nothing takes up",
    "import_failed": "past imports that did not end well",
    "import_place": "where the import asked about stands",
    "queue_unreadable": "the queue cannot be read",
    "progress": "a background job that was followed",
    # endpoints
    "ladder": "the calls by what they cost",
    "dear_call": "a call that is slow by itself, or costs much of the bucket",
    "slow_first": "a call that is slow the first time only",
    "endpoint_unanswered": "calls that brought no whole answer",
    "endpoint_missing": "calls that cannot be asked",
    # enrollment
    "observer_no_mail": "a registered observer never gets the mail",
    "mail_stopped": "a condition that stops the mail",
    "condition_unknown": "a condition that could not be read",
    "mail_would_go": "nothing that was read stops the mail",
    "mail_unknown": "course or user could not be read",
    "enrollment_unchecked": "there was nothing to check: no course, no such type",
    # vocabulary
    "undocumented_value": "known to the source, not to the documentation",
    "unknown_value": "known to neither",
    "words_known": "all values are documented",
    "hidden_value": "a value that lists hide",
    "values_unread": "lists of values that could not be read",
    "nothing_seen": "the lists that were read are empty",
    # comparison
    "differs": "one instance is slower than another",
    "no_difference": "no difference that n can show",
    "not_comparable": "too few pairs were answered by both",
    "compare_with_care": "revision, data or failures differ",
    "capacity_sign": "one call at a time queues already",
    # diagnosis
    "cause": "why such a job is slow, stalls or fails",
    "no_cause": "a diagnosis that found nothing",
}
"""The closed list of kinds and what each means."""

RULES: tuple[Callable[[View], Iterable[Finding]], ...] = (
    causes_rules.judge,
    reach.judge,
    throttling.judge,
    comparison.judge,
    latency.judge,
    enrollment.judge,
    queue.judge,
    pagination.judge,
    endpoints.judge,
    vocabulary.judge,
)


def judge(
    observations: Iterable[Observation],
    *,
    rates: Sequence[Mapping[str, Any]] = (),
    comparisons: Sequence[Mapping[str, Any]] = (),
    causes: Sequence[Mapping[str, Any]] = (),
    facts: Mapping[str, Any] | None = None,
) -> list[Finding]:
    """What there is to say of a run, the gravest first, else in the order of the rules; pure.

    `rates`: `calls` of `probes.rate/1` with "instance"; `comparisons`: `pairs` of `probes.compare/1`; `causes`: `instances` of
    `probes.diagnosis/1`; `facts`: the manifest.
    """
    view = View(list(observations), rates, comparisons, causes, facts or {})
    found = [finding for rule in RULES for finding in rule(view)]
    assert all(finding.kind in KINDS for finding in found)
    return sorted(found, key=lambda finding: -finding.severity.rank)
