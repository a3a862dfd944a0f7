"""Which wait runs out: connecting, TLS, the first byte, the body, our own pool; how often; and whether the server is alive all the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from probes.calls import Call
from probes.instants import instant
from probes.observation import Observation, Outcome
from probes.scenarios.asking import get, server_clock_s
from probes.scenarios.base import Options, Scenario

if TYPE_CHECKING:
    from probes.client import Answer, Client

AFTER_TIMEOUT = "after a timeout"
"""What the name of a call ends with that asks whether anybody is there."""
MOST_ALIVE = 10
TIMED_OUT = frozenset({Outcome.CONNECT_TIMEOUT, Outcome.READ_TIMEOUT, Outcome.WRITE_TIMEOUT, Outcome.POOL_TIMEOUT})
MOST_IN_A_ROW = 3
ALIVE_TIMEOUT_S = 10.0
COLD_EVERY = 6


async def observe(client: Client, options: Options) -> AsyncIterator[Observation]:
    """One call after another, every sixth on a new connection; after a timeout the health page is asked whether anybody is there."""
    calls = list(options.calls) or [get(client.dialect.self_path), get(client.dialect.list_path)]
    in_a_row = {call.name: 0 for call in calls}
    alive_left = MOST_ALIVE
    for block in range(options.repeat):
        for call in calls:
            if in_a_row[call.name] >= MOST_IN_A_ROW:
                continue
            answer = await client.ask(call, scenario="timeouts", cold=block % COLD_EVERY == 1, note=_clock)
            yield answer.observation
            timed_out = answer.observation.outcome in TIMED_OUT
            in_a_row[call.name] = in_a_row[call.name] + 1 if timed_out or answer.observation.status is None else 0
            if timed_out and alive_left > 0:
                alive_left -= 1
                yield await _alive(client, call)
            if answer.observation.outcome in (Outcome.THROTTLED, Outcome.MAINTENANCE, Outcome.UNAUTHORIZED):
                return


def _clock(answer: Answer) -> dict[str, Any]:
    seconds = server_clock_s(answer)
    return {} if seconds is None else {"at": instant(seconds).isoformat()}


async def _alive(client: Client, call: Call) -> Observation:
    """Asks the cheapest thing there is right after a timeout of `call`."""
    path = client.dialect.health_path or client.dialect.self_path
    return await client.send(
        get(path),
        scenario="timeouts",
        timeout_s=min(ALIVE_TIMEOUT_S, client.instance.timeout_s),
        cold=True,
        authorized=client.dialect.health_path is None,
        name=f"GET {path} {AFTER_TIMEOUT}",
        note=lambda _: {"after_timeout_of": call.name},
    )


SCENARIO = Scenario(
    name="timeouts",
    asks="Which timeout runs out, how often, on which calls, and is the server alive all the same?",
    budget=lambda options: options.repeat * (len(options.calls) or 2) + MOST_ALIVE,
    observe=observe,
)
