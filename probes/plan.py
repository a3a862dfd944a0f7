"""How to make N calls: one by one, at an even rate, by workers without pause, or level-aware; what each takes and risks, by the twin."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from probes.book.ledger import Ledger
from probes.bucket import Bucket
from probes.pace import lasting_per_s
from probes.safety import FASTEST_PER_S, even_rate, workers
from probes.twin import Twin

SCHEMA = "probes.plan/1"
REPLAYED_CALLS = 4000
"""Odds of a longer level-aware job are those of several jobs of this length."""
REPLAYS = 8
PACED_CALLS = 16_000
"""Its time is that of one replay to here, and goes on at the pace of the second half: the leak's credit lets it gain pace for long."""
MOST_WORKERS = 10_000
"""No plan has more."""
FIFTHS = (-1.28, -0.52, 0.0, 0.52, 1.28)
"""Medians of the five equally likely parts of a standard normal distribution."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """One way to make the calls: `seconds` from the first send to the last answer, `refusal_odds` of any refusal in the whole job."""

    name: str
    seconds: float
    refusal_odds: float
    rate_per_s: float | None = None
    in_flight: int | None = None

    def document(self) -> dict[str, Any]:
        """As the contract writes it; fields that do not belong to the strategy left out."""
        return {key: round(value, 6) if isinstance(value, float) else value for key, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class Plan:
    """How to make `calls` calls; `recommended` is the name of one of the strategies."""

    calls: int
    recommended: str
    strategies: tuple[Strategy, ...]

    def document(self, rehearsal: dict[str, Any] | None = None) -> dict[str, Any]:
        """`probes.plan/1`."""
        told = [strategy.document() for strategy in self.strategies]
        return {"schema": SCHEMA, "calls": self.calls, "recommended": self.recommended, "strategies": told, "rehearsal": rehearsal}

    def strategy(self, name: str) -> Strategy:
        """The strategy of that name."""
        return next(strategy for strategy in self.strategies if strategy.name == name)


def plan(
    twin: Twin,
    calls: int,
    odds: float = 0.05,
    max_rate: float | None = None,
    max_in_flight: int | None = None,
    low: float | None = None,
    error: float = 0.0,
) -> Plan:
    """The four strategies for a job of `calls` from rest under the instance's ceilings.

    `low` is the rate that a run recommends for a job of this length, `error` the relative standard error of its best estimate: odds are
    averaged over what the true limit may be, so that of jobs foretold 10 % one in ten is refused. Recommended is the quickest of those
    whose odds do not exceed `odds`; one by one where nothing else keeps them.
    """
    found = [
        _one_by_one(twin, calls, error),
        _even(twin, calls, odds, max_rate, low, error),
        _workers(twin, calls, odds, max_in_flight, error),
        _paced(_level_aware(twin, calls, max_in_flight), calls, max_rate),
    ]
    return best_of([one for one in found if one is not None], calls, odds, slowest_s(twin, max_rate, max_in_flight))


def best_of(found: Sequence[Strategy], calls: int, odds: float, slowest_s: float) -> Plan:
    """The plan where ceilings let one call go each `slowest_s` at most; the first strategy where none keeps the odds."""
    strategies = tuple(_under(strategy, calls, slowest_s) for strategy in found)
    kept = [strategy for strategy in strategies if strategy.refusal_odds <= odds + 0.01] or [strategies[0]]
    return Plan(calls, min(kept, key=lambda strategy: strategy.seconds).name, strategies)


def slowest_s(twin: Twin, max_rate: float | None, max_in_flight: int | None) -> float:
    """Seconds from one call to the next that ceilings of calls/s and of calls in flight ask for."""
    return max(0.0 if max_rate is None else 1.0 / max_rate, (twin.mean_time_s + twin.round_trip_s) / (max_in_flight or math.inf))


def _under(strategy: Strategy, calls: int, slowest_s: float) -> Strategy:
    """The strategy where ceilings let one call go each `slowest_s` at most: it takes as long as that needs, its odds are at most those."""
    rate = strategy.rate_per_s
    if rate is not None and slowest_s > 0.0:
        rate = min(rate, 1.0 / slowest_s)
    return replace(strategy, seconds=max(strategy.seconds, (calls - 1) * slowest_s), rate_per_s=rate)


def even_odds(twin: Twin, rate: float, calls: int, error: float) -> float:
    """Odds of any refusal in an even job, averaged over a limit known to `error` (relative standard error)."""
    return float(np.mean([twin.even_odds(rate * math.exp(step), calls) for step in _steps(error)]))


def workers_odds(twin: Twin, count: int, calls: int, error: float, pause_s: float = 0.0) -> float:
    """The same for workers; dearer calls are a lower limit."""
    return float(np.mean([twin.scaled(cost=math.exp(step)).workers_odds(count, calls, pause_s) for step in _steps(error)]))


def _steps(error: float) -> Sequence[float]:
    return [z * error for z in FIFTHS] if error > 0.0 else [0.0]


def _one_by_one(twin: Twin, calls: int, error: float) -> Strategy:
    odds = workers_odds(twin, 1, calls, error, twin.round_trip_s)
    return Strategy("one_by_one", calls * (twin.mean_time_s + twin.round_trip_s), odds)


def _even(twin: Twin, calls: int, odds: float, max_rate: float | None, low: float | None, error: float) -> Strategy:
    rate = low if low is not None else 0.95 * even_rate(twin, calls, odds)
    rate = max(1e-3, min(rate, max_rate or FASTEST_PER_S, FASTEST_PER_S))
    return Strategy("even_rate", twin.even_seconds(rate, calls), even_odds(twin, rate, calls, error), rate_per_s=rate)


def _workers(twin: Twin, calls: int, odds: float, max_in_flight: int | None, error: float) -> Strategy | None:
    count = min(workers(twin, calls, odds), max_in_flight or MOST_WORKERS)
    while count > 0 and (risk := workers_odds(twin, count, calls, error, twin.round_trip_s)) > odds:
        count -= 1
    return Strategy("workers", twin.workers_seconds(count, calls), risk, in_flight=count) if count > 0 else None


def _level_aware(twin: Twin, calls: int, max_in_flight: int | None) -> Strategy:
    part = min(calls, REPLAYED_CALLS)
    told = of_replays([level_aware_run(twin, part, seed, max_in_flight) for seed in range(REPLAYS)], part, calls)
    if calls == part:
        return told
    paced = min(calls, PACED_CALLS)
    return replace(told, seconds=of_replays([level_aware_run(twin, paced, REPLAYS, max_in_flight)], paced, calls).seconds)


def _paced(strategy: Strategy, calls: int, max_rate: float | None) -> Strategy:
    """The strategy as the limiter's own ceiling lets it go: its window is a little longer than the rate asks for."""
    least_s = 0.0 if max_rate is None else (calls - 1) / lasting_per_s(max_rate)
    return replace(strategy, seconds=max(strategy.seconds, least_s))


def of_replays(runs: Sequence[LevelAwareRun], part: int, calls: int) -> Strategy:
    """What replays of the first `part` calls foretell of all of them: the rest goes at the pace of their second half."""
    pace = float(np.mean([run.second_half_s for run in runs])) / max(1, part - part // 2)
    seconds = float(np.mean([run.seconds for run in runs])) + (calls - part) * pace
    refused = sum(run.refused > 0 for run in runs)
    odds = 0.0 if not refused else 1.0 - (1.0 - refused / len(runs)) ** (calls / part)
    return Strategy("level_aware", seconds, odds)


@dataclass(frozen=True, slots=True)
class LevelAwareRun:
    """One replay of a job through the limiter's own book."""

    seconds: float
    second_half_s: float
    refused: int


def level_aware_run(twin: Twin, calls: int, seed: int, max_in_flight: int | None = None) -> LevelAwareRun:
    """`calls` calls sent as the limiter would send them, against the twin's bucket, the network's round trip in between."""
    picks = np.random.default_rng(seed).integers(0, len(twin.costs), size=calls)
    return _Replay(twin, twin.costs[picks], twin.times_s[picks], max_in_flight).run()


ARRIVES, DEPARTS, RECEIVED, LOOKS = range(4)
"""Kinds of event in a replay, in the order in which they count where they fall on one instant: the last is another look at the book."""
REFUSAL_S = 0.003
"""Server time of a refused call."""
ANY_NUMBER = 10_000_000
"""Calls in flight where no ceiling bounds them."""


class _Replay:
    """Events of one level-aware job, (instant, kind, call): its own bucket, and the limiter's book of it."""

    def __init__(self, twin: Twin, costs: np.ndarray, times: np.ndarray, max_in_flight: int | None) -> None:
        self.bucket = Bucket(twin.bucket)
        self.book = Ledger(twin.bucket)
        self.half = twin.round_trip_s / 2.0
        self.costs, self.times = costs, times
        self.most = max_in_flight or ANY_NUMBER
        self.events: list[tuple[float, int, int]] = [(0.0, LOOKS, -1)]
        self.answers: dict[int, tuple[float, float, bool]] = {}
        self.sent = self.refused = 0
        self.ends: list[float] = []
        self.next_look_s = 0.0

    def run(self) -> LevelAwareRun:
        while self.events:
            now, kind, call = heapq.heappop(self.events)
            if kind != LOOKS or now == self.next_look_s:  # a look that an answer made needless is passed over
                (self._arrive, self._depart, self._receive, self._look)[kind](now, call)
        half = self.ends[len(self.ends) // 2 - 1] if len(self.ends) > 1 else 0.0
        return LevelAwareRun(self.ends[-1], self.ends[-1] - half, self.refused)

    def _arrive(self, now: float, call: int) -> None:
        admitted = self.bucket.arrive(now)
        self.refused += not admitted
        cost, time = (float(self.costs[call]), float(self.times[call])) if admitted else (0.0, REFUSAL_S)
        self.answers[call] = (cost, 0.0, admitted)
        heapq.heappush(self.events, (now + time, DEPARTS, call))

    def _depart(self, now: float, call: int) -> None:
        cost, _, admitted = self.answers[call]
        self.answers[call] = (cost, self.bucket.depart(cost, now), admitted)
        heapq.heappush(self.events, (now + self.half, RECEIVED, call))

    def _receive(self, now: float, call: int) -> None:
        cost, remaining, admitted = self.answers.pop(call)
        self.book.answer(call + 1, now, cost=cost, remaining=remaining, refused=not admitted)
        self.ends.append(now)
        self._look(now, -1)

    def _look(self, now: float, _: int) -> None:
        while self.sent < len(self.costs) and len(self.book.out) < self.most:
            wait = self.book.wait_s(now)
            if wait > 0.0:
                self._look_again(now, now + wait)
                return
            number = self.book.send(now)
            self.sent += 1
            heapq.heappush(self.events, (now + self.half, ARRIVES, number - 1))

    def _look_again(self, now: float, then: float) -> None:
        """One look is under way at a time, the earliest; it finds out by itself when the next is due."""
        if then < math.inf and not now < self.next_look_s <= then:
            self.next_look_s = then
            heapq.heappush(self.events, (then, LOOKS, -1))
