from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from simulated import EXACT, Simulated, answer, answers, links, simulated

from probes.simulator.settings import Fault, Service, SimulatorSettings

SELF = "/api/v1/users/self"
COURSES = "/api/v1/courses"


def with_fault(kind: str, **words: Any) -> SimulatorSettings:
    return SimulatorSettings(services={"*": EXACT}, faults=(Fault(kind, **words),))


def struck(kind: str, path: str = SELF, **words: Any) -> httpx.Response:
    return answer(path, with_fault(kind, **words))


def took(kind: str, **words: Any) -> tuple[float, str]:
    """(seconds in the loop's time, X-Runtime) of one struck request."""

    async def talk(simulator: Simulated) -> tuple[float, str]:
        clock = asyncio.get_running_loop().time
        start = clock()
        told = await simulator.get(SELF)
        return round(clock() - start, 6), told.headers["x-runtime"]

    return simulated(talk, with_fault(kind, **words))


def test_slow_faults() -> None:
    """Delays on the way and of the head leave X-Runtime alone; waiting and a slow backend are in it."""
    assert took("latency", seconds=30.0) == (30.3, "0.300000")
    assert took("slow_headers", seconds=5.0) == (5.3, "0.300000")
    assert took("slow_body", seconds=5.0) == (5.3, "0.300000")
    assert took("waiting", seconds=5.0) == (5.3, "5.300000")
    assert took("slow_backend") == (3.0, "3.000000")


def test_stall_holds_until_its_end() -> None:
    """In the first two of every ten seconds requests wait for the end of the stall; the log keeps when they came."""

    async def talk(simulator: Simulated) -> list[tuple[float, float]]:
        for start in (0.5, 5.0, 11.0):
            await asyncio.sleep(start - simulator.world.now_s())
            await simulator.get(SELF)
        return [(round(e["entered_s"], 6), round(e["departed_s"], 6)) for e in await simulator.json("/_simulator/log")]

    settings = with_fault("stall", seconds=2.0).changed(log_requests=True)
    assert simulated(talk, settings) == [(0.5, 2.3), (5.0, 5.3), (11.0, 12.3)]


def test_waiting_is_not_charged() -> None:
    """Waiting costs nothing."""
    assert struck("waiting", seconds=5.0).headers["x-request-cost"] == "0.12"


def test_slow_backend_is_charged() -> None:
    """A slow backend is charged where the charge is a share of the time."""
    share = SimulatorSettings(services={"*": Service(0.1, 0.0, cost_share=0.5)}, faults=(Fault("slow_backend", number=4.0),))
    assert float(answer(SELF, share).headers["x-request-cost"]) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("reset", httpx.ReadError),
        ("reset_body", httpx.ReadError),
        ("close", httpx.RemoteProtocolError),
        ("truncated_body", httpx.RemoteProtocolError),
        ("wrong_content_length", httpx.RemoteProtocolError),
        ("garbage", httpx.RemoteProtocolError),
    ],
)
def test_broken_connections(kind: str, error: type[Exception]) -> None:
    """Each broken connection is httpx's own error, in process as over TCP."""
    with pytest.raises(error):
        struck(kind)


def test_hang_ends_in_the_clients_timeout() -> None:
    """A request that hangs ends at the client's read timeout, and not before."""

    async def talk(simulator: Simulated) -> float:
        with pytest.raises(httpx.ReadTimeout):
            await simulator.get(SELF, timeout=60.0)
        return round(asyncio.get_running_loop().time(), 6)

    assert simulated(talk, with_fault("hang")) == 60.0


@pytest.mark.parametrize(
    ("kind", "words", "status", "reached"),
    [
        ("maintenance", {}, 503, False),
        ("edge_error", {}, 502, False),
        ("edge_error", {"number": 504.0}, 504, False),
        ("no_user_agent", {}, 403, False),
        ("unauthorized", {}, 401, True),
        ("unpermitted", {}, 401, True),
        ("server_error", {}, 500, True),
        ("throttled", {}, 429, True),
    ],
)
def test_error_answers(kind: str, words: dict[str, Any], status: int, *, reached: bool) -> None:
    """Each error has its status, and a request id only where Canvas was reached."""
    told = struck(kind, **words)
    assert (told.status_code, "x-request-context-id" in told.headers) == (status, reached)
    assert ("x-request-cost" in told.headers) is (reached and kind != "throttled")


def test_headers_lie() -> None:
    """A header says what the fault says, or is absent."""
    assert struck("header", header="X-Request-Cost", text="nan").headers["x-request-cost"] == "nan"
    assert "x-request-cost" not in struck("header", header="X-Request-Cost").headers
    assert struck("remaining_jump").headers["x-rate-limit-remaining"] == "1200.0"
    assert struck("remaining_jump", number=-600.0).headers["x-rate-limit-remaining"] == "0.0"
    hidden = struck("no_quota_headers").headers
    assert not {"x-request-cost", "x-rate-limit-remaining"} & set(hidden)


def test_several_headers_at_once() -> None:
    """Two header faults strike the same answer."""
    faults = (Fault("header", header="x-request-cost", text="1e308"), Fault("header", header="x-rate-limit-remaining", text="-5"))
    told = answer(SELF, SimulatorSettings(faults=faults)).headers
    assert (told["x-request-cost"], told["x-rate-limit-remaining"]) == ("1e308", "-5")


def test_every_third_after_two_until_eight() -> None:
    """A fault strikes every k-th request after n and until m; other paths are not counted."""
    settings = with_fault("no_quota_headers", path="/api/v1/users", every=3, after=2, until=8)
    told = answers(*[SELF] * 12, "/api/v1/accounts/1", settings=settings)
    assert [n for n, a in enumerate(told, 1) if "x-request-cost" not in a.headers] == [5, 8]


@pytest.mark.untraced
def test_chance_is_seeded() -> None:
    """A fault by chance strikes its share, the same with the same seed."""
    settings = with_fault("header", header="x-struck", text="1", probability=0.3)
    first, again = ([n for n, a in enumerate(answers(*[SELF] * 100, settings=settings)) if "x-struck" in a.headers] for _ in range(2))
    assert first == again
    assert 20 <= len(first) <= 40


def test_method_narrows_a_fault() -> None:
    """A fault for POST leaves GET alone."""
    assert struck("server_error", method="POST").status_code == 200


def test_redirect_to_a_foreign_host() -> None:
    """A redirect leads to another host."""
    told = struck("redirect")
    assert (told.status_code, told.headers["location"]) == (302, "https://elsewhere.example/api/v1/users/self")
    assert struck("redirect", text="https://x.example/").headers["location"] == "https://x.example/"


def test_next_links_lie() -> None:
    """The next link may be the page itself, or another host; the others stay."""
    itself = struck("next_self", f"{COURSES}?page=2")
    assert itself.links["next"]["url"] == "http://127.0.0.1/api/v1/courses?page=2"
    assert set(links(itself)) == {"current", "next", "prev", "first", "last"}
    assert struck("next_foreign", COURSES).links["next"]["url"] == "https://elsewhere.example/api/v1/courses?page=2&per_page=10"
    assert struck("next_self", f"{COURSES}?page=3").links["next"]["url"] == "http://127.0.0.1/api/v1/courses?page=3"


def test_malformed_link() -> None:
    """A malformed Link header has no angle brackets left."""
    link = struck("next_malformed", COURSES).headers["link"]
    assert "<" not in link
    assert 'rel="next;' not in link


def test_corrupt_bookmark_loops() -> None:
    """A corrupt bookmark leads to the first page again."""

    async def talk(simulator: Simulated) -> list[int]:
        first = await simulator.get("/api/v1/courses/1/enrollments")
        second = await simulator.get(first.links["next"]["url"])
        return [first.json()[0]["id"], second.json()[0]["id"]]

    assert simulated(talk, with_fault("next_corrupt")) == [1, 1]


def test_wrong_bodies() -> None:
    """HTML in place of JSON, JSON that is none, and a huge body that is JSON."""
    page, broken, huge = struck("html"), struck("not_json"), struck("huge_body", number=300_000.0)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert broken.headers["content-type"].startswith("application/json")
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        broken.json()
    assert 250_000 < len(huge.content) < 350_000
    assert huge.json()[-1] == "end"


def test_items_come_and_go_between_pages() -> None:
    """Items added in front shift an ordinal list by one a page; removed ones shift it the other way."""

    async def talk(simulator: Simulated) -> list[list[int]]:
        return [[c["id"] for c in await simulator.json(f"{COURSES}?page={n}&per_page=5")] for n in (1, 2, 3)]

    added = simulated(talk, with_fault("added_items", path=COURSES))
    assert added == [[1, 2, 3, 4, 5], [5, 6, 7, 8, 9], [9, 10, 11, 12, 13]]
    removed = simulated(talk, with_fault("removed_items", path=COURSES))
    assert removed == [[1, 2, 3, 4, 5], [7, 8, 9, 10, 11], [13, 14, 15, 16, 17]]


def test_control_sets_and_tells() -> None:
    """Faults are set, told and cleared over the control endpoint; a wrong one is 400 with the nearest name, and changes nothing."""

    async def talk(simulator: Simulated) -> list[Any]:
        post = simulator.client.post
        one = await post("/_simulator/faults", json={"kind": "server_error", "after": 1})
        statuses = [(await simulator.get(SELF)).status_code for _ in range(2)]
        wrong = await post("/_simulator/faults", json=[{"kind": "server_eror"}])
        odd = await post("/_simulator/faults", json=[{"kind": "hang", "evry": 2}])
        text = await post("/_simulator/faults", content=b"{")
        active = (await simulator.json("/_simulator/faults"))["active"]
        await post("/_simulator/faults", json=[])
        return [one.json(), statuses, wrong.json(), odd.json(), text.status_code, len(active), (await simulator.get(SELF)).status_code]

    assert simulated(talk) == [
        {"active": 1},
        [200, 500],
        {"error": "There is no fault 'server_eror': did you mean server_error?"},
        {"error": "fault 1: unknown key evry: did you mean every?"},
        400,
        1,
        200,
    ]


def test_control_counts() -> None:
    """State counts requests, refusals, routes and the peak, but never itself; reset forgets."""

    async def talk(simulator: Simulated) -> tuple[dict[str, Any], dict[str, Any], int]:
        await asyncio.gather(*(simulator.get(SELF) for _ in range(13)))
        await simulator.get("/api/v2/x")
        state = await simulator.json("/_simulator/state")
        log = await simulator.json("/_simulator/log")
        assert {entry["identity"][:6] for entry in log} == {"token:"}
        await simulator.client.post("/_simulator/reset")
        return state, await simulator.json("/_simulator/count"), len(log)

    state, after, logged = simulated(talk, SimulatorSettings(services={"*": EXACT}, log_requests=True))
    assert (state["requests"], state["refused"], state["peak_in_flight"], state["in_flight"], logged) == (14, 2, 13, 0, 14)
    assert state["by_route"] == {f"GET {SELF}": 11, "refused": 2, "unrouted": 1}
    assert state["by_status"] == {"200": 11, "429": 2, "404": 1}
    assert (after["requests"], after["levels"]) == (0, {})


def test_control_is_for_loopback() -> None:
    """Control answers loopback only, and unknown controls say what there is."""

    async def talk(simulator: Simulated) -> list[int]:
        app = simulator.client._transport._inner.app  # type: ignore[attr-defined]
        far = httpx.AsyncClient(transport=httpx.ASGITransport(app, client=("10.0.0.9", 1)), base_url="http://127.0.0.1")
        named = httpx.AsyncClient(transport=httpx.ASGITransport(app, client=("localhost", 1)), base_url="http://127.0.0.1")
        async with far, named:
            told = [await far.get("/_simulator/state"), await named.get("/_simulator/state"), await named.get("/_simulator/nothing")]
        return [a.status_code for a in told]

    assert simulated(talk) == [403, 200, 404]
