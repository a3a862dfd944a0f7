"""A throttled server as an event simulation, and a design carried out against it: hundreds of random buckets in seconds, without HTTP."""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from probes.bucket import Bucket, BucketSettings
from probes.calls import Call, Round
from probes.observation import Observation, Outcome
from probes.twin import Twin

SELF = Call("GET", "/api/v1/users/self")
TRACES = Path(__file__).parent / "data" / "traces"


@dataclass(frozen=True)
class Law:
    """Service time lognormal around `time_s`; cost lognormal with mean `cost`, or `share` of the time (low, high)."""

    time_s: float = 0.3
    cost: float = 0.3
    spread: float = 0.5
    share: tuple[float, float] | None = None

    def draw(self, rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        """(costs, times) of n calls."""
        times = self.time_s * np.exp(rng.normal(0.0, self.spread, n))
        if self.share is not None:
            return times * rng.uniform(*self.share, n), times
        return self.cost * np.exp(rng.normal(0.0, self.spread, n) - self.spread**2 / 2.0), times

    def twin(self, bucket: BucketSettings) -> Twin:
        """The true twin."""
        costs, times = self.draw(np.random.default_rng(99), 60_000)
        return Twin(bucket, costs, times, seed=12345)


@dataclass
class World:
    """A server with one bucket, `rtt_s` away; `seen` is what a client saw of it in order of answers, `refused` counts its refusals.

    `slower(rate)` multiplies service times when calls come at that rate; `others` (units, every so many seconds) is another job on
    the token; `stands` (every so many seconds, for so many) is a lock that no call gets past.
    """

    bucket: BucketSettings = field(default_factory=BucketSettings)
    law: Law = field(default_factory=Law)
    rtt_s: float = 0.05
    jitter_s: float = 0.003
    refusal_s: float = 0.003
    seed: int = 0
    runtime: bool = True
    headers: bool = True
    enforced: bool = True
    slower: Callable[[float], float] = lambda _: 1.0
    others: tuple[float, float] | None = None
    stands: tuple[float, float] | None = None
    answers: Callable[[int, dict[str, Any]], dict[str, Any]] = lambda _, fields: fields
    seen: list[Observation] = field(default_factory=list)
    now_s: float = 0.0
    refused: int = 0
    most_in_flight: int = 0

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)
        self._bucket = Bucket(self.bucket)
        self._others_at = self.others[1] if self.others else float("inf")

    def carry_out(self, design: Callable[[Sequence[Observation]], Round | None], most_rounds: int = 400) -> None:
        """Rounds until the design has enough."""
        for _ in range(most_rounds):
            asked = design(self.seen)
            if asked is None:
                return
            offsets, calls = zip(*asked.calls, strict=True)
            self.round(offsets, asked.after_s, asked.stop_below, calls, asked.most_in_flight)
        raise AssertionError("the design never ends")

    def opened(self, *rounds: tuple[int, float], after_s: float = 0.05) -> None:
        """One, two and three calls together, twice each, then rounds of (calls, seconds apart): as a design asks, without its thinking."""
        for calls, gap_s in (*((size, 0.0) for size in (1, 1, 2, 2, 3, 3)), *rounds):
            self.round([n * gap_s for n in range(calls)], after_s)

    def round(
        self,
        offsets: Sequence[float],
        after_s: float = 0.0,
        stop_below: float | None = None,
        calls: Sequence[Call] = (),
        most_in_flight: int | None = None,
    ) -> None:
        """One round, as `scenarios.asking.together` makes it."""
        start = self.now_s + after_s
        gaps = np.diff(sorted(offsets))
        factor = self.slower(1.0 / float(np.mean(gaps))) if len(gaps) and np.mean(gaps) > 0.0 else 1.0
        costs, times = self.law.draw(self._rng, len(offsets))
        events: list[tuple[float, str, int]] = [(start + offset, "send", n) for n, offset in enumerate(offsets)]
        heapq.heapify(events)
        sent: dict[int, float] = {}
        told: dict[int, tuple[bool, float, float, float]] = {}
        stopped, in_flight = False, 0
        while events:
            now, kind, n = heapq.heappop(events)
            self._others(now)
            if kind == "send" and most_in_flight is not None and in_flight >= most_in_flight:
                stopped = True
            if kind == "send" and not stopped:
                sent[n], in_flight = now, in_flight + 1
                self.most_in_flight = max(self.most_in_flight, in_flight)
                heapq.heappush(events, (now + self._way(), "arrive", n))
            elif kind == "arrive":
                admitted = self._bucket.arrive(now) or not self.enforced
                cost, time = (float(costs[n]), float(times[n]) * factor) if admitted else (0.0, self.refusal_s)
                time += self._stood(now, time)
                told[n] = (admitted, cost, time, 0.0)
                heapq.heappush(events, (now + time, "depart", n))
            elif kind == "depart":
                admitted, cost, time, _ = told[n]
                told[n] = (admitted, cost, time, self._bucket.depart(cost, now))
                heapq.heappush(events, (now + self._way(), "receive", n))
            elif kind == "receive":
                in_flight -= 1
                self._receive(sent[n], now, *told[n], calls[n] if calls else SELF)
                stopped = stopped or not told[n][0] or (stop_below is not None and told[n][3] < stop_below)
                self.now_s = now

    def _receive(self, sent: float, now: float, admitted: bool, cost: float, time: float, remaining: float, call: Call) -> None:
        self.refused += not admitted
        fields: dict[str, Any] = {
            "status": 200 if admitted else 429,
            "outcome": Outcome.OK if admitted else Outcome.THROTTLED,
            "remaining": remaining if self.headers else None,
            "cost": cost if admitted and self.headers else None,
            "server_time_s": time if self.runtime else None,
        }
        self.seen.append(observed(sent, now, call=call, **self.answers(len(self.seen), fields)))

    def deploy(self, bucket: BucketSettings) -> None:
        """Other constants from now on; the level stays."""
        self._bucket.settings = bucket

    def _others(self, now: float) -> None:
        while self.others is not None and self._others_at < now:
            self._bucket.touch(self.others[0], self._others_at)
            self._others_at += self.others[1]

    def _stood(self, now: float, time: float) -> float:
        """Seconds for which the lock holds up a call that arrives now and takes so long."""
        if self.stands is None:
            return 0.0
        every, lasts = self.stands
        phase = now % every
        return lasts - phase if phase < lasts else lasts if phase + time > every else 0.0

    def _way(self) -> float:
        return self.rtt_s / 2.0 + abs(float(self._rng.normal(0.0, self.jitter_s)))


def observed(sent_s: float, received_s: float, call: Call = SELF, **more: Any) -> Observation:
    """One answer of instance `test` to the throttling scenario."""
    fields = {"status": 200, "outcome": Outcome.OK, **more}
    return Observation("test", "throttling", call.name, call.method, call.path, sent_s, sent_s, received_s, **fields)


def random_world(seed: int, family: str = "wide", **more: Any) -> World:
    """A bucket of the family: `wide` (all constants drawn) or `canvas` (defaults, cost a share of the service time)."""
    rng = np.random.default_rng(seed)
    if family == "wide":
        mark = rng.uniform(300.0, 1200.0)
        bucket = BucketSettings.of(mark, rng.uniform(5.0, 20.0), rng.uniform(20.0, 100.0))
        law = Law(float(np.exp(rng.uniform(np.log(0.05), np.log(2.0)))), float(np.exp(rng.uniform(np.log(0.05), np.log(5.0)))))
    else:
        bucket, share = BucketSettings(), rng.uniform(0.2, 0.9)
        law = Law(float(np.exp(rng.uniform(np.log(0.05), np.log(2.0)))), share=(share * 0.8, min(1.0, share * 1.2)))
    return World(**{"bucket": bucket, "law": law, "rtt_s": float(rng.uniform(0.02, 0.15)), "seed": seed, **more})


def recorded(name: str, *, runtime: bool = True) -> tuple[BucketSettings, list[Observation]]:
    """A trace of Canvas's own throttle: its constants, and what the client saw."""
    head, *calls = (json.loads(line) for line in (TRACES / f"{name}.jsonl").read_text(encoding="utf-8").splitlines())
    seen = [
        observed(
            c["sent_s"],
            c["received_s"],
            status=c["status"],
            outcome=Outcome.OK if c["status"] == 200 else Outcome.THROTTLED,
            remaining=float(c["remaining"]),
            cost=float(c["cost"]) if c["cost"] else None,
            server_time_s=float(c["runtime"]) if runtime else None,
        )
        for c in calls
    ]
    mark, maximum = float(head["high_water_mark"]), float(head["maximum"])
    return BucketSettings(mark, maximum, float(head["outflow_per_s"]), float(head["up_front_cost"])), seen


__all__ = ["SELF", "TRACES", "Law", "World", "observed", "random_world", "recorded"]
