"""Canvas LMS: a leaky bucket per token, its level in X-Rate-Limit-Remaining, its price in X-Request-Cost.

Rules: `app/middleware/request_throttle.rb`, `lib/authentication_methods.rb`, `gems/request_context` of instructure/canvas-lms. Hosted
Canvas refuses with 429 since October 2025, older and self-hosted ones with 403 and the text "Rate Limit Exceeded".
"""

from __future__ import annotations

import re

from probes.dialects.base import Dialect, Headers, ServerAccount
from probes.dialects.fields import number, plain_number, retry_after_s, seconds
from probes.dialects.outcomes import plain_outcome
from probes.observation import Outcome, Quota

REFUSAL_TEXT = b"rate limit exceeded"
"""In lower case; what tells the throttle's 403 from that of a missing permission."""
USER_AGENT = re.compile(rb"user[ _-]?agent")
PERMISSION_SIGNS = (b"not authorized", b'"status":"unauthorized"', b"insufficient scopes", b"as_user_id", b"masquerade")
"""Texts of a 401 whose token is good: permission, scope and masquerading. They carry no WWW-Authenticate."""


def quota(headers: Headers) -> Quota:
    """Remaining may be negative (down to mark - maximum); a refusal carries no cost."""
    return Quota(
        remaining=number(headers, "x-rate-limit-remaining"),
        cost=number(headers, "x-request-cost", least=0.0),
        retry_after_s=retry_after_s(headers),
    )


def outcome(status: int, headers: Headers, body: bytes) -> Outcome:
    """How Canvas ended a request; `body` is the start of the answer's body."""
    text = body[:4096].lower()
    if status == 401:
        return _of_401(headers, text)
    if status == 403:
        return _of_403(headers, text)
    if status == 400 and _wants_user_agent(headers, text):
        return Outcome.NO_USER_AGENT
    if status == 503 and "x-request-context-id" in headers:
        return Outcome.SERVER_ERROR
    return plain_outcome(status, headers, body)


def _of_401(headers: Headers, text: bytes) -> Outcome:
    if "www-authenticate" in headers:
        return Outcome.UNAUTHORIZED
    known_user = "x-canvas-user-id" in headers
    return Outcome.FORBIDDEN if known_user or any(sign in text for sign in PERMISSION_SIGNS) else Outcome.UNAUTHORIZED


def _of_403(headers: Headers, text: bytes) -> Outcome:
    if REFUSAL_TEXT in text:
        return Outcome.THROTTLED
    return Outcome.NO_USER_AGENT if _wants_user_agent(headers, text) else Outcome.FORBIDDEN


def _wants_user_agent(headers: Headers, text: bytes) -> bool:
    """Whether the edge, which puts no request id on its answers, speaks of a User-Agent."""
    return "x-request-context-id" not in headers and USER_AGENT.search(text) is not None


def server(headers: Headers) -> ServerAccount:
    """X-Runtime, X-Request-Context-Id and the parts of X-Canvas-Meta: q in microseconds, u + y CPU, d database."""
    meta = meta_fields(headers.get("x-canvas-meta", ""))
    cpu = [value for value in (_of_meta(meta, "u"), _of_meta(meta, "y")) if value is not None]
    queue_us = _of_meta(meta, "q")
    return ServerAccount(
        server_time_s=seconds(headers, "x-runtime"),
        queue_s=None if queue_us is None else queue_us / 1e6,
        cpu_s=sum(cpu) if cpu else None,
        db_s=_of_meta(meta, "d"),
        request_id=(headers.get("x-request-context-id") or "").strip()[:100] or None,
    )


def meta_fields(text: str) -> dict[str, str]:
    """X-Canvas-Meta `key=value;key=value;` as a table; the first of a repeated key counts."""
    pairs = (part.partition("=") for part in text.split(";") if "=" in part)
    fields: dict[str, str] = {}
    for key, _, value in pairs:
        fields.setdefault(key.strip(), value.strip())
    return fields


def _of_meta(meta: dict[str, str], key: str) -> float | None:
    return plain_number(meta[key], least=0.0) if key in meta else None


DIALECT = Dialect(
    name="canvas",
    title="Canvas LMS",
    quota=quota,
    outcome=outcome,
    server=server,
    self_path="/api/v1/users/self",
    list_path="/api/v1/courses",
    page_size="per_page",
    paging="link",
    levels=True,
    health_path="/health_check.json",
    notes=("Remaining is the level of a bucket that fills by itself, 10 units a second by default; it also counts your calls in flight.",),
)
