from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.bucket import Bucket, BucketSettings


def close(value: float) -> object:
    return pytest.approx(value, abs=1e-9)


def test_one_after_another_never_shows() -> None:
    """A single sequential client always reads the whole mark (canvas-lms worked example A)."""
    bucket = Bucket(BucketSettings())
    for n in range(20):
        assert bucket.arrive(n * 0.3)
        assert bucket.depart(0.12, n * 0.3 + 0.3) == 600.0


def test_dear_calls_one_after_another() -> None:
    """Calls of 200.1 units each: three pass, the fourth is refused and reads a positive Remaining (worked example B)."""
    bucket = Bucket(BucketSettings())
    seen = []
    for start, end in ((0.0, 0.2), (0.2, 0.4), (0.4, 0.6)):
        assert bucket.arrive(start)
        seen.append(bucket.depart(200.1, end))
    assert seen == [close(401.9), close(203.8), close(5.7)]
    assert not bucket.arrive(0.6)
    assert bucket.depart(0.0, 0.605) == close(5.75)
    assert not bucket.arrive(4.6)
    bucket.depart(0.0, 4.61)
    assert bucket.arrive(5.6)


def test_sixteen_at_once() -> None:
    """Of 16 starts one millisecond apart 12 are admitted, the twelfth by the leak; the refused read what is left (worked example C)."""
    bucket = Bucket(BucketSettings())
    assert [bucket.arrive(n * 0.001) for n in range(12)] == [True] * 12
    assert bucket.level == close(599.89)
    left = []
    for n in range(12, 16):
        assert not bucket.arrive(n * 0.001)
        left.append(bucket.depart(0.0, n * 0.001 + 0.0004))
    assert left == [close(0.124), close(0.134), close(0.144), close(0.154)]


def test_eleven_at_one_instant() -> None:
    """At one and the same instant eleven are admitted: the twelfth would reach the mark."""
    bucket = Bucket(BucketSettings())
    assert [bucket.arrive(0.0) for _ in range(12)] == [True] * 11 + [False]


def test_the_cap_makes_remaining_negative() -> None:
    """Two dear calls at level 490 are both admitted and drive Remaining to mark - maximum (worked example D)."""
    bucket = Bucket(BucketSettings(), level=490.0)
    assert bucket.arrive(0.0)
    assert bucket.arrive(0.0)
    assert bucket.depart(200.0, 0.0) == close(-140.0)
    assert bucket.depart(200.0, 0.0) == close(-200.0)


def test_the_floor_of_the_newer_script() -> None:
    """After an idle spell the newer script reserves 50 from zero; the older one let the leak swallow it."""
    newer = Bucket(BucketSettings(), level=0.5)
    older = Bucket(BucketSettings(floor_after_leak=False), level=0.5)
    assert (newer.level_at(100.0), newer.touch(50.0, 100.0)) == (0.0, 50.0)
    assert (older.level_at(100.0), older.touch(50.0, 100.0)) == (-999.5, 0.0)


def test_a_clock_that_goes_back_leaks_nothing() -> None:
    """Skew between application servers makes the leak zero, never negative."""
    bucket = Bucket(BucketSettings(), level=100.0, touched_s=10.0)
    assert bucket.level_at(5.0) == 100.0
    assert bucket.touch(0.0, 5.0) == 100.0


def test_scaled() -> None:
    """A copy with other constants leaves the first as it was."""
    settings = BucketSettings()
    assert settings.scaled(outflow_per_s=20.0) == BucketSettings(outflow_per_s=20.0)
    assert settings == BucketSettings(600.0, 800.0, 10.0, 50.0, True)


@pytest.mark.untraced
@given(st.lists(st.tuples(st.floats(0.0, 30.0), st.floats(-100.0, 300.0)), max_size=60))
def test_the_level_stays_within_its_bounds(touches: list[tuple[float, float]]) -> None:
    """Whatever happens, the level lies between zero and the maximum, and looking at it changes nothing."""
    bucket = Bucket(BucketSettings())
    now = 0.0
    for gap, amount in touches:
        now += gap
        before = bucket.level
        bucket.level_at(now + 1.0)
        assert bucket.level == before
        assert 0.0 <= bucket.touch(amount, now) <= 800.0
