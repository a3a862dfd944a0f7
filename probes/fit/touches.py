"""What the bucket saw of each call, by the client's own clock: when it arrived and left, what it paid, what its header said."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from probes.observation import Observation, Outcome

LONGEST_SPREAD_S = 0.05
LEAST_WAYS = 12
"""From so few flights no jitter is told."""
ABSURD = 1e6
"""No bucket has a cost or a level beyond this, units."""

ROUNDED, BOTH_ROUNDED = 0.5, 1.5
"""What headers that are told as whole numbers scatter by at most, units; and where costs are as well, as these add up."""


@dataclass(frozen=True, slots=True)
class Touch:
    """One call as the bucket may have seen it: `arrived_s` and `departed_s` are estimates on the client's clock.

    `cost` is 0 for a refused call, and what such calls usually pay where it is not known; `remaining` is None when the answer had no usable
    header, or when there was none: `answered` is False for a call that this side gave up.
    """

    arrived_s: float
    departed_s: float
    cost: float
    remaining: float | None
    refused: bool = False
    known_cost: bool = True
    answered: bool = True

    @property
    def usable(self) -> bool:
        """Whether its header says something of the level: there is one, and what the call cost is known."""
        return self.remaining is not None and self.known_cost


def touches_of(observations: Sequence[Observation], round_trip_s: float | None = None) -> list[Touch]:
    """Estimated instants of all calls that reached the bucket, in order of sending.

    With the server's own time the network's share of each call is known and its smallest value is halved; what exceeds it is shared out
    up to a usual jitter, and the rest is taken for waiting in front of the throttle. Without it `round_trip_s` (default: the smallest
    connect time) is. An answer as asked that lacks the headers which others have was in the bucket as well, and so was a call that was
    cancelled on its way, until then at least.
    """
    headed = any(o.remaining is not None for o in observations)
    calls = [o for o in observations if _reached(o) or (headed and o.ok and o.sent_s is not None and o.received_s is not None)]
    base = round_trip_s if round_trip_s is not None else network_s(calls)
    jitter = way_spread_s(calls, base)
    usual = _usual_costs(calls)
    given_up = [o for o in observations if headed and o.outcome is Outcome.CANCELLED and o.sent_s is not None and not _reached(o)]
    found = [(o.sent_s, _touch(o, base, jitter, usual.get(o.call, 0.0))) for o in calls]
    found += [(o.sent_s, _given_up(o, base, usual.get(o.call, 0.0))) for o in given_up]
    return [touch for _, touch in sorted(found, key=lambda one: one[0] or 0.0)]


def jitter_s(observations: Sequence[Observation], base: float | None = None) -> float | None:
    """Seconds that a call's way usually takes beyond the shortest (`base`); None where no answer told the server's own time."""
    calls = [o for o in observations if _reached(o)]
    shortest = network_s(calls) if base is None else base
    spare = [_flight(o) - o.server_time_s - shortest for o in calls if o.server_time_s is not None]
    return max(0.0, float(np.median(spare))) if spare else None


def way_spread_s(observations: Sequence[Observation], base: float | None = None) -> float:
    """By how much the network is taken to blur an instant at most, seconds: twice its usual jitter; what is longer was waiting."""
    return min(LONGEST_SPREAD_S, 2.0 * (jitter_s(observations, base) or 0.0))


def way_jitter_s(observations: Sequence[Observation]) -> float:
    """By how much one way through the network varies, standard deviation, seconds, of reused connections; 0 where it is not known."""
    ways = [
        _flight(o) - o.server_time_s for o in observations if _reached(o) and o.reused is not False and o.server_time_s is not None and o.ok
    ]
    if len(ways) < LEAST_WAYS:
        return 0.0
    low, high = np.quantile(ways, (0.16, 0.84))
    return float(high - low) / 2.0 / math.sqrt(2.0)


def network_s(calls: Sequence[Observation]) -> float:
    """The network's smallest share of a call, seconds: flight minus server time, else one connect.

    Else 0, which makes every estimate safer.
    """
    shares = [
        _flight(o) - o.server_time_s for o in calls if _reached(o) and o.server_time_s is not None and o.outcome is not Outcome.THROTTLED
    ]
    if shares:
        return max(0.0, min(shares))
    connects = [o.connect_s for o in calls if o.connect_s and not o.reused]
    return min([*connects, *(_flight(o) for o in calls if _reached(o))]) if connects else 0.0


def _reached(o: Observation) -> bool:
    """Whether the call touched the bucket and its times are known: an answer with a quota header, or a refusal."""
    if o.sent_s is None or o.received_s is None or o.status is None:
        return False
    return o.remaining is not None or o.cost is not None or o.outcome is Outcome.THROTTLED


def _flight(o: Observation) -> float:
    """Seconds from the first byte sent to the first byte of the answer."""
    assert o.sent_s is not None
    assert o.received_s is not None
    return max(0.0, o.received_s - o.sent_s - (o.receive_s or 0.0))


def _touch(o: Observation, base: float, jitter: float, usual: float) -> Touch:
    assert o.sent_s is not None
    flight = _flight(o)
    inside = o.server_time_s if o.server_time_s is not None and o.server_time_s <= flight else max(0.0, flight - base)
    spare = max(0.0, flight - inside - base)
    departed = o.sent_s + flight - base / 2.0 - min(spare, jitter) / 2.0
    arrived = max(o.sent_s, departed - inside)
    refused = o.outcome is Outcome.THROTTLED
    cost = 0.0 if refused else usable_cost(o)
    paid = usual if cost is None else cost
    return Touch(arrived, max(arrived, departed), paid, usable_remaining(o), refused=refused, known_cost=cost is not None)


def _given_up(o: Observation, base: float, usual: float) -> Touch:
    """A call that was cancelled: its answer was still to come, so that its reservation stood until then."""
    assert o.sent_s is not None
    arrived = o.sent_s + base / 2.0
    until = o.sent_s + float(o.facts.get("gave_up_after_s", 0.0))
    return Touch(arrived, max(arrived, until), usual, remaining=None, known_cost=False, answered=False)


def usable_cost(o: Observation) -> float | None:
    """What the answer said the call cost, units; None where that is no number, negative or absurd."""
    return o.cost if o.cost is not None and 0.0 <= o.cost < ABSURD else None


def usable_remaining(o: Observation) -> float | None:
    """What the answer said remains, units; None where that is no number or absurd."""
    return o.remaining if o.remaining is not None and abs(o.remaining) < ABSURD else None


def rounded_units(seen: Sequence[Observation]) -> float:
    """What headers scatter by at most for being told as whole numbers, units; 0 where they are not."""
    whole = [all(float(value).is_integer() for o in seen if (value := getattr(o, name)) is not None) for name in ("remaining", "cost")]
    return (BOTH_ROUNDED if whole[1] else ROUNDED) if whole[0] else 0.0


def _usual_costs(calls: Sequence[Observation]) -> dict[str, float]:
    """Mean cost by call name: what an answer without a usable cost is taken to have paid."""
    found: dict[str, list[float]] = {}
    for o in calls:
        cost = usable_cost(o)
        if cost is not None and o.outcome is not Outcome.THROTTLED:
            found.setdefault(o.call, []).append(cost)
    return {call: float(np.mean(costs)) for call, costs in found.items()}
