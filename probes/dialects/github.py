"""GitHub: calls an hour per token and resource; refused with 403 or 429, at once also for too many in parallel (secondary limits).

Source: docs.github.com, "Rate limits for the REST API" and "Troubleshooting the REST API".
"""

from __future__ import annotations

from probes.dialects.base import Dialect, Headers, ServerAccount
from probes.dialects.fields import epoch_reset_s, number, retry_after_s, seconds
from probes.dialects.outcomes import plain_outcome
from probes.observation import Outcome, Quota


def quota(headers: Headers) -> Quota:
    """Calls left in the hour; Reset is an instant in seconds since 1970."""
    return Quota(
        remaining=number(headers, "x-ratelimit-remaining", least=0.0),
        limit=number(headers, "x-ratelimit-limit", least=0.0),
        reset_s=epoch_reset_s(headers, "x-ratelimit-reset"),
        retry_after_s=retry_after_s(headers),
    )


def outcome(status: int, headers: Headers, body: bytes) -> Outcome:
    """A 403 is a refusal when nothing remains, when it asks to wait, or when it says so."""
    text = body[:4096].lower()
    if status == 403:
        if b"user-agent" in text or b"user agent" in text:
            return Outcome.NO_USER_AGENT
        if quota(headers).remaining == 0.0 or "retry-after" in headers or b"rate limit" in text:
            return Outcome.THROTTLED
    return plain_outcome(status, headers, body)


def server(headers: Headers) -> ServerAccount:
    """GitHub tells its request's id and, on some endpoints, its time in X-Runtime-Rack."""
    return ServerAccount(server_time_s=seconds(headers, "x-runtime-rack"), request_id=headers.get("x-github-request-id"))


DIALECT = Dialect(
    name="github",
    title="GitHub",
    quota=quota,
    outcome=outcome,
    server=server,
    self_path="/user",
    list_path="/user/repos",
    page_size="per_page",
    paging="link",
    health_path="/zen",
    accept="application/vnd.github+json",
    notes=("Secondary limits (calls in parallel, CPU time a minute) are not told by any header: they show only as refusals.",),
)
