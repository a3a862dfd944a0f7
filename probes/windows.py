"""A counter of calls in a window: what its headers tell, and the rate that lasts. It does not leak, so that no bucket is fitted to it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from probes.fit.touches import usable_cost
from probes.observation import Observation
from probes.search.probing import most_at_once
from probes.signatures import Sign
from probes.stats import Interval
from probes.wording import rounded_down, seconds

ENOUGH_CALLS = 12
"""After so many calls a counter tells no more of itself."""
LEAST_COUNTED = 4
"""Fewest headers, each read while no other call was out, that show that nothing leaks ..."""
COUNTED_S, LEAKS_PER_S, LEAKED_SHARE = 3.0, 0.1, 0.05
"""... over so many seconds at least: units a second at most (the slowest bucket known leaks fifty times as fast), and of what was paid."""
UNEVEN = 0.5
"""By so large a share of all that was paid may headers read alone fall otherwise than by what was paid between them, taken together: calls
that overtake one another make some of it, a level that stood and fell at once by chance all of it."""
FIRST_SEEN = 200
"""Among so many first calls they are looked for."""
LEAST_STILL = 6
"""From so many answers on one Remaining in all of them is no count."""


@dataclass(frozen=True, slots=True)
class Window:
    """What the last answer told, in the server's units (calls, where a call costs one); None where no header does.

    `left` of `limit` until `reset_s` from then, in a window of `length_s`. `per_call` is what a call took in the mean of `n` answers,
    `flight_s` how long one was on its way, `together` how many were at one time.
    """

    left: float
    limit: float | None
    reset_s: float | None
    length_s: float | None
    per_call: float = 1.0
    n: int = 1
    flight_s: float = 0.0
    together: int = 1
    moved: bool = True
    """Whether what is left ever changed; a counter of calls falls with each."""

    def document(self) -> dict[str, Any]:
        """As `probes.rate/1` writes it."""
        names = ("left", "limit", "reset_s", "length_s")
        return {name: value for name, value in asdict(self).items() if name in names}

    @property
    def sign(self) -> Sign:
        """What is told of it, by whether it counts at all."""
        return Sign("window_counter" if self.moved else "still_counter", self.says)

    @property
    def says(self) -> str:
        """What is left, and what passes in the long run."""
        if not self.moved:
            return (
                f"Remaining stayed {self.left:,.0f} in {self.n} answers: no counter of these calls, and what limits them no header tells."
            )
        of = "" if self.limit is None else f" of {self.limit:,.0f}"
        until = "" if self.reset_s is None else f" for the next {seconds(self.reset_s)}"
        return f"{self.left:,.0f}{of} are left{until}: a window counter, not a bucket that leaks. {self._lasting}"

    @property
    def _lasting(self) -> str:
        rate = self.rate_per_s()
        if self.limit is None:
            return "A job that takes no more than is left meets no refusal; how many a window holds no header tells."
        if rate is None:
            return f"A job that takes no more than is left meets no refusal; how long the window of {self.limit:,.0f} is no header tells."
        long = f"{rounded_down(rate.high)} a second, {self.limit:,.0f} in {seconds(self.length_s or 0.0)}"
        return f"A job that takes no more than is left meets no refusal; in the long run {long} pass."

    def rate_per_s(self) -> Interval | None:
        """Calls/s of an even job longer than the window, `low` from now on; None where the headers do not tell the limit and the length.

        One call less than the limit, as a window may begin just before a call.
        """
        if not self.moved or not self.limit or not self.length_s or self.limit < self.per_call:
            return None
        calls = self.limit / self.per_call
        kept = max(calls - 1.0, calls / 2.0) / self.length_s
        now = self.left / self.per_call / self.reset_s if self.left and self.reset_s else kept
        return Interval(kept, min(kept, now), calls / self.length_s, self.n)


def window_of(answered: Sequence[Observation]) -> Window | None:
    """The counter that these answers told of; None where they told of a level, or of nothing. Which it is, the dialect says."""
    told = [o for o in answered if "window_s" in o.facts and o.remaining is not None]
    if not told:
        return None
    last = max(told, key=lambda o: (o.received_s or 0.0, -(o.remaining or 0.0)))
    costs = [cost for o in told if o.ok and (cost := usable_cost(o)) is not None]
    flights = [o.flight_s for o in told if o.ok and o.flight_s is not None]
    return Window(
        last.remaining or 0.0,
        last.limit,
        last.reset_s,
        _positive(last.facts["window_s"]),
        sum(costs) / len(costs) if sum(costs) > 0.0 else 1.0,
        len(told),
        sum(flights) / len(flights) if flights else 0.0,
        max(1, most_at_once(told)),
        len(told) < LEAST_STILL or len({o.remaining for o in told}) > 1,
    )


def counts_down(seen: Sequence[Observation]) -> str | None:
    """Why what Remaining shows is a counter of a window that no header names; None where it leaks, or was too seldom read alone.

    Read alone a level is the one before and what was paid since, less what leaked: of a counter nothing does.
    """
    alone = _read_alone(seen[:FIRST_SEEN])
    if len(alone) < LEAST_COUNTED:
        return None
    first, last = alone[0], alone[-1]
    lasted_s, paid, fell = last.at_s - first.at_s, last.paid - first.paid, first.remaining - last.remaining
    rounding = 1.0 if all(reading.remaining.is_integer() for reading in alone) else 0.0
    if lasted_s < COUNTED_S or last.remaining >= first.remaining - rounding:
        return None
    if abs(paid - fell) > min(LEAKS_PER_S * lasted_s, LEAKED_SHARE * paid):
        return None
    if sum(abs((later.paid - one.paid) - (one.remaining - later.remaining)) for one, later in pairwise(alone)) > UNEVEN * paid:
        return None
    return (
        f"Remaining fell from {first.remaining:,.0f} to {last.remaining:,.0f} by just what the calls paid, and nothing came back in "
        f"{seconds(lasted_s)}: a counter of some window, not a bucket that leaks. Is the dialect of this instance right?"
    )


class _Reading(NamedTuple):
    """What one answer showed, and all that calls had paid by then, units."""

    at_s: float
    remaining: float
    paid: float


def _read_alone(seen: Sequence[Observation]) -> list[_Reading]:
    """Readings while no other call was out, until one is higher than the one before: the next window, or a level that leaks."""
    told = sorted((o for o in seen if o.remaining is not None and o.received_s is not None), key=lambda o: o.received_s or 0.0)
    paid, alone = 0.0, list[_Reading]()
    for o in told:
        paid += usable_cost(o) or 0.0
        reading = _Reading(o.received_s or 0.0, o.remaining or 0.0, paid)
        if alone and reading.remaining > alone[-1].remaining:
            break
        if not any((other.sent_s or 0.0) < reading.at_s < (other.received_s or math.inf) for other in seen):
            alone.append(reading)
    return alone


def _positive(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and value > 0.0 else None
