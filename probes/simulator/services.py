"""How long each route works at rest and what it is charged: one literal table, from cheap to dear."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass

from probes.simulator.settings import Service, SimulatorSettings

EVERY = "*"
UNROUTED = Service(0.01, 0.2)
REFUSED_CREDENTIALS = Service(0.012, 0.2)
LIST = Service(0.15, per_item_s=0.002)
DEFAULT = Service(0.12)

SERVICES: Mapping[str, Service] = {
    "GET /health_check.json": Service(0.005, 0.2),
    "GET /readiness": Service(0.02, 0.2),
    "GET /api/v1/courses/:id/ping": Service(0.03),
    "POST /api/v1/courses/:id/ping": Service(0.03),
    "GET /api/v1/users/self": Service(0.22),
    "GET /api/v1/accounts/self": Service(0.09),
    "GET /api/v1/courses": Service(0.5, 0.35, db_share=0.5, per_item_s=0.0005),
    "GET /api/v1/courses/:id": Service(0.16),
    "GET /api/v1/courses/:id/enrollments": Service(0.3, 0.35, db_share=0.6, per_item_s=0.006),
    "GET /api/v1/sections/:id/enrollments": Service(0.3, 0.35, db_share=0.6, per_item_s=0.006),
    "GET /api/v1/courses/:id/users": Service(0.28, 0.35, db_share=0.55, per_item_s=0.004),
    "GET /api/v1/courses/:id/assignments": Service(0.4, 0.35, per_item_s=0.01),
    "GET /api/v1/courses/:id/students/submissions": Service(0.6, 0.4, per_item_s=0.012),
    "GET /api/v1/courses/:id/analytics/activity": Service(4.0, 0.5, 0.8, 0.85),
    "GET /api/v1/courses/:id/analytics/assignments": Service(5.0, 0.5, 0.8, 0.85),
    "GET /api/v1/courses/:id/analytics/student_summaries": Service(6.0, 0.5, 0.8, 0.85, per_item_s=0.02),
    "GET /api/v1/accounts/:id/users": Service(1.2, 0.4, 0.7, 0.8, per_item_s=0.002),
    "GET /api/v1/accounts/:id/sis_imports": Service(0.2, per_item_s=0.004),
    "POST /api/v1/accounts/:id/sis_imports": Service(0.5, 0.4),
    "POST /api/v1/courses/:id/enrollments": Service(0.55, 0.35, db_share=0.5),
    "POST /api/v1/sections/:id/enrollments": Service(0.55, 0.35, db_share=0.5),
    "DELETE /api/v1/courses/:id/enrollments/:enrollment": Service(0.5, 0.35, db_share=0.5),
    "PUT /api/v1/courses/:id/enrollments/:enrollment/reactivate": Service(0.45, 0.35, db_share=0.5),
    "POST /login/oauth2/token": Service(0.2, surcharge=200.0),
    "POST /error_reports": Service(0.3, surcharge=200.0),
}
"""Routes that are not here work as DEFAULT, lists that are not here as LIST."""


@dataclass(slots=True)
class Work:
    """What one request did: filled while it is served, read when it leaves. Seconds; `surcharge` in cost units."""

    route: str | None = None
    service_s: float = 0.0
    cpu_s: float = 0.0
    db_s: float = 0.0
    surcharge: float = 0.0
    user_id: int | None = None

    @property
    def cost(self) -> float:
        """What the bucket is charged (`RequestThrottle#calculate_cost`)."""
        return self.cpu_s + self.db_s + self.surcharge


class Speed:
    """Draws service times and charges, seeded."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self.scale = settings.time_scale
        self._random = random.Random(settings.seed)
        self._changed = settings.services

    def service(self, route: str | None, *, is_list: bool = False) -> Service:
        """The service of a route by its name; of an unrouted path when None."""
        if route is not None and route in self._changed:
            return self._changed[route]
        if EVERY in self._changed:
            return self._changed[EVERY]
        return UNROUTED if route is None else SERVICES.get(route, LIST if is_list else DEFAULT)

    def base(self, service: Service, work: Work, factor: float = 1.0) -> float:
        """Draws the work of one request into `work`; seconds to sleep for it."""
        seconds = service.median_s * self.scale * factor * math.exp(service.sigma * self._random.gauss(0.0, 1.0))
        work.surcharge += service.surcharge
        self._charge(service, work, seconds, self._cost(service, seconds))
        return seconds

    def items(self, service: Service, work: Work, count: int) -> float:
        """Adds the work of `count` items of a page; seconds to sleep for it."""
        seconds = count * service.per_item_s * self.scale
        self._charge(service, work, seconds, seconds * service.cost_share if service.cost_mean is None else 0.0)
        return seconds

    def _cost(self, service: Service, seconds: float) -> float:
        if service.cost_mean is None:
            return seconds * service.cost_share
        spread = service.cost_sigma
        return service.cost_mean * math.exp(spread * self._random.gauss(0.0, 1.0) - spread * spread / 2.0)

    @staticmethod
    def _charge(service: Service, work: Work, seconds: float, cost: float) -> None:
        work.service_s += seconds
        work.db_s += cost * service.db_share
        work.cpu_s += cost * (1.0 - service.db_share)
