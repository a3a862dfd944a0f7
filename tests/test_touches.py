from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from worlds import Law, World, observed

from probes.fit.touches import Touch, jitter_s, network_s, touches_of, way_jitter_s
from probes.observation import Outcome


def test_times_with_the_servers_own() -> None:
    """With X-Runtime the bucket's instants lie inside the flight: half of the shortest way before, and after."""
    seen = [
        observed(0.0, 0.5, server_time_s=0.4, remaining=600.0, cost=0.1),
        observed(1.0, 1.62, server_time_s=0.5, remaining=600.0, cost=0.1),
    ]
    assert network_s(seen) == pytest.approx(0.1)
    assert jitter_s(seen) == pytest.approx(0.01)
    first, second = touches_of(seen)
    assert (first.arrived_s, first.departed_s) == pytest.approx((0.05, 0.45))
    assert second.departed_s - second.arrived_s == pytest.approx(0.5)
    assert 1.05 <= second.arrived_s <= 1.07


def test_times_without_the_servers_own() -> None:
    """Without it the shortest connect is taken for the way; where nothing is known the whole flight counts, which is the safe side."""
    seen = [observed(0.0, 0.5, connect_s=0.06, reused=False, remaining=600.0), observed(1.0, 1.5, reused=True, remaining=600.0)]
    assert network_s(seen) == pytest.approx(0.06)
    assert jitter_s(seen) is None
    assert (touches_of(seen)[0].arrived_s, touches_of(seen)[0].departed_s) == pytest.approx((0.03, 0.47))
    unknown = [dataclasses.replace(o, connect_s=None) for o in seen]
    assert network_s(unknown) == 0.0
    assert (touches_of(unknown)[0].arrived_s, touches_of(unknown)[0].departed_s) == (0.0, 0.5)
    assert touches_of(seen, 0.2)[0].arrived_s == pytest.approx(0.1)


def test_what_did_not_reach_the_bucket() -> None:
    """Answers without a budget header and lost calls touched no bucket; a refusal did, at no cost; an unknown cost is the usual one."""
    seen = [
        observed(0.0, 0.1, status=503, outcome=Outcome.MAINTENANCE),
        observed(1.0, 1.1, status=429, outcome=Outcome.THROTTLED),
        dataclasses.replace(observed(2.0, 2.1), status=None, received_s=None, outcome=Outcome.READ_TIMEOUT),
        observed(4.0, 4.1, remaining=580.0),
        observed(3.0, 3.1, remaining=590.0, cost=1.5),
    ]
    touches = touches_of(seen)
    assert [(t.refused, t.cost, t.known_cost, t.remaining) for t in touches] == [
        (True, 0.0, True, None),
        (False, 1.5, True, 590.0),
        (False, 1.5, False, 580.0),
    ]


def test_a_call_that_was_given_up_filled_the_bucket_until_then() -> None:
    """A cancelled call that was sent holds its reservation until it was given up, and pays what such calls do; an unsent one is none."""
    given_up: dict[str, Any] = {"status": None, "outcome": Outcome.CANCELLED, "facts": {"gave_up_after_s": 0.6}}
    seen = [
        observed(0.0, 0.4, remaining=550.0, cost=1.0),
        dataclasses.replace(observed(0.1, 0.7, **given_up), received_s=None),
        dataclasses.replace(observed(0.2, 0.7, **given_up), sent_s=None, received_s=None),
    ]
    assert touches_of(seen, 0.0) == [Touch(0.0, 0.4, 1.0, 550.0), Touch(0.1, 0.7, 1.0, None, known_cost=False, answered=False)]


def test_runtime_longer_than_the_flight() -> None:
    """A server time longer than the flight cannot be true and is not used."""
    (touch,) = touches_of([observed(0.0, 0.5, server_time_s=9.0, remaining=600.0, cost=0.0)])
    assert 0.0 <= touch.arrived_s <= touch.departed_s <= 0.5


def test_jitter_of_one_way() -> None:
    """Half of what the middle two thirds of the ways are apart, over the root of two; cold, failed and untold ways say nothing of it."""
    spread = [observed(n, n + 0.4 + 0.01 * n, server_time_s=0.3, remaining=600.0) for n in range(12)]
    low, high = np.quantile([0.1 + 0.01 * n for n in range(12)], (0.16, 0.84))
    assert way_jitter_s(spread) == pytest.approx((high - low) / 2.0 / np.sqrt(2.0))
    assert way_jitter_s(spread[1:]) == 0.0
    odd = [
        observed(20.0, 29.0, server_time_s=0.3, remaining=600.0, reused=False),
        observed(20.0, 29.0, server_time_s=0.3, remaining=600.0, status=500, outcome=Outcome.SERVER_ERROR),
        observed(20.0, 29.0, remaining=600.0),
    ]
    assert way_jitter_s([*spread, *odd]) == way_jitter_s(spread)


def test_jitter_of_a_world() -> None:
    """The network's jitter is told from the server's own time."""
    world = World(law=Law(0.2, 0.1), jitter_s=0.01)
    for _ in range(60):
        world.round([0.0], 0.1)
    assert jitter_s(world.seen) == pytest.approx(0.0145, abs=0.006)
