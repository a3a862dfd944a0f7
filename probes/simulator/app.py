"""The simulator as a Starlette application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.routing import Mount

from probes.simulator.front import Front
from probes.simulator.settings import SimulatorSettings
from probes.simulator.world import World


def create_app(settings: SimulatorSettings | None = None) -> Starlette:
    """An application that behaves as `settings` say (default: a fast-networked production). Its World is `app.state.world`."""
    world = World(SimulatorSettings() if settings is None else settings)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        world.now_s()
        yield

    app = Starlette(routes=[Mount("/", app=Front(world))], lifespan=lifespan)
    app.state.world = world
    return app
