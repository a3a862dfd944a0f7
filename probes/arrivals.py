"""A schedule as data, so that it travels to another process: what it says, its due times, its peak.

Kinds: `even` {rate_per_s}, `poisson` {rate_per_s, seed}, `ramp` {start_per_s, end_per_s}, `steps` {rates_per_s, each_s},
`burst` {size, every_s, count}. Each is a dict with the key `kind`; the functions behind them stand in `schedule`.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from typing import Any

from probes import schedule
from probes.errors import UsageError

Spec = dict[str, Any]
Due = tuple[int, float]
"""Number of a request from 0, and when it is due in seconds since the load's start."""
LATE_S = 0.010
"""A request that was taken up later than this after it was due is late: the pool of users or the generator could not keep up."""

NEEDED: dict[str, tuple[str, ...]] = {
    "even": ("rate_per_s",),
    "poisson": ("rate_per_s",),
    "ramp": ("start_per_s", "end_per_s"),
    "steps": ("rates_per_s", "each_s"),
    "burst": ("size",),
}
OPTIONAL: dict[str, tuple[str, ...]] = {"poisson": ("seed",), "burst": ("every_s", "count")}


def check(spec: Spec) -> None:
    """Raises UsageError when `spec` describes no schedule."""
    kind = spec.get("kind")
    if kind not in NEEDED:
        raise UsageError(f"There is no schedule '{kind}': use one of {', '.join(NEEDED)}.")
    missing = [key for key in NEEDED[kind] if key not in spec]
    unknown = [key for key in spec if key not in {"kind", *NEEDED[kind], *OPTIONAL.get(kind, ())}]
    if missing or unknown:
        raise UsageError(f"A schedule '{kind}' needs {', '.join(NEEDED[kind])}; not {', '.join(missing or unknown)}.")
    for key, value in spec.items():
        if key not in {"kind", "seed"}:
            _check_number(kind, key, value)
    if peak_per_s(spec) <= 0.0:
        raise UsageError(f"A schedule '{kind}' must ask for more than 0 requests/s somewhere.")


def _check_number(kind: str, key: str, value: Any) -> None:
    values = value if isinstance(value, list | tuple) else [value]
    if kind == "burst" and key == "every_s" and value is None:
        return
    least_open = key not in {"start_per_s", "end_per_s", "rates_per_s"}  # a ramp may begin at rest, a step may be a pause
    for number in values:
        good = isinstance(number, int | float) and math.isfinite(number) and (number > 0.0 if least_open else number >= 0.0)
        if not good:
            least = "above 0" if least_open else "of 0 or more"
            raise UsageError(f"{key} of a schedule '{kind}' must be a number {least}, not {number}.")
    if kind == "burst" and key in {"size", "count"} and value != int(value):
        raise UsageError(f"{key} of a schedule 'burst' must be a whole number, not {value}.")


def peak_per_s(spec: Spec) -> float:
    """The greatest rate a schedule asks for: of a burst, its size."""
    kind = spec["kind"]
    if kind == "ramp":
        return max(float(spec["start_per_s"]), float(spec["end_per_s"]))
    if kind == "steps":
        return max((float(rate) for rate in spec["rates_per_s"]), default=0.0)
    if kind == "burst":
        return float(spec["size"]) * max(1.0, 1.0 / (spec.get("every_s") or math.inf))
    return float(spec["rate_per_s"])


def mean_per_s(spec: Spec, duration_s: float) -> float:
    """The rate that a schedule asks for on average over `duration_s` seconds; `even` and `poisson`: the rate itself."""
    if spec["kind"] in {"even", "poisson"}:
        return float(spec["rate_per_s"])
    if spec["kind"] == "ramp":
        return (float(spec["start_per_s"]) + float(spec["end_per_s"])) / 2.0
    return sum(1 for _ in arrivals(spec, duration_s)) / duration_s


def arrivals(spec: Spec, duration_s: float) -> Iterator[Due]:
    """The due times of a schedule, in order, all below `duration_s`; constant memory whatever its length."""
    due = _schedule(spec, duration_s)
    for n in itertools.count():
        at = due(n)
        if at is None or at >= duration_s:
            return
        yield n, at


def _schedule(spec: Spec, duration_s: float) -> schedule.Schedule:
    kind = spec["kind"]
    if kind == "even":
        return schedule.even(float(spec["rate_per_s"]), duration_s)
    if kind == "poisson":
        return schedule.poisson(float(spec["rate_per_s"]), duration_s, int(spec.get("seed", 0)))
    if kind == "ramp":
        return schedule.ramp(float(spec["start_per_s"]), float(spec["end_per_s"]), duration_s)
    if kind == "steps":
        return schedule.steps([float(rate) for rate in spec["rates_per_s"]], float(spec["each_s"]))
    return schedule.burst(int(spec["size"]), spec.get("every_s") or math.inf, int(spec.get("count", 1)))


_SECONDS = re.compile(r"^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, None: 1.0}


def seconds(text: str) -> float:
    """`60s`, `2m`, `1.5h`, `250ms` or plain seconds as seconds. Raises UsageError when it is no duration above 0."""
    match = _SECONDS.match(text.strip())
    value = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if value <= 0.0:
        raise UsageError(f"'{text}' is not a duration: write it as 60s, 2m or 1h.")
    return value
