"""How long calls take, on a warm connection and on a cold one."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from probes.observation import Observation
from probes.scenarios.asking import Patience, get
from probes.scenarios.base import Options, Scenario

if TYPE_CHECKING:
    from probes.client import Client

COLD_SHARE = 8
"""One cold call for so many warm ones, and never fewer than LEAST_COLD."""
LEAST_COLD = 3


def cold_calls(repeat: int) -> int:
    """How many of the calls of each kind go over a new connection, beside `repeat` warm ones."""
    return min(repeat, max(LEAST_COLD, repeat // COLD_SHARE))


def order(repeat: int) -> list[bool]:
    """One entry for each call of one kind, True for cold: the cold ones spread by chance among the warm."""
    plan = [True] * cold_calls(repeat) + [False] * repeat
    random.Random(0).shuffle(plan)
    return plan


async def observe(client: Client, options: Options) -> AsyncIterator[Observation]:
    """One call after another; with several kinds each round makes one of each, in an order drawn anew."""
    calls = list(options.calls) or [get(client.dialect.self_path)]
    source = random.Random(len(calls))
    patience = Patience()
    for block, cold in enumerate(order(options.repeat)):
        for call in source.sample(calls, len(calls)):
            facts = {"cold": cold, "block": block}
            answer = await client.ask(call, scenario="latency", cold=cold, note=lambda _, facts=facts: facts)  # type: ignore[misc]
            yield answer.observation
            if patience.lost(answer.observation):
                return


SCENARIO = Scenario(
    name="latency",
    asks="How long do calls take, on a warm connection and on a cold one?",
    budget=lambda options: max(1, len(options.calls)) * (options.repeat + cold_calls(options.repeat)),
    observe=observe,
)
