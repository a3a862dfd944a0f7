"""A transport for one connection, straight on asyncio and h11: what the exporter asks over, where httpcore's way costs more than the rest.

It takes the place of `httpx.AsyncHTTPTransport` for a direct connection (no proxy) and raises what that raises. It notes the instants of a
request by httpcore's names, so that `phases.Trace` reads both alike. A round of two requests takes 1.2 ms of CPU over it, and 3.5 ms over
that one.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable

import h11
import httpx

KEPT_BYTES = 262_144
"""The server waits once so much of an answer has come and was not taken."""
LONGEST_HEADER = 102_400
CLOSE_S = 1.0
"""How long a farewell may take."""

Note = Callable[[str], None]


class Wire(httpx.AsyncBaseTransport):
    """One request at a time over one connection, which is kept for `keep_s` seconds when idle; `context` is used for https."""

    def __init__(self, context: ssl.SSLContext, keep_s: float) -> None:
        self._context = context
        self._keep_s = keep_s
        self._link: _Link | None = None
        self._idle_since_s = 0.0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer, its body still to be read. Raises httpx.TransportError and its kinds."""
        note = _note_of(request)
        link = self._warm()
        if link is None:
            link = self._link = await _opened(request, self._context, note)
        try:
            await link.send(request, note)
            head = await link.head()
            note("receive_response_headers.complete")
        except BaseException:
            self._drop()
            raise
        fields, body = head.headers.raw_items(), _Body(self, link, note)
        if note is _unnoted or any(name.lower() == b"content-encoding" for name, _ in fields):
            return httpx.Response(head.status_code, headers=fields, stream=body)
        return _Plain(head.status_code, fields, body)

    def _warm(self) -> _Link | None:
        """The connection, when it can be used once more."""
        link = self._link
        if link is None:
            return None
        if link.usable and asyncio.get_running_loop().time() - self._idle_since_s < self._keep_s:
            return link
        self._drop()
        return None

    def ended(self, link: _Link) -> None:
        """An answer is done with: the connection is kept if all of it was read."""
        if link is self._link and link.begin_anew():
            self._idle_since_s = asyncio.get_running_loop().time()
        elif link is self._link:
            self._drop()

    def _drop(self) -> None:
        if self._link is not None:
            self._link.transport.abort()
            self._link = None

    async def aclose(self) -> None:
        """Closes the connection, and waits for it."""
        link, self._link = self._link, None
        if link is not None:
            link.transport.close()
            await asyncio.wait({link.lost}, timeout=CLOSE_S)
            link.transport.abort()


class _Plain(httpx.Response):
    """An answer for `exchange`, its bytes the body as they come: making and reading httpx's own costs as much as all that h11 does."""

    def __init__(self, status_code: int, fields: list[tuple[bytes, bytes]], body: _Body) -> None:
        self.status_code = status_code
        self.headers = httpx.Headers(fields)
        self.stream = body
        self.is_closed = self.is_stream_consumed = False

    async def aiter_bytes(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        """The body, part by part as it came."""
        assert chunk_size is None
        self.is_stream_consumed = True
        async for part in self.stream:  # type: ignore[union-attr] # ours is an asynchronous one
            yield part

    async def aclose(self) -> None:
        """Gives the connection back."""
        self.is_closed = True
        await self.stream.aclose()  # type: ignore[union-attr]


class _Body(httpx.AsyncByteStream):
    """The body of an answer, part by part."""

    def __init__(self, wire: Wire, link: _Link, note: Note) -> None:
        self._wire = wire
        self._link = link
        self._note = note

    async def __aiter__(self) -> AsyncIterator[bytes]:
        link = self._link
        while isinstance(event := await link.event(), h11.Data):
            yield bytes(event.data)
        self._note("receive_response_body.complete")

    async def aclose(self) -> None:
        self._wire.ended(self._link)


class _Link(asyncio.Protocol):
    """A connection that speaks HTTP/1.1 by h11."""

    def __init__(self) -> None:
        self.http = h11.Connection(h11.CLIENT, max_incomplete_event_size=LONGEST_HEADER)
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport
        self._came: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._kept = bytearray()
        self._ended = False
        self._error: Exception | None = None

    @property
    def usable(self) -> bool:
        """Whether a new request can go: the other side has neither left nor said anything unasked."""
        return not self._ended and not self._kept and self.http.our_state is h11.IDLE and not self.transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._kept += data
        if len(self._kept) > KEPT_BYTES:
            self.transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        self._ended = True
        self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended, self._error = True, exc
        if not self.lost.done():
            self.lost.set_result(None)
        self._wake()
        self.resume_writing()

    def pause_writing(self) -> None:
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        waiting, self._writable = self._writable, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def _wake(self) -> None:
        if self._came is not None and not self._came.done():
            self._came.set_result(None)

    async def send(self, request: httpx.Request, note: Note) -> None:
        """Writes a request, whole. Raises httpx.LocalProtocolError, httpx.WriteError."""
        note("send_request_headers.started")
        body = await request.aread()
        try:
            head = h11.Request(method=request.method, target=request.url.raw_path, headers=request.headers.raw)
            parts = [self.http.send(head), self.http.send(h11.Data(data=body)) if body else None, self.http.send(h11.EndOfMessage())]
        except h11.LocalProtocolError as error:
            raise httpx.LocalProtocolError(str(error)) from error
        self.transport.write(b"".join(part for part in parts if part))
        if self._writable is not None:
            await self._writable
        if self._error is not None:
            raise httpx.WriteError(str(self._error)) from self._error
        note("send_request_body.complete")

    async def head(self) -> h11.Response:
        """The header of the answer; interim ones (1xx) are passed over."""
        event = await self.event()
        while isinstance(event, h11.InformationalResponse):
            event = await self.event()
        if not isinstance(event, h11.Response):
            raise httpx.RemoteProtocolError("Server ended without an answer.")
        return event

    async def event(self) -> h11.Event | type[h11.NEED_DATA | h11.PAUSED]:
        """The next of h11's events. Raises httpx.RemoteProtocolError, httpx.ReadError."""
        try:
            while (event := self.http.next_event()) is h11.NEED_DATA:
                await self._more()
        except h11.RemoteProtocolError as error:
            raise httpx.RemoteProtocolError(str(error)) from error
        return event

    async def _more(self) -> None:
        """Hands h11 what has come, waiting for it where nothing has."""
        if not self._kept and not self._ended:
            self._came = asyncio.get_running_loop().create_future()
            await self._came
        if not self._kept:
            if self._error is not None:
                raise httpx.ReadError(str(self._error)) from self._error
            if self.http.their_state is h11.SEND_RESPONSE:
                raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
        self.http.receive_data(bytes(self._kept))
        if len(self._kept) > KEPT_BYTES and not self._ended:
            self.transport.resume_reading()
        self._kept.clear()

    def begin_anew(self) -> bool:
        """Makes ready for the next request; False when the connection cannot be used again."""
        if self.http.our_state is not h11.DONE or self.http.their_state is not h11.DONE:
            return False
        self.http.start_next_cycle()
        return self.usable


async def _opened(request: httpx.Request, context: ssl.SSLContext, note: Note) -> _Link:
    """A new connection to where `request` goes. Raises httpx.ConnectError, httpx.ConnectTimeout."""
    loop, url = asyncio.get_running_loop(), request.url
    host, secure = url.raw_host.decode("ascii"), url.scheme == "https"
    wait_s = request.extensions.get("timeout", {}).get("connect")
    link: _Link | None = None
    try:
        note("connect_tcp.started")
        async with asyncio.timeout(wait_s):
            _, link = await loop.create_connection(_Link, host, url.port or (443 if secure else 80), happy_eyeballs_delay=0.25)
        note("connect_tcp.complete")
        if secure:
            note("start_tls.started")
            async with asyncio.timeout(wait_s):
                await _secured(link, context, host, wait_s)
            note("start_tls.complete")
    except TimeoutError as error:
        _abort(link)
        raise httpx.ConnectTimeout(str(error), request=request) from error
    except OSError as error:
        _abort(link)
        raise httpx.ConnectError(str(error), request=request) from error
    except BaseException:
        _abort(link)
        raise
    return link


async def _secured(link: _Link, context: ssl.SSLContext, host: str, wait_s: float | None) -> None:
    context.set_alpn_protocols(["http/1.1"])
    loop = asyncio.get_running_loop()
    made = await loop.start_tls(link.transport, link, context, server_hostname=host, ssl_handshake_timeout=wait_s)
    assert made is not None
    link.transport = made


def _abort(link: _Link | None) -> None:
    if link is not None:
        link.transport.abort()


def _note_of(request: httpx.Request) -> Note:
    """Where instants are noted: the extension `trace`, when it can do so without waiting."""
    note = getattr(request.extensions.get("trace"), "note", None)
    return _unnoted if note is None else note


def _unnoted(_: str) -> None:
    """Nobody wants to know."""
