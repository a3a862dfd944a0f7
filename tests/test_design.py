from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from worlds import SELF, Law, World, observed, random_world

from probes.bucket import BucketSettings
from probes.calls import Call, Round
from probes.design import Design
from probes.estimate import estimate
from probes.observation import Observation, Outcome
from probes.pricing import Step
from probes.rates import rate_document
from probes.safety import even_rate


@pytest.mark.untraced
@pytest.mark.slow
def test_no_refusal_on_random_buckets() -> None:
    """Two random buckets, one over a jittery network: identified and priced within the budget, and never a call refused."""
    for seed, family, jitter in ((0, "wide", 0.03), (1, "canvas", 0.003)):
        world = random_world(seed, family, jitter_s=jitter)
        world.carry_out(Design((SELF,), 110))
        assert (world.refused, len(world.seen) <= 110) == (0, True), seed


def test_first_rounds() -> None:
    """One call, another one, two together, then as the level allows; each round waits for the bucket to rest."""
    world = World(law=Law(0.3, 0.2))
    sizes = []
    design = Design((SELF,), price=False)

    def decide(seen: Sequence[Observation]) -> Round | None:
        asked = design(seen)
        sizes.append(0 if asked is None else len(asked.calls))
        return asked

    world.carry_out(decide)
    assert sizes[:6] == [1, 1, 2, 2, 3, 3]
    assert sizes[-1] == 0
    assert design.identified_after is not None
    requests, seconds = design.identified_after
    assert requests == len(world.seen)
    assert seconds == pytest.approx(world.now_s, abs=0.5)


@pytest.mark.untraced
@pytest.mark.parametrize(("law", "max_rate"), [(Law(0.5, 0.4), None), (Law(1.0, 5.0), None), (Law(0.3, 0.2), 3.0)])
def test_how_long_pricing_takes(law: Law, max_rate: float | None) -> None:
    """From its first step on the design knows to a quarter how long pricing takes, whatever binds; before that it knows nothing."""
    world, design, told = World(law=law), Design((SELF,), 300, max_rate), []

    def decide(seen: Sequence[Observation]) -> Round | None:
        asked = design(seen)
        told.append((world.now_s, design.pricing_s))
        return asked

    world.carry_out(decide)
    began, foretold = next(pair for pair in told if pair[1])
    assert foretold == pytest.approx(world.now_s - began, rel=0.25)
    assert {seconds for _, seconds in told} == {0.0, foretold}


@pytest.mark.untraced
@pytest.mark.parametrize(("longest_s", "calls"), [(40.0, 70), (400.0, 120)])
def test_it_takes_no_longer_than_it_may(longest_s: float, calls: int) -> None:
    """No step begins after `longest_s`, and the last is cut so that it ends by then; whether that cut the budget short is known."""
    world, design = World(law=Law(1.0, 5.0)), Design((SELF,), 120, longest_s=longest_s)
    world.carry_out(design)
    assert world.now_s < longest_s + 10.0
    assert (len(world.seen), design.cut_short) == (calls, calls < 120)


@pytest.mark.untraced
@pytest.mark.parametrize("budget", [1, 2, 3, 7, 20, 45, 111])
def test_budget_is_kept(budget: int) -> None:
    """Never more calls than the budget, each round bounded by what the scenario cuts off."""
    world = World(law=Law(0.3, 0.2))
    design = Design((SELF,), budget)

    def cut(seen: Sequence[Observation]) -> Round | None:
        asked = design(seen)
        assert asked is None or len(seen) < budget
        return None if asked is None else dataclasses.replace(asked, calls=asked.calls[: budget - len(seen)])

    world.carry_out(cut)
    assert len(world.seen) <= budget
    assert design(world.seen) is None


@pytest.mark.untraced
@pytest.mark.parametrize("most", [1, 2, 5])
def test_max_in_flight_is_kept(most: int) -> None:
    """What is asked together never exceeds the ceiling; with 1 no reservation can be known, and it says so."""
    world = World(law=Law(0.3, 0.2, spread=0.1), seed=3)
    design = Design((SELF,), 120, max_in_flight=most)

    def decide(seen: Sequence[Observation]) -> Round | None:
        asked = design(seen)
        assert asked is None or sum(offset == 0.0 for offset, _ in asked.calls) <= most
        return asked

    world.carry_out(decide)
    found = estimate(world.seen)
    assert found is not None
    assert found.identified is (most > 1)


@pytest.mark.untraced
def test_max_rate_is_kept() -> None:
    """Spaced calls keep the ceiling on the rate: trains and steps are never faster."""
    world = World(law=Law(0.3, 0.2), seed=3)
    design = Design((SELF,), 120, max_rate=4.0)

    def decide(seen: Sequence[Observation]) -> Round | None:
        asked = design(seen)
        offsets = [] if asked is None else [offset for offset, _ in asked.calls]
        assert all(later - earlier >= 0.25 - 1e-9 for earlier, later in itertools.pairwise(offsets) if len(offsets) > 3)
        return asked

    world.carry_out(decide)
    assert max(step.rate_per_s for step in design.steps) <= 4.0


@pytest.mark.untraced
def test_what_a_last_step_leaves_is_used() -> None:
    """A last step that ends after ten of its calls leaves fifty: they go at a pace between those two, and price as well."""
    world, design = World(law=Law(0.3, 0.2, spread=0.2), seed=3), Design((SELF,), 400)

    def decide(seen: Sequence[Observation]) -> Round | None:
        asked = design(seen)
        return replace(asked, calls=asked.calls[:10]) if asked is not None and len(design.steps) == 6 else asked

    world.carry_out(decide)
    assert [step.calls for step in design.steps[5:]] == [60, 50]
    assert design.steps[6].rate_per_s == pytest.approx((design.steps[4].rate_per_s * design.steps[5].rate_per_s) ** 0.5)
    assert len(world.seen) == 400
    assert design.sprinted


@pytest.mark.untraced
def test_steps_go_no_faster_than_twice_what_the_job_may() -> None:
    """Where 53 calls fit the 31 of a first step might all come at once, at 500 a second: they go at half of what the job may do."""
    world = World(BucketSettings.of(1165.0, 15.0, 22.0), Law(0.5, 0.25, spread=0.4), seed=655001)
    design = Design((SELF,), 70)
    world.carry_out(design)
    safe = even_rate(world.law.twin(world.bucket), 1000, 0.05, replicas=300)
    assert design.steps[0].rate_per_s == pytest.approx(0.5 * safe, rel=0.25)


@pytest.mark.untraced
def test_slower_server() -> None:
    """A server whose latency doubles above 7 calls/s: stepping stops at the first sign; else the rate that is told is tried."""
    world = World(law=Law(0.3, 0.2, spread=0.2), seed=3)
    design = Design((SELF,), 400)
    world.slower = lambda rate: 2.2 if rate > 7.0 and design.steps else 1.0
    world.carry_out(design)
    design.finish(world.seen)
    assert design.slowed_at is not None
    assert not design.sprinted
    assert max(step.rate_per_s for step in design.steps if step.rate_per_s < design.slowed_at) <= 7.0 < design.slowed_at
    steady = Design((SELF,), 400)
    calm = World(law=Law(0.3, 0.2, spread=0.2), seed=3)
    calm.carry_out(steady)
    steady.finish(calm.seen)
    assert steady.slowed_at is None
    assert len(steady.steps) == 6 + (steady.steps[5].calls > len(steady.made(5, calm.seen)))
    told = rate_document(found, SELF.name)["safe"]["rate_per_s"] if (found := estimate(calm.seen)) is not None else {}
    assert steady.steps[5].calls == 60
    assert steady.steps[5].rate_per_s == pytest.approx(told["low"], rel=0.08)
    assert [step.rate_per_s for step in steady.steps[:6]] == sorted(step.rate_per_s for step in steady.steps[:6])


def test_calls_made_alone_again_are_no_part_of_a_step() -> None:
    """Of a step that was cut short after 20 calls, with ten alone after it, the 20 are told: they show what the server kept up with."""
    design = Design((SELF,), 400, steps=[Step(5.0, 0, 30), Step(9.0, 30, 80)], _control=50, _controlled=2)
    seen = failing(Outcome.OK, 200) * 15
    assert [len(design.made(n, seen)) for n in (0, 1)] == [30, 20]


def failing(outcome: Outcome, status: int | None) -> list[Observation]:
    return [observed(n, n + 0.1, status=status, outcome=outcome) for n in range(4)]


@pytest.mark.parametrize(
    ("outcome", "status", "after"),
    [
        (Outcome.MAINTENANCE, 503, 1),
        (Outcome.UNAUTHORIZED, 401, 4),
        (Outcome.NOT_FOUND, 404, 4),
        (Outcome.PROTOCOL_ERROR, 200, 4),
        (Outcome.READ_TIMEOUT, None, 4),
        (Outcome.THROTTLED, 429, 3),
    ],
)
def test_stops(outcome: Outcome, status: int | None, after: int) -> None:
    """Maintenance ends it at once, four failures in a row, or more than two refusals."""
    design = Design((SELF,))
    seen = failing(outcome, status)
    assert design(seen[:after]) is None
    assert design([observed(-1.0, -0.9, remaining=600.0, cost=0.1)]) is not None


def test_without_headers() -> None:
    """A server without budget headers is asked a dozen times at most by this design."""
    world = World(headers=False)
    design = Design((SELF,))
    world.carry_out(design)
    assert len(world.seen) <= 14
    assert design.steps == []
    assert design.identified_after is not None


def test_blocked_ends_it() -> None:
    """A blocked token is asked no more."""
    seen = [observed(n, n + 0.1, status=429, outcome=Outcome.THROTTLED, remaining=0.0) for n in range(2)]
    assert Design((SELF,))(seen) is None


@pytest.mark.untraced
def test_calls_take_turns() -> None:
    """Several calls are asked in turn, so that each is priced by as many."""
    calls = tuple(Call("GET", f"/{n}") for n in range(3))
    world = World(law=Law(0.3, 0.2))
    world.carry_out(Design(calls, 150))
    counts = [sum(o.call == call.name for o in world.seen) for call in calls]
    assert max(counts) - min(counts) <= 1
    assert min(counts) > 20


@pytest.mark.untraced
def test_headers_whose_order_was_lost_are_asked_for_again() -> None:
    """Where the first dozen answers are explained by no bucket, a few more pairs are asked before another job is blamed."""
    world = random_world(70082, "wide", jitter_s=0.01)
    world.carry_out(Design((SELF,), price=False))
    told = estimate(world.seen)
    assert told is not None
    assert (told.identified, len(world.seen) > 12, world.refused) == (True, True, 0)


@pytest.mark.untraced
@pytest.mark.parametrize(
    "more",
    [
        {"bucket": BucketSettings(120.0, 160.0, 5.0, 50.0), "law": Law(0.3, 3.0)},
        {"bucket": BucketSettings(120.0, 160.0, 1.0, 50.0), "law": Law(2.0, 5.0)},
        {"bucket": BucketSettings(), "law": Law(0.3, 40.0)},
        {"law": Law(0.3, 0.3), "answers": lambda n, told: {**told, "remaining": told["remaining"] + (600.0 if n % 7 == 6 else 0.0)}},
        {"law": Law(30.0, 3.0, spread=0.1)},
        {"law": Law(0.3, 0.3), "answers": lambda n, told: told if n < 9 else {**told, "remaining": None, "cost": None}},
    ],
    ids=["two-reservations", "two-reservations-slow", "dear", "jumps", "30-s", "headers-stop"],
)
def test_awkward_servers(more: dict[str, Any]) -> None:
    """A small bucket, dear calls, a jumping Remaining, latency of 30 s, headers that stop: it ends within the budget and a few refusals."""
    world = World(seed=11, **more)
    world.carry_out(Design((SELF,), 150))
    assert len(world.seen) <= 150
    assert world.refused <= 1


@pytest.mark.parametrize(("factor", "slowed_at"), [(1.0, None), (2.0, 5.0)])
def test_a_mix_of_quick_and_slow_calls_is_no_slower_server(factor: float, slowed_at: float | None) -> None:
    """Flights are compared kind by kind: a median that lies now among the quick, now among the slow says nothing of the server."""
    slow = Call("GET", "/api/v1/accounts/1/users")

    def answers(start: float, quick: int, dear: int, factor: float) -> list[Observation]:
        kinds = [(SELF, 0.2)] * quick + [(slow, 1.2)] * dear
        return [observed(start + n, start + n + time * factor * (1.0 + 0.01 * (n % 5)), call) for n, (call, time) in enumerate(kinds)]

    seen = [*answers(0.0, 12, 9, 1.0), *answers(100.0, 9, 21, factor)]
    design = Design((SELF, slow), 150, steps=[Step(5.0, 21, 30)])
    design.finish(seen)
    assert design.slowed_at == slowed_at


@pytest.mark.parametrize(("factor", "slowed_at"), [(1.0, None), (3.0, 9.0)])
def test_a_last_step_that_the_budget_cut_short(factor: float, slowed_at: float | None) -> None:
    """Six slow calls of a last step of eight are judged together with the two before them: the slowdown is seen."""

    def answers(start: float, calls: int, time_s: float) -> list[Observation]:
        return [observed(start + n, start + n + time_s * (1.0 + 0.01 * (n % 5))) for n in range(calls)]

    seen = [*answers(0.0, 20, 0.2), *answers(50.0, 30, 0.2), *answers(100.0, 8, 0.2 * factor)]
    design = Design((SELF,), 58, steps=[Step(5.0, 20, 30), Step(9.0, 50, 8)])
    design.finish(seen)
    assert design.slowed_at == slowed_at


@pytest.mark.parametrize(("budget", "slowed_at"), [(200, 11.0), (230, None), (400, None)])
def test_a_long_step_is_believed_where_no_second_look_is_as_long(budget: int, slowed_at: float | None) -> None:
    """A queue that grew in 140 calls does not grow again in the 10 that are left; where more are, calls are made alone again first."""
    base = [observed(n, n + 0.2 * (1.0 + 0.01 * (n % 5))) for n in range(50)]
    waiting = [observed(100.0 + n / 11.0, 100.2 + n / 11.0 + 0.01 * n) for n in range(140)]
    design = Design((SELF,), budget, steps=[Step(5.0, 20, 30), Step(11.0, 50, 140)])
    design._slowed([*base, *waiting])
    assert design.slowed_at == slowed_at


@pytest.mark.untraced
@pytest.mark.parametrize("by_load", [False, True])
def test_a_server_that_grew_slow_for_all_calls(by_load: bool) -> None:
    """From the second step on calls take twice as long: where calls alone do as well no rate is blamed for it, else the step's is."""
    world = World(law=Law(0.3, 0.2, spread=0.1), seed=8)
    design = Design((SELF,), 150)
    world.slower = lambda rate: 2.0 if len(design.steps) >= 2 and (rate > 3.0 or not by_load) else 1.0
    world.carry_out(design)
    design.finish(world.seen)
    assert (design.slowed_at is not None) == by_load
    assert world.refused == 0


@pytest.mark.parametrize("ceiling", [2, 12])
def test_a_bucket_that_leaks_what_a_few_calls_reserve(ceiling: int) -> None:
    """Remaining that never moves with three calls together is asked with six and twelve, where a bucket that leaks quickly shows.

    No more together than may be in flight: there it is said how many were.
    """
    world = World(BucketSettings.of(250.0, 16.0, 7.0), Law(1.5, 0.5), seed=5)
    world.carry_out(Design((SELF,), 60, max_in_flight=ceiling))
    told = estimate(world.seen)
    assert told is not None
    assert world.refused == 0
    if ceiling == 2:
        assert (told.regime, told.fit) == ("unthrottled", None)
        assert "up to 2 at one time" in told.signs[0][1]
    else:
        assert told.fit is not None
        constants = (told.fit.bucket.high_water_mark, told.fit.bucket.outflow_per_s, told.fit.bucket.up_front_cost)
        assert constants == pytest.approx((250.0, 16.0, 7.0), rel=0.01)


@pytest.mark.parametrize("seed", [0, 2])
def test_a_bucket_that_leaks_most_of_what_a_few_calls_reserve(seed: int) -> None:
    """200 units/s and calls of 2 s: nearly all headers are at rest, six and more together show the bucket, and no wrong one is told."""
    world = World(BucketSettings.of(600.0, 200.0, 50.0), Law(2.0, 1.0, spread=0.4), seed=seed)
    world.carry_out(Design((SELF,), price=False))
    told = estimate(world.seen)
    assert told is not None
    assert told.fit is not None
    assert (told.identified, world.refused, world.most_in_flight >= 6) == (True, 0, True)
    assert (told.fit.bucket.outflow_per_s, told.fit.bucket.up_front_cost) == pytest.approx((200.0, 50.0), rel=0.01)


@pytest.mark.untraced
def test_a_bucket_that_holds_one_call() -> None:
    """Two together are refused, once more half a call apart, and then calls go one by one: the rate is safe and one worker is told."""
    world = World(BucketSettings.of(150.0, 10.0, 90.0), Law(0.3, 0.15, spread=0.4), seed=1)
    world.carry_out(Design((SELF,), 33))
    told = estimate(world.seen)
    assert told is not None
    assert told.fit is not None
    assert told.fit.bucket.up_front_cost == pytest.approx(90.0, rel=0.002)
    assert (world.refused, len(world.seen), told.signs) == (2, 33, ())
    safe = rate_document(told, SELF.name)["safe"]
    assert (safe["in_flight"], safe["burst"], safe["bound_by"]) == (1, 1, "reservations")
    assert safe["rate_per_s"]["low"] < 0.86 < safe["rate_per_s"]["high"]


@pytest.mark.parametrize(("level", "refused", "waited_s"), [(60.0, 0, 4.8), (300.0, 0, 28.6), (590.0, 2, 58.3)])
def test_a_bucket_that_others_had_filled(level: float, refused: int, waited_s: float) -> None:
    """Remaining that only rises is waited out as long as its rise says, and the bucket is told from rest without a remark."""
    world, design, waits = World(law=Law(0.3, 0.2), seed=2), Design((SELF,), price=False), []
    world._bucket.touch(level, 0.0)

    def decide(seen: Sequence[Observation]) -> Round | None:
        asked = design(seen)
        waits.append(design.drains_s)
        assert not design.drains_s or asked is None or (len(asked.calls), asked.after_s) == (1, design.drains_s)
        return asked

    world.carry_out(decide)
    told = estimate(world.seen)
    assert told is not None
    assert told.fit is not None
    assert sum(waits) == pytest.approx(waited_s, rel=0.02)
    assert (world.refused, told.refused, told.n, told.identified, told.signs) == (refused, refused, len(world.seen), True, ())
    assert told.fit.bucket.outflow_per_s == pytest.approx(10.0, rel=0.01)


@pytest.mark.untraced
def test_another_job_that_goes_on_is_not_waited_for() -> None:
    """A level that others hold up while it is asked is another job as ever, after a bounded wait."""
    world, design = World(law=Law(0.3, 0.2), seed=2, others=(9.0, 1.0)), Design((SELF,), price=False)
    world.carry_out(design)
    told = estimate(world.seen)
    assert told is not None
    assert [sign.kind for sign in told.signs] == ["shared_token"]
    assert world.now_s < 60.0


@pytest.mark.parametrize(("time_s", "identified", "longest_s"), [(5.0, True, 60.0), (14.0, False, 130.0), (30.0, False, 130.0)])
def test_calls_that_all_take_long(time_s: float, identified: bool, longest_s: float) -> None:
    """Pairs that leak what they reserve are followed by three together; calls of more than 10 s end within two minutes, unknown."""
    world = World(law=Law(time_s, 1.0, spread=0.01), seed=1)
    world.carry_out(Design((SELF,), price=False))
    told = estimate(world.seen)
    assert told is not None
    assert (told.regime, told.identified, world.refused) == ("headers", identified, 0)
    assert world.now_s < longest_s


@pytest.mark.parametrize(("mark", "reservation", "kind", "most"), [(40.0, 50.0, "nothing_passes", 2), (600.0, 0.0, "no_reservation", 12)])
def test_buckets_that_are_not_to_be_told(mark: float, reservation: float, kind: str, most: int) -> None:
    """A reservation as large as the mark, or none at all, ends it early, by its name."""
    world = World(BucketSettings.of(mark, 10.0, reservation), Law(0.3, 0.3), seed=1)
    world.carry_out(Design((SELF,)))
    told = estimate(world.seen)
    assert told is not None
    assert ([sign.kind for sign in told.signs], told.fit, told.regime) == ([kind], None, "headers")
    assert len(world.seen) <= most
