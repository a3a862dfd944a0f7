from __future__ import annotations

import asyncio

import httpx
import pytest
from simulated import AUTHORIZED, EXACT, Simulated, simulated

from probes.clock import run_virtually
from probes.simulator.app import create_app
from probes.simulator.network import DelayedTransport
from probes.simulator.settings import SimulatorSettings

SELF = "/api/v1/users/self"


def test_round_trip_is_added() -> None:
    """Half of the round trip goes before the server and half after it."""

    async def talk(simulator: Simulated) -> tuple[float, float, float]:
        await simulator.get(SELF)
        entry, entered_s = simulator.world.counts.log[0], simulator.world.origin_s
        assert entered_s is not None
        return round(entered_s, 9), round(entered_s + entry["came_s"], 9), round(asyncio.get_running_loop().time(), 9)

    settings = SimulatorSettings(services={"*": EXACT}, log_requests=True)
    assert simulated(talk, settings, rtt_s=0.1) == (0.05, 0.05, 0.4)
    assert simulated(talk, settings.changed(latency_s=0.2), rtt_s=0.1) == (0.05, 0.15, 0.6)


def test_jitter_is_seeded_and_never_negative() -> None:
    """Jitter spreads the delays, the same with the same seed, never below zero."""

    def delays(seed: int) -> list[float]:
        transport = DelayedTransport(httpx.ASGITransport(create_app()), rtt_s=0.02, jitter_s=0.03, seed=seed)
        return [transport._delay_s() for _ in range(500)]

    first, again, other = delays(1), delays(1), delays(2)
    assert first == again != other
    assert min(first) == 0.0
    assert 0.012 < sum(first) / 500 < 0.022


def test_a_cancelled_call_is_served_to_its_end() -> None:
    """A client that is cancelled does not stop the server: the request is finished and paid."""

    async def talk(simulator: Simulated) -> tuple[int, int, int]:
        call = asyncio.create_task(simulator.get(SELF))
        await asyncio.sleep(0.1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        during = simulator.world.counts.in_flight
        await asyncio.sleep(1.0)
        return during, simulator.world.counts.in_flight, simulator.world.counts.by_status[200]

    assert simulated(talk, SimulatorSettings(services={"*": EXACT})) == (1, 0, 1)


def test_a_cancelled_application_releases_its_reservation() -> None:
    """Called without the network, a cancelled request releases its slot and its reservation."""

    async def main() -> tuple[list[float], int]:
        app = create_app(SimulatorSettings(services={"*": EXACT}, slots=1))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=AUTHORIZED) as client:
            call = asyncio.create_task(client.get(SELF))
            await asyncio.sleep(0.1)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            return list(app.state.world.throttle.levels(0.1).values()), (await client.get(SELF)).status_code

    assert run_virtually(main()) == ([0.0], 200)


def test_unawaited_failures_are_silent() -> None:
    """A connection that breaks after the client has gone is nobody's error."""

    async def talk(simulator: Simulated) -> int:
        await simulator.client.post("/_simulator/faults", json=[{"kind": "reset", "seconds": 1.0}])
        with pytest.raises(httpx.ReadTimeout):
            await simulator.get(SELF, timeout=0.5)
        await asyncio.sleep(2.0)
        return simulator.world.counts.in_flight

    assert simulated(talk) == 0
