from __future__ import annotations

import asyncio

import httpx
import pytest
from simulated import AUTHORIZED, EXACT, Simulated, answer, answers, at, simulated

from probes.bucket import BucketSettings
from probes.simulator.settings import Service, SimulatorSettings
from probes.simulator.throttle import identify, ruby_float

SELF = "/api/v1/users/self"
EVERY = {"*": EXACT}


def settings(**changes: object) -> SimulatorSettings:
    return SimulatorSettings(services=EVERY).changed(**changes)


async def together(simulator: Simulated, count: int, path: str = SELF, apart_s: float = 0.0) -> list[httpx.Response]:
    async def one(place: int) -> httpx.Response:
        await asyncio.sleep(place * apart_s)
        return await simulator.get(path)

    return list(await asyncio.gather(*(one(place) for place in range(count))))


def test_one_after_another_reads_the_mark() -> None:
    """A single sequential client always reads Remaining 600.0 (facts 1.10, example A)."""
    told = answers(*[SELF] * 3, settings=settings())
    assert [(a.headers["x-request-cost"], a.headers["x-rate-limit-remaining"]) for a in told] == [("0.12", "600.0")] * 3


def test_dear_calls_run_the_bucket_down() -> None:
    """Back-to-back calls of +200 read 401.9, 203.8, 5.7, then are refused with a positive Remaining (facts 1.10, example B)."""
    dear = Service(median_s=0.2, sigma=0.0, cost_mean=0.1, cost_sigma=0.0, surcharge=200.0)
    told = answers(*[SELF] * 5, settings=settings(services={"*": dear}, refusal_s=0.005))
    assert [a.status_code for a in told] == [200, 200, 200, 429, 429]
    assert [float(a.headers["x-rate-limit-remaining"]) for a in told] == pytest.approx([401.9, 203.8, 5.7, 5.75, 5.8], abs=1e-9)
    assert ["x-request-cost" in a.headers for a in told] == [True, True, True, False, False]


def test_twelve_of_sixteen_pass() -> None:
    """Of 16 starts 1 ms apart 12 pass and the refused read 0.124 to 0.151 (facts 1.10, example C)."""
    slow = Service(median_s=2.0, sigma=0.0, cost_mean=0.5, cost_sigma=0.0)
    told = simulated(lambda s: together(s, 16, apart_s=0.001), settings(services={"*": slow}, refusal_s=0.0))
    assert [a.status_code for a in told] == [200] * 12 + [429] * 4
    assert [float(a.headers["x-rate-limit-remaining"]) for a in told[12:]] == pytest.approx([0.12, 0.13, 0.14, 0.15], abs=1e-9)
    assert [float(a.headers["x-rate-limit-remaining"]) for a in told[:3]] == pytest.approx([69.5, 119.01, 168.52], abs=0.05)


def test_refusal_is_plain_text() -> None:
    """A refusal is 429, or 403 on older installations, plain text with the words Rate Limit Exceeded, without a cost, with a request id."""
    for status, words in ((429, "429 Too Many Requests (Rate Limit Exceeded)\n"), (403, "403 Forbidden (Rate Limit Exceeded)\n")):
        refused = simulated(lambda s: together(s, 13), settings(refusal_status=status))[-1]
        assert (refused.status_code, refused.text, refused.headers["content-type"]) == (status, words, "text/plain; charset=utf-8")
        assert "x-request-cost" not in refused.headers
        assert "retry-after" not in refused.headers
        assert len(refused.headers["x-request-context-id"]) == 36


def test_retry_after_says_when() -> None:
    """With retry_after a refusal names the whole seconds after which the same call passes."""
    dear = Service(median_s=0.2, sigma=0.0, cost_mean=0.1, cost_sigma=0.0, surcharge=200.0)

    async def talk(simulator: Simulated) -> list[int]:
        told = [await simulator.get(SELF) for _ in range(4)]
        seconds = int(told[3].headers["retry-after"])
        await asyncio.sleep(seconds - 1.0)
        early = await simulator.get(SELF)
        await asyncio.sleep(1.0)
        return [seconds, early.status_code, (await simulator.get(SELF)).status_code]

    assert simulated(talk, settings(services={"*": dear}, retry_after=True)) == [5, 429, 200]


def test_refusals_may_cost() -> None:
    """A refusal costs nothing, unless the settings say what the stale DB time of its thread adds."""
    dear = {"*": Service(median_s=0.2, sigma=0.0, cost_mean=560.0, cost_sigma=0.0)}
    for cost, expected in ((0.0, 42.03), (30.0, 12.03)):
        _, refused = answers(SELF, SELF, settings=settings(services=dear, refused_cost=cost))
        assert refused.status_code == 429
        assert float(refused.headers["x-rate-limit-remaining"]) == pytest.approx(expected)


def test_hidden_headers_still_bind() -> None:
    """With quota_headers off nothing is shown, and all but eleven of thirteen at one instant are refused all the same."""
    told = simulated(lambda s: together(s, 13), settings(quota_headers=False))
    assert [a.status_code for a in told] == [200] * 11 + [429] * 2
    assert not any("x-rate-limit-remaining" in a.headers or "x-request-cost" in a.headers for a in told)


def test_not_enforced_runs_negative() -> None:
    """Where enforcement is off nobody is refused and Remaining runs below zero."""
    told = simulated(lambda s: together(s, 16), settings(enforced=False))
    assert {a.status_code for a in told} == {200}
    assert min(float(a.headers["x-rate-limit-remaining"]) for a in told) < 0.0


def test_approved_token_reads_the_mark() -> None:
    """An approve-listed token reads the mark, however many calls overlap, and is never refused."""
    told = simulated(lambda s: together(s, 30), settings(approved=("simulator-token",)))
    assert {(a.status_code, a.headers["x-rate-limit-remaining"]) for a in told} == {(200, "600.0")}


def test_blocked_token_reads_zero() -> None:
    """A block-listed token is always refused and reads 0.0."""
    told = answer(SELF, settings(blocked=("simulator-token",)))
    assert (told.status_code, told.headers["x-rate-limit-remaining"]) == (429, "0.0")


def test_tokens_do_not_share() -> None:
    """Each token has its own bucket, and may have its own constants."""

    async def talk(simulator: Simulated) -> list[str]:
        own = await simulator.client.get(SELF, headers={"authorization": "Bearer raised"})
        wrong = await simulator.client.get(SELF, headers={"authorization": "Bearer nobody"})
        return [own.headers["x-rate-limit-remaining"], wrong.headers["x-rate-limit-remaining"], str(wrong.status_code)]

    raised = BucketSettings(high_water_mark=1200.0, maximum=1600.0)
    assert simulated(talk, settings(buckets={"raised": raised})) == ["1200.0", "600.0", "401"]


def test_who_is_one_bucket() -> None:
    """Identity is the token of the header, then of the query, then the session, then the address; Bearer is case-sensitive."""
    assert identify({"authorization": "Bearer a"}, "access_token=b", "127.0.0.1").token == "a"
    assert identify({}, "x=1&access_token=b", "127.0.0.1").token == "b"
    assert identify({"authorization": "bearer a"}, "", "127.0.0.1").key == "ip:127.0.0.1"
    session = identify({"cookie": "canvas_session=1"}, "", "127.0.0.1")
    assert session.key.startswith("session:")
    assert not session.shown


def test_older_script_swallows_a_reservation() -> None:
    """Without the floor after the leak an idle spell over a small residue swallows the next reservation."""

    async def talk(simulator: Simulated) -> float:
        await together(simulator, 2)
        await at(100.0)
        overlapping = asyncio.create_task(simulator.get(SELF))
        await asyncio.sleep(0.1)
        told = await simulator.get(SELF)
        await overlapping
        return float(told.headers["x-rate-limit-remaining"])

    older = BucketSettings(floor_after_leak=False)
    dear = {"*": Service(median_s=0.3, sigma=0.0, cost_mean=5.0, cost_sigma=0.0)}
    assert simulated(talk, settings(services=dear)) > 590.0
    assert simulated(talk, settings(services=dear, bucket=older)) == 600.0


def test_cross_traffic_fills_the_bucket() -> None:
    """Another job of 9 units/s on the same token shows in the headers; on another token it does not."""

    async def talk(simulator: Simulated) -> list[float]:
        return [float((await simulator.get(SELF)).headers["x-rate-limit-remaining"]) for _ in range(40)]

    alone, shared = simulated(talk, settings()), simulated(talk, settings(cross_traffic_per_s=9.0))
    assert set(alone) == {600.0}
    assert sum(shared) / len(shared) < 560.0


def test_meta_tells_the_servers_own_account() -> None:
    """X-Canvas-Meta holds queue time in microseconds, user CPU and DB seconds; X-Runtime leaves the queue out."""

    async def talk(simulator: Simulated) -> list[httpx.Response]:
        return await together(simulator, 2)

    second = simulated(talk, settings(slots=1))[1]
    assert second.headers["x-canvas-meta"] == (
        "q=300000;at=10000000000001;dk=10000000000010;o=users;n=show;b=511704;m=511712;u=0.07;y=0.00;d=0.05;"
    )
    assert second.headers["x-runtime"] == "0.300000"
    assert second.headers["x-canvas-user-id"] == "10000000000001"


def test_queue_time_is_not_charged() -> None:
    """Requests queue for a backend slot before they reserve: 40 at once on two slots are all admitted at 0.12 each."""
    told = simulated(lambda s: together(s, 40), settings(slots=2))
    assert {(a.status_code, a.headers["x-request-cost"]) for a in told} == {(200, "0.12")}


def test_unrouted_path_is_charged_in_silence() -> None:
    """/api/v2 is an HTML 404 with a request id and without quota headers, and the bucket still pays."""
    dear = {"*": Service(median_s=0.1, sigma=0.0, cost_mean=100.0, cost_sigma=0.0)}
    lost, after = answers("/api/v2/courses", SELF, settings=settings(services=dear))
    assert (lost.status_code, lost.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "x-request-context-id" in lost.headers
    assert "x-rate-limit-remaining" not in lost.headers
    assert "x-request-cost" not in lost.headers
    assert float(after.headers["x-rate-limit-remaining"]) == pytest.approx(600.0 - 200.0 + 2.0)


def test_token_grant_is_dear() -> None:
    """A token grant is charged 200 on top."""

    async def talk(simulator: Simulated) -> float:
        told = await simulator.client.post("/login/oauth2/token")
        return float(told.headers["x-request-cost"])

    assert 200.0 < simulated(talk) < 201.0


def test_cookie_session_sees_no_quota() -> None:
    """A cookie session without a token gets no quota headers."""

    async def talk(simulator: Simulated) -> httpx.Response:
        del simulator.client.headers["authorization"]
        return await simulator.client.get(SELF, headers={"cookie": "canvas_session=abc"})

    told = simulated(talk)
    assert told.status_code == 401
    assert "x-rate-limit-remaining" not in told.headers


def test_cancelled_client_keeps_its_reservation_until_the_end() -> None:
    """A client that gives up does not free its reservation before the server is done, and not later either."""

    async def talk(simulator: Simulated) -> list[str]:
        with pytest.raises(httpx.ReadTimeout):
            await simulator.get(SELF, timeout=0.1)
        busy = simulator.world.throttle.levels(asyncio.get_running_loop().time())
        await asyncio.sleep(1.0)
        free = simulator.world.throttle.levels(asyncio.get_running_loop().time())
        return [f"{level:.1f}" for level in (*busy.values(), *free.values())]

    assert simulated(talk, settings()) == ["49.0", "0.0"]


def test_an_hour_of_silence_empties_the_bucket() -> None:
    """The store forgets a bucket after 3600 s, however slowly it leaks."""
    slow_leak = BucketSettings(outflow_per_s=0.01)
    dear = {"*": Service(median_s=0.1, sigma=0.0, cost_mean=300.0, cost_sigma=0.0)}

    async def talk(simulator: Simulated) -> list[str]:
        first = await simulator.get(SELF)
        await asyncio.sleep(3700.0)
        second = await simulator.get(SELF)
        return [f"{float(a.headers['x-rate-limit-remaining']):.0f}" for a in (first, second)]

    assert simulated(talk, settings(bucket=slow_leak, services=dear)) == ["300", "300"]


def test_numbers_read_as_ruby_writes_them() -> None:
    """Floats are written as Ruby writes them."""
    assert [ruby_float(x) for x in (600.0, 0.0461, 5e-05, 1.25e-05, -200.0)] == ["600.0", "0.0461", "5.0e-05", "1.25e-05", "-200.0"]


def test_title_case_headers() -> None:
    """An older installation may write header names in title case."""

    async def talk(simulator: Simulated) -> list[bytes]:
        return [name for name, _ in (await simulator.get(SELF)).headers.raw]

    assert b"X-Rate-Limit-Remaining" in simulated(talk, settings(title_case_headers=True))
    assert AUTHORIZED["authorization"].endswith("simulator-token")
