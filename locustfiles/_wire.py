"""Kept connections to one instance, and the bytes of each call: HTTP/1.1 over gevent sockets. TLS is verified, unlike FastHttpUser's."""

from __future__ import annotations

import contextlib
import json
import select
import sys
import time
from typing import Any
from urllib.parse import quote, urlsplit

import certifi
import gevent.socket
import gevent.ssl
from gevent import monkey

from probes import __version__
from probes.calls import Call
from probes.config import Instance
from probes.dialects import Dialect, dialect

USER_AGENT = f"canvas-probes/{__version__} (load)"

if sys.platform == "win32":  # which has no poll; its select takes any socket
    wait: Any = monkey.get_original("select", "select")

    def _readable(number: int) -> bool:
        return bool(wait([number], [], [], 0)[0])
else:
    poll: Any = monkey.get_original("select", "poll")

    def _readable(number: int) -> bool:
        watch = poll()
        watch.register(number, select.POLLIN)
        return bool(watch.poll(0))


class Wire:
    """Kept connections to one instance; the one used last is used first. There are as many as requests were in flight at one time."""

    def __init__(self, instance: Instance, max_body_bytes: int = 50_000_000) -> None:
        parts = urlsplit(instance.url)
        self.instance = instance
        self.dialect: Dialect = dialect(instance.dialect)
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = _tls() if parts.scheme == "https" else None
        self.max_body_bytes = max_body_bytes
        self._idle: list[Any] = []
        self._heads: dict[tuple[str, str], bytes] = {}
        self._fields = self._fields_of(parts.netloc, instance.token())

    def request(self, call: Call) -> bytes:
        """The bytes of `call`; made once for each kind of call."""
        key = (call.method, call.path)
        head = self._heads.get(key) if call.body is None else None
        if head is None:
            body = b"" if call.body is None else json.dumps(call.body).encode()
            path = quote(call.path, safe="/?&=%[]:,;@!$'()*+~#")
            length = f"Content-Length: {len(body)}\r\n" if body or call.method in {"POST", "PUT", "PATCH"} else ""
            kind = "Content-Type: application/json\r\n" if body else ""
            head = f"{call.method} {path} HTTP/1.1\r\n{self._fields}{kind}{length}\r\n".encode("latin-1") + body
            if call.body is None and len(self._heads) < 1000:
                self._heads[key] = head
        return head

    def warm(self) -> None:
        """Looks the name up once, so that the first request does not pay for the start of the resolver."""
        with contextlib.suppress(OSError):  # the first request will say so
            gevent.socket.getaddrinfo(self._host, self._port)

    def take(self) -> Any | None:
        """A kept connection that is still open, None when there is none."""
        while self._idle:
            connection = self._idle.pop()
            if _quiet(connection):
                return connection
            connection.close()
        return None

    def connect(self, timeout_s: float) -> tuple[Any, float, float]:
        """(connection, seconds to connect, seconds of TLS). Raises OSError."""
        began = time.perf_counter()
        connection = gevent.socket.create_connection((self._host, self._port), timeout_s)
        connected = time.perf_counter()
        connection.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
        if self._tls is None:
            return connection, connected - began, 0.0
        try:
            secure = self._tls.wrap_socket(connection, server_hostname=self._host)
        except BaseException:
            connection.close()
            raise
        return secure, connected - began, time.perf_counter() - connected

    def return_socket(self, connection: Any) -> None:
        """The parser hands back a connection that can be used again."""
        self._idle.append(connection)

    def release_socket(self, connection: Any) -> None:
        """The parser hands back a connection that cannot."""
        connection.close()

    def close(self) -> None:
        """Closes what is kept."""
        while self._idle:
            self._idle.pop().close()

    def _fields_of(self, netloc: str, token: str | None) -> str:
        authorization = f"Authorization: {self.dialect.authorization.format(token=token)}\r\n" if token else ""
        return (
            f"Host: {netloc}\r\nUser-Agent: {USER_AGENT}\r\nAccept: {self.dialect.accept}\r\nAccept-Encoding: gzip, deflate\r\n"
            f"{authorization}"
        )


def _tls() -> Any:
    """TLS that trusts whom the system does, and certifi as `probes.transport.tls`."""
    context = gevent.ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def _quiet(connection: Any) -> bool:
    """Whether a kept connection is open and nothing waits in it: a server that closed it has made it readable."""
    try:
        return not _readable(connection.fileno())
    except (OSError, ValueError):
        return False
