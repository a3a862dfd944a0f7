"""What Canvas makes of an enrolment: the state it really stores, and whether a message is made and sent.

Rules: `Course#enroll_user`, `enrollment.rb`, `notification_message_creator.rb` of instructure/canvas-lms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from probes.simulator.people import Course, Enrollment, Mail, Person
from probes.simulator.school import School

TYPES = frozenset({"StudentEnrollment", "TeacherEnrollment", "TaEnrollment", "DesignerEnrollment", "ObserverEnrollment"})
STAFF = frozenset({"TeacherEnrollment", "TaEnrollment", "DesignerEnrollment"})
REQUESTABLE = frozenset({"active", "invited", "inactive"})
NO_SENDER = "this instance sends no mail"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a POST asks for."""

    person: Person
    course: Course
    section_id: int
    type: str
    state: str | None
    associated_user_id: int | None
    notify: bool


def stored_state(wish: Wish) -> str:
    """The state that is stored for a new or revived enrolment."""
    if wish.type == "ObserverEnrollment" and wish.person.registered and wish.state is None:
        return "active"
    published = wish.course.state == "available"
    state = wish.state or ("invited" if published else "creation_pending")
    if wish.type in STAFF:
        return "invited" if state == "creation_pending" else state
    return "creation_pending" if state == "invited" and not published else state


def effective_state(course: Course, enrollment: Enrollment, now_s: float) -> str:
    """The state by dates (`EnrollmentState`): a future course whose future is hidden is inactive, a past one completed."""
    if course.concluded(now_s):
        return "completed"
    if course.future(now_s) and course.future_hidden and enrollment.type not in STAFF:
        return "inactive"
    return enrollment.state


def enroll(school: School, wish: Wish, now_s: float) -> tuple[Enrollment, bool, bool]:
    """(the enrolment, whether it is new, whether its state changed). One that is active, or already as wished, stays as it is."""
    found = next((e for e in school.of_course[wish.course.id] if _same(e, wish)), None)
    state = stored_state(wish)
    if found is None:
        made = school.enroll(wish.course.id, wish.section_id, wish.person.id, wish.type, state, now_s)
        made.associated_user_id = wish.associated_user_id
        return made, True, True
    if found.state in ("active", state):
        return found, False, False
    found.state, found.updated_s, found.completed_s = state, now_s, None
    return found, False, True


def _same(e: Enrollment, wish: Wish) -> bool:
    asked = (wish.person.id, wish.type, wish.section_id, wish.associated_user_id)
    return (e.user_id, e.type, e.section_id, e.associated_user_id) == asked


def message(wish: Wish, enrollment: Enrollment, now_s: float, *, new: bool, changed: bool) -> str | None:
    """Which message Canvas makes: invitation, registration, notification or none."""
    observer = enrollment.type == "ObserverEnrollment"
    state = effective_state(wish.course, enrollment, now_s)
    if not wish.notify or not (new or changed):
        return None
    if state == "invited":
        if not wish.person.registered:
            return "registration"
        return None if observer else "invitation"
    if state == "active" and new and not observer and wish.course.state != "created":
        return "notification"
    return None


def deliver(kind: str, wish: Wish, enrollment: Enrollment, now_s: float, *, mail: bool) -> Mail:
    """The message on its way: to active channels that do not bounce, for a registration also to an unconfirmed one."""
    good = ("active", "unconfirmed") if kind == "registration" else ("active",)
    channels = [c for c in wish.person.channels if c.type == "email" and c.state in good and c.bounces < 1]
    address = channels[0].address if channels else None
    why = NO_SENDER if not mail else "sent" if channels else "no active e-mail channel"
    return Mail(now_s, kind, enrollment.id, wish.person.id, address, mail and bool(channels), why)


def end(enrollment: Enrollment, task: str | None, now_s: float) -> None:
    """DELETE: delete, inactivate or deactivate; anything else, also a word that is unknown, concludes."""
    enrollment.updated_s = now_s
    if task == "delete":
        enrollment.state = "deleted"
    elif task in ("inactivate", "deactivate"):
        enrollment.state = "inactive"
    else:
        enrollment.state, enrollment.completed_s = "completed", now_s


def truthy(value: Any) -> bool:
    """Canvas's `value_to_boolean`."""
    return value is True or str(value).strip().lower() in ("true", "t", "yes", "y", "on", "1")
