"""`probes rate`: identify the bucket, price the calls, say how fast a job may go, and confirm it where asked."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probes import findings
from probes.calls import Call, Round
from probes.config import Instance, Kind
from probes.design import Design
from probes.errors import GuardStop, UsageError
from probes.estimate import Estimate, estimate
from probes.jobs import confirm as confirming
from probes.jobs.calls import calls_of, in_turns, one_instance, shares_of
from probes.jobs.rate_text import answer_text
from probes.jobs.session import Settings, Told, client_for, open_run, require_credentials, run_async, write_report
from probes.jobs.terminal import answers_to, progress
from probes.observation import Observation, Outcome
from probes.rates import Bounds, mix_document, rate_document, stalling, unanswered_document, untried
from probes.ratio_rates import refusal_document, refusal_mix
from probes.refusals import RefusalDesign
from probes.rules.base import plural, seconds
from probes.runs import Run
from probes.scenarios import Decide, Options, scenario
from probes.signatures import Regime
from probes.stalls import piled_rate

if TYPE_CHECKING:
    from probes.client import Client
    from probes.jobs.terminal import Bar

SCHEMA = "probes.rate/1"
KINDS_WITH_REFUSALS = frozenset({Kind.TEST, Kind.BETA, Kind.SANDBOX, Kind.SIMULATED})
"""Where the few refusals that a server without budget headers needs may be caused without being allowed by name."""
LONG_S = 20.0
"""Pricing that takes longer is announced."""


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


def do(settings: Settings, asked: Asked) -> tuple[Told, GuardStop | None]:
    """Measures and tells `probes.rate/1`, and the guard that stopped it, to be raised after telling.

    Raises UsageError, ConfigError, RunFolderError, CredentialsError.
    """
    instance = one_instance(settings.load().pick(asked.names), "rate")
    calls = _calls(instance, asked)
    if asked.confirm:
        confirming.refuse_to_confirm(instance, asked.production)
        kinds = len(_different(calls))
        settings.say(confirming.stated(instance, kinds + (kinds > 1), asked.job))
    with open_run(settings, ["rate", *(call.name for call in _different(calls))], [instance]) as run:
        measured = run_async(measure(settings, instance, calls, asked, run))
        observations = list(run.observations())
        require_credentials(observations)
        documents = documents_of(measured, observations, calls, asked.job, instance)
        if asked.confirm and measured.stopped is None:
            confirming.confirm(settings, instance, calls, documents, run)
        return concluded(run, instance, documents, measured), measured.stopped


@dataclass(frozen=True, slots=True)
class Measured:
    """What asking came to: the design that asked from headers, the one that asked by refusals (None when not needed), seconds in all."""

    design: Design
    by_refusals: RefusalDesign | None
    seconds: float
    stopped: GuardStop | None = None


async def measure(
    settings: Settings,
    instance: Instance,
    calls: Sequence[Call],
    asked: Asked,
    run: Run,
    make: Callable[[Instance, Run], Client] = client_for,
) -> Measured:
    """Asks by headers first; by refusals where there are no headers and a few refusals may be caused."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    design = Design(tuple(calls), asked.budget, instance.max_rate, instance.max_in_flight, job=asked.job)
    by_refusals, stopped = None, None
    async with make(instance, run) as client:
        with progress(settings, f"rate of {instance.name}", asked.budget) as bar:
            try:
                seen = await _stream(client, telling(design, settings.say), calls, asked, bar)
                found = estimate(seen)
                if found is not None and _no_headers(found, seen) and may_be_refused(instance):
                    settings.say(f"{instance.name} sends no budget headers: finding the limit by a few refusals, which takes some minutes.")
                    ceilings = instance.max_rate, instance.max_in_flight
                    by_refusals = RefusalDesign(tuple(calls), asked.budget - len(seen), *ceilings, earlier=seen)
                    await _stream(client, by_refusals, calls, dataclasses.replace(asked, budget=asked.budget - len(seen)), bar)
            except GuardStop as stop:
                stopped = stop
    return Measured(design, by_refusals, loop.time() - start, stopped)


def telling(design: Design, say: Callable[[str], None]) -> Decide:
    """`design`, which says once how long pricing will take, as soon as it knows: a bar alone would look as if it stood still."""
    said = False

    def decide(seen: Sequence[Observation]) -> Round | None:
        nonlocal said
        asked = design(seen)
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


def documents_of(
    measured: Measured, seen: Sequence[Observation], calls: Sequence[Call], job: int, instance: Instance
) -> list[dict[str, Any]]:
    """The `calls` entries of the contract, one a call in the order asked; of several one more, with `mix`, for all of them as one job."""
    documents = _entries(measured, seen, calls, job, instance)
    if measured.stopped is not None:
        said = f"Stopped by max_requests = {instance.max_requests}: the answer rests on {plural(len(seen), 'request')}."
        for document in documents:
            document["signs"].append({"kind": "stopped", "says": said})
    return documents


def _entries(measured: Measured, seen: Sequence[Observation], calls: Sequence[Call], job: int, instance: Instance) -> list[dict[str, Any]]:
    design = measured.design
    design.finish([o for o in seen if o.scenario == "throttling"])
    steady = max((s.rate_per_s for s in design.steps if design.slowed_at is None or s.rate_per_s < design.slowed_at), default=None)
    bounds = Bounds(instance.max_rate, instance.max_in_flight, design.slowed_at, steady)
    names, shares = [call.name for call in _different(calls)], shares_of(calls)
    mixed = len(names) > 1
    if measured.by_refusals is not None:
        first = design.budget - measured.by_refusals.budget
        measured.by_refusals.finish([o for o in seen if o.scenario == "throttling"][first:])
        mix = [refusal_mix(measured.by_refusals, shares, job, bounds)] if mixed else []
        return [refusal_document(measured.by_refusals, name, job, bounds) for name in names] + mix
    found = estimate(seen)
    piles_at = piled_rate(found, design.steps, [o for o in seen if o.scenario == "throttling"]) if found is not None else None
    bounds = dataclasses.replace(bounds, piles_at=piles_at)
    if found is None or not any(o.ok or o.outcome is Outcome.THROTTLED for o in seen):
        return [unanswered_document(name, seen) for name in names]
    mix = [mix_document(found, shares, job, bounds)] if mixed else []
    documents = [rate_document(found, name, job, bounds) for name in names] + mix
    for document in documents:
        document["signs"] += [sign for sign in (untried(document, steady), stalling(document, piles_at)) if sign]
    return documents


def concluded(run: Run, instance: Instance, documents: list[dict[str, Any]], measured: Measured) -> Told:
    """Notes rates and findings in the run, writes its report, and makes the document and the text."""
    observations = list(run.observations())
    rates = [{"instance": instance.name, **document} for document in documents]
    spent = _spent(observations, measured)
    run.keep(rates=rates, spent=spent)
    found = findings.judge(observations, rates=rates, facts=run.manifest)
    run.keep(findings=[finding.document() for finding in found])
    run.finish("done" if measured.stopped is None else f"guard: {measured.stopped}")
    write_report(run)
    single, mix = [one for one in documents if "mix" not in one], [one for one in documents if "mix" in one]
    told: dict[str, Any] = {"calls": single, "mix": mix[0] if mix else None, "spent": spent}
    document = {"schema": SCHEMA, "run": str(run.folder), "instance": instance.name, **told}
    return Told(document, answer_text(instance.name, documents, spent, found, run), found, run.unkept)


def _spent(observations: Sequence[Observation], measured: Measured) -> dict[str, Any]:
    requests, seconds = measured.design.identified_after or (len(observations), measured.seconds)
    return {
        "requests": len(observations),
        "refused": sum(o.outcome is Outcome.THROTTLED for o in observations),
        "seconds": round(measured.seconds, 3),
        "identify": {"requests": int(requests), "seconds": round(float(seconds), 3)},
    }


def _calls(instance: Instance, asked: Asked) -> tuple[Call, ...]:
    """The calls, `GET` of the dialect's own self when none is given. Raises UsageError for writes that are not allowed."""
    from probes.dialects import dialect

    if asked.job < 1 or asked.budget < 1:
        raise UsageError("--job and --budget must be at least 1.")
    calls = calls_of(asked.calls, asked.calls_file) or (Call("GET", dialect(instance.dialect).self_path),)
    for call in calls:
        if call.writes and not instance.allow_writes:
            raise UsageError(f"'{call.name}' may change something: set allow_writes = true for '{instance.name}' first.")
        if call.writes and asked.calls_file is None:
            raise UsageError(f"'{call.name}' may change something: name it in a file with --calls-file, so that it is meant.")
    return in_turns(calls, asked.budget)


def _different(calls: Sequence[Call]) -> list[Call]:
    return list({call.name: call for call in calls}.values())


def _no_headers(found: Estimate, seen: Sequence[Observation]) -> bool:
    """Whether the call is answered, or throttled, without a word of the budget; one that fails otherwise shows no limit."""
    reached = any(o.ok or o.outcome is Outcome.THROTTLED for o in seen)
    return reached and found.regime in (Regime.REFUSALS, Regime.UNTHROTTLED) and found.shows("no_headers")
