"""`--confirm`: the recommended rate, then the recommended workers, driven by Locust; and a little beyond, where load is allowed.

A sequential test of 0.1 % against 1 % refusals accepts after 326 clean calls: it can contradict a bad answer. One refusal does: of a
good one, refused in 5 % of jobs of 1,000 calls from rest, no more than 2 % of the halves of 326 are refused. It cannot prove 5 % odds
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
from probes.guards import GuardName
from probes.jobs.load import live
from probes.jobs.session import Settings
from probes.load import LoadOutcome, LoadPlan, run_load
from probes.runs import Run
from probes.slowing import slowed
from probes.stats import clean_trials
from probes.wording import plural, rounded_down

CLEAN_CALLS = clean_trials(0.001, 0.01, 0.05)
LONGEST_S = 120.0
LEAST_JUDGED = 12
"""From so few calls, priced or sent, it is not told whether the server slows down."""
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
        if "window" in document:
            continue  # the headers tell the limit, and a load would only spend it
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
    settings.say(f"Confirming {document['call']}: {count} calls at {rounded_down(rate)}/s.")
    _rest(document)
    even = _loaded(settings, _even(instance, calls, rate, count), run)
    slower = _slower(run, even)
    outcomes = [even]
    if workers >= 1 and _clean(even):  # what one half contradicts or could not test no further load mends
        _rest(document)
        settings.say(f"Confirming {plural(workers, 'worker')}.")
        plan = LoadPlan(instance, calls, users=workers, requests=count, duration_s=LONGEST_S, scenario="confirm")
        outcomes.append(_loaded(settings, plan, run))
    refused = any(outcome.refused for outcome in outcomes)
    beyond = (
        _beyond(settings, instance, calls, document, run, refused=refused)
        if go_beyond and instance.allow_load and _clean(even) and not slower
        else None
    )
    return {**_document(rate, workers, outcomes, beyond, document), "slower": slower}


def _clean(outcome: LoadOutcome) -> bool:
    """Whether a load was sent to its end without a refusal."""
    return not outcome.refused and outcome.stopped_by is None


def _slower(run: Run, even: LoadOutcome) -> bool | None:
    """Whether calls of the load flew clearly longer than those that were priced; None where too few of either came back."""
    seen = list(run.observations())
    priced = [o for o in seen if o.scenario == "throttling" and o.ok]
    loaded = [o for o in seen if o.scenario == "confirm" and o.ok and o.sent_s is not None and o.sent_s >= even.start_s]
    if min(len(priced), len(loaded)) < LEAST_JUDGED:
        return None
    return slowed(priced, loaded[len(loaded) // 3 :])


def _loaded(settings: Settings, plan: LoadPlan, run: Run) -> LoadOutcome:
    """Runs one load and notes it in the run."""
    with live(settings) as progress:
        outcome = run_load(plan, run, progress=progress, origin_s=run.origin_s)
    told = {"instance": plan.instance.name, **outcome.document(run.place)}
    run.keep(loads=[*run.manifest.get("loads", []), told])
    return outcome


def _even(instance: Instance, calls: tuple[Call, ...], rate: float, count: int) -> LoadPlan:
    schedule = {"kind": "even", "rate_per_s": rate}
    return LoadPlan(instance, calls, schedule, duration_s=count / rate, requests=count, scenario="confirm")


def _beyond(
    settings: Settings, instance: Instance, calls: tuple[Call, ...], document: dict[str, Any], run: Run, *, refused: bool
) -> dict[str, Any] | None:
    """15 % beyond the estimate until the first refusal: shows that the limit is real; skipped where a ceiling forbids it."""
    faster = float(document["safe"]["rate_per_s"]["high"]) * BEYOND
    if (instance.max_rate is not None and faster > instance.max_rate) or document["safe"]["bound_by"] in ("ceiling", "latency"):
        return None
    settings.say(f"Going beyond, at {faster:.3g}/s, until the first refusal.")
    _rest(document, full=refused)
    plan = _even(instance, calls, faster, max(2, min(MOST_BEYOND, int(faster * 60.0))))
    outcome = _loaded(settings, plan, run)
    return {"rate_per_s": faster, "calls": outcome.requests, "refused": outcome.refused}


def _document(
    rate: float, workers: int, outcomes: Sequence[LoadOutcome], beyond: dict[str, Any] | None, document: dict[str, Any]
) -> dict[str, Any]:
    halves = [_half(outcome) for outcome in outcomes]
    refused = sum(half["refused"] for half in halves)
    carried = (
        "the twin: the stored credit hides the truth for minutes" if document["safe"]["bound_by"] == "outflow" else "this test and the twin"
    )
    return {
        "rate_per_s": rate,
        "workers": workers,
        "calls": sum(half["calls"] for half in halves),
        "refused": refused,
        "contradicted": refused >= 1,
        "at_rate": halves[0] if halves else None,
        "by_workers": halves[1] if len(halves) > 1 else None,
        "ended_early": next((o.why for o in outcomes if o.stopped_by not in (None, GuardName.REFUSALS)), None),
        "beyond": beyond,
        "claim_carried_by": carried,
    }


def _half(outcome: LoadOutcome) -> dict[str, int]:
    return {"calls": outcome.requests, "refused": outcome.refused, "failed": outcome.errors}


def told(confirmed: dict[str, Any]) -> list[str]:
    """For a person: what was sent and what it shows, the two loads apart; whether the server kept its pace; what came beyond."""
    rate, workers = f"{rounded_down(confirmed['rate_per_s'])}/s", plural(confirmed["workers"], "worker")
    halves = [(confirmed["at_rate"], f"at {rate}"), (confirmed["by_workers"], f"by {workers}")]
    sent = "; ".join(f"{plural(half['calls'], 'call')} {how}, {_ends(half)}" for half, how in halves if half is not None)
    lines = [f"  {_verdict(confirmed, sent)}"]
    if confirmed.get("slower"):
        lines.append(f"  The server slows down at {rate}: go slower.")
    if beyond := confirmed["beyond"]:
        shown = "so the limit is real" if beyond["refused"] else "so the limit lies further up"
        sent = plural(beyond["calls"], "call")
        lines.append(f"  Beyond the estimate, at {beyond['rate_per_s']:.3g}/s, {beyond['refused']} of {sent} refused: {shown}.")
    return lines


def _ends(half: dict[str, int]) -> str:
    return f"{half['refused']} refused" + (f", {half['failed']} failed" if half["failed"] else "")


def _verdict(confirmed: dict[str, Any], sent: str) -> str:
    if confirmed["contradicted"]:
        return f"Contradicted by Locust: {sent}."
    if confirmed["ended_early"]:
        return f"Not confirmed by Locust: {sent}. The load was stopped before it showed anything: {confirmed['ended_early']}"
    return f"Confirmed by Locust: {sent}: not contradicted (this cannot prove 5 % odds over a job; the model carries that)."


def _rest(document: dict[str, Any], *, full: bool = False) -> None:
    """Lets the bucket drain, so that what is tested starts from rest; a `full` one altogether."""
    import time

    bucket = document.get("bucket") or {}
    mark, outflow = bucket.get("high_water_mark"), bucket.get("outflow_per_s")
    full_s = mark["value"] / max(outflow["value"], 0.5) if mark and outflow else 20.0
    time.sleep(min(90.0, full_s if full or document["safe"]["bound_by"] == "outflow" else full_s / 20))
