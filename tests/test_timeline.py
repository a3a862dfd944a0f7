from __future__ import annotations

import numpy as np
import pytest
from worlds import SELF, random_world

from probes.bucket import BucketSettings
from probes.design import Design
from probes.replay import Touch, replay, touches_of
from probes.timeline import Course, timeline


def by_events(touches: list[Touch], bucket: BucketSettings) -> Course:
    found = [c for c, t in zip(replay(bucket, touches), touches, strict=True) if t.usable]
    columns = np.array([(c.reservations, c.seconds, c.constant) for c in found])
    return Course(columns[:, 0], columns[:, 1], columns[:, 2], np.array([c.origin for c in found]))


def levels(course: Course, bucket: BucketSettings) -> np.ndarray:
    return course.reservations * bucket.up_front_cost - course.seconds * bucket.outflow_per_s + course.constants


@pytest.mark.parametrize("older", [False, True])
def test_sums_and_events_agree(older: bool) -> None:
    """For any constants the sums give what the replay event by event gives: each coefficient, and which touches share an origin."""
    source = np.random.default_rng(1)
    for seed in range(3):
        world = random_world(seed)
        world.carry_out(Design((SELF,), 40, price=False))
        touches = touches_of(world.seen)
        line = timeline(touches)
        for _ in range(20):
            mark = float(source.uniform(200, 1300))
            constants = (mark, mark * 4 / 3, float(source.uniform(1, 40)), float(source.uniform(3, 300)))
            bucket = BucketSettings(*constants, floor_after_leak=not older)
            quick, slow = line.course(bucket), by_events(touches, bucket)
            assert levels(quick, bucket) == pytest.approx(levels(slow, bucket), abs=1e-9)
            assert quick.reservations.tolist() == slow.reservations.tolist()
            assert (np.diff(quick.origins) != 0).tolist() == (np.diff(slow.origins) != 0).tolist()


def test_a_full_bucket_is_replayed_by_events() -> None:
    """Sums do not see the maximum: a bucket that would pass it is cut there."""
    bucket = BucketSettings(100.0, 133.0, 1.0, 60.0)
    touches = [Touch(0.1 * n, 5.0, 1.0, 50.0) for n in range(4)]
    shown = levels(timeline(touches).course(bucket), bucket)
    assert shown.tolist() == pytest.approx(levels(by_events(touches, bucket), bucket).tolist())
    assert float(shown[0]) < 133.0


def test_what_cannot_be_used_is_left_out() -> None:
    """A touch without a header, or without a known cost, takes its place in the replay and has no row."""
    touches = [Touch(0.0, 1.0, 2.0, 590.0), Touch(0.2, 0.8, 1.0, None), Touch(0.3, 2.0, 1.0, 595.0, known_cost=False)]
    line = timeline(touches)
    assert line.headers.tolist() == [590.0]
    assert line.usable.tolist() == [True, False, False]
    assert line.course(BucketSettings()).reservations.tolist() == [1.0]
