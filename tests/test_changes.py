from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from worlds import SELF, Law, World, observed

from probes.bucket import BucketSettings
from probes.changes import RISING, again, dearer, drifting, first_ones, lasting, signs_of_calls
from probes.design import Design
from probes.estimate import estimate
from probes.observation import Observation, Outcome
from probes.prices import Prices
from probes.signatures import Sign


@pytest.mark.untraced
@pytest.mark.parametrize(("less", "told"), [(0.0, []), (150.0, ["limit_changed"])])
def test_a_level_that_changes_by_whole_reservations(less: float, told: list[str]) -> None:
    """Headers that are three reservations lower from the eightieth call on are no order of events: said, and no constant told."""
    world = World(law=Law(0.3, 0.3), seed=2, answers=lambda n, seen: {**seen, "remaining": seen["remaining"] - less * (n >= 80)})
    world.carry_out(Design((SELF,), 100))
    found = estimate(world.seen)
    assert found is not None
    assert [kind for kind, _ in found.signs] == told
    assert (found.fit is None) is bool(told)


@pytest.mark.untraced
@pytest.mark.parametrize(
    ("last_calls", "bucket", "last"),
    [
        (13, BucketSettings(480.0, 640.0, 10.0, 50.0), "mark 480, reservation 50, outflow/s 10"),
        (63, BucketSettings(600.0, 800.0, 10.0, 30.0), "mark 600, reservation 30, outflow/s 10"),
    ],
)
def test_a_limit_that_is_changed_while_it_is_asked(last_calls: int, bucket: BucketSettings, last: str) -> None:
    """The bucket before and the one after are both named, no rate is told of their mixture, and nobody else is blamed."""
    world = World(law=Law(0.3, 0.3), seed=3)
    world.opened((15, 0.11), (12, 0.31), (12, 0.21), (12, 0.15), (12, 0.11), (12, 0.095), (last_calls, 0.06))
    world.deploy(bucket)
    world.opened((12, 0.31), (12, 0.18), (12, 0.13), after_s=6.0)
    found = estimate(world.seen)
    assert found is not None
    told = dict(found.signs)
    assert (found.fit, "shared_token" in told) == (None, False)
    then, now = told["limit_changed"].split("the first calls show ")[1].split(", the last ")
    texts = (then, now, "mark 600, reservation 50, outflow/s 10", last)
    constants = [[float(part.split()[-1]) for part in text.split(". ")[0].split(", ")] for text in texts]
    assert constants[0] == pytest.approx(constants[2], rel=0.03)
    assert constants[1] == pytest.approx(constants[3], rel=0.03)


@pytest.mark.untraced
def test_where_calls_queue_no_limit_is_said_to_have_changed() -> None:
    """Where one call of ten waits in front of the server the order of calls is not known, and the last may seem to show another."""
    world = World(law=Law(0.3, 0.3), seed=2)
    world.opened((22, 0.11), (12, 0.31), (12, 0.19), (12, 0.14), (10, 0.11))
    world.deploy(BucketSettings(480.0, 640.0, 10.0, 50.0))
    world.opened((12, 0.3), (12, 0.17), after_s=6.0)
    found = estimate([replace(o, sent_s=(o.sent_s or 0.0) - 0.3 * (n % 10 == 9)) for n, o in enumerate(world.seen)])
    assert found is not None
    assert "limit_changed" not in dict(found.signs)


@pytest.mark.untraced
def test_a_limit_that_is_changed_late() -> None:
    """Last calls that tell no bucket by themselves, as costs keep the level off its floor: that they fit no more is said."""
    world = World(BucketSettings(1060.0, 1414.0, 8.3, 95.0), Law(0.8, 3.7), seed=3)
    world.opened((10, 0.29), (19, 1.07), (23, 0.62), (28, 0.49), (38, 0.39), (80, 0.37), (40, 0.37))
    world.deploy(BucketSettings(640.0, 854.0, 4.1, 143.0))
    for calls, gap_s, after_s in ((12, 0.93, 0.05), (12, 0.56, 50.0), (12, 0.42, 40.0)):
        world.round([n * gap_s for n in range(calls)], after_s)
    found = estimate(world.seen)
    assert found is not None
    assert found.fit is None
    said = " of the last 40 headers fit no more what others show: the limit was changed, or another job began."
    assert dict(found.signs)["limit_changed"].endswith(said)


def answers(*parts: tuple[int, float]) -> list[Observation]:
    """So many calls one after another, each of which took the server so long."""
    times = [time_s * (1.0 + 0.05 * (n % 5)) for count, time_s in parts for n in range(count)]
    return [observed(float(n), n + time_s + 0.05, server_time_s=time_s) for n, time_s in enumerate(times)]


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (((15, 1.5), (60, 0.12)), "1.6 s a call at one time and 0.13 s at another: the rate is that of the mixture."),
        (((90, 0.12), (20, 0.4)), f"0.13 s a call at first and 0.43 s later: {RISING}"),
        (((8, 1.5), (40, 0.12)), "1.6 s a call at one time and 0.13 s at another: the rate is that of the mixture."),
        (((7, 1.5), (40, 0.12)), None),
        (((10, 0.2), (50, 0.12)), "0.22 s a call at one time and 0.13 s at another: the rate is that of the mixture."),
        (((10, 0.17), (50, 0.12)), None),
        (((110, 0.12),), None),
    ],
)
def test_a_server_that_warms_up_or_slows_down_for_good(parts: tuple[tuple[int, float], ...], said: str | None) -> None:
    """The first or the last sixth, eight calls at least, that took the server half as long again as all others is said."""
    assert drifting(answers(*parts)) == (None if said is None else f"The server took {said}")


def spread(n: int, *, factor: float = 1.0, since: int = 150, until: int = 10_000) -> np.ndarray:
    """Values of lognormal spread a half, those from `since` to `until` so many times as great."""
    places = np.arange(n)
    return np.exp(np.random.default_rng(n).normal(0.0, 0.5, n)) * np.where((places >= since) & (places < until), factor, 1.0)


@pytest.mark.parametrize("what", ["costs", "times_s"])
def test_what_a_job_to_come_pays(what: str) -> None:
    """Where calls cost or take 1.6 times as much from the 151st on, those since then are left; the whole is kept beside."""
    columns = {"costs": spread(400), "times_s": spread(400), what: spread(400, factor=1.6)}
    left = lasting(Prices(columns["costs"], columns["times_s"]))
    assert left.n == pytest.approx(250, abs=5)
    assert np.array_equal(left.whole.times_s, columns["times_s"])
    assert np.array_equal(left.costs, columns["costs"][400 - left.n :])


def test_what_goes_on_rising_is_told_as_at_the_end() -> None:
    """Costs that double bit by bit to the very last, spread by a half: in the mean of twenty what the last pay, within a twelfth."""
    rises = [np.linspace(1.0, 2.0, 360) * np.exp(np.random.default_rng(seed).normal(0.0, 0.5, 360) - 0.125) for seed in range(20)]
    told = [float(np.mean(lasting(Prices(costs, np.ones(360))).costs)) for costs in rises]
    assert float(np.mean(told)) == pytest.approx(2.0, rel=1 / 12)


def test_what_was_seen_stands_beside_what_goes_on_rising() -> None:
    """All that was seen is what was seen; calls that came to be long at once, as behind a lock, and then ever less so do not go on."""
    rises = np.linspace(1.0, 2.0, 360) * np.exp(np.random.default_rng(0).normal(0.0, 0.1, 360))
    behind = np.concatenate([np.full(300, 0.3), np.linspace(2.5, 1.0, 60)])
    for times in (rises, behind):
        left = lasting(Prices(np.ones(360), times))
        assert (left.n < 360, np.array_equal(left.whole.times_s, times)) == (True, True)
        assert np.array_equal(left.times_s, times[360 - left.n :]) is (times is behind)


def test_all_calls_are_of_one_time() -> None:
    """Calls that do not change, that become cheaper, or of which 80 in a row took six times as long and then no more, are all left."""
    for columns in (spread(400), spread(400, factor=0.6), spread(400, factor=6.0, until=230), np.full(400, 0.5), spread(39, factor=9.0)):
        prices = Prices(spread(len(columns)), columns)
        assert lasting(prices) is prices


@pytest.mark.parametrize(("count", "by", "left"), [(100, 1.04, 200), (100, 1.06, 100), (20, 2.0, 20)])
def test_from_where_on_calls_are_dearer(count: int, by: float, left: int) -> None:
    """From the very call on where they cost more than a twentieth more than the hundred before."""
    costs = np.repeat([1.0, by], [100, count])
    assert lasting(Prices(costs, np.ones(len(costs)))).n == left


def test_what_is_said_of_the_calls_themselves() -> None:
    """Answers that did not come in time, and what changed; where a cache answers what is asked again no drift is blamed."""
    slower = answers((90, 0.12), (20, 0.4))
    assert signs_of_calls(slower[:90]) == ()
    said = "1 of 111 calls brought no answer in time, and may fill the bucket unseen."
    late = replace(slower[0], outcome=Outcome.READ_TIMEOUT, status=None)
    assert signs_of_calls([*slower, late]) == (Sign("timeouts", said), Sign("server_time_drifts", drifting(slower) or ""))
    cached = [replace(o, path=f"/{n % 60}", cost=2.0 - 1.5 * (n >= 60)) for n, o in enumerate(answers((60, 0.4), (60, 0.12)))]
    assert signs_of_calls(cached) == (Sign("asked_again", again(cached) or ""),)


def test_what_a_cache_answers_prices_no_job() -> None:
    """Of 60 paths asked four times each, dear at first and nearly free again, only first calls count; not where all calls are as dear."""
    paths = [f"/api/v1/users/{n % 60}" for n in range(240)]
    costs = spread(240) * np.where(np.arange(240) < 60, 3.0, 0.05)
    left = first_ones(paths, Prices(costs, spread(240)))
    assert np.array_equal(left.costs, costs[:60])
    even = Prices(spread(240), spread(240))
    assert first_ones(paths, even) is even
    assert first_ones(["/api/v1/users/self"] * 240, Prices(costs, costs)).n == 240
    assert [first_ones(paths, Prices(np.repeat([by, 1.0], [60, 180]), np.ones(240))).n for by in (1.04, 1.06)] == [240, 60]
    seen = [
        replace(observed(float(n), n + 0.5, cost=float(cost), server_time_s=0.4), path=path)
        for n, (cost, path) in enumerate(zip(costs, paths, strict=True))
    ]
    said = again(seen)
    assert said is not None
    assert said.startswith(
        f"What is asked for again takes {np.mean(costs[60:]):.2g} units where it took {np.mean(costs[:60]):.2g} at first: "
    )
    assert again(seen[:60]) is None


def test_calls_that_become_dearer_are_said() -> None:
    """What they cost at first and later, and which of the two the rate is of; nothing where they cost the same."""
    paid = spread(300, factor=2.0)
    seen = [observed(float(n), n + 0.5, cost=float(cost)) for n, cost in enumerate(paid)]
    first, later = (float(np.mean(part)) for part in np.split(paid, [300 - lasting(Prices(paid, np.ones(300))).n]))
    assert dearer(seen) == f"Calls cost {first:.2g} units at first and {later:.2g} later: {RISING}"
    assert dearer(seen[:150]) is None
