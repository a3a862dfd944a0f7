"""The answer where no header tells the limit: one call's entry of `probes.rate/1`, from refusals alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from probes.bounds import Bounds
from probes.bucket import BucketSettings
from probes.endings import SPENT
from probes.observation import Observation, Outcome
from probes.prices import LEAST_PRICED, Prices, mean_of, normal_quantile
from probes.rates import mix_name
from probes.safety import ODDS, BoundBy, Safe, even_rate, workers
from probes.search.probing import LONGEST_ASKED_S, MOST_REFUSALS
from probes.search.ratios import COST_SPREAD, TOKEN, WHOLE_MARKS, Ratios, network_by_refusals_s, ratios_of, served
from probes.search.refusals import RefusalDesign
from probes.signatures import Regime, Sign
from probes.stats import Interval
from probes.twin import Twin
from probes.wording import plural

if TYPE_CHECKING:
    from numpy.typing import NDArray

DRAWS = 32
REPLICAS = 250
SLOW_DRAWS = (2, 3, 5)
"""Of the draws in order of their rates, those whose number of workers is asked: about one in ten is slower."""
LIKELY = (0.025, 0.975)
CAUTION = 0.95
"""Few draws do not reach quite as far down as the interval should."""
TELLING = 2.5
"""Outflow over cost is told where its interval is no wider than this ratio."""
ROUGH = 1.3
MOST_MISFIT = 6.0
"""Above it no bucket made these refusals: of 60 random ones none came above 1.5, of servers with two limits at once all above 14."""
AMPLE = 2000
"""Calls with which an interval wider than this ratio becomes narrower: errors of 5 % (median) become 4, of 54 % (95th percentile) 17."""
EVEN = 0.05
"""So much less than a whole number of workers is one: the mean of a few hundred calls is no more exact."""
BINDS = 1.2
"""The outflow binds where outflow over cost is less than this times the safe rate."""


@dataclass(frozen=True)
class Drawn:
    """A job under all that the answers allow: equally likely twins, in units of one reservation, and the safe rate of each, calls/s."""

    twins: list[Twin]
    rates_per_s: NDArray[np.float64]
    job: int

    @property
    def interval(self) -> tuple[float, float]:
        """(low, high) of the safe rate, calls/s."""
        low, high = (float(rate) for rate in np.quantile(self.rates_per_s, LIKELY) * (CAUTION, 1.0))
        return low, high

    @property
    def middle(self) -> Twin:
        """The twin in the middle of their rates."""
        return self.twins[int(np.argsort(self.rates_per_s)[len(self.twins) // 2])]

    def in_flight(self) -> int:
        """Workers that all but about one in ten of the twins stand."""
        slow = np.argsort(self.rates_per_s)[list(SLOW_DRAWS)]
        return sorted(workers(self.twins[n], self.job, ODDS) for n in slow)[len(slow) // 2]


def drawn(seen: Sequence[Observation], mine: Sequence[Observation], admitted: int | None, job: int) -> Drawn | None:
    """By all answers `seen` and the server times of the call's own; None where refusals, or answers, are too few or no bucket's.

    `admitted` as for `ratios_of`.
    """
    network = network_by_refusals_s(seen)
    return _drawn(ratios_of(seen, admitted, DRAWS), np.array(served(mine, network)), network, job)


def _drawn(ratios: Ratios | None, times: NDArray[np.float64], network: float, job: int) -> Drawn | None:
    if ratios is None or ratios.misfit > MOST_MISFIT or len(times) < LEAST_PRICED:
        return None
    twins = _twins(ratios, times, network)
    return Drawn(twins, np.array([even_rate(twin, job, ODDS, replicas=REPLICAS) for twin in twins]), job)


def refusal_document(design: RefusalDesign, call: str, job: int, bounds: Bounds) -> dict[str, Any]:
    """The contract's entry: `bucket` null, `ratios` in its place."""
    return {"call": call, **_entry(design, [o for o in design.seen if o.call == call], job, bounds)}


def refusal_mix(design: RefusalDesign, shares: Mapping[str, float], job: int, bounds: Bounds) -> dict[str, Any]:
    """The same for a job of several calls in `shares` (by name; they add up to 1), which stand in `mix`."""
    return {"call": mix_name(shares), **_entry(design, design.seen, job, bounds), "mix": dict(shares)}


def _entry(design: RefusalDesign, mine: Sequence[Observation], job: int, bounds: Bounds) -> dict[str, Any]:
    seen = design.seen
    refused = sum(o.outcome is Outcome.THROTTLED for o in seen)
    ratios = ratios_of(seen, design.admitted, DRAWS)
    limit = None if ratios is None or refused == len(seen) else _promised(design.admitted, ratios)
    network = network_by_refusals_s(seen)
    times = np.array(served(mine, network))
    steady = None if ratios is None else steady_rate(ratios, len(seen))
    mean = mean_of(times)
    if refused:
        under = None if limit is None else _drawn(ratios, times, network, job)
        safe = None if under is None or limit is None else _safe(under, limit, steady, len(times), bounds)
    else:
        safe = _unmet(design, job, bounds)
    return {
        "regime": (Regime.REFUSALS if refused else Regime.UNTHROTTLED).value,
        "bucket": None,
        "ratios": _told(limit, steady, at_least=not design.exact) if refused else None,
        "cost": None,
        "server_time_s": None if mean is None else mean.document(),
        "safe": None if safe is None else safe.document(),
        "confirmed": None,
        "signs": [sign.document() for sign in (*_signs(design, refused, steady, safe), *_unexplained(ratios, refused, len(seen)))],
    }


def _told(limit: int | None, steady: Interval | None, *, at_least: bool) -> dict[str, Any]:
    told = {"in_flight_limit": limit, "steady_calls_per_s": None if steady is None else steady.document()}
    return {**told, "at_least": True} if at_least else told


def _promised(limit: int | None, ratios: Ratios) -> int:
    """ceil(mark / reservation) - 1 by the first burst that was refused in part, else what the refusals of other rounds allow.

    The leak between the starts of a burst lets one call more through where the mark is a whole number of reservations, as configured ones
    are, and no burst can tell the two apart. For the marks that Canvas comes with the smaller number is taken.
    """
    if limit is None:
        return max(1, math.ceil(float(np.quantile(ratios.mark, LIKELY[0]))) - 1)
    return limit - 1 if limit in WHOLE_MARKS else limit


def steady_rate(ratios: Ratios, n: int) -> Interval | None:
    """Outflow / cost, calls/s; None where the calls made cannot carry it."""
    low, value, high = np.quantile(ratios.steady_per_s, (LIKELY[0], 0.5, LIKELY[1]))
    return Interval(float(value), float(low), float(high), n) if high < TELLING * low else None


def _signs(design: RefusalDesign, refused: int, steady: Interval | None, safe: Safe | None) -> Iterator[Sign]:
    n = len(design.seen)
    if refused == n > 0:
        yield Sign("blocked", f"All {n} calls were refused: the token may be blocked, or its bucket full of another job's calls.")
        return
    rate = None if safe is None else safe.rate_per_s
    yield Sign("no_headers", _told_from(design, refused, rate))
    yield from _spent(design)
    if len({o.call for o in design.seen}) > 1:
        yield Sign("mixed", "Without cost headers calls cannot be priced apart: each is told as if it cost what all of them in turn do.")
    asked = max((o.retry_after_s for o in design.seen if o.retry_after_s is not None), default=0.0)
    if asked > LONGEST_ASKED_S:
        yield Sign("retry_after", f"The server asks to wait {asked:.0f} s after a refusal: nothing more was sent; ask again after that.")
    if not refused and safe is not None and rate is not None:
        yield Sign("tested_shortly", _how_shortly(design, rate, safe.bound_by))
    if refused and steady is None:
        said = f"Costs did not fill the bucket in {n} calls: for a longer job the answer rests on what calls in flight reserve."
        yield Sign("tested_shortly", said)


def _spent(design: RefusalDesign) -> Iterator[Sign]:
    """A sign that asking stopped for the refusals that it met, those of the calls before among them."""
    every = [*design.earlier, *design.seen]
    refused, budget = sum(o.outcome is Outcome.THROTTLED for o in every), design.budget + len(design.earlier)
    if refused >= MOST_REFUSALS and len(every) < SPENT * budget:
        asked = f"Asking stopped after {len(every)} of {plural(budget, 'call')}"
        yield Sign("refusals_spent", f"{asked}: no more refusals are risked than the {refused} that were met.")


def _told_from(design: RefusalDesign, refused: int, rate: Interval | None) -> str:
    """What the answer rests on, and whether a larger budget would tell it more closely."""
    n = len(design.seen)
    rough = rate is not None and rate.high > ROUGH * rate.low
    helps = refused and rough and SPENT * design.budget <= n and design.budget < AMPLE
    more = f" A budget of {AMPLE} calls tells it more closely." if helps else ""
    return f"No budget headers: told from {plural(refused, 'refusal')} in {plural(n, 'call')}.{more}"


def _unexplained(ratios: Ratios | None, refused: int, n: int) -> Iterator[Sign]:
    """A sign that the refusals are not those of one bucket."""
    if ratios is not None and refused != n and ratios.misfit > MOST_MISFIT:
        says = (
            f"{plural(refused, 'refusal')} in {plural(n, 'call')} do not fit one bucket that leaks: a limit by the minute or the hour, "
            "several limits at once, or chance. No safe rate is told."
        )
        yield Sign("unexplained_refusals", says)


def _how_shortly(design: RefusalDesign, kept: Interval, bound: BoundBy) -> str:
    calls, seconds = len(design.seen), max((o.received_s or 0.0) for o in design.seen) - min(o.due_s for o in design.seen)
    slowed = "the server slowed down before any call was refused; " if bound is BoundBy.LATENCY else ""
    return (
        f"No refusal: {slowed}{kept.high:.3g} calls/s at most were kept, in {plural(calls, 'call')} over "
        f"{plural(round(seconds), 'second')} in all. A limit by the minute or the hour, or one for a longer job, is not excluded."
    )


def _twins(ratios: Ratios, times: NDArray[np.float64], network: float) -> list[Twin]:
    """One twin a draw, in units of one reservation, `network` seconds away; costs spread whatever the server times, tokens do not."""
    _, drawn = Prices(np.ones(len(times)), np.maximum(times, 1e-3)).smoothed()
    sigma = math.sqrt(math.log1p(COST_SPREAD**2))
    shares = np.random.default_rng(11).permutation((np.arange(len(drawn)) + 0.5) / len(drawn))
    costs = np.exp(sigma * normal_quantile(shares) - sigma**2 / 2.0)
    tokens = np.full(len(costs), TOKEN)
    drawn_ratios = zip(ratios.mark.tolist(), ratios.outflow_per_s.tolist(), ratios.cost.tolist(), strict=True)
    return [
        Twin(BucketSettings(mark, 2.0 * mark, outflow, 1.0), tokens if cost == TOKEN else cost * costs, drawn, network)
        for mark, outflow, cost in drawn_ratios
    ]


def _safe(under: Drawn, limit: int, steady: Interval | None, n: int, bounds: Bounds) -> Safe:
    """Safe numbers over all draws, from `n` answers: the rate that is least off, and what 95 of 100 allow."""
    low, high = under.interval
    value = max(low, least_off(under.rates_per_s))
    rate, bound = Interval(value, low, high, n), _bound(value, steady)
    if bounds.max_rate is not None and bounds.max_rate < low:
        rate, bound = Interval.exactly(bounds.max_rate, n), BoundBy.CEILING
    in_flight = bounds.workers(min(under.in_flight(), limit), under.middle.mean_time_s + under.middle.round_trip_s)
    return Safe(rate, in_flight, bounds.burst(limit), bound, under.job)


def least_off(rates: NDArray[np.float64]) -> float:
    """The rate whose relative error is least in the mean over equally likely true ones: their median, each weighted by its inverse.

    Where little is known it lies far below the middle: twice too fast is off by as much as no call at all.
    """
    ordered = np.sort(rates)
    shares = np.cumsum(1.0 / np.maximum(ordered, 1e-9))
    return float(np.interp(0.5 * shares[-1], shares - 0.5 / np.maximum(ordered, 1e-9), ordered))


def _bound(rate: float, steady: Interval | None) -> BoundBy:
    if steady is None:
        return BoundBy.REFUSALS
    return BoundBy.OUTFLOW if steady.value < BINDS * rate else BoundBy.RESERVATIONS


def _unmet(design: RefusalDesign, job: int, bounds: Bounds) -> Safe | None:
    """No refusal: what can be said is the rate of all that was sent, up to that of the quickest part, which was short.

    Where the server slowed down first: the rate at which it kept its pace; None where it kept none that was tried.
    """
    tried = _tried(design) or ([_sent_per_s(design.seen)] if design.hurried else [])  # bursts may have taken all calls
    if not tried or (design.crowded and design.crowds):
        return None
    whole, n = _sent_per_s(design.seen), len(design.seen)
    if design.crowded:
        rate, bound = Interval.exactly(tried[-1], n), BoundBy.LATENCY
    else:
        rate = Interval(whole, whole, max(tried), n)
        bound = BoundBy.CEILING if bounds.max_rate or bounds.max_in_flight else BoundBy.REFUSALS
    width = max(burst.size for burst in design.bursts)
    flight = float(np.mean([o.flight_s for o in design.seen if o.ok and o.flight_s is not None] or [0.0]))
    return Safe(rate, bounds.workers(min(width, int(rate.value * flight + EVEN)), flight), bounds.burst(width), bound, job)


def _tried(design: RefusalDesign) -> list[float]:
    """Calls/s of each train as it was sent."""
    ends = [*(train.first for train in design.trains), len(design.seen)]
    parts = [design.seen[first:end] for first, end in pairwise(ends)]
    return [_sent_per_s(part) for part in parts if len(part) > 1]


def _sent_per_s(seen: Sequence[Observation]) -> float:
    sent = [o.sent_s for o in seen if o.sent_s is not None]
    return (len(sent) - 1) / max(max(sent) - min(sent), 1e-3) if len(sent) > 1 else 0.0
