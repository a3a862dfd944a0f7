"""Jobs through the limiter's book against a true bucket, as events: for limiter.py beside it. Times in seconds, levels in units."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from probes.book.ledger import Ledger
from probes.bucket import Bucket, BucketSettings

REFUSAL_S = 0.003
OTHERS_HELD_S = 0.3
DRIFT_STEP_S = 0.02


@dataclass(frozen=True)
class Case:
    """One job: the true bucket, what each call costs and takes, the network, who else uses the token."""

    bucket: BucketSettings
    costs: tuple[float, ...]
    times_s: tuple[float, ...]
    median_s: float
    rtt_s: float = 0.0
    jitter_s: float = 0.0
    others: str = ""
    others_per_s: float = 3.0
    seed: int = 1

    def changed(self, **changes: object) -> Case:
        """A copy with some fields changed."""
        return replace(self, **changes)  # type: ignore[arg-type]


def wide(seed: int) -> Case:
    """The wide family of the issue."""
    draw = random.Random(seed)
    mark = draw.uniform(300, 1200)
    bucket = BucketSettings.of(mark, draw.uniform(5, 20), draw.uniform(20, 100))
    cost, median = _log_uniform(draw, 0.05, 5.0), _log_uniform(draw, 0.05, 2.0)
    calls = draw.randint(600, 2000)
    costs = tuple(cost * math.exp(draw.gauss(-0.125, 0.5)) for _ in range(calls))
    times = tuple(median * math.exp(draw.gauss(0.0, 0.5)) for _ in range(calls))
    return Case(bucket, costs, times, median, seed=seed)


def canvas_like(seed: int) -> Case:
    """Canvas's defaults; each call costs one share, 0.2..0.9, of its server time."""
    draw = random.Random(seed)
    share, median = draw.uniform(0.2, 0.9), _log_uniform(draw, 0.05, 2.0)
    times = tuple(median * math.exp(draw.gauss(0.0, 0.5)) for _ in range(draw.randint(600, 2000)))
    return Case(BucketSettings(), tuple(share * time for time in times), times, median, seed=seed)


FAMILIES: dict[str, Callable[[int], Case]] = {"wide": wide, "canvas": canvas_like}


def _log_uniform(draw: random.Random, low: float, high: float) -> float:
    return math.exp(draw.uniform(math.log(low), math.log(high)))


@dataclass
class Outcome:
    """What became of a job: when the last answer was there, how many calls were refused, when they were sent."""

    seconds: float = 0.0
    refused: int = 0
    refused_at: list[float] = field(default_factory=list)


class World:
    """The true bucket, the network and everybody else on the token; a sender is told of answers and asked when to send."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.bucket = Bucket(case.bucket)
        self.random = random.Random(case.seed + 7)
        self.events: list[tuple[float, int, Callable[[float, int], None], int]] = []
        self.count = 0
        self.sent = 0
        self.left = len(case.costs)
        self.outcome = Outcome()
        if case.others == "drift":
            self.at(0.0, self._drift, 0)
        elif case.others:
            self.bucket.level = 0.0
            self.at(self.random.expovariate(case.others_per_s), self._other_arrives, 0)
        self.start_s = 5.0 if case.others else 0.0

    def at(self, when: float, what: Callable[[float, int], None], call: int) -> None:
        """Puts an event on the list."""
        self.count += 1
        heapq.heappush(self.events, (when, self.count, what, call))

    def delay(self) -> float:
        """One way through the network."""
        return max(0.0, self.case.rtt_s / 2 + self.random.gauss(0.0, self.case.jitter_s)) if self.case.rtt_s else 0.0

    def run(self) -> Outcome:
        """Until every call of the job is answered."""
        self.at(self.start_s, self.look, -1)
        while self.left:
            now, _, what, call = heapq.heappop(self.events)
            what(now, call)
        self.outcome.seconds -= self.start_s
        return self.outcome

    def send(self, now: float) -> int:
        """Sends the next call of the job."""
        self.sent += 1
        self.at(now + self.delay(), self._arrive, self.sent - 1)
        return self.sent - 1

    def look(self, now: float, call: int) -> None:
        """The sender may send."""
        raise NotImplementedError

    def received(self, now: float, call: int, cost: float, remaining: float, refused: bool) -> None:
        """The sender learns of an answer."""
        raise NotImplementedError

    def _arrive(self, now: float, call: int) -> None:
        admitted = self.bucket.arrive(now)
        if not admitted:
            self.outcome.refused += 1
            self.outcome.refused_at.append(now)
        self.at(now + (self.case.times_s[call] if admitted else REFUSAL_S), self._depart if admitted else self._turn_away, call)

    def _turn_away(self, now: float, call: int) -> None:
        self._answer(now, call, 0.0, True)

    def _depart(self, now: float, call: int) -> None:
        self._answer(now, call, self.case.costs[call], False)

    def _answer(self, now: float, call: int, cost: float, refused: bool) -> None:
        remaining = self.bucket.depart(cost, now)

        def receive(then: float, one: int) -> None:
            self.left -= 1
            self.outcome.seconds = max(self.outcome.seconds, then)
            self.received(then, one, cost, remaining, refused)
            self.look(then, -1)

        self.at(now + self.delay(), receive, call)

    def _drift(self, now: float, _: int) -> None:
        self.bucket.touch(self.case.others_per_s * DRIFT_STEP_S, now)
        self.at(now + DRIFT_STEP_S, self._drift, 0)

    def _other_arrives(self, now: float, _: int) -> None:
        admitted = self.bucket.touch(self.case.bucket.up_front_cost, now) < self.case.bucket.high_water_mark
        self.at(now + (OTHERS_HELD_S if admitted else REFUSAL_S), self._other_departs, int(admitted))
        self.at(now + self.random.expovariate(self.case.others_per_s), self._other_arrives, 0)

    def _other_departs(self, now: float, call: int) -> None:
        self.bucket.touch(call * 1.0 - self.case.bucket.up_front_cost, now)


class Greedy(World):
    """The oracle: sends whenever the true level allows, with no flight time."""

    def __init__(self, case: Case) -> None:
        super().__init__(case.changed(rtt_s=0.0, jitter_s=0.0))
        self.next_look = math.inf

    def look(self, now: float, call: int) -> None:  # noqa: ARG002
        """While a call would pass."""
        settings = self.case.bucket
        while self.sent < len(self.case.costs):
            over = self.bucket.level_at(now) + settings.up_front_cost - settings.high_water_mark
            if over >= 0.0:
                self._later(now, over / settings.outflow_per_s + 1e-7)
                return
            self._arrive(now, self.sent)
            self.sent += 1

    def received(self, now: float, call: int, cost: float, remaining: float, refused: bool) -> None:
        """It knows already."""

    def _later(self, now: float, wait: float) -> None:
        if not now < self.next_look <= now + wait:
            self.next_look = now + wait
            self.at(now + wait, self.look, -1)


class Booked(World):
    """The limiter's own book decides."""

    def __init__(self, case: Case, book: Ledger) -> None:
        super().__init__(case)
        self.book = book
        self.numbers: dict[int, int] = {}
        self.next_look = math.inf

    def look(self, now: float, call: int) -> None:  # noqa: ARG002
        """As the limiter does."""
        while self.sent < len(self.case.costs):
            wait = self.book.wait_s(now)
            if wait > 0.0:
                if wait < math.inf and not now < self.next_look <= now + wait:
                    self.next_look = now + wait
                    self.at(now + wait, self.look, -1)
                return
            self.numbers[self.send(now)] = self.book.send(now)

    def received(self, now: float, call: int, cost: float, remaining: float, refused: bool) -> None:
        """Books it."""
        self.book.answer(self.numbers.pop(call), now, cost=cost, remaining=remaining, refused=refused)
