"""The application behind the throttle: credentials, route, work, handler."""

from __future__ import annotations

import asyncio

from probes.simulator import graphql, replies, routes_courses, routes_enrollments, routes_queue, routes_users
from probes.simulator.asks import Ask, Route, Routes
from probes.simulator.paging import id_in
from probes.simulator.replies import Reply, StopError
from probes.simulator.services import REFUSED_CREDENTIALS, Work
from probes.simulator.settings import Service
from probes.simulator.throttle import Identity
from probes.simulator.world import World

TABLE = Routes((*routes_users.ROUTES, *routes_courses.ROUTES, *routes_enrollments.ROUTES, *routes_queue.ROUTES, *graphql.ROUTES))
SLOW_FACTOR = 10.0


class Application:
    """Answers what the throttle let pass."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def answer(self, ask: Ask, work: Work, identity: Identity) -> Reply:
        """The reply, after the time it takes; `work` says what it cost."""
        found = TABLE.find(ask.method, ask.path)
        if found is None:
            await self._work(ask, self.world.speed.service(None), work)
            return replies.unrouted()
        route, ask.ids = found
        work.route = route.name
        barred = None if route.open else self._barred(ask, identity)
        if barred is not None:
            await self._work(ask, REFUSED_CREDENTIALS, work)
            return barred
        work.user_id = ask.person.id if ask.person else None
        return await self._worked(ask, route, work)

    async def _worked(self, ask: Ask, route: Route, work: Work) -> Reply:
        service = self.world.speed.service(route.name, is_list=route.is_list)
        await self._work(ask, service, work)
        planned = self._planned(ask)
        if planned is not None:
            return planned
        try:
            reply = route.handler(ask)
        except StopError as stop:
            return stop.reply
        if ask.items and service.per_item_s:
            await asyncio.sleep(self.world.speed.items(service, work, ask.items))
        return reply

    async def _work(self, ask: Ask, service: Service, work: Work) -> None:
        slow = ask.faults.get("slow_backend")
        seconds = self.world.speed.base(service, work, 1.0 if slow is None else slow.number or SLOW_FACTOR)
        waiting = ask.faults.get("waiting")
        await asyncio.sleep(seconds + (waiting.seconds if waiting else 0.0))

    def _barred(self, ask: Ask, identity: Identity) -> Reply | None:
        """The answer to somebody who may not come in; sets who asks otherwise."""
        if identity.token is None:
            return replies.unauthenticated()
        if not self.world.valid_token(identity.token) or "unauthorized" in ask.faults:
            return replies.invalid_token()
        denied = any(ask.path.startswith(prefix) for prefix in self.world.settings.denied)
        if denied or "unpermitted" in ask.faults:
            return replies.unpermitted(self.world.settings.permission_status)
        return self._masked(ask)

    def _masked(self, ask: Ask) -> Reply | None:
        """Sets who asks: the token's user, or whom `as_user_id` names."""
        mask = ask.one("as_user_id")
        ask.person = self.world.school.people.get(1 if mask is None else id_in(mask) or 0)
        return None if ask.person is not None else replies.as_json({"errors": "Invalid as_user_id"}, 401)

    @staticmethod
    def _planned(ask: Ask) -> Reply | None:
        """The answer of a fault inside the application."""
        if "server_error" in ask.faults:
            return replies.internal_error()
        if "throttled" in ask.faults:
            return replies.refusal(ask.world.settings.refusal_status)
        return None
