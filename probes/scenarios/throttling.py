"""What bucket throttles me? Overlapping calls show it in the headers, without causing a refusal."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from probes.calls import Call, Round
from probes.clock import VirtualLoop
from probes.observation import Observation, Outcome
from probes.scenarios.asking import Patience, get, together
from probes.scenarios.base import Decide, Options, Scenario

if TYPE_CHECKING:
    from probes.client import Client

DEFAULT_BUDGET = 90
"""Requests: about sixty identify the bucket, the rest price the call."""
MARGIN = 30.0
"""Units kept between the forecast level and the mark."""
SIZES = (1, 1, 2, 2, 3, 3, 3, 4, 3, 5, 3, 6, 3, 3)
"""Calls together in each round of the built-in design, where the level allows so many."""
FASTEST_LEAK = 20.0
"""Units/s: how much a reservation may have leaked before the first answer shows it, at most."""


def built_in(call: Call) -> Decide:
    """A design that needs no estimator: one call, then two, then three and more together while what remains carries them."""
    rounds = iter(SIZES)

    def decide(seen: Sequence[Observation]) -> Round | None:
        wanted = next(rounds, None)
        if wanted is None:
            return None
        size = min(wanted, affordable(seen))
        return None if size < 1 else Round(((0.0, call),) * size, after_s=0.2 if seen else 0.0)

    return decide


def affordable(seen: Sequence[Observation]) -> int:
    """How many calls may start together now: each may reserve as much as the most that a call seen overlapping could have reserved.

    Without any budget header three is the most: overlapping calls teach nothing there.
    """
    levels = [o for o in seen if o.remaining is not None]
    if not levels:
        return 3 if len(seen) >= 2 else 1
    mark = max(o.remaining for o in levels if o.remaining is not None)
    if len(levels) < 2:
        return 1
    deepest = min(levels[-3:], key=lambda o: o.remaining or 0.0)
    reservation = max([mark / 6.0, *(_reserved(o, mark) for o in levels[2:4])])
    return int(max(0.0, min(deepest.remaining or 0.0, mark) - MARGIN) // reservation) if len(levels) > 3 else 2


def _reserved(observation: Observation, mark: float) -> float:
    missing = mark - (observation.remaining or 0.0)
    return missing + FASTEST_LEAK * (observation.flight_s or 0.0) if missing > 0.0 else 0.0


async def observe(client: Client, options: Options) -> AsyncIterator[Observation]:
    """Round after round as `options.decide` says (built in: `SIZES`) until it has enough, the budget is spent or a refusal comes."""
    decide = options.decide or built_in(options.calls[0] if options.calls else get(client.dialect.self_path))
    left = options.budget or DEFAULT_BUDGET
    seen: list[Observation] = []
    patience = Patience()
    while left > 0 and (asked := await _decided(decide, seen)) is not None:
        asked = dataclasses.replace(asked, calls=asked.calls[:left])
        answered = await together(client, asked, "throttling")
        left -= len(answered)  # what a refusal cut off was not sent
        seen.extend(answered)
        for observation in answered:
            yield observation
        lost = [patience.lost(observation) for observation in answered]
        if any(lost) and (options.decide is None or not _only_throttled(answered)):
            return


async def _decided(decide: Decide, seen: Sequence[Observation]) -> Round | None:
    """What to ask next, reckoned beside the loop: a design may think for a second, and other instances' calls must go out meanwhile."""
    if isinstance(asyncio.get_running_loop(), VirtualLoop):
        return decide(seen)
    return await asyncio.to_thread(decide, list(seen))


def _only_throttled(observations: Sequence[Observation]) -> bool:
    """Whether a refusal is the worst seen: a design for servers without headers needs a few and decides itself."""
    return all(o.outcome in (Outcome.OK, Outcome.THROTTLED) for o in observations)


SCENARIO = Scenario(
    name="throttling",
    asks="What bucket throttles me, and how fast may a job go?",
    budget=lambda options: options.budget or DEFAULT_BUDGET,
    observe=observe,
)
