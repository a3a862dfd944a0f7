from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from worlds import Law, World, observed

from probes.bucket import BucketSettings
from probes.calls import Call
from probes.design import Design
from probes.estimate import Estimate, estimate
from probes.mixture import mixture
from probes.prices import Prices
from probes.rates import rate_document, signs_of_prices
from probes.safety import even_rate
from probes.spells import NONE, spells_of
from probes.twin import even_peaks

BUCKET = BucketSettings(600.0, 800.0, 10.0, 50.0)
A, B = Call("GET", "/api/v1/a"), Call("GET", "/api/v1/b")
DWELL = 30
"""Calls of one spell, in the mean."""


def busy(shape: tuple[int, ...], factor: float = 3.0, seed: int = 4) -> np.ndarray:
    """Values of lognormal spread a half, by turns so many times as great for about `DWELL` in a row, along the last axis."""
    rng = np.random.default_rng(seed)
    turns = np.cumsum(rng.random(shape) < 1.0 / DWELL, axis=-1) + rng.integers(0, 2, (*shape[:-1], 1))
    return np.exp(rng.normal(0.0, 0.5, shape)) * np.where(turns % 2, factor, 1.0)


@pytest.fixture(scope="module")
def found() -> Estimate:
    """What forty calls of a server without spells told, of which the bucket is used."""
    world = World(BUCKET, Law(0.3, 0.3), seed=3)
    world.carry_out(Design((A, B), 40, price=False))
    told = estimate(world.seen)
    assert told is not None
    return told


def priced(found: Estimate, times_s: np.ndarray, *calls: Call) -> Estimate:
    """The same with such times of each call, costs a tenth of them."""
    prices = Prices(times_s / 10.0, times_s, spells=spells_of(times_s))
    return dataclasses.replace(found, prices={call.name: prices for call in calls})


def test_what_shows_spells() -> None:
    """Rows of dear calls show in the means of rows, equal and independent values, shuffled ones and too few show none."""
    values = busy((400,))
    row, fewer = spells_of(np.ones(400), values)
    assert row >= DWELL / 2
    assert fewer > 4.0
    shuffled = np.random.default_rng(1).permutation(values)
    for series in (shuffled, np.full(400, 0.3), busy((400,), factor=1.0), values[:31]):
        assert spells_of(series) == NONE


def test_answers_that_overtake_one_another_are_no_spells() -> None:
    """Of forty calls in flight the quick ones are answered first: in order of answers times seem to come in rows and to rise."""
    times = 0.3 * np.exp(np.random.default_rng(6).normal(0.0, 0.5, 400))
    sent = 0.3 / 40.0 * np.arange(400) + 2.0 * (np.arange(400) // 80)
    made = [observed(at, at + time, cost=0.3, server_time_s=time) for at, time in zip(sent.tolist(), times.tolist(), strict=True)]
    answered = sorted(made, key=lambda o: o.received_s or 0.0)
    assert spells_of(np.array([o.server_time_s for o in answered])) != NONE
    found = estimate(answered)
    assert found is not None
    assert found.prices[answered[0].call].spells == NONE
    assert not found.shows("server_time_drifts")


@pytest.mark.parametrize(
    ("turn", "rows", "row", "fewer"), [(4, 100, 8, 400 / 99), (4, 10, 8, 40 / 9), (4, 8, 1, 1.0), (6, 8, 12, 48 / 7), (6, 7, 1, 1.0)]
)
def test_how_long_spells_are_and_what_they_cost(turn: int, rows: int, row: int, fewer: float) -> None:
    """Dear and cheap calls by turns: rows twice as long are drawn, a mean is as of a turn's times fewer; too few turns may be chance."""
    found = spells_of(np.resize(np.repeat([1.0, 2.0], turn), turn * rows))
    assert tuple(found) == pytest.approx((row, fewer))


@pytest.mark.untraced
def test_a_job_meets_spells_like_those_seen(found: Estimate) -> None:
    """The rate told for calls in spells is refused in no more than one true job of twenty; without regard to them in every third."""
    times_s = 0.3 * busy((400,))
    alike = priced(found, times_s, A)
    apart = dataclasses.replace(alike, prices={A.name: dataclasses.replace(alike.prices[A.name], spells=NONE)})
    jobs = 0.3 * busy((400, 300), seed=6)
    odds = []
    for one in (alike, apart):
        low = rate_document(one, A.name, 300)["safe"]["rate_per_s"]["low"]
        odds.append(float(np.mean(even_peaks(BUCKET, low, jobs / 10.0, jobs) >= BUCKET.high_water_mark)))
    assert odds[0] <= 0.05
    assert odds[1] > 0.3


def test_spells_are_said_and_widen_what_is_told(found: Estimate) -> None:
    """A sign says them; the mean cost is as uncertain as of so many fewer calls."""
    alike = priced(found, busy((400,)), A).prices[A.name]
    assert [sign.kind for sign in signs_of_prices(alike)] == ["spells"]
    apart = dataclasses.replace(alike, spells=NONE)
    assert signs_of_prices(apart) == []
    narrow, wide = (prices.mean_of(prices.costs) for prices in (apart, alike))
    assert narrow is not None
    assert wide is not None
    assert math.log(wide.high / wide.low) / math.log(narrow.high / narrow.low) == pytest.approx(alike.spells.fewer**0.5, rel=0.05)


def test_workers_meet_a_spell_together(found: Estimate) -> None:
    """A twin draws pairs in rows as they were seen, and workers have their spells at one time."""
    twin = priced(found, np.repeat([0.1, 3.0], 200) * (1.0 + np.arange(400) / 1e6), A).twin(A.name)
    assert twin is not None
    assert twin.rows.at_once > 20
    costs, times = twin.draws(200, 50)
    assert np.allclose(costs * 10.0, times)
    changes = np.mean(np.diff(times > 1.0, axis=1))
    assert changes < 2.0 / twin.rows.at_once
    arrivals, departures, _ = twin._closed_loop(8, 80, 50, 0.0)
    first = departures[arrivals == 0.0].reshape(50, 8)
    assert np.mean(np.ptp(first, axis=1) < 1.0) > 0.8


def test_a_mixture_keeps_spells(found: Estimate) -> None:
    """Where all kinds of calls are slow at one time their mixture is too: its safe rate is clearly below that of shuffled ones."""
    times_s = 0.3 * busy((400,))
    rates = []
    for order in (np.arange(400), np.random.default_rng(1).permutation(400)):
        mixed = mixture(priced(found, times_s[order], A, B), {A.name: 0.5, B.name: 0.5})
        assert mixed is not None
        rates.append(even_rate(mixed[0], 500, 0.05, replicas=300))
    assert rates[0] < 0.8 * rates[1]
