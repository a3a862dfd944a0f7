"""How many calls fit where no header tells the limit: the first rounds of a search, in simulated events."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from worlds import SELF, Law, World, observed

from probes.bounds import Bounds
from probes.bucket import BucketSettings
from probes.calls import Round
from probes.observation import Observation, Outcome
from probes.search.ratio_rates import refusal_document
from probes.search.refusals import RefusalDesign


def climbed(world: World, budget: int = 400) -> tuple[RefusalDesign, list[list[Observation]]]:
    """The design when it knows how many fit, and the rounds until then."""
    design = RefusalDesign((SELF,), budget)

    def until_known(seen: Sequence[Observation]) -> Round | None:
        wanted = design(seen)
        return wanted if design.limit is None else None

    world.carry_out(until_known)
    ends = sorted({*(burst.first for burst in design.bursts), len(world.seen)})
    return design, [world.seen[a:b] for a, b in pairwise(ends)]


def gaps(rounds: list[list[Observation]]) -> list[float]:
    """Seconds from the last answer of a round to the first call of the next."""
    return [min(o.sent_s or 0.0 for o in later) - max(o.received_s or 0.0 for o in earlier) for earlier, later in pairwise(rounds)]


def refused(seen: list[Observation]) -> int:
    return sum(o.outcome is Outcome.THROTTLED for o in seen)


def many(mark: float = 1060.0, cost: float = 0.2) -> World:
    """A bucket that 42 quick calls fit into."""
    return World(BucketSettings(mark, mark * 4 / 3, 12.0, 25.0), Law(0.08, cost), rtt_s=0.1, headers=False, seed=4)


def test_bursts_of_many_calls_follow_one_another_without_a_rest() -> None:
    """Up to 22 calls each burst waits for costs to drain, from there on none does; the one that is refused is followed by one from rest."""
    design, rounds = climbed(many())
    sizes = [len(calls) for calls in rounds]
    assert sizes == [5, 7, 9, 11, 13, 15, 18, 22, 25, 28, 31, 35, 39, 43, 43]
    assert [round(gap, 1) for gap in gaps(rounds)] == [4.0, 5.6, 7.2, 8.8, 10.4, 12.0, 14.4, *[0.1] * 6, 30.0]
    assert [refused(calls) for calls in rounds[-3:]] == [0, 1, 1]
    assert (design.limit, design.exact) == (42, True)


@pytest.mark.untraced
def test_costs_that_took_room_are_told_from_the_limit() -> None:
    """Of a burst of 35 without a rest 2 are refused, since costs took room: from rest 34 pass and more, and no exact limit is claimed."""
    design, rounds = climbed(many(cost=2.5))
    assert ([len(calls) for calls in rounds[11:14]], [refused(calls) for calls in rounds[11:14]]) == ([35, 34, 36], [2, 0, 0])
    assert design.limit is not None
    assert (design.exact, design.admitted, 36 <= design.limit <= 42) == (False, None, True)
    assert refusal_document(design, SELF.name, 1000, Bounds())["ratios"]["at_least"] is True


def test_a_burst_that_took_the_last_refusal_tells_the_limit_all_the_same() -> None:
    """11 fit: the burst of 13 is refused in part, nothing may be asked after it, and what it told stands."""
    world = World(BucketSettings(585.0, 780.0, 10.0, 50.0), Law(0.05, 0.02), rtt_s=0.1, headers=False, seed=4)
    before = [observed(0.1 * n, 0.1 * n + 0.1, status=429, outcome=Outcome.THROTTLED) for n in range(4)]
    design = RefusalDesign((SELF,), 400, earlier=before)
    world.carry_out(design)
    assert (len(world.seen), design.limit) == (45, None)
    design.finish(world.seen)
    assert (design.limit, design.exact) == (11, True)


def test_bursts_grow_by_two_where_calls_are_ample() -> None:
    """With 2,000 calls to spend bursts of 15 calls and more grow by two too; 28 fit, the first refused burst meets two refusals."""
    design, rounds = climbed(many(mark=700.0), budget=2000)
    assert [len(calls) for calls in rounds[:12]] == [5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27]
    assert ([refused(calls) for calls in rounds], design.limit) == ([*[0] * 12, 2, 0, 2], 28)
