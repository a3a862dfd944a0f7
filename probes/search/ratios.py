"""What refusals alone tell of a bucket: mark, outflow and cost in units of one reservation, as draws that the answers seen allow.

Each call let through says that the level left room for it, each refusal that it did not. A population of candidates is replayed over
the calls' own instants; one that contradicts an answer is corrected to what the answer said and pays for it by how far off it was, against
what unequal costs explain. Resampling around the best, a few times, leaves draws from what can be known: where the data say little, they
spread.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from probes.bucket import CANVAS, HOSTED_MARK
from probes.observation import Observation, Outcome
from probes.search.population import Population, sampled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

CANDIDATES = 2000
SEED = 1
MARKS = (1.05, 120.0)
"""Fewest and most reservations that fit below the mark."""
DRAIN_S, DRAIN_SPREAD = CANVAS.high_water_mark / CANVAS.outflow_per_s, 0.9
"""60: seconds in which a full bucket drains, as Canvas's does; most servers like it are within a factor of five (two deviations)."""
PRICE_S, PRICE_SPREAD = 0.04, 1.4
"""Seconds of outflow that a call costs: a tenth of its 0.4 s of work on a usual Canvas; from 2 ms to 0.7 s."""
PRICE_SHARE, SHARE_SPREAD = 0.06, 0.7
"""The same for a second of server time, as Canvas charges it: about 0.6 units, 10 drain in a second; within a factor of four."""
COST_SPREAD = 0.5
"""Coefficient of variation of costs."""
SLACK = 0.03
"""Reservations by which a level may be off for other reasons."""
DEAREST = 14.0
"""No single answer counts for more (log likelihood): it may have come from elsewhere."""
CANVAS_KIND = 0.3
"""Of three kinds of server: one above this standard normal deviate is configured and charges as Canvas does (odds 0.38)."""
TOKEN_KIND = -1.28
"""One below this deviate takes a token a call and gives none back: what a call reserves is what it costs (odds 0.1)."""
TOKEN = 1.0
"""What a call costs there, reservations."""
TOKENS_S, TOKENS_SPREAD = 10.0, 1.3
"""Seconds in which all tokens come back; from one to a few hundred."""
WHOLE_MARKS = (CANVAS.high_water_mark / CANVAS.up_front_cost, HOSTED_MARK / CANVAS.up_front_cost)
"""12 and 14: Canvas's own mark and the hosted one. A mark of its kind less than one above is taken for it."""
CANVAS_OUTFLOW, CANVAS_WITHIN = CANVAS.outflow_per_s / CANVAS.up_front_cost, 2.0
"""0.2 a second: with such a mark an outflow within this factor is taken for Canvas's own as well."""
LEAST_JITTER_S = 0.004
MOST_JITTER_S = 0.05
ARRIVES, LEAVES, REFUSED = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Events:
    """All touches of the bucket in order of time, seconds.

    Network jitter can swap two events; which came first is left open to the advantage of every candidate: `near` counts the departures
    that may have come before an arrival, or after a refusal, though they do not here.
    """

    instants: list[float]
    kinds: list[int]
    near: list[int]


@dataclass(frozen=True, slots=True)
class Servers:
    """What is thought before any answer: the log mark is even within `log_mark`, the log drain (seconds) is normal, so is the kind.

    The log price (seconds) is normal around `log_price` where the server is of Canvas's kind, else whatever the server time.
    """

    log_mark: tuple[float, float]
    log_price: float

    def draws(self, n: int, source: np.random.Generator) -> Floats:
        """`n` points."""
        kinds = source.standard_normal(n)
        return np.stack([source.uniform(*self.log_mark, n), source.normal(*_drain(kinds)), source.normal(*self._price(kinds)), kinds])

    def density(self, points: Floats) -> Floats:
        """Logarithm of the density, but for a constant."""
        inside = (points[0] > self.log_mark[0]) & (points[0] < self.log_mark[1])
        (centre, spread), (drain_s, drain_spread) = self._price(points[3]), _drain(points[3])
        drain, price = (points[1] - drain_s) / drain_spread, (points[2] - centre) / spread
        off = drain**2 + price**2 + points[3] ** 2
        return np.asarray(np.where(inside, -0.5 * off - np.log(spread) - np.log(drain_spread), -np.inf))

    def _price(self, kinds: Floats) -> tuple[Floats, Floats]:
        canvas = kinds > CANVAS_KIND
        return np.where(canvas, self.log_price, math.log(PRICE_S)), np.where(canvas, SHARE_SPREAD, PRICE_SPREAD)


def _drain(kinds: Floats) -> tuple[Floats, Floats]:
    """(mean, deviation) of the log drain by the kinds of server."""
    tokens = kinds < TOKEN_KIND
    return np.where(tokens, math.log(TOKENS_S), math.log(DRAIN_S)), np.where(tokens, TOKENS_SPREAD, DRAIN_SPREAD)


@dataclass(frozen=True, slots=True)
class Ratios:
    """Equally likely draws, in units of one reservation (outflow a second); `level` is the bucket's at the last event, `last_s`.

    `misfit` is how badly they explain the answers, in the mean (negative log likelihood; about 0 where a bucket made them).
    """

    mark: Floats
    outflow_per_s: Floats
    cost: Floats
    level: Floats
    last_s: float
    misfit: float = 0.0
    population: Population | None = None
    """What they are drawn from ..."""
    explaining: Ratios | None = None
    """... and all of it that explains the answers about as well as any."""

    @property
    def allowed(self) -> Ratios:
        """All that explains the answers, likely or not, where it is known; else the draws."""
        return self.explaining or self

    @property
    def steady_per_s(self) -> Floats:
        """Outflow over cost, calls/s."""
        return self.outflow_per_s / self.cost

    def room(self, after_s: float, paid: int = 0, over_s: float = 0.0) -> Floats:
        """How many calls sent together would be let through, for each draw: `after_s` after the last event, and after `paid` calls more.

        These begin after the rest and take `over_s`: a rest drains nothing of what is paid later.
        """
        rested = np.maximum(0.0, self.level - self.outflow_per_s * after_s)
        level = np.maximum(0.0, rested + paid * self.cost - self.outflow_per_s * over_s)
        return np.maximum(0.0, np.ceil(self.mark - level) - 1.0)


def ratios_of(
    observations: Sequence[Observation], admitted: int | None, n: int, candidates: int = CANDIDATES, before: Population | None = None
) -> Ratios | None:
    """`n` draws; None where no call was refused, so that nothing is known of the mark.

    `admitted`: how many calls of a burst from rest were let through when not all were. `before`: what was known a few answers ago, with
    the same `admitted`; it spares most of the work.
    """
    if not any(o.outcome is Outcome.THROTTLED for o in observations):
        return None
    source = np.random.default_rng(SEED)
    events = events_of(observations)
    fewest, most = MARKS if admitted is None else (max(MARKS[0], admitted - 0.3), 1.03 * (admitted + 1) + 0.2)
    bounds = (math.log(fewest), math.log(most))
    price_s = PRICE_SHARE * float(np.mean(served(observations, network_by_refusals_s(observations)) or [1.0]))
    known = sampled(lambda points: likelihood(points, events)[0], Servers(bounds, math.log(price_s)), candidates, source, before)
    order = np.argsort(known.points[2])  # in order of the price, so that few draws reach as far to both sides as many would
    picks = order[np.searchsorted(np.cumsum(known.weights[order]), (np.arange(n) + source.random()) / n).clip(0, candidates - 1)]
    found, level = likelihood(known.points[:, picks], events)
    misfit, allowed = -float(np.mean(found)), known.points[:, known.explains]
    explaining = Ratios(*_ratios(allowed), likelihood(allowed, events)[1], events.instants[-1])
    return Ratios(*_ratios(known.points[:, picks]), level, events.instants[-1], misfit, known, explaining)


def network_by_refusals_s(observations: Sequence[Observation]) -> float:
    """The network's smallest share of a call, seconds: flight less server time, else a refusal's whole flight, else 0.

    Where headers tell a level `replay.network_s` is asked, which takes a connect and no refusal.
    """
    told = [o.flight_s - o.server_time_s for o in observations if o.ok and o.flight_s is not None and o.server_time_s is not None]
    flights = [o.flight_s for o in observations if o.outcome is Outcome.THROTTLED and o.flight_s is not None]
    return max(0.0, min(told or flights or [0.0]))


def served(observations: Sequence[Observation], network: float) -> list[float]:
    """Server times, seconds, of the calls answered as asked: the server's own account, else flight less `network`."""
    return [max(1e-3, _inside(o, network)) for o in observations if o.ok and o.flight_s is not None]


def events_of(observations: Sequence[Observation]) -> Events:
    """The touches of all calls that were answered."""
    network = network_by_refusals_s(observations)
    answered = [o for o in observations if o.status is not None and o.sent_s is not None and o.flight_s is not None]
    found: list[tuple[float, int]] = []
    spare: list[float] = []
    for o in answered:
        inside, flight = _inside(o, network), o.flight_s or 0.0
        spare.append(max(0.0, flight - inside - network))
        departed = (o.sent_s or 0.0) + flight - network / 2.0 - min(spare[-1], MOST_JITTER_S) / 2.0
        refused = o.outcome is Outcome.THROTTLED
        found += [(departed - inside, REFUSED)] if refused else [(departed - inside, ARRIVES), (departed, LEAVES)]
    return _ordered(found, max(LEAST_JITTER_S, 2.0 * float(np.median(spare))) if spare else LEAST_JITTER_S)


def _inside(o: Observation, network: float) -> float:
    flight = o.flight_s or 0.0
    return o.server_time_s if o.server_time_s is not None and o.server_time_s <= flight else max(0.0, flight - network)


def _ordered(found: list[tuple[float, int]], jitter: float) -> Events:
    found = sorted((at + jitter if kind == REFUSED else at, kind) for at, kind in found)  # the calls beside it may have come first
    instants = np.array([at for at, _ in found])
    leaving = np.array([at for at, kind in found if kind == LEAVES])
    after = np.searchsorted(leaving, instants + jitter, side="right") - np.searchsorted(leaving, instants, side="right")
    before = np.searchsorted(leaving, instants, side="left") - np.searchsorted(leaving, instants - 2.0 * jitter, side="left")
    kinds = [kind for _, kind in found]
    near = np.where(np.array(kinds) == REFUSED, before, after)
    return Events(instants.tolist(), kinds, near.tolist())


def _ratios(points: Floats) -> tuple[Floats, Floats, Floats]:
    """(mark, outflow, cost) of points of shape (4, n): the logarithms of the mark, its drain and a call's price in seconds; the kind."""
    mark, kind = np.exp(points[0]), points[3] > CANVAS_KIND
    outflow = mark / np.exp(points[1])
    for whole in WHOLE_MARKS:
        own = kind & (mark > whole) & (mark < whole + 1.0)
        outflow = np.where(own & (np.abs(np.log(outflow / CANVAS_OUTFLOW)) < math.log(CANVAS_WITHIN)), CANVAS_OUTFLOW, outflow)
        mark = np.where(own, whole, mark)
    return mark, outflow, np.where(points[3] < TOKEN_KIND, TOKEN, np.exp(points[2]) * outflow)


def spread_of(costs: Floats) -> Floats:
    """Coefficient of variation of a call's cost, by its mean: a token is a token."""
    return np.where(costs == TOKEN, 0.0, COST_SPREAD)


def likelihood(points: Floats, events: Events) -> tuple[Floats, Floats]:
    """(log likelihood, level after the last event) of each point; levels in reservations."""
    mark, outflow, cost = _ratios(points)
    top, freed, noise = mark - 1.0, 1.0 - np.minimum(cost, 1.0), (cost * spread_of(cost)) ** 2
    level, found, variance = np.zeros(len(mark)), np.zeros(len(mark)), np.full(len(mark), SLACK**2)
    last = events.instants[0] if events.instants else 0.0
    off = np.empty(len(mark))
    for now, kind, near in zip(events.instants, events.kinds, events.near, strict=True):
        level -= np.multiply(outflow, now - last, out=off)
        np.maximum(level, 0.0, out=level)
        last = now
        if kind == LEAVES:
            level -= 1.0
            level += cost
            np.maximum(level, 0.0, out=level)
            variance += noise
            continue
        arrives = kind == ARRIVES
        np.subtract(level, top, out=off) if arrives else np.subtract(top, level, out=off)
        if near:
            off -= near * freed
        np.maximum(off, 0.0, out=off)
        found -= np.minimum(0.5 * off * off / variance, DEAREST)
        # what an answer said holds from here on; only what was paid since can be off the next time
        np.copyto(variance, SLACK**2, where=True if kind == REFUSED else off > 0.0)
        if arrives:
            level -= off
            level += 1.0
        else:
            level += off
    return found, level
