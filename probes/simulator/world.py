"""Everything one simulated instance remembers: its throttle, its speed, its school, its queues, its faults, and what it has seen."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import Counter, deque
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from probes.simulator.faults import Faults
from probes.simulator.imports import ImportQueue, Jobs
from probes.simulator.people import Mail
from probes.simulator.school import School
from probes.simulator.services import Speed
from probes.simulator.settings import SimulatorSettings
from probes.simulator.throttle import Throttle

LOGGED = 200_000
"""Requests that the log keeps."""


@dataclass(slots=True)
class Counts:
    """What was seen since the start or the last reset; requests to the control endpoints are not."""

    requests: int = 0
    refused: int = 0
    in_flight: int = 0
    peak_in_flight: int = 0
    by_route: Counter[str] = field(default_factory=Counter)
    by_status: Counter[int] = field(default_factory=Counter)
    user_agents: Counter[str] = field(default_factory=Counter)
    log: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=LOGGED))

    def entered(self) -> None:
        """One more request is here."""
        self.requests += 1
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)


class World:
    """One instance; `now_s` counts from its start, which is the lifespan's start or the first request."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self.settings = settings
        self.origin_s: float | None = None
        self.outbox: list[Mail] = []
        self.faults = Faults(settings.faults, settings.seed)
        self.counts = Counts()
        self._start_afresh()

    def _start_afresh(self) -> None:
        self.throttle = Throttle(self.settings)
        self.speed = Speed(self.settings)
        self.slots = asyncio.Semaphore(self.settings.slots)
        self.extra_items: Counter[str] = Counter()
        self._ids = random.Random(self.settings.seed + 3)

    @cached_property
    def school(self) -> School:
        """The school, made when first asked for."""
        return School(self.settings)

    @cached_property
    def imports(self) -> ImportQueue:
        """The queue of SIS imports."""
        return ImportQueue(self.settings)

    @cached_property
    def jobs(self) -> Jobs:
        """Background jobs with a Progress."""
        return Jobs(self.settings)

    def now_s(self) -> float:
        """Seconds since this instance started."""
        now = asyncio.get_running_loop().time()
        if self.origin_s is None:
            self.origin_s = now
        return now - self.origin_s

    def request_id(self) -> str:
        """A fresh X-Request-Context-Id."""
        return str(uuid.UUID(int=self._ids.getrandbits(128), version=4))

    def valid_token(self, token: str) -> bool:
        """Whether a token opens this instance."""
        settings = self.settings
        return token == settings.token or token in (*settings.tokens, *settings.buckets, *settings.approved, *settings.blocked)

    def reset(self) -> None:
        """Forgets buckets, counts, mail and changed records; faults stay."""
        in_flight = self.counts.in_flight
        self.counts = Counts(in_flight=in_flight, peak_in_flight=in_flight)
        self.outbox.clear()
        for lazy in ("school", "imports", "jobs"):
            self.__dict__.pop(lazy, None)
        self.origin_s = None
        self._start_afresh()
