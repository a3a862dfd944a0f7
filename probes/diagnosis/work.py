"""Causes that lie in how long the instance takes: its queue, its work, and whether we wait long enough for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from probes.diagnosis.base import Cause, argued, surer
from probes.diagnosis.signs import by_crowd, only_together, share
from probes.diagnosis.symptoms import Symptoms, unexplained_s
from probes.observation import Observation, Outcome
from probes.stats import median, point, rank_slope
from probes.wording import percent, plural, quoted, seconds

QUEUE_S, QUEUE_SHARE = 0.1, 0.25
"""Wait of one call alone in the server's queue, seconds and share of the call, from which capacity is short at once."""
GROWTH, GROWTH_S, GROWTH_P = 1.6, 0.15, 0.01
"""How many times and seconds longer calls take beside others than alone, and how seldom chance orders them so, before it is short then."""
LEAST_WAITS, LEAST_ALONE, LEAST_CROWD = 6, 4, 4
"""Fewer waits in all, of calls alone, of the most at once, show nothing."""
FIRST_SHARE = 0.5
"""Of those that a proxy queues the first stands less than such a share of what one in four stands; a way that stands holds all."""
BLUR_S = 0.01
"""Waits that differ by less rank alike."""
SLOW_S = 1.0
"""Work of the server on one call from which the call itself is slow."""
AT_TIMES, AT_TIMES_N, AT_TIMES_SHARE = 5.0, 3, 0.04
"""So many times the median, so often, and on such a share of the calls: a cause that comes and goes."""


@dataclass(frozen=True)
class _Waits:
    """How long calls stood, seconds, by how many were made at once: in the queue that the instance tells, or beyond their usual time.

    `waits` stand in the order of asking.
    """

    waits: Sequence[tuple[int, float]]
    told: bool
    before: bool = False

    @cached_property
    def alone(self) -> list[float]:
        return [wait for k, wait in self.waits if k == 1]

    @cached_property
    def most(self) -> int:
        return max(k for k, _ in self.waits)

    @cached_property
    def crowd(self) -> list[float]:
        """Those of the calls of which the most were made at once."""
        return [wait for k, wait in self.waits if k == self.most and k > 1]

    @cached_property
    def usual_s(self) -> float:
        return median(self.alone) if self.alone else 0.0

    @cached_property
    def crowded_s(self) -> float:
        """One in four of the crowd stands so long, or longer."""
        return point(self.crowd, 0.75) if self.crowd else 0.0

    @cached_property
    def p(self) -> float:
        """The odds that they rise so by chance."""
        return rank_slope([float(k) for k, _ in self.waits], [round(wait / BLUR_S) * BLUR_S for _, wait in self.waits])[1]

    def at_once(self, flight_s: float) -> bool:
        """Whether a call stands even alone, of which one takes `flight_s`."""
        return self.told and len(self.alone) >= LEAST_ALONE and self.usual_s > max(QUEUE_S, QUEUE_SHARE * flight_s)

    def grow(self, work_s: float) -> bool:
        """Whether calls stand the longer the more there are, by more than a part of `work_s`, the work for one; each time anew."""
        more_s = max(GROWTH_S, (GROWTH - 1.0) * work_s)
        if len(self.crowd) < LEAST_CROWD or self.p >= GROWTH_P or self.crowded_s - self.usual_s <= more_s:
            return False
        late = [self._queued(rank, more_s) for rank in self.crowds]
        return self.told or sum(late) > len(late) / 2

    def _queued(self, rank: Sequence[float], more_s: float) -> bool:
        """Whether those made at once stood so long; `before` the queue that is told only where the first of them did not."""
        late_s = point(rank, 0.75) - self.usual_s
        return late_s > more_s and (not self.before or min(rank) - self.usual_s < FIRST_SHARE * late_s)

    @property
    def crowds(self) -> list[list[float]]:
        """The crowd, one list for each time that so many were made at once."""
        return [self.crowd[start : start + self.most] for start in range(0, len(self.crowd), self.most)]

    @property
    def sign_of_alone(self) -> str:
        where = "in its queue" if self.told else "beyond its usual time"
        return f"alone a call stands {seconds(self.usual_s)} {where}, n = {len(self.alone)}"

    @property
    def sign_of_crowd(self) -> str:
        longer = f"with {self.most} at once one in four stands {seconds(self.crowded_s)} or longer"
        return f"{longer}, n = {len(self.crowd)} (p = {self.p:.1g} that it does not rise)"


def capacity(symptoms: Symptoms) -> Iterator[Cause]:
    """Requests queue at the instance: at once, or the more the more of ours are in flight, while its work for each stays the same.

    Where the queue that it tells does not grow, time inside the application may: threads and locks are no queue that it knows.
    """
    told = [(k, o.queue_s) for k, o in symptoms.overlapped if o.queue_s is not None]
    inside = _hidden_waits(symptoms, _worked_s if told else _flown_s)
    before = _hidden_waits(symptoms, unexplained_s) if told else []
    found = _short_of_slots(symptoms, _Waits(told, told=True)) or _short_of_slots(symptoms, _Waits(inside, told=False))
    found = found or _short_of_slots(symptoms, _Waits(before, told=False, before=True)) or _turned_away(symptoms)
    if found:
        yield found


def _worked_s(o: Observation) -> float | None:
    return o.server_time_s


def _flown_s(o: Observation) -> float | None:
    return o.flight_s


def _turned_away(symptoms: Symptoms) -> Cause | None:
    """Calls that were answered by 503 where several were made at once, and never alone: no maintenance does that."""
    bad = symptoms.having(Outcome.MAINTENANCE)
    if not only_together(symptoms, bad):
        return None
    says = f"{symptoms.instance} turns calls away when several come at once: it answered 503 to {share(bad, symptoms)}."
    waits = [o.retry_after_s for o in bad if o.retry_after_s is not None]
    signs = [by_crowd(symptoms, bad), *([f"it asks for {seconds(max(waits))} of patience (Retry-After)"] if waits else [])]
    advice = "Fewer calls at once: alone none was turned away. Ask whoever runs it, or the proxy before it, how many at once it serves."
    return Cause("capacity", surer(float(len(bad)), 1.0, len(bad), 0.95), says, argued(signs), advice)


def _short_of_slots(symptoms: Symptoms, waits: _Waits) -> Cause | None:
    if len(waits.waits) < LEAST_WAITS:
        return None
    flight_s = median([o.flight_s or 0.0 for k, o in symptoms.overlapped if k == 1] or [0.0])
    at_once, grows = waits.at_once(flight_s), waits.grow(_own_work(symptoms))
    if not at_once and not grows:
        return None
    signs, against = _for_and_against(symptoms, waits)
    effect = max(waits.usual_s / QUEUE_S if at_once else 0.0, (waits.crowded_s - waits.usual_s) / GROWTH_S if grows else 0.0)
    says = f"{symptoms.instance} is short of backend slots: {waits.sign_of_crowd if grows else waits.sign_of_alone}."
    elsewhere = f"Compare with another instance: probes compare -i {quoted(symptoms.instance)} -i OTHER"
    advice = f"Fewer calls at once; more of them only wait longer. {elsewhere}"
    sure = surer(effect, 1.0, len(waits.waits), 0.98 if waits.told else 0.85)
    return Cause("capacity", sure, says, argued(signs, against), advice)


def _for_and_against(symptoms: Symptoms, waits: _Waits) -> tuple[list[str], list[str]]:
    """(for, against): work that stays the same speaks for a queue, work that grows as well against it."""
    steady, growth = _work_steady(symptoms, waits.most)
    signs = [waits.sign_of_alone, *([waits.sign_of_crowd] if waits.crowd else [])]
    against = [] if waits.told else [_untold(symptoms, before=waits.before)]
    if growth:
        (signs if steady else against).append(growth)
    return signs, against


def _untold(symptoms: Symptoms, *, before: bool) -> str:
    if before:
        return "neither its work nor the queue that it tells grows: they wait before it, at a load balancer or a proxy"
    queues = [o.queue_s for _, o in symptoms.overlapped if o.queue_s is not None]
    if queues:
        return f"the queue that it tells holds calls for {seconds(median(queues))} alone: they wait inside the application"
    return "it does not tell its queue time: this is read from the times alone"


def _own_work(symptoms: Symptoms) -> float:
    works = [o.server_time_s for k, o in symptoms.overlapped if k == 1 and o.server_time_s is not None]
    flights = [o.flight_s or 0.0 for k, o in symptoms.overlapped if k == 1]
    return min(median(works) if works else median(flights) if flights else 0.0, 0.5)


def _hidden_waits(symptoms: Symptoms, taken_s: Callable[[Observation], float | None]) -> list[tuple[int, float]]:
    """(calls at once, seconds beyond the usual) of one call, by the time `taken_s` of it."""
    timed = [(k, o, taken_s(o)) for k, o in symptoms.overlapped]
    calls = Counter(o.call for k, o, _ in timed if k > 1)
    if not calls:
        return []
    call = calls.most_common(1)[0][0]
    mine = [(k, taken) for k, o, taken in timed if o.call == call and taken is not None]
    alone = [taken for k, taken in mine if k == 1]
    usual = median(alone) if alone else 0.0
    return [(k, max(0.0, taken - usual)) for k, taken in mine]


def _work_steady(symptoms: Symptoms, most: int) -> tuple[bool, str]:
    """Whether CPU and database time stay the same while more are in flight, and the sentence that says so."""

    def work(o: Observation) -> float | None:
        return None if o.cpu_s is None and o.db_s is None else (o.cpu_s or 0.0) + (o.db_s or 0.0)

    calls = {o.call for k, o in symptoms.overlapped if k == most}
    alone = [w for k, o in symptoms.overlapped if k == 1 and o.call in calls and (w := work(o)) is not None]
    crowd = [w for k, o in symptoms.overlapped if k == most and (w := work(o)) is not None]
    if len(alone) < 3 or len(crowd) < 3:
        return True, ""
    steady = median(crowd) < 1.5 * median(alone) + 0.02
    verb = "stay the same" if steady else "rise as well"
    return steady, f"CPU and database time {verb}: {seconds(median(alone))} alone, {seconds(median(crowd))} with {most} at once"


def slow_call(symptoms: Symptoms) -> Iterator[Cause]:
    """A call that works long by itself, one at a time: always, or at times."""
    for call in dict.fromkeys(symptoms.job.calls):
        mine = [o for o in symptoms.answered if o.call == call and o.facts.get("phase") in ("self", "alone", "patient") and o.ok]
        times = [symptoms.work_s(o) for o in mine]
        if len(times) >= 2 and median(times) > SLOW_S:
            yield _slow(symptoms, call, mine, times)
            return
    for call in dict.fromkeys(symptoms.job.calls):
        found = _slow_at_times(symptoms, call)
        if found:
            yield found
            return
    yield from _never(symptoms)


def _slow_at_times(symptoms: Symptoms, call: str) -> Cause | None:
    """A call some of whose answers take many times the median; some of those must have been alone, or it is the crowd that slows them."""
    worked = [(k, symptoms.work_s(o)) for k, o in symptoms.overlapped if o.call == call and o.ok]
    least = max(SLOW_S, AT_TIMES * median([taken for _, taken in worked])) if worked else 0.0
    late = [(k, taken) for k, taken in worked if taken > least]
    alone = sum(k == 1 for k, _ in late)
    if not alone or len(late) < max(AT_TIMES_N, AT_TIMES_SHARE * len(worked)):
        return None
    usual, slow = median([taken for _, taken in worked if taken <= least]), median([taken for _, taken in late])
    says = (
        f"'{call}' works {seconds(slow)} at {symptoms.instance} on {len(late)} of {len(worked)} calls and {seconds(usual)} on the others: "
        "it comes and goes."
    )
    signs = [f"{alone} of the {len(late)} slow ones were made one at a time"]
    longest = max(taken for _, taken in late)
    advice = (
        f"Set the timeout to {seconds(max(10.0, 3.0 * longest))}: three times the slowest seen, and 10 s at least. Tell the vendor the "
        "request ids of the slow ones (observations.jsonl)."
    )
    return Cause("slow_call", surer(slow, SLOW_S, len(late), 0.9), says, argued(signs), advice)


def _never(symptoms: Symptoms) -> Iterator[Cause]:
    """A call that was never answered, however patient we were, though the instance answers something else."""
    late = [o for o in symptoms.having(Outcome.READ_TIMEOUT) if o.call in symptoms.job.calls]
    came = {o.call for o in symptoms.answered}
    for call in dict.fromkeys(o.call for o in late if o.call not in came):
        if came:
            waited = max(float(o.facts.get("gave_up_after_s", symptoms.job.timeout_s)) for o in late if o.call == call)
            says = f"'{call}' brought no answer from {symptoms.instance} within {seconds(waited)}, n = {sum(o.call == call for o in late)}."
            signs = [f"other calls are answered at the same time: {', '.join(sorted(came)[:2])}"]
            advice = "Ask for less of it; if it never ends, tell the vendor with the time of the call."
            yield Cause("slow_call", 0.65, says, argued(signs, ["it may hang rather than work: no answer came to tell"]), advice)
            return


def _slow(symptoms: Symptoms, call: str, mine: Sequence[Observation], times: Sequence[float]) -> Cause:
    parts = [((o.cpu_s or 0.0) + (o.db_s or 0.0), o.db_s or 0.0) for o in mine if o.cpu_s is not None or o.db_s is not None]
    others = [symptoms.work_s(o) for o in symptoms.alone if o.call != call and o.ok]
    signs, against = [], []
    if parts:
        busy = sum(part for part, _ in parts) / max(sum(times), 1e-9)
        signs.append(
            f"CPU and database make {percent(min(busy, 1.0))} of it, the database "
            f"{percent(min(1.0, sum(db for _, db in parts) / max(sum(times), 1e-9)))}"
        )
        if busy < 0.3:
            against.append("little of it is CPU or database time: it waits for something else inside")
    else:
        against.append("the instance does not tell CPU and database time")
    if others:
        signs.append(f"other calls take {seconds(median(others))} at the same time, n = {len(others)}")
    says = f"'{call}' works {seconds(median(times))} at {symptoms.instance} by itself, one at a time, n = {len(times)}."
    advice = "Ask for less (fewer includes, smaller pages, a narrower range), keep what you got, and set the timeout well above it."
    return Cause("slow_call", surer(median(times), SLOW_S, len(times), 0.97), says, argued(signs, against), advice)


def timeout_too_short(symptoms: Symptoms) -> Iterator[Cause]:
    """Calls that ran into the timeout and were answered when we waited longer."""
    late = [o for o in symptoms.having(Outcome.READ_TIMEOUT) if o.call in symptoms.job.calls]
    names = {o.call for o in late}
    came = [o.flight_s or 0.0 for o in symptoms.answered if o.call in names and (o.flight_s or 0.0) > symptoms.job.timeout_s]
    if late and came:
        limit = symptoms.job.timeout_s
        says = (
            f"The timeout of {seconds(limit)} is too short for {symptoms.instance}: {plural(len(late), 'call')} "
            f"ran into it, and answers came after {seconds(median(came))}."
        )
        longer = plural(len(came), "answer took", "answers took")
        signs = [f"with more patience {longer} longer than that, the slowest {seconds(max(came))}"]
        signs += [by_crowd(symptoms, late)] if only_together(symptoms, late) else []
        advice = f"Set the timeout to {seconds(max(10.0, 3.0 * max(came)))}: three times the slowest seen, and 10 s at least."
        yield Cause("timeout_too_short", surer(max(came), limit, max(len(late), len(came))), says, argued(signs), advice)
