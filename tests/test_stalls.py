"""Calls that stand still together: found, and the rate bound by what piles up behind them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from worlds import SELF, Law, World, observed, random_world

from probes.bucket import BucketSettings
from probes.design import Design
from probes.estimate import estimate
from probes.rates import Bounds, rate_document
from probes.stalls import _stood_s, piled_rate, stalling

LAW = Law(0.3, 0.15, 0.4)


def asked(world: World) -> tuple[float | None, dict[str, Any]]:
    """(what stalls bound the rate to, the entry of probes.rate/1) of a world that the design asked."""
    design = Design((SELF,), 400)
    world.carry_out(design)
    found = estimate(world.seen)
    assert found is not None
    bound = piled_rate(found, design.steps, world.seen)
    return bound, rate_document(found, SELF.name, 1000, Bounds(piles_at=bound))


@pytest.mark.untraced
@pytest.mark.slow
@pytest.mark.parametrize(("stands", "true"), [((10.0, 0.5), 13.0), ((10.0, 1.0), 7.96), ((10.0, 2.0), 4.48), ((30.0, 2.0), 4.61)])
def test_a_lock_bounds_the_rate(stands: tuple[float, float], true: float) -> None:
    """A lock every 10 or 30 s, default bucket: the best estimate is within a third of the true rate and `low` below it; else 19/s."""
    bound, told = asked(World(BucketSettings(), LAW, rtt_s=0.06, seed=3, stands=stands))
    safe = told["safe"]
    assert bound is not None
    assert safe["rate_per_s"]["value"] == pytest.approx(bound, rel=1e-5)
    assert true / 1.33 < bound < true * 1.33
    assert safe["rate_per_s"]["low"] < true
    sign = stalling(told, bound)
    assert sign is not None
    assert sign.kind == "stalls"
    assert safe["in_flight"] == 11


@pytest.mark.untraced
@pytest.mark.slow
@pytest.mark.parametrize(("family", "jitter_s", "seeds"), [("wide", 0.003, 2), ("canvas", 0.003, 1), ("wide", 0.03, 1)])
def test_independent_calls_do_not_stand_still(family: str, jitter_s: float, seeds: int) -> None:
    """Buckets whose calls take their times by themselves: no stall is found, and no sign told."""
    for seed in range(120000, 120000 + seeds):
        bound, told = asked(random_world(seed, family, jitter_s=jitter_s))
        assert (bound, stalling(told, bound)) == (None, None)


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
