from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from worlds import SELF, Law, World, observed, random_world, recorded

from probes.bounds import Bounds
from probes.bucket import BucketSettings
from probes.calls import Call
from probes.design import Design
from probes.estimate import Estimate, estimate
from probes.observation import Observation, Outcome
from probes.rates import rate_document

Answers = Callable[[int, dict[str, Any]], dict[str, Any]]


def found(seen: list[Observation]) -> Estimate:
    one = estimate(seen)
    assert one is not None
    return one


def kinds(one: Estimate) -> list[str]:
    return [kind for kind, _ in one.signs]


def asked(answers: Answers | None = None) -> World:
    """A default bucket asked as the design asks; `answers` changes what is seen of each answer."""
    world = World(law=Law(0.3, 0.2), seed=5)
    if answers is not None:
        world.answers = answers
    world.carry_out(Design((SELF,), price=False))
    return world


def tells_the_truth(one: Estimate, bucket: BucketSettings, within: float = 0.02) -> bool:
    """Whether each constant that is told is right; nothing told is true as well."""
    told = one.bucket() or {}
    truth = dataclasses.asdict(bucket)
    return all(number is None or abs(number.value / truth[name] - 1.0) < within for name, number in told.items())


def told_by(one: Estimate) -> list[str]:
    """The names of the constants that are told."""
    return [name for name, number in (one.bucket() or {}).items() if number is not None]


ALL = ["high_water_mark", "up_front_cost", "outflow_per_s"]


def test_a_clean_bucket() -> None:
    """All three constants with an interval that holds the truth, the price, no remark."""
    world = asked()
    one = found(world.seen)
    assert (one.instance, one.regime, one.refused, one.signs, one.identified) == ("test", "headers", 0, (), True)
    bucket = one.bucket()
    assert bucket is not None
    for name, number in bucket.items():
        assert number is not None
        assert number.value == pytest.approx(getattr(world.bucket, name), rel=0.002), name
        assert number.low <= number.value <= number.high
        assert number.n == len(world.seen)
    assert one.fit is not None
    for number, error in zip(bucket.values(), one.fit.errors, strict=True):
        assert number is not None
        assert (number.value - number.low, number.high - number.value) == pytest.approx((1.96 * error, 1.96 * error))
    assert one.prices[SELF.name].n == len(world.seen)
    assert one.round_trip_s == pytest.approx(0.05, abs=0.004)


@pytest.mark.untraced
def test_the_usual_round_trip_is_longer_than_the_shortest() -> None:
    """A call usually takes the shortest way and half of what the network varies by; the twin's workers wait for that."""
    world = World(law=Law(0.3, 0.2), seed=5, rtt_s=0.08, jitter_s=0.01)
    world.opened((22, 0.1), (22, 0.2), (22, 0.13), (60, 0.09))
    one = found(world.seen)
    flights = [o.flight_s - o.server_time_s for o in world.seen if o.flight_s is not None and o.server_time_s is not None]
    assert one.round_trip_s == pytest.approx(np.median(flights), rel=1e-6)
    assert one.round_trip_s > one.away.round_trip_s + 0.005
    twin = one.twin(SELF.name)
    assert twin is not None
    assert (twin.round_trip_s, twin.jitter_s) == (one.round_trip_s, one.jitter_s)


@pytest.mark.untraced
def test_intervals_hold_the_truth() -> None:
    """Of the outflow's intervals on five buckets nearly all hold the truth."""
    held = 0
    for seed in range(5):
        world = random_world(seed)
        world.carry_out(Design((SELF,), price=False))
        outflow = (found(world.seen).bucket() or {})["outflow_per_s"]
        held += outflow is not None and outflow.low <= world.bucket.outflow_per_s <= outflow.high
    assert held >= 4


def test_whole_ratio_is_taken_for_whole() -> None:
    """600 / 50 within the error is 12, so that 11 calls may start together, not 12."""
    one = found(asked().seen)
    assert one.fit is not None
    assert one.fit.bucket.high_water_mark / one.fit.bucket.up_front_cost == 12.0
    twin = one.twin(SELF.name)
    assert twin is not None
    assert twin.burst == 11


def test_whole_ratio_where_no_header_shows_the_mark() -> None:
    """Calls that cost more than leaks before the next hide the mark: 600 / 50, told as 599.99 / 49.995, still admits 11 calls, not 12."""
    world = World(law=Law(0.15, 6.0), seed=3105)
    world.carry_out(Design((SELF,), 28, price=False))
    one = found(world.seen)
    assert one.fit is not None
    assert not one.fit.exact_mark
    assert one.fit.bucket.burst == 11


def test_nothing_answered() -> None:
    """Where nothing was answered there is no estimate; another instance's answers do not count."""
    assert estimate([]) is None
    assert estimate([dataclasses.replace(observed(0.0, 1.0), status=None, received_s=None, outcome=Outcome.CONNECT_ERROR)]) is None
    assert estimate(asked().seen, "beta") is None


def test_no_headers() -> None:
    """Without budget headers the regime is unthrottled, after a refusal it is refusals; no constant is told."""
    world = World(headers=False)
    world.round([0.0] * 3)
    assert (found(world.seen).regime, kinds(found(world.seen)), found(world.seen).bucket()) == ("unthrottled", ["no_headers"], None)
    world.round([0.0] * 14, 5.0)
    assert (found(world.seen).regime, found(world.seen).refused) == ("refusals", world.refused)


def test_headers_that_stop() -> None:
    """A server that switches from headers to none is not taken for one with headers once most answers have none."""
    one = asked(lambda n, told: told if n < 4 else {**told, "remaining": None, "cost": None})
    assert tells_the_truth(found(one.seen), one.bucket)
    mostly = found(one.seen + [observed(100.0 + n, 100.3 + n) for n in range(30)])
    assert (mostly.regime, kinds(mostly)) == ("unthrottled", ["no_headers"])
    assert mostly.signs[0][1].endswith("answers carried no budget header.")


def test_headers_that_stop_after_enough_of_them() -> None:
    """Twenty headers tell the bucket; that the rest came without is said, nobody is blamed for it, and soon no more is asked."""
    world = World(law=Law(0.3, 0.2), seed=5, answers=lambda n, told: told if n < 20 else {**told, "remaining": None, "cost": None})
    world.carry_out(Design((SELF,), 400))
    told = found(world.seen)
    assert tells_the_truth(told, world.bucket)
    bare = len(world.seen) - 20
    assert 20 <= bare < 80
    said = f"{bare} of {len(world.seen)} answers carried no budget header, and none of the last {bare}: what these calls paid is a guess."
    assert told.signs == (("headers_missing", said),)


def test_headers_missing_now_and_then() -> None:
    """Where every third answer lacks the headers its reservation still counts: the bucket is found, and nobody else is blamed."""
    world = asked(lambda n, told: told if n % 3 else {**told, "remaining": None, "cost": None})
    told = found(world.seen)
    assert kinds(told) == ["headers_missing"]
    bucket = told.bucket()
    assert bucket is not None
    assert bucket["up_front_cost"] is not None
    assert bucket["up_front_cost"].value == pytest.approx(world.bucket.up_front_cost, rel=0.01)


def test_approve_listed() -> None:
    """A Remaining that never moves though calls overlap: no bucket is kept for this token."""
    one = found(asked(lambda _, told: {**told, "remaining": 600.0}).seen)
    assert (one.regime, kinds(one), one.fit) == ("unthrottled", ["approve_listed"], None)


def test_a_bucket_that_is_rarely_touched_is_not_approve_listed() -> None:
    """A Remaining that never moves in calls one after another says nothing: the reservation is unknown."""
    world = World(law=Law(0.3, 0.001))
    for _ in range(8):
        world.round([0.0], 0.5)
    one = found(world.seen)
    assert one.regime == "headers"
    assert not one.identified
    assert one.twin(SELF.name) is None
    bucket = one.bucket()
    assert bucket is not None
    assert bucket["up_front_cost"] is None


def test_blocked() -> None:
    """Every call refused with Remaining forced to 0.0: blocked."""
    seen = [observed(n, n + 0.1, status=429, outcome=Outcome.THROTTLED, remaining=0.0) for n in range(4)]
    assert (found(seen).regime, kinds(found(seen)), found(seen).bucket()) == ("blocked", ["blocked"], None)


def test_not_enforced() -> None:
    """Calls that pass above the mark: the limit is counted, not enforced."""
    world = World(law=Law(0.5, 0.2, spread=0.1), enforced=False)
    world.round([n * 0.02 for n in range(40)])
    world.round([n * 0.02 for n in range(40)], 2.0)
    one = found(world.seen)
    assert (one.regime, kinds(one)) == ("not_enforced", ["not_enforced"])


@pytest.mark.untraced
@pytest.mark.parametrize("others", [(1.0, 0.4), (20.0, 6.0), (30.0, 3.0), (60.0, 9.0)])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_other_traffic_is_reported(others: tuple[float, float], seed: int) -> None:
    """Another job on the token is reported, or it did no harm: no wrong constant without a word."""
    world = random_world(seed, "canvas", others=others)
    world.carry_out(Design((SELF,), price=False))
    one = found(world.seen)
    assert "shared_token" in kinds(one) or tells_the_truth(one, world.bucket)


FEW = (*((4, 0.035),) * 6, (12, 0.16), (12, 0.1), (12, 0.074), (12, 0.06), (12, 0.055))
MANY = ((7, 0.0345), (34, 0.2023), (41, 0.1457), (51, 0.1015), (68, 0.0833), (147, 0.0726), (40, 0.0447))


@pytest.mark.untraced
@pytest.mark.parametrize(("seed", "rounds", "signs"), [(3, FEW, []), (7, MANY, ["jitter"])], ids=["few", "many"])
def test_calls_that_overtake_one_another(seed: int, rounds: tuple[tuple[int, float], ...], signs: list[str]) -> None:
    """Dense calls whose order the network loses are no sign of another job: the first calls tell the bucket, and that is said."""
    bucket = BucketSettings.of(785.0, 15.0, 96.0)
    world = World(bucket, Law(0.13, 0.14), rtt_s=0.08, jitter_s=0.05, seed=seed)
    world.opened(*rounds)
    one = found(world.seen)
    assert kinds(one) == signs
    assert tells_the_truth(one, bucket, 0.08)
    assert one.fit is not None
    assert one.fit.n == (60 if signs else len(world.seen))


@pytest.mark.untraced
def test_other_traffic_that_no_bucket_explains() -> None:
    """Heavy traffic of somebody else leaves no constant to tell, and the sentence says why."""
    world = random_world(3, "canvas", others=(30.0, 3.0))
    world.carry_out(Design((SELF,), price=False))
    one = found(world.seen)
    assert one.bucket() is None
    assert one.signs[0][1].endswith(
        "these calls alone do not explain: another job seems to use this token, or its limit does not work as Canvas's."
    )


@pytest.mark.parametrize("cost", [math.nan, -3.0, None, 1e308, math.inf])
def test_costs_that_cannot_be(cost: float | None) -> None:
    """A cost that is no number, negative, absent or absurd on every third answer is left out of price and fit, and said."""
    world = asked(lambda n, fields: {**fields, "cost": cost} if n % 3 == 2 else fields)
    one = found(world.seen)
    assert tells_the_truth(one, world.bucket)
    assert (told_by(one), kinds(one)) == (ALL, ["cost_missing"])
    prices = one.prices[SELF.name]
    assert np.all(np.isfinite(prices.costs))
    assert np.max(prices.costs) < 5.0
    assert np.min(prices.costs) >= 0.0


@pytest.mark.parametrize("remaining", [math.nan, 1e308, -math.inf])
def test_remaining_that_cannot_be(remaining: float) -> None:
    """A Remaining that is no number or absurd on every fifth answer changes no constant."""
    world = asked(lambda n, fields: {**fields, "remaining": remaining} if n % 5 == 4 else fields)
    one = found(world.seen)
    assert tells_the_truth(one, world.bucket)
    assert (told_by(one), kinds(one)) == (ALL, ["headers_missing"])


@pytest.mark.parametrize(("every", "constants", "signs"), [(3, [], ["limit_changed", "remaining_jumps"]), (10, ALL, ["remaining_jumps"])])
def test_remaining_that_jumps(every: int, constants: list[str], signs: list[str]) -> None:
    """A Remaining that jumps by 600 on some answers is no level of this bucket: the constants stay right or are not told."""
    world = asked(lambda n, fields: {**fields, "remaining": fields["remaining"] + 600.0} if n % every == every - 1 else fields)
    one = found(world.seen)
    assert tells_the_truth(one, world.bucket)
    assert (told_by(one), kinds(one)) == (constants, signs)


@pytest.mark.untraced
def test_traces_that_hide_the_order() -> None:
    """The hard traces tell no wrong constant without a word."""
    for name in ("hard-mix", "recovery", "sequential-dear", "parallel-30"):
        bucket, seen = recorded(name)
        one = found(seen)
        assert tells_the_truth(one, bucket, 0.025) or kinds(one), name
    _, seen = recorded("sequential-dear")
    told = found(seen).bucket()
    assert told is not None
    assert told["up_front_cost"] is None
    assert told["high_water_mark"] is not None


def test_refusals_where_there_was_room() -> None:
    """Two refusals far below the mark that headers show: no constant is told, and why; one alone may be somebody else's doing."""
    world = asked()
    room = [dataclasses.replace(o, status=429, outcome=Outcome.THROTTLED, cost=None, server_time_s=0.003) for o in world.seen[-2:]]
    told = found([*world.seen[:-2], *room])
    said = "2 calls were refused where the bucket that the headers show had room: none of its constants is told."
    assert told.bucket() is None
    assert ("unforeseen_refusals", said) in told.signs
    assert found([*world.seen[:-1], room[1]]).bucket() is not None


def test_refusals_of_something_in_front() -> None:
    """Refusals without the headers that all other answers have are a gateway's, whatever the bucket has left; the sentence says so."""
    world = asked()
    bare = [dataclasses.replace(o, status=429, outcome=Outcome.THROTTLED, remaining=None, cost=None) for o in world.seen[-2:]]
    told = found([*world.seen[:-2], *bare])
    assert told.bucket() is None
    said = "2 calls were refused where the bucket that the headers show had room, and without its headers: "
    assert told.signs == (("other_limit", said + "a gateway or a proxy in front of it has a limit of its own."),)


def test_older_script_is_said() -> None:
    """The script without the floor is a remark."""
    world = World(BucketSettings(floor_after_leak=False), Law(0.4, 4.0), seed=3)
    for size in (1, 1, 2, 3, 1, 3, 2, 3, 3, 2, 3, 1, 2, 3, 3):
        world.round([0.0] * size, 4.0)
    assert kinds(found(world.seen)) == ["older_script"]


def test_several_calls_share_the_bucket() -> None:
    """The bucket is fitted over all calls, each call has its own price."""
    cheap, dear = Call("GET", "/cheap"), Call("GET", "/dear")
    world = World(seed=1)
    for n in range(12):
        world.law = Law(0.2, 0.1) if n % 2 else Law(0.4, 6.0)
        world.round([0.0] * (1 + n % 3), 2.0, calls=[cheap if n % 2 else dear] * 3)
    one = found(world.seen)
    assert tells_the_truth(one, world.bucket)
    means = {call: float(np.mean(prices.costs)) for call, prices in one.prices.items()}
    assert means == {"GET /cheap": pytest.approx(0.1, rel=0.5), "GET /dear": pytest.approx(6.0, rel=0.5)}


def test_failed_answers_are_not_priced() -> None:
    """Only calls that were answered as asked have a price."""
    seen = [observed(n, n + 0.3, status=404, outcome=Outcome.NOT_FOUND, remaining=600.0, cost=0.05) for n in range(9)]
    assert found(seen).prices == {}
    assert found(seen).twin(SELF.name) is None


@pytest.mark.parametrize("seed", range(4))
def test_one_overlapping_header_tells_neither_reservation_nor_outflow(seed: int) -> None:
    """Five calls, one header read beside another call: one equation with two unknowns leaves both unknown."""
    world = World(law=Law(0.3, 0.2), seed=seed)
    world.carry_out(Design((SELF,), 4))
    one = found(world.seen)
    told = one.bucket()
    assert told is not None
    assert (told["up_front_cost"], told["outflow_per_s"]) == (None, None)
    assert told["high_water_mark"] is not None
    assert dict(one.signs)["no_overlap"].startswith("Only 1 of 4 headers was read while another call was in flight")


def test_calls_that_were_cut_off_are_no_other_job() -> None:
    """An interrupted run: the last six calls were on their way, and what they held shows in the headers; no other job is seen in that."""
    world = asked()
    world.round([0.2 + 0.05 * n for n in range(12)])
    answers = sorted(world.seen[-12:], key=lambda o: o.received_s or 0.0)
    end = answers[5].received_s or 0.0
    cut = [
        dataclasses.replace(
            o,
            received_s=None,
            status=None,
            remaining=None,
            cost=None,
            server_time_s=None,
            outcome=Outcome.CANCELLED,
            facts={"gave_up_after_s": end - (o.sent_s or 0.0)},
        )
        for o in answers[6:]
    ]
    one = found([*world.seen[:-12], *answers[:6], *cut])
    assert one.signs == ()
    assert one.fit is not None
    assert one.fit.outliers == 0.0


def test_the_only_header_was_read_alone() -> None:
    """One header, read with nothing else in flight, tells no reservation: said of the one."""
    one = found([observed(0.0, 0.3, remaining=600.0, cost=0.1)])
    assert dict(one.signs)["no_overlap"] == (
        "The only header was read while no other call was in flight: the reservation and the safe rate are unknown."
    )


def test_headers_above_a_rested_bucket() -> None:
    """A Remaining that jumps by 600 is no other job's doing: the limit was changed, or there are several buckets."""
    world = asked(lambda n, fields: fields | {"remaining": fields["remaining"] + (600.0 if n > 10 else 0.0)})
    one = found(world.seen)
    assert "shared_token" not in kinds(one)
    assert dict(one.signs)["remaining_jumps"].startswith("Remaining jumped from 600 to as much as 1")


def test_an_outflow_below_canvas_own() -> None:
    """600 and 50 are Canvas's own: an outflow of 7 beside them may be what another job leaves, and is said to be."""
    world = World(BucketSettings(outflow_per_s=7.0), Law(0.3, 0.2), seed=5)
    world.carry_out(Design((SELF,), price=False))
    assert dict(found(world.seen).signs)["less_outflow"].startswith("The outflow is 7 units/s where Canvas's own is 10: it is configured")
    other = World(BucketSettings(640.0, 853.0, 7.0), Law(0.3, 0.2), seed=5)
    other.carry_out(Design((SELF,), price=False))
    assert found(other.seen).signs == ()


@pytest.mark.untraced
def test_calls_that_time_out_leave_the_rate_untold() -> None:
    """The server may hold what they reserved: that is said, no other job is blamed, and above one in a hundred no rate is told."""
    world = asked()
    lost = [dataclasses.replace(o, status=None, outcome=Outcome.READ_TIMEOUT, remaining=None, cost=None) for o in world.seen[:4]]
    seen = [*world.seen, *lost]
    one = found(seen)
    assert dict(one.signs)["timeouts"] == f"4 of {len(seen)} calls brought no answer in time, and may fill the bucket unseen."
    assert "shared_token" not in kinds(one)
    assert one.identified
    assert rate_document(one, SELF.name, 1000, Bounds())["safe"] is None
    assert rate_document(found(world.seen), SELF.name, 1000, Bounds())["safe"] is not None


@pytest.mark.untraced
def test_calls_that_failed_without_a_header_are_no_other_job() -> None:
    """Calls that an edge failed while the server went on with them: they may have filled the bucket unseen, and nobody is blamed."""
    world = World(law=Law(0.4, 0.2), seed=5)
    unanswered = {"status": 502, "outcome": Outcome.GATEWAY_ERROR, "remaining": None, "cost": None, "server_time_s": None}
    world.answers = lambda n, told: {**told, **(unanswered if n % 7 == 5 else {})}
    world.carry_out(Design((SELF,), 60, price=False))
    one = found(world.seen)
    failed = sum(not o.ok for o in world.seen)
    assert "shared_token" not in kinds(one)
    says = f"{failed} of {len(world.seen)} calls failed without a budget header, and may have filled the bucket unseen."
    assert dict(one.signs)["failed_unseen"] == says


@pytest.mark.untraced
def test_headers_told_as_whole_numbers() -> None:
    """Rounding scatters headers by up to half a unit, also on a network without jitter: no other job is thought of."""
    world = World(law=Law(0.3, 0.2), seed=5, rtt_s=0.004, jitter_s=0.0003)
    world.answers = lambda _, told: {**told, "remaining": float(round(told["remaining"]))}
    world.opened((22, 0.1), (12, 0.3), (12, 0.2), (24, 0.13))
    assert "shared_token" not in kinds(found(world.seen))


def test_a_reservation_that_two_headers_agree_on_is_not_told() -> None:
    """Two headers off the floor fit some reservation and some outflow whatever they are: neither is told before more agree."""
    world = World(law=Law(0.3, 0.2), seed=5)
    for size in (1, 1, 2, 2):
        world.round([0.0] * size, 0.3)
    one = found(world.seen)
    assert (one.determined, one.identified, told_by(one), one.twin(SELF.name)) == (True, False, ["high_water_mark"], None)
    assert "Only 2 of 6 headers were read while another call was in flight" in dict(one.signs)["no_overlap"]


def test_calls_that_overlap_and_leak_what_they_reserve() -> None:
    """Headers that stay at the mark while calls of 12 s overlap are no approved token: it is said why nothing is known."""
    world = World(law=Law(12.0, 1.0, spread=0.2), seed=5)
    for size in (1, 2, 2):
        world.round([0.0] * size, 0.3)
    one = found(world.seen)
    assert (one.regime, told_by(one)) == ("headers", ["high_water_mark"])
    assert dict(one.signs)["no_overlap"] == (
        "2 of 5 headers were read while another call was in flight, but none shows what that reserves: it leaks before the answer comes. "
        "The reservation and the safe rate are unknown."
    )


def test_a_bucket_where_not_even_one_call_passes() -> None:
    """Refusals one after another that all show the same Remaining are a reservation as large as the mark."""
    seen = [observed(n, n + 0.1, status=429, outcome=Outcome.THROTTLED, remaining=40.0) for n in range(3)]
    assert dict(found(seen).signs) == {
        "nothing_passes": "All 3 calls were refused though 40 units remained each time and nothing drained: one call reserves as much as "
        "the whole limit, so that not even one call passes."
    }


def test_refusals_that_show_more_than_a_reservation() -> None:
    """Room that the refusals' own headers show contradicts a smaller reservation, which the maximum of the bucket would fake."""
    world = World(BucketSettings.of(100.0, 10.0, 90.0), Law(0.3, 0.15, spread=0.4), seed=3)
    for size in (1, 1, 2, 2):
        world.round([0.0] * size, 0.3)
    one = found(world.seen)
    assert one.fit is not None
    assert world.refused == 2
    assert one.fit.bucket.up_front_cost == pytest.approx(90.0, rel=0.002)


def test_calls_served_one_after_another_overlap_nowhere() -> None:
    """A server with one thread lets each call wait in front of the bucket: a level that stays is no approved token, the wait is named."""
    seen: list[Observation] = []
    now = 0.0
    for size in (1, 1, 2, 2, 3, 3, 6, 6):
        free = sent = now
        for n in range(size):
            work = 0.2 + 0.03 * ((7 * len(seen)) % 5)
            free += work
            seen.append(observed(sent, free + 0.05 + 0.003 * (n % 2), remaining=600.0, cost=0.5 * work, server_time_s=work))
        now = free + 1.0
    one = found(seen)
    assert (one.regime, told_by(one)) == ("headers", ["high_water_mark"])
    assert [kind for kind, _ in one.signs] == ["queueing"]
    assert one.signs[0].says.startswith("Calls wait 0.")
    assert one.signs[0].says.endswith("Too few were in the bucket together to show what one reserves: it and the safe rate are unknown.")
