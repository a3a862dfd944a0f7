"""A run for Prometheus: OpenMetrics with timestamps (`promtool tsdb create-blocks-from openmetrics`), a textfile, the Pushgateway.

Order of merit: with timestamps a run stands in the database where it happened; a textfile or a push only says what the newest run found.
Sources: OpenMetrics 1.0; node_exporter's textfile collector, which takes no timestamps; Pushgateway's README on grouping keys.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from probes.buckets import contradicted
from probes.errors import ProbesError, UsageError
from probes.instants import seconds_of
from probes.report import facts
from probes.report.aggregate import OUTCOMES, Aggregate
from probes.report.families import Family, Sample, family_lines, last_of
from probes.report.queues import Labels, labelled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from probes.report.material import Material

STEP_S = 15.0
"""As if the run had been scraped so often."""
MOST_STEPS = 240
EDGES_S = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
"""Bucket edges, one of them on the objective of 2 s."""
MOST_CALLS = 200
JOB = "canvas_probes"
TIMEOUT_S = 10.0


def openmetrics(material: Material) -> str:
    """The run as OpenMetrics text with timestamps. Raises ProbesError when it is not known when the run started."""
    lines = [line for family in families(material) for line in family_lines(family, timed=True)]
    return "\n".join([*lines, "# EOF"]) + "\n"


def textfile(material: Material, instance: str | None = None) -> str:
    """The last state for node_exporter's textfile collector or the Pushgateway: no timestamps; of one instance where it is named."""
    lines: list[str] = []
    for family in families(material):
        last = tuple(last_of(sample for sample in family.samples if instance is None or ("canvas_instance", instance) in sample.labels))
        if last:
            lines += family_lines(Family(family.name, family.kind, family.help, last), timed=False)
    return "\n".join(lines) + "\n"


def push(material: Material, url: str) -> list[str]:
    """Puts each instance's last state into the Pushgateway at `url`, under job and instance: a later run replaces it. Groups' addresses.

    Raises UsageError for an address that is none, ProbesError when the Pushgateway does not take it.
    """
    from urllib.error import HTTPError, URLError
    from urllib.request import Request, urlopen

    check_address(url)
    pushed = []
    for name in material.aggregate.instances.words:
        group = f"{url.rstrip('/')}/metrics/job/{JOB}/{_grouping('canvas_instance', name)}"
        head = {"Content-Type": "text/plain; version=0.0.4"}
        request = Request(group, textfile(material, name).encode(), head, method="PUT")  # noqa: S310 # its scheme was looked at
        try:
            with urlopen(request, timeout=TIMEOUT_S):  # noqa: S310
                pushed.append(group)
        except HTTPError as error:
            reason = " ".join(error.read(300).decode("utf-8", "replace").split())
            raise ProbesError(f"The Pushgateway at {url} did not take the metrics of {name}: {error.code} {reason}") from None
        except (URLError, OSError, ValueError) as error:
            raise ProbesError(f"The Pushgateway at {url} cannot be reached: {getattr(error, 'reason', error)}.") from None
    return pushed


def check_address(url: str) -> None:
    """Raises UsageError when `url` is not the address of a Pushgateway."""
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"'{url}' is not the address of a Pushgateway: write it as http://127.0.0.1:9091.")


def families(material: Material) -> list[Family]:
    """Every family of the run that has samples."""
    start_s = _start_s(material)
    made = [*_over_time(material.aggregate, start_s), *_at_the_end(material, start_s + (material.document["seconds"] or 0.0))]
    return [family for family in made if family.samples]


def _start_s(material: Material) -> float:
    started_s = seconds_of(material.run.started_at)
    if started_s is None:
        raise ProbesError(f"{material.run.folder} does not say when it started: its metrics cannot be placed in time.")
    return started_s


def _steps(aggregate: Aggregate) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(when each request ended, the instants of the scrapes), seconds since the run's start.

    The first is at 0, so that counters show their whole rise. A request without an answer ended when it was sent.
    """
    sent, due = aggregate.number("sent_s"), aggregate.number("due_s")
    ended = aggregate.number("received_s")
    for fallback in (sent, due):
        ended = np.where(np.isfinite(ended), ended, fallback)
    ended = np.nan_to_num(ended, nan=0.0)
    last = float(ended.max()) if len(ended) else 0.0
    step = STEP_S * max(1, math.ceil(last / STEP_S / MOST_STEPS))
    return ended, np.append(np.arange(math.floor(last / step) + 1) * step, last + 1e-3)


def _over_time(aggregate: Aggregate, start_s: float) -> Iterator[Family]:
    """Counters, histograms and the level, as scrapes would have seen them."""
    if not len(aggregate):
        return
    ended, ends = _steps(aggregate)
    requests, levels, times = [], [], []
    for name in aggregate.instances.words:
        mine = aggregate.of(name)
        for scenario in aggregate.scenarios.words:
            asked = mine & aggregate.of(scenario=scenario)
            if not asked.any():
                continue
            for number, outcome in enumerate(OUTCOMES):
                picked = asked & (aggregate.count("outcome") == number)
                if picked.any():
                    labels = (("canvas_instance", name), ("scenario", scenario), ("outcome", outcome))
                    requests += _counted(np.sort(ended[picked]), ends, labels, start_s, "_total")
            times += _histogram(aggregate, asked, ended, ends, (("canvas_instance", name), ("scenario", scenario)), start_s)
        levels += _levels(aggregate, mine, ended, ends, name, start_s)
    yield Family("canvas_probe_requests", "counter", "Requests that were sent, by how they ended.", tuple(requests))
    yield Family(
        "canvas_probe_latency_seconds", "histogram", "From when a call was due to its last byte, of calls answered as asked.", tuple(times)
    )
    yield Family(
        "canvas_probe_quota_remaining_units", "gauge", "The least that an answer since the last scrape said remained.", tuple(levels)
    )


def _counted(ended: NDArray[np.float64], ends: NDArray[np.float64], labels: Labels, start_s: float, suffix: str) -> list[Sample]:
    counts = np.searchsorted(ended, ends, side="right")
    return [Sample(labels, float(count), start_s + float(end), suffix) for count, end in zip(counts, ends, strict=True)]


def _histogram(
    aggregate: Aggregate, asked: NDArray[np.bool_], ended: NDArray[np.float64], ends: NDArray[np.float64], labels: Labels, start_s: float
) -> list[Sample]:
    """One series for each edge, the count and the sum, at every step; a point of time holds a whole histogram."""
    latency = aggregate.latency_s
    good = asked & aggregate.ok & np.isfinite(latency)
    if not good.any():
        return []
    order = np.argsort(ended[good], kind="stable")
    at, values = ended[good][order], latency[good][order]
    sums = np.concatenate([[0.0], np.cumsum(values)])
    found: list[Sample] = []
    for edge in (*EDGES_S, math.inf):
        word = "+Inf" if math.isinf(edge) else str(edge)
        found += _counted(at[values <= edge], ends, (*labels, ("le", word)), start_s, "_bucket")
    found += _counted(at, ends, labels, start_s, "_count")
    found += [
        Sample(labels, float(sums[count]), start_s + float(end), "_sum")
        for count, end in zip(np.searchsorted(at, ends, side="right"), ends, strict=True)
    ]
    return found


def _levels(
    aggregate: Aggregate, mine: NDArray[np.bool_], ended: NDArray[np.float64], ends: NDArray[np.float64], name: str, start_s: float
) -> list[Sample]:
    told = mine & np.isfinite(aggregate.number("remaining"))
    step, levels = np.searchsorted(ends, ended[told], side="left"), aggregate.number("remaining")[told]
    found = []
    for number in np.unique(step):
        least = float(levels[step == number].min())
        found.append(Sample((("canvas_instance", name),), least, start_s + float(ends[min(number, len(ends) - 1)])))
    return found


def _at_the_end(material: Material, end_s: float) -> Iterator[Family]:
    """What the run found, at its end."""
    yield from _rates(material.document, end_s)
    yield from _lists(material.document, end_s)
    yield Family("canvas_probe_findings", "gauge", "Findings of the run by severity.", tuple(_findings(material.document, end_s)))
    names = material.aggregate.instances.words
    when = tuple(Sample((("canvas_instance", name),), end_s, end_s) for name in names)
    yield Family("canvas_probe_last_run_timestamp_seconds", "gauge", "When the newest run ended.", when)
    ended = 1.0 if material.document["ended"] == "done" else 0.0
    well = tuple(Sample((("canvas_instance", name),), ended, end_s) for name in names)
    yield Family("canvas_probe_last_run_success", "gauge", "Whether the newest run ended as planned.", well)


def _rates(document: dict[str, Any], end_s: float) -> Iterator[Family]:
    """Safe rates, buckets, costs."""
    rates = [one for one in document["rates"] if isinstance(one.get("safe"), dict) and not contradicted(one)][:MOST_CALLS]
    yield _intervals(
        "canvas_probe_safe_calls_per_second",
        "Safe call rate of a job from rest; low is the recommended one.",
        ((one, one["safe"].get("rate_per_s")) for one in rates),
        end_s,
    )
    in_flight = [Sample(_of(one), float(one["safe"]["in_flight"]), end_s) for one in rates if isinstance(one["safe"].get("in_flight"), int)]
    yield Family("canvas_probe_safe_in_flight_calls", "gauge", "Safe number of calls in flight.", tuple(in_flight))
    buckets = [(one, one["bucket"]) for one in document["rates"][:MOST_CALLS] if isinstance(one.get("bucket"), dict)]
    for key, unit, says in (
        ("high_water_mark", "units", "The mark at which calls are refused."),
        ("outflow_per_s", "units_per_second", "What the bucket leaks."),
        ("up_front_cost", "units", "What a call reserves while it runs."),
    ):
        name = f"canvas_probe_bucket_{key.removesuffix('_per_s')}_{unit}"
        yield _intervals(name, says, ((one, bucket.get(key)) for one, bucket in buckets), end_s)
    yield _intervals(
        "canvas_probe_call_cost_units", "What a call costs.", ((one, one.get("cost")) for one in document["rates"][:MOST_CALLS]), end_s
    )


def _lists(document: dict[str, Any], end_s: float) -> Iterator[Family]:
    """Median times, page sizes, import queues."""
    rows = [row for row in document["latency"] if row["p50_s"] is not None][:MOST_CALLS]
    yield _intervals("canvas_probe_latency_median_seconds", "Median time of a call.", ((row, row["p50_interval"]) for row in rows), end_s)
    yield Family(
        "canvas_probe_page_size_items", "gauge", "Items on a page of a list, by default and at most.", tuple(_page_sizes(document, end_s))
    )
    for gauge, told in labelled(document["queues"]):
        samples = tuple(Sample(labels, number, end_s) for labels, number in told)
        yield Family(f"canvas_probe_run_{gauge.name}", "gauge", gauge.says, samples)


def _of(one: dict[str, Any]) -> Labels:
    return (("canvas_instance", str(one["instance"])), ("call", str(one["call"])))


def _intervals(name: str, says: str, numbers: Iterable[tuple[dict[str, Any], Any]], end_s: float) -> Family:
    """A gauge with the ends of its interval as label `bound`."""
    samples = [
        Sample((*_of(one), ("bound", bound)), float(number[bound]), end_s)
        for one, value in numbers
        if (number := facts.number(value))
        for bound in ("low", "value", "high")
    ]
    return Family(name, "gauge", says, tuple(samples))


def _page_sizes(document: dict[str, Any], end_s: float) -> Iterator[Sample]:
    for row in document["pagination"][:MOST_CALLS]:
        for bound, key in (("default", "default_per_page"), ("max", "max_per_page")):
            if row[key] is not None:
                yield Sample((*_of(row), ("bound", bound)), float(row[key]), end_s)


def _findings(document: dict[str, Any], end_s: float) -> Iterator[Sample]:
    for name in [str(one["name"]) for one in document["instances"]]:
        for severity in facts.SEVERITIES:
            count = sum(one["instance"] == name and one["severity"] == severity for one in document["findings"])
            yield Sample((("canvas_instance", name), ("severity", severity)), float(count), end_s)


def _grouping(key: str, value: str) -> str:
    """A part of a Pushgateway's address; values that a path cannot hold go as base64."""
    if value and "/" not in value:
        return f"{key}/{quote(value, safe='')}"
    return f"{key}@base64/{base64.urlsafe_b64encode(value.encode()).decode() or '='}"
