"""What the observations of one instance say: the regime, the bucket's constants, what each call costs, with intervals and n."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from probes.changes import first_ones, lasting, signs_of_calls
from probes.doubts import judged
from probes.fit.distance import Distance, distance, with_times
from probes.fit.held import whole_times
from probes.fit.identify import UNTOLD, Fit
from probes.fit.touches import jitter_s, network_s, touches_of, usable_cost, way_jitter_s
from probes.observation import Observation, Outcome
from probes.prices import LEAST_PRICED, Prices
from probes.resting import since_rest
from probes.signatures import Regime, Sign, Signs, regime_of
from probes.spells import spells_of
from probes.stats import Interval
from probes.twin import Rows, Twin
from probes.windows import Window, window_of
from probes.wording import percent


@dataclass(frozen=True)
class Estimate:
    """One instance's bucket and prices.

    `fit` is None where headers told nothing that is believed; `n` answers, `refused` of them refusals.
    """

    instance: str
    regime: Regime
    fit: Fit | None
    prices: dict[str, Prices]
    away: Distance
    n: int
    refused: int
    signs: Signs = field(default=())
    lost: int = 0
    """Calls that were sent and brought no answer in time: the server may hold their reservations still."""
    jitter_s: float = 0.0
    """By how much one way through the network varies, standard deviation; 0 where it is not known."""
    spare_s: float = 0.0
    """How much longer than the shortest the network's share of a call usually is."""
    window: Window | None = None
    """The counter that the headers tell of in the place of a bucket."""

    @property
    def round_trip_s(self) -> float:
        """The network's usual share of a call, seconds."""
        return self.away.round_trip_s + self.spare_s

    @property
    def determined(self) -> bool:
        """Whether mark and reservation follow from the headers, though perhaps from no more of them than fit any bucket."""
        return self.fit is not None and all(math.isfinite(e) for e in self.fit.errors[:2])

    @property
    def identified(self) -> bool:
        """Whether mark, reservation and outflow are all known."""
        return self.determined and self.fit is not None and self.fit.checked

    def shows(self, kind: str) -> bool:
        """Whether there is a sign of this kind."""
        return any(sign.kind == kind for sign in self.signs)

    def twin(self, call: str) -> Twin | None:
        """The twin for one call; None where the data cannot carry it."""
        prices = self.prices.get(call)
        if not self.identified or prices is None or prices.n < LEAST_PRICED:
            return None
        assert self.fit is not None
        costs, times_s = prices.smoothed()
        alike = Rows(prices.spells.row, len(costs) // prices.n)
        return Twin(self.fit.bucket, costs, times_s, self.round_trip_s, jitter_s=self.jitter_s, rows=alike)

    def bucket(self) -> dict[str, Interval | None] | None:
        """The three constants, None for one that the data cannot carry; None altogether without a fit."""
        if self.fit is None:
            return None
        names = ("high_water_mark", "up_front_cost", "outflow_per_s")
        values = (self.fit.bucket.high_water_mark, self.fit.bucket.up_front_cost, self.fit.bucket.outflow_per_s)
        mark, *others = self.fit.errors
        errors = [mark, *(others if self.fit.checked else [math.inf] * len(others))]
        return {n: _constant(v, e, self.fit.n) for n, v, e in zip(names, values, errors, strict=True)}


def estimate(observations: Iterable[Observation], instance: str | None = None) -> Estimate | None:
    """The estimate of one instance (the only one seen, unless named); None when nothing was answered.

    In order of sending: of calls in flight together the quick ones are answered first, which would look like a server that grows slower.
    """
    mine = with_times(sorted((o for o in observations if instance is None or o.instance == instance), key=_sending))
    answered = [o for o in mine if o.status is not None]
    if not answered:
        return None
    if (window := window_of(answered)) is not None:
        return _counted(mine, answered, window)
    mine, told = whole_times(mine)
    rested = since_rest(mine)
    away = distance(rested)
    touches = touches_of(rested, away.round_trip_s)
    regime, signs = regime_of([o for o in rested if o.status is not None], touches)
    fitted, doubts = judged(touches, rested, away, regime)
    return Estimate(
        answered[0].instance,
        regime,
        fitted,
        _prices(mine, away.round_trip_s),
        away,
        n=len(answered),
        refused=_ended(mine, Outcome.THROTTLED),
        signs=(*signs, *doubts, *_part_told(told)),
        lost=_ended(mine, Outcome.READ_TIMEOUT),
        jitter_s=way_jitter_s(mine),
        spare_s=jitter_s(mine, away.round_trip_s) or 0.0,
    )


def _part_told(part: float) -> Signs:
    """A sign that server times tell only this part of how long reservations are held; none where they tell all."""
    if part == 1.0:
        return ()
    said = f"The server's own time tells {percent(part)} of the time for which the bucket holds a call's reservation: the rest is "
    return (Sign("server_time_short", f"{said}found by its headers."),)


def _sending(o: Observation) -> tuple[bool, float]:
    return o.sent_s is None, o.sent_s or 0.0


def _counted(mine: Sequence[Observation], answered: Sequence[Observation], window: Window) -> Estimate:
    """Of a counter: no bucket."""
    usual = network_s(mine)
    return Estimate(
        answered[0].instance,
        Regime.HEADERS,
        None,
        _prices(mine, usual),
        Distance.known(usual),
        n=len(answered),
        refused=_ended(mine, Outcome.THROTTLED),
        signs=(window.sign, *signs_of_calls(mine)),
        lost=_ended(mine, Outcome.READ_TIMEOUT),
        window=window,
    )


def _ended(seen: Sequence[Observation], outcome: Outcome) -> int:
    return sum(o.outcome is outcome for o in seen)


def _prices(observations: Sequence[Observation], base: float) -> dict[str, Prices]:
    """Prices by call name: answers that succeeded, with a cost; server time from the server, else flight less the network's share.

    Where a cache answers what is asked for again, of first calls; where calls began to cost or to take more, of those since then.
    """
    found: dict[str, list[tuple[float, float]]] = {}
    paths: dict[str, list[str]] = {}
    for o in observations:
        flight, cost = o.flight_s, usable_cost(o)
        if o.ok and cost is not None and flight is not None:
            time = o.server_time_s if o.server_time_s is not None else max(0.0, flight - (o.receive_s or 0.0) - base)
            found.setdefault(o.call, []).append((cost, max(time, 1e-4)))
            paths.setdefault(o.call, []).append(o.path)
    each = {call: lasting(first_ones(paths[call], Prices(*np.array(pairs).T))) for call, pairs in found.items()}
    return {call: replace(prices, spells=spells_of(prices.costs, prices.times_s)) for call, prices in each.items()}


def _constant(value: float, error: float, n: int) -> Interval | None:
    if not math.isfinite(error) or error > UNTOLD * abs(value):
        return None
    half = 1.96 * error
    return Interval(value, value - half, value + half, n)
