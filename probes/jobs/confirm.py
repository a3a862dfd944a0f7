"""`--confirm`: the recommended rate, then the recommended workers, driven by Locust; and a little beyond, where load is allowed.

A sequential test of 0.1 % against 1 % refusals accepts after 326 clean calls: it can contradict a bad answer. It cannot prove 5 % odds
over a job, and where the outflow binds the bucket's credit hides the truth for minutes: there the twin carries the claim.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from probes.calls import Call
from probes.config import Instance, Kind
from probes.errors import UsageError
from probes.jobs.load import live
from probes.jobs.session import Settings
from probes.load import LoadOutcome, LoadPlan, run_load
from probes.runs import Run

CLEAN_CALLS = 326
LONGEST_S = 120.0
BEYOND = 1.15
MOST_BEYOND = 1000
"""Calls beyond the estimate, where no refusal ends them before."""


def refuse_to_confirm(instance: Instance, production: str | None = None) -> None:
    """Raises UsageError where load is not allowed, or where production is not named again: before anything is measured for it."""
    if not instance.allow_load and instance.kind is not Kind.SIMULATED:
        raise UsageError(
            f"--confirm loads '{instance.name}', which does not allow it: set allow_load = true for it, or leave --confirm out."
        )
    if instance.kind is Kind.PRODUCTION and production != instance.name:
        raise UsageError(
            f"--confirm loads '{instance.name}', a production instance: repeat its name with --production {instance.name}, "
            "or leave --confirm out."
        )


def stated(instance: Instance, answers: int, job_calls: int) -> str:
    """The sentence that says beforehand how many requests confirming so many answers takes at most."""
    clean, beyond = max(2, min(CLEAN_CALLS, job_calls)), MOST_BEYOND if instance.allow_load else 0
    further = f", then up to {beyond:,} at 15 % beyond the estimate until the first refusal, as allow_load is set" if beyond else ""
    each = f", for each of {answers} answers" if answers > 1 else ""
    return (
        f"--confirm sends at most {answers * (2 * clean + beyond):,} requests more than the budget: "
        f"{clean} at the rate found, {clean} by the workers{further}{each}."
    )


def confirm(
    settings: Settings, instance: Instance, calls: Sequence[Call], documents: list[dict[str, Any]], run: Run, *, beyond: bool = True
) -> None:
    """Fills `confirmed` of each entry that has a safe rate; `beyond`: also a little faster, until the first refusal."""
    for document in documents:
        safe = document["safe"]
        same = _calls_of(document, calls)
        if safe is not None and safe["rate_per_s"] is not None and safe["rate_per_s"]["low"] > 0.0:
            document["confirmed"] = _confirmed(settings, instance, same, document, run, beyond)


def _calls_of(document: dict[str, Any], calls: Sequence[Call]) -> tuple[Call, ...]:
    """The calls of an entry; of a mix all, each kind's weight shared out among its calls."""
    mine = {(call.method, call.path, str(call.body)): call for call in calls if "mix" in document or call.name == document["call"]}
    alike = Counter(call.name for call in mine.values())
    return tuple(replace(call, weight=call.weight / alike[call.name]) for call in mine.values())


def _confirmed(
    settings: Settings, instance: Instance, calls: tuple[Call, ...], document: dict[str, Any], run: Run, go_beyond: bool
) -> dict[str, Any]:
    safe = document["safe"]
    rate, workers = float(safe["rate_per_s"]["low"]), int(safe["in_flight"])
    count = max(2, min(CLEAN_CALLS, int(safe["job_calls"]), int(rate * LONGEST_S)))
    settings.say(f"Confirming {document['call']}: {count} calls at {rate:.3g}/s.")
    _rest(document)
    even = _loaded(settings, _even(instance, calls, rate, count), run)
    outcomes = [even]
    if workers >= 1 and not even.refused:
        _rest(document)
        settings.say(f"Confirming {workers} workers.")
        plan = LoadPlan(
            instance, calls, users=workers, open_loop=False, requests=count, duration_s=LONGEST_S, max_refusals=3, scenario="confirm"
        )
        outcomes.append(_loaded(settings, plan, run))
    refused = any(outcome.refused for outcome in outcomes)
    beyond = (
        _beyond(settings, instance, calls, document, run, refused=refused)
        if go_beyond and instance.allow_load and not even.refused
        else None
    )
    return _document(rate, workers, outcomes, beyond, document)


def _loaded(settings: Settings, plan: LoadPlan, run: Run) -> LoadOutcome:
    """Runs one load and notes it in the run."""
    with live(settings) as progress:
        outcome = run_load(plan, run, progress=progress, origin_s=run.origin_s)
    told = {"instance": plan.instance.name, **outcome.document(str(run.folder))}
    run.keep(loads=[*run.manifest.get("loads", []), told])
    return outcome


def _even(instance: Instance, calls: tuple[Call, ...], rate: float, count: int) -> LoadPlan:
    schedule = {"kind": "even", "rate_per_s": rate}
    return LoadPlan(instance, calls, schedule, duration_s=count / rate, max_refusals=3, requests=count, scenario="confirm")


def _beyond(
    settings: Settings, instance: Instance, calls: tuple[Call, ...], document: dict[str, Any], run: Run, *, refused: bool
) -> dict[str, Any] | None:
    """15 % beyond the estimate until the first refusal: shows that the limit is real; skipped where a ceiling forbids it."""
    faster = float(document["safe"]["rate_per_s"]["high"]) * BEYOND
    if (instance.max_rate is not None and faster > instance.max_rate) or document["safe"]["bound_by"] in ("ceiling", "latency"):
        return None
    settings.say(f"Going beyond, at {faster:.3g}/s, until the first refusal.")
    _rest(document, full=refused)
    plan = replace(_even(instance, calls, faster, max(2, min(MOST_BEYOND, int(faster * 60.0)))), max_refusals=0)
    outcome = _loaded(settings, plan, run)
    return {"rate_per_s": faster, "calls": outcome.requests, "refused": outcome.refused}


def _document(
    rate: float, workers: int, outcomes: Sequence[LoadOutcome], beyond: dict[str, Any] | None, document: dict[str, Any]
) -> dict[str, Any]:
    calls, refused = sum(o.requests for o in outcomes), sum(o.refused for o in outcomes)
    carried = (
        "the twin: the stored credit hides the truth for minutes" if document["safe"]["bound_by"] == "outflow" else "this test and the twin"
    )
    return {
        "rate_per_s": rate,
        "workers": workers,
        "calls": calls,
        "refused": refused,
        "contradicted": refused >= 2 or (refused == 1 and calls < CLEAN_CALLS / 3),
        "beyond": beyond,
        "claim_carried_by": carried,
    }


def _rest(document: dict[str, Any], *, full: bool = False) -> None:
    """Lets the bucket drain, so that what is tested starts from rest; a `full` one altogether."""
    import time

    bucket = document.get("bucket") or {}
    mark, outflow = bucket.get("high_water_mark"), bucket.get("outflow_per_s")
    full_s = mark["value"] / max(outflow["value"], 0.5) if mark and outflow else 20.0
    time.sleep(min(90.0, full_s if full or document["safe"]["bound_by"] == "outflow" else full_s / 20))
