"""Whether the server itself slows down at a higher rate: the second bound of a safe rate, before the bucket fills."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence

import numpy as np

from probes.observation import Observation
from probes.stats import normal_scores

LEAST_ALONE, LEAST_LATE = 6, 8
"""Calls on either side, from which medians are compared."""
SLOWER = 1.5
"""The server has slowed down when the median latency of a step exceeds that of the calls made alone by this factor ..."""
SLOWER_S = 0.03
"""... and by this many seconds."""
SURE, SURE_AT_ONCE = 2.6, 4.2
"""... and beyond chance by so many standard errors, where the sign is looked at a second time, and where it cannot be."""
CLIMBS_AT_ONCE, FEWEST_CLIMBING = 3.3, 24
"""Standard errors from which the calls of one step surely take ever longer where that is looked at once, and how many calls it takes."""
DELAYED_S, DELAYED, FEWEST_DELAYED = 0.1, 0.03, 4
"""An answer is late by more than so many seconds; many are at least this share, and so many."""


def slowed(alone: Sequence[Observation], late: Sequence[Observation], sure: float = SURE, again: Sequence[Observation] = ()) -> bool:
    """Whether `late` calls fly clearly longer than those made `alone`: by `SLOWER`, `SLOWER_S` and `sure` standard errors.

    Where those made alone `again` fly nearer to the late ones than to the first, the server is slower for all, and they are the measure.
    """
    base, now, then = (_flights(part, alone) for part in (alone, late, again))
    if min(len(base), len(now), len(then)) >= LEAST_ALONE and np.median(then) ** 2 > np.median(base) * np.median(now):
        base = then
    return len(base) >= LEAST_ALONE and len(now) >= LEAST_LATE and _clearly_slower(base, now, sure)


def climbing(steps: Sequence[Sequence[Observation]], sure: float, again: Sequence[Observation] = ()) -> bool:
    """Whether calls take ever longer within `steps` at one rate, as a queue grows where more come than are served.

    Beyond `sure` standard errors, of all steps together. A step at a rate that the server cannot keep is mostly too short for calls to take
    half as long again. Where calls made alone `again` take about as long as its last ones, it is the server that grows slower, whatever it
    is asked.
    """
    flights = [part for part in (_flights(sorted(step, key=_sending), step) for step in steps) if len(part) >= LEAST_LATE]
    if sum(map(len, flights)) < FEWEST_CLIMBING:
        return False
    first, last = _thirds(flights)
    then = _flights(again, [o for step in steps for o in step])
    if last - first < SLOWER_S or (len(then) >= LEAST_ALONE and float(np.median(then)) ** 2 > first * last):
        return False
    return sum(_climbs(part) for part in flights) / math.sqrt(len(flights)) > min(sure, CLIMBS_AT_ONCE)


def lining_up(step: Sequence[Observation]) -> bool:
    """Whether the calls of one step wait ever longer in front of the server, by their flights less its own times, which spread little."""
    made = sorted(step, key=_sending)
    waits = np.array([o.flight_s - o.server_time_s for o in made if o.ok and o.flight_s is not None and o.server_time_s is not None])
    if len(waits) < FEWEST_CLIMBING:
        return False
    first, last = _thirds([waits])
    chance = SURE * float(np.std(waits[: len(waits) // 3])) * math.sqrt(6.0 / len(waits))  # of two thirds, before there was a queue
    return last - first > SLOWER_S + chance and _climbs(waits) > CLIMBS_AT_ONCE


def _sending(o: Observation) -> float:
    return o.sent_s or 0.0


def _thirds(parts: Sequence[np.ndarray]) -> tuple[float, float]:
    """(median of the first third, of the last), in the mean over the parts by their calls."""
    medians = [(np.median(part[: len(part) // 3]), np.median(part[-(len(part) // 3) :])) for part in parts]
    first, last = np.average(medians, axis=0, weights=[len(part) for part in parts])
    return float(first), float(last)


def _climbs(values: np.ndarray) -> float:
    """By how many standard errors values rise in turn, by their ranks."""
    n = len(values)
    if float(np.ptp(values)) == 0.0:
        return 0.0
    together = float(np.corrcoef(np.arange(n), normal_scores(values))[0, 1])
    return together * math.sqrt((n - 2) / max(1.0 - together**2, 1e-9))


def least_overlapped(seen: Sequence[Observation]) -> list[Observation]:
    """The calls that were made alone, or `LEAST_ALONE` with the fewest others beside: where threads are few, those beside wait.

    Beside a call are those on their way when it is sent, and those sent within the time that such calls usually take. Not within its own
    time: quick calls would be alone more often than others, and all later ones look slow beside them.
    """
    made = [o for o in seen if o.flight_s is not None]
    starts, ends = np.array([o.sent_s for o in made]), np.array([o.received_s for o in made])
    usual = _usual_s(made)
    beside = [int(np.sum((starts < start + usual[o.call]) & (ends > start))) - 1 for o, start in zip(made, starts, strict=True)]
    order = sorted(range(len(made)), key=beside.__getitem__)
    return [made[n] for n in order[: max(LEAST_ALONE, beside.count(0))]]


def _usual_s(made: Sequence[Observation]) -> dict[str, float]:
    """The median flight of each kind of call, seconds."""
    flights: dict[str, list[float]] = {}
    for o in made:
        flights.setdefault(o.call, []).append(o.flight_s or 0.0)
    return {call: float(np.median(times)) for call, times in flights.items()}


def _flights(observations: Sequence[Observation], alone: Sequence[Observation]) -> np.ndarray:
    """Flights, seconds, of the calls that were also made `alone`; of several kinds each as if it usually took as long as all do."""
    usual: dict[str, list[float]] = {}
    for o in alone:
        if o.ok and o.flight_s:
            usual.setdefault(o.call, []).append(o.flight_s)
    typical = {call: float(np.median(flights)) for call, flights in usual.items()}
    middle = float(np.median([flight for flights in usual.values() for flight in flights] or [1.0]))
    return np.array([o.flight_s / typical[o.call] * middle for o in observations if o.ok and o.flight_s is not None and o.call in typical])


def queueing(before: Sequence[Observation], late: Sequence[Observation]) -> bool:
    """Whether calls wait in front of the server: flight less the server's own time has grown by a fifth of that time, and by `SLOWER_S`.

    That difference has next to no spread of its own, so that few calls show it.
    """
    times = [o.server_time_s for o in late if o.server_time_s is not None]
    waited = _waited_s(before, late)
    return waited is not None and waited > max(SLOWER_S, 0.2 * float(np.median(times)))


def queued_s(seen: Sequence[Observation]) -> float | None:
    """How much longer calls usually wait in front of the server when others are beside them, seconds; None where they do not."""
    alone = least_overlapped(seen)
    names = {id(o) for o in alone}
    beside = [o for o in seen if id(o) not in names]
    return _waited_s(alone, beside) if queueing(alone, beside) else None


def delayed(seen: Sequence[Observation]) -> str | None:
    """Whether many answers took far longer than the server's own time and the usual way: in which order the bucket saw calls is lost."""
    waits = np.array([o.flight_s - o.server_time_s for o in seen if o.ok and o.flight_s is not None and o.server_time_s is not None])
    late = waits[waits > np.median(waits) + DELAYED_S] if len(waits) else waits
    if len(late) < max(FEWEST_DELAYED, DELAYED * len(waits)):
        return None
    return (
        f"{len(late)} of {len(waits)} answers came up to {late.max() - np.median(waits):.2g} s later than the server's own time explains, "
        "held up on their way or on this side: in which order the bucket saw the calls is not known."
    )


def _waited_s(before: Sequence[Observation], late: Sequence[Observation]) -> float | None:
    waits = [
        np.array([o.flight_s - o.server_time_s for o in part if o.flight_s is not None and o.server_time_s is not None])
        for part in (before, late)
    ]
    if len(waits[0]) < 4 or len(waits[1]) < 6:
        return None
    return float(np.median(waits[1]) - np.median(waits[0]))


def _clearly_slower(base: np.ndarray, now: np.ndarray, sure: float) -> bool:
    """By the medians, and beyond what the spread of both could make of so few calls.

    A median scatters a quarter more than a mean; a shift widens the spread of both together by about as much.
    """
    ratio = float(np.median(now)) / max(float(np.median(base)), 1e-6)
    if ratio < SLOWER or float(np.median(now) - np.median(base)) < SLOWER_S:
        return False
    spread = float(np.std(np.log(np.maximum(np.concatenate([base, now]), 1e-6))))
    return math.log(ratio) > sure * spread * math.sqrt(1 / len(base) + 1 / len(now))


def answered_per_s(observations: Iterable[Observation]) -> float | None:
    """The most answers that came within any second: no greater rate was seen to be kept. None without an answer."""
    times = sorted(o.received_s for o in observations if o.ok and o.received_s is not None)
    return max((float(bisect_left(times, time + 1.0) - at) for at, time in enumerate(times)), default=None)


def served_per_s(late: Sequence[Observation]) -> float | None:
    """Answers/s of calls that pile up in front of a server, without the first third of them; None for too few to tell."""
    times = sorted(o.received_s for o in late if o.ok and o.received_s is not None)
    times = times[len(times) // 3 :]
    return (len(times) - 1) / (times[-1] - times[0]) if len(times) >= LEAST_LATE and times[-1] > times[0] else None
