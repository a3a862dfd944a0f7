"""A plan carried out for real: the client, the limiter and the simulator with the estimated bucket, on a clock that jumps."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from probes.calls import Call
from probes.clock import run_virtually
from probes.config import Instance, Kind
from probes.limiter import Limiter
from probes.observation import Observation, Outcome
from probes.plan import Plan, Strategy
from probes.twin import Twin

MOST_CALLS = 20_000
"""A longer plan is rehearsed in part, and its forecast compared in proportion."""
CALL = Call("GET", "/api/v1/users/self")


def rehearse(
    plan: Plan,
    twin: Twin,
    max_rate: float | None = None,
    max_in_flight: int | None = None,
    on_answer: Callable[[Observation], None] | None = None,
) -> dict[str, Any]:
    """Carries out the recommended strategy of `plan` against the simulator; refusals and finish time against the forecast.

    The ceilings (requests/s and requests) are those of the instance that the plan is for. `on_answer` sees each answer, for a bar.
    """
    strategy = plan.strategy(plan.recommended)
    calls = min(plan.calls, MOST_CALLS)
    seen = run_virtually(_carried_out(strategy, twin, calls, max_rate, max_in_flight, on_answer))
    refused = sum(o.outcome is Outcome.THROTTLED for o in seen)
    seconds = max((o.received_s or 0.0 for o in seen), default=0.0)
    forecast = strategy.seconds * calls / plan.calls
    return {
        "strategy": strategy.name,
        "calls": len(seen),
        "refused": refused,
        "seconds": round(seconds, 3),
        "forecast_seconds": round(forecast, 3),
        "forecast_refusal_odds": strategy.refusal_odds,
        "in_virtual_time": True,
    }


async def _carried_out(
    strategy: Strategy,
    twin: Twin,
    calls: int,
    max_rate: float | None,
    max_in_flight: int | None,
    on_answer: Callable[[Observation], None] | None,
) -> list[Observation]:
    from probes.client import Client
    from probes.simulator.app import create_app
    from probes.simulator.network import in_process

    app = create_app(_settings(twin))
    transport = in_process(app, twin.round_trip_s)
    instance = Instance(
        "rehearsal",
        "http://127.0.0.1",
        Kind.SIMULATED,
        max_rate=max_rate,
        max_in_flight=max_in_flight,
        timeout_s=3600.0,
        secret=app.state.world.settings.token,
    )
    seen: list[Observation] = []
    bucket = twin.bucket
    limiter = Limiter(bucket.high_water_mark, bucket.outflow_per_s, bucket.up_front_cost) if strategy.name == "level_aware" else None
    async with Client(instance, record=seen.append, transport=transport, limiter=limiter, on_answer=on_answer) as client:
        await _send_all(client, strategy, calls)
    return seen


async def _send_all(client: Any, strategy: Strategy, calls: int) -> None:
    if strategy.rate_per_s is not None:
        await asyncio.gather(*(_at(client, n / strategy.rate_per_s) for n in range(calls)))
        return
    width = strategy.in_flight or (1 if strategy.name == "one_by_one" else 400)
    left = iter(range(calls))
    await asyncio.gather(*(_worker(client, left) for _ in range(min(width, calls))))


async def _worker(client: Any, left: Any) -> None:
    for _ in left:
        await client.send(CALL, scenario="rehearsal")


async def _at(client: Any, due_s: float) -> None:
    await asyncio.sleep(max(0.0, due_s - client.now()))
    await client.send(CALL, scenario="rehearsal", due_s=due_s)


def _settings(twin: Twin) -> Any:
    """The simulator with the twin's bucket, and one service that takes and costs what was observed (lognormal by its moments)."""
    from probes.simulator.settings import Service, SimulatorSettings

    times, costs = np.maximum(twin.times_s, 1e-6), np.maximum(twin.costs, 1e-9)
    sigma = float(np.std(np.log(times)))
    median = float(np.mean(times)) / math.exp(sigma**2 / 2.0)
    service = Service(median, sigma, cost_mean=float(np.mean(costs)), cost_sigma=float(np.std(np.log(costs))))
    return SimulatorSettings(name="rehearsal", bucket=twin.bucket, services={"*": service}, slots=10_000, cookies=False)
