"""Robust regression of the bucket's constants over replays, from many first guesses at one time.

Each turn replays all guesses, takes whole reservations out of the residuals (events that swapped on their way shift a header by one) and
solves the weighted normal equations. B guesses over n headers: arrays are of shape (B, n), constants (B, 3): mark, reservation, outflow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from probes.bucket import BucketSettings
from probes.fit.timeline import Timeline, buckets_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

TURNS = 16
USUAL_NOISE = 0.02
"""Smallest scale of residuals that is taken for noise, units."""
LEAST_COUNTED = 1.0
"""Reservations no larger than this, units, cannot be told from the scatter of headers: none is taken out."""
FEWEST_ALIKE = 5
"""From so many headers on that are all off by the same a mistake of one event is looked for."""
DENIAL, ROOM = 2.0, 1.05
"""Cost of a fit that contradicts each refusal; reservations that a refusal's header shows at most."""
RIDGE = np.diag([1e-9, 1e-9, 1e-7])
"""Holds a constant where the data say nothing of it."""

LEAST = np.array([-np.inf, 0.1, 0.01])
"""Mark, reservation and outflow are held above these."""


@dataclass(frozen=True)
class Solution:
    """Constants at rest, `rows` of d header / d (mark, reservation, outflow), and what each of the n headers says of them.

    `residuals` are in units, header minus replay, modulo reservations; `swaps` the reservations taken out; `noise` is their robust scale.
    `at_mark` reads the mark itself; `weight` is what a header is worth to the reservation; `denied` is the share of refusals whose header
    shows more than a reservation, which refuses nobody.
    """

    bucket: BucketSettings
    rows: Floats
    residuals: Floats
    swaps: Floats
    origins: NDArray[np.int64]
    weight: Floats
    denied: float
    at_mark: NDArray[np.bool_]
    noise: float
    exact_mark: bool

    @property
    def n(self) -> int:
        """Headers."""
        return len(self.residuals)

    @property
    def outliers(self) -> float:
        """Share of headers that the replay does not explain."""
        return float(np.mean(self.missed)) if self.n else 0.0

    @property
    def beside(self) -> NDArray[np.bool_]:
        """Which headers count reservations of other calls; the rest show the floor, or what costs left behind."""
        return np.asarray(self.rows[:, 1] != 0.0)

    @property
    def explained(self) -> int:
        """How many headers that count reservations the replay explains, by their weight."""
        return int(np.sum(self.weight[self.beside & ~self.missed]))

    @property
    def missed(self) -> NDArray[np.bool_]:
        """Which headers the replay does not explain, in order of sending."""
        return np.asarray(np.abs(self.residuals) > self._tolerance)

    @property
    def unexplained(self) -> NDArray[np.bool_]:
        """`missed`, but of headers that share one mistake the first alone: all since one touch of the floor, all above it by the same.

        At the floor the order of an arrival and a departure decides how much is forgiven, for all that follows until it is touched again.
        Another job only takes, and leaves headers below.
        """
        found = self.missed.copy()
        for origin in np.unique(self.origins[found]) if self.exact_mark else ():
            group = np.flatnonzero(found & self.beside & (self.origins == origin) & (self.residuals > 0.0))
            off = self.residuals[group]
            alike = group[np.abs(off - np.median(off)) <= self._tolerance] if len(group) else group
            found[alike[1:]] &= len(alike) < FEWEST_ALIKE
        return found

    @property
    def _tolerance(self) -> float:
        """By how much a header that is explained is off at most, units."""
        return 6.0 * self.noise + 0.5

    @property
    def possible(self) -> bool:
        """Whether such a bucket admits a call at all; one that does not can show the same headers, as its level is held at the maximum."""
        return self.bucket.up_front_cost < self.bucket.high_water_mark

    @property
    def cost(self) -> float:
        """How badly the headers are explained: mean of a bounded loss, and fines for reservations taken out and refusals denied."""
        if not self.possible:
            return np.inf
        return float(np.mean(_losses(self.residuals)) + 0.8 * self.moved + DENIAL * self.denied) if self.n else 0.0

    @property
    def moved(self) -> float:
        """Reservations taken out of the residuals for each header that counts any."""
        return float(np.sum(np.abs(self.swaps)) / max(1, int(np.sum(self.beside))))


@dataclass(frozen=True)
class _Linear:
    rows: Floats
    target: Floats
    swaps: Floats
    residuals: Floats
    origins: NDArray[np.int64]


def refined(line: Timeline, guesses: Sequence[BucketSettings], mend_from: Sequence[int], floor_after_leak: bool = True) -> list[Solution]:
    """Iterated reweighted least squares from each guess; reservations are taken out from turn `mend_from` on."""
    constants = _constants(guesses)
    mending, moving = np.asarray(mend_from), np.arange(len(guesses))
    for turn in range(TURNS):
        found = _linearised(line, constants[moving], floor_after_leak, turn >= mending[moving])
        # at first a guess is far off: headers it misses are pulled in, not put aside, and put aside more strictly with each turn
        noise = np.maximum(scales(found.residuals, found.rows), 0.1 * constants[moving, 1, None] * 0.5**turn)
        solved = _solved(found.rows, found.target, weights(found.residuals, found.swaps, noise), constants[moving])
        resting = np.all(np.abs(solved - constants[moving]) < 1e-9, axis=1) & (turn >= mending[moving])
        constants[moving] = solved
        moving = moving[~resting]
        if not len(moving):
            break
    return _finished(line, constants, floor_after_leak)


def _finished(line: Timeline, constants: Floats, floor_after_leak: bool) -> list[Solution]:
    top, exact = _exact_marks(line, constants[:, 0])
    if exact.any():
        constants[exact] = _with_exact_mark(line, constants[exact], top, floor_after_leak)
    found = _linearised(line, constants, floor_after_leak, np.full(len(constants), True))
    noise = _scales(found.residuals)
    buckets = buckets_of(constants, floor_after_leak)
    return [
        Solution(
            buckets[n],
            rows=found.rows[n],
            residuals=found.residuals[n],
            swaps=found.swaps[n],
            origins=found.origins[n],
            weight=line.weight,
            denied=_denied(line, buckets[n]),
            at_mark=np.abs(line.headers - constants[n, 0]) < 1e-6,
            noise=float(noise[n]),
            exact_mark=bool(exact[n]),
        )
        for n in range(len(buckets))
    ]


def misfits(line: Timeline, buckets: Sequence[BucketSettings]) -> Floats:
    """How badly buckets explain the headers as they are: mean of the bounded loss, one for each."""
    constants = _constants(buckets)
    return np.asarray(np.mean(_losses(_linearised(line, constants, True, np.full(len(constants), True)).residuals), axis=1))


def _losses(residuals: Floats) -> Floats:
    return np.minimum(np.abs(residuals) / 0.5, 10.0)


def _constants(buckets: Sequence[BucketSettings]) -> Floats:
    return np.array([(one.high_water_mark, one.up_front_cost, one.outflow_per_s) for one in buckets])


def _denied(line: Timeline, bucket: BucketSettings) -> float:
    left = line.headers[line.refused]
    return float(np.mean(left > ROOM * bucket.up_front_cost)) if len(left) else 0.0


def _exact_marks(line: Timeline, marks: Floats) -> tuple[float, NDArray[np.bool_]]:
    """(the mark itself, where a header was read at the floor: the same greatest value at least twice; which fitted marks are near it)."""
    values = np.array([t.remaining for t in line.touches if t.remaining is not None])
    top = float(np.max(values))
    repeated = int(np.sum(np.abs(values - top) < 1e-6)) >= 2
    return top, (np.abs(top - marks) < np.maximum(0.02 * marks, 2.0)) & repeated


def _with_exact_mark(line: Timeline, constants: Floats, mark: float, floor_after_leak: bool) -> Floats:
    """The other two constants refitted with the mark held."""
    constants = np.column_stack([np.full(len(constants), mark), constants[:, 1:]])
    moving = np.arange(len(constants))
    for _ in range(8):
        found = _linearised(line, constants[moving], floor_after_leak, np.full(len(moving), True))
        weighed = weights(found.residuals, found.swaps, scales(found.residuals, found.rows))
        held = _solved(found.rows * np.array([0.0, 1.0, 1.0]), found.target - mark, weighed, constants[moving])
        change = np.sum(np.abs(held[:, 1:] - constants[moving, 1:]), axis=1)
        constants[moving, 1:] = held[:, 1:]
        moving = moving[change >= 1e-9]
        if not len(moving):
            break
    return constants


def _linearised(line: Timeline, constants: Floats, floor_after_leak: bool, mend: NDArray[np.bool_]) -> _Linear:
    """The headers as linear in the constants: target (header and what was paid) = rows @ constants + residuals."""
    courses = line.courses(constants, floor_after_leak)
    mark, reservation, outflow = constants.T[:, :, None]
    target = line.headers + courses.constants
    raw = target - mark + courses.reservations * reservation - courses.seconds * outflow
    counted = mend[:, None] & (reservation > LEAST_COUNTED)
    swaps = np.where((np.abs(raw) > 0.4 * reservation) & counted, np.round(raw / reservation), 0.0)
    swaps = _within(swaps, -line.neighbours, line.neighbours)
    rows = np.empty((*raw.shape, 3))
    rows[:, :, 0], rows[:, :, 1], rows[:, :, 2] = 1.0, swaps - courses.reservations, courses.seconds
    residuals = raw - swaps * reservation
    paid = _paid_by_swapped(line, residuals, swaps)
    return _Linear(rows, target + paid, swaps, residuals + paid, courses.origins)


def _paid_by_swapped(line: Timeline, residuals: Floats, swaps: Floats) -> Floats:
    """What the departures paid that came before a header though they do not here, or negative after it: at most one for each swap.

    A departure that swaps shifts a header by a reservation less what its call cost, an arrival by the reservation.
    """
    after, before = line.paid_beside
    paid = np.zeros(residuals.shape)
    most = int(np.max(np.abs(swaps))) if swaps.size else 0
    for count in range(1, min(len(after), most + 1)):
        for beside, way in ((after[count], 1.0), (-before[count], -1.0)):
            better = (way * swaps >= count) & (np.abs(residuals + beside) < np.abs(residuals + paid))
            paid = np.where(better, beside, paid)
    return paid


def _solved(rows: Floats, target: Floats, weighed: Floats, prior: Floats) -> Floats:
    """Weighted least squares, held near `prior` where the data say nothing."""
    heavy = (rows * weighed[:, :, None]).transpose(0, 2, 1)
    left = target[:, :, None] - rows @ prior[:, :, None]
    step = np.linalg.solve(heavy @ rows + RIDGE, heavy @ left)[:, :, 0]
    return np.asarray(np.maximum(prior + _within(np.asarray(step), -0.5 * prior, 0.5 * prior + 1.0), LEAST))


def _within(values: Floats, low: Floats, high: Floats) -> Floats:
    """`numpy.clip` of small arrays takes several times as long."""
    return np.minimum(np.maximum(values, low), high)


def weights(residuals: Floats, swaps: Floats, noise: Floats) -> Floats:
    """Tukey's biweight; a header whose reservations had to be mended counts less, as a cost may have swapped too."""
    scaled = np.minimum(np.abs(residuals) / (6.0 * noise), 1.0)
    found = (1.0 - scaled**2) ** 2 * np.where(swaps == 0.0, 1.0, 0.3)
    return np.where(np.sum(found, axis=1, keepdims=True) > 2.0, found, 1.0)


def scales(residuals: Floats, rows: Floats) -> Floats:
    """The scale of each header, (B, n): headers that count reservations have their own, as jitter moves these and not a call's own time.

    By one scale for all, many exact headers of calls made alone would put the few aside that tell the reservation.
    """
    beside = rows[:, :, 1] != 0.0
    of_all, of_those = np.split(_scales(np.concatenate([residuals, np.where(beside, residuals, 0.0)])), 2)
    return np.where(beside, np.maximum(of_all, of_those)[:, None], of_all[:, None])


def _scales(residuals: Floats) -> Floats:
    """Robust standard deviations, units, of those residuals in each row that are not exactly at the floor."""
    sizes = np.sort(np.abs(residuals), axis=1)
    moving = np.sum(sizes > 1e-9, axis=1)
    n, places = sizes.shape[1], np.arange(len(sizes))
    low, high = n - moving + (moving - 1) // 2, n - moving + moving // 2
    middle = 0.5 * (sizes[places, np.minimum(low, n - 1)] + sizes[places, np.minimum(high, n - 1)])
    return np.where(moving >= 3, np.maximum(USUAL_NOISE, 1.4826 * middle), USUAL_NOISE * 5)
