from __future__ import annotations

import math
import random

import pytest
from bench.beside import bound
from bench.level import Booked, wide
from bench.limiter import known

from probes.book.narrows import LOOKS_S, Narrows, fits, odds

MARK, COST = 400.0, 90.0
"""Four calls fit."""


def heard(narrows: Narrows, *levels: float, apart_s: float = 0.1) -> None:
    """Headers of lone calls, so far apart, that showed these levels (units)."""
    for level in levels:
        narrows.shown_exactly(level, COST, apart_s)


def test_odds_of_a_crowd() -> None:
    """Neighbours that stay are binomial, those that come are Poisson; no room is surely taken."""
    assert odds(0, 0.0, 1.0, 1) == pytest.approx(1.0 - math.exp(-1.0))
    assert odds(2, 0.5, 0.0, 1) == pytest.approx(0.75)
    assert odds(3, 0.5, 0.0, 3) == pytest.approx(0.125)
    # none, one or both of two stay, and two, one or none more come at least
    assert odds(2, 0.5, 1.0, 2) == pytest.approx(0.25 * (1.0 - 2.0 / math.e) + 0.5 * (1.0 - 1.0 / math.e) + 0.25)
    assert odds(0, 0.0, 0.5, 0) == 1.0


def test_calls_that_fit() -> None:
    """As many calls fit as reserve less than the mark; a call that reserves the mark itself is refused."""
    assert [fits(600.0, 50.0), fits(601.0, 50.0), fits(400.0, 90.0), fits(50.0, 50.0), fits(-1.0, 50.0)] == [11, 12, 4, 0, -1]


def test_only_a_bucket_that_neighbours_fill_is_narrow() -> None:
    """One neighbour in the mean fills four places now and then, and eleven hardly ever; six fill them too."""
    narrows = Narrows()
    assert narrows.at(MARK, COST)
    assert not narrows.at(600.0, 50.0)
    assert narrows.wait_s(600.0, 50.0, 0, (0.0, 0.1), 0.0) is None
    narrows.usual = 6.0
    assert narrows.at(600.0, 50.0)


def test_an_empty_header_is_the_right_instant() -> None:
    """Where the last header showed nobody a call goes at once; where it showed three neighbours, when they have left."""
    narrows = Narrows()
    heard(narrows, 0.0)
    assert narrows.wait_s(MARK, COST, 0, (0.0, 0.06), 0.0) == 0.0
    heard(narrows, 3 * COST)
    assert narrows.beside == 3
    wait_s = narrows.wait_s(MARK, COST, 0, (0.02, 0.06), 0.0) or 0.0
    assert wait_s == pytest.approx(narrows.held_s - 0.02, abs=0.001)
    assert narrows.wait_s(MARK, COST, 0, (0.02 + wait_s, 0.06 + wait_s), wait_s) == 0.0


def test_calls_go_one_by_one() -> None:
    """While a call is out its answer is waited for, unless the next is sure to fit beside it."""
    narrows = Narrows()
    heard(narrows, 0.0)
    assert narrows.wait_s(MARK, COST, 1, (0.3, 0.4), 0.0) == LOOKS_S
    assert narrows.wait_s(MARK, COST, 1, (0.0, 0.01), 0.0) == 0.0


def test_what_was_paid_drains_first() -> None:
    """Where what calls paid takes the place of one more its leak is waited for, some seconds at most."""
    narrows = Narrows()
    narrows.pays(100.0, 0.0, leaks_per_s=10.0)
    heard(narrows, 100.0)
    assert narrows.beside == 0
    assert narrows.wait_s(MARK, COST, 0, (1.0, 1.0), 0.0) == pytest.approx((100.0 - (MARK - 4 * COST)) / 10.0, abs=0.001)
    assert narrows.wait_s(MARK, COST, 0, (20.0, 20.0), 0.0) == 0.0


def test_lone_headers_tell_what_is_paid() -> None:
    """No more can have been paid than the level that a header shows while none of our calls is out; the rest is whole reservations."""
    narrows = Narrows()
    narrows.pays(50.0, 0.0, leaks_per_s=10.0)
    heard(narrows, 20.0, 20.0 + 2 * COST)
    assert (narrows.paid, narrows.beside) == (20.0, 2)


@pytest.mark.parametrize(("per_s", "held_s"), [(3.0, 0.3), (1.0, 1.0), (3.0, 0.1)])
def test_how_long_neighbours_are_held(per_s: float, held_s: float) -> None:
    """It is found, within a factor of two, from how fast their number changes, and their mean from the number itself."""
    source, narrows = random.Random(7), Narrows()
    comes, now = 0.0, 0.0
    there: list[float] = []
    for _ in range(600):
        gap_s = source.uniform(0.05, 0.15)
        now += gap_s
        while comes < now:
            there.append(comes)
            comes += source.expovariate(per_s)
        there = [came for came in there if came + held_s > now]
        narrows.shown_exactly(COST * len(there), COST, gap_s)
    assert held_s / 2.0 < narrows.held_s < 2.0 * held_s
    assert narrows.usual == pytest.approx(per_s * held_s, rel=0.35)


@pytest.mark.untraced
def test_a_small_bucket_beside_a_busy_neighbour() -> None:
    """Where five calls fit, 150 ms away, no more calls are refused beside three a second than by the best choice of instants twice.

    With 0.4 of the mark kept free and no instant chosen 35 of these 5,781 were.
    """
    jobs = [wide(seed).changed(others="calls", rtt_s=0.15, jitter_s=0.003) for seed in (730001, 730003, 730034, 730045)]
    refused = sum(Booked(job, known(job)).run().refused for job in jobs)
    assert refused <= 2.0 * sum(bound(5, job.rtt_s, job.median_s) * len(job.costs) for job in jobs)


def test_the_bound_falls_with_the_size() -> None:
    """At 60 ms at least 195, 27 and 2.5 of 10,000 calls are refused where three, four and five fit, by the law of the neighbours."""
    assert [1e4 * bound(size, 0.06, 0.5) for size in (3, 4, 5)] == pytest.approx([195.2, 26.8, 2.5], rel=0.02)
