"""The way of one request: edge, queue for a backend slot, throttle, application, headers, and back over the wire.

The throttle runs inside the application server, so a request waits for a slot first (`q` of X-Canvas-Meta, not charged) and
touches the bucket then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from probes.simulator import edge, replies
from probes.simulator.application import Application
from probes.simulator.asks import Ask
from probes.simulator.broken import hang_up, transmit
from probes.simulator.control import PREFIX, Control
from probes.simulator.damage import damage
from probes.simulator.edge import BrokenError
from probes.simulator.replies import Reply
from probes.simulator.services import Work
from probes.simulator.stamps import Passage, stamp
from probes.simulator.throttle import identify
from probes.simulator.world import World

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Front:
    """An ASGI application: everything that a simulated instance answers."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.application = Application(world)
        self.control = Control(world)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one HTTP request."""
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        path: str = scope["path"]
        if path.startswith(PREFIX):
            await transmit(await self.control.answer(scope, path, await _body(receive)), scope, send, {})
            return
        ask = self._ask(scope, headers, path, await _body(receive))
        self.world.counts.entered()
        try:
            reply = await self._passed(ask, headers, scope)
            broken = await transmit(reply, scope, send, ask.faults, title_case=self.world.settings.title_case_headers)
        except BrokenError as error:
            hang_up(scope, error.kind)
            broken = True
        finally:
            self.world.counts.in_flight -= 1
        if broken:
            await _gone(receive)

    def _ask(self, scope: Scope, headers: dict[str, str], path: str, body: bytes) -> Ask:
        world = self.world
        host = headers.get("host", "127.0.0.1")
        world.counts.user_agents[headers.get("user-agent", "")] += 1
        query = scope["query_string"].decode("latin-1")
        faults = world.faults.strikes(scope["method"], path)
        base_url = f"{scope.get('scheme', 'http')}://{host}"
        return Ask(world, scope["method"], path, query, base_url, headers=headers, raw_body=body, faults=faults, entered_s=world.now_s())

    async def _passed(self, ask: Ask, headers: dict[str, str], scope: Scope) -> Reply:
        half_s = self.world.settings.latency_s / 2.0
        await _sleep(half_s)
        reply = await edge.stopped(ask, headers)
        if reply is None:
            reply = await self._queued(ask, headers, (scope.get("client") or ("127.0.0.1", 0))[0])
        self.world.counts.by_status[reply.status] += 1
        await _sleep(half_s)
        return reply

    async def _queued(self, ask: Ask, headers: dict[str, str], address: str) -> Reply:
        clock = asyncio.get_running_loop().time
        passage = Passage(identify(headers, ask.query, address), came_s=clock())
        async with self.world.slots:
            passage.begun_s = clock()
            reply = await self._throttled(ask, passage)
        return damage(reply, ask)

    async def _throttled(self, ask: Ask, passage: Passage) -> Reply:
        """Reserves, lets the application work, pays: whatever happens, a reservation is released."""
        world, clock = self.world, asyncio.get_running_loop().time
        passage.arrived_s = clock()
        passage.admitted = world.throttle.arrive(passage.identity, passage.arrived_s)
        work = Work()
        reply: Reply | None = None
        try:
            if passage.admitted:
                reply = await self.application.answer(ask, work, passage.identity)
            else:
                await _sleep(world.settings.refusal_s)
                reply = replies.refusal(world.settings.refusal_status)
        finally:
            passage.departed_s = clock()
            passage.cost = work.cost if passage.admitted else world.settings.refused_cost
            passage.remaining = world.throttle.depart(passage.identity, passage.cost, passage.departed_s)
            self._count(ask, passage, work, reply)
        return stamp(reply, ask, passage, work)

    def _count(self, ask: Ask, passage: Passage, work: Work, reply: Reply | None) -> None:
        counts = self.world.counts
        counts.refused += not passage.admitted
        counts.by_route[work.route or ("refused" if not passage.admitted else "unrouted")] += 1
        if self.world.settings.log_requests:
            counts.log.append(passage.record(ask, None if reply is None else reply.status, self.world.origin_s or 0.0))


async def _body(receive: Receive) -> bytes:
    body: bytes = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return body
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return body


async def _gone(receive: Receive) -> None:
    """Waits until the server knows that the connection is gone, lest it answers in our place."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _sleep(seconds: float) -> None:
    if seconds > 0.0:
        await asyncio.sleep(seconds)
