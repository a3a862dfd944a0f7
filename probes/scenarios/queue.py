"""How long background jobs wait: past SIS imports and the backlog now, read only; Progress by polling; on request one harmless job."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from probes.addresses import origin, target
from probes.calls import Call
from probes.instants import seconds_of
from probes.observation import Observation
from probes.scenarios.asking import get, reason_of, record_of, scalar, segment, server_clock_s
from probes.scenarios.base import Options, Scenario
from probes.scenarios.imports import Look

if TYPE_CHECKING:
    from probes.client import Answer, Client

IMPORTS = "/api/v1/accounts/self/sis_imports"
MOST_PAGES = 5
"""Pages of imports read at most: the list is walked until an import shows that was done, as all that wait are newer."""
ENDED_PROGRESS = frozenset({"completed", "failed", "canceled"})
POLLS = 40
POLL_S = 3.0
MOST_FOLLOWED = 5


async def observe(client: Client, options: Options) -> AsyncIterator[Observation]:
    """The list of imports, the ones at work, the one asked about; then each Progress asked for until it is done."""
    look = Look(options.extra.get("import"))
    async for observation in _listed(client, look):
        yield observation
    for progress in list(options.extra.get("progress", ()))[:MOST_FOLLOWED]:
        async for observation in _followed(client, f"/api/v1/progress/{segment(progress)}", progress):
            yield observation
    if options.allow_writes and options.course is not None:
        async for observation in _harmless_job(client, options.course):
            yield observation


async def _listed(client: Client, look: Look) -> AsyncIterator[Observation]:
    """Pages of imports, then those at work, then the one asked about where no list had it. Each notes all that was seen until then."""
    asked: str | None = f"{IMPORTS}?per_page=100"
    for _ in range(MOST_PAGES):
        if asked is None:
            break
        answer = await client.ask(get(asked), scenario="queue", name=f"GET {IMPORTS}?per_page=100", note=look.page)
        yield answer.observation
        if not answer.observation.ok and not look.imports:
            return
        asked = _next_page(client, answer) if look.more else None
    yield await client.send(get(f"{IMPORTS}/importing"), scenario="queue", note=look.at_work)
    if look.mine is not None and look.mine not in look.imports:
        yield await client.send(get(f"{IMPORTS}/{segment(look.mine)}"), scenario="queue", note=look.single)


def _next_page(client: Client, answer: Answer) -> str | None:
    url = answer.links.get("next")
    return target(url) if answer.observation.ok and url is not None and origin(url) == origin(client.instance.url) else None


def progress_facts(answer: Answer) -> dict[str, Any]:
    """State and completion of a Progress, its age by its own times; it has no start time, so the wait is seen by polling only."""
    body = record_of(answer.json()) if answer.observation.ok else {}
    created, updated, now_s = seconds_of(body.get("created_at")), seconds_of(body.get("updated_at")), server_clock_s(answer) or time.time()
    facts = {
        "progress": scalar(body.get("id")),
        "state": scalar(body.get("workflow_state")),
        "completion": scalar(body.get("completion")),
        "message": scalar(body.get("message")),
        "tag": scalar(body.get("tag")),
        "age_s": None if created is None else round(max(0.0, now_s - created), 1),
        "at_most_s": None if created is None or updated is None else round(max(0.0, updated - created), 1),
    }
    return {**reason_of(answer), **{key: value for key, value in facts.items() if value is not None}}


async def _followed(client: Client, path: str, number: str | None = None) -> AsyncIterator[Observation]:
    """Polls until the job has ended; a state that is not known is one that goes on."""

    def note(answer: Answer) -> Mapping[str, Any]:
        return {**({} if number is None else {"progress": number}), **progress_facts(answer)}

    for poll in range(POLLS):
        if poll:
            await asyncio.sleep(POLL_S)
        observation = await client.send(get(path), scenario="queue", note=note)
        yield observation
        if observation.facts.get("state") in ENDED_PROGRESS | {None}:
            return


async def _harmless_job(client: Client, course: str) -> AsyncIterator[Observation]:
    """Starts the link validation of a course, which changes nothing that anybody sees, and follows it."""
    path = f"/api/v1/courses/{segment(course)}/link_validation"
    started = await client.send(Call("POST", path), scenario="queue", note=progress_facts)
    yield started
    if started.ok:
        async for observation in _followed(client, path):
            yield observation


def budget(options: Options) -> int:
    """The lists, the import asked about, the polls of each Progress, one job on request."""
    followed = min(MOST_FOLLOWED, len(options.extra.get("progress", ())))
    job = POLLS + 1 if options.allow_writes and options.course is not None else 0
    return MOST_PAGES + 1 + bool(options.extra.get("import")) + followed * POLLS + job


SCENARIO = Scenario(
    name="queue",
    asks="How long do SIS imports and other background jobs wait, and who waits behind whom?",
    budget=budget,
    observe=observe,
)
