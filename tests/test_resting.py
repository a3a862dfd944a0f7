from __future__ import annotations

import pytest
from worlds import observed

from probes.observation import Observation
from probes.resting import draining_s, since_rest


def alone(*left: float, every_s: float = 1.0, cost: float = 0.5) -> list[Observation]:
    return [observed(every_s * n, every_s * n + 0.5, remaining=remaining, cost=cost) for n, remaining in enumerate(left)]


@pytest.mark.parametrize(
    ("left", "wait_s"),
    [
        ((400.0,), 0.0),
        ((600.0, 600.0), 0.0),
        ((600.0, 599.0), 0.0),
        ((400.0, 409.5), 19.05),
        ((640.0, 649.5), 5.05),
        ((800.0, 809.5), 1.0),
        ((0.0, 9.5), 59.05),
        ((-150.0, -140.5), 60.0),
        ((400.0, 409.5, 413.5), 0.0),
        ((590.5, 600.0), 0.0),
    ],
)
def test_how_long_it_drains(left: tuple[float, ...], wait_s: float) -> None:
    """Until the next mark of Canvas by the first rise, a minute at most; beyond as long as so far; not at a mark, or once it slows."""
    assert draining_s(alone(*left)) == pytest.approx(wait_s)


def test_calls_together_are_not_waited_for() -> None:
    """Once calls overlapped, or a header is missing, nothing is known of a rise."""
    together = [*alone(400.0, 409.5), observed(0.2, 1.7, remaining=420.0, cost=0.5)]
    assert draining_s(together) == 0.0
    assert draining_s([*alone(400.0), observed(1.0, 1.5)]) == 0.0


def test_what_came_before_rest_is_left_out() -> None:
    """The calls of the rise go but for the last; what a first call itself paid is no rise of others' making."""
    seen = alone(400.0, 409.5, 600.0, 600.0)
    assert since_rest(seen) == seen[2:]
    dear = alone(560.0, 565.0, 600.0, 600.0, cost=40.0)
    assert since_rest(dear) == dear
    assert since_rest([]) == []
    bare = [observed(0.0, 0.5), observed(1.0, 1.5)]
    assert since_rest(bare) == bare
