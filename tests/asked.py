"""Scenarios asked in process and in virtual time: against the simulator, or against answers that a test scripts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import httpx

from probes.client import Client
from probes.clock import run_virtually
from probes.config import Instance, Kind
from probes.observation import Observation, Outcome
from probes.scenarios import Options, scenario
from probes.simulator.app import create_app
from probes.simulator.network import DelayedTransport
from probes.simulator.profiles import profile
from probes.simulator.settings import TOKEN, SimulatorSettings

Script = Callable[[httpx.Request], httpx.Response]
SELF = "GET /api/v1/users/self"


def place(name: str = "test", **more: Any) -> Instance:
    """An instance that no socket reaches."""
    values = {"url": "http://127.0.0.1:8000", "kind": Kind.SIMULATED, "secret": TOKEN, "timeout_s": 5.0, **more}
    return Instance(name, **values)


def seen(
    name: str,
    settings: SimulatorSettings | None = None,
    options: Options | None = None,
    *,
    script: Script | None = None,
    instance: Instance | None = None,
) -> list[Observation]:
    """What the scenario `name` sees of a simulator with `settings`, or of `script`; every line it recorded."""
    lines: list[Observation] = []

    async def main() -> None:
        inner = httpx.MockTransport(script) if script else httpx.ASGITransport(create_app(settings or profile("production")))
        async with Client(instance or place(), record=lines.append, transport=DelayedTransport(inner, 0.02, 0.0), origin_s=0.0) as client:
            yielded = [o async for o in scenario(name).observe(client, options or Options())]
            assert sorted(map(id, yielded)) == sorted(map(id, lines)), "a scenario yields what it sent, once each"

    run_virtually(main())
    assert len(lines) <= scenario(name).budget(options or Options()), "more requests than the scenario states"
    return lines


def made(**more: Any) -> Observation:
    """One answered call; anything else by keyword, `flight_s` for the time and `at_s` for when."""
    flight_s, at_s = more.pop("flight_s", 0.2), more.pop("at_s", 0.0)
    base = Observation("test", "latency", SELF, "GET", "/api/v1/users/self", at_s, at_s, at_s + flight_s, 200, Outcome.OK, pool_s=0.0)
    if "call" in more:
        more.setdefault("path", more["call"].partition(" ")[2])
    return dataclasses.replace(base, **more)


def lost(outcome: Outcome, **more: Any) -> Observation:
    """One call that brought no answer."""
    return made(status=None, received_s=None, outcome=outcome, **more)
