from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from worlds import SELF, Law, World, observed, random_world, recorded

from probes import rates
from probes.bounds import Bounds
from probes.bucket import BucketSettings
from probes.design import Design
from probes.estimate import Estimate, estimate
from probes.observation import Outcome
from probes.prices import Prices
from probes.rates import mix_document, rate_document, rate_documents, relative_error, safe_rate, untried
from probes.safety import BoundBy, even_rate, workers
from probes.stats import Interval, student

SHORT = 300
"""Calls of a job whose numbers are not looked at: it is replayed in a fraction of the time."""
SCHEMA = json.loads((Path(rates.__file__).parent / "schemas" / "rate-1.json").read_text(encoding="utf-8"))


def valid(document: dict[str, Any]) -> dict[str, Any]:
    """`document`, which the schema's `calls` allow."""
    jsonschema.validate(json.loads(json.dumps(document)), {**SCHEMA["$defs"]["call"], "$defs": SCHEMA["$defs"]})
    return document


def priced(world: World, budget: int = 400) -> tuple[Estimate, Design]:
    design = Design((SELF,), budget)
    world.carry_out(design)
    found = estimate(world.seen)
    assert found is not None
    return found, design


@pytest.fixture(scope="module")
def outflow() -> Estimate:
    """Costs bind: 3 units a call, quickly served."""
    return priced(World(law=Law(0.2, 3.0), seed=7))[0]


@pytest.fixture(scope="module")
def reservations() -> Estimate:
    """Reservations bind: cheap calls that take half a second."""
    return priced(World(law=Law(0.5, 0.1), seed=8))[0]


@pytest.fixture(scope="module")
def boundless() -> Estimate:
    """Calls so quick and cheap that a job of a few of them may be sent at once."""
    return priced(World(law=Law(0.01, 0.01), seed=9, rtt_s=0.02), 120)[0]


@pytest.mark.untraced
@pytest.mark.slow
@pytest.mark.parametrize("family", ["wide", "canvas"])
def test_value_against_the_truth(family: str) -> None:
    """On fixed random buckets `value` is within 6 % of the sharp truth, hardly ever more than 5 % over; `low` keeps its odds."""
    errors, covered, odds = [], 0, []
    for seed in range(2):
        world = random_world(seed, family)
        found, _ = priced(world)
        truth = world.law.twin(world.bucket)
        safe = valid(rate_document(found, SELF.name))["safe"]
        sharp = even_rate(truth, 1000, 0.05)
        rate = safe["rate_per_s"]
        errors.append(rate["value"] / sharp - 1.0)
        covered += rate["low"] <= sharp <= rate["high"]
        odds.append(truth.even_odds(rate["low"], 1000))
        assert safe["burst"] == truth.burst, seed
        assert abs(safe["in_flight"] - workers(truth, 1000, 0.05)) <= 1, seed
        assert (world.refused, len(world.seen) <= 400) == (0, True), seed
    assert np.median(np.abs(errors)) < 0.06
    assert sum(error > 0.05 for error in errors) == 0
    assert covered >= 1
    assert np.mean(odds) <= 0.05


@pytest.mark.parametrize(("error", "kept"), [(0.01, 0.0), (0.03, 0.021), (0.05, 0.0675), (0.3, 0.51)])
def test_how_far_the_best_estimate_stays_below_the_middle(error: float, kept: float) -> None:
    """So far that it is more than 5 % too fast in one case of a hundred; not at all where that is rarer anyhow, nor below `low`."""
    assert rates._caution(error, rates.SELDOM) == pytest.approx(kept, abs=2e-3)
    if 0.0 < kept < 0.5:
        assert 0.5 * math.erfc((kept + math.log(1.05)) / error / math.sqrt(2.0)) == pytest.approx(0.01, abs=1e-3)


@pytest.mark.untraced
def test_bound_by_outflow(outflow: Estimate) -> None:
    """Dear calls are bound by the outflow, near outflow / cost."""
    document = valid(rate_document(outflow, SELF.name))
    assert document["safe"]["bound_by"] == "outflow"
    assert document["safe"]["rate_per_s"]["value"] == pytest.approx(10 / (3.0 - 0.55), rel=0.1)
    assert (document["safe"]["job_calls"], document["safe"]["odds"], document["confirmed"]) == (1000, 0.05, None)
    assert document["cost"]["value"] == pytest.approx(3.0, rel=0.1)
    assert document["safe"]["burst"] == 11


@pytest.mark.untraced
def test_bound_by_reservations(reservations: Estimate) -> None:
    """Cheap slow calls are bound by the reservations that they hold."""
    document = valid(rate_document(reservations, SELF.name, SHORT))
    assert document["safe"]["bound_by"] == "reservations"
    assert document["regime"] == "headers"
    assert document["server_time_s"]["value"] == pytest.approx(0.5 * np.exp(0.125), rel=0.1)


@pytest.mark.untraced
def test_longer_jobs_are_slower(outflow: Estimate) -> None:
    """The bucket's credit is shared by fewer calls in a short job: it may go faster."""
    short, long = (rate_document(outflow, SELF.name, job)["safe"]["rate_per_s"]["value"] for job in (400, 2000))
    assert short > 1.3 * long


@pytest.mark.untraced
def test_no_rate_is_refused(boundless: Estimate) -> None:
    """A job that may be sent at once has no safe rate of its own: null, with the burst."""
    document = valid(rate_document(boundless, SELF.name, job_calls=5))
    assert document["safe"]["rate_per_s"] is None
    assert document["safe"]["burst"] == 11
    assert document["safe"]["in_flight"] == 5


@pytest.mark.parametrize(
    ("bounds", "rate", "bound_by"),
    [
        (Bounds(slowed_at=20.0, steady_at=15.0), {"value": 15.0, "low": 15.0, "high": 20.0, "n": 0}, "latency"),
        (Bounds(max_rate=3.0), {"value": 3.0, "low": 3.0, "high": 3.0, "n": 0}, "ceiling"),
        (Bounds(max_rate=30.0, slowed_at=20.0, steady_at=15.0), {"value": 15.0, "low": 15.0, "high": 20.0, "n": 0}, "latency"),
        (Bounds(max_rate=3.0, slowed_at=20.0, steady_at=15.0), {"value": 3.0, "low": 3.0, "high": 3.0, "n": 0}, "ceiling"),
    ],
)
def test_what_binds_where_the_bucket_does_not(boundless: Estimate, bounds: Bounds, rate: dict[str, float], bound_by: str) -> None:
    """A job that the bucket lets through at any rate is still bound by a server that slows down, and by a configured ceiling."""
    safe = valid(rate_document(boundless, SELF.name, 5, bounds))["safe"]
    assert (safe["rate_per_s"], safe["bound_by"]) == (rate, bound_by)


def test_no_rate_is_recommended_far_above_a_pace_that_was_kept() -> None:
    """Where the recommended rate was to be tried `low` is at most a tenth faster than what was kept; the best estimate stays as it is."""
    rate, bound = Interval(20.0, 18.0, 22.0, 400), BoundBy.RESERVATIONS
    low = Bounds(tried_at=15.0).applied(rate, bound)[0]
    assert low is not None
    assert (low.value, round(low.low, 9), low.high) == (20.0, 16.5, 22.0)
    assert Bounds(tried_at=17.0).applied(rate, bound) == Bounds(steady_at=5.0).applied(rate, bound) == (rate, bound)


@pytest.mark.untraced
def test_ceiling_binds(outflow: Estimate, reservations: Estimate) -> None:
    """A configured ceiling below the bucket's rate binds: the rate is the ceiling, in flight and burst are bounded too."""
    safe = valid(rate_document(reservations, SELF.name, SHORT, Bounds(max_rate=1.0, max_in_flight=2)))["safe"]
    assert (safe["rate_per_s"]["value"], safe["bound_by"]) == (1.0, "ceiling")
    assert (safe["in_flight"], safe["burst"]) == (0, 1), "one call after another would be more than one a second"
    assert [bounds.workers(11, 0.5) for bounds in (Bounds(max_in_flight=2), Bounds(max_rate=8.0), Bounds(8.0, 3), Bounds())] == [
        2,
        4,
        3,
        11,
    ]
    assert [bounds.burst(11) for bounds in (Bounds(max_in_flight=2), Bounds(max_rate=8.0), Bounds(0.5), Bounds())] == [2, 8, 1, 11]
    free = rate_document(outflow, SELF.name, SHORT, Bounds(max_rate=500.0, max_in_flight=200))
    assert free == rate_document(outflow, SELF.name, SHORT)


@pytest.mark.untraced
def test_latency_binds(outflow: Estimate) -> None:
    """A server that slows down before the bucket fills binds: the highest rate that was steady, at most the one that was not."""
    safe = valid(rate_document(outflow, SELF.name, SHORT, Bounds(slowed_at=2.0, steady_at=1.5)))["safe"]
    assert safe["bound_by"] == "latency"
    assert safe["rate_per_s"] == {"value": 1.5, "low": 1.5, "high": 2.0, "n": safe["rate_per_s"]["n"]}
    assert rate_document(outflow, SELF.name, SHORT, Bounds(slowed_at=2.0))["safe"]["rate_per_s"]["value"] == 1.0
    assert rate_document(outflow, SELF.name, SHORT, Bounds(slowed_at=50.0, steady_at=40.0))["safe"]["bound_by"] == "outflow"


def test_unknown_is_null() -> None:
    """Without overlapping calls the reservation is unknown and so is the safe rate: null, not a guess."""
    world = World(law=Law(0.3, 0.4))
    for _ in range(8):
        world.round([0.0], 0.5)
    found = estimate(world.seen)
    assert found is not None
    document = valid(rate_document(found, SELF.name))
    assert document["safe"] is None
    assert document["bucket"]["up_front_cost"] is None
    assert document["cost"]["n"] == 8


def test_a_call_that_was_never_priced(outflow: Estimate) -> None:
    """A call that brought no price has null for it, and the bucket all the same."""
    document = valid(rate_document(outflow, "GET /never"))
    assert (document["cost"], document["server_time_s"], document["safe"]) == (None, None, None)
    assert document["bucket"]["high_water_mark"]["value"] == pytest.approx(600.0, rel=1e-4)


@pytest.mark.untraced
def test_no_call_passes() -> None:
    """A reservation above the mark lets no call through: nothing is safe, nothing is told."""
    found, _ = priced(World(law=Law(0.3, 0.4), seed=2), 100)
    assert found.fit is not None
    full = dataclasses.replace(found, fit=dataclasses.replace(found.fit, bucket=BucketSettings(600.0, 800.0, 10.0, 650.0)))
    assert rate_document(full, SELF.name)["safe"] is None


def test_blocked_document() -> None:
    """A blocked token: the regime and the sentence, everything else null."""
    seen = [observed(n, n + 0.1, status=429, outcome=Outcome.THROTTLED, remaining=0.0) for n in range(4)]
    found = estimate(seen)
    assert found is not None
    document = valid(rate_document(found, SELF.name))
    assert (document["regime"], document["bucket"], document["safe"], document["cost"]) == ("blocked", None, None, None)
    assert document["signs"] == [
        {"kind": "blocked", "says": "All 4 calls were refused with Remaining forced to 0.0: this token is blocked."}
    ]


def test_documents_of_a_run() -> None:
    """From a run's observations alone: one entry for each instance and call that carries it, none for other instances."""
    _, seen = recorded("calm-mix")
    other = [dataclasses.replace(o, instance="beta", call=f"GET /{n % 2}", path=f"/{n % 2}") for n, o in enumerate(seen)]
    single = [dataclasses.replace(o, instance="alone") for o in seen[:1]]
    documents = rate_documents([*seen, *other, *single])
    assert [(d["instance"], d["call"]) for d in documents] == [("test", SELF.name), ("beta", "GET /0"), ("beta", "GET /1")]
    for document in documents:
        valid(document)
        assert document["bucket"]["high_water_mark"]["value"] == pytest.approx(600.0, rel=0.002)
    assert rate_documents([]) == []
    assert rate_documents([dataclasses.replace(seen[0], status=None, received_s=None, outcome=Outcome.READ_TIMEOUT)] * 9) == []


@pytest.mark.parametrize(("steady_at", "said"), [(None, False), (16.0, False), (10.0, True)])
def test_a_rate_far_above_any_that_was_tried(steady_at: float | None, said: bool) -> None:
    """A recommended rate more than 1.3 times the fastest that was tried is told with that sign."""
    sign = untried({"safe": {"rate_per_s": {"low": 20.5}}}, steady_at)
    assert (sign is not None) is said
    if sign is not None:
        assert sign.says == "No more than 10 calls/s were tried: --confirm shows whether the server keeps its pace at 20.5."


@pytest.mark.untraced
def test_a_heavy_tail_widens_the_interval_and_is_said() -> None:
    """Of calls whose costs fall like a power the rate is told with twice the usual error, and that it cannot foresee dearer ones."""
    plain, heavy = (np.exp(0.5 * np.random.default_rng(3).standard_normal(400)), 0.1 + 0.1 * np.random.default_rng(4).pareto(1.2, 400))
    told = []
    for costs in (plain, heavy):
        world = World(law=Fixed(costs), seed=6)
        world.opened((22, 0.1), (22, 0.2), (40, 0.12), (60, 0.09), (244, 0.07))
        found = estimate(world.seen)
        assert found is not None
        told.append(rate_document(found, SELF.name, SHORT))
    signs = [[sign["kind"] for sign in entry["signs"]] for entry in told]
    assert signs == [[], ["heavy_tail"]]


class Light(Prices):
    """Prices that are not told to be heavy."""

    heavy = False


def test_a_heavy_tail_has_a_wider_interval(outflow: Estimate) -> None:
    """The relative error behind a rate is 2.0 in place of 1.08 times the reckoned one where the tail falls like a power."""
    twin, costs = outflow.twin(SELF.name), 0.1 + 0.1 * np.random.default_rng(4).pareto(1.2, 400)
    assert twin is not None
    told = [safe_rate(twin, outflow, kind(costs, np.full(400, 0.2)), SHORT) for kind in (Prices, Light)]
    errors = [relative_error(one[0]) for one in told if one is not None]
    assert errors[0] / errors[1] == pytest.approx(2.0 / 1.08)
    assert [one[0].value < math.sqrt(one[0].low * one[0].high) for one in told if one is not None] == [True, True]


@pytest.mark.parametrize(("low", "n", "error"), [(8.0, 61, math.log(12.5 / 8.0) / 2.0 / student(60)), (0.0, 61, 0.0), (8.0, 1, 0.0)])
def test_the_error_behind_an_interval(low: float, n: int, error: float) -> None:
    """Half the interval on the logarithm's scale over Student's quantile; 0 where the interval tells none."""
    assert relative_error(Interval(10.0, low, 12.5, n)) == pytest.approx(error)


@pytest.mark.untraced
def test_workers_where_latency_binds(outflow: Estimate) -> None:
    """Where the server slows down, no more workers are told than the steady rate keeps busy, the round trip counted."""
    far = dataclasses.replace(outflow, spare_s=1.2)
    safe = rate_document(far, SELF.name, 1000, Bounds(slowed_at=2.0, steady_at=1.5))["safe"]
    free = rate_document(far, SELF.name, 1000)["safe"]
    assert (safe["bound_by"], safe["in_flight"], free["in_flight"]) == ("latency", 2, 5)


def test_a_mix_of_calls_some_of_which_have_no_price(outflow: Estimate) -> None:
    """A job of which more than a twentieth was never priced has no rate; of a smaller rest it is told all the same."""
    told = [
        mix_document(outflow, {SELF.name: known, "GET /never": 1.0 - known}, SHORT, Bounds())["safe"] is not None for known in (0.94, 0.96)
    ]
    assert told == [False, True]


class Fixed(Law):
    """Costs in a given order, times lognormal around 0.3 s."""

    def __init__(self, costs: np.ndarray) -> None:
        super().__init__()
        object.__setattr__(self, "costs", iter(costs.tolist()))

    def draw(self, rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        """The next costs."""
        costs = [next(self.costs, 0.5) for _ in range(n)]  # type: ignore[attr-defined]
        return np.array(costs), super().draw(rng, n)[1]


@pytest.mark.untraced
def test_workers_where_the_server_warmed_up() -> None:
    """Where the server's time drifts, no more workers are told than its quicker calls stand."""
    counts = {}
    for factor in (1.0, 8.0):
        world = World(BucketSettings(600.0, 800.0, 10.0, 50.0), Law(0.12, 1.0, spread=0.2), seed=9)
        law = world.law
        world.law = Law(law.time_s * factor, law.cost, law.spread)
        world.opened((22, 0.1))
        world.law = law
        for calls, gap_s in ((20, 0.2), (30, 0.15), (150, 0.11)):
            world.round([n * gap_s for n in range(calls)], 0.05)
        found = estimate(world.seen)
        assert found is not None
        counts[factor] = (rate_document(found, SELF.name)["safe"]["in_flight"], [kind for kind, _ in found.signs])
    assert counts[8.0][1] == ["server_time_drifts"]
    assert counts[8.0][0] <= counts[1.0][0]


def test_a_rate_that_rests_on_an_unknown_outflow_is_not_told(outflow: Estimate) -> None:
    """Where the outflow binds and no header told it, the rate is null and the reason said."""
    assert outflow.fit is not None
    covariance = outflow.fit.covariance.copy()
    covariance[2, 2] = math.inf
    unknown = dataclasses.replace(outflow, fit=dataclasses.replace(outflow.fit, covariance=covariance))
    document = valid(rate_document(unknown, SELF.name, SHORT))
    said = "What a job may pay depends on the outflow, and no header told it: the calls cost too little, or were too far apart."
    assert (document["safe"], document["signs"][-1]) == (None, {"kind": "rate_unclear", "says": said})


@pytest.mark.untraced
def test_a_rate_that_may_be_anything_is_not_told(outflow: Estimate) -> None:
    """Of 6 calls whose costs are hundreds of times apart none of the rates they allow is told."""
    costs, times = np.array([0.2, 0.3, 0.2, 0.25, 150.0, 0.2]), np.array([0.3, 0.4, 0.35, 0.3, 0.3, 0.4])
    wild = dataclasses.replace(outflow, prices={SELF.name: Prices(costs, times)})
    document = rate_document(wild, SELF.name, SHORT)
    assert (document["safe"], document["signs"][-1]["kind"]) == (None, "rate_unclear")
    assert document["signs"][-1]["says"].startswith("6 calls allow anything from ")


@pytest.mark.untraced
def test_few_priced_calls_tell_no_safe_rate() -> None:
    """From twelve calls the bucket is known, and what a call costs, but not how long a job's longest call takes: no rate is told."""
    world = World(law=Law(0.3, 0.2), seed=5)
    for size in (1, 1, 2, 2, 3, 3):
        world.round([0.0] * size, 0.3)
    found = estimate(world.seen)
    assert found is not None
    document = rate_document(found, SELF.name)
    assert (found.identified, document["cost"]["n"], document["safe"]) == (True, 12, None)
    assert document["signs"] == [{"kind": "rate_unclear", "says": "Only 12 calls were priced, where a safe rate takes 15 of them."}]
