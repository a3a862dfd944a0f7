"""A Limiter before other people's HTTP clients: httpx transports (sync and async) and a requests adapter."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from probes.limiter import Limiter

REFUSAL_TEXT = b"Rate Limit Exceeded"


class _SyncGate(httpx.BaseTransport):
    def __init__(self, limiter: Limiter, inner: httpx.BaseTransport) -> None:
        self._limiter = limiter
        self._inner = inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        ticket = self._limiter.acquire()
        try:
            response = self._inner.handle_request(request)
            if response.status_code == 403 and not response.is_stream_consumed:
                response = _unread(response, b"".join(response.iter_raw()))
            refused = is_refusal(response.status_code, _body(response))
        except BaseException:
            self._limiter.release(ticket)
            raise
        self._limiter.release(ticket, refused=refused, **budget(response.headers))
        return response

    def close(self) -> None:
        self._inner.close()


class _AsyncGate(httpx.AsyncBaseTransport):
    def __init__(self, limiter: Limiter, inner: httpx.AsyncBaseTransport) -> None:
        self._limiter = limiter
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        ticket = await self._limiter.acquire_async()
        try:
            response = await self._inner.handle_async_request(request)
            if response.status_code == 403 and not response.is_stream_consumed:
                response = _unread(response, b"".join([part async for part in response.aiter_raw()]))
            refused = is_refusal(response.status_code, _body(response))
        except BaseException:
            self._limiter.release(ticket)
            raise
        self._limiter.release(ticket, refused=refused, **budget(response.headers))
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
    """`inner` (default: httpx.HTTPTransport with `options`) behind the gate."""
    return _SyncGate(limiter, inner or httpx.HTTPTransport(**options))


def async_transport(limiter: Limiter, inner: httpx.AsyncBaseTransport | None = None, **options: Any) -> httpx.AsyncBaseTransport:
    """`inner` (default: httpx.AsyncHTTPTransport with `options`) behind the gate."""
    return _AsyncGate(limiter, inner or httpx.AsyncHTTPTransport(**options))


def requests_adapter(limiter: Limiter, **options: Any) -> Any:
    """A requests HTTPAdapter behind the gate; `options` go to the adapter."""
    from requests.adapters import HTTPAdapter

    class Gate(HTTPAdapter):
        """Sends through the limiter; canvasapi and everything else on requests obeys it."""

        def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
            ticket = limiter.acquire()
            try:
                response = super().send(request, *args, **kwargs)
                refused = is_refusal(response.status_code, response.content if response.status_code == 403 else b"")
            except BaseException:
                limiter.release(ticket)
                raise
            limiter.release(ticket, refused=refused, **budget(response.headers))
            return response

    return Gate(**options)


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
