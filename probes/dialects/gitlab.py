"""GitLab: requests a minute per user or address, told by RateLimit-Limit, -Observed, -Remaining, -Reset (an instant since 1970).

Source: docs.gitlab.com, "User and IP rate limits", response headers. The names are the IETF's, Reset is not.
"""

from __future__ import annotations

from probes.dialects.base import Dialect, Headers, ServerAccount
from probes.dialects.fields import epoch_reset_s, number, retry_after_s, seconds
from probes.dialects.outcomes import plain_outcome
from probes.observation import Quota


def quota(headers: Headers) -> Quota:
    """Requests left in the window."""
    return Quota(
        remaining=number(headers, "ratelimit-remaining", least=0.0),
        limit=number(headers, "ratelimit-limit", least=0.0),
        reset_s=epoch_reset_s(headers, "ratelimit-reset"),
        retry_after_s=retry_after_s(headers),
    )


def server(headers: Headers) -> ServerAccount:
    """X-Runtime and the request's id."""
    return ServerAccount(server_time_s=seconds(headers, "x-runtime"), request_id=headers.get("x-request-id"))


DIALECT = Dialect(
    name="gitlab",
    title="GitLab",
    quota=quota,
    outcome=plain_outcome,
    server=server,
    self_path="/api/v4/user",
    list_path="/api/v4/projects",
    page_size="per_page",
    paging="link",
    health_path="/-/readiness",
    notes=("The fields are sent only where the operator switched the limit on.",),
)
