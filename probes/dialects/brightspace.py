"""D2L Brightspace: credits in a window, told by X-Rate-Limit-Remaining and -Reset, the price in X-Request-Cost.

The names are Canvas's, the meaning is not: Remaining counts whole credits until Reset, and a refusal (429) carries only Retry-After.
"""

from __future__ import annotations

from probes.dialects.base import Dialect, Headers, ServerAccount
from probes.dialects.fields import delta_reset_s, number, retry_after_s
from probes.dialects.outcomes import plain_outcome
from probes.observation import Quota


def quota(headers: Headers) -> Quota:
    """Credits left, their price for this call, seconds until they are renewed."""
    return Quota(
        remaining=number(headers, "x-rate-limit-remaining", least=0.0),
        cost=number(headers, "x-request-cost", least=0.0),
        reset_s=delta_reset_s(headers, "x-rate-limit-reset"),
        retry_after_s=retry_after_s(headers),
    )


def server(headers: Headers) -> ServerAccount:
    """Brightspace tells nothing of its own time."""
    return ServerAccount(request_id=headers.get("x-request-id"))


DIALECT = Dialect(
    name="brightspace",
    title="D2L Brightspace",
    quota=quota,
    outcome=plain_outcome,
    server=server,
    self_path="/d2l/api/lp/1.31/users/whoami",
    list_path="/d2l/api/lp/1.31/enrollments/myenrollments/",
    page_size=None,
    paging="bookmark",
    health_path="/d2l/api/versions/",
    notes=(
        "Remaining counts credits in a window, it does not fill by itself before Reset.",
        "The size of a page cannot be chosen; the next page is asked for by the bookmark in the body.",
        "A refusal tells only Retry-After: what the budget was cannot be known from it.",
    ),
)
