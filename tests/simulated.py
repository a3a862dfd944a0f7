"""Asking the simulator in process and in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from probes.clock import run_virtually
from probes.simulator.app import create_app
from probes.simulator.network import DelayedTransport
from probes.simulator.settings import TOKEN, Service, SimulatorSettings
from probes.simulator.world import World

T = TypeVar("T")
AUTHORIZED = {"authorization": f"Bearer {TOKEN}"}
EXACT = Service(median_s=0.3, sigma=0.0, cost_mean=0.12, cost_sigma=0.0)
"""0.3 s and 0.12 units for every request."""


@dataclass(slots=True)
class Simulated:
    """A client of a simulator in this process, and the simulator's memory."""

    client: httpx.AsyncClient
    world: World

    async def get(self, path: str, **words: Any) -> httpx.Response:
        """GET with the token."""
        return await self.client.get(path, **words)

    async def json(self, path: str, **words: Any) -> Any:
        """The parsed body of GET."""
        return (await self.get(path, **words)).json()


@asynccontextmanager
async def opened(settings: SimulatorSettings | None = None, rtt_s: float = 0.0) -> AsyncIterator[Simulated]:
    """A simulator and a client; no network delay unless asked for."""
    app = create_app(settings)
    transport = DelayedTransport(httpx.ASGITransport(app), rtt_s=rtt_s, jitter_s=0.0)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=AUTHORIZED, timeout=None) as client:
        yield Simulated(client, app.state.world)


def simulated(talk: Callable[[Simulated], Awaitable[T]], settings: SimulatorSettings | None = None, rtt_s: float = 0.0) -> T:
    """What `talk` returns after its talk with a simulator, in virtual time."""

    async def main() -> T:
        async with opened(settings, rtt_s) as simulator:
            return await talk(simulator)

    return run_virtually(main())


def answers(*paths: str, settings: SimulatorSettings | None = None) -> list[httpx.Response]:
    """The answers to GET of each path, one after another."""

    async def talk(simulator: Simulated) -> list[httpx.Response]:
        return [await simulator.get(path) for path in paths]

    return simulated(talk, settings)


def answer(path: str, settings: SimulatorSettings | None = None) -> httpx.Response:
    """The answer to one GET."""
    return answers(path, settings=settings)[0]


def links(response: httpx.Response) -> dict[str, str]:
    """The Link header: rel to query."""
    return {str(rel): str(link["url"]).partition("?")[2] for rel, link in response.links.items()}


async def at(seconds: float) -> None:
    """Sleeps until the loop's clock shows `seconds`."""
    await asyncio.sleep(max(0.0, seconds - asyncio.get_running_loop().time()))
