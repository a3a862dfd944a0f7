from __future__ import annotations

import math
from itertools import pairwise

import pytest

from probes.schedule import Schedule, burst, even, poisson, ramp, steps


def all_due(schedule: Schedule, most: int = 10_000) -> list[float]:
    due: list[float] = []
    for n in range(most):
        at = schedule(n)
        if at is None:
            return due
        due.append(at)
    return due


def test_even() -> None:
    """Equal gaps from zero; the end of the duration is outside it."""
    assert all_due(even(4.0, 1.5)) == [0.0, 0.25, 0.5, 0.75, 1.0, 1.25]
    assert even(50.0)(1_000_000) == 20_000.0


def test_burst() -> None:
    """So many at one instant, again after so many seconds, so many times."""
    assert all_due(burst(3)) == [0.0, 0.0, 0.0]
    assert all_due(burst(2, every_s=5.0, count=3)) == [0.0, 0.0, 5.0, 5.0, 10.0, 10.0]


def test_ramp_up() -> None:
    """From 0 to 10 a second in 10 s: 50 requests, request n where the area under the rate is n."""
    due = all_due(ramp(0.0, 10.0, 10.0))
    assert len(due) == 50
    assert due[:3] == [0.0, pytest.approx(math.sqrt(2.0)), 2.0]
    assert [t * t / 2.0 for t in due] == pytest.approx(range(50))


def test_ramp_down_ends() -> None:
    """A rate that falls to nothing ends: 50 requests, then None, however far one asks."""
    schedule = ramp(10.0, 0.0, 10.0)
    due = all_due(schedule)
    assert len(due) == 50
    assert due[1] == pytest.approx(10.0 - math.sqrt(98.0))
    assert schedule(1_000) is None


def test_ramp_that_is_flat() -> None:
    """A ramp from a rate to the same, or almost the same, is even."""
    assert all_due(ramp(5.0, 5.0, 2.0)) == pytest.approx(all_due(even(5.0, 2.0)))
    assert all_due(ramp(5.0, 5.0 + 1e-9, 2.0))[:10] == pytest.approx(all_due(even(5.0, 2.0)), abs=1e-9)


def test_steps() -> None:
    """Each rate for so long, exactly at that rate, also when the duration holds no whole number of requests; 0 is a pause."""
    assert all_due(steps([2.0, 0.0, 4.0], 1.0)) == [0.0, 0.5, 2.0, 2.25, 2.5, 2.75]
    assert all_due(steps([2.5], 1.0)) == pytest.approx([0.0, 0.4, 0.8])
    assert len(all_due(steps([0.1 * k for k in range(1, 11)], 10.0))) == 55


def test_poisson() -> None:
    """The same seed gives the same arrivals whatever is asked first; the mean gap is 1/rate and gaps vary as much as their mean."""
    one, two = poisson(20.0, 500.0, seed=3), poisson(20.0, 500.0, seed=3)
    assert one(100) == two(100)
    due = all_due(two, 20_000)
    assert due[:50] == all_due(one)[:50]
    assert due == sorted(due)
    assert due != all_due(poisson(20.0, 500.0, seed=4), 20_000)
    gaps = [b - a for a, b in pairwise(due)]
    mean = sum(gaps) / len(gaps)
    spread = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps))
    assert mean == pytest.approx(0.05, rel=0.03)
    assert spread / mean == pytest.approx(1.0, abs=0.05)
    assert 9_700 < len(due) < 10_300
