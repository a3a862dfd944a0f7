"""Servers that do not tell their own time: which part of each flight is the network's."""

from __future__ import annotations

import dataclasses

import pytest
from worlds import SELF, Law, World, observed, random_world

from probes.bounds import Bounds
from probes.bucket import BucketSettings
from probes.design import Design
from probes.estimate import Estimate, estimate
from probes.fit.distance import distance, with_times
from probes.fit.touches import network_s
from probes.rates import rate_document
from probes.safety import even_rate


def found(world: World) -> Estimate:
    one = estimate(world.seen)
    assert one is not None
    return one


def off(one: Estimate, world: World) -> list[float]:
    """Relative errors of mark, reservation and outflow."""
    assert one.fit is not None
    fitted, true = one.fit.bucket, world.bucket
    names = ("high_water_mark", "up_front_cost", "outflow_per_s")
    return [getattr(fitted, name) / getattr(true, name) - 1.0 for name in names]


def test_a_server_that_tells_its_time_is_as_far_as_that_says() -> None:
    """Flight less server time, at its smallest, is the distance; no constant is in doubt for it."""
    world = World(law=Law(0.3, 0.2), seed=5)
    world.carry_out(Design((SELF,), price=False))
    away = distance(world.seen)
    assert (away.round_trip_s, away.low, away.high, away.told) == (*(3 * [network_s(world.seen)]), True)
    assert not away.covariance.any()


def test_headers_that_stay_tell_no_distance() -> None:
    """Where Remaining never moves, however many answers came, no share explains it better than another."""
    assert distance([observed(0.1 * n, 0.1 * n + 0.3, remaining=600.0, cost=0.1) for n in range(40)]).told


def test_few_answers_tell_no_distance() -> None:
    """Of seven answers the connect is taken for the round trip, else nothing."""
    answers = [observed(n, n + 0.3, remaining=600.0, cost=0.1) for n in range(7)]
    assert distance(answers).round_trip_s == 0.0
    assert distance([dataclasses.replace(o, connect_s=0.04, reused=False) for o in answers]).round_trip_s == pytest.approx(0.04)


@pytest.mark.parametrize("cost", [None, float("nan")])
def test_headers_without_a_usable_cost_tell_no_distance(cost: float | None) -> None:
    """Levels of calls whose price is not known fit any bucket: no share is looked for, however many there are."""
    answers = [observed(0.1 * n, 0.1 * n + 0.3, remaining=600.0 - n, cost=cost, server_time_s=None) for n in range(40)]
    assert distance(answers).told
    one = estimate(answers)
    assert one is not None
    assert (one.regime, one.fit, [kind for kind, _ in one.signs]) == ("headers", None, ["cost_missing"])


@pytest.mark.untraced
@pytest.mark.parametrize(("mark", "time_s", "rtt_s", "jitter_s"), [(701.0, 0.06, 0.05, 0.003), (900.0, 0.15, 0.15, 0.003)])
def test_the_reservation_is_no_half_of_the_true_one(mark: float, time_s: float, rtt_s: float, jitter_s: float) -> None:
    """Where calls take as long as their way, flights taken for server times would make the reservation half as large as it is."""
    bucket = BucketSettings(mark, mark * 4 / 3)
    world = World(bucket, Law(time_s, share=(0.3, 0.5)), rtt_s=rtt_s, jitter_s=jitter_s, runtime=False, seed=101)
    world.carry_out(Design((SELF,), price=False))
    one = found(world)
    errors = off(one, world)
    assert max(abs(error) for error in errors[:2]) < 0.005
    assert one.away.low - 0.005 < rtt_s + 1.6 * jitter_s < one.away.high + 0.005
    assert [kind for kind, _ in one.signs] == ["no_server_time"]


@pytest.fixture(scope="module")
def untold() -> World:
    """A default bucket 80 ms away that does not tell its time, asked as the design asks."""
    world = World(law=Law(0.3, 0.2), rtt_s=0.08, runtime=False, seed=5)
    world.carry_out(Design((SELF,), price=False))
    return world


@pytest.mark.untraced
def test_it_is_said(untold: World) -> None:
    """The remark gives the range in milliseconds."""
    one = found(untold)
    low, high = (round(1e3 * share) for share in (one.away.low, one.away.high))
    assert dict(one.signs) == {
        "no_server_time": f"No answer tells the server's own time: {low} to {high} ms of each call are taken for the network, "
        "with which a bucket explains the headers best."
    }
    assert low <= 85 <= high + 1


@pytest.mark.untraced
def test_a_connect_that_fits_is_believed(untold: World) -> None:
    """Where a bucket explains the headers with the connect's time as well as with any, it is the distance; a proxy's is not."""
    for connect, believed in ((0.083, True), (0.002, False)):
        away = distance([dataclasses.replace(o, connect_s=connect, reused=False) for o in untold.seen])
        assert (away.round_trip_s == pytest.approx(connect)) is believed


@pytest.mark.untraced
@pytest.mark.slow
def test_a_random_server_that_does_not_tell_its_time() -> None:
    """A wide bucket: mark and reservation within 1 %, the rate within 15 %, and its interval holds the truth."""
    world = random_world(2000, "wide", runtime=False)
    world.carry_out(Design((SELF,), 400))
    one = found(world)
    assert max(abs(error) for error in off(one, world)[:2]) < 0.01
    told = rate_document(one, SELF.name, 1000, Bounds())["safe"]["rate_per_s"]
    truth = even_rate(world.law.twin(world.bucket), 1000, 0.05)
    assert told["value"] == pytest.approx(truth, rel=0.15)
    assert told["low"] <= truth <= told["high"]
    assert world.refused == 0


@pytest.mark.parametrize(("factor", "kept"), [(1.0, True), (0.0, False), (1000.0, False)])
def test_times_that_cannot_be_the_servers(factor: float, kept: bool) -> None:
    """A server time of 0 on every answer, or one longer than the flights, is taken for none told."""
    seen = [observed(n, n + 0.25, server_time_s=0.2 * factor) for n in range(20)]
    assert all((o.server_time_s is not None) is kept for o in with_times(seen))
