"""The `calls` entries of `probes.rate/1`: what was measured, told for each call and for all of them as one job."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from probes.bounds import Bounds
from probes.calls import Call
from probes.config import Instance
from probes.design import Design
from probes.endings import ended_early, out_of_time
from probes.errors import GuardStop, RunFolderError
from probes.estimate import Estimate, estimate
from probes.foreign import foreign_budget
from probes.jobs.calls import shares_of
from probes.jobs.rate_asking import Measured
from probes.lone import told_under_a_ceiling
from probes.observation import Observation, Outcome
from probes.rates import mix_document, rate_document, untried
from probes.search.ratio_rates import refusal_document, refusal_mix
from probes.search.refusals import RefusalDesign
from probes.signatures import Regime, Sign, unread_header
from probes.slowing import FEWEST_CLIMBING, lining_up, served_per_s
from probes.stalls import piled_rate, stalling
from probes.untold import unanswered_document, untold_document, with_unanswered
from probes.wording import plural

FINAL = frozenset({"no_answer", "wrong_dialect"})
"""Signs that say all there is to say of why asking ended."""

BELOW_SERVED = 0.95
"""So much of what a server answered while calls piled up is kept: at all of it they never stop to wait."""
WAITING = 0.85
"""The same of what it answered while calls waited in front of it, a number that so few calls tell to a tenth."""


@dataclass(frozen=True, slots=True)
class _Job:
    """The job to come: the share of each call by name, how many calls, and what bounds their rate."""

    shares: Mapping[str, float]
    total: int
    bounds: Bounds

    @property
    def mixed(self) -> bool:
        return len(self.shares) > 1


def documents_of(
    measured: Measured, seen: Sequence[Observation], calls: Sequence[Call], job: int, instance: Instance
) -> list[dict[str, Any]]:
    """The `calls` entries of the contract, one a call in the order asked; of several one more, with `mix`, for all of them as one job."""
    probed = [o for o in seen if o.scenario == "throttling"]
    design = measured.design
    design.finish(probed)
    bounds = Bounds(instance.max_rate, instance.max_in_flight, design.slowed_at, _steady_per_s(design, probed))
    shares = shares_of(calls)
    documents = with_unanswered(_entries(measured, seen, probed, _Job(shares, job, bounds)), probed, shares)
    ended = _ended(measured, probed, instance)
    for document in documents:
        if ended is not None and (ended.kind == "stopped" or not _final(document)):
            document["signs"].append(ended.document())
    return documents


def _steady_per_s(design: Design, probed: Sequence[Observation]) -> float | None:
    """The fastest step, calls/s, that the server kept pace with: no faster than it answered while it did not.

    Where calls wait in front of the server it serves as many as ever.
    """
    steps = [design.made(n, probed) for n in range(len(design.steps))]
    kept = _kept_per_s(design, [len(made) for made in steps])
    slow = [made for step, made in zip(design.steps, steps, strict=True) if step.rate_per_s == design.slowed_at]
    served = served_per_s(slow[0]) if slow else None
    if design.slowed_at is None or served is None:
        return kept
    kept = design.slowed_at / 2.0 if kept is None else kept
    return max(kept, WAITING * served) if lining_up(slow[0]) else min(kept, BELOW_SERVED * served)


def _kept_per_s(design: Design, made: Sequence[int]) -> float | None:
    """The fastest step of which all calls were made, calls/s; where none was, the fastest of which so many were that a queue would show.

    A step is cut short by the guard on Remaining: calls that pile up in a server with few threads look just so.
    """
    steps = [(step.rate_per_s, step.calls, n) for step, n in zip(design.steps, made, strict=True)]
    slower = [one for one in steps if design.slowed_at is None or one[0] < design.slowed_at]
    enough = min(FEWEST_CLIMBING, max(made, default=0))
    whole = [rate for rate, calls, n in slower if n >= calls]
    return max(whole or [rate for rate, calls, n in slower if n >= min(calls, enough)], default=None)


def _entries(measured: Measured, seen: Sequence[Observation], probed: Sequence[Observation], job: _Job) -> list[dict[str, Any]]:
    if measured.by_refusals is not None:
        return _by_refusals(measured.by_refusals, probed[measured.design.budget - measured.by_refusals.budget :], job)
    if (foreign := foreign_budget(seen)) is not None:
        return [untold_document(name, foreign) for name in job.shares]
    found = estimate(seen)
    if found is None or not any(o.ok or o.outcome is Outcome.THROTTLED for o in seen):
        return [unanswered_document(name, seen) for name in job.shares]
    return _by_headers(found, measured.design, probed, job)


def _by_refusals(design: RefusalDesign, probed: Sequence[Observation], job: _Job) -> list[dict[str, Any]]:
    """What refusals tell; `probed` are the observations that `design` asked for."""
    design.finish(probed)
    mix = [refusal_mix(design, job.shares, job.total, job.bounds)] if job.mixed else []
    documents = [refusal_document(design, name, job.total, job.bounds) for name in job.shares] + mix
    unread = unread_header([*design.earlier, *design.seen])
    if unread is not None:
        for document in documents:
            document["signs"] = [_unread(sign, unread) for sign in document["signs"]]
    return documents


def _unread(sign: dict[str, str], unread: str) -> dict[str, str]:
    """The sign that there is no budget header, where there is one that is no number."""
    if sign["kind"] != "no_headers":
        return sign
    return Sign("unread_headers", sign["says"].replace("No budget headers", unread)).document()


def _by_headers(found: Estimate, design: Design, probed: Sequence[Observation], job: _Job) -> list[dict[str, Any]]:
    """What the bucket behind the headers allows, and the signs of a pace that nobody tried or of calls that stood still together."""
    piles_at = piled_rate(found, design.steps, probed)
    bounds = dataclasses.replace(job.bounds, piles_at=piles_at)
    tried = dataclasses.replace(bounds, tried_at=bounds.steady_at if design.sprinted else None)  # by all calls of the job in turn
    mix = [mix_document(found, job.shares, job.total, tried)] if job.mixed else []
    documents = [rate_document(found, name, job.total, bounds if mix else tried) for name in job.shares] + mix
    documents = [told_under_a_ceiling(document, probed, job.total, bounds) for document in documents]
    for document in documents:
        signs = untried(document, bounds.steady_at), stalling(document, piles_at)
        document["signs"] += [sign.document() for sign in signs if sign is not None]
    return documents


def _ended(measured: Measured, probed: Sequence[Observation], instance: Instance) -> Sign | None:
    """Why less was asked than the budget allowed."""
    stopped = measured.stopped
    if stopped is None:
        asking = measured.by_refusals or measured.design
        late = out_of_time(probed, measured.design.budget, asking.longest_s) if asking.cut_short else None
        return ended_early(probed, measured.design.budget) or late
    why = "Interrupted"
    if isinstance(stopped, GuardStop):
        why = f"Stopped by max_requests = {instance.max_requests}"
    elif isinstance(stopped, RunFolderError):
        why = f"Stopped, as {str(stopped).rstrip('.')}"
    return Sign("stopped", f"{why}: the answer rests on {plural(len(probed), 'request')}.")


def _final(document: dict[str, Any]) -> bool:
    """Whether it says by itself why no more was asked: that no call was answered, or every one refused."""
    return document["regime"] == Regime.BLOCKED or any(sign["kind"] in FINAL for sign in document["signs"])
