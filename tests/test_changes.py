from __future__ import annotations

import pytest
from worlds import SELF, Law, World, observed

from probes.changes import drifting
from probes.design import Design
from probes.estimate import estimate
from probes.observation import Observation


@pytest.mark.parametrize(("less", "told"), [(0.0, []), (150.0, ["limit_changed"])])
def test_a_level_that_changes_by_whole_reservations(less: float, told: list[str]) -> None:
    """Headers that are three reservations lower from the eightieth call on are no order of events: said, and no constant told."""
    world = World(law=Law(0.3, 0.3), seed=2, answers=lambda n, seen: {**seen, "remaining": seen["remaining"] - less * (n >= 80)})
    world.carry_out(Design((SELF,), 100))
    found = estimate(world.seen)
    assert found is not None
    assert [kind for kind, _ in found.signs] == told
    assert (found.fit is None) is bool(told)


def answers(*parts: tuple[int, float]) -> list[Observation]:
    """So many calls one after another, each of which took the server so long."""
    times = [time_s * (1.0 + 0.05 * (n % 5)) for count, time_s in parts for n in range(count)]
    return [observed(float(n), n + time_s + 0.05, server_time_s=time_s) for n, time_s in enumerate(times)]


@pytest.mark.parametrize("parts", [((15, 1.5), (60, 0.12)), ((90, 0.12), (20, 0.4))])
def test_a_server_that_warms_up_or_slows_down_for_good(parts: tuple[tuple[int, float], ...]) -> None:
    """The first or the last calls that took the server clearly longer than all others are said."""
    said = drifting(answers(*parts))
    assert said is not None
    assert said.startswith("The server took ")
    assert drifting(answers((sum(count for count, _ in parts), parts[0][1]))) is None
