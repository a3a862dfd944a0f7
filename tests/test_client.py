"""The client over real sockets: what it sends, what it sees, how every way of failing ends."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import math
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from probes import __version__
from probes.calls import Call, parse
from probes.client import USER_AGENT, Answer, Client
from probes.clock import run_virtually
from probes.config import Instance, Kind
from probes.errors import ConfigError, GuardStop, UsageError
from probes.limiter import Limiter
from probes.observation import Observation, Outcome
from probes.transport import FAILURES, Slots, failure, proxy_of

Handler = Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
SELF = parse("GET /api/v1/users/self")
OK = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 8\r\n\r\n{"id":1}'


@contextlib.asynccontextmanager
async def served(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A raw server: `handler` gets the request's header for every request of every connection; the port."""
    tasks: set[asyncio.Task[Any]] = set()

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await handler(head, reader, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def instance(port: int, **changes: Any) -> Instance:
    return Instance("here", f"http://127.0.0.1:{port}", **{"kind": Kind.SIMULATED, "secret": "the-token", "timeout_s": 5.0, **changes})


def ask_once(handler: Handler, call: Call = SELF, *, tls: ssl.SSLContext | None = None, **options: Any) -> tuple[Answer, list[Observation]]:
    """One call to a server with `handler`: the answer and what was recorded."""
    changes = options.pop("changes", {})
    client_options = options.pop("client", {})

    async def main() -> tuple[Answer, list[Observation]]:
        recorded: list[Observation] = []
        async with served(handler, tls) as port, Client(instance(port, **changes), record=recorded.append, **client_options) as client:
            return await client.ask(call, scenario="test", **options), recorded

    return asyncio.run(asyncio.wait_for(main(), 20))


def answers(data: bytes) -> Handler:
    async def handler(_head: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)

    return handler


async def hangs(_head: bytes, _reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


# What it sends


def test_it_sends_a_real_request() -> None:
    """The request carries host, User-Agent, Accept, the token as Bearer, and nothing else."""
    heads: list[bytes] = []

    async def handler(head: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(head)
        writer.write(OK)

    ask_once(handler, parse("GET /api/v1/courses?state[]=available"))
    lines = heads[0].decode().split("\r\n")
    assert lines[0] == "GET /api/v1/courses?state[]=available HTTP/1.1"
    fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
    assert fields.pop("host").startswith("127.0.0.1:")
    assert fields == {
        "user-agent": USER_AGENT,
        "accept-encoding": "gzip, deflate",
        "accept": "application/json",
        "authorization": "Bearer the-token",
    }
    assert USER_AGENT.startswith(f"canvas-probes/{__version__} (+")


def test_it_sends_a_body_as_json() -> None:
    """A call's body goes as JSON with its length, once the instance allows writes."""
    bodies: list[bytes] = []

    async def handler(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        bodies.append(await reader.readexactly(length))
        writer.write(OK)

    call = parse('POST /api/v1/courses/1/enrollments {"enrollment": {"user_id": 2}}')
    answer, _ = ask_once(handler, call, changes={"allow_writes": True})
    assert json.loads(bodies[0]) == {"enrollment": {"user_id": 2}}
    assert (answer.observation.outcome, answer.observation.method) == (Outcome.OK, "POST")


def test_without_permission_nothing_is_written() -> None:
    """A call that writes raises UsageError before anything is sent where the instance does not allow writes."""
    heads: list[bytes] = []

    async def handler(head: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(head)
        writer.write(OK)

    with pytest.raises(UsageError, match="'DELETE /api/v1/users/1' writes, which instance 'here' does not allow: set allow_writes = true"):
        ask_once(handler, parse("DELETE /api/v1/users/1"))
    assert heads == []


@pytest.mark.parametrize(
    ("call", "message"), [(Call("GET", "users/self"), "must begin with /"), (Call("GET", "/a\x00b"), "cannot be sent")]
)
def test_a_bad_path_is_a_usage_error(call: Call, message: str) -> None:
    """A path that no URL can be made of raises UsageError."""
    with pytest.raises(UsageError, match=message):
        ask_once(answers(OK), call)


@pytest.mark.parametrize("path", ["//evil.example/x", "/@evil.example/", "/\\evil.example"])
def test_no_path_leads_to_another_host(path: str) -> None:
    """Whatever the path, the request goes to the configured host."""
    heads: list[bytes] = []

    async def handler(head: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(head)
        writer.write(OK)

    answer, _ = ask_once(handler, Call("GET", path))
    assert answer.observation.ok
    assert b"\r\nHost: 127.0.0.1:" in heads[0]


def test_without_token_or_unauthorized_no_header() -> None:
    """No Authorization goes when the instance has no token, nor when `authorized` is off."""
    heads: list[bytes] = []

    async def handler(head: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(head.lower())
        writer.write(OK)

    ask_once(handler, changes={"secret": None})
    ask_once(handler, authorized=False)
    assert [b"authorization" in head for head in heads] == [False, False]


def test_what_was_not_sent_is_noted_at_a_401() -> None:
    """A 401 without a token says whether none is configured or none was to be sent; with one it says nothing of that."""

    async def handler(_head: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 401 X\r\nContent-Length: 0\r\n\r\n")

    noted = [ask_once(handler, **how)[0].observation.facts for how in ({}, {"changes": {"secret": None}}, {"authorized": False})]
    assert noted == [{}, {"no_token": "none configured"}, {"no_token": "none sent"}]


def test_a_missing_token_stops_before_the_first_request() -> None:
    """Making a client raises ConfigError when the token's variable is not set."""
    with pytest.raises(ConfigError, match="NO_SUCH_TOKEN_VARIABLE"):
        Client(Instance("here", "http://127.0.0.1:1", token_env="NO_SUCH_TOKEN_VARIABLE"))


# What it sees


def test_a_whole_observation() -> None:
    """Everything that a Canvas answer tells stands in its one observation."""
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nX-Request-Cost: 0.41\r\nX-Rate-Limit-Remaining: 599.5\r\n"
        b"X-Runtime: 0.25\r\nX-Request-Context-Id: abc-1\r\nX-Canvas-Meta: q=1500;u=0.2;y=0.01;d=0.1;\r\nContent-Length: 8\r\n\r\n"
    )
    answer, recorded = ask_once(answers(head + b'{"id":1}'), note=lambda seen: {"id": seen.json()["id"]}, due_s=0.0)
    one = answer.observation
    assert recorded == [one]
    assert (one.instance, one.scenario, one.call, one.method, one.path) == ("here", "test", SELF.name, "GET", SELF.path)
    assert (one.status, one.outcome, one.error, one.size_bytes, one.facts) == (200, Outcome.OK, None, 8, {"id": 1})
    assert (one.remaining, one.cost, one.limit, one.reset_s, one.retry_after_s) == (599.5, 0.41, None, None, None)
    assert (one.server_time_s, one.queue_s, one.db_s, one.request_id) == (0.25, 0.0015, 0.1, "abc-1")
    assert one.cpu_s == pytest.approx(0.21)
    assert (one.tls_s, one.reused, one.due_s) == (0.0, False, 0.0)
    spans = (one.pool_s, one.connect_s, one.send_s, one.wait_s, one.receive_s)
    assert all(span is not None and 0.0 <= span < 1.0 for span in spans)
    assert one.sent_s is not None
    assert one.received_s is not None
    assert 0.0 <= one.sent_s < one.received_s
    assert Observation.from_line(one.line()).outcome is Outcome.OK


def test_the_phases_follow_the_server() -> None:
    """A server that waits 0.15 s before the header and 0.2 s before the body is seen as that, each within 60 ms."""

    async def handler(_head: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.15)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.2)
        writer.write(b"{}")

    one = ask_once(handler)[0].observation
    assert one.wait_s == pytest.approx(0.15, abs=0.06)
    assert one.receive_s == pytest.approx(0.2, abs=0.06)
    assert one.flight_s == pytest.approx(0.35, abs=0.1)


def test_a_second_call_reuses_the_connection() -> None:
    """The next call goes over the warm connection: reused, connect and TLS exactly 0; a cold one is new again."""

    async def main() -> list[Observation]:
        async with served(answers(OK)) as port, Client(instance(port)) as client:
            return [await client.send(SELF, scenario="test", cold=cold) for cold in (False, False, True, False)]

    seen = asyncio.run(main())
    assert [one.reused for one in seen] == [False, True, False, True]
    assert [one.connect_s == 0.0 for one in seen] == [False, True, False, True]
    assert [one.tls_s for one in seen] == [0.0] * 4


def test_secrets_in_a_query_are_not_written() -> None:
    """access_token and api_key never reach an observation."""
    token = "12345~" + "a" * 40
    call = parse(f"GET /api/v1/courses?access_token=abc&page=2&api_key=def&x={token}")
    one = ask_once(answers(OK), call)[0].observation
    assert one.path == "/api/v1/courses?access_token=[redacted]&page=2&api_key=[redacted]&x=[token]"
    assert one.call == f"GET {one.path}"


def test_a_compressed_body_is_read() -> None:
    """A gzip body is decoded; its size is that of the decoded body."""
    packed = gzip.compress(b'{"id": 7}', mtime=0)
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
    answer, _ = ask_once(answers(head + packed))
    assert (answer.json(), answer.observation.size_bytes) == ({"id": 7}, 9)
    answer, _ = ask_once(answers(b"HTTP/1.1 204 No Content\r\nContent-Encoding: gzip\r\n\r\n"))
    assert (answer.observation.outcome, answer.body) == (Outcome.OK, b"")


def test_links_are_absolute() -> None:
    """Link is read with any case and made absolute."""
    head = b'HTTP/1.1 200 OK\r\nlink: </api/v1/courses?page=2>; REL="Next"\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n[]'
    answer, _ = ask_once(answers(head), parse("GET /api/v1/courses"))
    assert answer.links == {"next": answer.url.removesuffix("/api/v1/courses") + "/api/v1/courses?page=2"}


@pytest.mark.parametrize(("body", "parsed"), [(b'while(1);{"a":1}', {"a": 1}), (b"<html>", None), (b"", None), (b"[" * 100_000, None)])
def test_json_is_parsed_or_none(body: bytes, parsed: Any) -> None:
    """A body that is not JSON is None, never an exception."""
    one = Observation("a", "b", "c", "GET", "/", 0.0, None, None, 200, Outcome.OK)
    assert Answer(one, {}, body).json() == parsed


def test_cookies_are_discarded() -> None:
    """A cookie that the server sets is never sent back."""
    heads: list[bytes] = []

    async def handler(head: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(head)
        writer.write(OK.replace(b"Content-Type", b"Set-Cookie: canvas_session=1; Path=/\r\nContent-Type"))

    async def main() -> None:
        async with served(handler) as port, Client(instance(port)) as client:
            for _ in range(2):
                await client.send(SELF, scenario="test")

    asyncio.run(main())
    assert b"ookie" not in heads[1]


def test_a_redirect_is_not_followed() -> None:
    """A redirect is an outcome; where it points is noted as an origin, and the token goes nowhere."""
    head = b"HTTP/1.1 302 Found\r\nLocation: https://evil.example/login?x=1\r\nContent-Length: 0\r\n\r\n"
    one = ask_once(answers(head))[0].observation
    assert (one.outcome, one.status, one.facts) == (Outcome.REDIRECTED, 302, {"location": "https://evil.example"})


@pytest.mark.parametrize("location", [b"http://[bad", b"//:x", b"\xff\xfe", b""])
def test_a_garbage_location_is_still_a_redirect(location: bytes) -> None:
    """A Location that is no URL does not hurt."""
    one = ask_once(answers(b"HTTP/1.1 302 Found\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n"))[0].observation
    assert one.outcome is Outcome.REDIRECTED


def test_a_login_page_in_place_of_json() -> None:
    """200 with HTML is a protocol error with a sentence, noted as a page."""
    body = b"<!DOCTYPE html><title>Log in</title>"
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    one = ask_once(answers(head + body))[0].observation
    assert (one.outcome, one.status, one.facts) == (Outcome.PROTOCOL_ERROR, 200, {"html": True})
    assert one.error == "a web page (HTML) came in place of JSON: a login page, or something between here and the server answered"


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "$0.15", "600.0abc", "1e308", "1e999", "0x10", "", "1,5", "1_000", "٦", "9" * 400])
def test_garbage_in_a_budget_header_is_none(text: str) -> None:
    """A budget field that is not plainly a plausible number is None, never a wrong number."""
    fields = f"X-Request-Cost: {text}\r\nX-Rate-Limit-Remaining: {text}\r\nX-Runtime: {text}\r\nRetry-After: {text}\r\n".encode()
    one = ask_once(answers(OK.replace(b"Content-Type", fields + b"Content-Type")))[0].observation
    assert (one.cost, one.remaining, one.server_time_s, one.retry_after_s, one.outcome) == (None, None, None, None, Outcome.OK)


# How it fails


def test_a_hanging_server_is_a_read_timeout() -> None:
    """No answer within the timeout: read_timeout, sent but not received, recorded once."""
    answer, recorded = ask_once(hangs, timeout_s=0.2)
    one = answer.observation
    assert recorded == [one]
    assert (one.outcome, one.status, one.received_s, one.wait_s) == (Outcome.READ_TIMEOUT, None, None, None)
    assert one.sent_s is not None
    assert one.error == "no answer within 0.2 s"
    assert 0.15 < one.facts["gave_up_after_s"] < 1.0
    assert one.latency_s is None


def test_the_instance_sets_the_timeout() -> None:
    """Without a timeout of its own a call waits as long as the instance says."""
    one = ask_once(hangs, changes={"timeout_s": 0.15})[0].observation
    assert (one.outcome, one.error) == (Outcome.READ_TIMEOUT, "no answer within 0.15 s")


def test_a_server_that_does_not_read() -> None:
    """A request that cannot be written within the timeout is write_timeout."""
    one = ask_once(hangs, Call("POST", "/", body="x" * 20_000_000), timeout_s=0.4, changes={"allow_writes": True})[0].observation
    assert (one.outcome, one.status, one.send_s) == (Outcome.WRITE_TIMEOUT, None, None)


@pytest.mark.parametrize("part", [b"x", b"X-Dripping: "])
def test_a_dripping_server_ends_too(part: bytes) -> None:
    """A byte now and then does not keep a call alive beyond its deadline, in the body and in the header."""
    start = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + (b"Content-Length: 1000\r\n\r\n" if part == b"x" else b"")

    async def drip(_head: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while True:
            writer.write(part if part == b"x" else part + b"1\r\n")
            await writer.drain()
            await asyncio.sleep(0.05)

    one = ask_once(drip, timeout_s=0.3)[0].observation
    assert one.outcome is Outcome.READ_TIMEOUT
    assert one.facts["gave_up_after_s"] < 1.2
    assert one.status == (200 if part == b"x" else None)
    assert one.error == ("no end of the body within 0.3 s" if part == b"x" else "no answer within 0.3 s")


def test_a_reset_is_a_protocol_error() -> None:
    """A connection that is reset after the request: protocol_error, sent, no status."""

    async def reset(_head: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        raise ConnectionError

    one = ask_once(reset)[0].observation
    assert (one.outcome, one.status) == (Outcome.PROTOCOL_ERROR, None)
    assert one.sent_s is not None
    assert one.error is not None


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{}", 200),
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{", 200),
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", 200),
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"{}", mtime=0)[:-9], 200),
        (b"garbage\r\n\r\n", None),
        (b"HTTP/1.1 2000 OK\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\n{}", None),
        (b"", None),
    ],
)
def test_broken_answers_are_protocol_errors(data: bytes, status: int | None) -> None:
    """Truncated, wrongly long, wrongly encoded and nonsense answers end as protocol_error with what was seen."""

    async def handler(_head: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        writer.close()
        raise ConnectionError

    answer, recorded = ask_once(handler)
    assert (answer.observation.outcome, answer.observation.status) == (Outcome.PROTOCOL_ERROR, status)
    assert recorded == [answer.observation]


def test_a_refusal_cut_short_is_still_a_refusal() -> None:
    """What the status says counts before what broke afterwards."""

    async def handler(_head: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 100\r\n\r\n429")
        await writer.drain()
        writer.close()
        raise ConnectionError

    one = ask_once(handler)[0].observation
    assert (one.outcome, one.status) == (Outcome.THROTTLED, 429)
    assert one.error is not None


def test_a_too_large_body_is_cut() -> None:
    """Beyond the cap reading stops: too_large, with what was read."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000000\r\n\r\n"
    answer, recorded = ask_once(answers(head + b"[" * 5_000_000), client={"max_body_bytes": 100_000})
    one = answer.observation
    assert (one.outcome, one.size_bytes, len(answer.body)) == (Outcome.TOO_LARGE, 100_000, 100_000)
    assert one.error == "the body is larger than 100000 bytes; the rest was not read"
    assert recorded == [one]


def test_after_a_cut_body_the_next_call_works() -> None:
    """A connection whose body was not read to its end is not used again."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n"

    async def main() -> list[Observation]:
        async with served(answers(head + b"1" * 5000)) as port, Client(instance(port), max_body_bytes=100) as client:
            return [await client.send(SELF, scenario="test") for _ in range(3)]

    seen = asyncio.run(main())
    assert [(one.outcome, one.reused) for one in seen] == [(Outcome.TOO_LARGE, False)] * 3


def test_nobody_listens() -> None:
    """A closed port is connect_error; nothing was sent."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    async def main() -> tuple[Observation, list[Observation]]:
        recorded: list[Observation] = []
        async with Client(instance(port), record=recorded.append) as client:
            return await client.send(SELF, scenario="test"), recorded

    one, recorded = asyncio.run(main())
    assert recorded == [one]
    assert (one.outcome, one.sent_s, one.connect_s, one.status) == (Outcome.CONNECT_ERROR, None, None, None)


def test_a_name_that_does_not_exist() -> None:
    """A host that has no address is dns_error."""

    async def main() -> Observation:
        async with Client(Instance("here", "http://no-such-host.invalid", timeout_s=5.0)) as client:
            return await client.send(SELF, scenario="test")

    one = asyncio.run(main())
    assert one.outcome is Outcome.DNS_ERROR
    assert one.sent_s is None


def test_no_connection_in_time() -> None:
    """A host that does not take the connection is connect_timeout: its accept queue is full."""

    async def main() -> Observation:
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            fillers = [socket.socket() for _ in range(4)]
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(full.getsockname())
            try:
                await asyncio.sleep(0.05)
                async with Client(instance(full.getsockname()[1])) as client:
                    return await client.send(SELF, scenario="test", timeout_s=0.3)
            finally:
                for filler in fillers:
                    filler.close()

    one = asyncio.run(main())
    assert (one.outcome, one.sent_s, one.connect_s) == (Outcome.CONNECT_TIMEOUT, None, None)


# TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def tls_of(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def secure(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))


def ask_https(tls: ssl.SSLContext | None, times: int = 1) -> list[Observation]:
    async def main() -> list[Observation]:
        async with served(answers(OK), tls) as port:
            here = Instance("here", f"https://localhost:{port}", timeout_s=1.0)
            async with Client(here) as client:
                return [await client.send(SELF, scenario="test") for _ in range(times)]

    return asyncio.run(main())


def test_tls_is_a_phase_of_its_own(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Over https the first call has a TLS phase, the second none; SSL_CERT_FILE is honoured."""
    secure(authority, monkeypatch, tmp_path)
    first, second = ask_https(tls_of(authority, "localhost"), times=2)
    assert (first.outcome, second.outcome) == (Outcome.OK, Outcome.OK)
    assert first.tls_s is not None
    assert first.tls_s > 0.0
    assert (second.connect_s, second.tls_s, second.reused) == (0.0, 0.0, True)


def test_an_unknown_authority_is_a_tls_error(authority: trustme.CA) -> None:
    """A certificate of an authority that is not trusted is tls_error; the connection stood, nothing was sent."""
    one = ask_https(tls_of(authority, "localhost"))[0]
    assert (one.outcome, one.sent_s, one.tls_s) == (Outcome.TLS_ERROR, None, None)
    assert one.connect_s is not None
    assert one.error is not None
    assert "CERTIFICATE_VERIFY_FAILED" in one.error


def test_a_certificate_for_another_name_is_a_tls_error(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A certificate of another host is tls_error."""
    secure(authority, monkeypatch, tmp_path)
    assert ask_https(tls_of(authority, "other.example"))[0].outcome is Outcome.TLS_ERROR


def test_a_server_without_tls_is_a_tls_error() -> None:
    """A plain server where TLS is expected is tls_error."""

    async def main() -> Observation:
        async def plain(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(plain, "127.0.0.1", 0)
        async with server, Client(Instance("here", f"https://localhost:{server.sockets[0].getsockname()[1]}")) as client:
            return await client.send(SELF, scenario="test", timeout_s=2.0)

    assert asyncio.run(main()).outcome is Outcome.TLS_ERROR


def test_a_handshake_that_never_ends() -> None:
    """A server that accepts and says nothing while TLS is expected is connect_timeout, the connection itself stood."""

    async def main() -> Observation:
        async with served(hangs) as port, Client(Instance("here", f"https://localhost:{port}")) as client:
            return await client.send(SELF, scenario="test", timeout_s=0.3)

    one = asyncio.run(main())
    assert (one.outcome, one.tls_s, one.sent_s) == (Outcome.CONNECT_TIMEOUT, None, None)
    assert one.connect_s is not None


# The table of failures


def _all_of_httpx() -> list[type[BaseException]]:
    kinds = {kind for kind in vars(httpx).values() if isinstance(kind, type) and issubclass(kind, Exception)}
    return sorted(kinds, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", _all_of_httpx(), ids=lambda kind: kind.__name__)
def test_every_error_of_httpx_is_in_the_table(kind: type[BaseException]) -> None:
    """Each exception that httpx can raise has its own line."""
    assert kind in FAILURES


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (httpx.ConnectTimeout("x"), Outcome.CONNECT_TIMEOUT),
        (httpx.PoolTimeout("x"), Outcome.POOL_TIMEOUT),
        (httpx.WriteTimeout("x"), Outcome.WRITE_TIMEOUT),
        (httpx.ProxyError("x"), Outcome.CONNECT_ERROR),
        (ConnectionResetError("x"), Outcome.CONNECT_ERROR),
        (ZeroDivisionError("x"), Outcome.PROTOCOL_ERROR),
        (ExceptionGroup("all", [OSError(), socket.gaierror(-2, "Name or service not known")]), Outcome.DNS_ERROR),
    ],
)
def test_failures_have_outcomes(error: Exception, outcome: Outcome) -> None:
    """The most special class of an error decides, its causes before it."""
    assert failure(error)[0] is outcome


def test_a_cause_decides() -> None:
    """A ConnectError caused by TLS is a tls_error, and its words hold no token."""
    error = httpx.ConnectError("failed for 77~" + "b" * 40)
    error.__cause__ = ssl.SSLError(1, "handshake")
    assert failure(error) == (Outcome.TLS_ERROR, "ConnectError: failed for [token]")


@pytest.mark.parametrize("says", ["", "All connection attempts failed"])
def test_the_system_says_what_the_library_does_not(says: str) -> None:
    """Where httpx tells no reason the words of the system below it are told."""
    error = httpx.ConnectError(says)
    error.__cause__ = RuntimeError("between")
    error.__cause__.__cause__ = ConnectionRefusedError(111, "Connect call failed")
    assert failure(error) == (Outcome.CONNECT_ERROR, "ConnectError: [Errno 111] Connect call failed")


# Ceilings, limiter, cancelling


def test_max_in_flight_is_obeyed() -> None:
    """Never more requests at once than the instance allows; who waits has it in pool_s; all are answered."""
    now = most = 0

    async def handler(_head: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.05)
        now -= 1
        writer.write(OK)

    async def main() -> list[Observation]:
        async with served(handler) as port, Client(instance(port, max_in_flight=3)) as client:
            return await asyncio.gather(*(client.send(SELF, scenario="test") for _ in range(9)))

    seen = asyncio.run(main())
    assert most == 3
    assert [one.outcome for one in seen] == [Outcome.OK] * 9
    assert sum((one.pool_s or 0.0) > 0.04 for one in seen) == 6


def test_a_hundred_at_once() -> None:
    """100 concurrent calls without a ceiling are all answered, each recorded once."""

    async def handler(_head: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.1)
        writer.write(OK)

    async def main() -> tuple[list[Observation], list[Observation], int]:
        recorded: list[Observation] = []
        async with served(handler) as port, Client(instance(port, timeout_s=60.0), record=recorded.append) as client:
            return await asyncio.gather(*(client.send(SELF, scenario="test") for _ in range(100))), recorded, client.requests

    seen, recorded, requests = asyncio.run(main())
    assert [one.outcome for one in seen] == [Outcome.OK] * 100
    assert len({id(one) for one in recorded}) == len(recorded) == requests == 100


@pytest.mark.parametrize(("origin_s", "sent_s"), [(None, 0.0), (2.0, 5.0)])
def test_times_count_from_the_start_of_the_run(origin_s: float | None, sent_s: float) -> None:
    """All times of an observation count from `origin_s`, else from the first call, whatever the loop's clock says; here 7 s."""

    async def main() -> list[Observation]:
        await asyncio.sleep(7.0)
        loop = asyncio.get_running_loop()
        origin = None if origin_s is None else loop.time() - 5.0
        async with Client(Instance("here", "http://127.0.0.1"), transport=app_of(lambda: asyncio.sleep(0.25)), origin_s=origin) as client:
            return [await client.send(SELF, scenario="test") for _ in range(2)]

    seen = run_virtually(main())
    told = [(one.due_s, one.sent_s, one.received_s) for one in seen]
    assert told == [pytest.approx((start, start, start + 0.25)) for start in (sent_s, sent_s + 0.25)]


def test_max_requests_is_a_guard() -> None:
    """The request after the last allowed one raises GuardStop and is not sent."""

    async def main() -> int:
        async with served(answers(OK)) as port, Client(instance(port, max_requests=2)) as client:
            for _ in range(2):
                await client.send(SELF, scenario="test")
            with pytest.raises(GuardStop, match=r"^Instance 'here' allows max_requests = 2 a run, and that many were sent\.$"):
                await client.send(SELF, scenario="test")
            return client.requests

    assert asyncio.run(main()) == 2


def app_of(handler: Callable[[], Awaitable[None]]) -> httpx.ASGITransport:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await handler()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": b"{}"})

    return httpx.ASGITransport(app=app)


@pytest.mark.parametrize(("rate", "count", "least_s"), [(5.0, 20, 3.0), (0.5, 4, 6.0), (2.7, 9, 2.2)])
def test_max_rate_holds_in_every_second(rate: float, count: int, least_s: float) -> None:
    """In no second (1/rate where that is longer) go more requests than `max_rate`, or the next whole number; virtual time."""

    async def main() -> list[float]:
        starts: list[float] = []

        async def handler() -> None:
            starts.append(asyncio.get_running_loop().time())
            await asyncio.sleep(0.01)

        async with Client(Instance("here", "http://127.0.0.1", max_rate=rate), transport=app_of(handler)) as client:
            await asyncio.gather(*(client.send(SELF, scenario="test") for _ in range(count)))
        return starts

    starts = run_virtually(main())
    window = max(1.0, 1.0 / rate)
    assert len(starts) == count
    assert max(sum(start <= one < start + window for one in starts) for start in starts) <= math.ceil(rate)
    assert starts[-1] - starts[0] >= least_s


def test_waiting_for_our_own_ceiling_is_no_latency() -> None:
    """A call without a schedule is due when `max_rate` lets it go: the wait before is told apart; one with a schedule is due by that."""

    async def main() -> list[Observation]:
        async def handler() -> None:
            await asyncio.sleep(0.1)

        async with Client(Instance("here", "http://127.0.0.1", max_rate=0.5), transport=app_of(handler)) as client:
            return [await client.send(SELF, scenario="test", due_s=due) for due in (None, None, 2.5)]

    seen = run_virtually(main())
    assert [one.latency_s for one in seen] == pytest.approx([0.1, 0.1, 4.1 - 2.5])
    assert [one.pool_s for one in seen] == pytest.approx([0.0, 1.9, 1.9])


def test_without_trace_events_the_loops_time_counts() -> None:
    """Over ASGI the phases are taken around the call, exactly, in virtual time; cold is told apart from warm."""

    async def main() -> list[Observation]:
        async def handler() -> None:
            await asyncio.sleep(0.75)

        async with Client(Instance("here", "http://127.0.0.1"), transport=app_of(handler)) as client:
            return [await client.send(SELF, scenario="test", cold=cold) for cold in (False, False, True)]

    seen = run_virtually(main())
    assert [(one.wait_s, one.connect_s, one.tls_s, one.send_s, one.reused) for one in seen] == [
        (0.75, 0.0, 0.0, 0.0, False),
        (0.75, 0.0, 0.0, 0.0, True),
        (0.75, 0.0, 0.0, 0.0, False),
    ]
    assert [(one.due_s, one.sent_s, one.received_s) for one in seen] == [(0.0, 0.0, 0.75), (0.75, 0.75, 1.5), (1.5, 1.5, 2.25)]


def test_a_hanging_application_times_out_in_virtual_time() -> None:
    """The timeout holds for applications in this process too."""

    async def main() -> Observation:
        async def handler() -> None:
            await asyncio.sleep(1000)

        async with Client(Instance("here", "http://127.0.0.1"), transport=app_of(handler)) as client:
            return await client.send(SELF, scenario="test", timeout_s=30)

    one = run_virtually(main())
    assert (one.outcome, one.facts) == (Outcome.READ_TIMEOUT, {"gave_up_after_s": 30.0})


def test_an_application_that_fails_is_an_outcome() -> None:
    """An exception inside an application of this process is protocol_error, named."""

    async def main() -> Observation:
        async def handler() -> None:
            raise ZeroDivisionError("inside")

        async with Client(Instance("here", "http://127.0.0.1"), transport=app_of(handler)) as client:
            return await client.send(SELF, scenario="test")

    one = run_virtually(main())
    assert (one.outcome, one.error) == (Outcome.PROTOCOL_ERROR, "ZeroDivisionError: inside")


def test_a_cancelled_request_is_recorded() -> None:
    """A request that had been sent and is then cancelled has its one line: cancelled."""

    async def main() -> tuple[list[Observation], int]:
        recorded: list[Observation] = []
        async with served(hangs) as port, Client(instance(port, max_in_flight=1), record=recorded.append) as client:
            task = asyncio.create_task(client.send(SELF, scenario="test"))
            waiting = asyncio.create_task(client.send(SELF, scenario="test"))
            await asyncio.sleep(0.15)
            waiting.cancel()
            task.cancel()
            await asyncio.gather(task, waiting, return_exceptions=True)
            return recorded, client.requests

    recorded, requests = asyncio.run(main())
    assert [(one.outcome, one.status) for one in recorded] == [(Outcome.CANCELLED, None)]
    assert recorded[0].sent_s is not None
    assert requests == 1


def test_a_place_outlives_a_cancelled_waiter() -> None:
    """A waiter that is cancelled in the very moment its turn comes gives the place on."""

    async def main() -> None:
        slots = Slots(instance(1), 1, None)

        async def take() -> None:
            async with slots.slot():
                pass

        async with slots.slot():
            waiter = asyncio.create_task(take())
            await asyncio.sleep(0)
        waiter.cancel()
        await asyncio.gather(waiter, return_exceptions=True)
        await asyncio.wait_for(take(), 1)
        await slots.close()

    asyncio.run(main())


def test_who_waits_is_served_in_order() -> None:
    """With one place, calls are sent in the order in which they came, warm after the first."""
    paths: list[bytes] = []

    async def handler(head: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        paths.append(head.split(b" ")[1])
        writer.write(OK)

    async def main() -> list[Observation]:
        async with served(handler) as port, Client(instance(port, max_in_flight=1)) as client:
            return await asyncio.gather(*(client.send(Call("GET", f"/{n}"), scenario="test") for n in range(5)))

    seen = asyncio.run(main())
    assert paths == [b"/0", b"/1", b"/2", b"/3", b"/4"]
    assert [one.reused for one in seen] == [False, True, True, True, True]


class FakeLimiter:
    """Notes what the client tells a limiter."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    async def acquire_async(self) -> str:
        """A ticket after half a second."""
        await asyncio.sleep(0.5)
        return "ticket"

    def release(self, ticket: Any, **told: Any) -> None:
        """Notes what it is told."""
        self.told.append((ticket, told))


def test_the_limiter_is_asked_and_told() -> None:
    """A ticket is taken before sending, its wait is ours (pool_s), and the answer is told back."""
    limiter: Any = FakeLimiter()

    async def main() -> Observation:
        async def handler() -> None:
            await asyncio.sleep(0.25)

        client = Client(Instance("here", "http://127.0.0.1"), transport=app_of(handler), limiter=limiter)
        async with client:
            return await client.send(SELF, scenario="test")

    one = run_virtually(main())
    assert (one.pool_s, one.sent_s) == (0.5, 0.5)
    told = {"cost": None, "remaining": None, "refused": False, "retry_after_s": None, "lost": False}
    assert limiter.told == [("ticket", told)]


@pytest.mark.parametrize("known", [True, False])
def test_calls_without_an_answer_stay_in_the_limiters_book(known: bool) -> None:
    """Of nine calls that time out one after another the limiter learns nothing, and it keeps what they reserved, less the leak."""
    limiter = Limiter(known=known)

    async def main() -> float:
        start = asyncio.get_running_loop().time()
        patient = Instance("here", "http://127.0.0.1", timeout_s=1.0)
        async with Client(patient, transport=app_of(lambda: asyncio.sleep(60)), limiter=limiter) as client:
            seen = [await client.send(SELF, scenario="test") for _ in range(9)]
        assert {one.outcome for one in seen} == {Outcome.READ_TIMEOUT}
        return asyncio.get_running_loop().time() - start

    seconds = run_virtually(main())
    assert limiter.ledger.level_at(0.0) == pytest.approx(9 * 50.0 - 10.0 * seconds, abs=10.0)
    assert limiter.ledger.overdue.units == pytest.approx(limiter.ledger.level_at(0.0), abs=20.0)
    assert limiter.ledger.silence.clean == 0


def test_a_guard_that_raises_after_an_answer() -> None:
    """What `on_answer` raises comes out of ask."""

    def guard(_seen: Observation) -> None:
        raise GuardStop("enough")

    with pytest.raises(GuardStop, match="enough"):
        ask_once(answers(OK), client={"on_answer": guard})


def test_a_note_that_fails_does_not_lose_the_line() -> None:
    """An observation is recorded even when the scenario's note raises."""

    async def main() -> list[Observation]:
        recorded: list[Observation] = []
        async with served(answers(OK)) as port, Client(instance(port), record=recorded.append) as client:
            with pytest.raises(KeyError):
                await client.send(SELF, scenario="test", note=lambda seen: {"x": seen.json()["missing"]})
        return recorded

    assert [one.outcome for one in asyncio.run(main())] == [Outcome.OK]


# Proxies


@pytest.mark.parametrize(
    ("environment", "url", "proxy"),
    [
        ({}, "https://school.example", None),
        ({"https_proxy": "http://proxy.example:3128"}, "https://school.example", "http://proxy.example:3128"),
        ({"https_proxy": "proxy.example:3128"}, "https://school.example", "http://proxy.example:3128"),
        ({"all_proxy": "http://proxy.example"}, "https://school.example", "http://proxy.example"),
        ({"https_proxy": "http://proxy.example", "no_proxy": "school.example"}, "https://school.example", None),
        ({"http_proxy": "http://proxy.example"}, "http://127.0.0.1:8000", None),
        ({"http_proxy": "http://proxy.example"}, "http://localhost:8000", None),
    ],
)
def test_the_environments_proxy(environment: dict[str, str], url: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's proxy is honoured, its exceptions too; loopback never goes through one."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_of(url) == proxy


def test_a_socks_proxy_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that cannot be used is said beforehand, without its password."""
    monkeypatch.setenv("https_proxy", "socks5://me:secret@proxy.example:1080")
    with pytest.raises(ConfigError, match=r"names the proxy socks5://proxy\.example:1080: only http:// and https:// proxies can be used"):
        proxy_of("https://school.example")


def test_a_request_goes_through_the_proxy(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Through a proxy's CONNECT the times are those of the request itself, and the client says which proxy it uses."""
    secure(authority, monkeypatch, tmp_path)
    tls = tls_of(authority, "school.example")

    async def main() -> tuple[Observation, str | None]:
        async def tunnel(_head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(0.1)
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await writer.drain()
            there_reader, there = await asyncio.open_connection("127.0.0.1", target)

            async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
                while data := await source.read(65536):
                    sink.write(data)
                sink.close()
                await sink.wait_closed()

            try:
                await asyncio.gather(copy(reader, there), copy(there_reader, writer))
            finally:
                there.close()
                await asyncio.gather(there.wait_closed(), return_exceptions=True)

        async with served(answers(OK), tls) as target, served(tunnel) as proxy:
            monkeypatch.setenv("https_proxy", f"http://me:secret@127.0.0.1:{proxy}")
            async with Client(Instance("here", "https://school.example", timeout_s=3.0)) as client:
                told = client.proxy
                return await client.send(SELF, scenario="test"), told and told.replace(str(proxy), "PORT")

    one, told = asyncio.run(main())
    assert (one.outcome, told) == (Outcome.OK, "http://127.0.0.1:PORT")
    assert one.tls_s is not None
    assert one.tls_s > 0.0
    assert one.flight_s is not None
    assert one.flight_s < 0.1


def test_a_handshake_behind_a_proxy_that_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the proxy answers and TLS behind it does not, nothing was sent yet: connect_timeout."""

    async def main() -> Observation:
        async def tunnel(_head: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(60)

        async with served(tunnel) as proxy:
            monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy}")
            async with Client(Instance("here", "https://school.example")) as client:
                return await client.send(SELF, scenario="test", timeout_s=0.3)

    one = asyncio.run(main())
    assert (one.outcome, one.sent_s, one.status) == (Outcome.CONNECT_TIMEOUT, None, None)
