"""One request, one attempt, one observation, with geventhttpclient's parser.

geventhttpclient's own client, and so FastHttpUser, repeats a request silently when a kept connection turns out closed, and does not say
when the first byte went; here nothing is repeated and every phase is timed.
"""

from __future__ import annotations

import json
import ssl
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gevent
import gevent.socket
from _wire import Wire
from geventhttpclient.response import HTTPParseError, HTTPSocketPoolResponse

from probes.calls import Call
from probes.dialects import ServerAccount
from probes.observation import Observation, Outcome, Quota
from probes.tokens import redact

BLOCK = 65536
HEAD = 4096
"""Bytes read at a time, and of a body those by which its dialect tells a refusal."""
NOTHING = Quota()
NOBODY = ServerAccount()
DIGITS = 7
"""Times are written to a tenth of a microsecond."""
TIMEOUTS = {"connect": Outcome.CONNECT_TIMEOUT, "write": Outcome.WRITE_TIMEOUT, "read": Outcome.READ_TIMEOUT}
PACKED = frozenset({"gzip", "deflate"})
GZIP_OR_ZLIB, BARE_DEFLATE = zlib.MAX_WBITS | 32, -zlib.MAX_WBITS


Parts = tuple[int | None, dict[str, str], bytes]
NO_PARTS: Parts = (None, {}, b"")
NO_REFUSALS = frozenset({Outcome.OK, Outcome.PROTOCOL_ERROR})
"""What a status may say of an answer that is broken: then it is that. Any other says more than how the answer ended."""


def ask(wire: Wire, call: Call, scenario: str, due_s: float, origin_s: float, name: str | None = None) -> Answer:
    """Sends `call` once; `name` is what observations call it instead of its own name.

    Never raises for the network; when this greenlet is killed meanwhile the observation says cancelled.
    """
    return _Attempt(wire, call, due_s, origin_s, name or call.name).run(scenario)


@dataclass(frozen=True, slots=True)
class Answer:
    """An observation and what a walk needs besides: headers with lower-case names, the body unpacked."""

    observation: Observation
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The parsed body, None when it is not JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None


class _Response(HTTPSocketPoolResponse):
    """Notes when its first byte came."""

    first_s: float = 0.0

    def _on_message_begin(self) -> None:
        if not self.first_s:
            self.first_s = time.perf_counter()
        super()._on_message_begin()

    def _on_message_complete(self) -> None:
        if self.get_code() < 200:  # an interim answer (1xx): the connection stays ours until the final one
            self.message_complete = True
            return
        super()._on_message_complete()


class _TooLargeError(Exception):
    """The body went over the cap."""


class _Attempt:
    """One request under way and its clock readings."""

    __slots__ = (
        "began",
        "call",
        "connect_s",
        "due_s",
        "error",
        "name",
        "origin_s",
        "response",
        "reused",
        "sent",
        "stage",
        "tls_s",
        "wire",
        "written",
    )

    def __init__(self, wire: Wire, call: Call, due_s: float, origin_s: float, name: str) -> None:
        self.wire, self.call, self.due_s, self.origin_s, self.name = wire, call, due_s, origin_s, name
        self.began = time.perf_counter()
        self.sent: float | None = None
        self.written: float | None = None
        self.connect_s: float | None = None
        self.tls_s: float | None = None
        self.reused: bool | None = None
        self.response: _Response | None = None
        self.stage = "connect"
        self.error: str | None = None

    def run(self, scenario: str) -> Answer:
        """The answer, or what became of the request."""
        outcome: Outcome | None = None
        try:
            self._exchange()
        except Exception as error:  # noqa: BLE001 # whatever the network or a parser raises is an outcome
            outcome = self._outcome(error)
            self.error = redact(f"{type(error).__name__}: {error}")[:200]
        except BaseException:  # noqa: BLE001 # the greenlet is killed: the request was sent, so it has its line; the engine ends the greenlet
            outcome = Outcome.CANCELLED
            self._close()
        return self._answer(scenario, outcome, time.perf_counter())

    def _exchange(self) -> None:
        wire, timeout_s = self.wire, self.wire.instance.timeout_s
        connection = wire.take()
        self.reused = connection is not None
        self.connect_s = self.tls_s = 0.0
        if connection is None:
            self.connect_s = self.tls_s = None
            connection, self.connect_s, self.tls_s = wire.connect(timeout_s)
        connection.settimeout(timeout_s)
        self.stage, self.sent = "write", time.perf_counter()
        try:
            connection.sendall(wire.request(self.call))
        except BaseException:
            connection.close()
            raise
        self.stage, self.written = "read", time.perf_counter()
        pool: Any = wire  # it takes back the connection as geventhttpclient's own pool would
        with gevent.Timeout(timeout_s, TimeoutError("the answer was not whole in time")):
            self.response = _Response(connection, pool, block_size=BLOCK, method=self.call.method)
            self._read(self.response)

    def _read(self, response: _Response) -> None:
        while not response.message_complete:
            connection = response._sock  # noqa: SLF001 # the parser's own read() has no cap
            if connection is None:
                raise HTTPParseError("connection closed before the end of the body")
            response.feed(connection.recv(BLOCK))
            self._cap(response)
        self._cap(response)

    def _cap(self, response: _Response) -> None:
        most = self.wire.max_body_bytes
        if len(response._body_buffer) > most:  # noqa: SLF001
            raise _TooLargeError(f"more than {most} bytes")

    def _close(self) -> None:
        if self.response is not None:
            self.response.release()

    def _outcome(self, error: Exception) -> Outcome:
        self._close()
        if isinstance(error, _TooLargeError):
            return Outcome.TOO_LARGE
        if isinstance(error, gevent.socket.gaierror):
            return Outcome.DNS_ERROR
        if isinstance(error, TimeoutError) or (isinstance(error, ssl.SSLError) and "timed out" in str(error)):
            return TIMEOUTS[self.stage]
        if self.stage == "connect":
            return Outcome.TLS_ERROR if isinstance(error, ssl.SSLError) else Outcome.CONNECT_ERROR
        return Outcome.PROTOCOL_ERROR

    def _answer(self, scenario: str, outcome: Outcome | None, ended: float) -> Answer:
        status, headers, body = _parts(self.response) if self.response is not None and outcome is not Outcome.CANCELLED else NO_PARTS
        if status is not None and outcome is not Outcome.TOO_LARGE:
            body, broken = self._unpack(headers, body) if outcome is None else (body, outcome)
            said = self.wire.dialect.outcome(status, headers, body[:HEAD])
            if outcome is not None and said in NO_REFUSALS:  # of an answer that broke off nothing else counts
                status, headers, body = NO_PARTS
            outcome = broken if broken is not None and said in NO_REFUSALS else said
        assert outcome is not None
        observation = self._observation(scenario, outcome, status, headers, ended, len(body))
        return Answer(observation, headers, body)

    def _unpack(self, headers: Mapping[str, str], body: bytes) -> tuple[bytes, Outcome | None]:
        """The body unpacked, and what is wrong with how it is packed; the instants are read before, as this takes our own time."""
        most = self.wire.max_body_bytes
        try:
            body = _unpacked(headers.get("content-encoding", ""), body, most)
        except zlib.error as error:
            self.error = f"DecodingError: {error}"
            return body, Outcome.PROTOCOL_ERROR
        if len(body) <= most:
            return body, None
        self.error = f"more than {most} bytes"
        return body[:most], Outcome.TOO_LARGE

    def _observation(
        self, scenario: str, outcome: Outcome, status: int | None, headers: dict[str, str], ended: float, size: int
    ) -> Observation:
        dialect, call, origin = self.wire.dialect, self.call, self.origin_s
        quota = dialect.quota(headers) if headers else NOTHING
        account = dialect.server(headers) if headers else NOBODY
        first = self.response.first_s if self.response is not None else 0.0
        answered = status is not None
        return Observation(  # by place: keywords would cost a twentieth of the throughput
            self.wire.instance.name,
            scenario,
            self.name,
            call.method,
            call.path,
            round(self.due_s, DIGITS),
            None if self.sent is None else round(self.sent - origin, DIGITS),
            round(ended - origin, DIGITS) if answered else None,
            status,
            outcome,
            quota.remaining,
            quota.cost,
            quota.limit,
            quota.reset_s,
            quota.retry_after_s,
            account.server_time_s,
            account.queue_s,
            account.cpu_s,
            account.db_s,
            account.request_id,
            round(max(0.0, self.began - origin - self.due_s), DIGITS),
            None if self.connect_s is None else round(self.connect_s, DIGITS),
            None if self.tls_s is None else round(self.tls_s, DIGITS),
            round(self.written - self.sent, DIGITS) if self.written and self.sent else None,
            round(first - self.written, DIGITS) if first and self.written else None,
            round(ended - first, DIGITS) if first and answered else None,
            self.reused,
            size if answered else None,
            self.error,
        )


def _parts(response: _Response) -> Parts:
    """Status, headers, body of an answer, as far as it came; none before its headers were whole."""
    if not response.headers_complete or response.get_code() < 200:
        return NO_PARTS
    return response.get_code(), _headers(response), bytes(response._body_buffer)  # noqa: SLF001


def _headers(response: _Response) -> dict[str, str]:
    """Fields by lower-case name, repeated ones joined; read off the parser's own index, as its public view builds a list for each."""
    index: dict[str, Any] = response._headers_index  # noqa: SLF001
    return {key: one[1] if isinstance(one, tuple) else ", ".join(value for _, value in one) for key, one in dict.items(index)}


def _unpacked(coding: str, body: bytes, most: int) -> bytes:
    """The body as `coding` packs it, at most a byte more than `most`. Raises zlib.error where it is cut short or packed otherwise."""
    how = coding.strip().lower()
    if not body or how not in PACKED:
        return body
    try:
        return _inflated(body, most, GZIP_OR_ZLIB)
    except zlib.error:
        if how == "gzip":
            raise
        return _inflated(body, most, BARE_DEFLATE)  # some servers take the name by its word


def _inflated(body: bytes, most: int, window_bits: int) -> bytes:
    stream = zlib.decompressobj(window_bits)
    whole = stream.decompress(body, most + 1)
    if not stream.eof and len(whole) <= most:
        raise zlib.error("the packed body ends too early")
    return whole
