"""What the observations of one instance say: the regime, the bucket's constants, what each call costs, with intervals and n."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from probes.changes import drifting, moved, with_times
from probes.distance import Distance, distance
from probes.identify import FIRST_CALLS, Fit, fit
from probes.observation import Observation, Outcome
from probes.prices import LEAST_PRICED, Prices
from probes.replay import Touch, jitter_s, network_s, predicted, touches_of, usable_cost, way_jitter_s
from probes.rules.base import seconds
from probes.signatures import Signs, jumping, less_outflow, regime_of
from probes.slowing import queued_s
from probes.stats import Interval
from probes.twin import Twin
from probes.windows import Window, window_of

TOO_MANY_OUTLIERS = 0.35
"""Above this share of headers that no bucket explains, no constant is told."""
CLEAR_OUTLIERS, UNCLEAR_OUTLIERS = 0.08, 0.25
"""Above this share somebody else seems to use the token: where the order of calls is clear, and where they overtake one another."""
HEADERS_MISSING = 0.05
"""Share of answers without a header from which it is said, and from which a misfit is not blamed on somebody else."""
FREE_AT_REFUSALS = 2.2
OVERTAKING = 0.25
"""Jitter as a share of the server's time from which the order of dense calls is lost."""
TOO_MANY_MOVED = 2.0
"""Nor where each header takes so many events for swapped: jitter of 30 ms and calls of 50 ms made it 1.0, a wrong reservation 3."""
ROUNDED = 0.5
"""What headers that are told as whole numbers scatter by at most."""
TOO_NOISY = 1.5
"""Nor above this scatter of the headers around the bucket's own levels, units: jitter of 30 ms makes 0.3 of it."""


@dataclass(frozen=True)
class Estimate:
    """One instance's bucket and prices.

    `regime` as in the contract; `signs` are remarks of (kind, sentence); `fit` is None where headers told nothing.
    """

    instance: str
    regime: str
    fit: Fit | None
    prices: dict[str, Prices]
    away: Distance
    n: int
    refused: int
    signs: Signs = field(default=())
    lost: int = 0
    """Calls that were sent and brought no answer in time: the server may hold their reservations still."""
    jitter_s: float = 0.0
    """By how much one way through the network varies, standard deviation; 0 where it is not known."""
    spare_s: float = 0.0
    """How much longer than the shortest the network's share of a call usually is."""
    window: Window | None = None
    """The counter that the headers tell of in the place of a bucket."""

    @property
    def round_trip_s(self) -> float:
        """The network's usual share of a call, seconds."""
        return self.away.round_trip_s + self.spare_s

    @property
    def identified(self) -> bool:
        """Whether mark, reservation and outflow are all known."""
        return self.fit is not None and all(math.isfinite(e) for e in self.fit.errors[:2])

    def twin(self, call: str) -> Twin | None:
        """The twin for one call; None where the data cannot carry it."""
        prices = self.prices.get(call)
        if not self.identified or prices is None or prices.n < LEAST_PRICED:
            return None
        assert self.fit is not None
        return Twin(self.fit.bucket, *prices.smoothed(), self.round_trip_s, jitter_s=self.jitter_s)

    def bucket(self) -> dict[str, Interval | None] | None:
        """The three constants, None for one that the data cannot carry; None altogether without a fit."""
        if self.fit is None:
            return None
        names = ("high_water_mark", "up_front_cost", "outflow_per_s")
        values = (self.fit.bucket.high_water_mark, self.fit.bucket.up_front_cost, self.fit.bucket.outflow_per_s)
        return {n: _constant(v, e, self.fit.n) for n, v, e in zip(names, values, self.fit.errors, strict=True)}


def estimate(observations: Iterable[Observation], instance: str | None = None) -> Estimate | None:
    """The estimate of one instance (the only one seen, unless named); None when nothing was answered."""
    mine = with_times([o for o in observations if instance is None or o.instance == instance])
    answered = [o for o in mine if o.status is not None]
    if not answered:
        return None
    if (window := window_of(answered)) is not None:
        return _counted(mine, answered, window)
    away = distance(mine)
    touches = touches_of(mine, away.round_trip_s)
    regime, signs = regime_of(answered, touches)
    found, fitted, doubts = _fitted(touches, mine, away) if regime in ("headers", "not_enforced") else (None, None, ())
    signs = (*signs, *doubts, *_signs_of_calls(mine))
    if regime == "headers":
        told = () if away.told else (("no_server_time", away.says),)
        others = _signs_of_fit(found, touches, mine)
        known = {kind for kind, _ in doubts}
        signs = (*signs, *told, *(sign for sign in others if not (sign[0] == "shared_token" and "limit_changed" in known)))
    refused, lost = (sum(o.outcome is outcome for o in mine) for outcome in (Outcome.THROTTLED, Outcome.READ_TIMEOUT))
    prices = _prices(mine, away.round_trip_s)
    ways = way_jitter_s(mine), jitter_s(mine, away.round_trip_s) or 0.0
    return Estimate(answered[0].instance, regime, fitted, prices, away, len(answered), refused, signs, lost, *ways)


def _counted(mine: Sequence[Observation], answered: Sequence[Observation], window: Window) -> Estimate:
    """Of a counter: no bucket."""
    usual = network_s(mine)
    refused, lost = (sum(o.outcome is outcome for o in mine) for outcome in (Outcome.THROTTLED, Outcome.READ_TIMEOUT))
    signs = (("window_counter", window.says), *_signs_of_calls(mine))
    away = Distance(usual, usual, usual, np.zeros((3, 3)))
    return Estimate(answered[0].instance, "headers", None, _prices(mine, usual), away, len(answered), refused, signs, lost, window=window)


def _fitted(touches: Sequence[Touch], seen: Sequence[Observation], away: Distance) -> tuple[Fit | None, Fit | None, Signs]:
    """The fit; the same, None where it is not to be believed; and what is to be said of that."""
    found = fit(touches)
    signs: Signs = ()
    if found is not None and not _explains(found) and _out_of_order(seen):
        found, signs = _by_the_first(found, touches, signs)
    if found is None or not _explains(found):
        return found, None, signs
    if unforeseen := _unforeseen(found, touches):
        return found, None, (*signs, ("unforeseen_refusals", unforeseen))
    if not _out_of_order(seen) and (change := moved(found, touches)):
        return found, None, (*signs, ("limit_changed", change))
    return found, _whole(found, away), signs


def _signs_of_calls(seen: Sequence[Observation]) -> Signs:
    lost = sum(o.outcome is Outcome.READ_TIMEOUT for o in seen)
    drift = drifting(seen)
    said = f"{lost} of {len(seen)} calls brought no answer in time, and may fill the bucket unseen."
    return (*([("timeouts", said)] if lost else []), *([("server_time_drifts", drift)] if drift else []))


def _out_of_order(seen: Sequence[Observation]) -> bool:
    """Whether calls overtake one another on their way so often that dense ones do not show in which order the bucket saw them."""
    times = [o.server_time_s for o in seen if o.ok and o.server_time_s is not None]
    jitter = jitter_s(seen)
    return jitter is None or (bool(times) and jitter > OVERTAKING * float(np.median(times)))


def _by_the_first(found: Fit, touches: Sequence[Touch], signs: Signs) -> tuple[Fit, Signs]:
    """The fit to the first calls alone, which were sent to tell the bucket and are not dense, with a word on it; else the one to all."""
    first = fit(touches[:FIRST_CALLS]) if len(touches) > FIRST_CALLS else None
    if first is None or not _explains(first):
        return found, signs
    said = (
        f"On this network calls overtake one another: the bucket is told by the first {first.n} calls, whose order is clear enough; "
        "another job on this token might not show."
    )
    return first, (*signs, ("jitter", said))


def _explains(fitted: Fit) -> bool:
    """Whether a bucket of our own calls alone explains the headers well enough for its constants to be told."""
    return fitted.possible and fitted.outliers <= TOO_MANY_OUTLIERS and fitted.noise <= TOO_NOISY and fitted.moved <= TOO_MANY_MOVED


def _unforeseen(fitted: Fit, touches: Sequence[Touch]) -> str | None:
    """Why the fit is not believed: refusals, two at least, all at levels where by it two reservations and more were still free."""
    free = [left for left, t in zip(predicted(fitted.bucket, touches), touches, strict=True) if t.refused]
    if len(free) < 2 or min(free) <= FREE_AT_REFUSALS * fitted.bucket.up_front_cost:
        return None
    return f"{len(free)} calls were refused where the bucket that the headers show had room: none of its constants is told."


def _whole(fitted: Fit, away: Distance) -> Fit:
    """The fit, as much in doubt as the distance; a mark that is a whole number of reservations within its error is taken for one.

    It then admits one call less, the safe side. Configured marks are round (600 / 50 = 12) and so is such a ratio; a mark that is not a
    round number earns no such trust.
    """
    fitted = replace(fitted, covariance=fitted.covariance + away.covariance)
    bucket = fitted.bucket
    ratio = bucket.high_water_mark / bucket.up_front_cost
    error = ratio * fitted.errors[1] / bucket.up_front_cost
    is_round = fitted.exact_mark and abs(bucket.high_water_mark - round(bucket.high_water_mark)) < 1e-6
    if not math.isfinite(error) or ratio < 0.5 or abs(ratio - round(ratio)) > min(0.2, max(1e-3, (5.0 if is_round else 1.0) * error)):
        return fitted
    return replace(fitted, bucket=replace(bucket, up_front_cost=bucket.high_water_mark / round(ratio)))


def _signs_of_fit(fitted: Fit | None, touches: Sequence[Touch], seen: Sequence[Observation]) -> Signs:
    signs: list[tuple[str, str]] = []
    shared = None if fitted is None else _shared_token(fitted, seen)
    jumps = jumping(touches)
    if jumps is not None:
        signs.append(("remaining_jumps", jumps))
    elif shared is not None and (waited := queued_s(seen)) is not None:
        signs.append(("queueing", _queues(waited)))
    elif shared is not None and not any(o.outcome is Outcome.READ_TIMEOUT for o in seen):
        signs.append(("shared_token", shared))
    elif fitted is not None and (less := less_outflow(fitted.bucket, fitted.errors[2])) is not None:
        signs.append(("less_outflow", less))
    if fitted is not None and not math.isfinite(fitted.errors[1]):
        signs.append(("no_overlap", _no_overlap(fitted)))
    if fitted is not None and not fitted.bucket.floor_after_leak and queued_s(seen) is None:
        signs.append(("older_script", "The bucket swallows a reservation after an idle spell: this is the older throttle script."))
    bare = sum(1 for t in touches if t.remaining is None and not t.refused and t.answered)
    if bare > HEADERS_MISSING * len(touches):
        signs = [sign for sign in signs if sign[0] != "shared_token"]  # what those calls paid is a guess, and the guess may be the misfit
        last = _bare_at_the_end(touches)
        when = f", and none of the last {last}" if last > 0.8 * bare else ""
        signs.append(
            ("headers_missing", f"{bare} of {len(touches)} answers carried no budget header{when}: what these calls paid is a guess.")
        )
    missing = sum(1 for t in touches if t.remaining is not None and not t.known_cost)
    if missing > 0.1 * len(touches):
        signs.append(("cost_missing", f"{missing} of {len(touches)} answers had no usable cost: they are left out of the price."))
    return tuple(signs)


def _queues(waited_s: float) -> str:
    return (
        f"Calls wait {seconds(waited_s)} in front of the server when others are beside them: it serves few at one time, and in which order "
        "the bucket saw them is not known."
    )


def _no_overlap(fitted: Fit) -> str:
    """Why the reservation is unknown."""
    beside = int(np.sum(fitted.solution.rows[:, 1] != 0.0))
    if beside > fitted.n // 2:
        return (
            f"The {beside} headers read while other calls were in flight do not agree on a reservation: it and the safe rate are unknown."
        )
    few = {0: "None of {} headers was", 1: "Only 1 of {} headers was"}.get(beside, f"Only {beside} of {{}} headers were").format(fitted.n)
    read = f"{few} read while another" if fitted.n > 1 else "The only header was read while no other"
    return f"{read} call was in flight: the reservation and the safe rate are unknown."


def _bare_at_the_end(touches: Sequence[Touch]) -> int:
    """How many calls in a row, up to the last, came back without a header."""
    bare = [t.remaining is None for t in sorted(touches, key=lambda t: t.departed_s) if t.answered]
    return next((n for n, one in enumerate(reversed(bare)) if not one), len(bare))


def _shared_token(fitted: Fit, seen: Sequence[Observation]) -> str | None:
    """Why somebody else seems to use this token; None where these calls and the network's jitter explain the headers."""
    if not _explains(fitted) or fitted.outliers > (UNCLEAR_OUTLIERS if _out_of_order(seen) else CLEAR_OUTLIERS):
        share = round(100 * float(np.mean((np.abs(fitted.residuals) > 0.5) | (fitted.solution.swaps != 0.0))))
        return (
            f"{share} % of {fitted.n} headers show a level that these calls alone do not explain: another job seems to use this token, "
            "or its limit does not work as Canvas's."
        )
    jitter, told = jitter_s(seen), [o.remaining for o in seen if o.remaining is not None]
    rounded = ROUNDED if all(float(remaining).is_integer() for remaining in told) else 0.0
    if jitter is not None and fitted.noise > max(0.15, rounded, 5.0 * jitter * fitted.bucket.outflow_per_s):
        return (
            f"Headers scatter by {fitted.noise:.2g} units where the network's jitter explains {jitter * fitted.bucket.outflow_per_s:.2g}: "
            "another job seems to use this token, or its limit does not work as Canvas's; the outflow told is what is left."
        )
    return None


def _prices(observations: Sequence[Observation], base: float) -> dict[str, Prices]:
    """Prices by call name: answers that succeeded, with a cost; server time from the server, else flight less the network's share."""
    found: dict[str, list[tuple[float, float]]] = {}
    for o in observations:
        flight, cost = o.flight_s, usable_cost(o)
        if o.ok and cost is not None and flight is not None:
            time = o.server_time_s if o.server_time_s is not None else max(0.0, flight - (o.receive_s or 0.0) - base)
            found.setdefault(o.call, []).append((cost, max(time, 1e-4)))
    return {call: Prices(*np.array(pairs).T) for call, pairs in found.items()}


def _constant(value: float, error: float, n: int) -> Interval | None:
    if not math.isfinite(error) or error > 0.5 * abs(value):
        return None
    half = 1.96 * error
    return Interval(value, value - half, value + half, n)
