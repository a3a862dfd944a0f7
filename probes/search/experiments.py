"""Which calls tell most of a limit that no header shows: each thinkable round is played under all that the answers so far allow.

A round is even calls, or a burst, or even calls that fill the bucket and then a burst; before it there may be a rest. Its answer (which
call is refused first, if any) splits what is possible: the more of the variance of the safe rate lies between the answers and the less
within them, the more it tells. The best round is that which tells most for the part it takes of the calls, refusals and seconds left.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from probes.prices import gini
from probes.safety import FASTEST_PER_S, SLOWEST_PER_S
from probes.search.ratios import Ratios, spread_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Counts = NDArray[np.int64]

SURE = 0.04
"""Odds with which a round may meet more refusals than it should: one fewer than are left, but for the last calls."""
LAST_CALLS = 60
RESTS_S = (0.0, 5.0, 15.0, 40.0)
FILLS = (0, 12, 25, 50, 100, 200, 300)
"""Even calls of a round."""
CROWDED = (0.35, 0.6, 0.85, 1.1)
"""Of the calls that fit in the median about so many are in flight while even calls are made."""
AT_RISK = (1, 2, 3)
"""Or so many until a first refusal of them is known."""
ROOM = (0.1, 0.25, 0.5, 0.75, 0.9)
"""A burst is one larger than the room is with these odds."""
PARTS = 12
"""Into so many parts even calls are told apart where the first was refused."""
LEAST_TOLD = 0.02
"""Share of the variance that a round explains at least."""
CHANCE = 3.0
"""Of many rounds that tell nothing the best would seem to tell something: so many standard errors are taken off."""
FIXED = 0.03
"""What any round costs, as a part of all that is left."""
DEVIATIONS = 3.0
"""Calls in flight fluctuate by so many deviations in a job (throttle physics, section 2)."""
HALVINGS = 40
LEFT = 0.98
"""Of the calls of a round so many have left when its burst comes."""


class Left(NamedTuple):
    """What may still be spent."""

    calls: int
    refusals: int
    seconds: float


class Experiment(NamedTuple):
    """`fill` even calls at `rate_per_s`; `gap_s` later `burst` calls at one instant; all `after_s` after the last answer."""

    fill: int
    rate_per_s: float
    burst: int
    after_s: float
    gap_s: float

    @property
    def offsets(self) -> list[float]:
        """When each call is due, seconds from the first."""
        burst = self.fill / self.rate_per_s + self.gap_s if self.fill else 0.0
        return [n / self.rate_per_s for n in range(self.fill)] + [burst] * self.burst


class Outcome(NamedTuple):
    """What an experiment would bring under each draw: `answers` that can be told apart, and how many calls are `refused`."""

    asked: Experiment
    answers: Counts
    refused: Counts


@dataclass(frozen=True, slots=True)
class Belief:
    """What the answers allow (`ratios`), server times as they were seen, seconds; a refusal is known after `known_s`; the `job`'s calls."""

    ratios: Ratios
    times_s: Floats
    known_s: float
    job: int

    @property
    def _mean_s(self) -> float:
        return max(1e-3, float(np.mean(self.times_s)))

    def log_rates(self) -> Floats:
        """Logarithm of the even rate, calls/s, that the job bears under each draw, by the formulas of throttle physics, section 2."""
        low, high = (np.full(len(self.ratios.mark), math.log(rate)) for rate in (SLOWEST_PER_S, FASTEST_PER_S))
        for _ in range(HALVINGS):
            middle = (low + high) / 2.0
            fits = self._filled_by_job(np.exp(middle)) < self.ratios.mark
            low, high = np.where(fits, middle, low), np.where(fits, high, middle)
        return low

    def _filled_by_job(self, rates: Floats) -> Floats:
        """Reservations that calls in flight hold at most, and what the job pays until its end."""
        flying = rates * self._mean_s
        held = flying + DEVIATIONS * np.sqrt(gini(self.times_s) * flying) - self.ratios.outflow_per_s * self._mean_s + 1.0
        return np.asarray(held + np.maximum(0.0, self.job * (self.ratios.cost - self.ratios.outflow_per_s / rates)))

    def best(self, left: Left, widest: int, fastest_per_s: float) -> Experiment | None:
        """The round that tells most for what it takes, of no more than `widest` calls together; None where none tells anything."""
        rates = self.log_rates()
        scored = [(self._score(rates, outcome, left), outcome.asked) for outcome in self._outcomes(left, widest, fastest_per_s)]
        score, asked = max(scored, key=lambda one: one[0], default=(0.0, None))
        return asked if score > 0.0 else None

    def _score(self, rates: Floats, outcome: Outcome, left: Left) -> float:
        """By how much the logarithm of the variance shrinks, for the part of what is left that it takes; 0 where too much is risked."""
        told = _explained(rates, outcome.answers)
        if told < LEAST_TOLD or float(np.quantile(outcome.refused, 1.0 - SURE)) > left.refusals - (left.calls > LAST_CALLS):
            return 0.0
        offsets = outcome.asked.offsets
        seconds = outcome.asked.after_s + offsets[-1] + self._mean_s + self.known_s
        takes = len(offsets) / left.calls + float(np.mean(outcome.refused)) / left.refusals + seconds / left.seconds
        return -math.log(1.0 - told) / (FIXED + takes)

    def _outcomes(self, left: Left, widest: int, fastest_per_s: float) -> Iterator[Outcome]:
        """Of all rounds that can be afforded."""
        gap = float(np.quantile(self.times_s, LEFT))
        rests = RESTS_S if float(np.median(self.ratios.level)) > 0.5 else RESTS_S[:1]
        for after in (max(rest, self.known_s) for rest in rests):
            for fill in (fill for fill in FILLS if fill < left.calls):
                for rate in self._rates(after, left, fastest_per_s) if fill else [fastest_per_s]:
                    if after + fill / rate + gap < left.seconds:
                        yield from self._with_bursts(Experiment(fill, rate, 0, after, gap), left, widest)

    def _rates(self, after_s: float, left: Left, fastest_per_s: float) -> list[float]:
        """Calls/s that may be worth a try."""
        room = float(np.median(self.ratios.room(after_s)))
        crowded = [max(0.5, share * room) / self._mean_s for share in CROWDED]
        risked = [n / self.known_s for n in AT_RISK if n < left.refusals]
        return sorted({min(fastest_per_s, rate) for rate in (*crowded, *risked)})

    def _with_bursts(self, asked: Experiment, left: Left, widest: int) -> Iterator[Outcome]:
        """Of even calls alone, and of bursts of several sizes after them where they surely fit."""
        first, level = self._filled(asked)
        through, part = first >= asked.fill, first * PARTS // max(1, asked.fill)
        late = np.where(through, 0, np.minimum(asked.fill - first, 1 + int(asked.rate_per_s * self.known_s)))
        if asked.fill:
            yield Outcome(asked, np.where(through, PARTS, part), late)
        if float(np.mean(through)) < 1.0 - SURE:
            return
        room = np.maximum(0.0, np.ceil(self.ratios.mark - level) - 1.0)
        for size in self._sizes(room, left, min(widest, left.calls - asked.fill)):
            admitted = np.minimum(size, room).astype(np.int64)
            yield Outcome(asked._replace(burst=size), np.where(through, PARTS + admitted, part), np.where(through, size - admitted, late))

    def _sizes(self, room: Floats, left: Left, most: int) -> list[int]:
        """Calls of a burst: about as many as there is room for, and as many as surely meet no more refusals than they should."""
        sizes = [int(np.quantile(room, odds)) + 1 for odds in ROOM] + [int(np.quantile(room, SURE)) + max(1, left.refusals - 1)]
        return sorted({min(size, most) for size in sizes} - {0})

    def _filled(self, asked: Experiment) -> tuple[Counts, Floats]:
        """(which of the even calls is refused first, else their number; the level when the burst comes), one for each draw."""
        n, fill, outflow = len(self.ratios.mark), asked.fill, self.ratios.outflow_per_s[:, None]
        start = np.maximum(0.0, self.ratios.level - self.ratios.outflow_per_s * asked.after_s)
        if not fill:
            return np.zeros(n, dtype=np.int64), start
        instants, amounts, order = self._events(asked)
        leaked = np.take_along_axis(instants, order, axis=1) * outflow
        running = start[:, None] + np.cumsum(np.take_along_axis(amounts, order, axis=1), axis=1)
        before = np.concatenate([start[:, None], running[:, :-1]], axis=1)
        lowest = np.minimum.accumulate(np.minimum(before, running) - leaked, axis=1)  # Lindley's recursion, as in `twin`
        levels = running - leaked - np.minimum(0.0, lowest)
        arrives = order < fill
        over = arrives & (levels >= self.ratios.mark[:, None])
        calls = np.cumsum(arrives, axis=1)[np.arange(n), np.argmax(over, axis=1)] - 1
        return np.where(over.any(axis=1), calls, fill).astype(np.int64), levels[:, -1]

    def _events(self, asked: Experiment) -> tuple[Floats, Floats, Counts]:
        """(instants, amounts, their order) of arrivals, departures and the burst, as if nothing was refused; a row for each draw."""
        source, shape = np.random.default_rng(asked.fill), (len(self.ratios.mark), asked.fill)
        times = self.times_s[source.integers(0, len(self.times_s), shape)]
        costs = self.ratios.cost[:, None] * (1.0 + spread_of(self.ratios.cost)[:, None] * source.standard_normal(shape)).clip(0.0)
        arrivals = np.broadcast_to(np.arange(asked.fill) / asked.rate_per_s, shape)
        end = np.full((shape[0], 1), asked.fill / asked.rate_per_s + asked.gap_s)
        instants = np.concatenate([arrivals, np.minimum(arrivals + times, end), end], axis=1)
        amounts = np.concatenate([np.ones(shape), costs - 1.0, np.zeros_like(end)], axis=1)
        return instants, amounts, np.argsort(instants, axis=1, kind="stable")


def _explained(values: Floats, groups: Counts) -> float:
    """Share of the variance of `values` that surely lies between groups: epsilon squared less a few of its standard errors."""
    _, which, counts = np.unique(groups, return_inverse=True, return_counts=True)
    if len(counts) < 2 or len(counts) >= len(values):
        return 0.0
    means = np.bincount(which, weights=values) / counts
    within = float(np.sum((values - means[which]) ** 2)) / (len(values) - len(counts))
    whole, chance = float(np.var(values, ddof=1)), CHANCE * math.sqrt(2.0 * (len(counts) - 1)) / len(values)
    return min(0.999, 1.0 - within / whole - chance) if whole > 0.0 else 0.0
