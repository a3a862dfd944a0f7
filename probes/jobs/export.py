"""`probes export`: serves what the rounds see to Prometheus until stopped."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

from probes.clock import run
from probes.config import Instance, load
from probes.errors import UsageError
from probes.exporter.exporter import Exporter
from probes.exporter.rounds import Timed
from probes.exporter.server import Address, listener, serve
from probes.jobs.session import Settings
from probes.scenarios import scenario

if TYPE_CHECKING:
    from probes.exporter.door import Door

UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
LEAST_S = 0.1
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|)")


def export(
    settings: Settings, names: list[str], listen: str, every: str, scenarios: list[str], results: Path, web_config: Path | None = None
) -> None:
    """Serves until a signal. `scenarios` are names, or NAME=EVERY for an interval of its own; `web_config` is who may come in, and how.

    Raises UsageError, ConfigError, ProbesError for a taken port, KeyboardInterrupt after Ctrl-C.
    """
    address, timed = Address.parse(listen), timetable(scenarios or ["reach"], every)

    def read() -> list[Instance]:
        return list(load(settings.config).pick(names))

    def ready(port: int) -> None:
        schedule = ", ".join(f"{one.scenario.name} every {one.every_s:g} s" for one in timed)
        scheme = "http" if door is None or door.context is None else "https"
        settings.say(f"Asks {schedule}. Metrics: {scheme}://{Address(address.host or '127.0.0.1', port)}/metrics")

    door = _door(web_config, settings)
    with listener(address) as opened:
        run(serve(lambda: Exporter(read, timed, results, say=settings.say, door=door), opened, ready))


def _door(path: Path | None, settings: Settings) -> Door | None:
    if path is None:
        return None
    from probes.exporter.door import Door

    return Door(path, settings.say)


def timetable(words: list[str], every: str) -> list[Timed]:
    """Which scenario is asked how often. Raises UsageError for an unknown one, one that writes, an interval that is none."""
    timed: dict[str, Timed] = {}
    for word in words:
        name, equals, own = word.partition("=")
        asked = scenario(name)
        if asked.writes:
            raise UsageError(f"--scenario {name} writes: an exporter only reads.")
        timed[name] = Timed(asked, seconds(own, f"--scenario {word}") if equals else seconds(every, "--every"))
    return list(timed.values())


def seconds(text: str, option: str) -> float:
    """`15s`, `500ms`, `2m`, `1h`, a number of seconds. Raises UsageError."""
    match = _DURATION.fullmatch(text.strip())
    value = float(match[1]) * UNITS[match[2]] if match else math.nan
    if not value >= LEAST_S:
        raise UsageError(f"{option} {text}: write an interval of at least {LEAST_S:g} s, as 15s or 2m.")
    return value
