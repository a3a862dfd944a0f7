"""A ceiling on calls a second."""

from __future__ import annotations

import math

import pytest

from probes.pace import Pace, lasting_per_s

RATES = [0.2, 1.0, 1.5, 2.7, 9.74, 9.75, 9.99, 10.0, 33.3, 120.4]


def sends(rate: float, count: int) -> list[float]:
    """When `count` calls leave that all could leave at once."""
    pace, at = Pace(rate), [0.0]
    pace.sent(0.0)
    for _ in range(count - 1):
        at.append(pace.next_s(at[-1]))
        pace.sent(at[-1])
    return at


@pytest.mark.parametrize("rate", RATES)
def test_a_long_job_goes_at_its_ceiling(rate: float) -> None:
    """Of any rate at most that many a second go in the long run, and at least 98 %: what is foretold of it."""
    count = 3000
    seconds = sends(rate, count)[-1]
    assert count / seconds == pytest.approx(lasting_per_s(rate), rel=0.05)
    assert 0.98 * rate <= lasting_per_s(rate) <= rate * (1.0 + 1e-12)
    whole = math.ceil(rate)
    assert seconds >= (count - whole) / rate - 1e-6


@pytest.mark.parametrize("rate", RATES)
def test_no_second_holds_more(rate: float) -> None:
    """No second, nor a window longer by the way's jitter, holds more calls than the rate, or the next whole number."""
    at = sends(rate, 400)
    assert max(sum(first <= one < first + 1.0199 for one in at) for first in at) == math.ceil(rate)


def test_no_ceiling() -> None:
    """Without one nothing waits."""
    assert (Pace(None).next_s(3.0), Pace(math.inf).wait_s(3.0)) == (3.0, 0.0)
