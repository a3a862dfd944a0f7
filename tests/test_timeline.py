from __future__ import annotations

import numpy as np
import pytest
from worlds import SELF, random_world

from probes.bucket import BucketSettings
from probes.design import Design
from probes.replay import Touch, replay, touches_of
from probes.timeline import FEW_REPLAYS, MOST_ELEMENTS, Courses, timeline


def by_events(touches: list[Touch], bucket: BucketSettings) -> Courses:
    found = [c for c, t in zip(replay(bucket, touches), touches, strict=True) if t.usable]
    columns = np.array([(c.reservations, c.seconds, c.constant) for c in found])
    return Courses(columns[:, 0], columns[:, 1], columns[:, 2], np.array([c.origin for c in found]))


def by_sums(touches: list[Touch], *buckets: BucketSettings) -> list[Courses]:
    constants = np.array([(b.high_water_mark, b.up_front_cost, b.outflow_per_s) for b in buckets])
    found = timeline(touches).courses(constants, buckets[0].floor_after_leak)
    rows = range(len(buckets))
    return [Courses(found.reservations[n], found.seconds[n], found.constants[n], found.origins[n]) for n in rows]


def levels(course: Courses, bucket: BucketSettings) -> np.ndarray:
    return np.asarray(course.reservations * bucket.up_front_cost - course.seconds * bucket.outflow_per_s + course.constants)


@pytest.mark.untraced
@pytest.mark.parametrize("older", [False, True])
def test_sums_and_events_agree(older: bool) -> None:
    """For any constants the sums give what the replay event by event gives: each coefficient, and which touches share an origin."""
    source = np.random.default_rng(1)
    for seed in range(3):
        world = random_world(seed)
        world.carry_out(Design((SELF,), 40, price=False))
        touches = touches_of(world.seen)
        marks, outflows, reservations = source.uniform(200, 1300, 20), source.uniform(1, 40, 20), source.uniform(3, 300, 20)
        rows = zip(marks.tolist(), outflows.tolist(), reservations.tolist(), strict=True)
        buckets = [BucketSettings.of(mark, outflow, reservation, floor_after_leak=not older) for mark, outflow, reservation in rows]
        for bucket, quick in zip(buckets, by_sums(touches, *buckets), strict=True):
            slow = by_events(touches, bucket)
            assert levels(quick, bucket) == pytest.approx(levels(slow, bucket), abs=1e-9)
            assert quick.reservations.tolist() == slow.reservations.tolist()
            assert (np.diff(quick.origins) != 0).tolist() == (np.diff(slow.origins) != 0).tolist()


@pytest.mark.parametrize("count", [1, FEW_REPLAYS + 4])
def test_a_full_bucket_is_replayed_by_events(count: int) -> None:
    """Sums do not see the maximum: buckets that would pass it are cut there, be they few (one by one) or many (side by side)."""
    buckets = [BucketSettings(100.0, 400 / 3, 1.0, 60.0 - 4.0 * n) for n in range(count)]
    touches = [Touch(0.1 * n, 5.0, 1.0, 50.0) for n in range(4)]
    for bucket, course in zip(buckets, by_sums(touches, *buckets), strict=True):
        assert levels(course, bucket).tolist() == pytest.approx(levels(by_events(touches, bucket), bucket).tolist())
        assert float(levels(course, bucket)[0]) < 133.4


def test_what_cannot_be_used_is_left_out() -> None:
    """A touch without a header, or without a known cost, takes its place in the replay and has no row."""
    touches = [Touch(0.0, 1.0, 2.0, 590.0), Touch(0.2, 0.8, 1.0, None), Touch(0.3, 2.0, 1.0, 595.0, known_cost=False)]
    line = timeline(touches)
    assert line.headers.tolist() == [590.0]
    assert line.usable.tolist() == [True, False, False]
    assert by_sums(touches, BucketSettings())[0].reservations.tolist() == [1.0]


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
