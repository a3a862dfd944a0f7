"""`probes rate`: identify the bucket, price the calls, say how fast a job may go, and confirm it where asked."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

from probes import findings
from probes.calls import Call
from probes.config import Instance
from probes.design import Design
from probes.endings import ended_early
from probes.errors import GuardStop, RunFolderError, UsageError
from probes.estimate import estimate
from probes.foreign import foreign_budget
from probes.guards import refuse_writes
from probes.jobs import confirm as confirming
from probes.jobs.calls import calls_of, in_turns, one_instance, shares_of
from probes.jobs.rate_asking import Asked, Measured, Stop, measure
from probes.jobs.rate_text import answer_text
from probes.jobs.session import Settings, Told, how_ended, open_run, require_credentials, run_async, write_report
from probes.lone import told_under_a_ceiling
from probes.observation import Observation, Outcome
from probes.rates import Bounds, mix_document, rate_document, untried
from probes.runs import Run
from probes.search.ratio_rates import refusal_document, refusal_mix
from probes.signatures import Regime, Sign
from probes.slowing import served_per_s
from probes.stalls import piled_rate, stalling
from probes.untold import unanswered_document, untold_document
from probes.wording import plural

__all__ = ["SCHEMA", "Asked", "Measured", "concluded", "do", "documents_of", "measure"]

SCHEMA = "probes.rate/1"
FINAL = frozenset({"no_answer", "wrong_dialect"})
"""Signs that say all there is to say of why asking ended."""


def do(settings: Settings, asked: Asked) -> tuple[Told, GuardStop | KeyboardInterrupt | None]:
    """Measures and tells `probes.rate/1`, and the guard, or with --json the interrupt, that stopped it, to be raised after telling.

    Raises UsageError, ConfigError, CredentialsError, and RunFolderError where nothing was measured before the folder could not be written.
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
        _raise_unknown(measured.stopped, observations)
        require_credentials(observations)
        documents = documents_of(measured, observations, calls, asked.job, instance)
        if asked.confirm and measured.stopped is None:
            measured = _confirmed(settings, instance, calls, documents, run, measured)
        told = concluded(run, instance, documents, measured)
    return told, None if isinstance(measured.stopped, RunFolderError) else measured.stopped


def _raise_unknown(stopped: Stop | None, seen: Sequence[Observation]) -> None:
    """Raises what stopped it, but a guard, where nothing was seen before: there is nothing to tell then."""
    if stopped is not None and not isinstance(stopped, GuardStop) and not seen:
        raise stopped


def _confirmed(
    settings: Settings, instance: Instance, calls: Sequence[Call], documents: list[dict[str, Any]], run: Run, measured: Measured
) -> Measured:
    """`measured` with the seconds that confirming took; with --json an interrupt ends that alone, as what was measured stands."""
    start, stopped = time.monotonic(), None
    try:
        confirming.confirm(settings, instance, calls, documents, run)
    except KeyboardInterrupt as stop:
        if not settings.as_json:
            raise
        stopped = stop
    return dataclasses.replace(measured, seconds=measured.seconds + time.monotonic() - start, stopped=stopped)


def documents_of(
    measured: Measured, seen: Sequence[Observation], calls: Sequence[Call], job: int, instance: Instance
) -> list[dict[str, Any]]:
    """The `calls` entries of the contract, one a call in the order asked; of several one more, with `mix`, for all of them as one job."""
    documents = _entries(measured, seen, calls, job, instance)
    ended = _ended(measured, [o for o in seen if o.scenario == "throttling"], instance)
    for document in documents:
        if ended is not None and (ended.kind == "stopped" or not _final(document)):
            document["signs"].append(ended.document())
    return documents


def _ended(measured: Measured, seen: Sequence[Observation], instance: Instance) -> Sign | None:
    """Why less was asked than the budget allowed."""
    if measured.stopped is None:
        return ended_early(seen, measured.design.budget)
    why = f"Stopped by max_requests = {instance.max_requests}" if isinstance(measured.stopped, GuardStop) else "Interrupted"
    why = f"Stopped, as {str(measured.stopped).rstrip('.')}" if isinstance(measured.stopped, RunFolderError) else why
    return Sign("stopped", f"{why}: the answer rests on {plural(len(seen), 'request')}.")


def _final(document: dict[str, Any]) -> bool:
    """Whether it says by itself why no more was asked: that no call was answered, or every one refused."""
    return document["regime"] == Regime.BLOCKED or any(sign["kind"] in FINAL for sign in document["signs"])


def _steady_per_s(design: Design, probed: Sequence[Observation]) -> float | None:
    """The fastest step, calls/s, that the server kept pace with: no faster than it answered while it did not."""
    kept = max((s.rate_per_s for s in design.steps if design.slowed_at is None or s.rate_per_s < design.slowed_at), default=None)
    slow = [s for s in design.steps if s.rate_per_s == design.slowed_at]
    served = served_per_s(probed[slow[0].first : slow[0].first + slow[0].calls]) if slow else None
    return kept if kept is None or served is None else min(kept, served)


def _entries(measured: Measured, seen: Sequence[Observation], calls: Sequence[Call], job: int, instance: Instance) -> list[dict[str, Any]]:
    design = measured.design
    probed = [o for o in seen if o.scenario == "throttling"]
    design.finish(probed)
    steady = _steady_per_s(design, probed)
    bounds = Bounds(instance.max_rate, instance.max_in_flight, design.slowed_at, steady)
    names, shares = [call.name for call in _different(calls)], shares_of(calls)
    mixed = len(names) > 1
    if measured.by_refusals is not None:
        first = design.budget - measured.by_refusals.budget
        measured.by_refusals.finish([o for o in seen if o.scenario == "throttling"][first:])
        mix = [refusal_mix(measured.by_refusals, shares, job, bounds)] if mixed else []
        return [refusal_document(measured.by_refusals, name, job, bounds) for name in names] + mix
    if (foreign := foreign_budget(seen)) is not None:
        return [untold_document(name, foreign) for name in names]
    found = estimate(seen)
    piles_at = piled_rate(found, design.steps, [o for o in seen if o.scenario == "throttling"]) if found is not None else None
    bounds = dataclasses.replace(bounds, piles_at=piles_at)
    if found is None or not any(o.ok or o.outcome is Outcome.THROTTLED for o in seen):
        return [unanswered_document(name, seen) for name in names]
    mix = [mix_document(found, shares, job, bounds)] if mixed else []
    documents = [rate_document(found, name, job, bounds) for name in names] + mix
    documents = [told_under_a_ceiling(document, [o for o in seen if o.scenario == "throttling"], job, bounds) for document in documents]
    for document in documents:
        document["signs"] += [sign.document() for sign in (untried(document, steady), stalling(document, piles_at)) if sign is not None]
    return documents


def concluded(run: Run, instance: Instance, documents: list[dict[str, Any]], measured: Measured) -> Told:
    """Notes rates and findings in the run, writes its report, and makes the document and the text."""
    observations = list(run.observations())
    rates = [{"instance": instance.name, **document} for document in documents]
    spent = _spent(observations, measured)
    run.keep(rates=rates, spent=spent)
    found = findings.judge(observations, rates=rates, facts=run.manifest)
    run.keep(findings=[finding.document() for finding in found])
    run.finish(how_ended(measured.stopped))
    if isinstance(measured.stopped, RunFolderError):
        run.unkept = str(measured.stopped)
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
    refuse_writes(instance, calls)
    for call in calls:
        if call.writes and asked.calls_file is None:
            raise UsageError(f"'{call.name}' may change something: name it in a file with --calls-file, so that it is meant.")
    return in_turns(calls, asked.budget)


def _different(calls: Sequence[Call]) -> list[Call]:
    return list({call.name: call for call in calls}.values())
