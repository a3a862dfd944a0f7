"""A Limiter before other people's HTTP clients: httpx transports, sync and async. `adapter` is the one before requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import httpx

from probes.admission import Admission
from probes.errors import UsageError

if TYPE_CHECKING:
    from probes.limiter import Limiter


class _SyncGate(httpx.BaseTransport):
    def __init__(self, limiter: Limiter, inner: httpx.BaseTransport) -> None:
        self._limiter = limiter
        self._inner = inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        with Admission(self._limiter, request.url.host, _never_sent) as call:
            response, body = self._inner.handle_request(request), b""
            if call.reads_body(response.status_code):
                if not response.is_stream_consumed:
                    response = _unread(response, b"".join(response.iter_raw()))
                body = _body(response)
            call.answered(response.status_code, response.headers, body)
        return response

    def close(self) -> None:
        self._inner.close()


class _AsyncGate(httpx.AsyncBaseTransport):
    def __init__(self, limiter: Limiter, inner: httpx.AsyncBaseTransport) -> None:
        self._limiter = limiter
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        async with Admission(self._limiter, request.url.host, _never_sent) as call:
            response, body = await self._inner.handle_async_request(request), b""
            if call.reads_body(response.status_code):
                if not response.is_stream_consumed:
                    response = _unread(response, b"".join([part async for part in response.aiter_raw()]))
                body = _body(response)
            call.answered(response.status_code, response.headers, body)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


def _never_sent(error: BaseException) -> bool:
    """Failures before a request was sent: the server knows nothing of it."""
    return isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)


def _unread(response: httpx.Response, body: bytes) -> httpx.Response:
    """The same answer with its `body` still to be read, raw or decoded, as from a transport without a gate."""
    return httpx.Response(response.status_code, headers=response.headers, stream=httpx.ByteStream(body), extensions=response.extensions)


def _body(response: httpx.Response) -> bytes:
    """The decoded body of an answer, which stays unread."""
    if response.is_stream_consumed:
        return response.content
    raw = b"".join(response.stream) if isinstance(response.stream, httpx.SyncByteStream) else b""
    try:
        return httpx.Response(response.status_code, headers=response.headers, content=raw).content
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
