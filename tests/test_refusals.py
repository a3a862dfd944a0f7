"""The regime without headers, in virtual time against the simulator that refuses but shows nothing."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import httpx
import numpy as np
import pytest
from worlds import SELF, Law, World, observed, random_world

from probes.bounds import Bounds
from probes.bucket import BucketSettings
from probes.calls import Round
from probes.client import Client
from probes.clock import run_virtually
from probes.config import Instance, Kind
from probes.observation import Observation, Outcome
from probes.safety import even_rate
from probes.scenarios import Options, scenario
from probes.search.probing import most_at_once
from probes.search.ratio_rates import drawn, least_off, refusal_document, steady_rate
from probes.search.ratios import Ratios, events_of, likelihood, network_by_refusals_s, ratios_of
from probes.search.refusals import RefusalDesign
from probes.simulator.app import create_app
from probes.simulator.network import DelayedTransport
from probes.simulator.settings import Service, SimulatorSettings

SHORT = 200
"""Calls of a job whose rate is not looked at: it is replayed in a fraction of the time."""


def probed(bucket: BucketSettings, service: Service, **more: object) -> RefusalDesign:
    design = RefusalDesign((SELF,), 400, **more)  # type: ignore[arg-type] # ceilings by name

    async def asked() -> None:
        settings = SimulatorSettings(bucket=bucket, services={"*": service}, slots=10_000, cookies=False, quota_headers=False)
        transport = DelayedTransport(httpx.ASGITransport(create_app(settings)), 0.04, 0.002)
        instance = Instance("hidden", "http://127.0.0.1", Kind.SIMULATED, secret=settings.token, timeout_s=600.0)
        async with Client(instance, transport=transport) as client:
            options = Options(calls=(SELF,), budget=400, decide=design)
            assert [o async for o in scenario("throttling").observe(client, options)]

    run_virtually(asked())
    return design


def refused(design: RefusalDesign) -> int:
    return sum(o.outcome is Outcome.THROTTLED for o in design.seen)


@pytest.mark.untraced
def test_the_limit_in_flight_is_what_one_burst_lets_through() -> None:
    """Mark / reservation = 10.2: a burst lets 10 through, few calls are refused, and a cheap call's rate is bound by refusals."""
    design = probed(BucketSettings(510.0, 680.0, 10.0, 50.0), Service(0.4, 0.3, cost_mean=0.05))
    assert design.limit == 10
    assert 1 <= refused(design) <= 5
    document = refusal_document(design, SELF.name, 1000, Bounds())
    assert document["regime"] == "refusals"
    assert document["bucket"] is None
    assert document["ratios"] == {"in_flight_limit": 10, "steady_calls_per_s": None}
    assert document["safe"]["burst"] == 10
    assert document["safe"]["bound_by"] == "refusals"
    assert 5.0 < document["safe"]["rate_per_s"]["low"] < document["safe"]["rate_per_s"]["value"] < 20.0


@pytest.mark.untraced
def test_for_canvas_own_ratio_the_smaller_number_is_taken() -> None:
    """600 / 50 lets 12 through by the leak between the starts of a burst; 11 is what is promised."""
    design = probed(BucketSettings(), Service(0.4, 0.2, cost_mean=0.05))
    assert design.limit == 12
    document = refusal_document(design, SELF.name, SHORT, Bounds())
    assert document["ratios"]["in_flight_limit"] == 11
    assert document["safe"]["burst"] == 11


@pytest.mark.untraced
def test_costs_that_fill_the_bucket_give_the_steady_rate() -> None:
    """Touches of the mark give outflow / cost: 10 / 4 = 2.5 calls/s, within a seventh, and the interval holds it."""
    design = probed(BucketSettings(), Service(0.3, 0.2, cost_mean=4.0, cost_sigma=0.2))
    ratios = ratios_of(design.seen, design.limit, 200)
    assert ratios is not None
    steady = steady_rate(ratios, len(design.seen))
    assert steady is not None
    assert abs(steady.value / 2.5 - 1.0) < 1 / 7
    assert steady.low < 2.5 < steady.high


def bounding(world: World) -> RefusalDesign:
    """The design when it has found how many calls fit; its first train is the last round."""
    design = RefusalDesign((SELF,), 400)
    world.carry_out(lambda seen: None if design.trains else design(seen))
    return design


@pytest.mark.parametrize(("mark", "calls"), [(1195.0, 135), (980.0, 100), (615.0, 75)])
def test_slow_calls_are_added_two_at_a_time(mark: float, calls: int) -> None:
    """While calls take long two are added at a time: how many fit is told exactly by half of the calls that bursts need."""
    world = World(BucketSettings.of(mark, 8.0, 40.0), Law(1.3, 3.0), rtt_s=0.1, headers=False, seed=5)
    design = bounding(world)
    used = world.seen[: design.trains[0][1]]
    assert design.limit == math.ceil(mark / 40.0) - 1
    assert len(used) <= calls
    assert sum(o.outcome is Outcome.THROTTLED for o in used) <= 3


@pytest.mark.untraced
def test_volleys_fill_the_bucket_of_quick_calls() -> None:
    """15 fit, a call takes 0.2 s, a refusal is known after 0.13 s: volleys tell what a call costs within a third, at 5 refusals at most."""
    world = World(BucketSettings(1121.0, 4484 / 3, 16.0, 74.5), Law(0.2, 2.3), rtt_s=0.12, headers=False, seed=3)
    design = RefusalDesign((SELF,), 400)
    world.carry_out(design)
    volleys = [size for size, first in design.bursts if first > 80]
    assert (len(volleys) > 10, max(volleys) <= 16, design.limit, world.refused <= 5) == (True, True, 15, True)
    ratios = ratios_of(world.seen, design.limit, 200)
    assert ratios is not None
    assert 2.0 * 2.3 / 74.5 > float(np.median(ratios.cost)) > 0.5 * 2.3 / 74.5
    assert float(np.median(ratios.steady_per_s)) == pytest.approx(16.0 / 2.3, rel=0.5)


@pytest.mark.untraced
def test_a_train_that_was_let_through_is_followed_by_a_quicker_one() -> None:
    """Cheap slow calls of which 10 fit: each train is a fifth quicker than the one before until one is refused."""
    world = World(BucketSettings(530.0, 706.0, 10.0, 50.0), Law(1.0, 0.05), rtt_s=0.05, headers=False, seed=4)
    design = RefusalDesign((SELF,), 400)
    world.carry_out(design)
    rates = [rate for rate, _ in design.trains]
    first = next(o.sent_s for o in world.seen[design.trains[0][1] :] if o.outcome is Outcome.THROTTLED)
    quicker = [rate for rate, at in design.trains if (world.seen[at].sent_s or 0.0) < (first or 0.0)]
    assert [round(b / a, 6) for a, b in itertools.pairwise(quicker)] == [1.2] * (len(quicker) - 1)
    assert (len(quicker) >= 3, max(rates) == quicker[-1], design.limit, world.refused <= 5) == (True, True, 10, True)


@pytest.mark.untraced
def test_a_large_budget_fills_the_bucket_of_quick_calls_by_trains_before_volleys() -> None:
    """15 quick calls fit, one costs 3 of 74.5: even calls, then a volley, tell outflow over cost within a fifth at five refusals."""
    world = World(BucketSettings(1177.0, 4708 / 3, 20.7, 74.5), Law(0.065, 3.0), rtt_s=0.12, headers=False, seed=3)
    design = RefusalDesign((SELF,), 700)
    world.carry_out(design)
    rounds = [(later[1] - at, size) for (size, at), later in zip(design.bursts, design.bursts[1:], strict=False)]
    assert max(calls / size for calls, size in rounds) > 1.5
    assert world.refused <= 5
    ratios = ratios_of(world.seen, design.limit, 200)
    assert ratios is not None
    assert float(np.median(ratios.steady_per_s)) == pytest.approx(20.7 / 3.0, rel=0.2)


@pytest.mark.untraced
def test_the_mark_is_touched_when_much_was_paid() -> None:
    """11 quick dear calls fit, 900 may be made: each refusal after the first burst's is alone, with 3 reservations paid and more.

    Between two of them calls go about as fast as their cost drains, 3.3 a second, and both together tell that to a seventh.
    """
    world = World(BucketSettings(440.0, 586.0, 10.0, 40.0), Law(0.07, 3.0), rtt_s=0.04, headers=False, seed=1)
    design = RefusalDesign((SELF,), 900, longest_s=150.0)
    paid: list[float] = []

    def told(seen: Sequence[Observation]) -> Round | None:
        paid.extend([world._bucket.level / 40.0] * (world.refused - len(paid)))
        return design(seen)

    world.carry_out(told)
    refused = [number for number, o in enumerate(world.seen) if o.outcome is Outcome.THROTTLED]
    gaps = [later - first for first, later in itertools.pairwise(refused[1:])]
    ratios = ratios_of(world.seen, design.limit, 200)
    assert ratios is not None
    assert (design.limit, len(refused), refused[:2], min(gaps) > 30, min(paid[2:]) > 3.0) == (11, 5, [32, 33], True, True)
    assert [2.2 < glide.rate_per_s < 5.0 for glide in design.trains] == [True]
    assert float(np.median(ratios.steady_per_s)) == pytest.approx(10.0 / 3.0, rel=1 / 7)


def test_calls_on_their_way_are_not_at_the_server() -> None:
    """Two calls of 0.4 s, 0.1 s of it on the way, sent 0.35 s apart: for the client both are in flight, at the server one was gone."""
    seen = [observed(0.0, 0.4), observed(0.35, 0.75)]
    assert (most_at_once(seen), most_at_once(seen, 0.1)) == (2, 1)


def test_nothing_is_added_while_a_refusal_would_be_known_late() -> None:
    """Where no answer tells the server's time, and no connection was made, bursts grow as for quick calls."""
    world = World(BucketSettings(615.0, 820.0, 8.0, 40.0), Law(1.3, 3.0), rtt_s=0.1, headers=False, runtime=False, seed=5)
    design = bounding(world)
    assert [size for size, _ in design.bursts] == [5, 7, 9, 11, 13, 15, 18]
    assert design.limit == 15


@pytest.mark.untraced
def test_a_ceiling_in_flight_is_never_passed() -> None:
    """With max_in_flight 4 no burst is larger; nothing is refused, and the regime is unthrottled up to the ceilings."""
    design = probed(BucketSettings(), Service(0.3, 0.2, cost_mean=0.05), max_in_flight=4, max_rate=8.0)
    assert max(size for size, _ in design.bursts) == 4
    assert max(rate for rate, _ in design.trains) <= 8.0
    document = refusal_document(design, SELF.name, 1000, Bounds(8.0, 4))
    assert document["regime"] == "unthrottled"
    assert document["ratios"] is None
    assert document["safe"]["bound_by"] == "ceiling"
    assert document["safe"]["rate_per_s"]["value"] <= 8.0
    assert document["safe"]["in_flight"] == 2
    assert document["safe"]["burst"] == 4


def test_nothing_more_is_asked_when_all_fails() -> None:
    """Four answers without success end the design."""
    world = World(headers=False, answers=lambda _, fields: fields | {"status": 500, "outcome": Outcome.SERVER_ERROR})
    design = RefusalDesign((SELF,), 400)
    world.carry_out(design)
    assert len(world.seen) == 5


@pytest.mark.untraced
def test_a_long_retry_after_ends_it() -> None:
    """A server that asks to wait a day is not asked again, and the answer says so; one that asks for 20 s is waited for."""
    said = "The server asks to wait 86400 s after a refusal: nothing more was sent; ask again after that."
    for wait, asked in ((86400.0, said), (20.0, None)):

        def told(_: int, fields: dict[str, Any], wait: float = wait) -> dict[str, Any]:
            return fields | ({"retry_after_s": wait} if fields["status"] == 429 else {})

        world = World(headers=False, seed=3, answers=told)
        design = RefusalDesign((SELF,), 120)
        world.carry_out(design)
        told_at = [o.received_s or 0.0 for o in world.seen if o.outcome is Outcome.THROTTLED]
        after = [min([(o.sent_s or 0.0) - at for o in world.seen if (o.sent_s or 0.0) > at], default=1e9) for at in told_at]
        signs = {sign["kind"]: sign["says"] for sign in refusal_document(design, SELF.name, SHORT, Bounds())["signs"]}
        assert signs.get("retry_after") == asked
        assert min(after) >= 20.0
        assert (min(after) == 1e9) is (asked is not None)


def test_nothing_is_told_when_all_is_refused() -> None:
    """Of calls that were all refused no number in flight is known."""
    world = World(headers=False, answers=lambda _, fields: fields | {"status": 429, "outcome": Outcome.THROTTLED})
    design = RefusalDesign((SELF,), 400)
    world.carry_out(design)
    document = refusal_document(design, SELF.name, SHORT, Bounds())
    assert document["ratios"] == {"in_flight_limit": None, "steady_calls_per_s": None}
    assert document["safe"] is None
    said = f"All {len(world.seen)} calls were refused: the token may be blocked, or its bucket full of another job's calls."
    assert document["signs"] == [{"kind": "blocked", "says": said}]


@pytest.mark.parametrize("budget", [5, 12, 40, 90])
def test_a_small_budget_is_never_passed(budget: int) -> None:
    """The design asks for no more calls than it may."""
    world = World(headers=False, seed=3)
    world.carry_out(RefusalDesign((SELF,), budget))
    assert len(world.seen) <= budget


@pytest.mark.untraced
def test_it_takes_no_longer_than_it_may() -> None:
    """No round begins after `longest_s`; whether that ended the search is known."""
    world, design = World(law=Law(0.5, 2.0), headers=False), RefusalDesign((SELF,), 400, longest_s=30.0)
    world.carry_out(design)
    assert (world.now_s < 45.0, len(world.seen) < 300, design.cut_short) == (True, True, True)


@pytest.mark.untraced
def test_the_true_bucket_contradicts_no_answer() -> None:
    """On four random buckets the true ratios have a log likelihood above -12, on three of them above -3."""
    losses = []
    for seed in range(4):
        world = random_world(seed, "wide", headers=False)
        world.carry_out(RefusalDesign((SELF,), 200))
        twin, unit = world.law.twin(world.bucket), world.bucket.up_front_cost
        mark, drain = world.bucket.high_water_mark / unit, world.bucket.high_water_mark / world.bucket.outflow_per_s
        logs = [math.log(value) for value in (mark, drain, twin.mean_cost / world.bucket.outflow_per_s)]
        points = np.array([*logs, -1.0])[:, None]
        losses.append(float(likelihood(points, events_of(world.seen))[0][0]))
    assert sorted(losses)[1] > -3.0
    assert min(losses) > -12.0


def test_a_mark_that_answers_exclude_is_not_among_the_draws() -> None:
    """Where a burst of 7 lets 6 through, no draw lets 5 or 7 through."""
    world = World(BucketSettings(630.0, 840.0, 10.0, 100.0), headers=False)
    design = RefusalDesign((SELF,), 120)
    world.carry_out(design)
    assert design.limit == 6
    ratios = ratios_of(world.seen, design.limit, 300)
    assert ratios is not None
    assert float(np.min(ratios.mark)) > 5.9
    assert float(np.max(ratios.mark)) < 7.15


@pytest.mark.parametrize(("rates", "value"), [([3.0], 3.0), ([1.0, 2.0, 4.0], 1.5), ([5.0, 5.0, 5.0], 5.0), ([1.0, 100.0], 1.98)])
def test_the_rate_that_is_least_off(rates: list[float], value: float) -> None:
    """A true rate of 1 weighs twice as much as one of 2: so the mean relative error is least."""
    assert least_off(np.array(rates)) == pytest.approx(value, rel=0.02)


def test_a_rest_drains_nothing_that_is_paid_after_it() -> None:
    """Ten of twelve reservations are paid, 0.5 drain a second: 30 s empty it, and 8 calls paid after that over 2 s leave room for eight."""
    ratios = Ratios(np.array([12.0]), np.array([0.5]), np.array([0.5]), np.array([10.0]), 0.0)
    assert [float(ratios.room(*how)[0]) for how in ((0.0,), (6.0,), (30.0,), (30.0, 8, 2.0), (0.0, 2, 2.0))] == [1.0, 4.0, 11.0, 8.0, 1.0]


def test_nothing_is_known_without_a_refusal() -> None:
    """No refusal, no ratios; and the network's share is what is left of the quickest flight."""
    world = World(headers=False, rtt_s=0.08, jitter_s=0.0)
    world.round([0.0, 0.5, 1.0])
    assert ratios_of(world.seen, None, 10) is None
    assert network_by_refusals_s(world.seen) == pytest.approx(0.08, abs=1e-6)


@pytest.mark.untraced
@pytest.mark.slow
def test_rates_from_refusals_on_random_buckets() -> None:
    """Buckets without headers: Canvas-like rates within a tenth, the intervals hold the truth, five refusals at most."""
    errors, held, most = [], 0, 0
    for seed, family in ((500, "canvas"), (7110, "wide")):
        world = random_world(seed, family, headers=False)
        design = RefusalDesign((SELF,), 400)
        world.carry_out(design)
        truth = even_rate(world.law.twin(world.bucket), 1000, 0.05)
        told = refusal_document(design, SELF.name, 1000, Bounds())["safe"]["rate_per_s"]
        errors.append(abs(told["value"] / truth - 1.0))
        held += told["low"] <= truth <= told["high"]
        most = max(most, world.refused)
    assert errors[0] < 0.1
    assert held == 2
    assert most <= 5


@pytest.mark.untraced
@pytest.mark.parametrize(("rtt_s", "refusal_s"), [(0.3, 0.003), (0.05, 1.0)])
def test_refusals_that_are_known_late(rtt_s: float, refusal_s: float) -> None:
    """A connect of 2 ms to an edge near by, no server time, and refusals known after 0.3 or 1 s: no more than five all the same."""
    answers = lambda _, fields: {**fields, "connect_s": 0.002}  # noqa: E731 # as a field of the world
    world = random_world(110000, headers=False, runtime=False, rtt_s=rtt_s, refusal_s=refusal_s, answers=answers)
    world.carry_out(RefusalDesign((SELF,), 400))
    assert 1 <= world.refused <= 5


class Windowed:
    """No bucket: ten calls at one time and sixty a minute."""

    def __init__(self) -> None:
        self.out = 0
        self.came: list[float] = []

    def arrive(self, now_s: float) -> bool:
        """Whether a call is let in."""
        self.came = [at for at in self.came if at > now_s - 60.0]
        if len(self.came) >= 60 or self.out >= 10:
            return False
        self.came.append(now_s)
        self.out += 1
        return True

    def depart(self, cost: float, _: float) -> float:
        """A call ends; refused ones cost nothing."""
        self.out -= cost > 0.0
        return 600.0


@pytest.mark.untraced
def test_refusals_that_no_bucket_makes() -> None:
    """Two limits at once: no rate is told, and why; a plan cannot be made of it either."""
    world = random_world(130000, "canvas", headers=False)
    world._bucket = Windowed()  # type: ignore[assignment] # what it is asked
    design = RefusalDesign((SELF,), 400)
    world.carry_out(design)
    document = refusal_document(design, SELF.name, SHORT, Bounds())
    assert (document["regime"], document["safe"]) == ("refusals", None)
    said = [sign["says"] for sign in document["signs"] if sign["kind"] == "unexplained_refusals"]
    assert len(said) == 1
    assert said[0].startswith(f"{refused(design)} refusals in {len(design.seen)} calls do not fit one bucket that leaks: a limit by the")
    assert drawn(design.seen, design.seen, design.limit, 100) is None


class Tokens:
    """A bucket of tokens, so many and so many a second: a call takes one and gives none back."""

    def __init__(self, most: float, per_s: float) -> None:
        self.left, self.most, self.per_s, self.last_s = most, most, per_s, 0.0

    def arrive(self, now_s: float) -> bool:
        """Whether there is one."""
        self.left = min(self.most, self.left + self.per_s * (now_s - self.last_s))
        self.last_s = now_s
        passes = self.left >= 1.0
        self.left -= passes
        return passes

    def depart(self, *_: float) -> float:
        """Nothing comes back."""
        return 600.0


@pytest.mark.untraced
def test_a_bucket_of_tokens_is_met_with_care() -> None:
    """20 tokens, 10 a second: of a second burst a few calls are refused, not most, and no more is recommended than what comes back."""
    world = World(law=Law(0.2, 0.3, spread=0.3), rtt_s=0.04, headers=False, seed=2)
    world._bucket = Tokens(20.0, 10.0)  # type: ignore[assignment] # what it is asked
    design = RefusalDesign((SELF,), 400)
    world.carry_out(design)
    safe = refusal_document(design, SELF.name, 1000, Bounds())["safe"]
    assert (design.limit, refused(design) <= 6, safe["rate_per_s"]["low"] < 10.0) == (20, True, True)


def test_one_worker_may_be_too_fast() -> None:
    """Where no call was refused, and a worker without a pause would be faster than all that was sent in the mean, none is called safe."""
    world = World(BucketSettings.of(1e9, 10.0, 50.0), Law(0.05, 0.1), headers=False)
    design = RefusalDesign((SELF,), 400)
    world.carry_out(design)
    design.finish(world.seen)
    document = refusal_document(design, SELF.name, 1000, Bounds())
    assert (document["regime"], document["safe"]["bound_by"]) == ("unthrottled", "refusals")
    one_worker = 1.0 / float(np.mean([o.flight_s for o in world.seen if o.flight_s is not None]))
    assert document["safe"]["rate_per_s"]["low"] < 0.9 * one_worker
    assert (document["safe"]["in_flight"], document["safe"]["burst"]) == (0, max(burst.size for burst in design.bursts))


def test_refusals_that_were_spent() -> None:
    """A search that ended as no more refusals are risked says so, with what it asked of its budget, the calls before it among them."""
    world = World(BucketSettings.of(100.0, 0.5, 90.0), Law(0.2, 0.1), headers=False)
    world.round([0.0, 0.0])
    earlier = list(world.seen)
    world.seen.clear()
    design = RefusalDesign((SELF,), 398, earlier=earlier)
    world.carry_out(design)
    design.finish(world.seen)
    asked, met = 2 + len(world.seen), world.refused
    (says,) = (sign["says"] for sign in refusal_document(design, SELF.name, SHORT, Bounds())["signs"] if sign["kind"] == "refusals_spent")
    assert met >= 5
    assert says == f"Asking stopped after {asked} of 400 calls: no more refusals are risked than the {met} that were met."
