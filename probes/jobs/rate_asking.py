"""Asking for `probes rate`: by headers first, then by refusals where there are none; what stops it is kept, to be told."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from probes.calls import Call, Round
from probes.config import Instance, Kind
from probes.design import Design
from probes.errors import GuardStop, RunFolderError
from probes.estimate import Estimate, estimate
from probes.foreign import foreign_budget
from probes.jobs.session import Settings, client_for
from probes.jobs.terminal import answers_to, progress
from probes.observation import Observation, Outcome
from probes.runs import Run
from probes.scenarios import Decide, Options, scenario
from probes.search.refusals import RefusalDesign
from probes.signatures import Regime, unread_header
from probes.wording import seconds

if TYPE_CHECKING:
    from probes.client import Client
    from probes.jobs.terminal import Bar

KINDS_WITH_REFUSALS = frozenset({Kind.TEST, Kind.BETA, Kind.SANDBOX, Kind.SIMULATED})
"""Where the few refusals that a server without budget headers needs may be caused without being allowed by name."""
LONG_S, LEAST_SAID_S = 20.0, 2.0
"""Pricing, and a wait for the bucket, that take longer are announced, s."""
Stop = GuardStop | RunFolderError | KeyboardInterrupt
"""What ends the asking before it has enough, and leaves something to tell."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asks: `job` calls to come, at most `budget` requests now."""

    names: list[str]
    calls: list[str]
    calls_file: Path | None = None
    job: int = 1000
    budget: int = 400
    confirm: bool = False
    production: str | None = None
    longest_s: float | None = None
    """Seconds after which asking stops; None for the usual ones."""


class _Bounds(TypedDict, total=False):
    """What a design is held to: requests/s, requests at one time, seconds."""

    max_rate: float | None
    max_in_flight: int | None
    longest_s: float


@dataclass(frozen=True, slots=True)
class Measured:
    """What asking came to: the design that asked from headers, the one that asked by refusals (None when not needed), seconds in all."""

    design: Design
    by_refusals: RefusalDesign | None
    seconds: float
    stopped: Stop | None = None


async def measure(
    settings: Settings,
    instance: Instance,
    calls: Sequence[Call],
    asked: Asked,
    run: Run,
    make: Callable[[Instance, Run], Client] = client_for,
) -> Measured:
    """Asks by headers first; by refusals where there are no headers and a few refusals may be caused.

    What a script asked for (`--json`) is one document: with it an interrupt ends the asking only.
    """
    loop = asyncio.get_running_loop()
    start = loop.time()
    bounds: _Bounds = {"max_rate": instance.max_rate, "max_in_flight": instance.max_in_flight}
    if asked.longest_s is not None:
        bounds["longest_s"] = asked.longest_s
    design = Design(tuple(calls), asked.budget, job=asked.job, **bounds)
    by_refusals: RefusalDesign | None = None
    stopped: Stop | None = None
    async with make(instance, run) as client:
        with progress(settings, f"rate of {instance.name}", asked.budget) as bar:
            try:
                seen = await _stream(client, heeding(telling(design, settings.say)), calls, asked, bar)
                by_refusals = _without_headers(settings, instance, calls, asked, seen, bounds)
                if by_refusals is not None:
                    await _stream(client, by_refusals, calls, dataclasses.replace(asked, budget=asked.budget - len(seen)), bar)
            except (GuardStop, RunFolderError) as stop:
                stopped = stop
            except asyncio.CancelledError:
                if not settings.as_json:
                    raise
                stopped = _interrupted()
    return Measured(design, by_refusals, loop.time() - start, stopped)


def _without_headers(
    settings: Settings, instance: Instance, calls: Sequence[Call], asked: Asked, seen: Sequence[Observation], bounds: _Bounds
) -> RefusalDesign | None:
    """What goes on to find the limit by refusals, which is said; None where headers tell it, or no refusal may be caused."""
    found = estimate(seen)
    if found is None or not _no_headers(found, seen) or foreign_budget(seen) is not None or not may_be_refused(instance):
        return None
    unread = unread_header(seen)
    why = f"At {instance.name} {unread}" if unread else f"{instance.name} sends no budget headers"
    settings.say(f"{why}: finding the limit by a few refusals, which takes some minutes.")
    return RefusalDesign(tuple(calls), asked.budget - len(seen), earlier=seen, **bounds)


def _interrupted() -> KeyboardInterrupt:
    """The interrupt that cancelled this task, which goes on to tell what it saw."""
    task = asyncio.current_task()
    assert task is not None
    task.uncancel()
    return KeyboardInterrupt()


def heeding(decide: Decide) -> Decide:
    """`decide`, which ends as soon as the budget headers are seen to be another dialect's: it would go by what they do not mean."""
    return lambda seen: None if foreign_budget(seen) is not None else decide(seen)


def telling(design: Design, say: Callable[[str], None]) -> Decide:
    """`design`, which says how long it waits, and once how long pricing will take: a bar alone would look as if it stood still."""
    said = False

    def decide(seen: Sequence[Observation]) -> Round | None:
        nonlocal said
        asked = design(seen)
        if design.drains_s > LEAST_SAID_S:
            say(f"The bucket still drains what other calls left in it: waiting {seconds(design.drains_s)} until it is at rest.")
        if not said and design.pricing_s > LONG_S:
            said = True
            say(f"The bucket is known after {len(seen)} calls; pricing takes about {seconds(design.pricing_s)} more.")
        return asked

    return decide


async def _stream(client: Client, design: Decide, calls: Sequence[Call], asked: Asked, bar: Bar) -> list[Observation]:
    seen = []
    moved = answers_to(bar)
    options = Options(calls=tuple(calls), budget=asked.budget, decide=design, allow_writes=client.instance.allow_writes)
    async for observation in scenario("throttling").observe(client, options):
        seen.append(observation)
        moved(observation)
    return seen


def may_be_refused(instance: Instance) -> bool:
    """Whether a few refusals may be caused here: never on production unless it allows load by name."""
    return instance.allow_load or instance.kind in KINDS_WITH_REFUSALS


def _no_headers(found: Estimate, seen: Sequence[Observation]) -> bool:
    """Whether the call is answered, or throttled, without a word of the budget that is one; one that fails otherwise shows no limit."""
    reached = any(o.ok or o.outcome is Outcome.THROTTLED for o in seen)
    unknown = found.shows("no_headers") or found.shows("unread_headers")
    return reached and unknown and found.regime in (Regime.REFUSALS, Regime.UNTHROTTLED)
