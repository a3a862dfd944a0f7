"""Connections: one httpx transport per slot, taken last-in-first-out so that warm connections are used again; what its errors mean.

One shared client scans its pool for every request and collapses above some 200 requests/s; a transport per slot does not.
"""

from __future__ import annotations

import asyncio
import importlib
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from probes.config import LOOPBACK
from probes.errors import ConfigError
from probes.observation import Outcome
from probes.tokens import redact

if TYPE_CHECKING:
    from probes.config import Instance

CONNECT_S = 10.0
"""Longest wait for a connection, and again for its TLS handshake."""
KEEPALIVE_S = 50.0
"""How long an idle connection is kept: load balancers commonly close them after 60 s."""

FAILURES: dict[type[BaseException], Outcome] = {
    httpx.ConnectTimeout: Outcome.CONNECT_TIMEOUT,
    httpx.ReadTimeout: Outcome.READ_TIMEOUT,
    httpx.WriteTimeout: Outcome.WRITE_TIMEOUT,
    httpx.PoolTimeout: Outcome.POOL_TIMEOUT,
    httpx.TimeoutException: Outcome.READ_TIMEOUT,
    httpx.ConnectError: Outcome.CONNECT_ERROR,
    httpx.ProxyError: Outcome.CONNECT_ERROR,
    httpx.ReadError: Outcome.PROTOCOL_ERROR,
    httpx.WriteError: Outcome.PROTOCOL_ERROR,
    httpx.CloseError: Outcome.PROTOCOL_ERROR,
    httpx.NetworkError: Outcome.PROTOCOL_ERROR,
    httpx.LocalProtocolError: Outcome.PROTOCOL_ERROR,
    httpx.RemoteProtocolError: Outcome.PROTOCOL_ERROR,
    httpx.ProtocolError: Outcome.PROTOCOL_ERROR,
    httpx.UnsupportedProtocol: Outcome.PROTOCOL_ERROR,
    httpx.DecodingError: Outcome.PROTOCOL_ERROR,
    httpx.TooManyRedirects: Outcome.PROTOCOL_ERROR,
    httpx.HTTPStatusError: Outcome.PROTOCOL_ERROR,
    httpx.TransportError: Outcome.PROTOCOL_ERROR,
    httpx.RequestError: Outcome.PROTOCOL_ERROR,
    httpx.HTTPError: Outcome.PROTOCOL_ERROR,
    httpx.InvalidURL: Outcome.PROTOCOL_ERROR,
    httpx.CookieConflict: Outcome.PROTOCOL_ERROR,
    httpx.StreamConsumed: Outcome.PROTOCOL_ERROR,
    httpx.StreamClosed: Outcome.PROTOCOL_ERROR,
    httpx.ResponseNotRead: Outcome.PROTOCOL_ERROR,
    httpx.RequestNotRead: Outcome.PROTOCOL_ERROR,
    httpx.StreamError: Outcome.PROTOCOL_ERROR,
    OSError: Outcome.CONNECT_ERROR,
}
"""What each failure means; the most special class counts. A name that was not found and TLS are told apart by their causes."""

_WAITING = (ssl.SSLWantReadError, ssl.SSLWantWriteError)
"""How TLS says that it waits for the network; they stay in the chain of causes of whatever ends the wait."""


ALL_FAILED = "All connection attempts failed"
"""What httpx says where every address of a host failed, whatever the reason."""


def failure(error: BaseException) -> tuple[Outcome, str]:
    """The outcome that `error` stands for, and it in a few words, without a token."""
    words = redact(f"{type(error).__name__}: {_said(error)}".rstrip(": "))[:300]
    if not isinstance(error, httpx.TimeoutException):
        chain = list(_causes(error))
        if any(isinstance(cause, socket.gaierror) for cause in chain):
            return Outcome.DNS_ERROR, words
        if any(isinstance(cause, ssl.SSLError) and not isinstance(cause, _WAITING) for cause in chain):
            return Outcome.TLS_ERROR, words
    return next((FAILURES[kind] for kind in type(error).__mro__ if kind in FAILURES), Outcome.PROTOCOL_ERROR), words


def _said(error: BaseException) -> str:
    """What `error` says; what the system said below it, where it says nothing of its own."""
    if str(error) not in ("", ALL_FAILED):
        return str(error)
    of_system = (str(cause) for cause in _causes(error) if isinstance(cause, OSError) and cause.errno is not None)
    return next(of_system, str(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    todo = [error]
    while todo:
        cause = todo.pop()
        if cause is None or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        todo += [cause.__cause__, cause.__context__, *(cause.exceptions if isinstance(cause, BaseExceptionGroup) else ())]


def tls() -> ssl.SSLContext:
    """TLS that trusts whom certifi, or SSL_CERT_FILE, names, on every system: Python of python.org knows nobody on macOS by itself."""
    return httpx.create_ssl_context()


Connect = Callable[[ssl.SSLContext, float], httpx.AsyncBaseTransport]
"""Makes a transport of one direct connection: the TLS it speaks, and how many seconds it is kept when idle."""


@dataclass(slots=True)
class Slot:
    """A place in flight with its own connection; `used` once a request went over it."""

    transport: httpx.AsyncBaseTransport
    used: bool = False
    owned: bool = True

    async def close(self) -> None:
        """Closes its connection."""
        if self.owned:
            await self.transport.aclose()


class Slots:
    """At most `limit` requests in flight (None: no limit); those who wait are served in their order."""

    def __init__(
        self, instance: Instance, limit: int | None, shared: httpx.AsyncBaseTransport | None, connect: Connect | None = None
    ) -> None:
        self._connect = connect
        self.proxy = None if shared is not None else proxy_of(instance.url)
        self._shared = shared
        secure = instance.url.startswith("https:") and shared is None
        self._context = tls() if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._limit = limit
        self._taken = 0
        _load_backend()
        self._idle: list[Slot] = [self._new()]
        self._waiting: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def slot(self, *, cold: bool = False) -> AsyncIterator[Slot]:
        """A slot for the time of the block: the warmest idle one, with `cold` one whose connection is new and closed afterwards."""
        await self._place()
        slot = self._new() if cold or not self._idle else self._idle.pop()
        try:
            yield slot
        finally:
            self._leave()
            if cold:
                await slot.close()
            else:
                self._idle.append(slot)

    async def close(self) -> None:
        """Closes all idle connections."""
        while self._idle:
            await self._idle.pop().close()

    async def _place(self) -> None:
        if self._limit is None or (self._taken < self._limit and not self._waiting):
            self._taken += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()
            raise

    def _leave(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._taken -= 1

    def _new(self) -> Slot:
        if self._shared is not None:
            return Slot(self._shared, owned=False)
        if self._connect is not None and self.proxy is None:
            return Slot(self._connect(self._context, KEEPALIVE_S))
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEPALIVE_S)
        return Slot(httpx.AsyncHTTPTransport(verify=self._context, trust_env=False, limits=limits, proxy=self.proxy))


def _load_backend() -> None:
    """Loads what httpcore and anyio otherwise load at the first connection, where its 50 ms would count as the network's."""
    with suppress(ImportError):
        importlib.import_module("anyio._backends._asyncio")


def proxy_of(url: str) -> str | None:
    """The proxy that the environment names for `url` (HTTPS_PROXY, ALL_PROXY, NO_PROXY ...); never for loopback, which no proxy can reach.

    Raises ConfigError when what it names is no proxy.
    """
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    host = parts.hostname or ""
    proxies = getproxies()
    named = proxies.get(parts.scheme) or proxies.get("all")
    if not named or LOOPBACK.match(host) or proxy_bypass(host):
        return None
    full = named if "://" in named else f"http://{named}"
    if urlsplit(full).scheme not in ("http", "https"):
        raise ConfigError(f"The environment names the proxy {without_credentials(full)}: only http:// and https:// proxies can be used.")
    return full


def without_credentials(url: str) -> str:
    """`url` as scheme, host and port only."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}" + (f":{parts.port}" if parts.port else "")
