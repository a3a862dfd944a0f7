"""What a status means where the dialect says nothing more exact."""

from __future__ import annotations

from collections.abc import Mapping

from probes.observation import Outcome

_BY_STATUS = {
    304: Outcome.OK,
    401: Outcome.UNAUTHORIZED,
    403: Outcome.FORBIDDEN,
    404: Outcome.NOT_FOUND,
    410: Outcome.NOT_FOUND,
    429: Outcome.THROTTLED,
    502: Outcome.GATEWAY_ERROR,
    503: Outcome.MAINTENANCE,
    504: Outcome.GATEWAY_ERROR,
}


def plain_outcome(status: int, headers: Mapping[str, str], body: bytes) -> Outcome:
    """The outcome by status alone; a web page in place of JSON on 2xx is a protocol error (a login page, a captive portal)."""
    if 200 <= status < 300:
        return Outcome.PROTOCOL_ERROR if is_page(headers, body) else Outcome.OK
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if 300 <= status < 400:
        return Outcome.REDIRECTED
    if 400 <= status < 500:
        return Outcome.CLIENT_ERROR
    return Outcome.GATEWAY_ERROR if 520 <= status <= 530 else Outcome.SERVER_ERROR


def is_page(headers: Mapping[str, str], body: bytes) -> bool:
    """Whether the answer is a web page rather than data."""
    kind = headers.get("content-type", "").lower()
    if "html" in kind:
        return True
    start = body[:200].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return "json" not in kind and start.startswith((b"<!doctype html", b"<html"))
