"""What changed at the server while it was asked: its limit, what calls cost, or the time they take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from probes.fit.identify import FIRST_CALLS, Fit, fit
from probes.fit.touches import Touch, usable_cost
from probes.observation import Observation, Outcome
from probes.prices import Prices
from probes.signatures import Sign, Signs
from probes.stats import normal_scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from probes.prices import Floats

FAR, FAR_SHARE, FEWEST_FAR, ONE_WAY = 2.0, 0.05, 4, 0.8
"""Reservations off; which share of the headers must be, and how many at least; how much more of them one way than the other."""
CLEAR_NOISE, CLEAR_OUTLIERS, ANOTHER = 0.3, 0.08, 0.05
"""A scatter (units) and a share of outliers above which the first calls are looked at by themselves; by which share they must differ."""
CONSTANTS = ("high_water_mark", "up_front_cost", "outflow_per_s")
OWN_OUTLIERS, OWN_NOISE, OWN_COST, CLEARLY = 0.15, 1.5, 2.0, 4.0
"""Share of outliers, scatter (units) and cost of the fit that the first or the last calls leave at most, as the last begin at a level that
is not known; by how many standard errors they differ."""
AS_GOOD, NEARLY = 1.3, 0.1
"""A fit whose cost is no more than this times the least, and this more, explains as much."""
LATE, MOST_OF = 40, 0.8
"""Of so many headers at the end so large a share is off where constants changed; behind a lock it is part of them."""
LEAST_DRIFTED, DRIFTED, SURELY = 8, 1.5, 5.0
"""Fewest calls of a part; by which factor its server time differs, and by how many standard errors."""
FEWEST_SINCE, RISEN, RISEN_SURELY = 20, 1.05, 4.0
"""Fewest calls before and after a rise; by which factor the means differ, and by how many standard errors of the scores of all ranks: of
a thousand series that do not change three seem to."""
FEWEST_RISING, GOES_ON = 40, 1.0
"""Fewest values, and standard errors of their trend, from which what surely rose is taken to go on rising: an even chance that it does is
enough, as going over costs a refused job."""
RISING = "only the later calls count."


def moved(fitted: Fit, touches: Sequence[Touch]) -> str | None:
    """Why a fit is not believed: headers off by whole reservations, all one way, that no order of calls explains; or other first calls.

    A limit that is changed by whole reservations, or another job's calls that last, look so.
    """
    if (parts := changed(fitted, touches)) is not None:
        return parts
    far = fitted.solution.swaps[np.abs(fitted.solution.swaps) >= FAR]
    if len(far) >= max(FEWEST_FAR, FAR_SHARE * fitted.n) and abs(float(np.mean(np.sign(far)))) > ONE_WAY:
        return f"{len(far)} of {fitted.n} headers are off by whole reservations: the limit was changed, or another job holds calls."
    return None


def changed(fitted: Fit, touches: Sequence[Touch]) -> str | None:
    """Why a fit to all is not believed: first and last calls show a bucket each, the last fit none, or the first another."""
    if len(touches) <= FIRST_CALLS or (fitted.noise <= CLEAR_NOISE and fitted.outliers <= CLEAR_OUTLIERS):
        return None
    part = min(FIRST_CALLS, len(touches) // 3)
    if _explained(fitted, part):
        return None
    then = fit(touches[:part])
    for last in sorted({part, min(part, LATE - LATE // 4)}, reverse=True):
        if then is not None and (now := _since(then, touches[-last:])) is not None and _another(then, now):
            said = f"the first calls show {_told(then)}, the last {_told(now)}. No rate is told of a mixture."
            return f"The limit was changed, or another job began to use this token: {said}"
    late = fitted.solution.unexplained[-LATE:]
    if len(late) == LATE and float(np.mean(late)) >= MOST_OF:
        return f"{int(np.sum(late))} of the last {LATE} headers fit no more what others show: the limit was changed, or another job began."
    first = fit(touches[:FIRST_CALLS])
    if first is None or first.outliers > CLEAR_OUTLIERS or abs(first.bucket.up_front_cost / fitted.bucket.up_front_cost - 1.0) < ANOTHER:
        return None
    return "The first calls show another bucket than all of them: it was changed meanwhile, or another job uses this token."


def _explained(fitted: Fit, part: int) -> bool:
    """Whether the fit to all explains so many last calls as they are: then they scatter, as whole numbers do and clocks that are apart."""
    off = fitted.solution.missed | (fitted.solution.swaps != 0.0)
    return fitted.noise <= OWN_NOISE and float(np.mean(off[-part:])) <= CLEAR_OUTLIERS


def _since(then: Fit, last: Sequence[Touch]) -> Fit | None:
    """The fit to the `last` touches: one near `then` where that explains them about as well as any, as a part of a reservation may too."""
    free, near = fit(last), fit(last, then.bucket)
    return near if free is not None and near is not None and near.solution.cost <= AS_GOOD * free.solution.cost + NEARLY else free


def _another(then: Fit, now: Fit) -> bool:
    """Whether both fits explain their calls and differ in a constant by more than their errors.

    In the mark where both read it at the floor: else a reservation more at the beginning and a mark as much higher show the same.
    """
    if any(one.solution.outliers > OWN_OUTLIERS or one.noise > OWN_NOISE or not one.checked for one in (then, now)):
        return False
    if max(then.solution.cost, now.solution.cost) > OWN_COST:
        return False
    pairs = [[getattr(one.bucket, name) for one in (then, now)] for name in CONSTANTS]
    errors = [math.hypot(*each) for each in zip(then.errors, now.errors, strict=True)]
    errors[0] = errors[0] if then.exact_mark and now.exact_mark else math.inf
    return any(abs(a - b) > max(ANOTHER * a, CLEARLY * error) for (a, b), error in zip(pairs, errors, strict=True))


def _told(one: Fit) -> str:
    """The constants that it knows well."""
    pairs = [(word, getattr(one.bucket, name)) for word, name in zip(("mark", "reservation", "outflow/s"), CONSTANTS, strict=True)]
    return ", ".join(f"{word} {value:.4g}" for (word, value), error in zip(pairs, one.errors, strict=True) if error < ANOTHER * value)


def drifting(seen: Sequence[Observation]) -> str | None:
    """Whether the server's own time changed for good while it was asked: the first or the last calls of each kind against the others."""
    for mine in _by_call(seen).values():
        told = np.array([o.server_time_s for o in mine if o.server_time_s])
        if at := _last_rise(told):
            return f"The server took {_mean(told[:at])} s a call at first and {_mean(told[at:])} s later: {RISING}"
        times = np.log(told)
        part = len(times) // 6
        for early, late in ((times[:part], times[part:]), (times[: len(times) - part], times[len(times) - part :])):
            if _differ(early, late):
                before, after = (math.exp(float(np.median(each))) for each in (early, late))
                return f"The server took {before:.2g} s a call at one time and {after:.2g} s at another: the rate is that of the mixture."
    return None


def dearer(seen: Sequence[Observation]) -> str | None:
    """Whether calls of one kind began to cost more while they were asked."""
    for mine in _by_call(seen).values():
        costs = np.array([cost for o in mine if (cost := usable_cost(o)) is not None])
        if at := _last_rise(costs):
            return f"Calls cost {_mean(costs[:at])} units at first and {_mean(costs[at:])} later: {RISING}"
    return None


def _mean(values: Floats) -> str:
    return f"{float(np.mean(values)):.2g}"


def lasting(prices: Prices) -> Prices:
    """`prices`, in order of time, without what was before calls began to cost or to take surely more: a job to come pays what is now."""
    rises = [_last_rise(values) for values in (prices.costs, prices.times_s)]
    at = max(rises)
    if not at:
        return prices
    seen = Prices(prices.costs[at:], prices.times_s[at:])
    costs, times = (_as_now(values) if rise else values for values, rise in zip((seen.costs, seen.times_s), rises, strict=True))
    return Prices(costs, times, earlier=Prices(prices.costs[:at], prices.times_s[:at]), seen=seen)


def _as_now(values: Floats) -> Floats:
    """`values`, which surely rose before the first of them, by as much greater as they go on rising until the last; else as they are."""
    if len(values) < FEWEST_RISING or float(np.min(values)) <= 0.0 or not _in_turn(np.log(values)):
        return values
    logs, places = np.log(values), np.arange(len(values)) - (len(values) - 1.0)
    slope, level = np.polyfit(places, logs, 1)
    spread = float(np.std(logs - slope * places - level))
    error = spread / max(float(np.std(places)) * math.sqrt(len(values)), 1e-9)
    return np.asarray(values * np.exp(-slope * places)) if slope > GOES_ON * error else values


def _in_turn(logs: Floats) -> bool:
    """Whether each third of the values is greater than the one before: those behind a lock come to be long at once, then ever less so."""
    first, second, last = (float(np.mean(part)) for part in np.array_split(logs, 3))
    return first < second < last


def first_ones(paths: Sequence[str], prices: Prices) -> Prices:
    """`prices` of the calls whose path was asked for the first time, where they surely cost or take more than those asked again.

    A cache answers these, and a job over many things asks for each of them once.
    """
    first = _first(paths)
    if not any(_surely_more(values, first) for values in (prices.costs, prices.times_s)):
        return prices
    return Prices(prices.costs[first], prices.times_s[first])


def again(seen: Sequence[Observation]) -> str | None:
    """Whether calls of one kind whose path had been asked for before cost or take less."""
    for mine in _by_call(seen).values():
        priced = [o for o in mine if usable_cost(o) is not None and o.server_time_s is not None]
        first = _first([o.path for o in priced])
        for name, unit in (("cost", "units"), ("server_time_s", "s")):
            values = np.array([getattr(o, name) for o in priced])
            if _surely_more(values, first):
                less, more = _mean(values[~first]), _mean(values[first])
                return (
                    f"What is asked for again takes {less} {unit} where it took {more} at first: a cache answers, or the server warmed up. "
                    "Only first calls count."
                )
    return None


def _first(paths: Sequence[str]) -> NDArray[np.bool_]:
    """Which of `paths` were not among those before."""
    told = {path: n for n, path in reversed(list(enumerate(paths)))}
    return np.array([told[path] == n for n, path in enumerate(paths)], dtype=bool)


def _surely_more(values: Floats, which: NDArray[np.bool_]) -> bool:
    """Whether `which` of the values are greater than the others, both of which are not few."""
    counts = int(which.sum()), int((~which).sum())
    if min(counts) < FEWEST_SINCE:
        return False
    scores = normal_scores(values)
    gap = float(np.mean(scores[which]) - np.mean(scores[~which])) / max(float(np.std(scores)), 1e-9)
    surely = gap > RISEN_SURELY * math.sqrt(1.0 / counts[0] + 1.0 / counts[1])
    return surely and float(np.mean(values[which])) > RISEN * float(np.mean(values[~which]))


def _last_rise(values: Floats) -> int:
    """From which value on they are greater and rise no more, 0 for never: what grows bit by bit is not done after its first rise."""
    last = _risen_at(values)
    while at := _risen_at(values[last:]) if last else 0:
        last += at
    return last


def _risen_at(values: Floats) -> int:
    """From which value on they are greater than before and stay so, by the scores of their ranks, which no single one sways; 0 for never.

    A row of great values that ends, as behind a lock, is none.
    """
    n = len(values)
    if n < 2 * FEWEST_SINCE:
        return 0
    scores = normal_scores(values)
    before = np.arange(1, n)
    gaps = -np.cumsum(scores)[:-1] / (max(float(np.std(scores)), 1e-9) * np.sqrt(before * (n - before) / n))
    at = FEWEST_SINCE + int(np.argmax(gaps[FEWEST_SINCE - 1 : n - FEWEST_SINCE]))
    surely = gaps[at - 1] > RISEN_SURELY and float(np.mean(values[at:])) > RISEN * float(np.mean(values[:at]))
    stays = float(np.mean(scores[-((n - at) // 3) :])) > float(np.mean(scores[at:])) / 2.0
    return at if surely and stays else 0


def signs_of_calls(seen: Sequence[Observation]) -> Signs:
    """What is to be said of the calls themselves, whatever limits them."""
    lost = sum(o.outcome is Outcome.READ_TIMEOUT for o in seen)
    said = f"{lost} of {len(seen)} calls brought no answer in time, and may fill the bucket unseen."
    repeats = again(seen)
    drifts = [("asked_again", repeats)] if repeats else [("server_time_drifts", drifting(seen)), ("cost_drifts", dearer(seen))]
    told = [("timeouts", said if lost else None), *drifts]
    return tuple(Sign(kind, says) for kind, says in told if says is not None)


def _differ(early: np.ndarray, late: np.ndarray) -> bool:
    """Whether two samples of logarithms differ by more than `DRIFTED`, surely."""
    if min(len(early), len(late)) < LEAST_DRIFTED:
        return False
    error = 1.25 * math.sqrt(float(np.var(early)) / len(early) + float(np.var(late)) / len(late))
    return abs(float(np.median(late) - np.median(early))) > max(math.log(DRIFTED), SURELY * error)


def _by_call(seen: Sequence[Observation]) -> dict[str, list[Observation]]:
    found: dict[str, list[Observation]] = {}
    for o in seen:
        if o.ok:
            found.setdefault(o.call, []).append(o)
    return found
