"""The safe call rate of each call, with its interval and what binds it: an Estimate told as `probes.rate/1`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from probes.bounds import Bounds
from probes.estimate import Estimate, estimate
from probes.foreign import foreign_budget
from probes.mixture import mixture
from probes.observation import Observation
from probes.prices import LEAST_PRICED, LEAST_SMOOTHED, Prices
from probes.safety import FASTEST_PER_S, ODDS, USUAL_JOB, BoundBy, Elasticities, Safe, elasticities, even_rate, workers
from probes.signatures import Regime, Sign, Signs
from probes.stats import Interval, student
from probes.twin import Twin
from probes.windows import Window
from probes.wording import percent, plural, rounded_down

UNTRIED = 1.3
"""By how many times a rate may be faster than any that was tried, unsaid."""
LEAST_SAFE, LEAST_ALONE = 15, LEAST_SMOOTHED
"""Fewest priced calls from which a safe rate is told; and where two at one time are refused, as it then rests on the longest of a job."""
MOST_LOST = 0.01
"""Above this share of calls that timed out no rate is told: what they hold at the server is not known."""
TOO_FAST, SELDOM, SELDOM_OUTFLOW = 1.05, 2.326, 1.96
"""`value` is kept so far below the middle of what is known that it is more than 5 % too fast in one case of a hundred (2.326 standard
errors), in one of forty where the outflow binds: going over costs a refused job, under only minutes, and where the outflow binds a job
that goes over uses up the bucket's credit first."""
MOST_CAUTION = 1.7
"""Standard errors by which it is kept below at most: `low` lies two below."""
WIDEST = 10.0
"""Where the answers allow rates this many times apart, none is told."""
MONTE_CARLO_ERROR = 0.004
"""Relative standard error of one root by replay."""
UNSEEN = 1.08
"""What a few hundred smoothed pairs do not show of the tails: intervals without it held the truth in 92.6 % of 390 random buckets."""
UNSEEN_TAIL = 2.0
"""The same where a tail falls like a power: of 20 random buckets with such calls a third was outside the usual interval."""
UNSEEN_ALONE = 1.4
"""The same where two calls at one time are refused: there the rate rests on the longest call of the whole job."""


def rate_document(found: Estimate, call: str, job_calls: int = USUAL_JOB, bounds: Bounds | None = None) -> dict[str, Any]:
    """One entry of `calls` in `probes.rate/1`; `safe` is null where the data cannot carry it."""
    twin, prices = found.twin(call), found.prices.get(call)
    return {"call": call, **_entry(found, twin, prices, job_calls, bounds or Bounds())}


def mix_document(found: Estimate, shares: Mapping[str, float], job_calls: int, bounds: Bounds) -> dict[str, Any]:
    """The same for a job of several calls in `shares` (by name; they add up to 1), which stand in `mix`."""
    twin, prices = mixture(found, shares) or (None, None)
    return {"call": mix_name(shares), **_entry(found, twin, prices, job_calls, bounds), "mix": _shares(shares)}


def mix_name(shares: Mapping[str, float]) -> str:
    """How a job of several calls is named: `mix of 2 calls: 75 % GET /a, 25 % GET /b`, the two most frequent by name."""
    first = sorted(shares, key=shares.__getitem__, reverse=True)[:2]
    told = ", ".join(f"{percent(shares[call])} {call}" for call in first)
    return f"mix of {len(shares)} calls: {told}" + (" ..." if len(shares) > len(first) else "")


def _shares(shares: Mapping[str, float]) -> dict[str, float]:
    return {call: round(share, 6) for call, share in shares.items()}


def _entry(found: Estimate, twin: Twin | None, prices: Prices | None, job_calls: int, bounds: Bounds) -> dict[str, Any]:
    bucket = found.bucket()
    safe, why = _safe(found, twin, prices, job_calls, bounds) if found.window is None else (_lasting(found.window, job_calls, bounds), ())
    return {
        "regime": found.regime.value,
        "bucket": None
        if bucket is None or found.regime is Regime.REFUSALS
        else {k: None if v is None else v.document() for k, v in bucket.items()},
        "cost": _document(None if prices is None else prices.mean_of(prices.costs)),
        "server_time_s": _document(None if prices is None else prices.mean_of(prices.times_s)),
        "safe": None if safe is None else safe.document(),
        "confirmed": None,
        "signs": [sign.document() for sign in (*found.signs, *why, *signs_of_prices(prices))],
        **({} if found.window is None else {"window": found.window.document()}),
    }


def signs_of_prices(prices: Prices | None) -> list[Sign]:
    """What is to be said of what a call costs and takes, beside the numbers."""
    if prices is None:
        return []
    heavy = f"A few calls cost or take far more than the rest: beyond {prices.n} there are dearer ones, which the rate cannot foresee."
    rows = (
        "Calls that cost or take more come many in a row, as when a server is busy: the rate allows for rows like those seen, not for "
        "longer ones."
    )
    return [*([Sign("heavy_tail", heavy)] if prices.heavy else []), *([Sign("spells", rows)] if prices.spells.row > 1 else [])]


def untried(document: dict[str, Any], steady_at: float | None, how: str = "--confirm") -> Sign | None:
    """A sign that the recommended rate is far above any at which the server was seen to keep its pace; None where it is not."""
    rate = (document["safe"] or {}).get("rate_per_s")
    if rate is None or steady_at is None or rate["low"] <= UNTRIED * steady_at:
        return None
    pace = rounded_down(rate["low"])
    said = f"No more than {steady_at:.3g} calls/s were tried: {how} shows whether the server keeps its pace at {pace}."
    return Sign("untried", said)


def rate_documents(observations: Iterable[Observation]) -> list[dict[str, Any]]:
    """Entries of every instance and call that has quota headers enough, each with its `instance`, from a run's observations alone."""
    by_instance: dict[str, list[Observation]] = {}
    for observation in observations:
        by_instance.setdefault(observation.instance, []).append(observation)
    return [document for name, mine in by_instance.items() for document in _of_instance(name, mine)]


def _of_instance(name: str, mine: Sequence[Observation]) -> list[dict[str, Any]]:
    found = estimate([o for o in mine if o.scenario in ("throttling", "rate")] or mine)
    if found is None or found.n < LEAST_PRICED or foreign_budget(mine) is not None:
        return []
    if found.window is not None:
        return [{"instance": name, **rate_document(found, call, USUAL_JOB)} for call in dict.fromkeys(o.call for o in mine if o.ok)]
    if found.regime is Regime.HEADERS and not found.identified:
        return []
    calls = [call for call, prices in found.prices.items() if found.twin(call) is not None or prices.n >= 20] or list(found.prices)[:1]
    return [{"instance": name, **rate_document(found, call, USUAL_JOB)} for call in calls]


def safe_rate(twin: Twin, found: Estimate, prices: Prices, job_calls: int) -> tuple[Interval, Elasticities] | None:
    """The greatest even rate at `ODDS` for a job from rest, with its interval; None when a job may be sent at once (no rate is refused)."""
    middle = even_rate(twin, job_calls, ODDS)
    if middle >= FASTEST_PER_S or middle <= 0.0:
        return None
    slopes = elasticities(twin, job_calls, ODDS, middle)
    unseen = UNSEEN_TAIL if prices.heavy else UNSEEN_ALONE if twin.burst < 2 else UNSEEN
    error = unseen * math.sqrt(
        _variance_of_prices(prices, slopes)
        + _variance_of_bucket(found, slopes)
        + _variance_of_distance(found, twin, slopes)
        + MONTE_CARLO_ERROR**2
    )
    half = student(prices.degrees) * error
    value = middle * math.exp(-_caution(error, SELDOM_OUTFLOW if _bound_by(slopes) is BoundBy.OUTFLOW else SELDOM))
    return Interval(value, middle * math.exp(-half), middle * math.exp(half), prices.n), slopes


def _caution(error: float, seldom: float) -> float:
    """By how much of a logarithm `value` stays below the middle, whose standard error is `error`."""
    return min(max(0.0, seldom * error - math.log(TOO_FAST)), MOST_CAUTION * error)


def relative_error(rate: Interval) -> float:
    """The relative standard error behind the interval of `safe_rate`."""
    return math.log(rate.high / rate.low) / 2.0 / student(rate.n - 1) if rate.low > 0.0 and rate.n > 1 else 0.0


def _safe(found: Estimate, twin: Twin | None, prices: Prices | None, job_calls: int, bounds: Bounds) -> tuple[Safe | None, Signs]:
    """What is safe; None where the data cannot carry it, with the reason where no other sign tells it."""
    if twin is None or prices is None or found.lost > MOST_LOST * found.n:
        return None, ()
    answer = safe_rate(twin, found, prices, job_calls)
    if answer is None and twin.burst < 1:
        return None, ()
    if answer is not None and (unclear := _unclear(found, *answer)) is not None:
        return None, (Sign("rate_unclear", unclear),)
    rate, bound = (None, BoundBy.RESERVATIONS) if answer is None else (answer[0], _bound_by(answer[1]))
    rate, bound = bounds.with_flight(twin.mean_time_s + twin.round_trip_s).applied(rate, bound)
    in_flight = workers(twin, job_calls, ODDS)
    if found.shows("server_time_drifts"):
        in_flight = min(in_flight, workers(twin.scaled(time=_quickest(prices)), job_calls, ODDS))
    if bound is BoundBy.LATENCY and rate is not None:
        in_flight = min(in_flight, max(1, int(rate.value * (twin.mean_time_s + twin.round_trip_s))))
    in_flight = bounds.workers(in_flight, twin.mean_time_s + twin.round_trip_s)
    return Safe(rate, in_flight, bounds.burst(twin.burst), bound, job_calls), ()


def _unclear(found: Estimate, rate: Interval, slopes: Elasticities) -> str | None:
    """Why what the rate rests on is not known well enough; None where it is."""
    assert found.fit is not None
    if _bound_by(slopes) is BoundBy.OUTFLOW and not (math.isfinite(found.fit.errors[2]) or found.fit.unbound):
        return "What a job may pay depends on the outflow, and no header told it: the calls cost too little, or were too far apart."
    if rate.high > WIDEST * rate.low:
        return f"{plural(rate.n, 'call')} allow anything from {rounded_down(rate.low)} to {rounded_down(rate.high)} calls/s: none is told."
    least = LEAST_ALONE if found.fit.bucket.burst < 2 else LEAST_SAFE
    return f"Only {plural(rate.n, 'call')} were priced, where a safe rate takes {least} of them." if rate.n < least else None


def _lasting(window: Window, job_calls: int, bounds: Bounds) -> Safe | None:
    """What a counter lets through in the long run; None where its headers do not tell its limit and its length."""
    lasting = window.rate_per_s()
    if lasting is None:
        return None
    rate, bound = bounds.with_flight(window.flight_s).applied(lasting, BoundBy.OUTFLOW)
    assert rate is not None
    together = min(int(window.left / window.per_call), window.together)  # more at one time were not tried
    return Safe(rate, min(int(rate.low * window.flight_s), together), together, bound, job_calls)


def _quickest(prices: Prices) -> float:
    """Share of the mean time that the quickest of the first, the last and the other calls took: workers of these fill the bucket sooner."""
    times, part = prices.times_s, max(1, prices.n // 6)
    parts = (times[:part], times[part:], times[-part:], times[:-part])
    before = 1.0 if prices.earlier is None else float(np.mean(prices.earlier.times_s) / np.mean(times))
    return min(1.0, before, *(float(np.mean(each) / np.mean(times)) for each in parts if len(each)))


def _bound_by(slopes: Elasticities) -> BoundBy:
    """What the rate depends on more: the price of a call (the outflow binds) or how long it holds its reservation."""
    return BoundBy.OUTFLOW if abs(slopes.cost) > abs(slopes.time) else BoundBy.RESERVATIONS


def _variance_of_prices(prices: Prices, slopes: Elasticities) -> float:
    """Variance of log rate from having seen n pairs only: resampled means and Gini index, weighted by their elasticities."""
    cost, time, spread = prices.resampled()
    alone = float(np.var(slopes.cost * cost + slopes.time * time + slopes.spread * spread))
    return alone * prices.spells.fewer * prices.n / max(1, prices.n - 1)


def _variance_of_bucket(found: Estimate, slopes: Elasticities) -> float:
    assert found.fit is not None
    bucket = found.fit.bucket
    weights = np.array(
        [
            slopes.high_water_mark / bucket.high_water_mark,
            slopes.up_front_cost / bucket.up_front_cost,
            slopes.outflow_per_s / bucket.outflow_per_s,
        ]
    )
    if found.fit.unbound:
        weights[2] = 0.0
    covariance = np.where(np.isfinite(found.fit.covariance), found.fit.covariance, (0.5 * bucket.outflow_per_s) ** 2)
    return max(0.0, float(weights @ covariance @ weights))


def _variance_of_distance(found: Estimate, twin: Twin, slopes: Elasticities) -> float:
    """Variance of log rate from not knowing which part of each flight is the server's time."""
    error = (found.away.high - found.away.low) / 4.0
    return (slopes.time * math.log1p(error / twin.mean_time_s)) ** 2


def _document(number: Interval | None) -> dict[str, Any] | None:
    return None if number is None else number.document()
