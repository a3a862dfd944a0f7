"""What a load process is told: written by `probes.load` as a JSON file, or gathered here from the words of a plain `locust -f`.

`CANVAS_PROBES_LOAD` names the file; the token comes in `CANVAS_PROBES_TOKEN`, never in the file and never in argv.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from probes.calls import Call
from probes.config import Instance, Kind
from probes.guards import GuardLimits

FILE_VARIABLE = "CANVAS_PROBES_LOAD"
TOKEN_VARIABLE = "CANVAS_PROBES_TOKEN"  # noqa: S105 # the variable's name, not a token


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """One load as its processes know it.

    Times in seconds. `origin_s` is what `time.perf_counter()` said when the run started; `grace_s` how long after the schedule's end
    requests that are late may still be sent; `requests` how many calls to send in all, None for as many as the schedule holds. In a
    closed loop there is no schedule: each of `max_in_flight` users sends its next call when its last has returned. `worker` is true in a
    process that takes its due times from a master.
    """

    instance: Instance
    calls: tuple[Call, ...]
    schedule: dict[str, Any]
    duration_s: float
    max_in_flight: int
    limits: GuardLimits
    observations: Path | None
    origin_s: float
    grace_s: float = 5.0
    open_loop: bool = True
    requests: int | None = None
    scenario: str = "load"
    parent_pid: int | None = None
    report_fd: int | None = None
    by_hand: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    def now(self) -> float:
        """Seconds since the run's start."""
        return time.perf_counter() - self.origin_s


def told() -> LoadSettings | None:
    """The settings that a parent wrote, None when this process was started by hand."""
    name = os.environ.get(FILE_VARIABLE)
    return None if name is None else of_document(json.loads(Path(name).read_text(encoding="utf-8")), os.environ.get(TOKEN_VARIABLE))


def of_document(document: dict[str, Any], token: str | None) -> LoadSettings:
    """The settings of a parent's document, as `probes.load` writes it. Raises KeyError or TypeError when it is none."""
    values = dict(document)
    values["instance"] = Instance(**{**values["instance"], "kind": Kind(values["instance"]["kind"])}, secret=token)
    values["calls"] = tuple(Call(**call) for call in values["calls"])
    values["limits"] = GuardLimits.from_document(values["limits"])
    values["observations"] = Path(values["observations"]) if values["observations"] else None
    return LoadSettings(**values)
