"""What the newest runs in the results folder found: safe rates with their bounds, buckets, costs, page sizes.

Each instance's numbers come from the newest run that has any of its kind. Names are those of `probes.report.openmetrics`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from probes.instants import seconds_of
from probes.metrics import MOST_CALLS, template_of
from probes.report import facts
from probes.report.queues import is_number, labelled
from probes.runs import MANIFEST

if TYPE_CHECKING:
    from prometheus_client import Metric

MOST_RUNS = 60
"""How far back it looks."""
ASKED = ("canvas_instance", "call")
BOUNDED = (*ASKED, "bound")
BUCKET = {
    "high_water_mark": ("canvas_probe_bucket_high_water_mark_units", "The mark at which calls are refused."),
    "outflow_per_s": ("canvas_probe_bucket_outflow_units_per_second", "What the bucket leaks."),
    "up_front_cost": ("canvas_probe_bucket_up_front_cost_units", "What a call reserves while it runs."),
}
Entries = dict[tuple[str, str], dict[str, Any]]


@dataclass(slots=True)
class Found:
    """By (instance, call): `rates` entries, `pagination` and `latency` rows; by instance: `queues` rows, severities, end, success."""

    rates: Entries = field(default_factory=dict)
    pages: Entries = field(default_factory=dict)
    latency: Entries = field(default_factory=dict)
    queues: dict[str, dict[str, Any]] = field(default_factory=dict)
    findings: dict[str, list[str]] = field(default_factory=dict)
    runs: dict[str, tuple[float, bool]] = field(default_factory=dict)


class Newest(Collector):
    """A collector over a results folder; a run that was read is read again only when it changed."""

    def __init__(self, results: Path, names: Callable[[], Collection[str]]) -> None:
        self._results = results
        self._names = names
        self._read: dict[Path, tuple[tuple[int, int], dict[str, Any]]] = {}

    def collect(self) -> Iterator[Metric]:
        """The gauges."""
        found = self.found()
        yield from _rates(found.rates)
        yield _family(
            "canvas_probe_page_size_items", "Items on a page of a list, by default and at most.", BOUNDED, _page_sizes(found.pages)
        )
        yield _family(
            "canvas_probe_latency_median_seconds",
            "Median time of a call.",
            BOUNDED,
            _intervals((key, row.get("p50_interval")) for key, row in found.latency.items()),
        )
        for gauge, told in labelled(found.queues.values()):
            labels = ("canvas_instance", *filter(None, [gauge.label]))
            yield _family(f"canvas_probe_run_{gauge.name}", gauge.says, labels, [(tuple(v for _, v in one), n) for one, n in told])
        yield _family(
            "canvas_probe_findings", "Findings of the newest run by severity.", ("canvas_instance", "severity"), _severities(found.findings)
        )
        when = [((name,), at_s) for name, (at_s, _) in found.runs.items()]
        yield _family("canvas_probe_last_run_timestamp_seconds", "When the newest run ended.", ("canvas_instance",), when)
        well = [((name,), float(good)) for name, (_, good) in found.runs.items()]
        yield _family("canvas_probe_last_run_success", "Whether the newest run ended as planned.", ("canvas_instance",), well)

    def found(self) -> Found:
        """What the runs say of the configured instances, the newest first."""
        found, names = Found(), self._names()
        folders = self._folders()
        self._read = {folder: self._read[folder] for folder in folders if folder in self._read}
        for folder in folders:
            run = self._run(folder)
            _add(found.rates, facts.rates(run), names)
            _add(found.pages, facts.entries(run, "pagination", "instance", "call"), names)
            _add(found.latency, (one for one in facts.entries(run, "latency", "instance", "call") if one.get("p50_interval")), names)
            for row in facts.entries(run, "queues", "instance"):
                if row["instance"] in names:
                    found.queues.setdefault(str(row["instance"]), row)
            for name in {str(one["name"]) for one in facts.entries(run, "instances", "name")} & set(names):
                if (at_s := seconds_of(run.get("ended_at"))) is not None:
                    if name not in found.runs:
                        found.findings[name] = [one["severity"] for one in facts.findings(run) if one["instance"] == name]
                    found.runs.setdefault(name, (at_s, run.get("ended") == "done"))
        return found

    def _folders(self) -> list[Path]:
        try:
            folders = [path.parent for path in self._results.glob(f"*/{MANIFEST}")]
        except OSError:
            return []
        return sorted(folders, key=lambda folder: folder.name, reverse=True)[:MOST_RUNS]

    def _run(self, folder: Path) -> dict[str, Any]:
        """The manifest, with what its report adds; empty where it cannot be read."""
        manifest, made = folder / MANIFEST, folder / "report.json"
        changed = _changed_ns(manifest), _changed_ns(made)
        if changed not in self._read.get(folder, ()):
            report = _document(made)
            told: dict[str, Any] = {name: report[name] for name in ("pagination", "latency", "queues", "findings") if name in report}
            self._read[folder] = changed, {**_document(manifest), **told}
        return self._read[folder][1]


def _changed_ns(path: Path) -> int:
    """When it was written; 0 when it is not there."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _add(known: Entries, entries: Iterable[dict[str, Any]], names: Collection[str]) -> None:
    """Keeps what a newer run did not say already."""
    for entry in entries:
        key = str(entry["instance"]), template_of(str(entry["call"]))
        if key[0] in names and len(known) < MOST_CALLS * len(names):
            known.setdefault(key, entry)


def _family(name: str, says: str, labels: tuple[str, ...], samples: Iterable[tuple[tuple[str, ...], float]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, says, labels=labels)
    for values, number in samples:
        family.add_metric(values, number)
    return family


def _rates(rates: Entries) -> Iterator[Metric]:
    safe = {key: entry["safe"] for key, entry in rates.items() if isinstance(entry.get("safe"), dict)}
    yield _family(
        "canvas_probe_safe_calls_per_second",
        "Safe call rate of a job from rest; low is the recommended one.",
        BOUNDED,
        _intervals((key, one.get("rate_per_s")) for key, one in safe.items()),
    )
    for field_name, name, says in (
        ("in_flight", "canvas_probe_safe_in_flight_calls", "Safe number of calls in flight."),
        ("burst", "canvas_probe_safe_burst_calls", "Calls that may be sent at one instant from rest."),
    ):
        yield _family(name, says, ASKED, [(key, float(one[field_name])) for key, one in safe.items() if is_number(one.get(field_name))])
    bound = [((*key, str(one["bound_by"])), 1.0) for key, one in safe.items() if one.get("bound_by")]
    yield _family("canvas_probe_safe_bound_info", "What bounds the safe rate.", (*ASKED, "bound_by"), bound)
    buckets = [(key, entry["bucket"]) for key, entry in rates.items() if isinstance(entry.get("bucket"), dict)]
    for constant, (name, says) in BUCKET.items():
        yield _family(name, says, BOUNDED, _intervals((key, bucket.get(constant)) for key, bucket in buckets))
    yield _family(
        "canvas_probe_call_cost_units", "What a call costs.", BOUNDED, _intervals((key, one.get("cost")) for key, one in rates.items())
    )


def _intervals(numbers: Iterable[tuple[tuple[str, str], Any]]) -> Iterator[tuple[tuple[str, ...], float]]:
    for key, value in numbers:
        number = facts.number(value)
        if number is not None:
            yield from (((*key, bound), float(number[bound])) for bound in ("low", "value", "high"))


def _page_sizes(pages: Entries) -> Iterator[tuple[tuple[str, ...], float]]:
    for key, row in pages.items():
        for bound, field_name in (("default", "default_per_page"), ("max", "max_per_page")):
            if is_number(row.get(field_name)):
                yield (*key, bound), float(row[field_name])


def _severities(findings: Mapping[str, list[str]]) -> Iterator[tuple[tuple[str, ...], float]]:
    for name, severities in findings.items():
        for severity in facts.SEVERITIES:
            yield (name, severity), float(severities.count(severity))
