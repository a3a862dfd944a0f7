"""What can be told under a ceiling that lets no two calls overlap: the bucket stays unknown, but the ceiling itself may be safe."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from probes.bounds import Bounds
from probes.observation import Observation, Outcome
from probes.safety import BoundBy, Safe
from probes.signatures import Sign
from probes.stats import Interval

ENOUGH_CALLS = 20
SAME = 1e-3
"""Remaining that differs by no more, in units, is one level."""


def told_under_a_ceiling(document: dict[str, Any], seen: Sequence[Observation], job: int, bounds: Bounds) -> dict[str, Any]:
    """The entry, with what is safe under the ceiling where the bucket could not be told for it; `seen` are all calls that were made.

    Where calls made alone leave Remaining at one level, each has drained before the next: for any number of such calls it stays so.
    """
    safe = None if document["safe"] is not None or not _unknown(document) else _safe(document["call"], seen, job, bounds)
    if safe is None:
        return document
    kept = [sign for sign in document["signs"] if sign["kind"] != "no_overlap"]
    return {**document, "safe": safe.document(), "signs": [*kept, _sign(len(seen), bounds).document()]}


def _unknown(document: dict[str, Any]) -> bool:
    """Whether nothing but calls that overlap is missing."""
    return [sign["kind"] for sign in document["signs"] if sign["kind"] != "no_server_time"] == ["no_overlap"]


def _safe(call: str, seen: Sequence[Observation], job: int, bounds: Bounds) -> Safe | None:
    """By the times of the call's own answers, or of all where the entry is for several calls."""
    mine = [o for o in seen if o.call == call] or seen
    flights = [o.flight_s for o in mine if o.ok and o.flight_s is not None]
    if len(seen) < ENOUGH_CALLS or not flights or not _rested(seen):
        return None
    flight = sum(flights) / len(flights)
    rate = min(bounds.max_rate or math.inf, (bounds.max_in_flight or math.inf) / flight)
    if not math.isfinite(rate) or rate > 1.0 / flight * (1.0 + SAME):
        return None  # so fast calls would overlap, which these did not
    return Safe(Interval.exactly(rate, len(seen)), min(1, bounds.workers(1, flight)), 1, BoundBy.CEILING, job)


def _rested(seen: Sequence[Observation]) -> bool:
    """Whether all calls but a refusal's passed one after another, and each left the bucket as it was."""
    levels = [o.remaining for o in seen if o.remaining is not None]
    alone = all((a.received_s or math.inf) <= (b.sent_s or 0.0) for a, b in pairwise(seen))
    refused = any(o.outcome is Outcome.THROTTLED for o in seen)
    return alone and not refused and len(levels) == len(seen) and max(levels) - min(levels) <= SAME


def _sign(n: int, bounds: Bounds) -> Sign:
    ceiling = f"max_in_flight = {bounds.max_in_flight}" if bounds.max_in_flight == 1 else f"max_rate = {bounds.max_rate or 0.0:g}"
    said = f"Under {ceiling} no two of {n} calls overlapped, and each had drained before the next: that pace lasts. What is safe beyond it"
    return Sign("under_ceiling", f"{said} is not known, nor what a call reserves.")
