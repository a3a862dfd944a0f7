"""Four instances as schools have them: they differ in backend, speed, queue and mail, not in the throttle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from probes.bucket import BucketSettings, usual_maximum
from probes.errors import ConfigError
from probes.simulator.settings import SimulatorSettings
from probes.wording import meant

PROFILES: Mapping[str, SimulatorSettings] = {
    "production": SimulatorSettings(latency_s=0.02),
    "test": SimulatorSettings(
        name="test",
        latency_s=0.03,
        slots=4,
        time_scale=1.7,
        mail=False,
        queued_imports=6,
        import_s=240.0,
        job_wait_s=40.0,
        revision="2026-10-07.51",
    ),
    "beta": SimulatorSettings(
        name="beta",
        latency_s=0.03,
        slots=8,
        time_scale=1.4,
        mail=False,
        queued_imports=4,
        import_s=180.0,
        job_wait_s=20.0,
        revision="2026-11-04.12",
    ),
    "sandbox": SimulatorSettings(name="sandbox", latency_s=0.02, queued_imports=0, job_wait_s=3.0),
}
"""Test and beta have few backend slots, are slow and send no mail; sandbox is on par with production."""


def profile(name: str, **changes: Any) -> SimulatorSettings:
    """The profile of that name, with fields of SimulatorSettings changed. Raises ConfigError for an unknown name or field."""
    if name not in PROFILES:
        raise ConfigError(f"There is no profile '{name}': {meant(name, sorted(PROFILES))}")
    fields = SimulatorSettings.__dataclass_fields__
    for key in changes:
        if key not in fields:
            raise ConfigError(f"The simulator has no setting '{key}': {meant(key, sorted(fields))}")
    return PROFILES[name].changed(**changes)


def like(bucket: Mapping[str, Any], settings: SimulatorSettings | None = None) -> SimulatorSettings:
    """`settings` (default: production) with the bucket that a run estimated: the `bucket` of a `probes.rate/1` call, or plain numbers.

    A maximum that the run cannot know is 4/3 of the mark, as in Canvas. Raises ConfigError when a constant is missing.
    """
    base = PROFILES["production"] if settings is None else settings
    mark, outflow, reservation = (_number(bucket, key) for key in ("high_water_mark", "outflow_per_s", "up_front_cost"))
    maximum = _number(bucket, "maximum") if bucket.get("maximum") is not None else usual_maximum(mark)
    return base.changed(bucket=BucketSettings(mark, maximum, outflow, reservation, base.bucket.floor_after_leak))


def _number(bucket: Mapping[str, Any], key: str) -> float:
    value = bucket.get(key)
    if isinstance(value, Mapping):
        value = value.get("value")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 < value < float("inf"):
        raise ConfigError(f"The estimated bucket has no usable {key}: it cannot be simulated.")
    return float(value)
