"""The bucket's constants from Remaining headers: robust regression over a replay.

The order of events at the server is the unknown: an arrival and a departure that swap on the way shift one header by a whole
reservation. Each header tells its own count of reservations, though, since the reservation is far larger than the noise of the network:
residuals are taken modulo the reservation. What then remains off is other traffic, and is reported, not averaged in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from probes.bucket import BucketSettings
from probes.guesses import combs, doubtful_orders, grid
from probes.replay import Touch
from probes.timeline import Timeline, timeline

HARMONICS = (2.0, 3.0, 4.0, 5.0, 0.5)
MOST_REORDERED = 12
CLOCK_BIAS_S = 0.0015
"""What is common to all estimated instants and cannot be seen: X-Runtime is not quite the time between the two touches; seconds."""
USUAL_NOISE = 0.02
"""Smallest scale of residuals that is taken for noise, units."""


@dataclass(frozen=True)
class Fit:
    """Fitted constants and what the fit says of itself.

    `covariance` is 3 x 3 over (mark, reservation, outflow); `inf` on the diagonal where the data say nothing. `residuals` (units,
    header minus replay, modulo reservations) and `swaps` (reservations taken out) go with the touches that had a header; `noise` is
    their robust scale; `outliers` the share not explained.
    """

    bucket: BucketSettings
    covariance: np.ndarray
    residuals: np.ndarray
    swaps: np.ndarray
    noise: float
    n: int
    exact_mark: bool
    overlapping: int = 0

    @property
    def errors(self) -> tuple[float, float, float]:
        """Standard errors of mark, reservation and outflow; inf where unknown."""
        mark, reservation, outflow = np.sqrt(np.diag(self.covariance))
        return float(mark), float(reservation), float(outflow)

    @property
    def outliers(self) -> float:
        """Share of headers that the replay does not explain."""
        return float(np.mean(np.abs(self.residuals) > 6.0 * self.noise + 0.5)) if self.n else 0.0

    @property
    def cost(self) -> float:
        """How badly the headers are explained: mean of a bounded loss; smaller is better."""
        scaled = np.minimum(np.abs(self.residuals) / 0.5, 10.0)
        return float(np.mean(scaled) + 0.5 * np.sum(np.abs(self.swaps)) / max(1, self.overlapping)) if self.n else 0.0


def fit(touches: Sequence[Touch], start: BucketSettings | None = None) -> Fit | None:
    """The constants that explain the headers of `touches` best; None when there is no header.

    Both forms of the bucket's script are tried; the older one, without the floor, is kept only where it explains clearly more.
    """
    if not any(t.remaining is not None and t.known_cost for t in touches):
        return None
    guesses = [start] if start is not None else grid(touches)
    toothed = [] if start is not None else combs(touches)
    line = timeline(touches)
    fits = [_refined(line, guess) for guess in guesses] + [_refined(line, guess, 0) for guess in (*toothed, *guesses[:1])]
    best = min(fits, key=lambda f: f.cost)
    if start is None:
        best = _with_harmonics(line, best)
    if best.noise > 0.1 or best.outliers > 0.02:
        best = _reordered(line, best, guesses)
    if best.cost > 0.5:
        older = _refined(line, replace(best.bucket, floor_after_leak=False))
        best = older if older.cost < 0.5 * best.cost else best
    return best


def _with_harmonics(line: Timeline, best: Fit) -> Fit:
    """The best of `best` and fits from multiples of its reservation: a part of the true one explains as many levels."""
    sizes = [best.bucket.up_front_cost * factor for factor in HARMONICS]
    starts = [replace(best.bucket, up_front_cost=size) for size in sizes if size < best.bucket.high_water_mark]
    return min([best, *(_refined(line, guess) for guess in starts)], key=lambda f: f.cost)


def _reordered(line: Timeline, best: Fit, guesses: Sequence[BucketSettings]) -> Fit:
    """The best fit after swapping, one by one, events that decide whether the floor was touched and lie too near to be sure of."""
    touches = line.touches
    for call, other in doubtful_orders(touches)[:MOST_REORDERED]:
        swapped = list(touches)
        late = touches[call].arrived_s < touches[other].departed_s
        swapped[call] = replace(touches[call], arrived_s=touches[other].departed_s + (1e-6 if late else -1e-6))
        found = min((_refined(timeline(swapped), guess) for guess in (best.bucket, *guesses[:1])), key=lambda f: f.cost)
        if found.cost < 0.93 * best.cost:
            best, touches = found, tuple(swapped)
    return best


def _refined(line: Timeline, guess: BucketSettings, mend_from: int = 4) -> Fit:
    """Iterated reweighted least squares from `guess`: replay, take reservations out, solve, until the constants rest."""
    bucket = guess
    for turn in range(16):
        rows, target, swaps, residuals = _linearised(line, bucket, mend=turn >= mend_from)
        # at first a guess is far off: headers it misses are pulled in, not put aside, and put aside more strictly with each turn
        noise = max(_scale(residuals), 0.1 * bucket.up_front_cost * 0.5**turn)
        solved = _solved(rows, target, _weights(residuals, swaps, noise), bucket)
        settled = bool(np.all(np.abs(np.subtract(_constants(solved), _constants(bucket))) < 1e-9))
        bucket = solved
        if settled and turn >= mend_from:
            break
    return _finished(line, bucket)


def _finished(line: Timeline, bucket: BucketSettings) -> Fit:
    exact = _exact_mark(line.touches, bucket)
    if exact is not None:
        bucket = _with_exact_mark(line, bucket, exact)
    rows, _, swaps, residuals = _linearised(line, bucket)
    noise = _scale(residuals)
    origins = line.course(bucket).origins
    covariance = _covariance(rows, residuals, swaps, noise, origins, exact is not None, bucket.outflow_per_s)
    overlapping = int(np.sum(rows[:, 1] != 0.0))
    return Fit(bucket, covariance, residuals, swaps, noise, len(residuals), exact is not None, overlapping)


def _linearised(line: Timeline, bucket: BucketSettings, mend: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(rows of d header / d (mark, reservation, outflow), header + constant, reservations taken out, residuals)."""
    course = line.course(bucket)
    rows = np.column_stack([np.ones(len(line.headers)), -course.reservations, course.seconds])
    target = line.headers + course.constants
    raw = target - rows @ np.array(_constants(bucket))
    if not mend:
        return rows, target, np.zeros(len(raw)), raw
    swaps = np.where(np.abs(raw) > 0.4 * bucket.up_front_cost, np.round(raw / bucket.up_front_cost), 0.0)
    swaps = np.clip(swaps, -line.neighbours, line.neighbours)
    rows[:, 1] += swaps
    return rows, target, swaps, raw - swaps * bucket.up_front_cost


def _solved(rows: np.ndarray, target: np.ndarray, weights: np.ndarray, bucket: BucketSettings) -> BucketSettings:
    """Weighted least squares, held near `bucket` where the data say nothing."""
    prior = np.array(_constants(bucket))
    ridge = np.diag([1e-9, 1e-9, 1e-7])
    normal = rows.T @ (rows * weights[:, None]) + ridge
    step = np.linalg.solve(normal, rows.T @ (weights * (target - rows @ prior)))
    mark, reservation, outflow = prior + np.clip(step, -0.5 * prior, 0.5 * prior + 1.0)
    return replace(
        bucket,
        high_water_mark=float(mark),
        maximum=float(mark) * 4 / 3,
        up_front_cost=float(max(reservation, 0.1)),
        outflow_per_s=float(max(outflow, 0.01)),
    )


def _exact_mark(touches: Sequence[Touch], bucket: BucketSettings) -> float | None:
    """The mark itself, where a header was read at the floor: the same greatest value at least twice, and near the fitted mark."""
    values = [t.remaining for t in touches if t.remaining is not None]
    top = max(values)
    repeated = sum(1 for value in values if abs(value - top) < 1e-6) >= 2
    near = abs(top - bucket.high_water_mark) < max(0.02 * bucket.high_water_mark, 2.0)
    return top if repeated and near else None


def _with_exact_mark(line: Timeline, bucket: BucketSettings, mark: float) -> BucketSettings:
    """The other two constants refitted with the mark held."""
    bucket = replace(bucket, high_water_mark=mark, maximum=mark * 4 / 3)
    for _ in range(8):
        rows, target, swaps, residuals = _linearised(line, bucket)
        weights = _weights(residuals, swaps, _scale(residuals))
        held = _solved(rows * np.array([0.0, 1.0, 1.0]), target - mark, weights, bucket)
        held = replace(held, high_water_mark=mark, maximum=mark * 4 / 3)
        done = abs(held.outflow_per_s - bucket.outflow_per_s) + abs(held.up_front_cost - bucket.up_front_cost) < 1e-9
        bucket = held
        if done:
            break
    return bucket


def _weights(residuals: np.ndarray, swaps: np.ndarray, noise: float) -> np.ndarray:
    """Tukey's biweight; a header whose reservations had to be mended counts less, since a cost may have swapped too."""
    scaled = np.clip(np.abs(residuals) / (6.0 * noise), 0.0, 1.0)
    weights = (1.0 - scaled**2) ** 2 * np.where(swaps == 0.0, 1.0, 0.3)
    return weights if float(np.sum(weights)) > 2.0 else np.ones_like(weights)


def _scale(residuals: np.ndarray) -> float:
    """Robust standard deviation of those residuals that are not exactly at the floor, units."""
    moving = residuals[np.abs(residuals) > 1e-9]
    return max(USUAL_NOISE, 1.4826 * float(np.median(np.abs(moving)))) if len(moving) >= 3 else USUAL_NOISE * 5


def _covariance(
    rows: np.ndarray, residuals: np.ndarray, swaps: np.ndarray, noise: float, origins: np.ndarray, exact: bool, outflow: float
) -> np.ndarray:
    """Sandwich over groups that share a touch of the floor, as their times share its error; inf where the data say nothing."""
    used = rows * np.array([0.0 if exact else 1.0, 1.0, 1.0])
    weights = _weights(residuals, swaps, noise)
    informed = np.sum(np.abs(used), axis=0) > 1e-6
    normal = used.T @ (used * weights[:, None])
    bread = np.linalg.pinv(normal, rcond=1e-10)
    scores = used * (weights * residuals)[:, None]
    grouped = np.array([scores[origins == origin].sum(axis=0) for origin in np.unique(origins)])
    meat = grouped.T @ grouped + normal * noise**2 * 0.25
    shift = bread @ (used.T @ (weights * outflow * CLOCK_BIAS_S))
    covariance = bread @ meat @ bread + np.outer(shift, shift)
    for column in range(3):
        if not informed[column] and not (exact and column == 0):
            covariance[column, column] = np.inf
    return np.asarray(covariance)


def _constants(bucket: BucketSettings) -> tuple[float, float, float]:
    return bucket.high_water_mark, bucket.up_front_cost, bucket.outflow_per_s


__all__ = ["Fit", "fit"]
