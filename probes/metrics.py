"""Observations as Prometheus metrics: one registry, counters and classic histograms, every closed set of labels of a count there at once.

The configured instance is the label `canvas_instance` (Prometheus keeps `instance` for itself); `call` is a method and a path template,
never a URL with ids. Names and units are those of `probes.report.openmetrics`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.metrics import MetricWrapperBase

from probes import __version__
from probes.calls import without_ids
from probes.dialects import dialect
from probes.observation import Observation, Outcome
from probes.report.openmetrics import EDGES_S
from probes.report.queues import GAUGES, gauges, told

if TYPE_CHECKING:
    from probes.config import Instance

disable_created_metrics()  # type: ignore[no-untyped-call] # a second series for each that no rule here reads

MOST_CALLS = 200
"""Call names of one instance; later ones are counted together as `other`, so that ids in a shape we do not know cannot flood a server."""
OTHER = "other"
MOST_SPARE = 2000
"""Series kept for being put back."""
BOUNDED = ("canvas_instance", "call", "bound")
REFUSALS = ("throttled_429", "throttled_403", "throttled_other", "unauthorized", "forbidden", "no_user_agent", "maintenance")
"""Refusals by kind: the throttle's by its status (429 since October 2025, 403 before), then who may not ask, then nobody may."""
PHASES = {
    "pool": "pool_s",
    "connect": "connect_s",
    "tls": "tls_s",
    "send": "send_s",
    "wait": "wait_s",
    "receive": "receive_s",
    "server": "server_time_s",
    "server_queue": "queue_s",
    "server_cpu": "cpu_s",
    "server_db": "db_s",
}
"""Where time goes: ours, the network's, and what the server itself says of it."""
FAILED = frozenset(Outcome) - {Outcome.OK, Outcome.THROTTLED, Outcome.CANCELLED}
"""Outcomes that make a round a failure; throttling is an indicator of its own, and what we cancelled says nothing."""

LONGEST_WORD = 47
"""A longer segment of a path is taken for an id, whatever its shape."""


@lru_cache(maxsize=4096)
def template(method: str, path: str) -> str:
    """The call's name as a label: ids become `:id`, the query goes: `GET /courses/7/users?page=2` -> `GET /courses/:id/users`."""
    return f"{method} {without_ids(path.partition('?')[0].partition('#')[0], LONGEST_WORD)}"


def template_of(call: str) -> str:
    """As `template`, of a call as observations name it."""
    method, _, path = call.partition(" ")
    return template(method, path) if path.startswith("/") else call


def refusal(observation: Observation) -> str | None:
    """The kind of refusal, one of REFUSALS; None when it was none."""
    if observation.outcome is Outcome.THROTTLED:
        return f"throttled_{observation.status}" if observation.status in (403, 429) else "throttled_other"
    return observation.outcome.value if observation.outcome.value in REFUSALS else None


class Metrics:
    """The instruments over one registry; `/probe` makes a fresh one for each answer."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        who, asked = ("canvas_instance", "scenario"), ("canvas_instance", "scenario", "call")

        def counter(name: str, says: str, labels: Sequence[str] = who) -> Counter:
            return Counter(f"canvas_probe_{name}", says, labels, registry=registry)

        def gauge(name: str, says: str, labels: Sequence[str] = ("canvas_instance",)) -> Gauge:
            return Gauge(f"canvas_probe_{name}", says, labels, registry=registry)

        self.requests = counter("requests", "Requests that were sent, by how they ended.", (*asked, "outcome"))
        self.latency = Histogram(
            "canvas_probe_latency_seconds",
            "From when a call was due to its last byte, of calls answered as asked.",
            asked,
            buckets=EDGES_S,
            registry=registry,
        )
        self.refusals = counter("refusals", "Requests that were refused, by kind.", (*who, "kind"))
        self.cost = counter("cost_units", "Cost that answers told, in the server's own units.", asked)
        self.priced = counter("priced_requests", "Answers that told their cost: what to divide the cost by.", asked)
        self.phases = counter("phase_seconds", "Where the time of requests went; server_* is the server's own account.", (*who, "phase"))
        self.connections = counter("connections", "Requests by whether their connection was used before.", ("canvas_instance", "reused"))
        self.remaining = gauge("quota_remaining_units", "The least that an answer of the newest round said remained.")
        self.limit = gauge("quota_limit_units", "The whole budget, where the server tells it.")
        self.reset = gauge("quota_reset_seconds", "Seconds until the budget is full again, where the server tells it.")
        self.retry_after = gauge("retry_after_seconds", "The wait that the newest refusal asked for.")
        self.certificate = gauge("certificate_remaining_seconds", "Until the server's certificate ends.")
        self.pages = gauge(
            "round_page_size_items", "Items on a page of a list, by default and at most, in the newest round that looked.", BOUNDED
        )
        self.queues = [gauge(one.name, one.says, ("canvas_instance", *filter(None, [one.label]))) for one in GAUGES]
        self.info = gauge("instance_info", "What the instance is.", ("canvas_instance", "kind", "dialect"))
        self.rounds = counter("rounds", "Rounds that ended.")
        self.failures = counter("round_failures", "Rounds in which a request failed or none was sent; throttling is no failure.")
        self.missed = counter("rounds_missed", "Rounds that were left out because the one before still ran.")
        self.success = gauge("success", "Whether the newest round had no failure.", who)
        self.duration = gauge("duration_seconds", "How long the newest round took.", who)
        self.ended = gauge("last_round_timestamp_seconds", "When the newest round ended.", who)
        self.build = gauge("build_info", "The version of the exporter.", ("version",))
        self.build.labels(__version__).set(1)
        made = (one for value in vars(self).values() for one in (value if isinstance(value, list) else [value]))
        self.instruments = [one for one in made if isinstance(one, MetricWrapperBase)]
        self._calls: dict[str, set[str]] = {}
        self._series: dict[str, dict[tuple[Any, ...], Any]] = {}
        self._kept: set[tuple[Any, ...]] = set()
        self._kept_calls: dict[str, set[str]] = {}
        self._numbers: list[Any] = []
        self._spare: dict[tuple[Any, ...], Any] = {}

    def create(self, instance: Instance, scenario: str) -> None:
        """The counts of a scenario at an instance whose label values are known beforehand, at 0: so many there were.

        Sums of what is measured (times, costs) are there from their first measurement on: 0 seconds would be an answer.
        """
        name = instance.name
        self._labels(self.info, name, instance.kind.value, instance.dialect).set(1)
        for counter in (self.rounds, self.failures, self.missed):
            self._labels(counter, name, scenario)
        for kind in REFUSALS:
            self._labels(self.refusals, name, scenario, kind)
        for reused in ("true", "false"):
            self._labels(self.connections, name, reused)
        for call in known_calls(instance, scenario):
            self._call(name, scenario, call)

    def observe(self, observation: Observation) -> None:
        """Counts one request."""
        name, scenario = observation.instance, observation.scenario
        call = self._call(name, scenario, template(observation.method, observation.path))
        self._labels(self.requests, name, scenario, call, observation.outcome.value).inc()
        if observation.ok and observation.latency_s is not None:
            self._labels(self.latency, name, scenario, call).observe(max(0.0, observation.latency_s))
        kind = refusal(observation)
        if kind is not None:
            self._labels(self.refusals, name, scenario, kind).inc()
        if observation.cost is not None:
            self._labels(self.cost, name, scenario, call).inc(max(0.0, observation.cost))
            self._labels(self.priced, name, scenario, call).inc()
        self._spend(observation)

    def conclude(self, instance: str, scenario: str, observations: Sequence[Observation], took_s: float, now_s: float) -> bool:
        """A round has ended, `now_s` seconds after 1970; whether it had no failure."""
        good = any(o.outcome is not Outcome.CANCELLED for o in observations) and not any(o.outcome in FAILED for o in observations)
        self._labels(self.rounds, instance, scenario).inc()
        self._labels(self.failures, instance, scenario).inc(0 if good else 1)
        self._labels(self.success, instance, scenario).set(float(good))
        self._labels(self.duration, instance, scenario).set(took_s)
        self._labels(self.ended, instance, scenario).set(now_s)
        self._levels(instance, observations)
        return good

    def forget(self, instance: str) -> None:
        """Takes away all series of an instance that is no longer configured."""
        self._calls.pop(instance, None)
        for metric, *labels in self._series.pop(instance, {}):
            metric.remove(*labels)

    def keep(self) -> None:
        """The series that are there now stay when it is emptied."""
        kept = {key: child for series in self._series.values() for key, child in series.items()}
        self._kept = set(kept)
        self._kept_calls = {name: set(calls) for name, calls in self._calls.items()}
        self._numbers = [number for (metric, *_), child in kept.items() if not isinstance(metric, Gauge) for number in _numbers(child)]

    def empty(self) -> None:
        """As after `keep`: counters and histograms of then at 0, other series gone."""
        for series in self._series.values():
            for key in series.keys() - self._kept:
                metric, *labels = key
                metric.remove(*labels)
                child = series.pop(key)
                if len(self._spare) < MOST_SPARE:
                    self._spare[key] = child
        for number in self._numbers:
            if number.get():
                number.set(0.0)
        self._calls = {name: set(calls) for name, calls in self._kept_calls.items()}

    def _labels(self, metric: Any, *labels: str) -> Any:
        """The child with these labels, kept so that it is found quickly (`labels()` takes ten times as long) and can be forgotten."""
        series = self._series.setdefault(labels[0], {})
        child = series.get((metric, *labels))
        if child is None:
            child = series[metric, *labels] = self._spared(metric, labels) or metric.labels(*labels)
        return child

    def _spared(self, metric: Any, labels: tuple[str, ...]) -> Any:
        """A series that was taken away, put back at 0: making one anew takes as long as an observation."""
        child = self._spare.pop((metric, *labels), None)
        if child is not None:
            for number in _numbers(child):
                number.set(0.0)
            metric._metrics[labels] = child  # noqa: SLF001
        return child

    def _call(self, name: str, scenario: str, call: str) -> str:
        """The label of a call; at first sight its series are made, all outcomes at 0."""
        calls = self._calls.setdefault(name, set())
        key = f"{scenario} {call}"
        if key in calls:
            return call
        if len(calls) >= MOST_CALLS:
            call, key = OTHER, f"{scenario} {OTHER}"
        calls.add(key)
        for outcome in Outcome:
            self._labels(self.requests, name, scenario, call, outcome.value)
        return call

    def _spend(self, observation: Observation) -> None:
        for phase, field in PHASES.items():
            spent = getattr(observation, field)
            if spent is not None:
                self._labels(self.phases, observation.instance, observation.scenario, phase).inc(max(0.0, spent))
        if observation.reused is not None:
            self._labels(self.connections, observation.instance, "true" if observation.reused else "false").inc()

    def _levels(self, name: str, observations: Sequence[Observation]) -> None:
        told = [o.remaining for o in observations if o.remaining is not None]
        self._set(self.remaining, name, [min(told)] if told else [])
        self._set(self.limit, name, (o.limit for o in observations))
        self._set(self.reset, name, (o.reset_s for o in observations))
        self._set(self.retry_after, name, (o.retry_after_s for o in observations))
        self._set(self.certificate, name, (_seconds(o.facts) for o in observations))
        for observation in observations:
            if "waits_s" in observation.facts:
                self._queue(name, observation.facts)
        if any("per_page" in o.facts for o in observations):
            self._paging(observations)

    def _queue(self, name: str, noted: Mapping[str, Any]) -> None:
        """What scenario `queue` noted of the imports: how many stand there and how long, and what those before them met."""
        for one, label, number in gauges(told(noted)):
            self._labels(self.queues[GAUGES.index(one)], name, *filter(None, [label])).set(number)

    def _paging(self, observations: Sequence[Observation]) -> None:
        """What scenario `pagination` saw, told as the report tells it."""
        from probes.report.paging import rows

        for row in rows(enumerate(observations)):
            call = template_of(row["call"])
            for bound, key in (("default", "default_per_page"), ("max", "max_per_page")):
                if row[key] is not None:
                    self._labels(self.pages, row["instance"], call, bound).set(row[key])

    def _set(self, gauge: Gauge, name: str, values: Iterable[float | None]) -> None:
        """The last value that is one; a gauge without any stays as it was."""
        known = [value for value in values if value is not None]
        if known:
            self._labels(gauge, name).set(known[-1])


def known_calls(instance: Instance, scenario: str) -> list[str]:
    """Names of the calls that a scenario is known to make beforehand."""
    spoken = dialect(instance.dialect)
    paths = {"reach": (spoken.health_path, spoken.self_path), "latency": (spoken.self_path,), "throttling": (spoken.self_path,)}
    return [template("GET", path) for path in paths.get(scenario, ()) if path is not None]


def _numbers(child: Any) -> list[Any]:
    """The values behind a series. prometheus_client's own `reset` makes them anew, which takes ten times as long."""
    return [*child._buckets, child._sum] if hasattr(child, "_buckets") else [child._value]  # noqa: SLF001


def _seconds(facts: Mapping[str, Any]) -> float | None:
    days = facts.get("certificate_days")
    return None if days is None else float(days) * 86400.0
