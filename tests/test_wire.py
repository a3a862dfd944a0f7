"""The exporter's own transport beside httpx's: one table of servers, and each is seen alike over both."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from test_client import OK, Handler, answers, hangs, instance, served

from probes.calls import Call, parse
from probes.client import Answer, Client
from probes.config import Instance
from probes.observation import Observation, Outcome
from probes.transport import Connect
from probes.wire import Wire

SELF = parse("GET /api/v1/users/self")
JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
LARGE = b"[" + b"1," * 700_000 + b"1]"


def closing(data: bytes) -> Handler:
    """Answers, and ends the connection."""

    async def handler(_head: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        writer.close()
        raise ConnectionError

    return handler


async def resets(_head: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    raise ConnectionError


async def drips(_head: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(JSON + b"Content-Length: 1000\r\n\r\n")
    for _ in range(30):
        writer.write(b"1")
        await writer.drain()
        await asyncio.sleep(0.05)


SERVERS: dict[str, Handler] = {
    "answers": answers(OK),
    "chunked": answers(JSON + b'Transfer-Encoding: chunked\r\n\r\n4\r\n{"id\r\n4\r\n":1}\r\n0\r\nTrailer: x\r\n\r\n'),
    "gzip": answers(JSON + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(gzip.compress(LARGE)) + gzip.compress(LARGE)),
    "no gzip": answers(JSON + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}"),
    "large": answers(JSON + b"Content-Length: %d\r\n\r\n" % len(LARGE) + LARGE),
    "to the end": closing(b'HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{"id":1}'),
    "interim": answers(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK),
    "no content": answers(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "repeated fields": answers(JSON + b"X-A: 1\r\nx-a: 2\r\nContent-Length: 2\r\n\r\n{}"),
    "says close": answers(JSON + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}"),
    "more than it says": answers(OK + b"more"),
    "cut short": closing(JSON + b"Content-Length: 100\r\n\r\n{}"),
    "cut chunk": closing(JSON + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{"),
    "garbage": closing(b"garbage\r\n\r\n"),
    "endless header": answers(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000),
    "two lengths": closing(b"HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\n{}"),
    "leaves": closing(b""),
    "resets": resets,
    "hangs": hangs,
    "drips": drips,
}


def seen(handler: Handler, connect: Connect | None, calls: int = 2) -> tuple[list[Answer], list[Observation]]:
    """The same call so many times, one after another."""

    async def main() -> tuple[list[Answer], list[Observation]]:
        lines: list[Observation] = []
        async with served(handler) as port, Client(instance(port), record=lines.append, connect=connect) as client:
            return [await client.ask(SELF, scenario="test", timeout_s=0.6) for _ in range(calls)], lines

    return asyncio.run(asyncio.wait_for(main(), 30))


def told(answer: Answer) -> dict[str, Any]:
    """What of an answer does not depend on the moment."""
    one, body = answer.observation, answer.body
    if one.outcome is Outcome.READ_TIMEOUT:  # how much of a body came until then is the machine's affair
        body, one = bytes(sorted(set(body))), replace(one, size_bytes=one.size_bytes and 1)
    facts = {key: value for key, value in one.facts.items() if key != "gave_up_after_s"}
    reached = [getattr(one, name) is not None for name in ("connect_s", "tls_s", "send_s", "wait_s", "receive_s", "sent_s", "received_s")]
    return {
        "ended": (one.outcome, one.status, one.size_bytes, one.reused, one.error is None),
        "facts": facts,
        "reached": reached,
        "headers": dict(answer.headers),
        "body": body,
    }


@pytest.mark.parametrize("name", SERVERS)
def test_both_see_the_same(name: str) -> None:
    """Whatever a server does, outcome, status, headers, body, phases reached and the connection's fate are those that httpx sees."""
    (ours, lines), (theirs, _) = seen(SERVERS[name], Wire), seen(SERVERS[name], None)
    assert [told(one) for one in ours] == [told(one) for one in theirs]
    assert lines == [one.observation for one in ours]


def test_a_connection_is_kept_for_its_time() -> None:
    """The next request goes over the warm connection, until it was idle for too long."""

    async def main() -> list[bool | None]:
        def short(context: ssl.SSLContext, _: float) -> Wire:
            return Wire(context, 0.2)

        async with served(answers(OK)) as port, Client(instance(port), connect=short) as client:
            found = [(await client.send(SELF, scenario="test")).reused for _ in range(3)]
            await asyncio.sleep(0.3)
            return [*found, (await client.send(SELF, scenario="test")).reused]

    assert asyncio.run(main()) == [False, True, True, False]


def test_a_connection_that_the_server_left_is_not_used() -> None:
    """A server that closes an idle connection costs no request: the next takes a new one."""

    async def once(_head: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.close()
        raise ConnectionError

    async def main() -> list[tuple[Outcome, bool | None]]:
        found = []
        async with served(once) as port, Client(instance(port), connect=Wire) as client:
            for _ in range(2):
                one = await client.send(SELF, scenario="test")
                found.append((one.outcome, one.reused))
                await asyncio.sleep(0.2)
        return found

    assert asyncio.run(main()) == [(Outcome.OK, False), (Outcome.OK, False)]


def test_a_body_is_sent() -> None:
    """A call's body goes whole, also one that the socket does not take at once."""
    size: list[int] = []

    async def takes(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length = int(next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")).split(b":")[1])
        await asyncio.sleep(0.1)
        size.append(len(await reader.readexactly(length)))
        writer.write(OK)

    async def main() -> Observation:
        call = Call("POST", "/api/v1/courses", {"name": "x" * 8_000_000})
        async with served(takes) as port, Client(instance(port, allow_writes=True), connect=Wire) as client:
            return await client.send(call, scenario="test")

    one = asyncio.run(main())
    assert (one.outcome, size) == (Outcome.OK, [8_000_012])
    assert one.send_s is not None
    assert one.send_s > 0.05


@pytest.mark.parametrize("trusted", [True, False])
def test_tls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, trusted: bool) -> None:
    """TLS is spoken, timed and kept; a certificate of nobody's is tls_error and nothing is sent."""
    authority = trustme.CA()
    if trusted:
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    async def main() -> list[Observation]:
        async with served(answers(OK), context) as port, Client(Instance("here", f"https://127.0.0.1:{port}"), connect=Wire) as client:
            return [await client.send(SELF, scenario="test") for _ in range(2)]

    first, second = asyncio.run(main())
    if not trusted:
        assert (first.outcome, first.sent_s, first.connect_s is None) == (Outcome.TLS_ERROR, None, False)
        return
    assert (first.outcome, first.reused, second.reused, second.tls_s) == (Outcome.OK, False, True, 0.0)
    assert first.tls_s is not None
    assert first.tls_s > 0.0


@pytest.mark.parametrize(
    ("url", "outcome"), [("http://no-such-host.invalid", Outcome.DNS_ERROR), ("http://127.0.0.1:1", Outcome.CONNECT_ERROR)]
)
def test_no_connection(url: str, outcome: Outcome) -> None:
    """A name without an address is dns_error, a closed port connect_error."""

    async def main() -> Observation:
        async with Client(Instance("here", url, timeout_s=5.0), connect=Wire) as client:
            return await client.send(SELF, scenario="test")

    one = asyncio.run(main())
    assert (one.outcome, one.sent_s) == (outcome, None)


def test_no_handshake_in_time() -> None:
    """A server that takes the connection and says nothing to TLS is connect_timeout."""

    async def main(port: int) -> Observation:
        async with Client(Instance("here", f"https://127.0.0.1:{port}"), connect=Wire) as client:
            return await client.send(SELF, scenario="test", timeout_s=0.3)

    with socket.create_server(("127.0.0.1", 0)) as silent:
        one = asyncio.run(main(silent.getsockname()[1]))
    assert (one.outcome, one.sent_s) == (Outcome.CONNECT_TIMEOUT, None)


def test_a_cancelled_request_leaves_no_connection_behind() -> None:
    """What was cancelled half way is not used again."""

    async def main() -> list[tuple[Outcome, bool | None]]:
        lines: list[Observation] = []
        first = True

        async def slow(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal first
            if first:
                first = False
                await hangs(head, reader, writer)
            writer.write(OK)

        async with served(slow) as port, Client(instance(port), record=lines.append, connect=Wire) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await client.send(SELF, scenario="test")
            await client.send(SELF, scenario="test")
        return [(one.outcome, one.reused) for one in lines]

    assert asyncio.run(main()) == [(Outcome.CANCELLED, False), (Outcome.OK, False)]


def test_it_is_a_transport_of_httpx() -> None:
    """It serves a plain httpx client too, which notes no instants."""

    async def main() -> tuple[int, bytes]:
        async with served(answers(OK)) as port, httpx.AsyncClient(transport=Wire(ssl.create_default_context(), 5.0)) as client:
            answer = await client.get(f"http://127.0.0.1:{port}/")
            return answer.status_code, answer.content

    assert asyncio.run(main()) == (200, b'{"id":1}')
