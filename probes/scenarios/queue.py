"""How long background jobs wait: past SIS imports and the backlog now, read only; Progress by polling; on request one harmless job."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from probes.calls import Call
from probes.observation import Observation
from probes.scenarios.asking import get, record_of, records_of, scalar, server_clock_s
from probes.scenarios.base import Options, Scenario

if TYPE_CHECKING:
    from probes.client import Answer, Client

IMPORTS = "/api/v1/accounts/{account}/sis_imports?per_page=100"
IMPORTING = "/api/v1/accounts/{account}/sis_imports/importing"
WAITING_STATES = frozenset({"initializing", "created"})
RUNNING_STATES = frozenset({"importing", "cleanup_batch", "restoring"})
PENDING_PROGRESS = frozenset({"queued", "running", "waiting_for_external_tool"})
POLLS = 40
POLL_S = 3.0
MOST_FOLLOWED = 5


async def observe(client: Client, options: Options) -> AsyncIterator[Observation]:
    """The list of imports, the ones at work, then each Progress asked for until it is done."""
    account = options.extra.get("account", "self")
    listed = await client.ask(get(IMPORTS.format(account=account)), scenario="queue", note=import_facts)
    yield listed.observation
    if listed.observation.ok:
        yield await client.send(get(IMPORTING.format(account=account)), scenario="queue", note=_at_work)
    for progress in list(options.extra.get("progress", ()))[:MOST_FOLLOWED]:
        async for observation in _followed(client, f"/api/v1/progress/{progress}"):
            yield observation
    if options.allow_writes and options.course is not None:
        async for observation in _harmless_job(client, options.course):
            yield observation


def import_facts(answer: Answer) -> dict[str, Any]:
    """Waits and run times of past imports (seconds, newest first); the queue now: `[id, state, age_s, progress]`, oldest first."""
    imports = records_of(answer.json())
    now_s = server_clock_s(answer) or _latest(imports) or time.time()
    queue = [one for one in imports if one.get("workflow_state") in WAITING_STATES | RUNNING_STATES]
    queue.sort(key=lambda one: (one.get("workflow_state") not in RUNNING_STATES, _seconds(one.get("created_at")) or 0.0))
    return {
        "imports": len(imports),
        "waits_s": _gaps(imports, "created_at", "started_at"),
        "runs_s": _gaps(imports, "started_at", "ended_at"),
        "waiting": sum(1 for one in queue if one.get("workflow_state") in WAITING_STATES),
        "running": sum(1 for one in queue if one.get("workflow_state") in RUNNING_STATES),
        "queue": [_standing(one, now_s) for one in queue][:20],
    }


def _gaps(imports: Sequence[Mapping[str, Any]], start: str, end: str) -> list[float]:
    pairs = [(_seconds(one.get(start)), _seconds(one.get(end))) for one in imports]
    return [round(last - first, 3) for first, last in pairs if first is not None and last is not None and last >= first]


def _latest(imports: Sequence[Mapping[str, Any]]) -> float | None:
    """The latest time that the imports themselves tell: a clock of last resort, for servers that send no Date."""
    times = [_seconds(one.get(key)) for one in imports for key in ("updated_at", "started_at", "ended_at", "created_at")]
    return max((time_s for time_s in times if time_s is not None), default=None)


def _standing(one: Mapping[str, Any], now_s: float) -> list[Any]:
    running = one.get("workflow_state") in RUNNING_STATES
    since = _seconds(one.get("started_at") if running else one.get("created_at")) or _seconds(one.get("created_at"))
    age_s = None if since is None else round(max(0.0, now_s - since), 1)
    return [scalar(one.get("id")), scalar(one.get("workflow_state")), age_s, scalar(one.get("progress"))]


def _seconds(text: Any) -> float | None:
    """ISO 8601 as seconds since 1970; None when it is not."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def _at_work(answer: Answer) -> dict[str, Any]:
    return {"importing": len(records_of(answer.json()))}


def progress_facts(answer: Answer) -> dict[str, Any]:
    """State and completion of a Progress, its age by its own times; it has no start time, so the wait is seen by polling only."""
    body = record_of(answer.json())
    created, updated, now_s = _seconds(body.get("created_at")), _seconds(body.get("updated_at")), server_clock_s(answer) or time.time()
    facts = {
        "progress": scalar(body.get("id")),
        "state": scalar(body.get("workflow_state")),
        "completion": scalar(body.get("completion")),
        "tag": scalar(body.get("tag")),
        "age_s": None if created is None else round(max(0.0, now_s - created), 1),
        "at_most_s": None if created is None or updated is None else round(max(0.0, updated - created), 1),
    }
    return {key: value for key, value in facts.items() if value is not None}


async def _followed(client: Client, path: str) -> AsyncIterator[Observation]:
    for poll in range(POLLS):
        if poll:
            await asyncio.sleep(POLL_S)
        observation = await client.send(get(path), scenario="queue", note=progress_facts)
        yield observation
        if observation.facts.get("state") not in PENDING_PROGRESS:
            return


async def _harmless_job(client: Client, course: str) -> AsyncIterator[Observation]:
    """Starts the link validation of a course, which changes nothing that anybody sees, and follows it."""
    path = f"/api/v1/courses/{course}/link_validation"
    started = await client.send(Call("POST", path), scenario="queue", note=progress_facts)
    yield started
    if started.ok:
        async for observation in _followed(client, path):
            yield observation


def budget(options: Options) -> int:
    """Two lists, the polls of each Progress, one job on request."""
    followed = min(MOST_FOLLOWED, len(options.extra.get("progress", ())))
    job = POLLS + 1 if options.allow_writes and options.course is not None else 0
    return 2 + followed * POLLS + job


SCENARIO = Scenario(
    name="queue",
    asks="How long do SIS imports and other background jobs wait, and who waits behind whom?",
    budget=budget,
    observe=observe,
)
