"""How long calls took: percentiles with intervals by order statistics, phases on cold and warm connections; each with its observations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from probes.observation import Outcome
from probes.report.aggregate import Aggregate
from probes.stats import quantile, short

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Indices = NDArray[np.intp]

BEST_SOURCES = ("latency", "compare", "timeouts", "diagnose", "endpoints", "rate", "throttling", "confirm", "load")
"""Where a call's latency is read first: calls made one at a time tell it best, calls under load worst."""
PHASES = ("pool_s", "connect_s", "tls_s", "send_s", "wait_s", "receive_s")
LEAST_COLD = 3


def rows(aggregate: Aggregate) -> list[dict[str, Any]]:
    """`latency` of `probes.report/1`: a row for each instance and call, from the scenario that tells it best; null where n cannot carry it.

    Beside the contract's fields: the intervals, the scenario, how many failed or were refused, and which observations it was read from.
    """
    best: dict[tuple[str, str], tuple[int, str, Indices]] = {}
    for instance, scenario, call, indices in aggregate.groups():
        rank = BEST_SOURCES.index(scenario) if scenario in BEST_SOURCES else len(BEST_SOURCES)
        found = best.get((instance, call))
        if found is None or rank < found[0]:
            best[instance, call] = (rank, scenario, indices)
    return [_row(aggregate, instance, call, scenario, indices) for (instance, call), (_, scenario, indices) in best.items()]


def timed(aggregate: Aggregate, indices: Indices) -> Indices:
    """Those of `indices` that were answered as asked on a warm connection."""
    good = aggregate.ok[indices] & (aggregate.count("cold")[indices] != 1) & np.isfinite(aggregate.latency_s[indices])
    found: Indices = indices[good]
    return found


def _row(aggregate: Aggregate, instance: str, call: str, scenario: str, indices: Indices) -> dict[str, Any]:
    warm = timed(aggregate, indices)
    order = warm[np.argsort(aggregate.latency_s[warm], kind="stable")]
    values = aggregate.latency_s[order].tolist()
    refused = int(np.count_nonzero(aggregate.throttled[indices]))
    failed = int(np.count_nonzero(~aggregate.ok[indices])) - refused
    row: dict[str, Any] = {"instance": instance, "call": call}
    for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        found = quantile(values, share)
        row[f"{name}_s"] = None if found is None else short(found.value)
        row[f"{name}_interval"] = None if found is None else found.document()
    row.update(n=len(values), scenario=scenario, failed=failed, refused=refused)
    row["source"] = {
        "where": {"instance": instance, "scenario": scenario, "call": call, "outcome": Outcome.OK.value, "cold": False},
        "lines": aggregate.span(warm),
        "n": len(values),
        "median_line": int(aggregate.count("line")[order[(len(order) - 1) // 2]]) if len(order) else None,
    }
    return row


def phases(aggregate: Aggregate) -> list[dict[str, Any]]:
    """Medians of each phase, for each instance on cold and on warm connections: calls of scenarios that ask one at a time."""
    found = []
    for instance in aggregate.instances.words:
        mine = aggregate.of(instance) & aggregate.ok & np.isfinite(aggregate.number("wait_s"))
        alone = np.zeros(len(aggregate), dtype=bool)
        for scenario in ("latency", "compare", "reach", "diagnose"):
            alone |= aggregate.of(scenario=scenario)
        for connection, mask in (("cold", aggregate.count("reused") == 0), ("warm", aggregate.count("reused") == 1)):
            indices = np.flatnonzero(mine & alone & mask)
            if len(indices) >= LEAST_COLD:
                found.append(_phase_row(aggregate, instance, connection, indices))
    return found


def _phase_row(aggregate: Aggregate, instance: str, connection: str, indices: Indices) -> dict[str, Any]:
    row: dict[str, Any] = {"instance": instance, "connection": connection, "n": len(indices)}
    for phase in PHASES:
        values = aggregate.number(phase)[indices]
        seen = values[np.isfinite(values)]
        row[phase] = short(float(np.median(seen))) if len(seen) else None
    row["source"] = {
        "where": {"instance": instance, "outcome": "ok", "reused": connection == "warm"},
        "lines": aggregate.span(indices),
        "n": len(indices),
    }
    return row
