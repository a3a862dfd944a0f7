from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from probes.bucket import BucketSettings
from probes.safety import FASTEST_PER_S, analytic_rate, elasticities, even_rate, workers
from probes.twin import Twin

FEW = 60
"""Replays of equal calls, which are all the same."""


def twin(cost: float, time_s: float, spread: float = 0.5, **bucket: float) -> Twin:
    rng = np.random.default_rng(2)
    costs, times = np.exp(rng.normal(0.0, spread, (2, 4000)))
    return Twin(BucketSettings().scaled(**bucket), cost * costs / costs.mean(), time_s * times / times.mean())


def equal(cost: float, time_s: float, **bucket: float) -> Twin:
    return Twin(BucketSettings().scaled(**bucket), np.full(2, cost), np.full(2, time_s))


def test_even_rate_of_equal_calls_by_reservations() -> None:
    """Equal cheap calls are safe while fewer than twelve overlap: 600 = k 50 - outflow * time gives the twelfth, so 12 / time."""
    assert even_rate(equal(1e-6, 0.5), 1000, 0.05, replicas=FEW) == pytest.approx(12 / 0.5, rel=0.02)


@pytest.mark.untraced
def test_even_rate_of_equal_calls_by_outflow() -> None:
    """Dear quick calls of a long job are safe at little above outflow / cost; a short job may use the bucket's credit."""
    dear = equal(2.0, 0.01)
    # n calls pay 2 each, 10/s leaks: 2n - 10 n/r <= 550 for n = 1000
    assert even_rate(dear, 1000, 0.05, replicas=FEW) == pytest.approx(10 / (2 - 0.55), rel=0.02)
    assert even_rate(dear, 4000, 0.05, replicas=FEW) == pytest.approx(10 / (2 - 550 / 4000), rel=0.02)
    assert even_rate(equal(2.0, 1e-4), 200, 0.05, replicas=FEW) == FASTEST_PER_S, (
        "200 calls cost 400 and hardly overlap: they fit at any rate"
    )


def test_a_short_job_of_dear_quick_calls_has_a_greatest_rate() -> None:
    """37 calls, far above outflow / cost but fewer than 26 at one time: 7.7/s is where the search begins, not where it gives up."""
    one = equal(1.4, 0.055, high_water_mark=631.0, maximum=841.0, outflow_per_s=10.8, up_front_cost=24.18)
    assert one.burst == 26
    assert even_rate(one, 37, 0.02) == pytest.approx(26 / 0.055, rel=0.06)


@pytest.mark.untraced
@pytest.mark.parametrize(("cost", "time_s"), [(0.2, 0.5), (3.0, 0.2)])
def test_even_rate_has_the_odds(cost: float, time_s: float) -> None:
    """At the safe rate the odds are 5 %; a little below they are less, above more."""
    one = twin(cost, time_s)
    rate = even_rate(one, 1000, 0.05)
    assert one.even_odds(rate, 1000) == pytest.approx(0.05, abs=0.012)
    assert one.even_odds(0.96 * rate, 1000) < 0.04
    assert one.even_odds(1.04 * rate, 1000) > 0.06
    assert even_rate(one, 1000, 0.05, guess=rate * 1.3) == pytest.approx(rate, rel=0.004)


def test_no_rate_where_one_call_is_refused() -> None:
    """A reservation at or above the mark refuses every call: the rate is 0, and no worker is safe."""
    full = equal(1.0, 0.1, up_front_cost=700.0)
    assert even_rate(full, 100, 0.05) == 0.0
    assert workers(full, 100, 0.05) == 0


def test_workers() -> None:
    """The greatest number of workers whose odds are kept, and one more breaks them; never more than the burst or the job."""
    one = twin(2.0, 0.3)
    count = workers(one, 1000, 0.05)
    assert one.workers_odds(count, 1000) <= 0.05 < one.workers_odds(count + 1, 1000)
    assert 0 < count < 11
    assert workers(equal(0.01, 0.3), 1000, 0.05) == 11
    assert workers(equal(0.01, 0.3), 4, 0.05) == 4
    assert workers(equal(60.0, 0.01), 1000, 0.05) == 0, "one dear call after another fills the bucket: not even one worker is safe"


def test_analytic_rate_is_near() -> None:
    """The first guess is within a factor of two of the rate."""
    for one in (twin(0.2, 0.5), twin(3.0, 0.2), twin(0.5, 1.5)):
        assert 0.5 < analytic_rate(one) / even_rate(one, 1000, 0.05) < 2.0


@pytest.mark.untraced
def test_elasticities_by_reservations() -> None:
    """Where reservations bind the rate goes as 1 / time, more spread lowers it, and cost hardly matters."""
    one = twin(0.05, 0.5)
    slopes = elasticities(one, 1000, 0.05, even_rate(one, 1000, 0.05))
    assert slopes.time == pytest.approx(-1.0, abs=0.12)
    assert abs(slopes.cost) < 0.1
    assert slopes.high_water_mark + slopes.up_front_cost + slopes.outflow_per_s + slopes.cost == pytest.approx(0.0, abs=1e-9)
    assert slopes.high_water_mark > 1.0
    assert slopes.spread < 0.0


@pytest.mark.untraced
def test_elasticities_by_outflow() -> None:
    """Where the outflow binds the rate goes as outflow / cost (more, by the credit that a job may use), and time matters little."""
    one = twin(4.0, 0.05)
    slopes = elasticities(one, 1000, 0.05, even_rate(one, 1000, 0.05))
    assert slopes.cost == pytest.approx(-1.15, abs=0.15)
    assert slopes.outflow_per_s == pytest.approx(1.0, abs=0.1)
    flat = elasticities(equal(4.0, 0.05), 1000, 0.05, even_rate(equal(4.0, 0.05), 1000, 0.05))
    assert flat.spread == 0.0


@pytest.mark.untraced
def test_a_job_longer_than_is_replayed() -> None:
    """Of 100,000 calls at cost 0.33 the bucket stores 550 units: 30.8 calls/s drain, however many more 5,000 calls would allow."""
    twin = Twin(BucketSettings(), np.full(50, 0.33), np.full(50, 0.1))
    assert even_rate(twin, 5000, 0.05, replicas=FEW) > 33.0
    assert even_rate(twin, 100_000, 0.05, replicas=FEW) == pytest.approx(10.0 / (0.33 - 550.0 / 100_000), rel=1e-6)
    assert workers(twin, 100_000, 0.05) == 3
    assert workers(twin, 1000, 0.05) > 3


@pytest.mark.parametrize("time_s", [0.586, 0.1, 0.3])
def test_calls_that_all_take_as_long(time_s: float) -> None:
    """A service time without any spread, in hundreds of observed pairs, has a rate as well."""
    twin = Twin(BucketSettings(), np.full(400, 1e-6), np.full(400, time_s))
    assert even_rate(twin, 1000, 0.05, replicas=FEW) == pytest.approx(12.0 / time_s, rel=0.02)


@pytest.mark.untraced
def test_jitter_lowers_the_rate_of_quick_calls() -> None:
    """Calls sent evenly over a network that varies as much as their gap do not arrive so: the safe rate is that of what arrives."""
    quick = Twin(BucketSettings(510.0, 680.0, 7.0, 74.0), np.full(2, 1e-6), np.full(2, 0.087))
    calm, jittery = (even_rate(replace(quick, jitter_s=jitter_s, _cache={}), 1000, 0.05, replicas=400) for jitter_s in (0.0, 0.03))
    assert calm == pytest.approx(6.0 / 0.087, rel=0.05)
    assert jittery == pytest.approx(arrived(510.0 / 74.0, 0.087, 0.03), rel=0.05)
    assert jittery < 0.7 * calm


def arrived(most: float, time_s: float, jitter_s: float) -> float:
    """The rate at which 5 % of jobs of 1,000 calls have more than `most` reservations at one time, by counting; leak and cost left out."""
    rng, low, high = np.random.default_rng(5), 1.0, 200.0
    while high / low > 1.01:
        rate = math.sqrt(low * high)
        starts = np.sort(np.arange(1000) / rate + jitter_s * rng.standard_normal((400, 1000)), axis=1)
        held = math.ceil(most) - 1
        over = np.mean(np.any(starts[:, held:] < starts[:, :-held] + time_s, axis=1))
        low, high = (low, rate) if over > 0.05 else (rate, high)
    return low


@pytest.mark.untraced
def test_a_long_job_meets_a_refusal_no_more_often() -> None:
    """Of a job longer than is replayed the part has so small odds that all of it has those asked for."""
    calls = twin(0.001, 0.3)
    rate = even_rate(calls, 50_000, 0.05)
    odds = float(np.mean(calls.even_peaks(rate, 5000, 3000) >= calls.bucket.high_water_mark))
    assert 1.0 - (1.0 - odds) ** 10 == pytest.approx(0.05, abs=0.03)
    assert rate < 0.97 * even_rate(calls, 5000, 0.05, replicas=600)


@pytest.mark.untraced
def test_workers_wait_for_the_round_trip() -> None:
    """A worker's next call leaves when its last has come back over the network: more workers are safe where the outflow binds."""
    near = equal(4.0, 0.2)
    far = replace(near, round_trip_s=0.2, _cache={})
    assert (workers(near, 1000, 0.05), workers(far, 1000, 0.05)) == (0, 1)
