"""What a simulated Canvas is like: one frozen record, which profiles fill and a settings file changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from probes.bucket import BucketSettings

EPOCH_S = 1_793_606_400.0
"""What the wall clock shows at the loop's time 0 unless settings say otherwise: 2026-11-02T08:00:00Z."""

TOKEN = "simulator-token"  # noqa: S105 - it opens nothing but the simulator


@dataclass(frozen=True, slots=True)
class Service:
    """How long one route works and what it is charged; seconds and cost units.

    Service time is lognormal (`median_s`, `sigma`), plus `per_item_s` for each item of the page. The charge is `cost_share` of the
    service time, or lognormal with mean `cost_mean` and spread `cost_sigma` where that is given; `db_share` of it is DB time, the
    rest CPU. `surcharge` comes on top (Canvas: +200 for a token grant).
    """

    median_s: float = 0.1
    sigma: float = 0.3
    cost_share: float = 0.6
    db_share: float = 0.4
    cost_mean: float | None = None
    cost_sigma: float = 0.5
    per_item_s: float = 0.0
    surcharge: float = 0.0


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong: on which requests, and how. `kind` is one of `probes.simulator.faults.KINDS`.

    It strikes requests whose path starts with `path` (and whose method is `method`, if given), after the first `after` of them and up
    to number `until`, of those every `every`-th, of those with `probability`. `seconds`, `number`, `header` and `text` mean what the
    kind says.
    """

    kind: str
    path: str = "/"
    method: str = ""
    probability: float = 1.0
    every: int = 1
    after: int = 0
    until: int | None = None
    seconds: float = 0.0
    number: float = 0.0
    header: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class SimulatorSettings:
    """Everything that can be different between two simulated instances.

    Throttle: `enforced=False` counts and shows but never refuses; `quota_headers=False` refuses but shows nothing; `retry_after` adds
    Retry-After; `refusal_status` is 429 (hosted since October 2025) or 403 (older); `buckets` gives single tokens their own constants;
    `cross_traffic_per_s` is another job on the same token, in units/s.
    Backend: `slots` requests are worked on at once, the others queue before the throttle sees them; `time_scale` stretches every service
    time; `services` changes single routes by name ("GET /api/v1/courses/:id") or all of them ("*").
    `latency_s` is the network's round trip, half of it before and half after; `epoch_s` what the wall clock shows at the start.
    """

    name: str = "production"
    seed: int = 1
    token: str = TOKEN
    tokens: tuple[str, ...] = ()
    epoch_s: float | None = None
    revision: str = "2026-10-21.34"

    bucket: BucketSettings = field(default_factory=BucketSettings)
    buckets: Mapping[str, BucketSettings] = field(default_factory=dict)
    enforced: bool = True
    quota_headers: bool = True
    retry_after: bool = False
    refusal_status: int = 429
    refusal_s: float = 0.003
    refused_cost: float = 0.0
    approved: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()
    cross_traffic_per_s: float = 0.0
    cross_traffic_cost: float = 1.0
    cross_traffic_service_s: float = 0.3

    slots: int = 64
    time_scale: float = 1.0
    services: Mapping[str, Service] = field(default_factory=dict)
    latency_s: float = 0.0

    require_user_agent: bool = True
    permission_status: int = 401
    denied: tuple[str, ...] = ()
    maintenance: bool = False
    canvas_meta: bool = True
    cookies: bool = True
    title_case_headers: bool = False
    max_per_page: int = 100
    analytics: bool = True

    courses: int = 26
    students: int = 230
    mail: bool = True
    sis_imports: bool = True
    past_imports: int = 24
    queued_imports: int = 2
    import_s: float = 90.0
    job_wait_s: float = 5.0
    job_s: float = 20.0

    faults: tuple[Fault, ...] = ()
    log_requests: bool = False

    def changed(self, **changes: Any) -> SimulatorSettings:
        """A copy with some fields changed. Raises TypeError for an unknown field."""
        return replace(self, **changes)
