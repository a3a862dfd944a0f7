"""Whether a server slows down or lets calls wait, by what was seen of calls alone and beside others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from worlds import SELF, Law, World, observed

from probes.bucket import Bucket, BucketSettings
from probes.calls import Call
from probes.design import Design
from probes.estimate import estimate
from probes.jobs.rate_entries import _steady_per_s
from probes.observation import Observation, Outcome
from probes.pricing import Step
from probes.slowing import (
    SURE,
    SURE_AT_ONCE,
    answered_per_s,
    climbing,
    delayed,
    least_overlapped,
    lining_up,
    queued_s,
    queueing,
    served_per_s,
    slowed,
)


def one_after_another(seed: int, together: int, rounds: int) -> list[Observation]:
    """Calls to a server that serves one at a time and keeps the others waiting before its throttle: two alone, then some together."""
    rng, bucket, free_s, seen = np.random.default_rng(seed), Bucket(BucketSettings()), 0.0, []
    for turn in range(rounds):
        sent_s = 6.0 * turn
        for _ in range(1 if turn < 2 else together):
            time_s = float(rng.exponential(0.25)) + 0.01
            start_s = max(free_s, sent_s + 0.03)
            bucket.arrive(start_s)
            free_s = start_s + time_s
            remaining = bucket.depart(0.3, free_s)
            seen.append(observed(sent_s, free_s + 0.03, cost=0.3, server_time_s=time_s, remaining=remaining))
    return seen


def flights(*times_s: float, call: Call = SELF) -> list[Observation]:
    """Calls one after another that took so long."""
    return [observed(10.0 * n, 10.0 * n + time_s, call, server_time_s=0.02) for n, time_s in enumerate(times_s)]


@pytest.mark.parametrize(
    ("alone", "late", "told"),
    [
        ((0.1,) * 6, (0.151,) * 8, True),
        ((0.1,) * 6, (0.149,) * 8, False),
        ((0.1,) * 5, (0.2,) * 8, False),
        ((0.1,) * 6, (0.2,) * 7, False),
        ((0.04,) * 6, (0.071,) * 8, True),
        ((0.04,) * 6, (0.069,) * 8, False),
        ((0.05, 0.2) * 3, (0.1, 0.4) * 4, False),
        ((0.05, 0.2) * 10, (0.1, 0.4) * 10, True),
    ],
)
def test_whether_a_server_slowed_down(alone: tuple[float, ...], late: tuple[float, ...], told: bool) -> None:
    """Half as long again, by 30 ms, by six calls alone and eight late ones, and beyond what their spread makes by chance."""
    assert slowed(flights(*alone), flights(*late)) is told


@pytest.mark.parametrize(
    ("calls", "rise_s", "alone_s", "told"), [(80, 0.3, None, True), (80, 0.0, None, False), (20, 0.3, None, False), (80, 0.3, 0.6, False)]
)
def test_whether_a_queue_grows_within_a_step(calls: int, rise_s: float, alone_s: float | None, told: bool) -> None:
    """Calls of 0.3 s take 0.3 s longer at the end of a step: a queue, unless too few show it, or calls alone after it take as long."""
    rng = np.random.default_rng(500001)
    step = flights(*(0.3 * rng.lognormal(0.0, 0.3, calls) + np.linspace(0.0, rise_s, calls)))
    again = flights(*(alone_s,) * 10) if alone_s is not None else ()
    assert climbing([step], SURE_AT_ONCE, again) is told


@pytest.mark.parametrize(("steps", "rise_s", "told"), [(1, 0.25, False), (3, 0.25, True), (3, 0.0, False), (3, 0.02, False)])
def test_short_steps_at_one_rate_show_a_queue_together(steps: int, rise_s: float, told: bool) -> None:
    """Twelve calls show no queue; three times twelve that each take longer at their end do."""
    rng = np.random.default_rng(500002)
    made = [flights(*(0.3 * rng.lognormal(0.0, 0.2, 12) + np.linspace(0.0, rise_s, 12))) for _ in range(steps)]
    assert climbing(made, SURE) is told


@pytest.mark.parametrize(("calls", "rise_s", "told"), [(60, 0.06, True), (60, 0.03, False), (20, 0.06, False), (60, 0.0, False)])
def test_calls_that_line_up_in_front(calls: int, rise_s: float, told: bool) -> None:
    """A wait that grows to 60 ms beside calls of 0.1 to 0.6 s is a queue: the server's own times tell it from their spread."""
    times, jitter = np.random.default_rng(500003).uniform((0.1, 0.0), (0.6, 0.004), (calls, 2)).T
    waits = np.linspace(0.05, 0.05 + rise_s, calls) + jitter
    assert (
        lining_up(
            [observed(n / 9.0, n / 9.0 + time + wait, server_time_s=time) for n, (time, wait) in enumerate(zip(times, waits, strict=True))]
        )
        is told
    )


def test_what_slows_nobody_down() -> None:
    """Failures, calls of a kind that was not made alone, more calls of a kind that takes long anyway; chance, where it must be surer."""
    long, other = Call("GET", "/long"), Call("GET", "/other")
    alone = [*flights(*(0.1,) * 6), *flights(*(1.0,) * 6, call=long)]
    failed = [replace(one, outcome=Outcome.SERVER_ERROR, status=500) for one in flights(*(9.0,) * 8)]
    assert not slowed(alone, [*failed, *flights(*(9.0,) * 8, call=other), *flights(*(1.0,) * 8, call=long)])
    assert slowed(alone, flights(*(1.6,) * 8, call=long))
    assert [slowed(flights(*(0.05, 0.2) * 10), flights(*(0.1, 0.4) * 10), sure) for sure in (2.6, 4.2)] == [True, False]


@pytest.mark.parametrize(("again", "told"), [(0.1, True), (0.13, True), (0.15, False), (0.2, False), (0.1414, True)])
def test_a_server_that_is_slower_for_all(again: float, told: bool) -> None:
    """Late calls of 0.2 s were 0.1 s alone: calls alone again that take nearer to 0.2 s than to 0.1 s are what they are held against."""
    assert slowed(flights(*(0.1,) * 6), flights(*(0.2,) * 8), again=flights(*(again,) * 6)) is told


@pytest.mark.parametrize(
    ("alone", "late", "told"),
    [(4, (0.16,) * 6, True), (4, (0.14,) * 6, True), (4, (0.12,) * 6, False), (3, (0.2,) * 6, False), (4, (0.2,) * 5, False)],
)
def test_whether_calls_wait_in_front(alone: int, late: tuple[float, ...], told: bool) -> None:
    """Flights that grew by more than 30 ms beyond the server's own time, by four calls before and six late ones."""
    assert queueing(flights(*(0.1,) * alone), flights(*late)) is told
    busy = [replace(one, server_time_s=0.02 + 0.2, received_s=(one.received_s or 0.0) + 0.2) for one in flights(*late)]
    assert queueing(flights(*(0.1,) * alone), busy) is (told and late[0] > 0.15)


def test_the_least_overlapped() -> None:
    """Those made alone, and as many of the others as make six, those with the fewest beside them first."""
    alone = [observed(10.0 * n, 10.0 * n + 1.0) for n in range(2)]
    pairs = [observed(50.0 + 10.0 * (n // 2), 51.0 + 10.0 * (n // 2)) for n in range(4)]
    crowd = [observed(100.0, 101.0) for _ in range(5)]
    assert least_overlapped([*crowd, *pairs, *alone]) == [*alone, *pairs]


def test_slow_calls_are_alone_as_often_as_quick_ones() -> None:
    """Calls a second apart, each third of 1.5 s, the others of 0.5 s: alone are those whose predecessor was back, quick and slow alike."""
    seen = [observed(float(n), n + (1.5 if n % 3 == 2 else 0.5)) for n in range(30)]
    assert [o.sent_s for o in least_overlapped(seen)] == [n for n in range(30) if n == 0 or n % 3 != 0]


def test_the_most_answers_in_a_second() -> None:
    """A second is any second: what came within one, failures left out; nothing is told by no answer."""
    seen = [observed(0.0, at) for at in (0.1, 0.9, 1.0, 1.05, 1.9, 5.0)]
    assert answered_per_s(seen) == 4.0
    assert answered_per_s([replace(one, outcome=Outcome.THROTTLED, status=429) for one in seen]) is None


def test_how_long_calls_wait_in_front() -> None:
    """A server that serves one at a time keeps seven of eight waiting; where nobody waits there is nothing to tell."""
    waited = queued_s(one_after_another(3, 8, 10))
    assert waited == pytest.approx(0.86, abs=0.01)
    assert queued_s([observed(n / 10.0, n / 10.0 + 0.31, server_time_s=0.25) for n in range(40)]) is None


@pytest.mark.untraced
@pytest.mark.parametrize(("wait_s", "sign"), [(0.0, "shared_token"), (0.6, "queueing")])
def test_a_queue_is_no_other_job(wait_s: float, sign: str) -> None:
    """Headers that no bucket of our own explains are another job's, or, where calls beside others wait in front, the queue's."""
    world = World(law=Law(0.3, 0.4), seed=6, others=(40.0, 0.37))
    for size in (1, 1, 1, 1, 1, 1, *(4,) * 8):
        world.round([0.0] * size, 2.0)
    found = estimate([replace(o, received_s=(o.received_s or 0.0) + wait_s * (n >= 6)) for n, o in enumerate(world.seen)])
    assert found is not None
    assert [kind for kind, _ in found.signs] == [sign]


@pytest.mark.untraced
def test_a_queue_makes_no_older_script() -> None:
    """A bucket that seems to swallow reservations because calls wait in front is no older throttle script, and its reservation untold."""
    for seed in (0, 3, 4, 5):
        found = estimate(one_after_another(seed, 8, 10))
        assert found is not None
        assert ([kind for kind, _ in found.signs], (found.bucket() or {})["up_front_cost"]) == (["queueing"], None)


def held_up(every: int, seconds: float) -> list[Observation]:
    """What a world of calls side by side shows where each so many-th answer comes so much later."""
    world = World(law=Law(0.3, 2.0), seed=1)
    for _ in range(20):
        world.round([0.05 * n for n in range(4)], 1.0)
    late = [seconds * (n % every == 0) for n in range(len(world.seen))]
    return [replace(o, received_s=(o.received_s or 0.0) + s) for o, s in zip(world.seen, late, strict=True)]


def test_answers_that_are_held_up_on_their_way() -> None:
    """One answer in eight that comes 0.6 s later than the server says: that is why headers fit no bucket, and nobody else is blamed."""
    seen = held_up(8, 0.6)
    said = (
        "10 of 80 answers came up to 0.6 s later than the server's own time explains, held up on their way or on this side: in which order "
        "the bucket saw the calls is not known."
    )
    assert delayed(seen) == said
    found = estimate(seen)
    assert found is not None
    assert ("delayed", said) in found.signs
    assert not found.shows("shared_token")
    assert (delayed(held_up(8, 0.05)), delayed(held_up(40, 0.6)), delayed([])) == (None, None, None)


@pytest.mark.parametrize(("calls", "served"), [(30, 5.0), (12, 5.0), (11, 5.0), (10, None)])
def test_what_a_server_serves_while_calls_pile_up(calls: int, served: float | None) -> None:
    """Sent eight a second and answered five a second from the third part on: five, where eight answers or more tell it."""
    seen = [observed(n / 8.0, n / (8.0 if n < calls // 3 else 5.0) + 2.0) for n in range(calls)]
    assert served_per_s(seen) == (None if served is None else pytest.approx(served))


@pytest.mark.parametrize(
    ("steps", "waits", "told"),
    [((10.0, 20.0), True, 0.85 * 15.0), ((10.0, 20.0), False, 10.0), ((20.0,), False, 10.0), ((80.0,), False, 0.95 * 15.0)],
)
def test_the_pace_that_a_server_kept(steps: tuple[float, ...], waits: bool, told: float) -> None:
    """It slowed down at the last step and answered 15/s then: a part of that where calls wait in front, else the step before or half."""
    design, start = Design((SELF,)), 0.0
    seen: list[Observation] = []
    for rate in steps:
        design.steps.append(Step(rate, len(seen), 40))
        answered = min(rate, 15.0)
        ends = [(start + n / rate, start + 0.4 + n / answered) for n in range(40)]
        seen += [observed(sent, end, server_time_s=0.35 if waits else end - sent - 0.05) for sent, end in ends]
        start = ends[-1][1] + 1.0
    design.slowed_at = steps[-1]
    assert _steady_per_s(design, seen) == pytest.approx(told)


@pytest.mark.parametrize(("first", "second", "told"), [((30, 30), (60, 31), 40.0), ((30, 30), (31, 31), 52.0), ((30, 29), (60, 31), 52.0)])
def test_a_step_cut_short_kept_no_pace(first: tuple[int, int], second: tuple[int, int], told: float) -> None:
    """Steps of so many calls at 40/s and 52/s, and how many were made: the faster one counts when all were, or where no step was whole."""
    design = Design((SELF,))
    design.steps += [Step(40.0, 0, first[0]), Step(52.0, first[1], second[0])]
    seen = [observed(n / 40.0, n / 40.0 + 0.1) for n in range(first[1] + second[1])]
    assert _steady_per_s(design, seen) == told
