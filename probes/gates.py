"""A Limiter before other people's HTTP clients: httpx transports, sync and async. `adapter` is the one before requests."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import httpx

from probes.errors import UsageError

if TYPE_CHECKING:
    from probes.limiter import Limiter

REFUSAL_TEXT = b"Rate Limit Exceeded"
STRANGE = 3
"""After so many answers without a header a host keeps no bucket, where another one does."""
GAVE_UP = frozenset({502, 503, 504})
"""A gateway's answers, behind which the application may go on with the call."""


class Door:
    """What all gates do with answers; hosts that never speak of a bucket, while another does, go past it: where files lie, say."""

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter
        self._bare: Counter[str] = Counter()
        self._telling: set[str] = set()

    def passes_by(self, host: str) -> bool:
        """Whether calls to `host` need no ticket."""
        return bool(self._telling) and host not in self._telling and self._bare[host] >= STRANGE

    def passed(self, host: str, status: int, headers: Mapping[str, str]) -> None:
        """An answer that went past the gate: a host that speaks of a bucket after all, or refuses, needs tickets from now on."""
        if headers.get("x-rate-limit-remaining") is not None:
            self._telling.add(host)
        elif status == 429:
            self._bare[host] = 0

    def answered(self, ticket: int, host: str, seconds: float, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Books an answer that took `seconds`. One without a header, but from a gateway that gave up, is of a call that is over."""
        told = budget(headers)
        if told["remaining"] is not None:
            self._telling.add(host)
        refused = is_refusal(status, body)
        if told["remaining"] is None and told["cost"] is None and not refused:
            self._bare[host] += status < 400  # errors are told by whatever stands before an application
            told["cost"] = seconds if status not in GAVE_UP else None
        strange = refused and bool(self._telling) and host not in self._telling
        self._limiter.release(ticket, told["cost"], told["remaining"], refused and not strange, told["retry_after_s"])


class _SyncGate(httpx.BaseTransport):
    def __init__(self, limiter: Limiter, inner: httpx.BaseTransport) -> None:
        self._limiter = limiter
        self._inner = inner
        self._door = Door(limiter)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self._door.passes_by(request.url.host):
            response = self._inner.handle_request(request)
            self._door.passed(request.url.host, response.status_code, response.headers)
            return response
        ticket = self._limiter.acquire()
        sent_s = time.monotonic()
        try:
            response = self._inner.handle_request(request)
            if response.status_code == 403 and not response.is_stream_consumed:
                response = _unread(response, b"".join(response.iter_raw()))
            body = _body(response)
        except BaseException:
            self._limiter.release(ticket, lost=True)
            raise
        self._door.answered(ticket, request.url.host, time.monotonic() - sent_s, response.status_code, response.headers, body)
        return response

    def close(self) -> None:
        self._inner.close()


class _AsyncGate(httpx.AsyncBaseTransport):
    def __init__(self, limiter: Limiter, inner: httpx.AsyncBaseTransport) -> None:
        self._limiter = limiter
        self._inner = inner
        self._door = Door(limiter)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._door.passes_by(request.url.host):
            response = await self._inner.handle_async_request(request)
            self._door.passed(request.url.host, response.status_code, response.headers)
            return response
        ticket = await self._limiter.acquire_async()
        sent_s = time.monotonic()
        try:
            response = await self._inner.handle_async_request(request)
            if response.status_code == 403 and not response.is_stream_consumed:
                response = _unread(response, b"".join([part async for part in response.aiter_raw()]))
            body = _body(response)
        except BaseException:
            self._limiter.release(ticket, lost=True)
            raise
        self._door.answered(ticket, request.url.host, time.monotonic() - sent_s, response.status_code, response.headers, body)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


def _unread(response: httpx.Response, body: bytes) -> httpx.Response:
    """The same answer with its `body` still to be read, raw or decoded, as from a transport without a gate."""
    return httpx.Response(response.status_code, headers=response.headers, stream=httpx.ByteStream(body), extensions=response.extensions)


def _body(response: httpx.Response) -> bytes:
    """The decoded body of a 403, which stays unread; nothing of other answers."""
    if response.status_code != 403:
        return b""
    if response.is_stream_consumed:
        return response.content
    raw = b"".join(response.stream) if isinstance(response.stream, httpx.SyncByteStream) else b""
    try:
        return httpx.Response(403, headers=response.headers, content=raw).content
    except httpx.DecodingError:  # whoever reads the answer will meet it
        return raw


def sync_transport(limiter: Limiter, inner: httpx.BaseTransport | None = None, **options: Any) -> httpx.BaseTransport:
    """`inner` (default: httpx.HTTPTransport with `options`) behind the gate. Raises UsageError for both."""
    _refuse_both(inner, options)
    return _SyncGate(limiter, inner or httpx.HTTPTransport(**options))


def async_transport(limiter: Limiter, inner: httpx.AsyncBaseTransport | None = None, **options: Any) -> httpx.AsyncBaseTransport:
    """`inner` (default: httpx.AsyncHTTPTransport with `options`) behind the gate. Raises UsageError for both."""
    _refuse_both(inner, options)
    return _AsyncGate(limiter, inner or httpx.AsyncHTTPTransport(**options))


def _refuse_both(inner: object, options: Mapping[str, Any]) -> None:
    if inner is not None and options:
        raise UsageError(f"{', '.join(options)}: options go to httpx's own transport; give them to the inner one instead.")


def is_refusal(status: int, body: bytes) -> bool:
    """Whether an answer is the throttle's: 429, or the older 403 that says so in its text."""
    return status == 429 or (status == 403 and REFUSAL_TEXT.lower() in body.lower())


def budget(headers: Mapping[str, str]) -> dict[str, float | None]:
    """`cost`, `remaining` and `retry_after_s` of an answer as `Limiter.release` takes them; None for what is absent or no number."""
    return {
        "cost": _number(headers.get("x-request-cost")),
        "remaining": _number(headers.get("x-rate-limit-remaining")),
        "retry_after_s": _seconds(headers.get("retry-after")),
    }


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _seconds(text: str | None) -> float | None:
    """Retry-After: seconds, or a date (RFC 9110, 10.2.3)."""
    seconds = _number(text)
    if seconds is not None or text is None:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
