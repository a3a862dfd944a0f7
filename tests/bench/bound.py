"""A greedy sender whose knowledge is a round trip old: the yardstick beside the oracle, not a proven optimum. Seconds and units."""

from __future__ import annotations

import math
from collections import deque

from bench.level import Case, World

SPREAD = 0.5


class Delayed(World):
    """Knows everything that the bucket saw until one round trip before a call would arrive, and the true distribution of server times.

    It sends as soon as the odds that the call is refused are at most `odds`. No jitter, and no header to wait for: more than a real
    sender can know. It looks at steps, so that a sender which looks at the right instants can be a little quicker.
    """

    def __init__(self, case: Case, odds: float) -> None:
        super().__init__(case.changed(rtt_s=0.0, jitter_s=0.0))
        self.late = case.rtt_s
        self.odds = odds
        self.step = min(self.late / 4, case.median_s / 10)
        self.arrived: dict[int, float] = {}
        self.seen: dict[int, float] = {}
        self.known_level = 0.0
        self.known_s = 0.0
        self.touches: deque[tuple[float, float, int, bool]] = deque()
        self.next_look = math.inf

    def look(self, now: float, call: int) -> None:
        """While the odds allow."""
        if call == -1 and now < self.next_look < math.inf and self.sent:
            return
        self._learn(now - self.late)
        while self.sent < len(self.case.costs) and self._allowed(now):
            self._arrive(now, self.sent)
            self.arrived[self.sent] = now
            self.touches.append((now, self.bucket.level, self.sent, True))
            self.sent += 1
        if self.sent < len(self.case.costs):
            self.next_look = now + self.step
            self.at(now + self.step, self.look, -2)

    def received(self, now: float, call: int, cost: float, remaining: float, refused: bool) -> None:  # noqa: ARG002
        """Known one round trip later."""
        self.touches.append((now, self.bucket.level, call, False))

    def _learn(self, until: float) -> None:
        while self.touches and self.touches[0][0] <= until:
            when, level, call, arrives = self.touches.popleft()
            self.known_level, self.known_s = level, when
            if arrives:
                self.seen[call] = when
            else:
                self.seen.pop(call, None)
                self.arrived.pop(call, None)

    def _allowed(self, now: float) -> bool:
        settings = self.case.bucket
        under_way = len(self.arrived) - len(self.seen)
        level = max(0.0, self.known_level - settings.outflow_per_s * (now - self.known_s)) + settings.up_front_cost * (under_way + 1)
        need = math.floor((level - settings.high_water_mark) / settings.up_front_cost) + 1
        return need <= 0 or self._fewer(need, now) <= self.odds

    def _fewer(self, need: int, now: float) -> float:
        """Odds that fewer than `need` calls leave in time."""
        if need > len(self.arrived):
            return 1.0
        odds = [1.0] + [0.0] * (need - 1)
        for arrived in self.arrived.values():
            before = self._survival(now - self.late - arrived)
            leaves = 1.0 - self._survival(now - arrived) / before if before > 1e-12 else 1.0
            for n in range(need - 1, 0, -1):
                odds[n] += leaves * (odds[n - 1] - odds[n])
            odds[0] *= 1.0 - leaves
        return sum(odds)

    def _survival(self, age: float) -> float:
        return 1.0 if age <= 0.0 else 0.5 * math.erfc(math.log(age / self.case.median_s) / SPREAD / math.sqrt(2.0))
