"""Server times that tell a part of how long reservations are held: noticed where headers say so, and only there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from worlds import Law, World

from probes.bucket import BucketSettings
from probes.estimate import estimate
from probes.fit.held import whole_times

LAW = Law(0.4, 0.2)


def asked(part: float) -> World:
    """A world whose server times tell `part` of the time that is held: two calls alone, two and three together, then a train of 17."""
    answers: Any = lambda _, told: {**told, "server_time_s": part * told["server_time_s"]}  # noqa: E731 # a hook of one line
    world = World(BucketSettings(), LAW, seed=500, answers=answers)
    for offsets in ([0.0], [0.0], [0.0] * 2, [0.0] * 3, [0.08 * n for n in range(17)]):
        world.round(offsets, 2.0)
    return world


def test_times_that_tell_a_part_are_made_whole() -> None:
    """Of times that tell 70 % of what is held the rest is found to 2 %, the bucket is told to 1 %, and a sign says so."""
    seen = asked(0.7).seen
    whole, part = whole_times(seen)
    assert part == pytest.approx(0.7, rel=0.02)
    assert [one.server_time_s for one in whole] == pytest.approx([(o.server_time_s or 0.0) / 0.7 for o in seen], rel=0.05)
    found = estimate(seen)
    assert found is not None
    assert found.fit is not None
    assert found.fit.bucket.up_front_cost == pytest.approx(50.0, rel=0.01)
    assert dict(found.signs)["server_time_short"].startswith("The server's own time tells 70 % of the time for which the bucket holds")


def test_whole_times_stay() -> None:
    """Times that tell all stay as they are; and so do those of calls that wait longer on their way the longer they take."""
    seen = asked(1.0).seen
    assert whole_times(seen) == (seen, 1.0)
    waited = [replace(o, received_s=(o.received_s or 0.0) + 0.4 * (o.server_time_s or 0.0)) for o in seen]
    assert whole_times([replace(o, sent_s=(o.sent_s or 0.0) - 0.4 * (o.server_time_s or 0.0)) for o in waited])[1] == 1.0
