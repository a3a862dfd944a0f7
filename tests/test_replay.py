from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from worlds import Law, World, observed, recorded

from probes.bucket import Bucket, BucketSettings
from probes.observation import Outcome
from probes.replay import Touch, jitter_s, network_s, predicted, replay, touches_of, way_jitter_s


def true_headers(bucket: BucketSettings, touches: list[Touch]) -> list[float]:
    """What a plain bucket would have answered."""
    one = Bucket(bucket, touched_s=min(t.arrived_s for t in touches))
    headers = [0.0] * len(touches)
    events = [(t.arrived_s, False, n) for n, t in enumerate(touches)] + [(t.departed_s, True, n) for n, t in enumerate(touches)]
    for now, departs, n in sorted(events):
        if departs:
            headers[n] = one.depart(touches[n].cost, now)
        else:
            one.arrive(now)
    return headers


@pytest.mark.parametrize("floor", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_replay_is_the_bucket(seed: int, floor: bool) -> None:
    """The replay's headers are those of a plain bucket, also through floor and ceiling, with and without the floor after a leak."""
    rng = np.random.default_rng(seed)
    bucket = BucketSettings(600.0, 800.0, 10.0, 50.0, floor)
    arrived = np.cumsum(rng.exponential(1.0 if seed % 2 else 0.1, 80))
    touches = [
        Touch(float(a), float(a + t), float(c), None)
        for a, t, c in zip(arrived, rng.exponential(0.5, 80), rng.exponential(20, 80), strict=True)
    ]
    assert predicted(bucket, touches) == pytest.approx(true_headers(bucket, touches), abs=1e-9)


def test_coefficients_of_two_calls() -> None:
    """Two calls together: the first answer shows one reservation less a leak since the first arrival, plus its cost."""
    touches = [Touch(0.0, 1.0, 2.0, None), Touch(0.5, 3.0, 4.0, None)]
    first, second = replay(BucketSettings(), touches)
    assert (first.reservations, first.seconds, first.constant, first.floored) == (1.0, 1.0, 2.0, False)
    assert (second.reservations, second.constant) == (0.0, 0.0)
    assert second.floored, "the level would be below zero: the floor was touched at that instant"
    assert replay(BucketSettings(), []) == []


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


def test_a_recorded_trace_is_replayed() -> None:
    """From the client's clock alone Canvas's own headers are met to 0.1 units in the median."""
    bucket, seen = recorded("calm-mix")
    headers = [o.remaining for o in seen]
    assert float(np.median(np.abs(predicted(bucket, touches_of(seen)) - np.array(headers, dtype=float)))) < 0.1


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
