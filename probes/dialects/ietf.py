"""The IETF's RateLimit fields: draft-ietf-httpapi-ratelimit-headers-11 (and 8 to 10), draft 7, drafts 0 to 6, the X-RateLimit habit.

Draft 11: `RateLimit-Policy: "day";q=1000;w=86400`, `RateLimit: "day";r=900;t=3600`; of several policies the tightest counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from probes.dialects.base import Dialect, Headers, ServerAccount
from probes.dialects.fields import GREATEST, LONGEST_S, detected_reset_s, number, plain_number, retry_after_s
from probes.dialects.outcomes import plain_outcome
from probes.observation import Outcome, Quota

_WINDOW = re.compile(r";\s*w=(\d+)", re.ASCII)


def quota(headers: Headers) -> Quota:
    """The newest form that the answer carries."""
    forms: tuple[tuple[str, Callable[[Headers], Quota | None]], ...] = (
        ("ratelimit", _of_items),
        ("ratelimit", _of_dictionary),
        ("ratelimit-remaining", lambda found: _of_fields(found, "ratelimit")),
        ("x-ratelimit-remaining", lambda found: _of_fields(found, "x-ratelimit")),
        ("x-rate-limit-remaining", lambda found: _of_fields(found, "x-rate-limit")),
    )
    for name, read in forms:
        if name in headers and (found := read(headers)) is not None:
            return found
    return Quota(retry_after_s=retry_after_s(headers))


def _of_items(headers: Headers) -> Quota | None:
    """Draft 8 and later: a list of named items."""
    items = [(name, table) for name, table in _structured(headers, "ratelimit", "list") if _quantity(table.get("r")) is not None]
    if not items:
        return None
    name, table = min(items, key=lambda item: _quantity(item[1]["r"]) or 0.0)
    policies = dict(reversed(_structured(headers, "ratelimit-policy", "list")))
    policy = policies.get(name, {})
    limit = _quantity(policy.get("q"))
    window = _quantity(policy.get("w"), LONGEST_S) if len(policies) == 1 else None  # of several another may bind in the long run
    return Quota(_quantity(table["r"]), None, limit, _quantity(table.get("t"), LONGEST_S), retry_after_s(headers), window)


def _of_dictionary(headers: Headers) -> Quota | None:
    """Draft 7: `limit=100, remaining=50, reset=5`."""
    table = {name: _quantity(item) for name, item in _structured(headers, "ratelimit", "dictionary")}
    if table.get("remaining") is None:
        return None
    reset = table.get("reset")
    reset = reset if (reset or 0.0) <= LONGEST_S else None
    return Quota(table["remaining"], None, table.get("limit"), reset, retry_after_s(headers), _window_s(headers, "ratelimit-policy"))


def _of_fields(headers: Headers, prefix: str) -> Quota:
    """Drafts 0 to 6: one field each; Limit may go on with its policies, `20, 20;w=60`."""
    limit = headers.get(f"{prefix}-limit", "").split(",")[0].split(";")[0]
    return Quota(
        remaining=number(headers, f"{prefix}-remaining", least=0.0),
        limit=plain_number(limit, least=0.0),
        reset_s=detected_reset_s(headers, f"{prefix}-reset"),
        retry_after_s=retry_after_s(headers),
        window_s=_window_s(headers, f"{prefix}-policy", f"{prefix}-limit"),
    )


def _window_s(headers: Headers, *names: str) -> float | None:
    """The length of the window by the first of these fields that names one, and no other: `100;w=60`."""
    for name in names:
        found = set(_WINDOW.findall(headers.get(name, "")))
        if found:
            return plain_number(found.pop(), 1.0, LONGEST_S) if len(found) == 1 else None
    return None


def _structured(headers: Headers, name: str, form: str) -> list[tuple[str, Any]]:
    """(name, parameters) of a list's items, (name, value) of a dictionary's members; empty when the field is not of that form."""
    import http_sf

    try:
        parsed: Any = http_sf.parse(headers.get(name, "").encode("ascii"), tltype=form)
        if form == "dictionary":
            return [(key, item[0]) for key, item in parsed.items()]
        return [(str(item[0]), item[1]) for item in parsed if isinstance(item, tuple)]
    except (ValueError, TypeError):
        return []


def _quantity(value: Any, greatest: float = GREATEST) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return float(value) if 0 <= value <= greatest else None


def outcome(status: int, headers: Headers, body: bytes) -> Outcome:
    """A refusal may carry any status: 429, or 403 and 503 with Retry-After or with nothing remaining."""
    if status in (403, 503) and (quota(headers).remaining == 0.0 or (status == 503 and _limited(headers) and "retry-after" in headers)):
        return Outcome.THROTTLED
    return plain_outcome(status, headers, body)


def _limited(headers: Headers) -> bool:
    return any(name.startswith(("ratelimit", "x-ratelimit", "x-rate-limit")) for name in headers)


def server(headers: Headers) -> ServerAccount:
    """A request's id is common, more is not."""
    return ServerAccount(request_id=headers.get("x-request-id"))


DIALECT = Dialect(
    name="ietf",
    title="any API with the IETF's RateLimit fields",
    quota=quota,
    outcome=outcome,
    server=server,
    self_path="/",
    list_path="/",
    page_size="per_page",
    paging="link",
    notes=("Which calls exist is not known: name them with --call.", "Retry-After, where it is given, counts before RateLimit."),
)
