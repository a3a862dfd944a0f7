from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from worlds import SELF, Law, World, random_world, recorded

from probes.bucket import BucketSettings
from probes.design import Design
from probes.fit.guesses import doubtful_orders
from probes.fit.identify import Fit, _swaps, fit
from probes.fit.regression import refined
from probes.fit.timeline import timeline
from probes.fit.touches import Touch, touches_of

TOLD = ["calm-mix-700", "calm-mix", "nine-workers", "one-two-three-other", "one-two-three", "overload-10-per-s", "parallel-30"]
"""Traces that hold all three constants; hard-mix and recovery do in a shape that is not always found, sequential-dear has two."""


def fitted(touches: list[Touch]) -> Fit:
    found = fit(touches)
    assert found is not None
    return found


def errors(found: Fit, bucket: BucketSettings) -> tuple[float, float, float]:
    """Relative errors of mark, reservation, outflow."""
    return (
        abs(found.bucket.high_water_mark / bucket.high_water_mark - 1.0),
        abs(found.bucket.up_front_cost / bucket.up_front_cost - 1.0),
        abs(found.bucket.outflow_per_s / bucket.outflow_per_s - 1.0),
    )


@pytest.mark.parametrize("name", TOLD)
def test_recorded_traces(name: str) -> None:
    """Canvas's own headers give mark and reservation within 0.2 %, the outflow within 2.5 %, by the client's clock alone."""
    bucket, seen = recorded(name)
    found = fitted(touches_of(seen))
    mark, reservation, outflow = errors(found, bucket)
    assert max(mark, reservation) < 0.002
    assert outflow < (0.025 if name == "parallel-30" else 0.01)
    assert found.n == len(seen)


@pytest.mark.parametrize("name", ["calm-mix-700", "calm-mix", "one-two-three-other", "one-two-three", "overload-10-per-s"])
def test_recorded_traces_without_runtime(name: str) -> None:
    """Without the server's own time they still give mark and reservation within 0.2 %, the outflow within 3 %."""
    bucket, seen = recorded(name, runtime=False)
    mark, reservation, outflow = errors(fitted(touches_of(seen)), bucket)
    assert max(mark, reservation) < 0.002
    assert outflow < 0.03


def test_a_reservation_above_the_mark_is_none() -> None:
    """Two pairs of calls also fit a bucket that its maximum cuts: maximum less the reservation. It admits no call: it is not told."""
    bucket = BucketSettings.of(436.0, 16.0, 80.0)
    world = World(bucket, Law(1.2, 4.1), 0.03, 0.0, seed=3)
    for size in (1, 1, 2, 2, 1, 1):
        world.round([0.0] * size, 1.0)
    touches = touches_of(world.seen)
    mirrored = dataclasses.replace(bucket, up_front_cost=bucket.maximum - 80.0)
    line = timeline(touches)
    as_well, right = (refined(line, [start], [0])[0] for start in (mirrored, bucket))
    assert np.abs(as_well.residuals).max() < 0.1 > np.abs(right.residuals).max()
    assert (as_well.possible, right.possible) == (False, True)
    assert as_well.cost == np.inf
    assert errors(fitted(touches), bucket)[1] < 0.002


def test_calls_one_after_another_hold_no_reservation() -> None:
    """No call overlaps another in sequential-dear: the reservation is unknown, mark and outflow are known to 0.1 %."""
    bucket, seen = recorded("sequential-dear")
    found = fitted(touches_of(seen))
    mark, reservation, outflow = found.errors
    assert reservation == np.inf
    assert mark < 0.1
    assert outflow < 0.01
    assert errors(found, bucket)[0] < 0.001
    assert errors(found, bucket)[2] < 0.001


@pytest.mark.parametrize("jump", [600.0, -300.0, 450.0])
def test_an_odd_header_is_no_reservation(jump: float) -> None:
    """Calls one after another, one header of which jumps: the reservation is unknown, and not the jump."""
    world = World(law=Law(0.3, 0.4), seed=2)
    for _ in range(11):
        world.round([0.0])
    touches = touches_of(world.seen)
    touches[5] = dataclasses.replace(touches[5], remaining=(touches[5].remaining or 0.0) + jump)
    assert fitted(touches).errors[1] == np.inf


@pytest.mark.untraced
@pytest.mark.parametrize("family", ["wide", "canvas"])
def test_random_buckets(family: str) -> None:
    """Three random buckets, asked as the design asks: every constant within 1 %, no refusal, at most 60 calls and 30 s."""
    for seed in range(3):
        world = random_world(seed, family)
        world.carry_out(Design((SELF,), price=False))
        assert max(errors(fitted(touches_of(world.seen)), world.bucket)) < 0.01, seed
        assert (world.refused, len(world.seen) <= 60, world.now_s <= 30.0) == (0, True, True), seed


@pytest.mark.untraced
@pytest.mark.parametrize("seed", [2, 8])
def test_dear_calls_that_swap(seed: int) -> None:
    """A departure that swaps shifts a header by a reservation less what its call paid: so dear, quick calls tell all three constants."""
    world = World(BucketSettings(1100.0, 4400 / 3, 12.0, 45.0), Law(0.13, 4.7), rtt_s=0.11, jitter_s=0.05, seed=seed)
    world.opened((22, 0.045), (22, 0.034))
    for gap_s in (0.04, 0.025, 0.018, 0.014, 0.012):
        world.round([n * gap_s for n in range(12)], 5.0)
    found = fitted(touches_of(world.seen))
    assert len(world.seen) == 116
    assert max(errors(found, world.bucket)) < 0.01
    assert found.noise < 0.8


@pytest.mark.untraced
def test_a_long_run_begins_from_what_its_first_calls_say() -> None:
    """Of 300 quick, dense calls with jitter no part of the reservation explains more than it does: the first sixty led there."""
    world = World(BucketSettings(580.0, 2320 / 3, 15.0, 56.0), Law(0.075, 0.8), rtt_s=0.11, jitter_s=0.04, seed=3)
    world.opened((22, 0.018), (22, 0.019), (20, 0.069), (24, 0.044), (30, 0.034), (40, 0.03), (130, 0.032))
    assert max(errors(fitted(touches_of(world.seen)), world.bucket)) < 0.01


@pytest.mark.parametrize("order", [(42, 41), (71, 70), (86, 85)])
def test_the_order_that_explains_most_is_swapped_first(order: tuple[int, int]) -> None:
    """An order that was mistaken by 20 ms stands twentieth by nearness, and first by what it explains."""
    bucket, (call, other) = BucketSettings(), order
    world = World(bucket, Law(0.2, 1.0), rtt_s=0.05, jitter_s=0.003, seed=1)
    world.opened((22, 0.15), (60, 0.2), (40, 0.06))
    touches = touches_of(world.seen)
    early = touches[call].arrived_s < touches[other].departed_s
    touches[call] = dataclasses.replace(touches[call], arrived_s=touches[other].departed_s + (0.02 if early else -0.02))
    line, orders = timeline(touches), doubtful_orders(touches)
    assert orders.index(order) == 19
    (found,) = refined(line, [bucket], [0])
    assert _swaps(line, orders, found, bucket)[0][0] == order


def test_swapped_events() -> None:
    """Two answers whose arrivals swapped on the way shift a header by a whole reservation: the constants do not move."""
    world = World(law=Law(0.4, 0.2), seed=4)
    for size in (1, 1, 2, 3, 3, 4, 4, 3, 3):
        world.round([0.0] * size, 1.0)
    touches = touches_of(world.seen)
    plain = fitted(touches)
    pairs = [
        (a, b)
        for a in range(len(touches))
        for b in range(len(touches))
        if a != b and 0 < touches[b].departed_s - touches[a].departed_s < 0.05
    ]
    assert pairs, "some answers left within 50 ms of each other"
    first, second = pairs[0]
    swapped = list(touches)
    swapped[first] = dataclasses.replace(touches[first], departed_s=touches[second].departed_s + 0.001)
    assert max(errors(fitted(swapped), world.bucket)) < 0.01
    assert max(errors(plain, world.bucket)) < 0.005


@pytest.mark.untraced
def test_an_order_that_was_lost_is_found_again() -> None:
    """Where jitter hid which of two events came first, and the floor hangs on it, the order that explains the headers is taken."""
    world = random_world(28, jitter_s=0.012)
    world.carry_out(Design((SELF,), 60, price=False))
    found = fitted(touches_of(world.seen))
    _, reservation, outflow = errors(found, world.bucket)
    assert found.solution.cost < 0.7
    assert reservation < 0.001
    assert outflow < 0.006


def test_clock_drift() -> None:
    """A client's clock that runs 1 % fast makes the outflow 1 % smaller, and nothing else."""
    world = World(law=Law(0.4, 0.2), seed=2)
    world.carry_out(Design((SELF,), price=False))
    touches = [dataclasses.replace(t, arrived_s=t.arrived_s * 1.01, departed_s=t.departed_s * 1.01) for t in touches_of(world.seen)]
    found = fitted(touches)
    assert found.bucket.outflow_per_s == pytest.approx(world.bucket.outflow_per_s / 1.01, rel=0.005)
    assert max(errors(found, world.bucket)[:2]) < 0.002


def test_older_script() -> None:
    """The script without the floor, where an idle spell swallows a reservation, is recognised; today's is not mistaken for it."""
    older = World(BucketSettings(floor_after_leak=False), Law(0.4, 4.0), seed=3)
    today = World(BucketSettings(), Law(0.4, 4.0), seed=3)
    for world in (older, today):
        for size in (1, 1, 2, 3, 1, 3, 2, 3, 3, 2, 3, 1, 2, 3, 3):
            world.round([0.0] * size, 4.0)
    assert fitted(touches_of(older.seen)).bucket.floor_after_leak is False
    assert fitted(touches_of(today.seen)).bucket.floor_after_leak is True
    assert errors(fitted(touches_of(older.seen)), older.bucket)[1] < 0.02


def test_heavy_tailed_costs() -> None:
    """Costs of three orders of magnitude do not move the constants."""
    world = World(law=Law(0.4, 1.0, spread=1.6), seed=6)
    for size in (1, 1, 2, 3, 3, 3, 3, 3, 3, 3, 3):
        world.round([0.0] * size, 5.0)
    assert max(errors(fitted(touches_of(world.seen)), world.bucket)) < 0.01


def test_nothing_to_fit() -> None:
    """Without a header there is no fit; without a usable cost neither."""
    assert fit([]) is None
    assert fit([Touch(0.0, 1.0, 0.0, None)]) is None
    assert fit([Touch(0.0, 1.0, 0.0, 590.0, known_cost=False)]) is None


def test_one_header() -> None:
    """One header tells nothing of reservation or outflow, and says so."""
    found = fitted([Touch(0.0, 1.0, 0.0, 600.0)])
    assert found.errors[1] == np.inf
    assert found.errors[2] == np.inf
    assert found.n == 1


def test_start_from_a_known_bucket() -> None:
    """A first guess that is near spares the grid and comes to the same."""
    bucket, seen = recorded("one-two-three")
    near = fit(touches_of(seen), bucket.scaled(up_front_cost=52.0))
    assert near is not None
    assert max(errors(near, bucket)[:2]) < 0.002


def test_doubtful_orders() -> None:
    """Events of two calls that lie near each other while one is in flight are doubtful, nearest first."""
    touches = [Touch(0.0, 1.0, 0.0, 600.0), Touch(1.01, 2.0, 0.0, 600.0), Touch(1.97, 3.0, 0.0, 600.0), Touch(9.0, 9.5, 0.0, 600.0)]
    assert doubtful_orders(touches) == [(1, 0), (2, 1)]
    assert doubtful_orders([]) == []


def test_headers_that_never_rise_above_0() -> None:
    """A bucket that was never seen below its mark tells no mark: nothing is fitted, and nothing divided by it."""
    assert fit([Touch(0.1 * n, 0.1 * n + 0.3, 0.1, 0.0) for n in range(12)]) is None


def test_headers_that_share_one_mistake_count_once() -> None:
    """Of six headers since one touch of the floor that all lie 15 units above the replay one is off.

    Below it, as another job makes them, or where they do not agree, all are.
    """
    world = World(seed=2)
    world.round([0.0])
    world.round([0.05 * n for n in range(12)], after_s=1.0)
    world.round([0.0], after_s=9.0)
    one = fitted(touches_of(world.seen))
    together = np.flatnonzero((one.solution.origins == one.solution.origins[6]) & one.solution.beside)[:6]
    assert len(together) == 6
    for off, missed in ((np.full(6, 15.0), 1), (np.full(6, -15.0), 6), (15.0 * np.arange(1, 7), 6)):
        residuals = np.zeros(one.n)
        residuals[together] = off
        there = dataclasses.replace(one, solution=dataclasses.replace(one.solution, residuals=residuals, noise=0.02))
        assert there.outliers == missed / one.n
