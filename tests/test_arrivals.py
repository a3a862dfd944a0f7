from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from probes.arrivals import arrivals, check, mean_per_s, peak_per_s, seconds
from probes.errors import UsageError

SPECS: dict[str, dict[str, Any]] = {
    "even": {"kind": "even", "rate_per_s": 4.0},
    "poisson": {"kind": "poisson", "rate_per_s": 50.0, "seed": 3},
    "ramp": {"kind": "ramp", "start_per_s": 0.0, "end_per_s": 10.0},
    "steps": {"kind": "steps", "rates_per_s": [1.0, 2.0], "each_s": 2.0},
    "burst": {"kind": "burst", "size": 3, "every_s": 2.0, "count": 2},
}


def dues(name: str, duration_s: float) -> list[float]:
    return [at for _, at in arrivals(SPECS[name], duration_s)]


def test_even_times() -> None:
    """Four a second for a second and a half are six, a quarter of a second apart."""
    assert dues("even", 1.5) == [0.0, 0.25, 0.5, 0.75, 1.0, 1.25]


def test_poisson_times_are_those_of_the_seed() -> None:
    """Exponential gaps by the seed, added up, all below the duration."""
    source = random.Random(3)
    expected = list(itertools.accumulate(source.expovariate(50.0) for _ in range(400)))
    assert dues("poisson", 4.0) == [at for at in expected if at < 4.0]
    assert expected[-1] > 4.0


def test_ramp_steps_and_burst_times() -> None:
    """A ramp from rest has half the requests of its end rate; steps and bursts come as described and end."""
    assert len(dues("ramp", 10.0)) == 50
    assert dues("steps", 60.0) == [0.0, 1.0, 2.0, 2.5, 3.0, 3.5]
    assert dues("burst", 60.0) == [0.0, 0.0, 0.0, 2.0, 2.0, 2.0]
    assert dues("burst", 2.0) == [0.0, 0.0, 0.0]


def test_numbers_run_from_zero() -> None:
    """Each due time carries its number."""
    assert list(itertools.islice((n for n, _ in arrivals(SPECS["poisson"], 60.0)), 3)) == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "peak", "mean"), [("even", 4, 4), ("poisson", 50, 50), ("ramp", 10, 5), ("steps", 2, 1.5), ("burst", 3, 1.5)]
)
def test_peak_and_mean(name: str, peak: float, mean: float) -> None:
    """The greatest rate that a schedule asks for, and its mean over four seconds."""
    assert (peak_per_s(SPECS[name]), mean_per_s(SPECS[name], 4.0)) == (peak, mean)


def test_good_descriptions_pass() -> None:
    """Every kind as described; a single burst needs no period."""
    pause: dict[str, Any] = {"kind": "steps", "rates_per_s": [1, 0, 2], "each_s": 1}
    single: dict[str, Any] = {"kind": "burst", "size": 1, "every_s": None}
    for spec in (*SPECS.values(), pause, single):
        check(spec)
    assert [at for _, at in arrivals({"kind": "burst", "size": 2}, 9.0)] == [0.0, 0.0]


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"kind": "sine"}, "There is no schedule 'sine': use one of even, poisson, ramp, steps, burst."),
        ({"kind": "even"}, "A schedule 'even' needs rate_per_s; not rate_per_s."),
        ({"kind": "even", "rate_per_s": 1.0, "seed": 1}, "A schedule 'even' needs rate_per_s; not seed."),
        ({"kind": "even", "rate_per_s": 0.0}, "rate_per_s of a schedule 'even' must be a number above 0, not 0.0."),
        ({"kind": "even", "rate_per_s": float("nan")}, "rate_per_s of a schedule 'even' must be a number above 0, not nan."),
        ({"kind": "steps", "rates_per_s": [], "each_s": 1.0}, "A schedule 'steps' must ask for more than 0 requests/s somewhere."),
        ({"kind": "ramp", "start_per_s": 0.0, "end_per_s": 0.0}, "A schedule 'ramp' must ask for more than 0 requests/s somewhere."),
        (
            {"kind": "ramp", "start_per_s": -1.0, "end_per_s": 1.0},
            "start_per_s of a schedule 'ramp' must be a number of 0 or more, not -1.0.",
        ),
        ({"kind": "burst", "size": 1.5}, "size of a schedule 'burst' must be a whole number, not 1.5."),
    ],
)
def test_bad_descriptions_are_refused(spec: dict[str, Any], says: str) -> None:
    """What describes no schedule is refused with what is wrong."""
    with pytest.raises(UsageError) as error:
        check(spec)
    assert str(error.value) == says


@pytest.mark.parametrize(
    ("text", "value"), [("60s", 60.0), ("2m", 120.0), ("1.5h", 5400.0), ("250ms", 0.25), ("7", 7.0), (" 1d ", 86400.0)]
)
def test_durations(text: str, value: float) -> None:
    """A duration as people write it."""
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "s", "0s", "-1s", "1y", "1m30s", "nan"])
def test_bad_durations(text: str) -> None:
    """What is no duration above 0 is refused."""
    with pytest.raises(UsageError, match="is not a duration: write it as 60s, 2m or 1h"):
        seconds(text)
