"""Enrolments of courses, sections and users: lists by bookmarks, POST, DELETE with its tasks, reactivate, accept and reject."""

from __future__ import annotations

from collections.abc import Iterable

from probes.simulator import documents, enrollments, replies
from probes.simulator.asks import Ask, Route
from probes.simulator.enrollments import Wish
from probes.simulator.paging import Sizes
from probes.simulator.people import Course, Enrollment
from probes.simulator.replies import Reply, StopError
from probes.simulator.routes_courses import section_of
from probes.simulator.school import STATES

BOOKMARKS = Sizes(bookmarks=True, total=False)
SYNTHETIC = {
    "current_and_invited": {"active", "invited"},
    "current_and_future": {"active", "invited", "creation_pending"},
    "current_future_and_restricted": {"active", "invited", "creation_pending", "inactive"},
    "current_and_concluded": {"active", "invited", "completed"},
}
NO_USER = "Can't create an enrollment without a user. Include enrollment[user_id] to create an enrollment"
LISTED = {"active", "invited", "creation_pending", "inactive"}
"""What an administrator's list shows when no state is asked for."""


def of_course(ask: Ask) -> Reply:
    """Enrolments of a course."""
    return _list(ask, ask.school.of_course[ask.course().id])


def of_section(ask: Ask) -> Reply:
    """Enrolments of a section."""
    section = section_of(ask)
    return _list(ask, [e for e in ask.school.of_course[section.course_id] if e.section_id == section.id])


def of_user(ask: Ask) -> Reply:
    """Enrolments of a user; an unknown state is an error for one's own."""
    person = ask.some_person(ask.ids["id"])
    unknown = next((s for s in ask.all("state") if s not in STATES and s not in SYNTHETIC), None)
    if unknown is not None and person is ask.asker:
        return replies.as_json({"error": f"Invalid state {unknown}"}, 400)
    return _list(ask, ask.school.of_user[person.id])


def _list(ask: Ask, records: Iterable[Enrollment]) -> Reply:
    states = set(ask.all("state"))
    for name in states & SYNTHETIC.keys():
        states |= SYNTHETIC[name]
    types, user = set(ask.all("type")) | set(ask.all("role")) or set(enrollments.TYPES), ask.one("user_id")
    if user == "self":
        user = str(ask.asker.id)
    states = states or LISTED
    chosen = [e for e in sorted(records, key=lambda e: e.id) if e.state in states and e.type in types and user in (None, str(e.user_id))]
    return ask.page(chosen, lambda e: documents.enrollment(ask.school, e), BOOKMARKS)


def create_in_course(ask: Ask) -> Reply:
    """Enrols a user in a course, in its first section unless one is named."""
    course = ask.course()
    named = ask.form("enrollment").get("course_section_id")
    sections = ask.school.sections_of(course.id)
    chosen = sections[0] if named is None else next((s for s in sections if str(s.id) == str(named)), None)
    return replies.missing() if chosen is None else _create(ask, course, chosen.id)


def create_in_section(ask: Ask) -> Reply:
    """Enrols a user in a section."""
    section = section_of(ask)
    return _create(ask, ask.school.courses[section.course_id], section.id)


def _create(ask: Ask, course: Course, section_id: int) -> Reply:
    now_s = ask.world.now_s()
    wish = _wish(ask, course, section_id)
    if course.concluded(now_s):
        return replies.bad_request("Can't add an enrollment to a concluded course.")
    record, new, changed = enrollments.enroll(ask.school, wish, now_s)
    kind = enrollments.message(wish, record, now_s, new=new, changed=changed)
    if kind is not None:
        ask.world.outbox.append(enrollments.deliver(kind, wish, record, now_s, mail=ask.world.settings.mail))
    return replies.as_json(documents.enrollment(ask.school, record))


def _wish(ask: Ask, course: Course, section_id: int) -> Wish:
    form = ask.form("enrollment")
    if not form:
        raise StopError(replies.bad_request("No parameters given"))
    if not form.get("user_id"):
        raise StopError(replies.bad_request(NO_USER))
    kind = form.get("type") or "StudentEnrollment"
    if kind not in enrollments.TYPES:
        raise StopError(replies.bad_request("Invalid type"))
    state = form.get("enrollment_state")
    associated = form.get("associated_user_id")
    return Wish(
        ask.some_person(str(form["user_id"])),
        course,
        section_id,
        str(kind),
        str(state) if state in enrollments.REQUESTABLE else None,
        ask.some_person(str(associated)).id if associated else None,
        enrollments.truthy(form.get("notify")),
    )


def destroy(ask: Ask) -> Reply:
    """Ends an enrolment as its task says; a word that is unknown concludes it."""
    record = _record(ask)
    enrollments.end(record, ask.word("task"), ask.world.now_s())
    return replies.as_json(documents.enrollment(ask.school, record))


def reactivate(ask: Ask) -> Reply:
    """Only from inactive."""
    record = _record(ask)
    if record.state != "inactive":
        return replies.as_json({"error": "enrollment not inactive"}, 400)
    record.state, record.updated_s = "active", ask.world.now_s()
    return replies.as_json(documents.enrollment(ask.school, record))


def answer_invitation(ask: Ask) -> Reply:
    """Accepts or rejects an invitation: only the invited user may."""
    record = _record(ask)
    if record.user_id != ask.asker.id:
        return replies.unpermitted(ask.world.settings.permission_status)
    if record.state != "invited":
        return replies.as_json({"error": "no current invitation"}, 400)
    record.state = "active" if ask.path.endswith("accept") else "rejected"
    record.updated_s = ask.world.now_s()
    return replies.as_json({"success": True})


def one(ask: Ask) -> Reply:
    """One enrolment of an account, whatever its state."""
    record = ask.school.enrollments.get(ask.number("enrollment"))
    return replies.missing() if record is None else replies.as_json(documents.enrollment(ask.school, record))


def _record(ask: Ask) -> Enrollment:
    course = ask.course()
    record = ask.school.enrollments.get(ask.number("enrollment"))
    if record is None or record.course_id != course.id or record.state == "deleted":
        raise StopError(replies.missing())
    return record


ROUTES = (
    Route("GET", "/api/v1/courses/:id/enrollments", of_course, is_list=True),
    Route("POST", "/api/v1/courses/:id/enrollments", create_in_course),
    Route("DELETE", "/api/v1/courses/:id/enrollments/:enrollment", destroy),
    Route("PUT", "/api/v1/courses/:id/enrollments/:enrollment/reactivate", reactivate),
    Route("POST", "/api/v1/courses/:id/enrollments/:enrollment/accept", answer_invitation),
    Route("POST", "/api/v1/courses/:id/enrollments/:enrollment/reject", answer_invitation),
    Route("GET", "/api/v1/sections/:id/enrollments", of_section, is_list=True),
    Route("POST", "/api/v1/sections/:id/enrollments", create_in_section),
    Route("GET", "/api/v1/users/:id/enrollments", of_user, is_list=True),
    Route("GET", "/api/v1/accounts/:id/enrollments/:enrollment", one),
)
