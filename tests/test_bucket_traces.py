"""Traces of Canvas's own throttle code (data/traces/README.md) against the simulator's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest
from simulated import at

from probes.bucket import BucketSettings
from probes.clock import run_virtually
from probes.simulator import replies
from probes.simulator.asks import Ask
from probes.simulator.front import Front
from probes.simulator.services import Work
from probes.simulator.settings import SimulatorSettings
from probes.simulator.throttle import Identity, Throttle
from probes.simulator.world import World

TRACES = sorted((Path(__file__).parent / "data" / "traces").glob("*.jsonl"))
CALM = [path for path in TRACES if path.stem in {"calm-mix", "nine-workers", "one-two-three", "one-two-three-other"}]
CONSTANTS = ("high_water_mark", "maximum", "outflow_per_s", "up_front_cost")


def read(path: Path) -> tuple[SimulatorSettings, list[dict[str, Any]]]:
    head, *calls = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    assert head["calls"] == len(calls)
    return SimulatorSettings(bucket=BucketSettings().scaled(**{key: float(head[key]) for key in CONSTANTS})), calls


def replayed(settings: SimulatorSettings, calls: list[dict[str, Any]]) -> dict[int, tuple[bool, float]]:
    """Verdict and Remaining of each call, events in the order of their instants, arrivals first."""
    throttle, identity = Throttle(settings), Identity("token:trace", "trace")
    events = sorted([(c["arrived_s"], 0, c) for c in calls] + [(c["departed_s"], 1, c) for c in calls], key=lambda e: e[:2])
    passed: dict[int, bool] = {}
    told: dict[int, tuple[bool, float]] = {}
    for now_s, departure, call in events:
        if departure:
            told[call["n"]] = passed[call["n"]], throttle.depart(identity, float(call["cost"] or 0.0), now_s)
        else:
            passed[call["n"]] = throttle.arrive(identity, now_s)
    return told


def test_there_are_ten_traces() -> None:
    """All ten recorded traces are here."""
    assert len(TRACES) == 10


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
def test_throttle_tells_what_canvas_told(path: Path) -> None:
    """Fed the recorded instants, the throttle gives every recorded verdict and every Remaining to 1e-9."""
    settings, calls = read(path)
    told = replayed(settings, calls)
    assert [told[c["n"]][0] for c in calls] == [c["status"] == 200 for c in calls]
    assert max(abs(told[c["n"]][1] - float(c["remaining"])) for c in calls) < 1e-9


class Recorded:
    """In place of the application: works until the recorded departure, at the recorded cost."""

    async def answer(self, ask: Ask, work: Work, _: Identity) -> replies.Reply:
        """The recorded call of the body."""
        call = json.loads(ask.raw_body)
        work.route, work.cpu_s = "GET /api/v1/users/self", float(call["cost"])
        await at(call["departed_s"])
        return replies.as_json({})


async def through_the_app(settings: SimulatorSettings, calls: list[dict[str, Any]]) -> dict[int, dict[str, str]]:
    """The headers of each call that was sent so that it reached the throttle at its recorded instant."""
    front = Front(World(settings.changed(slots=1000)))
    front.application = Recorded()  # type: ignore[assignment]
    told: dict[int, dict[str, str]] = {}

    async def one(call: dict[str, Any]) -> None:
        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": json.dumps(call).encode()}

        async def send(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                told[call["n"]] = {name.decode(): value.decode() for name, value in message["headers"]}

        headers = [(b"authorization", b"Bearer simulator-token"), (b"user-agent", b"test")]
        await at(call["arrived_s"])
        scope = {"type": "http", "method": "GET", "path": "/api/v1/users/self", "query_string": b"", "headers": headers, "client": None}
        await front(scope, receive, send)

    await asyncio.gather(*(one(call) for call in calls))
    return told


@pytest.mark.untraced
@pytest.mark.parametrize("path", CALM, ids=lambda path: path.stem)
def test_answers_carry_the_recorded_headers(path: Path) -> None:
    """Asked at the recorded instants, the whole simulator answers with the recorded cost and Remaining headers."""
    settings, calls = read(path)
    told = run_virtually(through_the_app(settings, calls))
    assert [told[c["n"]]["x-request-cost"] for c in calls] == [c["cost"] for c in calls]
    assert max(abs(float(told[c["n"]]["x-rate-limit-remaining"]) - float(c["remaining"])) for c in calls) < 1e-9
