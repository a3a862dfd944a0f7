"""What `/probe` answers: one round in metrics of its own, which are made once for each instance and scenario and emptied between rounds.

Making them anew for each scrape, as other exporters do, took four times as long as the round itself.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from prometheus_client import Gauge

from probes.config import Instance
from probes.exporter.rounds import Ended
from probes.exporter.text import Text
from probes.metrics import Metrics
from probes.scenarios import Scenario


class Probed:
    """Metrics of one round of `scenario` at `instance`. Nothing is awaited between filling and telling them, so that one may serve all."""

    def __init__(self, instance: Instance, scenario: Scenario) -> None:
        self.instance = instance
        self.scenario = scenario
        self._metrics = metrics = Metrics()
        metrics.create(instance, scenario.name)
        metrics.keep()
        self._success = Gauge("probe_success", "Whether the probe had no failure.", registry=metrics.registry)
        self._duration = Gauge("probe_duration_seconds", "How long the probe took.", registry=metrics.registry)
        self._text = Text([*metrics.instruments, self._success, self._duration])

    def told(self, ended: Ended, *, openmetrics: bool) -> bytes:
        """The round as text."""
        metrics, who = self._metrics, (self.instance.name, self.scenario.name)
        metrics.empty()
        for observation in ended.observations:
            metrics.observe(observation)
        good = metrics.conclude(*who, ended.observations, ended.took_s, time.time()) and ended.cut is None
        metrics.success.labels(*who).set(float(good))
        self._success.set(float(good))
        self._duration.set(ended.took_s)
        return self._text.render(openmetrics=openmetrics) + (b"# EOF\n" if openmetrics else b"")


@dataclass(slots=True)
class Probes:
    """One Probed for each instance and scenario that was ever asked for; an instance that was configured anew gets a new one."""

    known: dict[tuple[str, str], Probed] = field(default_factory=dict)

    def of(self, instance: Instance, scenario: Scenario) -> Probed:
        """The one for this instance and scenario."""
        key = instance.name, scenario.name
        probed = self.known.get(key)
        if probed is None or probed.instance is not instance:
            probed = self.known[key] = Probed(instance, scenario)
        return probed
