"""Canvas's RequestThrottle: who is one bucket, what an arrival reserves, what a departure pays, which headers the answer carries."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from probes.bucket import Bucket, BucketSettings

if TYPE_CHECKING:
    from probes.simulator.settings import SimulatorSettings

BEARER = "Bearer "
EXPIRY_S = 3600.0
"""The store forgets a bucket that nobody touched for this long."""
WARM_UP_S = 120.0
"""Cross traffic has been going on for this long when the first request comes."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose bucket a request touches. `key` names it; `token` is None for clients known by session or address."""

    key: str
    token: str | None = None

    @property
    def shown(self) -> bool:
        """Whether answers carry quota headers: not for cookie sessions (`RequestThrottle#call`)."""
        return not self.key.startswith("session")


def identify(headers: dict[str, str], query: str, address: str) -> Identity:
    """The client identifier: access token (header, then query; not the body), session, address. "Bearer" is case-sensitive in Canvas."""
    token = None
    authorization = headers.get("authorization", "")
    if authorization.startswith(BEARER):
        token = authorization[len(BEARER) :].strip()
    elif "access_token=" in query:
        token = next((value for key, value in parse_qsl(query) if key == "access_token"), None)
    if token:
        return Identity("token:" + hashlib.sha256(token.encode()).hexdigest()[:16], token)
    cookie = headers.get("cookie", "")
    if "canvas_session=" in cookie:
        return Identity("session:" + hashlib.sha256(cookie.encode()).hexdigest()[:16])
    return Identity("ip:" + address)


@dataclass(slots=True)
class CrossTraffic:
    """Another job on the same bucket: Poisson arrivals that reserve, work and pay; applied lazily, in the order of their instants."""

    random: random.Random
    rate_per_s: float
    cost: float
    service_s: float
    next_s: float
    leaving: list[float] = field(default_factory=list)

    def catch_up(self, bucket: Bucket, now_s: float) -> None:
        """Touches `bucket` with all that happened until `now_s`."""
        reservation = bucket.settings.up_front_cost
        while min(self.next_s, self.leaving[0] if self.leaving else self.next_s) <= now_s:
            if self.leaving and self.leaving[0] <= self.next_s:
                bucket.touch(self.cost - reservation, heappop(self.leaving))
                continue
            if bucket.arrive(self.next_s):
                heappush(self.leaving, self.next_s + self.service_s)
            else:
                bucket.touch(-reservation, self.next_s)
            self.next_s += self.random.expovariate(self.rate_per_s)


class Throttle:
    """All buckets of one instance."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self.settings = settings
        self._buckets: dict[str, Bucket] = {}
        self._cross: dict[str, CrossTraffic] = {}
        self._random = random.Random(settings.seed + 17)

    def constants(self, identity: Identity) -> BucketSettings:
        """The bucket constants of this client: a token may have its own."""
        return self.settings.buckets.get(identity.token or "", self.settings.bucket)

    def listed(self, identity: Identity) -> bool:
        """Whether the client is on the approve or block list, so that its bucket is never touched."""
        return identity.token in self.settings.approved or identity.token in self.settings.blocked

    def arrive(self, identity: Identity, now_s: float) -> bool:
        """Reserves; whether the request may go on."""
        if self.listed(identity):
            return identity.token not in self.settings.blocked
        return self._bucket(identity, now_s).arrive(now_s) or not self.settings.enforced

    def depart(self, identity: Identity, cost: float, now_s: float) -> float:
        """Releases and pays; what is left, as the header says it."""
        if identity.token in self.settings.blocked:
            return 0.0
        if self.listed(identity):
            return self.constants(identity).high_water_mark
        bucket = self._bucket(identity, now_s)
        bucket.depart(cost, now_s)
        return bucket.settings.high_water_mark - float(f"{bucket.level:.14g}")  # Lua's tostring carries 14 digits

    def level(self, identity: Identity, now_s: float) -> float:
        """The level now, for Retry-After and for the control endpoints."""
        return self._bucket(identity, now_s).level_at(now_s)

    def levels(self, now_s: float) -> dict[str, float]:
        """Level of every bucket that was touched, by identity."""
        return {key: bucket.level_at(now_s) for key, bucket in self._buckets.items()}

    def _bucket(self, identity: Identity, now_s: float) -> Bucket:
        bucket = self._buckets.get(identity.key)
        if bucket is None or now_s - bucket.touched_s > EXPIRY_S:
            bucket = self._buckets[identity.key] = Bucket(self.constants(identity), touched_s=now_s)
            self._join_cross_traffic(identity, bucket, now_s)
        cross = self._cross.get(identity.key)
        if cross is not None:
            cross.catch_up(bucket, now_s)
        return bucket

    def _join_cross_traffic(self, identity: Identity, bucket: Bucket, now_s: float) -> None:
        settings = self.settings
        if identity.token is None or settings.cross_traffic_per_s <= 0.0:
            return
        rate = settings.cross_traffic_per_s / settings.cross_traffic_cost
        bucket.touched_s = now_s - WARM_UP_S
        first_s = bucket.touched_s + self._random.expovariate(rate)
        cost, service_s = settings.cross_traffic_cost, settings.cross_traffic_service_s
        self._cross[identity.key] = CrossTraffic(self._random, rate, cost, service_s, first_s)


def ruby_float(value: float) -> str:
    """`value` as Ruby's Float#to_s writes it: 600.0, 0.0461, 5.0e-05."""
    text = repr(float(value))
    return text.replace("e", ".0e") if "e" in text and "." not in text else text
