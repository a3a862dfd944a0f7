"""Calls that stand still together: found, and the rate bound by what piles up behind them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from worlds import SELF, Law, World, observed, random_world

from probes.bounds import Bounds
from probes.bucket import BucketSettings
from probes.design import Design
from probes.estimate import Estimate, estimate
from probes.observation import Observation, Outcome
from probes.pricing import Step
from probes.rates import rate_document
from probes.signatures import Sign
from probes.stalls import _stood_s, piled_rate, stalling

LAW = Law(0.3, 0.15, 0.4)


def asked(world: World) -> tuple[float | None, Estimate]:
    """(what stalls bound the rate to, the estimate) of a world that the design asked."""
    design = Design((SELF,), 400)
    world.carry_out(design)
    found = estimate(world.seen)
    assert found is not None
    return piled_rate(found, design.steps, world.seen), found


@pytest.mark.untraced
@pytest.mark.slow
@pytest.mark.parametrize(("seed", "stands", "true"), [(500300, (10.0, 1.0), 7.96), (653003, (30.0, 2.0), 4.61)])
def test_a_lock_bounds_the_rate(seed: int, stands: tuple[float, float], true: float) -> None:
    """A lock every 10 or 30 s, default bucket: the best estimate is within a third of the true rate and `low` below it; else 19/s."""
    bound, found = asked(World(BucketSettings(), LAW, rtt_s=0.06, seed=seed, stands=stands))
    assert bound is not None
    told = rate_document(found, SELF.name, 1000, Bounds(piles_at=bound))
    safe = told["safe"]
    assert safe["rate_per_s"]["value"] == pytest.approx(bound, rel=1e-5)
    assert true / 1.33 < bound < true * 1.33
    assert safe["rate_per_s"]["low"] < true
    sign = stalling(told, bound)
    assert sign is not None
    assert sign.kind == "stalls"
    assert safe["in_flight"] == 11


@pytest.mark.untraced
@pytest.mark.parametrize(("seed", "budget"), [(653002, 200), (653000, 400), (653001, 400)])
def test_a_lock_lets_no_call_be_refused_while_it_is_asked(seed: int, budget: int) -> None:
    """A lock of 2 s holds all headers back while calls come: steps end where as many are on their way as fit; else up to 9 were refused."""
    world = World(BucketSettings(), LAW, rtt_s=0.06, seed=seed, stands=(30.0, 2.0))
    world.carry_out(Design((SELF,), budget))
    assert world.refused == 0


@pytest.mark.untraced
@pytest.mark.slow
@pytest.mark.parametrize(("seed", "family", "jitter_s"), [(120000, "wide", 0.003), (120000, "canvas", 0.003), (120001, "wide", 0.03)])
def test_independent_calls_do_not_stand_still(seed: int, family: str, jitter_s: float) -> None:
    """Buckets whose calls take their times by themselves: no stall is found, so no sign is told either."""
    assert asked(random_world(seed, family, jitter_s=jitter_s))[0] is None


@pytest.mark.untraced
def test_dear_and_cheap_calls_in_turn_do_not_stand_still() -> None:
    """Six slow calls among eighteen quick ones, always in a row: each is held against its own kind."""
    world = World(BucketSettings(), LAW, seed=5)
    design = Design((SELF,), 300)
    world.carry_out(design)
    slow = [replace(o, call="GET /slow", received_s=(o.received_s or 0.0) + 1.0) if n % 24 < 6 else o for n, o in enumerate(world.seen)]
    found = estimate(slow)
    assert found is not None
    assert piled_rate(found, [], slow) is None
    assert piled_rate(replace(found, fit=None), design.steps, slow) is None


@pytest.mark.parametrize(("told", "stands"), [(True, False), (False, True)])
def test_who_waits_in_front_reserves_nothing(told: bool, stands: bool) -> None:
    """Rows of calls that wait in front of the server do not stand at the bucket; where no server time is told nobody can know."""
    seen = []
    for n in range(100):
        wait = 1.0 if 60 <= n < 68 else 0.0
        seen.append(observed(n / 5.0, n / 5.0 + 0.3 + wait, server_time_s=0.25 * (1.0 + 0.1 * (n * 7 % 10) / 10) if told else None))
    assert (_stood_s(seen) is not None) is stands


@pytest.fixture(scope="module")
def found() -> Estimate:
    """The default bucket and the prices of calls that take their times by themselves."""
    world = World(BucketSettings(), Law(0.3, 0.3), rtt_s=0.06, seed=3)
    world.carry_out(Design((SELF,), 40, price=False))
    told = estimate(world.seen)
    assert told is not None
    return told


def evenly(count: int, stands: tuple[float, float] = (0.0, 0.0)) -> list[Observation]:
    """So many calls, five a second and each of 0.3 s; those that would end while all `stands` end just after it."""
    ends = [0.2 * n + 0.3 + 0.01 * (n % 7) for n in range(count)]
    held = [stands[1] + 0.001 * n if stands[0] <= end < stands[1] else end for n, end in enumerate(ends)]
    return [observed(0.2 * n, end, cost=0.3, server_time_s=end - 0.2 * n) for n, end in enumerate(held)]


@pytest.mark.parametrize(
    ("count", "stands", "bound"),
    [
        (60, (0.0, 0.0), None),
        (60, (4.0, 4.3), None),
        (60, (4.0, 5.0), 12 / 1.219),
        (30, (2.0, 3.0), None),
        (40, (2.0, 3.0), 12 / 1.209),
        (20, (2.0, 3.1), None),
        (20, (2.0, 3.3), 5.0 * 600 / 371),
        (20, (2.0, 3.95), 5.0 * 600 / 532),
        (12, (0.3, 2.25), 5.0 * 600 / 578),
        (11, (0.3, 2.25), None),
    ],
    ids=[
        "none",
        "shorter than half a call",
        "a row",
        "too few for a row",
        "just enough",
        "one call more than by chance",
        "two more",
        "a pile",
        "of few calls",
        "of too few",
    ],
)
def test_what_one_stand_bounds(found: Estimate, count: int, stands: tuple[float, float], bound: float | None) -> None:
    """A row of long calls: what starts while the longest is out fills the bucket of 12 calls. A pile: faster by the room it leaves."""
    told = piled_rate(found, [Step(5.0, 0, count)], evenly(count, stands))
    assert told == (None if bound is None else pytest.approx(bound, rel=0.03))


def test_a_refusal_is_a_full_bucket(found: Estimate) -> None:
    """Where an even call was refused the rate is no greater than that of the step, however low the level seems; each step by itself."""
    refused = [replace(one, outcome=Outcome.THROTTLED, status=429) if n == 15 else one for n, one in enumerate(evenly(20))]
    assert piled_rate(found, [Step(5.0, 0, 20)], refused) == pytest.approx(5.0)
    later = [replace(one, sent_s=(one.sent_s or 0.0) + 60.0, received_s=(one.received_s or 0.0) + 60.0) for one in refused]
    assert piled_rate(found, [Step(9.0, 0, 20), Step(5.0, 20, 20)], [*evenly(20), *later]) == pytest.approx(5.0)
    assert piled_rate(found, [Step(9.0, 0, 20), Step(5.0, 20, 20)], [*refused, *evenly(20)]) == pytest.approx(9.0)


@pytest.mark.parametrize("why", ["server_time_drifts", "asked_again"])
def test_calls_that_take_long_for_another_reason(found: Estimate, why: str) -> None:
    """A row of long calls at a server that warmed up or slowed down for good is no stand; a pile is."""
    drifts, steps = replace(found, signs=(Sign(why, "so"),)), [Step(5.0, 0, 60)]
    assert piled_rate(drifts, steps, evenly(60, (4.0, 5.0))) is None
    assert piled_rate(drifts, steps, evenly(60, (4.0, 6.0))) == pytest.approx(5.0 * 12 / 11, rel=0.03)


def test_the_sign_is_of_the_rate_that_is_told() -> None:
    """Only where what piled up is what bounds the rate, to its digits, it is said."""
    told = {"safe": {"rate_per_s": {"value": 4.9, "low": 4.8, "high": 5.0}}}
    sign = stalling(told, 5.0004)
    assert sign is not None
    assert sign.kind == "stalls"
    assert [stalling(*each) for each in ((told, 5.001), (told, None), ({"safe": None}, 5.0), ({"safe": {"rate_per_s": None}}, 5.0))] == [
        None
    ] * 4
