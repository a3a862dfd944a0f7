"""Random throttled servers of the families of `make bench-rate`, and the ramp that the field would run against one."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, replace

import numpy as np

from probes.bucket import Bucket, BucketSettings
from probes.simulator.settings import Service, SimulatorSettings

SPREAD = 0.5
FAMILIES = ("wide", "canvas", "hard", "cross", "hidden")
"""All constants drawn; Canvas's defaults; 30 ms of jitter; another job on the token; no headers."""


@dataclass(frozen=True, slots=True)
class Place:
    """One random bucket and its network; `share` is cost over server time where they are linked, `others_per_s` another job's units/s."""

    bucket: BucketSettings
    cost: float
    time_s: float
    share: float | None
    round_trip_s: float
    jitter_s: float
    headers: bool
    others_per_s: float
    seed: int

    def pairs(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """(costs, times) as the simulator draws them."""
        source = np.random.default_rng(self.seed + 77)
        times = self.time_s * np.exp(source.normal(0.0, SPREAD, n))
        if self.share is not None:
            return times * self.share, times
        return self.cost * np.exp(source.normal(0.0, SPREAD, n) - SPREAD**2 / 2), times

    def settings(self) -> SimulatorSettings:
        """The simulator that is such a server."""
        linked = self.share is not None
        service = Service(self.time_s, SPREAD, cost_share=self.share or 0.6, cost_mean=None if linked else self.cost, cost_sigma=SPREAD)
        return SimulatorSettings(
            seed=self.seed,
            bucket=self.bucket,
            services={"*": service},
            slots=10_000,
            cookies=False,
            quota_headers=self.headers,
            cross_traffic_per_s=self.others_per_s,
        )


def place(family: str, seed: int) -> Place:
    """The place of a seed in a family."""
    source = np.random.default_rng(seed)
    time_s = math.exp(source.uniform(math.log(0.05), math.log(2.0)))
    share = float(source.uniform(0.2, 0.9)) if family == "canvas" else None
    mark = float(source.uniform(300.0, 1200.0))
    wide = BucketSettings.of(mark, float(source.uniform(5.0, 20.0)), float(source.uniform(20.0, 100.0)))
    cost = math.exp(source.uniform(math.log(0.05), math.log(5.0)))
    round_trip_s = float(source.uniform(0.02, 0.15))
    others_per_s = float(source.uniform(0.5, 3.0)) if family == "cross" else 0.0
    jitter_s = 0.03 if family == "hard" else 0.003
    return Place(BucketSettings() if share else wide, cost, time_s, share, round_trip_s, jitter_s, family != "hidden", others_per_s, seed)


def ramped(there: Place, most_s: float = 600.0) -> float:
    """The field's ramp: +1/s every 10 s until the first refusal, 80 % of the rate then; at the bucket itself, no network."""
    costs, times = replace(there, seed=there.seed + 5).pairs(60_000)
    bucket = Bucket(there.bucket)
    leaving: list[tuple[float, float]] = []
    now, sent = 0.0, 0
    while now < most_s and sent < len(costs):
        while leaving and leaving[0][0] <= now:
            at, cost = heapq.heappop(leaving)
            bucket.depart(cost, at)
        if not bucket.arrive(now):
            break
        heapq.heappush(leaving, (now + times[sent], float(costs[sent])))
        sent += 1
        now += 1.0 / (1.0 + now // 10.0)
    return 0.8 * (1.0 + now // 10.0)
