"""How long SIS imports wait: what stands in the queue and what those before it met; from observations of scenario `queue`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from probes.observation import Observation
from probes.stats import median

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Gauge:
    """A number of a queue for Prometheus: `canvas_probe_` + name, or `canvas_probe_run_` + name where it comes from a run folder.

    `label` tells its values apart; None where there is one.
    """

    name: str
    says: str
    label: str | None


GAUGES = (
    Gauge("queue_imports", "SIS imports in the queue, by state.", "state"),
    Gauge("queue_oldest_wait_seconds", "How long the oldest import in the queue has waited by now; 0 when none waits.", None),
    Gauge("queue_wait_seconds", "How long past imports waited before they began.", "statistic"),
    Gauge("queue_run_seconds", "How long past imports ran.", "statistic"),
)


def rows(seen: Iterable[tuple[int, Observation]]) -> list[dict[str, Any]]:
    """`queues` of `probes.report/1`: each instance's newest look at its list of imports; times in seconds, null where none is known."""
    newest: dict[str, dict[str, Any]] = {}
    for line, one in seen:
        if one.scenario == "queue" and one.ok and "waits_s" in one.facts:
            where = {"instance": one.instance, "scenario": "queue"}
            source = {"where": where, "lines": [line, line], "n": 1}
            newest[one.instance] = {"instance": one.instance, **told(one.facts), "source": source}
    return list(newest.values())


def told(noted: Mapping[str, Any]) -> dict[str, Any]:
    """What scenario `queue` noted of the imports, as numbers."""
    waits, runs = _seconds(noted.get("waits_s")), _seconds(noted.get("runs_s"))
    running = int(noted.get("running") or 0)
    waiting = (noted.get("queue") or ())[running:]  # those at work stand first
    ages = [one[2] for one in waiting if one[2] is not None]
    return {
        "waiting": int(noted.get("waiting") or 0),
        "running": running,
        "oldest_wait_s": float(max(ages, default=0.0)),
        "median_wait_s": median(waits) if waits else None,
        "max_wait_s": max(waits, default=None),
        "median_run_s": median(runs) if runs else None,
        "max_run_s": max(runs, default=None),
        "n": len(waits),
    }


def gauges(row: Mapping[str, Any]) -> Iterator[tuple[Gauge, str | None, float]]:
    """(gauge, value of its label, number) of all that a row knows."""
    imports, oldest, waits, runs = GAUGES
    values = (
        (imports, "waiting", row.get("waiting")),
        (imports, "running", row.get("running")),
        (oldest, None, row.get("oldest_wait_s")),
        *((waits, name, row.get(f"{name}_wait_s")) for name in ("median", "max")),
        *((runs, name, row.get(f"{name}_run_s")) for name in ("median", "max")),
    )
    yield from ((gauge, label, float(number)) for gauge, label, number in values if number is not None and is_number(number))


def labelled(queues: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Gauge, list[tuple[Labels, float]]]]:
    """Each gauge with all that the rows say of it, `canvas_instance` among the labels."""
    known = [(str(row["instance"]), *one) for row in queues for one in gauges(row)]
    for gauge in GAUGES:
        mine = [(name, label, number) for name, one, label, number in known if one is gauge]
        yield gauge, [((("canvas_instance", name), *_label(gauge, label)), number) for name, label, number in mine]


def _label(gauge: Gauge, value: str | None) -> Labels:
    return () if gauge.label is None or value is None else ((gauge.label, value),)


def _seconds(values: Any) -> Sequence[float]:
    return [float(value) for value in values or () if is_number(value)]


def is_number(value: Any) -> bool:
    """Whether JSON told a number there."""
    return isinstance(value, int | float) and not isinstance(value, bool)
