"""A course's people: users, enrolments in every state, sections, channels; complete across pages, unknown where not allowed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from probes.calls import Call
from probes.errors import CredentialsError, GuardStop, ProbesError
from probes.observation import Outcome
from probes.pages import Ended, walk
from probes.scenarios.asking import segment
from probes.wording import quoted

if TYPE_CHECKING:
    from probes.client import Client

SCENARIO = "roster"
REFUSALS = 3
"""So often a refused page is asked again, after the server's wait."""
WORKERS = 16
"""Channels are one call a user: so many run at once where the limiter and the instance's max_in_flight let them ..."""
CAREFUL_WORKERS = 4
"""... and so many where the first user's could not be read."""
GIVE_UP_AFTER = 5
"""So many users in a row whose channels may not be read: nobody's may."""
BARRED = ("forbidden", "not_found")
"""How Canvas answers who may not read a user's channels: also as if there were no such user."""

USER_STATES = ("active", "invited", "rejected", "completed", "inactive")
ENROLLMENT_STATES = (*USER_STATES, "creation_pending")
STUDENT = "StudentEnrollment"
COUNTED = ("active", "invited")
"""States of the students that `total_students` of a course counts."""

Item = dict[str, Any]


class CourseError(ProbesError):
    """The course itself could not be read: there are no people to tell."""


@dataclass(slots=True)
class Roster:
    """What was read.

    `channels` has None for a user whose channels are unknown; `unknown` says what needs which permission, `broken` what was not read to its
    end, `stopped` what ended the reading early: a ceiling, a course or a token that is refused.
    """

    course_id: str
    course: Item | None = None
    users: dict[str, Item] = field(default_factory=dict)
    sections: dict[str, Item] = field(default_factory=dict)
    enrollments: list[Item] = field(default_factory=list)
    channels: dict[str, list[Item] | None] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    stopped: ProbesError | None = None


async def read_roster(client: Client, roster: Roster, progress: Callable[[str], None] = lambda _text: None) -> Roster:
    """Reads the people of the course that `roster` names into it, from `client`; `progress` is told a few words now and then.

    What ends it early is noted: CredentialsError when the token is refused, ProbesError when there is no such course, GuardStop.
    """
    try:
        await _course(client, roster)
        base = f"/api/v1/courses/{segment(roster.course_id)}"
        progress("sections")
        roster.sections = _by_id(await _list(client, roster, f"{base}/sections?per_page=100", "sections", "to see the course"))
        progress("users")
        states = "".join(f"&enrollment_state[]={state}" for state in USER_STATES)
        path = f"{base}/users?include[]=enrollments&include[]=email{states}&per_page=100"
        roster.users = _by_id(await _list(client, roster, path, "users", "to see the list of users in the course (read_roster)"))
        progress("enrolments")
        states = "".join(f"&state[]={state}" for state in ENROLLMENT_STATES)
        path = f"{base}/enrollments?per_page=100{states}"
        found = await _list(client, roster, path, "enrolments", "to see the list of users in the course (read_roster)")
        roster.enrollments = list(_by_id(found).values())
        _join(roster)
        _count(roster)
        await _all_channels(client, roster, progress)
    except (GuardStop, CredentialsError, CourseError) as stop:
        roster.stopped = stop
    return roster


async def _course(client: Client, roster: Roster) -> None:
    path = f"/api/v1/courses/{segment(roster.course_id)}?include[]=term&include[]=concluded&include[]=total_students"
    answer = await client.ask(Call("GET", path), scenario=SCENARIO)
    seen = answer.observation
    if seen.outcome is Outcome.UNAUTHORIZED:
        raise CredentialsError(f"Instance '{client.instance.name}' refused the token (401): check it; probes diagnose says more.")
    if seen.outcome is Outcome.NOT_FOUND:
        raise CourseError(f"Course {roster.course_id} does not exist on '{client.instance.name}', or your user may not know of it (404).")
    document = answer.json()
    if seen.ok and isinstance(document, dict):
        roster.course = document
    elif seen.outcome is Outcome.FORBIDDEN:
        roster.unknown.append("course: unknown: needs permission to see the course.")
    else:
        name, why = client.instance.name, f"{seen.outcome.value}{f' ({seen.status})' if seen.status else ''}"
        if seen.ok:
            why = f"what came ({seen.status}) is no course"
        raise CourseError(f"Course {roster.course_id} of '{name}' could not be read: {why}. Ask why: probes diagnose -i {quoted(name)}.")


async def _list(client: Client, roster: Roster, path: str, what: str, permission: str) -> list[Item]:
    """All items of a list; what is not allowed or not whole is noted in the roster."""
    found: list[Item] = []
    async for page in walk(client, path, scenario=SCENARIO, refusals=REFUSALS):
        found += [item for item in page.items if isinstance(item, dict)]
        if page.ended is Ended.FAILED and page.answer.observation.outcome is Outcome.FORBIDDEN:
            roster.unknown.append(f"{what}: unknown: needs permission {permission}.")
        elif page.ended is not None and page.ended is not Ended.COMPLETE:
            roster.broken.append(f"{what}: not whole: {page.note}")
        elif page.ended is not None and page.note is not None and page.items:
            roster.unknown.append(f"{what}: whether they are all: {page.note}")
    return found


def _join(roster: Roster) -> None:
    """Enrolments bring users that the list of users leaves out (pending); users bring enrolments where these may not be listed."""
    for enrollment in roster.enrollments:
        user = enrollment.get("user")
        key = str(enrollment.get("user_id"))
        if key not in roster.users:
            roster.users[key] = dict(user) if isinstance(user, dict) else {"id": enrollment.get("user_id")}
    if not roster.enrollments:
        roster.enrollments = [one for user in roster.users.values() for one in user.get("enrollments") or () if isinstance(one, dict)]


def _count(roster: Roster) -> None:
    """Notes that fewer students were listed than the course counts: Canvas leaves out, without a word, whom a token may not see."""
    counted = (roster.course or {}).get("total_students")
    listed = {
        str(one.get("user_id")) for one in roster.enrollments if one.get("type") == STUDENT and one.get("enrollment_state") in COUNTED
    }
    if isinstance(counted, int) and len(listed) < counted and roster.enrollments and not roster.broken:
        roster.unknown.append(
            f"students: {len(listed)} active or invited ones are listed, and the course counts {counted}: this token sees the people of "
            "its own sections only, or some are hidden from it."
        )


async def _all_channels(client: Client, roster: Roster, progress: Callable[[str], None]) -> None:
    """Every user's channels, a few users at once; gives up when nobody's may be read."""
    todo = list(reversed(roster.users))
    roster.channels = dict.fromkeys(roster.users)
    failures: dict[str, str] = {}
    refused = 0

    async def work(most: int) -> None:
        nonlocal refused
        while todo and refused < GIVE_UP_AFTER and roster.stopped is None and most > 0:
            user, most = todo.pop(), most - 1
            progress(f"channels, {len(roster.users) - len(todo)} of {len(roster.users)} users")
            try:
                channels, problem = await _channels(client, user)
            except GuardStop as stop:
                roster.stopped = stop
                return
            roster.channels[user] = channels
            if problem is not None:
                failures[user] = problem
            refused = refused + 1 if problem in BARRED else 0

    await work(1)
    width = CAREFUL_WORKERS if failures else WORKERS
    await asyncio.gather(*(work(len(todo)) for _ in range(min(width, len(todo)))))
    _note_channels(roster, failures, gave_up=refused >= GIVE_UP_AFTER)


async def _channels(client: Client, user: str) -> tuple[list[Item] | None, str | None]:
    """One user's channels; None with the reason where they could not be read."""
    found: list[Item] = []
    path = f"/api/v1/users/{user}/communication_channels?per_page=100"
    name = "GET /api/v1/users/:id/communication_channels?per_page=100"
    async for page in walk(client, path, scenario=SCENARIO, refusals=REFUSALS, name=name):
        found += [item for item in page.items if isinstance(item, dict)]
        if page.ended is not None and page.ended is not Ended.COMPLETE:
            outcome = page.answer.observation.outcome
            return None, outcome.value if page.ended is Ended.FAILED else page.ended.value
    return found, None


def _note_channels(roster: Roster, failures: dict[str, str], *, gave_up: bool) -> None:
    forbidden = [user for user, problem in failures.items() if problem in BARRED]
    if gave_up:
        roster.unknown.append(
            f"channels: unknown: needs permission to see these users' communication channels (an account role; teachers usually lack it). "
            f"Given up after {GIVE_UP_AFTER} users in a row."
        )
    elif forbidden:
        roster.unknown.append(f"channels: unknown: needs permission to see them, for {len(forbidden)} of {len(roster.users)} users.")
    others = sorted({problem for problem in failures.values() if problem not in BARRED})
    if others:
        count = len(failures) - len(forbidden)
        roster.broken.append(f"channels: not read for {count} of {len(roster.users)} users ({', '.join(others)}).")


def _by_id(items: Iterable[Item]) -> dict[str, Item]:
    return {str(item["id"]): item for item in items if "id" in item}
