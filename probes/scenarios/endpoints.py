"""Which calls are dear? A ladder from cheap to dear on the instance's own data: cost, server time, CPU and database share, bytes, items."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from probes.calls import Call
from probes.observation import Observation, Outcome
from probes.scenarios.asking import Patience, calls_about, first_id, get, items_of
from probes.scenarios.base import Options, Scenario

if TYPE_CHECKING:
    from probes.client import Answer, Client

REPEAT = 5
SLOW_S, SLOW_REPEAT = 2.0, 3
"""A rung that takes longer than this is asked less often: three answers show that it is dear."""
RESERVED = 1.0 / 6.0
"""Share of the highest level that stays free: twice what Canvas reserves for a call."""
CANVAS_LADDER = (
    "/api/v1/users/self",
    "/api/v1/accounts/self",
    "/api/v1/courses/{course}",
    "/api/v1/courses/{course}/sections",
    "/api/v1/courses?per_page=1",
    "/api/v1/courses?per_page=100&include[]=total_students&include[]=term",
    "/api/v1/courses/{course}/enrollments?per_page=10",
    "/api/v1/courses/{course}/enrollments?per_page=100",
    "/api/v1/courses/{course}/users?per_page=100",
    "/api/v1/courses/{course}/assignments?per_page=100",
    "/api/v1/courses/{course}/students/submissions?student_ids[]=all&per_page=100",
    "/api/v1/accounts/self/users?per_page=10",
    "/api/v1/accounts/self/sis_imports?per_page=10",
    "/api/v1/courses/{course}/analytics/activity",
    "/api/v1/courses/{course}/analytics/student_summaries?per_page=100",
)
"""From cheap to dear by judgement: one row, lists that cost more the longer the page, what a plugin computes; the measurement decides."""
MISSING = frozenset({Outcome.NOT_FOUND, Outcome.FORBIDDEN, Outcome.CLIENT_ERROR, Outcome.UNAUTHORIZED})


async def observe(client: Client, options: Options) -> AsyncIterator[Observation]:
    """Each rung a few times in turn; one that is missing or not permitted once only, one no more for which the bucket has no room."""
    course = options.course
    if course is None and not options.calls and client.dialect.name == "canvas":
        found = await client.ask(get(f"{client.dialect.list_path}?per_page=1"), scenario="endpoints", note=item_facts)
        course = first_id(found.json()) if found.observation.ok else None
        yield found.observation
    ladder = list(options.calls) or _ladder(client, course)
    patience, seen = Patience(), list[Observation]()
    for turn in range(1, REPEAT + 1):
        for call in list(ladder):
            if not _affordable(call, seen):
                ladder.remove(call)
                continue
            observation = await client.send(call, scenario="endpoints", note=item_facts)
            seen.append(observation)
            yield observation
            slow = (observation.flight_s or 0.0) > SLOW_S and turn >= SLOW_REPEAT
            if observation.outcome in MISSING or slow:
                ladder.remove(call)
            elif patience.lost(observation):
                return


def _affordable(call: Call, seen: Sequence[Observation]) -> bool:
    """Whether the last level has room for what `call` cost at most, and for what calls reserve: nobody shall be refused for a ladder."""
    levels = [o.remaining for o in seen if o.remaining is not None]
    cost = max((o.cost or 0.0 for o in seen if o.call == call.name), default=0.0)
    return not levels or levels[-1] - cost > RESERVED * max(levels)


def _ladder(client: Client, course: str | None) -> list[Call]:
    if client.dialect.name != "canvas":
        return [get(client.dialect.self_path), get(client.dialect.list_path)]
    return calls_about(CANVAS_LADDER, course)


def item_facts(answer: Answer) -> dict[str, Any]:
    """How many items came, where it is a list."""
    items = items_of(answer.json())
    return {} if items is None else {"items": len(items)}


SCENARIO = Scenario(
    name="endpoints",
    asks="Which calls are dear, and what makes them so?",
    budget=lambda options: REPEAT * len(options.calls) if options.calls else 1 + REPEAT * len(CANVAS_LADDER),
    observe=observe,
)
