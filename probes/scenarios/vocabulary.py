"""Which values do states and types really have: channels, enrolments, progress, imports? What they mean stands in `probes.words`."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from probes.observation import Observation, Outcome
from probes.scenarios.asking import complaint, first_id, get, record_of, records_of, segment
from probes.scenarios.base import Options, Scenario
from probes.words import VOCABULARIES

if TYPE_CHECKING:
    from probes.client import Answer, Client

ALL_STATES = "&".join(
    f"state[]={state}" for state in ("active", "invited", "creation_pending", "inactive", "completed", "rejected", "deleted")
)
MOST_USERS = 10
MOST_VALUES = 20


async def observe(client: Client, options: Options) -> AsyncIterator[Observation]:
    """One page of enrolments in every state, channels of some of their users and of the token's own, imports, Progress by id."""
    course, users = options.course, [options.user or "self"]
    if course is None:
        found = await client.ask(get("/api/v1/courses?per_page=1"), scenario="vocabulary")
        yield found.observation
        course = first_id(found.json()) if found.observation.ok else None
    if course is not None:
        listed = await client.ask(
            get(f"/api/v1/courses/{segment(course)}/enrollments?per_page=100&{ALL_STATES}"),
            scenario="vocabulary",
            note=lambda a: values(a, "enrollment"),
        )
        yield listed.observation
        users += _users(listed.json())
    for path, thing in _asked(users, options):
        observation = await client.send(get(path), scenario="vocabulary", note=lambda a, thing=thing: values(a, thing))  # type: ignore[misc]
        yield observation
        if observation.outcome in (Outcome.THROTTLED, Outcome.MAINTENANCE):
            return


def _users(body: Any) -> list[str]:
    ids = dict.fromkeys(str(one["user_id"]) for one in records_of(body) if isinstance(one.get("user_id"), int | str))
    return list(ids)[: MOST_USERS - 1]


def _asked(users: list[str], options: Options) -> list[tuple[str, str]]:
    channels = [(f"/api/v1/users/{segment(user)}/communication_channels", "channel") for user in users]
    progress = [(f"/api/v1/progress/{segment(one)}", "progress") for one in list(options.extra.get("progress", ()))[:MOST_USERS]]
    return [*channels, ("/api/v1/accounts/self/sis_imports?per_page=100", "import"), *progress]


def values(answer: Answer, thing: str) -> dict[str, Any]:
    """How often each value was seen: `{"thing": "channel", "workflow_state": {"active": 3}, "type": {"email": 2}}`."""
    body = answer.json()
    records: list[Mapping[str, Any]] = records_of(body) or [record_of(body)]
    facts: dict[str, Any] = {"thing": thing, **({"said": words} if (words := complaint(answer)) else {})}
    for one in VOCABULARIES:
        if one.thing == thing:
            seen = Counter(record[one.field] for record in records if isinstance(record.get(one.field), str))
            facts[one.field] = dict(seen.most_common(MOST_VALUES))
    return facts


SCENARIO = Scenario(
    name="vocabulary",
    asks="Which states and types occur that the documentation does not name?",
    budget=lambda options: 2 + MOST_USERS + 1 + min(MOST_USERS, len(options.extra.get("progress", ()))),
    observe=observe,
)
