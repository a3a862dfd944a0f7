"""Records of the school as Canvas's JSON."""

from __future__ import annotations

from typing import Any

from probes.simulator.people import Channel, Course, Enrollment, Person, Section, Term
from probes.simulator.school import ROOT_ACCOUNT_ID, School

Document = dict[str, Any]
ROLE_IDS = {"StudentEnrollment": 3, "TeacherEnrollment": 4, "TaEnrollment": 5, "DesignerEnrollment": 6, "ObserverEnrollment": 7}
STUDENT_COUNTED = frozenset({"active", "invited"})
"""Enrolments that `include[]=total_students` counts."""


def account(account_id: int, name: str) -> Document:
    """An account; account 1 is the root account."""
    parent = None if account_id == ROOT_ACCOUNT_ID else ROOT_ACCOUNT_ID
    return {
        "id": account_id,
        "name": name,
        "workflow_state": "active",
        "parent_account_id": parent,
        "root_account_id": parent,
        "uuid": f"account{account_id:08d}",
        "default_time_zone": "Europe/Vienna",
        "default_storage_quota_mb": 500,
    }


def term(school: School, record: Term) -> Document:
    """A term; no date is null."""
    return {
        "id": record.id,
        "name": record.name,
        "start_at": school.iso(record.start_s),
        "end_at": school.iso(record.end_s),
        "created_at": school.iso(-900 * 86_400.0),
        "workflow_state": "active",
        "grading_period_group_id": None,
    }


def user(school: School, person: Person) -> Document:
    """A user as lists and details show it; registration is not part of it."""
    given, _, family = person.name.partition(" ")
    return {
        "id": person.id,
        "name": person.name,
        "created_at": school.iso(-400 * 86_400.0 + person.id * 60.0),
        "sortable_name": f"{family}, {given}",
        "short_name": person.name,
        "sis_user_id": f"sis-{person.id}" if person.registered else None,
        "integration_id": None,
        "sis_import_id": None,
        "login_id": person.login,
        "email": next((c.address for c in person.channels if c.type == "email" and c.state != "retired"), None),
    }


def profile(school: School, person: Person) -> Document:
    """`/users/self`: the user with what only the user sees."""
    document = user(school, person)
    document.update(
        avatar_url="http://127.0.0.1/images/messages/avatar-50.png",
        locale=None,
        effective_locale="en",
        permissions={"can_update_name": True, "can_update_avatar": True, "limit_parent_app_web_access": False},
    )
    return document


def login(person: Person) -> list[Document]:
    """The logins of a user; none when not registered."""
    if person.login is None:
        return []
    return [
        {
            "id": person.id + 5000,
            "user_id": person.id,
            "account_id": ROOT_ACCOUNT_ID,
            "unique_id": person.login,
            "sis_user_id": f"sis-{person.id}",
            "integration_id": None,
            "authentication_provider_id": None,
            "workflow_state": "active",
        }
    ]


def channel(school: School, record: Channel, position: int) -> Document:
    """A communication channel; the bounce time is shown to administrators."""
    return {
        "id": record.id,
        "address": record.address,
        "type": record.type,
        "position": position,
        "user_id": record.user_id,
        "workflow_state": record.state,
        "created_at": school.iso(-300 * 86_400.0),
        "last_bounce_at": school.iso(-9 * 86_400.0) if record.bounces else None,
    }


def section(school: School, record: Section) -> Document:
    """A section."""
    return {
        "id": record.id,
        "course_id": record.course_id,
        "name": record.name,
        "start_at": None,
        "end_at": None,
        "created_at": school.iso(-250 * 86_400.0),
        "restrict_enrollments_to_section_dates": False,
        "nonxlist_course_id": None,
        "sis_section_id": f"sec-{record.id}",
    }


def total_students(school: School, course_id: int) -> int:
    """Active and invited students."""
    return len({e.user_id for e in school.of_course[course_id] if e.type == "StudentEnrollment" and e.state in STUDENT_COUNTED})


def course(school: School, record: Course, own: list[Enrollment], includes: set[str], now_s: float) -> Document:
    """A course with what was asked to be included; `own` are the asking user's enrolments in it."""
    document: Document = {
        "id": record.id,
        "name": record.name,
        "course_code": f"C{record.id:03d}",
        "account_id": ROOT_ACCOUNT_ID,
        "root_account_id": ROOT_ACCOUNT_ID,
        "uuid": f"course{record.id:08d}",
        "enrollment_term_id": record.term.id,
        "workflow_state": record.state,
        "start_at": school.iso(record.start_s),
        "end_at": school.iso(record.end_s),
        "created_at": school.iso(-250 * 86_400.0),
        "restrict_enrollments_to_course_dates": record.restricted,
        "is_public": False,
        "default_view": "modules",
        "time_zone": "Europe/Vienna",
        "blueprint": False,
        "hide_final_grades": False,
        "sis_course_id": f"course-{record.id}",
        "enrollments": [own_enrollment(e) for e in own],
    }
    if "term" in includes:
        document["term"] = term(school, record.term)
    if "concluded" in includes:
        document["concluded"] = record.concluded(now_s)
    if "total_students" in includes:
        document["total_students"] = total_students(school, record.id)
    if "sections" in includes:
        document["sections"] = [{"id": s.id, "name": s.name, "enrollment_role": "TeacherEnrollment"} for s in school.sections_of(record.id)]
    if "teachers" in includes:
        teachers = {e.user_id for e in school.of_course[record.id] if e.type == "TeacherEnrollment" and e.state == "active"}
        document["teachers"] = [{"id": t, "display_name": school.people[t].name} for t in sorted(teachers)]
    return document


def own_enrollment(record: Enrollment) -> Document:
    """The asking user's enrolment inside a course."""
    return {
        "type": record.type.removesuffix("Enrollment").lower(),
        "role": record.type,
        "role_id": ROLE_IDS[record.type],
        "user_id": record.user_id,
        "enrollment_state": record.state,
        "limit_privileges_to_course_section": False,
    }


def enrollment(school: School, record: Enrollment) -> Document:
    """An enrolment with its user."""
    person = school.people[record.user_id]
    document: Document = {
        "id": record.id,
        "user_id": record.user_id,
        "course_id": record.course_id,
        "type": record.type,
        "role": record.type,
        "role_id": ROLE_IDS[record.type],
        "created_at": school.iso(record.created_s),
        "updated_at": school.iso(record.updated_s),
        "completed_at": school.iso(record.completed_s),
        "associated_user_id": record.associated_user_id,
        "start_at": None,
        "end_at": None,
        "course_section_id": record.section_id,
        "root_account_id": ROOT_ACCOUNT_ID,
        "limit_privileges_to_course_section": False,
        "enrollment_state": record.state,
        "last_activity_at": None,
        "total_activity_time": 0,
        "sis_user_id": f"sis-{person.id}" if person.registered else None,
        "user": user(school, person),
    }
    if record.type == "StudentEnrollment":
        score = 70.0 + record.id % 20
        document["grades"] = {"current_score": score + 10.0, "final_score": score, "current_grade": None, "final_grade": None}
    return document
