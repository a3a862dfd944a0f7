"""Causes planted in a simulated instance, alone and in pairs, in virtual time: for diagnose.py beside it, and in small for tests."""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from probes.calls import Call
from probes.client import Client
from probes.clock import run_virtually
from probes.config import Instance, Kind
from probes.diagnosis import Cause, Job, Surroundings, diagnose
from probes.jobs.diagnose import measure
from probes.runs import Run
from probes.simulator.app import create_app
from probes.simulator.network import DelayedTransport
from probes.simulator.profiles import profile
from probes.simulator.settings import TOKEN, Fault

SELF = "/api/v1/users/self"
ACCOUNT = "/api/v1/accounts/self"


@dataclass(frozen=True)
class Plant:
    """What is wrong: changes of the simulator, of the instance, of the job, of the way; all of them together make a pair."""

    simulator: Mapping[str, Any] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    instance: Mapping[str, Any] = field(default_factory=dict)
    job: Mapping[str, Any] = field(default_factory=dict)
    calls: tuple[str, ...] = ()
    rtt_s: float = 0.04
    jitter_s: float = 0.003
    dns_s: float = 0.01
    tls_every: int = 0

    def also(self, other: Plant) -> Plant:
        """Both at once."""
        return Plant(
            {**self.simulator, **other.simulator},
            self.faults + other.faults,
            {**self.instance, **other.instance},
            {**self.job, **other.job},
            tuple(dict.fromkeys(self.calls + other.calls)),
            max(self.rtt_s, other.rtt_s),
            max(self.jitter_s, other.jitter_s),
            max(self.dns_s, other.dns_s),
            max(self.tls_every, other.tls_every),
        )


NOTHING = Plant()
PLANTS: Mapping[str, Plant] = {
    "client": Plant(instance={"max_rate": 1.2}),
    "network": Plant(rtt_s=0.9, jitter_s=0.02),
    "dns": Plant(dns_s=2.5),
    "tls": Plant(tls_every=4),
    "edge": Plant(faults=(Fault("edge_error", every=4),)),
    "maintenance": Plant(faults=(Fault("maintenance", every=5),)),
    "capacity": Plant(simulator={"slots": 1}),
    "slow_call": Plant(calls=("/api/v1/courses/1/analytics/activity",)),
    "throttle": Plant(job={"workers": 20, "total": 500}),
    "shared_token": Plant(simulator={"cross_traffic_per_s": 2.0}),
    "timeout_too_short": Plant(job={"timeout_s": 0.18}),
    "credentials": Plant(faults=(Fault("unauthorized", path=ACCOUNT, every=2),), calls=(ACCOUNT,)),
    "permission": Plant(faults=(Fault("unpermitted", path="/api/v1/courses/2"),), calls=("/api/v1/courses/2",)),
    "no_user_agent": Plant(faults=(Fault("no_user_agent", every=6),)),
    "wrong_url": Plant(calls=("/api/v2/courses",)),
}
"""One of each kind, mild enough that another beside it can still be seen."""


class _BrokenHandshakes(httpx.AsyncBaseTransport):
    """Every n-th request meets a TLS handshake that fails; 0: none does."""

    def __init__(self, inner: httpx.AsyncBaseTransport, every: int) -> None:
        self._inner = inner
        self._every = every
        self._count = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._count += 1
        if self._every and self._count % self._every == 0:
            raise httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate has expired") from ssl.SSLCertVerificationError(
                "expired"
            )
        return await self._inner.handle_async_request(request)


def diagnosed(plant: Plant, seed: int = 1, name: str = "production") -> list[Cause]:
    """The causes named for an instance with `plant` in it."""
    with tempfile.TemporaryDirectory() as place:
        observations, around, job = run_virtually(_observed(plant, seed, name, Path(place)))
    return diagnose(observations, job, around)


async def _observed(plant: Plant, seed: int, name: str, place: Path) -> tuple[list[Any], Surroundings, Job]:
    settings = profile(name, seed=seed, latency_s=0.0, **plant.simulator).changed(faults=plant.faults)
    instance = Instance(name, "http://127.0.0.1:8000", Kind.SIMULATED, secret=TOKEN)
    instance = dataclasses.replace(instance, **plant.instance)
    calls = [Call("GET", SELF), *(Call("GET", path) for path in plant.calls)]
    job = Job(tuple(call.name for call in calls), **{"timeout_s": instance.timeout_s, **plant.job})
    run = Run.create(place, ["diagnose"], [instance])
    way = DelayedTransport(httpx.ASGITransport(create_app(settings)), plant.rtt_s, plant.jitter_s, seed)

    def make(one: Instance, folder: Run) -> Client:
        return Client(one, record=folder.append, transport=_BrokenHandshakes(way, plant.tls_every), origin_s=0.0)

    async def resolve(host: str, port: int) -> object:
        return await asyncio.sleep(plant.dns_s, (host, port))

    around, _ = await measure(run, [instance], calls, job.timeout_s, make, resolve=resolve)
    return list(run.observations()), around[name], job
