"""Where a series takes a new level: how often chance alone seems to, and how often a true change is found where it was."""

from __future__ import annotations

import math
import random

import pytest

from probes.levels import noise, splits, sure

OWN = 0.05
"""Standard error of each value."""


def drawn(count: int, between: float, source: random.Random, change: float = 1.0, since: int = 0) -> list[int]:
    """The levels found in `count` values that differ by `between` among themselves, times `change` from index `since` on."""
    logs = [source.gauss(0.0, between) + source.gauss(0.0, OWN) + (math.log(change) if n >= since else 0.0) for n in range(count)]
    return splits(logs, [OWN] * count)


@pytest.mark.parametrize("between", [0.0, 0.05, 0.1])
@pytest.mark.parametrize("count", [2, 3, 5, 8, 20, 60])
def test_a_world_that_stays_shows_no_change(count: int, between: float) -> None:
    """Of 300 series in which nothing changed 4 % at most show a change, all places of a series together."""
    source = random.Random(count)
    assert sum(bool(drawn(count, between, source)) for _ in range(300)) <= 12


@pytest.mark.parametrize(
    ("count", "since", "between", "found"), [(60, 35, 0.05, 93), (60, 35, 0.1, 83), (20, 10, 0.05, 95), (8, 4, 0.0, 90)]
)
def test_a_rise_by_half_is_found_where_it_was(count: int, since: int, between: float, found: int) -> None:
    """Of 100 series that rise by half so many at least show this one change and at that very value."""
    source = random.Random(9)
    assert sum(drawn(count, between, source, 1.5, since) == [since] for _ in range(100)) >= found


def test_the_noise_between_values() -> None:
    """Told by successive differences: one change among twenty values hardly raises it; too few values show none."""
    source = random.Random(3)
    logs = [source.gauss(0.0, 0.2) for _ in range(400)]
    errors = [0.0] * 400
    assert math.sqrt(noise(logs, errors)) == pytest.approx(0.2, rel=0.15)
    assert math.sqrt(noise([y + (n >= 200) for n, y in enumerate(logs)], errors)) == pytest.approx(0.2, rel=0.15)
    assert math.sqrt(noise(logs[:4], errors[:4])) == 0.08
    assert math.sqrt(noise([0.0] * 9, [0.01] * 9)) == 0.02


def test_how_far_chance_goes() -> None:
    """Student's t at the odds of a false change at any place: 0.005 each side of two values with 4.4 degrees, 1 in 6,000 with 27.6."""
    assert sure(2) == pytest.approx(4.40, abs=0.03)
    assert sure(60) == pytest.approx(4.10, abs=0.03)


def test_known_errors_are_no_guess() -> None:
    """Where the values' own errors are all there is, chance goes less far than where a few differences had to tell: 7.6 and 13 degrees."""
    assert (sure(10, 0.0, 0.01), sure(10, 0.01, 0.0)) == pytest.approx((4.64, 3.82), abs=0.03)


def test_a_rise_by_a_fifth_is_found() -> None:
    """Of 100 series of ten values, known to 5 % each, that rise by a fifth more than half show it where it was."""
    source = random.Random(12)
    assert sum(drawn(10, 0.0, source, 1.2, 5) == [5] for _ in range(100)) >= 55


def test_levels_closer_than_the_least_difference_are_one() -> None:
    """A step from 1.0 to 1.8 ms is none where levels closer than 1 ms are one."""
    logs = [math.log(0.001)] * 6 + [math.log(0.0018)] * 6
    assert splits(logs, [0.01] * 12) == [6]
    assert splits(logs, [0.01] * 12, least=0.001) == []


def test_two_levels_of_one_value_each_are_no_change() -> None:
    """One value against one is no change however far apart; one against two of it is, and so are single values that stand beside more."""
    near, far = math.log(0.1), math.log(0.4)
    assert splits([near, far], [0.01] * 2) == []
    assert splits([near, far, near], [0.01] * 3) == []
    assert splits([near, far, far], [0.01] * 3) == [1]
    assert splits([near] * 6 + [far, 2 * far], [0.01] * 8) == [6]
    assert splits([near] * 6 + [far] + [near] * 6, [0.01] * 13) == [6, 7]
