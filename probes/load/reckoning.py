"""From the records of a load to its outcome: one pass, little memory, the same whether the child ended well or was killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from probes.guards import GuardName
from probes.load.outcome import LoadOutcome, Reckoning, lines_from, percentiles
from probes.load.plan import LoadPlan

LATE_SHARE = 0.05
SHORTFALL = 0.01
"""A load with more late requests or a greater shortfall was bound by its own generator or its own in-flight limit, not by its schedule."""
LEAST_CLOSED_S = 1.0
"""Seconds that the rates of users count at least: all start at one instant, so a shorter time shows no rate."""


def reckon(plan: LoadPlan, report: dict[str, Any], path: Path, offset: int, *, killed: bool) -> LoadOutcome:
    """The outcome of `plan`: its records stand in `path` behind `offset` bytes, `report` is the last that its process said."""
    start = float(report["start_s"])
    stopped, why = report.get("stopped_by"), report.get("why")
    if report["kind"] != "end":
        stopped = "seconds" if killed else "killed"
        why = (
            "The load outlived its time and was ended." if killed else "The load's own process was killed; its last records may be missing."
        )
    ended = report["ended_s"] or report["now_s"]
    planned = stopped is None and plan.open_loop
    until = start + plan.duration_s if planned else min(start + plan.duration_s, ended)
    return _told(plan, report, Reckoning(lines_from(path, offset), until), start, until, stopped, why)


def _told(
    plan: LoadPlan, report: dict[str, Any], seen: Reckoning, start: float, until: float, stopped: str | None, why: str | None
) -> LoadOutcome:
    seconds = max(until - start, 1e-9)
    handed, unsent = int(report["handed"]), int(report["unsent"])
    span = _span(plan, seconds, handed, stopped)
    achieved = seen.in_time / span
    late = _late_share(seen, handed, unsent, stopped)
    bound = (
        plan.open_loop
        and stopped is None
        and not report.get("lost")
        and (late > LATE_SHARE or achieved < (1.0 - SHORTFALL) * handed / span)
    )
    return LoadOutcome(
        asked_per_s=plan.asked_per_s,
        offered_per_s=round(handed / span, 4),
        achieved_per_s=round(achieved, 4),
        requests=seen.requests,
        refused=seen.outcomes["throttled"],
        late_share=round(late, 6),
        stopped_by=stopped,
        why=why,
        latency_s=percentiles(seen.latencies, seen.without_answer + unsent),
        punctuality_s=percentiles(seen.sent_after_s),
        errors=seen.requests - seen.outcomes["ok"] - seen.outcomes["throttled"] - seen.outcomes["cancelled"],
        outcomes=dict(seen.outcomes),
        unsent=unsent,
        start_s=round(start, 6),
        seconds=round(seconds, 6),
        least_remaining=seen.least_remaining,
        limit_per_s=round(achieved, 2) if bound else None,
        first_refusal_s=seen.first_refusal_s,
        last_sent_s=seen.last_sent_s,
        in_flight=plan.in_flight,
        workers=plan.workers,
        lost=[*report.get("lost", []), *_unwritten(report, seen, stopped)],
    )


def _unwritten(report: dict[str, Any], seen: Reckoning, stopped: str | None) -> list[str]:
    """Of a load whose folder took no more: how many of its requests are in none of these numbers."""
    missing = int(report.get("requests") or 0) - seen.requests
    return [f"{missing} more requests were sent that could not be written down."] if stopped == GuardName.FOLDER and missing > 0 else []


def _late_share(seen: Reckoning, handed: int, unsent: int, stopped: str | None) -> float:
    """Of a load that was stopped the share of what was sent: of what the stop held back nobody knows when it would have gone."""
    if stopped is not None:
        return seen.late / max(seen.requests, 1)
    return (seen.late + unsent) / handed if handed else 0.0


def _span(plan: LoadPlan, seconds: float, handed: int, stopped: str | None) -> float:
    """The seconds that the rates are told over.

    Of a load that was stopped those that its due times take by the schedule, where that is longer: some are handed out ahead, and the
    first of them takes no time.
    """
    if not plan.open_loop:
        return max(seconds, LEAST_CLOSED_S)
    asked = plan.asked_per_s
    return max(seconds, handed / asked) if stopped is not None and asked else seconds
