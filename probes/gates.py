"""A Limiter before other people's HTTP clients: httpx transports, sync and async. `adapter` is the one before requests."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import httpx

from probes.errors import UsageError

if TYPE_CHECKING:
    from probes.limiter import Limiter


NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
"""Failures before a request was sent: the server knows nothing of it."""


class _SyncGate(httpx.BaseTransport):
    def __init__(self, limiter: Limiter, inner: httpx.BaseTransport) -> None:
        self._limiter = limiter
        self._inner = inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self._limiter.hosts.passes_by(request.url.host):
            response = self._inner.handle_request(request)
            self._limiter.hosts.passed(request.url.host, response.status_code, response.headers)
            return response
        ticket = self._limiter.acquire()
        sent_s = time.monotonic()
        try:
            response = self._inner.handle_request(request)
            if response.status_code == 403 and not response.is_stream_consumed:
                response = _unread(response, b"".join(response.iter_raw()))
            body = _body(response)
        except NEVER_SENT:
            self._limiter.withdraw(ticket)
            raise
        except BaseException:
            self._limiter.release(ticket, lost=True)
            raise
        seconds = time.monotonic() - sent_s
        told = self._limiter.hosts.answered(request.url.host, seconds, response.status_code, response.headers, body)
        self._limiter.release(ticket, **told)
        return response

    def close(self) -> None:
        self._inner.close()


class _AsyncGate(httpx.AsyncBaseTransport):
    def __init__(self, limiter: Limiter, inner: httpx.AsyncBaseTransport) -> None:
        self._limiter = limiter
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._limiter.hosts.passes_by(request.url.host):
            response = await self._inner.handle_async_request(request)
            self._limiter.hosts.passed(request.url.host, response.status_code, response.headers)
            return response
        ticket = await self._limiter.acquire_async()
        sent_s = time.monotonic()
        try:
            response = await self._inner.handle_async_request(request)
            if response.status_code == 403 and not response.is_stream_consumed:
                response = _unread(response, b"".join([part async for part in response.aiter_raw()]))
            body = _body(response)
        except NEVER_SENT:
            self._limiter.withdraw(ticket)
            raise
        except BaseException:
            self._limiter.release(ticket, lost=True)
            raise
        seconds = time.monotonic() - sent_s
        told = self._limiter.hosts.answered(request.url.host, seconds, response.status_code, response.headers, body)
        self._limiter.release(ticket, **told)
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
