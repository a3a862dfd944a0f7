from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.bucket import Bucket, BucketSettings
from probes.twin import Twin, even_peaks, levels_after, peaks

POSITIVE = st.floats(0.01, 60.0)


def twin(cost: float = 0.3, time_s: float = 0.4, **bucket: float) -> Twin:
    """Every call costs and takes the same."""
    return Twin(BucketSettings().scaled(**bucket), np.full(3, cost), np.full(3, time_s), round_trip_s=0.1)


def by_loop(bucket: BucketSettings, arrivals: list[float], departures: list[float], costs: list[float]) -> list[float]:
    """Levels after each event by a plain loop over the bucket, a departure first on a tie."""
    events = sorted(
        [(t, 0, n, costs[n] - bucket.up_front_cost) for n, t in enumerate(departures)]
        + [(t, 1, n, bucket.up_front_cost) for n, t in enumerate(arrivals)]
    )
    one = Bucket(bucket, touched_s=events[0][0])
    return [one.touch(amount, now) for now, _, _, amount in events]


@pytest.mark.untraced
@given(
    st.lists(st.tuples(st.floats(0.0, 40.0), POSITIVE, st.floats(0.0, 90.0)), min_size=1, max_size=40),
    st.floats(1.0, 20.0),
    st.floats(5.0, 100.0),
)
@settings(max_examples=150)
def test_levels_as_by_a_loop(calls: list[tuple[float, float, float]], outflow: float, reservation: float) -> None:
    """The vectorised levels are those of a plain loop over Bucket, to 1e-7, whatever the calls, as long as nothing is clamped above."""
    bucket = BucketSettings(600.0, 1e9, outflow, reservation)
    arrivals = [start for start, _, _ in calls]
    departures = [start + time for start, time, _ in calls]
    costs = [cost for _, _, cost in calls]
    levels, is_arrival = levels_after(bucket, np.array([arrivals]), np.array([departures]), np.array([costs]))
    expected = by_loop(bucket, arrivals, departures, costs)
    assert np.allclose(levels[0], expected, atol=1e-7, rtol=1e-12)
    assert int(is_arrival.sum()) == len(calls)


@pytest.mark.parametrize(("rate", "time_s", "cost"), [(3.0, 0.4, 0.3), (17.0, 0.9, 0.2), (12.0, 0.05, 4.0), (40.0, 0.7, 19.0)])
def test_even_peaks_as_by_sorting(rate: float, time_s: float, cost: float) -> None:
    """An even job's peaks are the same without sorting, while no call costs more than its reservation."""
    rng = np.random.default_rng(3)
    times = time_s * np.exp(rng.normal(0.0, 0.6, (50, 200)))
    costs = np.minimum(cost * np.exp(rng.normal(0.0, 0.6, (50, 200))), 50.0)
    arrivals = np.broadcast_to(np.arange(200) / rate, times.shape)
    bucket = BucketSettings()
    assert even_peaks(bucket, rate, costs, times) == pytest.approx(peaks(bucket, arrivals, arrivals + times, costs), abs=1e-8)


def test_dear_calls_are_sorted() -> None:
    """A call dearer than its reservation raises the level when it leaves: its peak is found by sorting."""
    dear = Twin(BucketSettings(), np.array([80.0]), np.array([0.25]))
    assert dear.even_peaks(1.0, 3, 1)[0] == pytest.approx(190.0)


@pytest.mark.parametrize(
    ("mark", "reservation", "burst"), [(600, 50, 11), (700, 50, 13), (601, 50, 12), (590, 50, 11), (40, 50, 0), (50, 50, 0)]
)
def test_burst(mark: float, reservation: float, burst: int) -> None:
    """Calls at one instant from rest: ceil(mark / reservation) - 1, for whole ratios and others; the bucket agrees."""
    one = twin(high_water_mark=mark, up_front_cost=reservation)
    bucket = Bucket(one.bucket)
    admitted = [bucket.arrive(0.0) for _ in range(20)]
    assert one.burst == burst == admitted.index(False)


def test_odds_are_sharp_for_equal_calls() -> None:
    """When all calls are alike odds are 0 or 1: eleven workers pass Canvas's own bucket, twelve do not."""
    one = twin(cost=0.01)
    assert (one.workers_odds(11, 200), one.workers_odds(12, 200)) == (0.0, 1.0)
    assert one.workers_odds(0, 200) == one.workers_odds(5, 0) == 0.0
    assert (one.even_odds(20.0, 200), one.even_odds(60.0, 200)) == (0.0, 1.0)


def test_long_jobs_are_scaled() -> None:
    """A job too long to replay is replayed in part and its odds grow with its length."""
    rng = np.random.default_rng(5)
    one = Twin(BucketSettings(), np.full(400, 0.2), np.exp(rng.normal(-1.0, 0.6, 400)))
    short, long = one.even_odds(17.0, 30_000), one.even_odds(17.0, 90_000)
    assert 0.0 < short < 1.0
    assert long == pytest.approx(1.0 - (1.0 - short) ** 3)


def test_seconds() -> None:
    """Finish times of equal calls: the last send and its round trip; for workers each round of calls after another."""
    one = twin(cost=0.01)
    assert one.even_seconds(5.0, 101) == pytest.approx(20.5)
    assert one.workers_seconds(10, 100) == pytest.approx(10 * 0.5)
    assert one.workers_seconds(200, 100) == pytest.approx(0.5)
    assert one.workers_seconds(10, 40_000) == pytest.approx(4_000 * 0.5, rel=0.01)


def test_changed_twins() -> None:
    """Scaling keeps the draws; a wider spread keeps the mean time."""
    rng = np.random.default_rng(1)
    one = Twin(BucketSettings(), rng.random(50), rng.random(50))
    scaled = one.scaled(cost=2.0, time=3.0, outflow_per_s=5.0)
    assert scaled.mean_cost == pytest.approx(2 * one.mean_cost)
    assert scaled.mean_time_s == pytest.approx(3 * one.mean_time_s)
    assert (scaled.bucket.outflow_per_s, one.bucket.outflow_per_s) == (5.0, 10.0)
    wide = one.with_spread(1.5)
    assert wide.mean_time_s == pytest.approx(one.mean_time_s)
    assert np.std(wide.times_s) > 1.2 * np.std(one.times_s)
    assert one.draws(4, 5)[0] is one.draws(4, 5)[0]
