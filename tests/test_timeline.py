from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from worlds import SELF, random_world, recorded

from probes.bucket import Bucket, BucketSettings
from probes.design import Design
from probes.fit.timeline import MOST_ELEMENTS, Courses, timeline
from probes.fit.touches import Touch, touches_of


def headers(bucket: BucketSettings, touches: list[Touch]) -> Iterator[float]:
    """What a plain bucket would have answered, in the order of `touches`."""
    one = Bucket(bucket, touched_s=min(t.arrived_s for t in touches))
    events = [(t.arrived_s, False, n) for n, t in enumerate(touches)] + [(t.departed_s, True, n) for n, t in enumerate(touches)]
    told = {}
    for now, departs, n in sorted(events):
        if departs:
            told[n] = one.depart(touches[n].cost, now)
        else:
            one.arrive(now)
    return (told[n] for n in range(len(touches)))


def by_bucket(bucket: BucketSettings, touches: list[Touch]) -> list[float]:
    """The same of the usable touches, as levels."""
    found = zip(headers(bucket, touches), touches, strict=True)
    return [bucket.high_water_mark - header for header, touch in found if touch.usable]


def courses_of(touches: list[Touch], *buckets: BucketSettings) -> list[Courses]:
    constants = np.array([(b.high_water_mark, b.up_front_cost, b.outflow_per_s) for b in buckets])
    found = timeline(touches).courses(constants, buckets[0].floor_after_leak)
    rows = range(len(buckets))
    return [Courses(found.reservations[n], found.seconds[n], found.constants[n], found.origins[n]) for n in rows]


def levels(course: Courses, bucket: BucketSettings) -> list[float]:
    found: list[float] = (course.reservations * bucket.up_front_cost - course.seconds * bucket.outflow_per_s + course.constants).tolist()
    return found


@pytest.mark.untraced
@pytest.mark.parametrize("older", [False, True])
def test_a_replay_is_the_bucket(older: bool) -> None:
    """Levels are a plain bucket's for any constants and any calls, through floor and maximum, with the newer script and the older."""
    source = np.random.default_rng(1)
    for gap_s in (1.0, 0.3, 0.1):
        arrived, times, costs = (np.cumsum(source.exponential(gap_s, 60)), source.exponential(0.5, 60), source.exponential(20.0, 60))
        touches = [Touch(a, a + t, c, 1.0) for a, t, c in zip(arrived.tolist(), times.tolist(), costs.tolist(), strict=True)]
        rows = zip(
            source.uniform(200, 1300, 20).tolist(), source.uniform(1, 40, 20).tolist(), source.uniform(3, 190, 20).tolist(), strict=True
        )
        buckets = [BucketSettings.of(*row, floor_after_leak=not older) for row in rows]
        for bucket, course in zip(buckets, courses_of(touches, *buckets), strict=True):
            assert levels(course, bucket) == pytest.approx(by_bucket(bucket, touches), abs=1e-9)
            assert timeline(touches).remaining(bucket).tolist() == pytest.approx(list(headers(bucket, touches)), abs=1e-9)


def test_coefficients_are_slopes_of_the_bucket() -> None:
    """Reservations and seconds tell how a plain bucket's level follows its constants; touches of one origin began at one instant."""
    world = random_world(2)
    world.carry_out(Design((SELF,), 40, price=False))
    touches = [touch for touch in touches_of(world.seen) if touch.usable]
    for bucket in (BucketSettings.of(900.0, 12.0, 45.0), BucketSettings.of(150.0, 12.0, 45.0)):  # by sums, and one that is filled
        (course,) = courses_of(touches, bucket)
        level = np.array(by_bucket(bucket, touches))
        more = [
            np.array(by_bucket(bucket.scaled(**change), touches)) for change in ({"up_front_cost": 45.0001}, {"outflow_per_s": 12.0001})
        ]
        assert course.reservations == pytest.approx((more[0] - level) / 1e-4, abs=1e-4)
        assert course.seconds == pytest.approx((level - more[1]) / 1e-4, abs=1e-4)
        began = np.array([touch.departed_s for touch in touches]) - course.seconds
        assert (np.abs(np.diff(began)) > 1e-9).tolist() == (np.diff(course.origins) != 0).tolist()


def test_a_full_bucket_is_cut_at_its_maximum() -> None:
    """Sums do not see the maximum: buckets that would pass it are replayed event by event, beside one that would not."""
    buckets = [BucketSettings.of(mark, 1.0, 60.0) for mark in (100.0, 120.0, 9000.0)]
    touches = [Touch(0.1 * n, 5.0, 1.0, 50.0) for n in range(4)]
    found = [levels(course, bucket)[0] for bucket, course in zip(buckets, courses_of(touches, *buckets), strict=True)]
    assert found == pytest.approx([100.0 * 4 / 3 - 4.7 - 59.0, 160.0 - 4.7 - 59.0, 240.0 - 5.0 - 59.0])


def test_coefficients_of_two_calls() -> None:
    """Two calls together: the first answer shows one reservation less a leak since the first arrival, plus its cost; then the floor."""
    touches = [Touch(0.0, 1.0, 2.0, 598.0), Touch(0.5, 3.0, 4.0, 600.0)]
    (course,) = courses_of(touches, BucketSettings())
    assert (course.reservations.tolist(), course.seconds.tolist(), course.constants.tolist()) == ([1.0, 0.0], [1.0, 0.0], [2.0, 0.0])


def test_a_recorded_trace_is_replayed() -> None:
    """From the client's clock alone Canvas's own headers are met to 0.1 units in the median."""
    bucket, seen = recorded("calm-mix")
    told = [o.remaining for o in seen]
    assert float(np.median(np.abs(timeline(touches_of(seen)).remaining(bucket) - np.array(told, dtype=float)))) < 0.1


def test_what_cannot_be_used_is_left_out() -> None:
    """A touch without a header, or without a known cost, takes its place in the replay and has no row."""
    touches = [Touch(0.0, 1.0, 2.0, 590.0), Touch(0.2, 0.8, 1.0, None), Touch(0.3, 2.0, 1.0, 595.0, known_cost=False)]
    line = timeline(touches)
    assert line.headers.tolist() == [590.0]
    assert line.usable.tolist() == [True, False, False]
    assert courses_of(touches, BucketSettings())[0].reservations.tolist() == [1.0]


@pytest.mark.untraced
def test_many_replays_at_a_time() -> None:
    """Replays too many for one array are made in parts, and are the same."""
    touches = [Touch(0.1 * n, 0.1 * n + 0.35, 1.0, 550.0) for n in range(2000)]
    marks = np.linspace(300.0, 900.0, 600)
    constants = np.column_stack([marks, marks / 12.0, marks / 60.0])
    line = timeline(touches)
    assert len(constants) * 4 * len(touches) > 2 * MOST_ELEMENTS
    whole, part = line.courses(constants), line.courses(constants[250:260])
    assert whole.seconds.shape == (600, 2000)
    assert whole.seconds[250:260].tolist() == part.seconds.tolist()
    assert whole.origins[250:260].tolist() == part.origins.tolist()


def test_what_departures_beside_a_header_paid() -> None:
    """Sums of what up to three departures after, and before, each header paid, none further off than events can swap."""
    touches = [Touch(0.0, 1.00 + 0.05 * n, cost, 500.0) for n, cost in enumerate((1.0, 2.0, 4.0))] + [Touch(0.0, 9.0, 8.0, None)]
    after, before = timeline(touches[::-1]).paid_beside
    inf = np.inf
    assert after.tolist() == [[0.0, 0.0, 0.0], [inf, 4.0, 2.0], [inf, inf, inf], [inf, inf, inf]]
    assert before.tolist() == [[0.0, 0.0, 0.0], [2.0, 1.0, inf], [inf, inf, inf], [inf, inf, inf]]


def test_a_single_touch_has_nothing_beside_it() -> None:
    """One departure swaps with none."""
    after, before = timeline([Touch(0.0, 1.0, 1.0, 500.0)]).paid_beside
    assert after[:, 0].tolist() == before[:, 0].tolist() == [0.0, np.inf, np.inf, np.inf]
