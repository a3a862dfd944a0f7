"""The experiment behind `probes diagnose`: calls one at a time, cold and warm, then a few together, and patience for late ones.

It is no scenario of `all`: it asks about a job, not about an instance.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from probes.book.retreat import BLIND_WAIT_S
from probes.bucket import CANVAS
from probes.calls import Call
from probes.observation import NETWORK_OUTCOMES, Observation, Outcome
from probes.scenarios.asking import complaint, get, page_title, scalar, unreadable

if TYPE_CHECKING:
    from probes.client import Answer, Client

SCENARIO = "diagnose"
ALONE = 10
SELF = 4
COLD_EVERY = 4
IN_VAIN = 2
"""Late or lost answers in a row after which a call is not asked again."""
GROUPS = (2, 2, 3, 3, 4, 4, 4, 8, 8, 8)
"""Calls together in each round, as far as the bucket and the ceilings carry them."""
HEADROOM = 0.15
"""Share of the mark that every forecast leaves free."""
LOST_S = 30.0
"""A call that was not answered in so long is not asked with more patience."""
PATIENT_S = 30.0
PATIENT = 3
"""Late calls that are asked again ..."""
ATTEMPTS = 2
"""... until one is answered ..."""
AGAIN = 6
"""... and so many times more when that brought an answer."""
HEALTH_TIMEOUT_S = 10.0
LONGEST_S = 150.0
LOOKS, LOOK_EVERY_S, WELL = 8, 1.0, 2
"""Calls alone, so many seconds apart, when what stood in the bucket must be gone; fewer where so many find it gone, or falling."""
FALLEN = 0.8
"""Share of what the pace foretells that must have come back for it to be falling as what was left does."""
NOTED = 0.01
"""Share of the mark from which a level is looked at again."""
STILL = 0.005
"""Share of the mark by which a level at rest differs from call to call."""
DRAINED, REST_LEAST_S = 1.5, 5.0
"""Wait for what stands in the bucket: so many times the seconds that it needs at the pace seen, and so many at least."""
REST_MOST_S = 15.0
FREE_AGAIN = 0.6
"""Share of the mark that is to be free before the next group of calls."""
REFUSALS_BORNE = 3


@dataclass(slots=True)
class Suspicion:
    """What was seen so far, and what the next step may do."""

    client: Client
    calls: Sequence[Call]
    timeout_s: float
    seen: list[Observation] = field(default_factory=list)
    in_vain: dict[str, int] = field(default_factory=dict)

    async def ask(self, call: Call, phase: str, *, together: int = 1, cold: bool = False, timeout_s: float | None = None) -> Observation:
        """Makes one call; its facts name the phase and how many were made at once."""

        def note(answer: Answer) -> dict[str, Any]:
            challenge = scalar(answer.headers.get("www-authenticate"))
            told = {
                "challenge": challenge,
                "said": complaint(answer),
                "title": page_title(answer),
                "barrier": answer.headers.get("cf-mitigated"),
            }
            if phase != "health":
                told["unreadable"] = unreadable(answer, promised=call.path == self.client.dialect.self_path)
            return {name: text for name, text in told.items() if text}

        wait_s = self.timeout_s if timeout_s is None else timeout_s
        answer = await self.client.ask(
            call,
            scenario=SCENARIO,
            cold=cold,
            timeout_s=wait_s,
            note=note,
            facts={"phase": phase, "together": together},
            authorized=phase != "health" or self.client.dialect.health_path is None,
        )
        observation = answer.observation
        self.seen.append(observation)
        lost = observation.outcome in NETWORK_OUTCOMES and not observation.facts.get("html")
        self.in_vain[call.name] = self.in_vain.get(call.name, 0) + 1 if lost else 0
        return observation

    @property
    def silent(self) -> bool:
        """Whether nothing at all ever answered."""
        return all(o.status is None for o in self.seen)

    @property
    def patience(self) -> int:
        """How many answers in a row may fail to come: one only, where nothing at all ever answered and each costs a long wait."""
        return 1 if self.timeout_s >= LOST_S and self.silent else IN_VAIN

    @property
    def more_patient_s(self) -> float:
        """How long to wait for an answer when calls were late; no longer than before where that was long."""
        return self.timeout_s if self.timeout_s >= LOST_S else max(PATIENT_S, 4.0 * self.timeout_s)

    @property
    def refused(self) -> int:
        """Refusals met so far."""
        return sum(o.outcome is Outcome.THROTTLED for o in self.seen)

    def late(self) -> bool:
        """Whether the whole takes too long already."""
        return self.client.now() > LONGEST_S

    def levels(self, together: int | None = None) -> list[float]:
        """Remaining on answers so far; of groups of that size only where it is given."""
        return [o.remaining for o in self.seen if o.remaining is not None and together in (None, o.facts.get("together"))]

    def mark(self) -> float:
        """The highest level that was seen again, or that the health page tells, whose bucket is nobody's: one odd header is no mark."""
        health = [o.remaining for o in self.seen if o.remaining is not None and o.facts.get("phase") == "health"]
        told = sorted(self.levels(), reverse=True)
        again = (high for high, next_one in pairwise(told) if high - next_one <= NOTED * high)
        return max(next(again, told[-1]), *health, 0.0)

    def room(self, size: int) -> bool:
        """Whether so many calls may start together without coming near the mark, judged by the largest group before."""
        instance = self.client.instance
        if instance.max_in_flight is not None and size > instance.max_in_flight:
            return False
        if not self.levels():
            return size <= 4
        mark = max(self.levels())
        before = max((int(o.facts.get("together", 1)) for o in self.seen if o.remaining is not None), default=1)
        each = mark / 6.0 if before < 2 else (mark - min(self.levels(before))) / (before - 1)
        return min(self.levels(1)[-4:], default=mark) - 1.2 * each * size > HEADROOM * mark


async def observe(client: Client, calls: Sequence[Call], timeout_s: float) -> AsyncIterator[Observation]:
    """The whole experiment on one instance."""
    suspicion = Suspicion(client, calls, timeout_s)
    dialect = client.dialect
    if dialect.health_path is not None:
        yield await suspicion.ask(get(dialect.health_path), "health", cold=True, timeout_s=min(HEALTH_TIMEOUT_S, timeout_s * 4))
    own = get(dialect.self_path)
    others = [] if any(call.name == own.name for call in calls) else [own]
    async for observation in _alone(suspicion, [*others, *calls], ALONE):
        yield observation
    async for observation in _patient(suspicion):
        yield observation
    async for observation in _groups(suspicion):
        yield observation
    async for observation in _look_again(suspicion, own):
        yield observation


async def _alone(suspicion: Suspicion, calls: Sequence[Call], turns: int) -> AsyncIterator[Observation]:
    """One call after another, cold at times; calls that are not the job's fewer times."""
    names = {call.name for call in suspicion.calls}
    for turn in range(turns):
        for call in calls:
            lost = suspicion.in_vain.get(call.name, 0) >= suspicion.patience or suspicion.refused > REFUSALS_BORNE or suspicion.late()
            if lost or (call.name not in names and turn >= SELF):
                continue
            observation = await suspicion.ask(call, "alone" if call.name in names else "self", cold=turn % COLD_EVERY == 1)
            yield observation
            if observation.outcome is Outcome.THROTTLED:
                await asyncio.sleep(min(REST_MOST_S, observation.retry_after_s or BLIND_WAIT_S))


async def _look_again(suspicion: Suspicion, own: Call) -> AsyncIterator[Observation]:
    """Calls alone after a rest, where the bucket was not empty: what something before left there falls, what another job holds stays."""
    stood = [o for o in suspicion.seen if o.remaining is not None and o.facts.get("phase") in ("self", "alone")]
    if len(stood) < ALONE or suspicion.refused or suspicion.late() or all(o.cost is None for o in stood):
        return
    if all(_filled(suspicion, o) <= NOTED for o in stood):
        return
    last, mark = next(o for o in reversed(suspicion.seen) if o.remaining is not None), suspicion.mark()
    pace = _pace(stood, mark)
    await asyncio.sleep(min(REST_MOST_S, max(REST_LEAST_S, DRAINED * _filled(suspicion, last) * mark / pace)))
    well, before = 0, last
    for _ in range(LOOKS):
        look = await suspicion.ask(own, "again")
        yield look
        fallen = _back(last, look) > FALLEN * pace * (_end_s(look) - _end_s(last))
        gone = before is not last and _filled(suspicion, look) <= NOTED and abs(_back(before, look)) <= STILL * mark
        well, before = well + 1 if fallen or gone else 0, look
        if well == WELL or look.remaining is None or suspicion.late():
            return
        await asyncio.sleep(LOOK_EVERY_S)


def _filled(suspicion: Suspicion, observation: Observation) -> float:
    """How full the bucket was, as a share of the mark."""
    mark = suspicion.mark()
    return 0.0 if observation.remaining is None or mark <= 0.0 else 1.0 - observation.remaining / mark


def _back(before: Observation, after: Observation) -> float:
    """Units that came back from one answer to another."""
    return (after.remaining or 0.0) - (before.remaining or 0.0)


def _pace(stood: Sequence[Observation], mark: float) -> float:
    """Units/s that came back while calls were made alone; where that was too little to be seen, as many as a bucket like Canvas's gives."""
    first, last = stood[0], stood[-1]
    seen = _back(first, last) / max(1e-3, _end_s(last) - _end_s(first))
    return seen if _back(first, last) > NOTED * mark else CANVAS.outflow_per_s * mark / CANVAS.high_water_mark


def _end_s(observation: Observation) -> float:
    return observation.received_s if observation.received_s is not None else observation.due_s


async def _patient(suspicion: Suspicion) -> AsyncIterator[Observation]:
    """Late calls again with more patience; when that brings answers, the rest of the experiment is as patient.

    Where nothing at all ever answered one long wait says as much as one for each call, and for each attempt.
    """
    if suspicion.timeout_s >= LOST_S:
        return
    late = [call for call in suspicion.calls if any(o.call == call.name and o.outcome is Outcome.READ_TIMEOUT for o in suspicion.seen)]
    patience_s = suspicion.more_patient_s
    answered = []
    for call in late[:1] if suspicion.silent else [call for call in late[:PATIENT] for _ in range(ATTEMPTS)]:
        if call in answered or suspicion.late():
            continue
        observation = await suspicion.ask(call, "patient", timeout_s=patience_s)
        yield observation
        answered += [call] if _came(observation) else []
    if answered:
        suspicion.timeout_s = patience_s
        suspicion.in_vain.clear()
        async for observation in _alone(suspicion, answered, AGAIN):
            yield observation


async def _groups(suspicion: Suspicion) -> AsyncIterator[Observation]:
    calls = [call for call in suspicion.calls if suspicion.in_vain.get(call.name, 0) == 0]
    if not calls or suspicion.refused or not any(_reached(o) for o in suspicion.seen if o.facts.get("phase") != "health"):
        return
    usual_s, patience_s = suspicion.timeout_s, suspicion.more_patient_s
    for size in GROUPS:
        if not suspicion.room(size) or suspicion.late():
            return
        await _rest(suspicion)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(suspicion.ask(calls[n % len(calls)], "group", together=size)) for n in range(size)]
        answered = [task.result() for task in tasks]
        for observation in answered:
            yield observation
        if suspicion.refused or all(o.status is None for o in answered):
            return
        if any(o.outcome is Outcome.READ_TIMEOUT for o in answered):
            # late ones are waited for in the next groups; not again where that brought no answer either
            patience_s = usual_s if suspicion.timeout_s > usual_s else patience_s
            suspicion.timeout_s = patience_s


def _came(observation: Observation) -> bool:
    """Whether a whole answer came: a status whose body then stalled is none."""
    return observation.status is not None and observation.outcome is not Outcome.READ_TIMEOUT


def _reached(observation: Observation) -> bool:
    """Whether the application answered, rather than something before it."""
    outside = (Outcome.MAINTENANCE, Outcome.GATEWAY_ERROR, Outcome.NO_USER_AGENT, Outcome.REDIRECTED)
    return observation.status is not None and observation.outcome not in outside


async def _rest(suspicion: Suspicion) -> None:
    """Waits until most of the bucket is free again, by a leak that stands to its mark as Canvas's does."""
    levels = suspicion.levels()
    if levels:
        mark, last = max(levels), levels[-1]
        await asyncio.sleep(min(REST_MOST_S, max(0.0, (FREE_AGAIN * mark - last) / (CANVAS.outflow_per_s * mark / CANVAS.high_water_mark))))


def budget(calls: int) -> int:
    """The greatest number of requests to one instance: health, self, each call alone, looking again, groups, patience."""
    return 1 + SELF + LOOKS + ALONE * calls + sum(GROUPS) + min(PATIENT, calls) * (ATTEMPTS + AGAIN)
