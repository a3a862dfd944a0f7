"""An enrolment with notify=true and the mail never comes: reads everything on which Canvas makes it depend; sends no enrolment.

Which rule reads what: `probes.rules.enrollment`. Source: enrollment.rb, enrollment_state.rb and course.rb of instructure/canvas-lms.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any

from probes.observation import NETWORK_OUTCOMES, Observation, Outcome
from probes.scenarios.asking import first_id, get, record_of, records_of, scalar, segment, server_clock_s
from probes.scenarios.base import Options, Scenario
from probes.scenarios.vocabulary import ALL_STATES
from probes.words import ENROLLMENT_TYPES

if TYPE_CHECKING:
    from probes.client import Answer, Client

DEFAULT_TYPE = "StudentEnrollment"
COURSE_FIELDS = ("workflow_state", "concluded", "start_at", "end_at", "restrict_enrollments_to_course_dates")
SECTION_FIELDS = ("start_at", "end_at", "restrict_enrollments_to_section_dates")
ENROLLMENT_FIELDS = ("type", "enrollment_state", "course_section_id", "role")
MOST_ROWS = 100
ENDS = NETWORK_OUTCOMES | {Outcome.THROTTLED, Outcome.MAINTENANCE}
"""Outcomes after which nothing more is asked."""
Facts = Callable[["Answer"], dict[str, Any]]


async def observe(client: Client, options: Options) -> AsyncIterator[Observation]:
    """Section, course, settings, sections, the user, logins, channels, present enrolments; each answer's facts name their `check`."""
    about = _about(options)
    course = options.course
    if options.section is not None:
        found = await _read(client, f"/api/v1/sections/{segment(options.section)}", "section", about, _section)
        yield found.observation
        course = course or (_text(record_of(found.json()).get("course_id")) if found.observation.ok else None)
    elif course is None:
        found = await _read(client, "/api/v1/courses?per_page=1", "example", about, lambda _: {})
        yield found.observation
        course = first_id(found.json()) if found.observation.ok else None
    if course is None:
        return
    for path, check, facts in _reads(course, about):
        answer = await _read(client, path, check, {**about, "course": course}, facts)
        yield answer.observation
        if answer.observation.outcome in ENDS:
            return


def _about(options: Options) -> dict[str, Any]:
    named = options.course is not None or options.section is not None
    kind = options.extra.get("type", DEFAULT_TYPE)
    return {"type": kind, "named": named, "user": options.user or "self", "section": options.section}


def _reads(course: str, about: Mapping[str, Any]) -> list[tuple[str, str, Facts]]:
    here, user = f"/api/v1/courses/{segment(course)}", segment(about["user"])
    sections = [(f"{here}/sections?per_page=100", "sections", _sections)] if about["section"] is None else []
    # a type of the user's own is a role; the account's list has those of the accounts above it too
    roles = (
        [("/api/v1/accounts/self/roles?show_inherited=true&per_page=100", "roles", _roles)] if about["type"] not in ENROLLMENT_TYPES else []
    )
    return [
        (f"{here}?include[]=concluded&include[]=term", "course", _course),
        *roles,
        (f"{here}/settings", "settings", _settings),
        *sections,
        (f"/api/v1/users/{user}", "user", lambda answer: {"user_id": scalar(record_of(answer.json()).get("id"))}),
        (f"/api/v1/users/{user}/logins?per_page=100", "logins", lambda answer: {"logins": len(records_of(answer.json()))}),
        (f"/api/v1/users/{user}/communication_channels?per_page=100", "channels", _channels),
        (f"{here}/enrollments?user_id={user}&per_page=100&{ALL_STATES}", "enrollments", _enrollments),
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


def _dated(section: Mapping[str, Any]) -> dict[str, Any]:
    return {"section_id": scalar(section.get("id")), **{key: scalar(section.get(key)) for key in SECTION_FIELDS}}


def _section(answer: Answer) -> dict[str, Any]:
    return _dated(record_of(answer.json()))


def _sections(answer: Answer) -> dict[str, Any]:
    """`more`: there are sections that were not read."""
    return {"sections": [_dated(one) for one in records_of(answer.json())][:MOST_ROWS], "more": "next" in answer.links}


def _roles(answer: Answer) -> dict[str, Any]:
    """The name of each role with the type of enrolment that it is."""
    return {"roles": {str(one["role"])[:120]: scalar(one.get("base_role_type")) for one in records_of(answer.json()) if one.get("role")}}


def _settings(answer: Answer) -> dict[str, Any]:
    return {"restrict_student_future_view": scalar(record_of(answer.json()).get("restrict_student_future_view"))}


def _channels(answer: Answer) -> dict[str, Any]:
    emails = Counter(_text(one.get("workflow_state")) or "?" for one in records_of(answer.json()) if one.get("type") == "email")
    return {"emails": dict(emails), "channels": len(records_of(answer.json())), "more": "next" in answer.links}


def _enrollments(answer: Answer) -> dict[str, Any]:
    rows = [[scalar(one.get(name)) for name in ENROLLMENT_FIELDS] for one in records_of(answer.json())]
    return {"enrolled": rows[:MOST_ROWS], "more": "next" in answer.links}


def _text(value: Any) -> str | None:
    return str(value) if isinstance(value, str | int) else None


SCENARIO = Scenario(
    name="enrollment",
    asks="An enrolment with notify=true: would its mail be sent, and if not, what stops it?",
    budget=lambda options: 8 + (options.extra.get("type", DEFAULT_TYPE) not in ENROLLMENT_TYPES),
    observe=observe,
)
