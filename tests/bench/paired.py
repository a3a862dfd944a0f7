"""Two simulated instances compared by the real command's code in virtual time."""

from __future__ import annotations

import tempfile
from pathlib import Path

import httpx

from probes.client import Client
from probes.clock import run_virtually
from probes.compare import Comparison, comparisons
from probes.config import Instance, Kind
from probes.jobs.compare import WARM_PAIRS, measure, plan
from probes.observation import Observation
from probes.runs import Run
from probes.simulator.app import create_app
from probes.simulator.network import DelayedTransport
from probes.simulator.settings import TOKEN, Service, SimulatorSettings


def whole(ratio: float, seed: int, spread: float = 0.4, repeat: int = WARM_PAIRS) -> Comparison:
    """`a` compared with `b`, of which `a` works `ratio` times as long on each request."""
    return comparisons(observed(ratio, seed, spread, repeat))[0]


def observed(ratio: float, seed: int, spread: float = 0.4, repeat: int = WARM_PAIRS) -> list[Observation]:
    """What the command saw."""

    def settings(name: str, times: float) -> SimulatorSettings:
        service = Service(0.2 * times, spread)
        return SimulatorSettings(name=name, seed=2 * seed + (name == "a"), services={"*": service})

    apps = {name: create_app(settings(name, times)) for name, times in (("a", ratio), ("b", 1.0))}
    instances = [Instance(name, f"http://127.0.0.1:{port}", Kind.SIMULATED, secret=TOKEN) for name, port in (("a", 8001), ("b", 8002))]

    def make(one: Instance, run: Run) -> Client:
        way = DelayedTransport(httpx.ASGITransport(apps[one.name]), 0.02, 0.002, seed)
        return Client(one, record=run.append, transport=way, origin_s=0.0)

    with tempfile.TemporaryDirectory() as place:
        run = Run.create(Path(place), ["compare"], instances)
        run_virtually(measure(run, instances, [], plan(repeat), lambda _: None, make))
        return list(run.observations())
