from __future__ import annotations

import asyncio
import concurrent.futures
import copy
import gzip
import io
import pickle
import socket
import time
from collections.abc import AsyncIterator, Iterator
from email.utils import formatdate
from typing import Any

import httpx
import pytest
import requests
from pytest_httpserver import HTTPServer
from urllib3.util.retry import Retry
from werkzeug import Request, Response

from probes import Limiter
from probes.bucket import BucketSettings
from probes.clock import run_virtually
from probes.errors import UsageError
from probes.hosts import budget, is_refusal
from probes.simulator.app import create_app
from probes.simulator.network import DelayedTransport
from probes.simulator.server import Served
from probes.simulator.settings import TOKEN, Service, SimulatorSettings

SELF = "/api/v1/users/self"
AGENT = {"user-agent": "limiter-tests", "authorization": f"Bearer {TOKEN}"}
SMALL = BucketSettings(high_water_mark=300.0, maximum=400.0, outflow_per_s=20.0, up_front_cost=50.0)
SETTINGS = SimulatorSettings(bucket=SMALL, services={"*": Service(0.02, 0.3, cost_mean=0.05)}, slots=1000)


class Parts(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that comes in two parts, and once only."""

    def __init__(self, body: bytes) -> None:
        self._parts = iter((body[:7], body[7:]))

    def __iter__(self) -> Iterator[bytes]:
        yield from self._parts

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            yield part


def limiter() -> Limiter:
    """A limiter that knows the simulator's bucket."""
    return Limiter(SMALL.high_water_mark, SMALL.outflow_per_s, SMALL.up_front_cost)


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with Served(SETTINGS) as running:
        yield running


@pytest.fixture
def served(server: Served) -> Served:
    """A simulator whose buckets and counts begin anew."""
    httpx.post(f"{server.url}/_simulator/reset", trust_env=False)
    return server


def counted(served: Served) -> tuple[int, int]:
    """(requests, refusals) that the simulator saw."""
    state = httpx.get(f"{served.url}/_simulator/count", trust_env=False).json()
    return state["requests"], state["refused"]


@pytest.mark.slow
def test_async_client_over_sockets(served: Served) -> None:
    """A job of 200 tasks on httpx.AsyncClient at once: all answered, none refused, all released."""
    gate = limiter()

    async def main() -> list[int]:
        transport = gate.async_transport(limits=httpx.Limits(max_connections=None))
        async with httpx.AsyncClient(transport=transport, base_url=served.url, headers=AGENT, timeout=30.0) as client:
            answers = await asyncio.gather(*(client.get(SELF) for _ in range(200)))
        return [answer.status_code for answer in answers]

    assert asyncio.run(main()) == [200] * 200
    assert counted(served) == (200, 0)
    assert (gate.in_flight, gate.refused) == (0, 0)


@pytest.mark.slow
def test_threads_with_one_client_over_sockets(served: Served) -> None:
    """Sixteen threads on one httpx.Client: all answered, none refused."""
    gate = limiter()
    with (
        httpx.Client(transport=gate.transport(), base_url=served.url, headers=AGENT, timeout=30.0) as client,
        concurrent.futures.ThreadPoolExecutor(16) as pool,
    ):
        statuses = list(pool.map(lambda _: client.get(SELF).status_code, range(100)))
    assert statuses == [200] * 100
    assert counted(served) == (100, 0)
    assert gate.in_flight == 0


@pytest.mark.slow
def test_requests_session_as_canvasapi_uses_it(served: Served) -> None:
    """What canvasapi does, one session and Bearer headers by call, obeys the limiter by one line, from many threads."""
    gate, session = limiter(), requests.Session()
    session.trust_env = False
    session.mount("http://", gate.requests_adapter(pool_maxsize=20))

    def call(number: int) -> int:
        return session.get(served.url + SELF, headers=AGENT, params={"n": number}, timeout=30).status_code

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert list(pool.map(call, range(100))) == [200] * 100
    assert counted(served) == (100, 0)
    session.close()


@pytest.mark.slow
def test_an_unknown_bucket_over_sockets(served: Served) -> None:
    """Limiter.canvas() learns a bucket half as large as Canvas's while it sends, without a refusal."""
    gate = Limiter.canvas()

    async def main() -> None:
        async with httpx.AsyncClient(transport=gate.async_transport(), base_url=served.url, headers=AGENT, timeout=30.0) as client:
            await asyncio.gather(*(client.get(SELF) for _ in range(150)))

    asyncio.run(main())
    assert counted(served) == (150, 0)
    assert gate.ledger.settings.up_front_cost == pytest.approx(50.0, rel=0.05)
    assert gate.ledger.settings.high_water_mark == pytest.approx(300.0, rel=0.02)


@pytest.mark.slow
def test_streamed_answers(served: Served) -> None:
    """A streamed answer gives its ticket back when its headers are there; its body can still be read."""
    gate = limiter()
    with httpx.Client(transport=gate.transport(), base_url=served.url, headers=AGENT) as client, client.stream("GET", SELF) as answer:
        assert gate.in_flight == 0
        assert b'"id"' in b"".join(answer.iter_bytes())


@pytest.mark.slow
def test_failures_give_the_ticket_back() -> None:
    """A connection that cannot be made raises as it would without the gate, and nothing stays in flight."""
    gate, session = limiter(), requests.Session()
    session.trust_env = False
    session.mount("http://", gate.requests_adapter())
    with pytest.raises(requests.ConnectionError):
        session.get("http://127.0.0.1:9/", timeout=2)
    with httpx.Client(transport=gate.transport()) as client, pytest.raises(httpx.ConnectError):
        client.get("http://127.0.0.1:9/")

    async def main() -> None:
        async with httpx.AsyncClient(transport=gate.async_transport()) as client:
            with pytest.raises(httpx.ConnectError):
                await client.get("http://127.0.0.1:9/")

    asyncio.run(main())
    assert gate.in_flight == 0


def virtual(settings: SimulatorSettings, gate: Limiter, calls: int, rtt_s: float = 0.0) -> tuple[list[int], float, Any]:
    """(statuses, virtual seconds, the simulator's world) of `calls` tasks at once."""

    async def main() -> tuple[list[int], float, Any]:
        app = create_app(settings)
        inner = DelayedTransport(httpx.ASGITransport(app), rtt_s, 0.0)
        async with httpx.AsyncClient(transport=gate.async_transport(inner), base_url="http://127.0.0.1", headers=AGENT) as client:
            answers = await asyncio.gather(*(client.get(SELF, timeout=None) for _ in range(calls)))
        return [answer.status_code for answer in answers], asyncio.get_running_loop().time(), app.state.world

    return run_virtually(main())


@pytest.mark.untraced
def test_a_default_bucket_in_virtual_time() -> None:
    """600 calls of 0.4 s and 0.2 units on a default bucket: quicker than eleven plain workers, not one refused."""
    settings = SimulatorSettings(services={"*": Service(0.4, 0.5, cost_mean=0.2)}, slots=1000)
    statuses, seconds, world = virtual(settings, Limiter(), 600)
    assert statuses == [200] * 600
    assert world.counts.refused == 0
    assert seconds < 24.0


def test_refused_calls_are_not_sent_again() -> None:
    """A limiter that thinks too much of its bucket is refused; it hands the refusals on and sends nothing twice."""
    settings = SETTINGS.changed(retry_after=True)
    gate = Limiter(600.0, 20.0, 5.0)
    statuses, _, world = virtual(settings, gate, 60)
    assert world.counts.requests == 60
    assert statuses.count(429) == gate.refused > 0


@pytest.mark.parametrize("encoding", ["gzip", "broken"])
def test_a_streamed_403_is_still_a_stream(encoding: str) -> None:
    """A compressed refusal counts as one and reaches a streaming caller raw, sync and async; one that cannot be decoded counts as none."""
    packed = gzip.compress(b"403 Forbidden (Rate Limit Exceeded)") if encoding == "gzip" else b"(Rate Limit)"

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(403, headers={"Content-Encoding": "gzip"}, stream=Parts(packed))

    gates = [limiter(), limiter()]
    with httpx.Client(transport=gates[0].transport(httpx.MockTransport(answer))) as client, client.stream("GET", "http://x/") as response:
        assert b"".join(response.iter_raw()) == packed

    async def main() -> bytes:
        transport = gates[1].async_transport(httpx.MockTransport(answer))
        async with httpx.AsyncClient(transport=transport) as client, client.stream("GET", "http://x/") as response:
            return b"".join([part async for part in response.aiter_raw()])

    assert asyncio.run(main()) == packed
    assert [gate.refused for gate in gates] == [int(encoding == "gzip")] * 2


def test_a_403_that_is_the_throttles_can_still_be_read() -> None:
    """The older refusal is a 403 with a text: it counts as one, and the caller still gets its body; another 403 does not count."""

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(403, text="403 Forbidden (Rate Limit Exceeded)" if request.url.path == "/busy" else "no")

    gate = limiter()
    with httpx.Client(transport=gate.transport(httpx.MockTransport(answer)), base_url="http://here") as client:
        assert client.get("/busy").text == "403 Forbidden (Rate Limit Exceeded)"
        assert client.get("/other").text == "no"
    assert gate.refused == 1


def test_a_403_that_was_read_already_goes_through_the_async_gate() -> None:
    """An inner transport that hands out answers read to their end, as httpx's own for tests does, works behind the async gate as well."""

    async def main() -> tuple[list[str], int]:
        gate = limiter()
        inner = httpx.MockTransport(lambda _: httpx.Response(403, text="403 Forbidden (Rate Limit Exceeded)"))
        async with httpx.AsyncClient(transport=gate.async_transport(inner), base_url="http://here") as client:
            return [(await client.get("/busy")).text], gate.refused

    assert run_virtually(main()) == (["403 Forbidden (Rate Limit Exceeded)"], 1)


class Noting(Limiter):
    """Notes which costs are booked, and whether an answer was lost."""

    def __init__(self) -> None:
        super().__init__()
        self.costs: list[Any] = []
        self.lost: list[bool] = []

    def release(self, ticket: int, *told: Any, **named: Any) -> None:
        """Notes it."""
        self.costs.append(named.get("cost", told[0] if told else None))
        self.lost.append(named.get("lost", False))
        super().release(ticket, *told, **named)


def test_a_call_that_brought_no_answer_is_booked_as_lost() -> None:
    """Through every gate a call that ends with an exception is lost: the server may still be at it; its ticket is given back once."""
    gate = Noting()

    def late(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("late", request=request)

    async def main() -> None:
        async with httpx.AsyncClient(transport=gate.async_transport(httpx.MockTransport(late))) as client:
            with pytest.raises(httpx.ReadTimeout):
                await client.get("http://here/")

    asyncio.run(main())
    with httpx.Client(transport=gate.transport(httpx.MockTransport(late))) as client, pytest.raises(httpx.ReadTimeout):
        client.get("http://here/")
    with requests.Session() as session, socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        session.trust_env = False
        session.mount("http://", gate.requests_adapter())
        with pytest.raises(requests.ReadTimeout):
            session.get(f"http://127.0.0.1:{mute.getsockname()[1]}/", timeout=0.1)
    assert (gate.lost, gate.in_flight) == ([True, True, True], 0)


def test_an_answer_without_a_header_pays_a_unit_a_second() -> None:
    """Where no cost is told an answer pays as many units as it took seconds, by either transport; a gateway's own answer pays none."""
    gate = Noting()

    def answer(request: httpx.Request) -> httpx.Response:
        time.sleep(0.2)
        return httpx.Response(int(request.url.path[1:]))

    async def main() -> None:
        async with httpx.AsyncClient(transport=gate.async_transport(httpx.MockTransport(answer)), base_url="http://here") as client:
            await client.get("/200")
            await client.get("/504")

    asyncio.run(main())
    with httpx.Client(transport=gate.transport(httpx.MockTransport(answer)), base_url="http://here") as client:
        client.get("/404")
        client.get("/502")
    assert [None if cost is None else 0.2 <= cost < 10.0 for cost in gate.costs] == [True, None, True, None]


def test_a_cancelled_request_gives_its_ticket_back() -> None:
    """A task that is cancelled while its request is out leaves nothing in flight."""

    async def main() -> int:
        gate = limiter()
        inner = DelayedTransport(httpx.ASGITransport(create_app(SETTINGS)), 5.0, 0.0)
        async with httpx.AsyncClient(transport=gate.async_transport(inner), base_url="http://127.0.0.1", headers=AGENT) as client:
            task = asyncio.ensure_future(client.get(SELF))
            await asyncio.sleep(1.0)
            assert gate.in_flight == 1
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return gate.in_flight

    assert run_virtually(main()) == 0


@pytest.mark.parametrize("text", ["nan", "inf", "lots", ""])
def test_headers_that_are_no_numbers(text: str) -> None:
    """Header values that are no finite numbers count as absent."""
    headers = httpx.Headers({"X-Request-Cost": text, "X-Rate-Limit-Remaining": text, "Retry-After": text})
    assert budget(headers) == {"cost": None, "remaining": None, "retry_after_s": None}


def test_retry_after_as_a_date() -> None:
    """Retry-After may be a date, against the answer's own Date if it has one; one that is past, or far from now, is no wait."""

    def told(at_s: float, **date: str) -> float | None:
        return budget(httpx.Headers({"Retry-After": formatdate(at_s, usegmt=True), **date}))["retry_after_s"]

    now = time.time()
    assert told(now + 30.0) == pytest.approx(30.0, abs=2.0)
    assert told(now + 630.0, Date=formatdate(now + 600.0, usegmt=True)) == 30.0
    assert told(now - 60.0) == 0.0
    assert told(0.0) is None


def test_refusal_signs() -> None:
    """429 is a refusal whatever it says; 403 only with the throttle's words, in any case."""
    assert is_refusal(429, b"")
    assert is_refusal(403, b"403 FORBIDDEN (rate limit exceeded)\n")
    assert not is_refusal(403, b"user not authorized")
    assert not is_refusal(200, b"Rate Limit Exceeded")


def test_files_at_another_host(httpserver: HTTPServer) -> None:
    """A host that never speaks of a bucket, where another one does, is passed by after three answers; its 429 holds up no call."""
    httpserver.expect_request("/api").respond_with_data("{}", headers={"X-Request-Cost": "0.1", "X-Rate-Limit-Remaining": "550"})
    httpserver.expect_request("/file").respond_with_data("", status=429, headers={"Retry-After": "60"})
    gate = Limiter()
    files = httpserver.url_for("/file").replace("localhost", "127.0.0.1")
    session = requests.Session()
    session.mount("http://", gate.requests_adapter())
    with httpx.Client(transport=gate.transport()) as client:
        for send in (client.get, session.get):
            send(httpserver.url_for("/api"))
            before = gate.ledger.sent
            assert [send(files).status_code for _ in range(6)] == [429] * 6
            assert gate.ledger.sent == before + 6
            assert gate.refused == 0
    assert gate.ledger.wait_s(time.monotonic()) == 0.0


def test_a_403_is_read_only_where_it_may_be_a_refusal() -> None:
    """A host that is passed by keeps no bucket: its 403 reaches the client unread; one of a host that needs tickets is read by the gate."""
    read: list[str] = []

    class Body(httpx.SyncByteStream):
        def __init__(self, host: str) -> None:
            self._host = host

        def __iter__(self) -> Iterator[bytes]:
            read.append(self._host)
            yield b"no"

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api":
            return httpx.Response(200, headers={"X-Request-Cost": "0.1", "X-Rate-Limit-Remaining": "550"})
        return httpx.Response(403, stream=Body(request.url.host)) if request.url.path == "/no" else httpx.Response(200)

    with httpx.Client(transport=Limiter().transport(httpx.MockTransport(answer))) as client:
        for url in ("http://canvas/api", "http://files/1", "http://files/2", "http://files/3"):
            client.get(url)
        for host, by_the_gate in (("files", []), ("canvas", ["canvas"])):
            with client.stream("GET", f"http://{host}/no") as response:
                assert (response.status_code, read) == (403, by_the_gate)
                assert response.read() == b"no"
            read.clear()


def test_an_answer_without_headers_is_over_but_for_a_gateways(httpserver: HTTPServer) -> None:
    """A page without budget headers holds no reservation; a gateway's 502 may, as a call that timed out."""
    httpserver.expect_request("/api").respond_with_data("{}", headers={"X-Request-Cost": "0.1", "X-Rate-Limit-Remaining": "600"})
    httpserver.expect_request("/page").respond_with_data("<html>", status=404)
    httpserver.expect_request("/gateway").respond_with_data("<html>", status=502)
    standing = []
    for path in ("/page", "/gateway"):
        gate = Limiter()
        with httpx.Client(transport=gate.transport(), base_url=httpserver.url_for("")) as client:
            client.get("/api")
            client.get(path)
        standing.append(gate.ledger.losses.standing(time.monotonic()))
    assert standing == [0, 1]


def test_retries_of_requests_have_a_ticket_each(httpserver: HTTPServer) -> None:
    """`max_retries` of the adapter: each try is counted and waits for the bucket; spent, they end as requests ends them."""
    answers = iter((500, 500, 200, 429, 429, 429))
    told = {"X-Request-Cost": "0.1", "X-Rate-Limit-Remaining": "600"}
    httpserver.expect_request("/").respond_with_handler(
        lambda _: Response("", status=(status := next(answers)), headers=told if status != 429 else {})
    )
    gate = Limiter(600.0, 100.0, 50.0)  # a reservation leaks in half a second
    session = requests.Session()
    session.mount("http://", gate.requests_adapter(max_retries=Retry(2, status_forcelist=[429, 500], backoff_factor=0.0)))
    assert session.get(httpserver.url_for("/")).status_code == 200
    assert (gate.ledger.sent, gate.refused) == (3, 0)
    with pytest.raises(requests.exceptions.RetryError):
        session.get(httpserver.url_for("/"))
    assert (gate.ledger.sent, gate.refused, gate.in_flight) == (6, 3, 0)


def test_retries_that_are_set_later_have_tickets_too(httpserver: HTTPServer) -> None:
    """`adapter.max_retries = 2` after mounting: both retries are counted, and a copy of the session shares the limiter."""
    httpserver.expect_request("/").respond_with_data("", status=500)
    gate = Limiter()
    session = requests.Session()
    adapter = gate.requests_adapter()
    adapter.max_retries = Retry(2, status_forcelist=[500], backoff_factor=0.0)
    session.mount("http://", copy.copy(adapter))
    with pytest.raises(requests.exceptions.RetryError):
        session.get(httpserver.url_for("/"))
    assert (gate.ledger.sent, gate.in_flight) == (3, 0)


def test_a_limiter_stays_in_its_process() -> None:
    """Pickling a limiter, or a session that sends through one, ends in a sentence that says what to do."""
    gate = Limiter()
    session = requests.Session()
    session.mount("http://", gate.requests_adapter())
    for thing in (gate, session):
        with pytest.raises(TypeError, match="make one in each"):
            pickle.dumps(thing)


def test_what_hosts_told_is_known_to_every_transport(httpserver: HTTPServer) -> None:
    """A file host that one client has found to keep no bucket is passed by for the next client of the same limiter."""
    httpserver.expect_request("/api").respond_with_data("{}", headers={"X-Request-Cost": "0.1", "X-Rate-Limit-Remaining": "550"})
    httpserver.expect_request("/file").respond_with_data("")
    gate = Limiter()
    files = httpserver.url_for("/file").replace("localhost", "127.0.0.1")
    with httpx.Client(transport=gate.transport()) as client:
        for url in (httpserver.url_for("/api"), files, files, files):
            client.get(url)
    with httpx.Client(transport=gate.transport()) as client:
        client.get(files)
    assert gate.ledger.sent == 4


def test_retries_of_requests_after_an_error() -> None:
    """A connection that cannot be made is tried again as often as asked, then raised as requests raises it; without retries once."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        for retries, tries in ((Retry(2, backoff_factor=0.0), 3), (0, 1)):
            gate = Limiter()
            session = requests.Session()
            session.mount("http://", gate.requests_adapter(max_retries=retries))
            with pytest.raises(requests.exceptions.ConnectionError):
                session.get(url)
            assert (gate.ledger.sent, gate.in_flight) == (tries, 0)


def test_options_beside_an_inner_transport() -> None:
    """Options that an inner transport would never see are refused in words."""
    with pytest.raises(UsageError, match="verify: options go to httpx's own transport"):
        limiter().transport(httpx.HTTPTransport(), verify=False)


def test_a_second_name_of_canvas_that_was_down_needs_tickets(httpserver: HTTPServer) -> None:
    """Error pages do not make a host a stranger; one that is, and then tells of a bucket or refuses, needs tickets again."""
    told = {"X-Request-Cost": "0.1", "X-Rate-Limit-Remaining": "550"}
    httpserver.expect_request("/api").respond_with_data("{}", headers=told)
    httpserver.expect_request("/down").respond_with_data("<html>", status=503)
    httpserver.expect_request("/file").respond_with_data("text")
    other = httpserver.url_for("").replace("localhost", "127.0.0.1")
    gate = Limiter()
    with httpx.Client(transport=gate.transport()) as client:
        client.get(httpserver.url_for("/api"))
        for path, calls, tickets in (("/down", 5, 5), ("/file", 5, 3), ("/api", 1, 0), ("/api", 1, 1), ("/file", 5, 5)):
            before = gate.ledger.sent
            for _ in range(calls):
                client.get(other + path)
            assert gate.ledger.sent - before == tickets, path


def test_a_stranger_that_refuses_needs_tickets_again(httpserver: HTTPServer) -> None:
    """A host that went past the gate, and answers 429, is asked with tickets until it has shown three times that it keeps no bucket."""
    httpserver.expect_request("/api").respond_with_data("{}", headers={"X-Request-Cost": "0.1", "X-Rate-Limit-Remaining": "550"})
    httpserver.expect_request("/busy").respond_with_data("", status=429)
    httpserver.expect_request("/file").respond_with_data("text")
    other = httpserver.url_for("").replace("localhost", "127.0.0.1")
    gate = Limiter()
    with httpx.Client(transport=gate.transport()) as client:
        client.get(httpserver.url_for("/api"))
        for path, calls, tickets in (("/file", 5, 3), ("/busy", 1, 0), ("/file", 5, 3)):
            before = gate.ledger.sent
            for _ in range(calls):
                client.get(other + path)
            assert gate.ledger.sent - before == tickets, path
    assert gate.refused == 0


def test_a_file_is_sent_again_from_where_it_began(httpserver: HTTPServer) -> None:
    """A retry of requests sends the rest of a file that was read from its middle, whole again, over the same connection."""
    seen: list[tuple[bytes, int]] = []

    def answer(request: Request) -> Response:
        seen.append((request.get_data(), request.environ["REMOTE_PORT"]))
        return Response("", status=503 if len(seen) < 3 else 200)

    httpserver.expect_request("/", method="POST").respond_with_handler(answer)
    session = requests.Session()
    retries = Retry(3, status_forcelist=[503], allowed_methods=None, backoff_factor=0.0)
    session.mount("http://", Limiter().requests_adapter(max_retries=retries))
    body = io.BytesIO(b"head" + b"x" * 100)
    body.seek(4)
    assert session.post(httpserver.url_for("/"), data=body).status_code == 200
    assert [data for data, _ in seen] == [b"x" * 100] * 3


def test_a_call_that_never_left_is_not_booked() -> None:
    """Where no connection came about, or none was free, the server knows nothing: the ticket goes back and the bucket stays empty."""
    gate = Noting()

    async def refused(url: str) -> None:
        async with httpx.AsyncClient(transport=gate.async_transport()) as client:
            with pytest.raises(httpx.ConnectError):
                await client.get(url)

    with socket.socket() as closed, requests.Session() as session:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        session.trust_env = False
        session.mount("http://", gate.requests_adapter())
        asyncio.run(refused(url))
        with httpx.Client(transport=gate.transport()) as client, pytest.raises(httpx.ConnectError):
            client.get(url)
        with pytest.raises(requests.ConnectionError):
            session.get(url, timeout=5)
    assert (gate.lost, gate.in_flight, gate.ledger.level_at(time.monotonic())) == ([], 0, 0.0)


@pytest.mark.parametrize(
    ("error", "lost"),
    [(httpx.ConnectTimeout, []), (httpx.PoolTimeout, []), (httpx.WriteTimeout, [True]), (httpx.RemoteProtocolError, [True])],
)
def test_which_failures_may_have_reached_the_server(error: type[httpx.TransportError], lost: list[bool]) -> None:
    """A call that found no connection in time never left; one that broke off while it was written or read may be at work."""
    gate = Noting()

    def fail(request: httpx.Request) -> httpx.Response:
        raise error("failed", request=request)

    with httpx.Client(transport=gate.transport(httpx.MockTransport(fail))) as client, pytest.raises(error):
        client.get("http://here/")
    assert (gate.lost, gate.in_flight) == (lost, 0)
