"""`probes rate`: identify the bucket, price the calls, say how fast a job may go, and confirm it where asked."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from probes import findings
from probes.calls import Call
from probes.config import Instance
from probes.errors import CredentialsError, GuardStop, RunFolderError, UsageError
from probes.guards import refuse_writes
from probes.jobs import confirm as confirming
from probes.jobs.calls import calls_of, in_turns, one_instance
from probes.jobs.rate_asking import Asked, Measured, Stop, measure
from probes.jobs.rate_entries import documents_of
from probes.jobs.rate_text import answer_text
from probes.jobs.session import Settings, Told, credentials_refused, how_ended, open_run, reckoning, run_async, write_report
from probes.observation import Observation, Outcome
from probes.runs import Run

__all__ = ["SCHEMA", "Asked", "Measured", "concluded", "do", "documents_of", "measure", "with_more"]

SCHEMA = "probes.rate/1"


def do(settings: Settings, asked: Asked) -> tuple[Told, GuardStop | CredentialsError | KeyboardInterrupt | None]:
    """Measures and tells `probes.rate/1`, and what is to be raised after telling: a guard, refused credentials, with --json the interrupt.

    Raises UsageError, ConfigError, and RunFolderError where nothing was measured before the folder could not be written.
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
        refused = credentials_refused(observations)
        with reckoning(settings, run):
            documents = documents_of(measured, observations, calls, asked.job, instance)
        if asked.confirm and measured.stopped is None and refused is None and run.interrupt is None:
            confirm = partial(confirming.confirm, settings, instance, calls, documents, run)
            measured = with_more(measured, confirm, as_json=settings.as_json)
        with reckoning(settings, run):
            told = concluded(run, instance, documents, measured)
    stopped = None if isinstance(measured.stopped, RunFolderError) else measured.stopped
    return told, run.interrupt or stopped or refused


def _raise_unknown(stopped: Stop | None, seen: Sequence[Observation]) -> None:
    """Raises what stopped it, but a guard, where nothing was seen before: there is nothing to tell then."""
    if stopped is not None and not isinstance(stopped, GuardStop) and not seen:
        raise stopped


def with_more(measured: Measured, work: Callable[[], None], *, as_json: bool) -> Measured:
    """`measured` with the seconds that `work` took; with --json an interrupt ends that alone, as what was measured stands."""
    start, stopped = time.perf_counter(), None
    try:
        work()
    except KeyboardInterrupt as stop:
        if not as_json:
            raise
        stopped = stop
    return dataclasses.replace(measured, seconds=measured.seconds + time.perf_counter() - start, stopped=stopped)


def concluded(run: Run, instance: Instance, documents: list[dict[str, Any]], measured: Measured) -> Told:
    """Notes rates and findings in the run, writes its report, and makes the document and the text."""
    observations = list(run.observations())
    rates = [{"instance": instance.name, **document} for document in documents]
    spent = _spent(observations, measured)
    run.keep(rates=rates, spent=spent)
    found = findings.judge(observations, rates=rates, facts=run.manifest)
    run.keep(findings=[finding.document() for finding in found])
    run.finish(how_ended(measured.stopped or credentials_refused(observations)))
    if isinstance(measured.stopped, RunFolderError):
        run.unkept = str(measured.stopped)
    write_report(run)
    single, mix = [one for one in documents if "mix" not in one], [one for one in documents if "mix" in one]
    told: dict[str, Any] = {"calls": single, "mix": mix[0] if mix else None, "spent": spent}
    document = {"schema": SCHEMA, "run": run.place, "instance": instance.name, **told}
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
