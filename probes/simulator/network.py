"""The network between a client and an application in the same process: delay and jitter in the loop's time, virtual or not."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import httpx

from probes.simulator.edge import BrokenError


def in_process(app: Any, rtt_s: float = 0.0, jitter_s: float = 0.0) -> DelayedTransport:
    """A transport to an application in this process, a round trip of `rtt_s` seconds away."""
    return DelayedTransport(httpx.ASGITransport(app), rtt_s, jitter_s)


class DelayedTransport(httpx.AsyncBaseTransport):
    """Wraps a transport (httpx.ASGITransport): half of `rtt_s` there and half back, each with normal jitter of `jitter_s`, never below 0.

    As over a real network, a client that gives up (cancelled, or at its read timeout) does not stop the server. Broken connections
    become httpx's own errors.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport, rtt_s: float = 0.05, jitter_s: float = 0.003, seed: int = 1) -> None:
        self._inner = inner
        self._half_s = rtt_s / 2.0
        self._jitter_s = jitter_s
        self._random = random.Random(seed)
        self._travelling: set[asyncio.Task[httpx.Response]] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer, later. Raises httpx.ReadTimeout, ReadError, RemoteProtocolError."""
        journey = asyncio.create_task(self._travel(request))
        self._travelling.add(journey)
        journey.add_done_callback(self._arrived)
        try:
            async with asyncio.timeout(request.extensions.get("timeout", {}).get("read")):
                return await asyncio.shield(journey)
        except TimeoutError:
            raise httpx.ReadTimeout("no answer in time", request=request) from None
        except BrokenError as broken:
            if "reset" in broken.kind:
                raise httpx.ReadError("connection reset", request=request) from None
            raise httpx.RemoteProtocolError(f"connection broken: {broken.kind}", request=request) from None

    async def aclose(self) -> None:
        """Closes the wrapped transport."""
        await self._inner.aclose()

    async def _travel(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(self._delay_s())
        answer = await self._inner.handle_async_request(request)
        await asyncio.sleep(self._delay_s())
        return answer

    def _delay_s(self) -> float:
        return max(0.0, self._half_s + self._random.gauss(0.0, self._jitter_s))

    def _arrived(self, journey: asyncio.Task[httpx.Response]) -> None:
        self._travelling.discard(journey)
        if not journey.cancelled():
            journey.exception()  # seen, whether anybody still waits for it or not
