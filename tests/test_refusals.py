"""The regime without headers, in virtual time against the simulator that refuses but shows nothing."""

from __future__ import annotations

import httpx

from probes.bucket import BucketSettings
from probes.calls import Call
from probes.client import Client
from probes.clock import run_virtually
from probes.config import Instance, Kind
from probes.observation import Outcome
from probes.rates import Ceilings
from probes.refusals import RefusalDesign, admitted_limit, fillings, refusal_document, steady_rate
from probes.scenarios import Options, scenario
from probes.simulator.app import create_app
from probes.simulator.network import DelayedTransport
from probes.simulator.settings import Service, SimulatorSettings

CALL = Call("GET", "/api/v1/users/self")


def probed(bucket: BucketSettings, service: Service, **more: object) -> RefusalDesign:
    design = RefusalDesign((CALL,), 400, **more)  # type: ignore[arg-type] # ceilings by name

    async def asked() -> None:
        settings = SimulatorSettings(bucket=bucket, services={"*": service}, slots=10_000, cookies=False, quota_headers=False)
        transport = DelayedTransport(httpx.ASGITransport(create_app(settings)), 0.04, 0.002)
        instance = Instance("hidden", "http://127.0.0.1", Kind.SIMULATED, secret=settings.token, timeout_s=600.0)
        async with Client(instance, transport=transport) as client:
            options = Options(calls=(CALL,), budget=400, decide=design)
            assert [o async for o in scenario("throttling").observe(client, options)]

    run_virtually(asked())
    return design


def test_the_limit_in_flight_is_what_one_burst_lets_through() -> None:
    """Mark / reservation = 10.2: a burst lets 10 through, few calls are refused, and a cheap call's rate is bound by refusals."""
    design = probed(BucketSettings(510.0, 680.0, 10.0, 50.0), Service(0.4, 0.3, cost_mean=0.05))
    assert admitted_limit(design, design.seen) == 10
    assert 1 <= sum(o.outcome is Outcome.THROTTLED for o in design.seen) <= 5
    document = refusal_document(design, CALL.name, 1000, Ceilings())
    assert document["regime"] == "refusals"
    assert document["bucket"] is None
    assert document["ratios"] == {"in_flight_limit": 10, "steady_calls_per_s": None}
    assert document["safe"]["burst"] == 10
    assert document["safe"]["bound_by"] == "refusals"
    assert 2.0 < document["safe"]["rate_per_s"]["low"] < document["safe"]["rate_per_s"]["value"] < 25.0


def test_for_canvas_own_ratio_the_smaller_number_is_taken() -> None:
    """600 / 50 lets 12 through by the leak between the starts of a burst; 11 is what is promised."""
    design = probed(BucketSettings(), Service(0.4, 0.2, cost_mean=0.05))
    assert admitted_limit(design, design.seen) == 11


def test_costs_that_fill_the_bucket_give_the_steady_rate() -> None:
    """Two touches of the mark give outflow / cost: 10 / 4 = 2.5 calls/s, within a fifth."""
    design = probed(BucketSettings(), Service(0.3, 0.2, cost_mean=4.0, cost_sigma=0.2))
    filled = fillings(design, design.seen)
    assert [one.refused for one in filled] == [True, True]
    steady = steady_rate(design, design.seen, admitted_limit(design, design.seen))
    assert steady is not None
    assert 2.0 < steady.value < 3.0


def test_a_ceiling_in_flight_is_never_passed() -> None:
    """With max_in_flight 4 no burst is larger; nothing is refused, and the regime is unthrottled up to the ceilings."""
    design = probed(BucketSettings(), Service(0.3, 0.2, cost_mean=0.05), max_in_flight=4, max_rate=8.0)
    assert max(size for size, _ in design.bursts) == 4
    document = refusal_document(design, CALL.name, 1000, Ceilings(8.0, 4))
    assert document["regime"] == "unthrottled"
    assert document["ratios"] is None
    assert document["safe"]["bound_by"] == "ceiling"
    assert document["safe"]["rate_per_s"]["value"] <= 8.0


def test_nothing_more_is_asked_when_all_fails() -> None:
    """Four answers without success end the design."""
    design = RefusalDesign((CALL,), 400)
    first = design([])
    assert first is not None
    assert [offset for offset, _ in first.calls] == [0.0, 0.0]
