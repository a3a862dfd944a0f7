"""An enrolment with notify=true and the mail never comes: reads everything on which Canvas makes it depend; sends no enrolment.

Which rule reads what: `probes.rules.enrollment`. Source: enrollment.rb, enrollment_state.rb and course.rb of instructure/canvas-lms.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from probes.observation import NETWORK_OUTCOMES, Observation, Outcome
from probes.scenarios.asking import first_id, get, record_of, records_of, scalar, server_clock_s
from probes.scenarios.base import Options, Scenario
from probes.scenarios.vocabulary import ALL_STATES

if TYPE_CHECKING:
    from probes.client import Answer, Client

DEFAULT_TYPE = "StudentEnrollment"
COURSE_FIELDS = ("workflow_state", "concluded", "start_at", "end_at", "restrict_enrollments_to_course_dates")
SECTION_FIELDS = ("start_at", "end_at", "restrict_enrollments_to_section_dates")
Facts = Callable[["Answer"], dict[str, Any]]


async def observe(client: Client, options: Options) -> AsyncIterator[Observation]:
    """Section, course, its settings, the user, logins, channels, present enrolments; each answer's facts name their `check`."""
    about = {"type": options.extra.get("type", DEFAULT_TYPE), "named": options.course is not None or options.section is not None}
    course, section = options.course, options.section
    if section is not None:
        found = await _read(client, f"/api/v1/sections/{quote(section)}", "section", about, _section)
        yield found.observation
        course = course or (_text(record_of(found.json()).get("course_id")) if found.observation.ok else None)
        if course is None:
            return
    if course is None:
        found = await _read(client, "/api/v1/courses?per_page=1", "example", about, lambda _: {})
        yield found.observation
        course = first_id(found.json()) if found.observation.ok else None
    if course is None:
        return
    user = quote(options.user or "self")
    for path, check, facts in _reads(quote(course), user):
        answer = await _read(client, path, check, {**about, "course": course, "user": user}, facts)
        yield answer.observation
        if answer.observation.outcome in NETWORK_OUTCOMES | {Outcome.THROTTLED, Outcome.MAINTENANCE}:
            return


def _reads(course: str, user: str) -> list[tuple[str, str, Facts]]:
    enrolled = f"/api/v1/courses/{course}/enrollments?user_id={user}&per_page=100&{ALL_STATES}"
    return [
        (f"/api/v1/courses/{course}?include[]=concluded&include[]=term", "course", _course),
        (f"/api/v1/courses/{course}/settings", "settings", _settings),
        (f"/api/v1/users/{user}", "user", lambda answer: {"user_id": scalar(record_of(answer.json()).get("id"))}),
        (f"/api/v1/users/{user}/logins?per_page=100", "logins", lambda answer: {"logins": len(records_of(answer.json()))}),
        (f"/api/v1/users/{user}/communication_channels?per_page=100", "channels", _channels),
        (enrolled, "enrollments", _enrollments),
    ]


async def _read(client: Client, path: str, check: str, about: Mapping[str, Any], facts: Facts) -> Answer:
    def note(answer: Answer) -> dict[str, Any]:
        seen = facts(answer) if answer.observation.ok else {}
        return {"check": check, **about, "now_s": server_clock_s(answer), **seen}

    return await client.ask(get(path), scenario="enrollment", note=note)


def _course(answer: Answer) -> dict[str, Any]:
    body = record_of(answer.json())
    term = record_of(body.get("term"))
    return {
        **{key: scalar(body.get(key)) for key in COURSE_FIELDS},
        "term_start_at": scalar(term.get("start_at")),
        "term_end_at": scalar(term.get("end_at")),
    }


def _section(answer: Answer) -> dict[str, Any]:
    body = record_of(answer.json())
    return {key: scalar(body.get(key)) for key in SECTION_FIELDS}


def _settings(answer: Answer) -> dict[str, Any]:
    return {"restrict_student_future_view": scalar(record_of(answer.json()).get("restrict_student_future_view"))}


def _channels(answer: Answer) -> dict[str, Any]:
    emails = Counter(_text(one.get("workflow_state")) or "?" for one in records_of(answer.json()) if one.get("type") == "email")
    return {"emails": dict(emails), "channels": len(records_of(answer.json()))}


def _enrollments(answer: Answer) -> dict[str, Any]:
    return {"enrolled": [[scalar(one.get("type")), scalar(one.get("enrollment_state"))] for one in records_of(answer.json())][:20]}


def _text(value: Any) -> str | None:
    return str(value) if isinstance(value, str | int) else None


SCENARIO = Scenario(
    name="enrollment",
    asks="An enrolment with notify=true: would its mail be sent, and if not, what stops it?",
    budget=lambda _: 8,
    observe=observe,
)
