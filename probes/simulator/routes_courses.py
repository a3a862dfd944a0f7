"""Courses, sections and what hangs on them. Filters of `/courses` as `courses_for_user` has them."""

from __future__ import annotations

from typing import Any

from probes.simulator import documents, replies
from probes.simulator.asks import Ask, Route
from probes.simulator.paging import Sizes
from probes.simulator.people import DAY_S, Course, Enrollment, Section
from probes.simulator.replies import Reply, StopError
from probes.simulator.school import FORBIDDEN_COURSE_ID

LISTED = frozenset({"active", "invited", "creation_pending", "completed"})
CREATED = frozenset({"unpublished", "created", "claimed"})
SHORT_LIST = Sizes(21, 100)
APPS = Sizes(72, 72)
RESOURCE_LINKS = Sizes(50, 100, bookmarks=True)


def courses(ask: Ask) -> Reply:
    """The courses of the token's user; all are loaded, then a page is cut, so `last` is known."""
    now_s = ask.world.now_s()
    includes = set(ask.all("include"))
    chosen = [(course, own) for course in ask.school.courses.values() if (own := _own(ask, course, now_s))]
    return ask.page(chosen, lambda pair: documents.course(ask.school, pair[0], pair[1], includes, now_s))


def _own(ask: Ask, course: Course, now_s: float) -> list[Enrollment]:
    """The asker's enrolments through which this course is listed; none when a filter leaves it out."""
    kind, role, state = ask.one("enrollment_type"), ask.one("enrollment_role"), ask.one("enrollment_state")
    own = [e for e in ask.school.of_course[course.id] if e.user_id == ask.asker.id and e.state in LISTED]
    if kind is not None:
        own = [e for e in own if e.type == f"{kind[:1].upper()}{kind[1:]}Enrollment"]
    if role is not None:
        own = [e for e in own if e.type == role]
    if state is not None:
        own = [e for e in own if _dated_state(course, e, now_s) == state]
    states = ask.all("state")
    return own if own and _in_states(course, own, states) else []


def _dated_state(course: Course, own: Enrollment, now_s: float) -> str:
    """active, invited_or_pending or completed, by dates (`EnrollmentState`)."""
    if own.state == "completed" or course.concluded(now_s):
        return "completed"
    staff = own.type in ("TeacherEnrollment", "TaEnrollment", "DesignerEnrollment")
    begun = not course.future(now_s) or (staff and not course.override_pending)
    return "active" if own.state == "active" and begun else "invited_or_pending"


def _in_states(course: Course, own: list[Enrollment], states: list[str]) -> bool:
    if states:
        return course.state in states or (course.state in CREATED and "unpublished" in states)
    if all(e.type in ("StudentEnrollment", "ObserverEnrollment") for e in own):
        return course.state == "available"
    return course.state != "deleted"


def course(ask: Ask) -> Reply:
    """One course."""
    record = ask.course()
    own = [e for e in ask.school.of_course[record.id] if e.user_id == ask.asker.id]
    return replies.as_json(documents.course(ask.school, record, own, set(ask.all("include")), ask.world.now_s()))


def ping(ask: Ask) -> Reply:
    """The least that an action can do."""
    ask.course()
    return replies.as_json({"success": True})


def sections(ask: Ask) -> Reply:
    """Sections of a course."""
    return ask.page(ask.school.sections_of(ask.course().id), lambda s: documents.section(ask.school, s))


def section(ask: Ask) -> Reply:
    """One section."""
    return replies.as_json(documents.section(ask.school, section_of(ask)))


def section_of(ask: Ask) -> Section:
    """The section of the route; ends the request when there is none."""
    record = ask.school.sections.get(ask.number())
    if record is None:
        raise StopError(replies.missing())
    if record.course_id == FORBIDDEN_COURSE_ID:
        raise StopError(replies.unpermitted(ask.world.settings.permission_status))
    return record


def users(ask: Ask) -> Reply:
    """Users of a course, each once; `enrollment_type[]` and `enrollment_state[]` filter, `include[]=enrollments` adds theirs."""
    record = ask.course()
    states = set(ask.all("enrollment_state")) or {"active", "invited"}
    types = {f"{t[:1].upper()}{t[1:]}Enrollment" for t in ask.all("enrollment_type")}
    chosen: dict[int, list[Enrollment]] = {}
    for e in ask.school.of_course[record.id]:
        if e.state in states and (not types or e.type in types):
            chosen.setdefault(e.user_id, []).append(e)
    includes = set(ask.all("include"))

    def tell(user_id: int) -> dict[str, Any]:
        document = documents.user(ask.school, ask.school.people[user_id])
        if "email" not in includes:
            document.pop("email")
        if "enrollments" in includes:
            document["enrollments"] = [documents.enrollment(ask.school, e) for e in chosen[user_id]]
        return document

    return ask.page(sorted(chosen), tell)


def assignments(ask: Ask) -> Reply:
    """Twelve assignments a course."""
    record = ask.course()

    def tell(n: int) -> dict[str, Any]:
        return {"id": record.id * 100 + n, "course_id": record.id, "name": f"Assignment {n}", "points_possible": 10.0, "published": True}

    return ask.page(range(1, 13), tell)


def submissions(ask: Ask) -> Reply:
    """One submission of each student to the first assignment."""
    record = ask.course()
    first = record.id * 100 + 1

    def tell(user_id: int) -> dict[str, Any]:
        return {"id": first * 1000 + user_id, "user_id": user_id, "assignment_id": first, "score": 8.0, "workflow_state": "graded"}

    return ask.page(_students(ask, record), tell)


def _students(ask: Ask, record: Course) -> list[int]:
    return [e.user_id for e in ask.school.of_course[record.id] if e.type == "StudentEnrollment" and e.state == "active"]


def activity_stream(ask: Ask) -> Reply:
    """Thirty messages: a list whose default size is 21."""
    return ask.page(range(1, 31), lambda n: {"id": n, "title": f"Announcement {n}", "type": "Announcement"}, SHORT_LIST)


def apps(ask: Ask) -> Reply:
    """Apps: a list whose size is 72 by default and at most."""
    return ask.page(range(1, 101), lambda n: {"id": n, "name": f"App {n}", "short_name": f"app{n}"}, APPS)


def resource_links(ask: Ask) -> Reply:
    """LTI resource links: bookmarks, 50 by default."""
    course_id = ask.course().id
    return ask.page([{"id": n, "course_id": course_id, "title": f"Link {n}"} for n in range(1, 61)], None, RESOURCE_LINKS)


def analytics(ask: Ask) -> Reply:
    """Course analytics, a plug-in: slow and dear, or absent."""
    record = ask.course()
    if not ask.world.settings.analytics:
        return replies.unrouted()
    if ask.path.endswith("student_summaries"):
        return ask.page(
            _students(ask, record), lambda s: {"id": s, "page_views": 40 + s % 50, "max_page_views": 90, "participations": s % 9}
        )
    dates = [(ask.school.iso(-DAY_S * day) or "")[:10] for day in range(120)]
    return replies.as_json([{"date": date, "views": 30 + n % 70, "participations": n % 11} for n, date in enumerate(dates)])


ROUTES = (
    Route("GET", "/api/v1/courses", courses, is_list=True),
    Route("GET", "/api/v1/courses/:id", course),
    Route("GET", "/api/v1/courses/:id/ping", ping),
    Route("POST", "/api/v1/courses/:id/ping", ping),
    Route("GET", "/api/v1/courses/:id/sections", sections, is_list=True),
    Route("GET", "/api/v1/courses/:id/users", users, is_list=True),
    Route("GET", "/api/v1/courses/:id/assignments", assignments, is_list=True),
    Route("GET", "/api/v1/courses/:id/students/submissions", submissions, is_list=True),
    Route("GET", "/api/v1/courses/:id/activity_stream", activity_stream, is_list=True),
    Route("GET", "/api/v1/courses/:id/app_center/apps", apps, is_list=True),
    Route("GET", "/api/v1/accounts/:id/app_center/apps", apps, is_list=True),
    Route("GET", "/api/v1/courses/:id/lti_resource_links", resource_links, is_list=True),
    Route("GET", "/api/v1/courses/:id/analytics/activity", analytics),
    Route("GET", "/api/v1/courses/:id/analytics/assignments", analytics),
    Route("GET", "/api/v1/courses/:id/analytics/student_summaries", analytics),
    Route("GET", "/api/v1/users/self/activity_stream", activity_stream, is_list=True),
    Route("GET", "/api/v1/sections/:id", section),
)
