"""What is exported: the metrics, the schedule behind them, the configuration they follow and how it is read again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Gauge, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder

from probes.config import Instance
from probes.errors import ConfigError
from probes.exporter.newest import Newest
from probes.exporter.rounds import MakeClient, Rounds, Timed, make_client
from probes.exporter.text import Text
from probes.metrics import Metrics
from probes.tokens import redact

if TYPE_CHECKING:
    from probes.exporter.door import Door

Read = Callable[[], list[Instance]]
"""Reads the configuration anew. Raises ConfigError."""


class Exporter:
    """Made and used on one running loop. `read` gives the instances, at the start and at each reload; `door` says who may come in."""

    def __init__(
        self,
        read: Read,
        timed: Iterable[Timed],
        results: Path,
        *,
        make: MakeClient = make_client,
        say: Callable[[str], None] = lambda _: None,
        door: Door | None = None,
    ) -> None:
        self.timed = tuple(timed)
        self.door = door
        self.metrics = Metrics()
        self.rounds = Rounds(self.metrics, self.timed, make, say)
        self._read = read
        self._say = say
        self._text = Text(self.metrics.instruments)
        self._others = registry = CollectorRegistry()
        self._taken = False
        good = Gauge("canvas_probe_config_last_reload_successful", "Whether the newest configuration could be read.", registry=registry)
        good.set_function(lambda: float(self._taken and (door is None or door.good)))
        self._when = Gauge(
            "canvas_probe_config_last_reload_success_timestamp_seconds", "When a configuration was last taken.", registry=registry
        )
        registry.register(Newest(results, lambda: list(self.rounds.places)))
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=registry)

    def exposed(self, accept: str = "") -> tuple[bytes, str]:
        """Everything with its content type: OpenMetrics where the header `accept` asks for it, else text 0.0.4; also in a thread."""
        encode, content_type = choose_encoder(accept)
        openmetrics = content_type.startswith("application/openmetrics-text")
        return self._text.render(openmetrics=openmetrics) + encode(self._others), content_type

    async def start(self) -> None:
        """Takes the configuration; the first round starts at once. Raises ConfigError."""
        await self._take(self._read())

    async def reload(self) -> str | None:
        """Takes both files anew; a bad one changes nothing but a gauge, and what is wrong with it comes back."""
        wrong = [said for said in (None if self.door is None else self.door.reload(), await self._reread()) if said is not None]
        return " ".join(wrong) or None

    async def _reread(self) -> str | None:
        try:
            instances = self._read()
            await self._take(instances)
        except ConfigError as error:
            self._taken = False
            said = redact(str(error))
            self._say(f"The old configuration is kept. {said}")
            return said
        count = len(instances)
        self._say(f"Configuration read again: {count} instance{'s' * (count != 1)}.")
        return None

    async def _take(self, instances: list[Instance]) -> None:
        await self.rounds.configure(instances)
        self._text.render()  # the first is dear; no scrape shall wait for it
        self._taken = True
        self._when.set(time.time())

    async def close(self) -> None:
        """Ends the schedule."""
        await self.rounds.close()
