"""Anthology Blackboard Learn: calls in 24 hours for a whole application, told by X-Rate-Limit-Limit, -Remaining and -Reset.

Its documents contradict themselves on the form of Reset (seconds, milliseconds, an instant): it is detected, against a window of a day.
"""

from __future__ import annotations

from probes.dialects.base import Dialect, Headers, ServerAccount
from probes.dialects.fields import detected_reset_s, number, retry_after_s
from probes.dialects.outcomes import plain_outcome
from probes.observation import Outcome, Quota

DAY_S = 86400.0


def quota(headers: Headers) -> Quota:
    """Calls left of those a day."""
    return Quota(
        remaining=number(headers, "x-rate-limit-remaining", least=0.0),
        limit=number(headers, "x-rate-limit-limit", least=0.0),
        reset_s=detected_reset_s(headers, "x-rate-limit-reset", DAY_S),
        retry_after_s=retry_after_s(headers),
    )


def outcome(status: int, headers: Headers, body: bytes) -> Outcome:
    """How a refusal looks is not documented: 429, or 403 when nothing remains."""
    if status == 403 and quota(headers).remaining == 0.0:
        return Outcome.THROTTLED
    return plain_outcome(status, headers, body)


def server(headers: Headers) -> ServerAccount:
    """Blackboard tells its request's id only."""
    return ServerAccount(request_id=headers.get("x-request-id") or headers.get("x-blackboard-request-id"))


DIALECT = Dialect(
    name="blackboard",
    title="Blackboard Learn",
    quota=quota,
    outcome=outcome,
    server=server,
    self_path="/learn/api/public/v1/users/me",
    list_path="/learn/api/public/v3/courses",
    page_size="limit",
    paging="next_page",
    health_path="/learn/api/public/v1/system/version",
    notes=(
        "The limit is per application and day, over all users: a probe spends what the application's other users need.",
        "How a refusal looks is not documented; 429, and 403 with nothing remaining, count as one.",
    ),
)
