"""The bucket's constants from Remaining headers: robust regression over a replay.

The order of events at the server is the unknown: an arrival and a departure that swap on the way shift one header by a whole
reservation. Each header tells its own count of reservations, though, since the reservation is far larger than the noise of the network:
residuals are taken modulo the reservation. What then remains off is other traffic, and is reported, not averaged in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from probes.bucket import BucketSettings
from probes.fit.guesses import combs, doubtful_orders, grid
from probes.fit.regression import LEAST_COUNTED, Solution, misfits, refined, scales, weights
from probes.fit.timeline import Timeline, timeline
from probes.fit.touches import Touch

if TYPE_CHECKING:
    from numpy.typing import NDArray

Order = tuple[int, int]
"""Indices of the call that arrives and of the one that departs, nearly at one instant."""
HARMONICS = (2.0, 3.0, 4.0, 5.0, 0.5)
ROUGH = 1.0
"""A cost of the fit above which other first guesses are tried."""
FIRST_CALLS, FEWEST_CALLS = 60, 24
"""Of so many calls the first are asked for a better guess, or the first two thirds of fewer; and from how many on."""
MOST_DOUBTFUL, MOST_REORDERED = 60, 12
"""Orders of events that are thought of, the nearest first, and those of them that are tried: one may put a hundred headers off."""
MEND_FROM = 4
"""Turns of the regression before a header's reservations are taken out, where a guess is a rough one."""
CLOCK_BIAS_S = 0.0015
"""What is common to all estimated instants and cannot be seen: X-Runtime is not quite the time between the two touches; seconds."""
AT_ONCE = 0.1
"""What leaks while a call is refused, units: no more than this says nothing of the outflow."""
UNTOLD = 0.5
"""A constant whose standard error is a greater share of it is not told."""
FEWEST_TELLING, MOST_MISSED = 4, 0.35
"""A reservation is checked once so many headers that count any agree on it, and no greater share of them does not: two headers always agree
on a reservation and an outflow, a wrong pair as well."""
ORDER_DOUBT = (0.02, 0.03, 0.06, 0.1), (1.0, 1.0, 1.5, 1.9), (1.6, 2.5, 3.0, 3.0)
"""Scatter of the headers, units; how much larger than by the formula the errors of reservation and outflow then are, by 600 random buckets.

When the floor was touched last rests on an order of events that jitter can change, and headers share the mistake.
"""


@dataclass(frozen=True)
class Fit:
    """Fitted constants and what the fit says of itself.

    `covariance` is 3 x 3 over (mark, reservation, outflow); `inf` on the diagonal where the data say nothing.
    """

    solution: Solution
    covariance: NDArray[np.float64]
    bucket: BucketSettings

    @property
    def errors(self) -> tuple[float, float, float]:
        """Standard errors of mark, reservation and outflow; inf where unknown."""
        mark, reservation, outflow = np.sqrt(np.diag(self.covariance))
        return float(mark), float(reservation), float(outflow)

    @property
    def n(self) -> int:
        """Headers that the fit explains or fails to."""
        return self.solution.n

    @property
    def residuals(self) -> NDArray[np.float64]:
        """Header minus replay, units, modulo reservations; one for each header."""
        return self.solution.residuals

    @property
    def noise(self) -> float:
        """Robust scale of the residuals, units."""
        return self.solution.noise

    @property
    def outliers(self) -> float:
        """Share of headers that the replay does not explain; those that share one mistake in the order of events count once."""
        return float(np.mean(self.solution.unexplained)) if self.n else 0.0

    @property
    def moved(self) -> float:
        """Events taken for swapped by each header that counts reservations."""
        return self.solution.moved

    @property
    def checked(self) -> bool:
        """Whether more headers agree on the reservation than any two constants could be fitted to, and it is more than their scatter."""
        told, beside = self.solution.explained, int(np.sum(self.solution.beside))
        return self.bucket.up_front_cost > LEAST_COUNTED and told >= FEWEST_TELLING and told >= (1.0 - MOST_MISSED) * beside

    @property
    def unbound(self) -> bool:
        """Whether the outflow is not known and does not bind: each call made alone left the bucket at rest."""
        solution = self.solution
        return self.errors[2] > UNTOLD * self.bucket.outflow_per_s and bool(np.all(solution.at_mark | solution.beside))

    @property
    def possible(self) -> bool:
        """Whether the bucket admits a call at all."""
        return self.solution.possible

    @property
    def exact_mark(self) -> bool:
        """Whether the mark was read at the floor."""
        return self.solution.exact_mark


def fit(touches: Sequence[Touch], start: BucketSettings | None = None) -> Fit | None:
    """The constants that explain the headers of `touches` best; None when there is no header, or none above 0, below which no mark shows.

    Both forms of the bucket's script are tried; the older one, without the floor, is kept only where it explains clearly more.
    """
    if max((t.remaining for t in touches if t.remaining is not None and t.known_cost), default=0.0) <= 0.0:
        return None
    line = timeline(touches)
    guesses = [start] if start is not None else grid(touches)
    toothed = [] if start is not None else combs(touches)
    exact = [*toothed, *guesses[:1]]
    best = _best(refined(line, [*guesses, *exact], [MEND_FROM] * len(guesses) + [0] * len(exact)))
    other = guesses[0]
    if start is None:
        best = _with_harmonics(line, best)
        if best.cost > ROUGH and len(touches) >= FEWEST_CALLS and (first := _of_the_first(line)) is not None:
            best, other = _best([best, *refined(line, [first], [0])]), first
    if best.noise > 0.1 or best.outliers > 0.02:
        best = _reordered(line, best, other)
    if best.cost > 0.5:
        (older,) = refined(line, [best.bucket], [MEND_FROM], floor_after_leak=False)
        best = older if older.cost < 0.5 * best.cost else best
    return Fit(best, _covariance(best), best.bucket)


def _best(solutions: Sequence[Solution]) -> Solution:
    return min(solutions, key=lambda solution: solution.cost)


def _with_harmonics(line: Timeline, best: Solution) -> Solution:
    """The best of `best` and fits from multiples of its reservation: a part of the true one explains as many levels."""
    sizes = [best.bucket.up_front_cost * factor for factor in HARMONICS]
    starts = [replace(best.bucket, up_front_cost=size) for size in sizes if size < best.bucket.high_water_mark]
    mending = [MEND_FROM] * len(starts)
    if best.cost > ROUGH:
        starts, mending = 2 * starts, mending + [0] * len(starts)
    return _best([best, *refined(line, starts, mending)]) if starts else best


def _of_the_first(line: Timeline) -> BucketSettings | None:
    """What the first calls say: they were made to tell the bucket, and few enough that a wrong outflow blurs little."""
    first = fit(line.touches[: min(FIRST_CALLS, 2 * len(line.touches) // 3)])
    return None if first is None else first.bucket


def _reordered(line: Timeline, best: Solution, other: BucketSettings) -> Solution:
    """The best fit after swapping, one by one, events that decide whether the floor was touched and lie too near to be sure of.

    Those first that leave the least unexplained by the constants of `best`, or by `other` ones.
    """
    orders = doubtful_orders(line.touches)[:MOST_DOUBTFUL]
    options = _swaps(line, orders, best, other)
    for _ in range(MOST_REORDERED):
        if not options:
            break
        order, swapped = options.pop(0)
        found = _best(refined(swapped, [best.bucket, other], [MEND_FROM] * 2))
        orders.remove(order)
        if found.cost < 0.93 * best.cost:
            best, options = found, _swaps(swapped, orders, found, other)
    return best


def _swaps(line: Timeline, orders: Sequence[Order], best: Solution, other: BucketSettings) -> list[tuple[Order, Timeline]]:
    """The timeline with each of `orders` swapped, the most helpful first."""
    swapped = [(order, _swapped(line, order)) for order in orders]
    ranks = {order: float(np.min(misfits(after, [best.bucket, other]))) for order, after in swapped}
    return sorted(swapped, key=lambda option: ranks[option[0]])


def _swapped(line: Timeline, order: Order) -> Timeline:
    """The timeline where the call of an order (arriving, departing) arrives after the other departs if it came before, else before it."""
    touches, (call, other) = list(line.touches), order
    late = touches[call].arrived_s < touches[other].departed_s
    touches[call] = replace(touches[call], arrived_s=touches[other].departed_s + (1e-6 if late else -1e-6))
    return timeline(touches)


def _covariance(found: Solution) -> NDArray[np.float64]:
    """Sandwich over groups that share a touch of the floor, as their times share its error; inf where the data say nothing."""
    used = found.rows * np.array([0.0 if found.exact_mark else 1.0, 1.0, 1.0])
    used[found.weight == 0.0] *= (1.0, 0.0, 1.0)  # a refusal alone: a reservation beyond the maximum would be counted by it
    at_once = (found.weight > 1.0) & (np.abs(found.rows[:, 2]) * found.bucket.outflow_per_s < AT_ONCE)
    used[at_once] *= (1.0, 1.0, 0.0)
    used[found.at_mark & (found.rows[:, 1] == 0.0)] *= (1.0, 0.0, 0.0)  # at the floor: the outflow may be any that is greater
    alone = found.residuals[None, :]
    heavy = weights(alone, found.swaps[None, :], scales(alone, found.rows[None, :]))[0]
    informed = np.sum(np.abs(used), axis=0) > 1e-6
    informed &= ~_undetermined(used * np.sqrt(heavy)[:, None])
    informed[1] &= bool(np.any(used[:, 1] != found.swaps))  # a swap alone, where no calls overlapped, is an odd header
    normal = used.T @ (used * heavy[:, None])
    bread = np.linalg.pinv(normal, rcond=1e-10)
    scores = used * (heavy * found.residuals)[:, None]
    grouped = np.array([scores[found.origins == origin].sum(axis=0) for origin in np.unique(found.origins)])
    meat = grouped.T @ grouped + normal * found.noise**2 * 0.25
    shift = bread @ (used.T @ (heavy * found.bucket.outflow_per_s * CLOCK_BIAS_S))
    scatter, *factors = ORDER_DOUBT
    doubt = np.array([1.0, *(float(np.interp(found.noise, scatter, factor)) for factor in factors)])
    covariance = (bread @ meat @ bread + np.outer(shift, shift)) * np.outer(doubt, doubt)
    for column in range(3):
        if not informed[column] and not (found.exact_mark and column == 0):
            covariance[column, column] = np.inf
    return np.asarray(covariance)


def _undetermined(used: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which columns take part in a combination that no row says anything of: two unknowns and one equation leave both unknown."""
    norms = np.linalg.norm(used, axis=0)
    scaled = used / np.where(norms > 0.0, norms, 1.0)
    _, values, combinations = np.linalg.svd(np.vstack([scaled, np.zeros((3, 3))]), full_matrices=False)
    return np.asarray(np.any(np.abs(combinations[values <= 1e-5 * values[0]]) > 1e-3, axis=0))
