"""What is known of Canvas's lists: which paths are lists, their page sizes, how they page, which filters take which words.

Source: `lib/api.rb`, `gems/bookmarked_collection`, `courses_controller.rb`, `enrollments_api_controller.rb` of instructure/canvas-lms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

DEFAULT_PER_PAGE = 10
MAX_PER_PAGE = 100
"""Caps per_page everywhere since about 2013; 50 on older installations."""

_LIST_NAMES = """
    accounts activity_stream admins appointment_groups apps assignment_groups assignment_overrides assignments calendar_events
    collaborations communication_channels content_exports content_migrations controls conversations courses discussion_topics
    enrollments entries external_feeds external_tools favorites features files folders gradebook_history group_categories groups
    history importing items logins lti_registrations lti_resource_links memberships modules notifications observees observers
    outcome_groups page_views pages planner provisional_grades questions quizzes recent_students recipients reports roles rubrics
    search_users sections sis_imports students sub_accounts submissions tabs terms todo upcoming_events users
"""
LIST_NAMES = frozenset(_LIST_NAMES.split())
"""Last segments of paths that answer with a list."""


@dataclass(frozen=True, slots=True)
class ListFacts:
    """One list: its default and greatest page size, whether it pages by bookmark (no page numbers, no `last`), whether `last` is given."""

    default: int = DEFAULT_PER_PAGE
    greatest: int = MAX_PER_PAGE
    bookmarks: bool = False
    has_last: bool = True


SPECIAL: dict[str, ListFacts] = {
    "activity_stream": ListFacts(default=21),
    "apps": ListFacts(default=72, greatest=72),
    "lti_registrations": ListFacts(default=15),
    "lti_resource_links": ListFacts(default=50, bookmarks=True, has_last=False),
    "controls": ListFacts(default=100, bookmarks=True, has_last=False),
    "sis_imports": ListFacts(has_last=False),
    "enrollments": ListFacts(bookmarks=True, has_last=False),
}

ENROLLMENT_TYPES = ("teacher", "student", "ta", "observer", "designer")
ENROLLMENT_CLASSES = {
    "teacher": "TeacherEnrollment",
    "student": "StudentEnrollment",
    "ta": "TaEnrollment",
    "observer": "ObserverEnrollment",
    "designer": "DesignerEnrollment",
}
COURSE_STATES = ("unpublished", "available", "completed", "deleted")
COURSE_ENROLLMENT_STATES = ("active", "invited_or_pending", "completed")
ENROLLMENT_STATES = (
    *("active", "invited", "creation_pending", "deleted", "rejected", "completed", "inactive"),
    *("current_and_invited", "current_and_future", "current_future_and_restricted", "current_and_concluded"),
)
ARRAYS = {
    "courses": ("include", "state"),
    "users": ("include", "enrollment_type", "enrollment_state", "user_ids", "enrollment_role_id"),
    "enrollments": ("type", "role", "state", "include"),
    "sections": ("include",),
    "assignments": ("include", "assignment_ids"),
    "submissions": ("include", "student_ids", "assignment_ids"),
    "sis_imports": ("workflow_state",),
}
"""Parameters that are arrays, by list: they need brackets."""
SIZE_NAMES = ("limit", "page_size", "pagesize", "perpage", "per-page", "size", "count", "rows", "max_results")
"""What other APIs call per_page; Canvas ignores them here."""


def is_list(segments: Sequence[str]) -> bool:
    """Whether the path (parts behind /api/v1) answers with a list, as far as its name tells."""
    return bool(segments) and segments[-1] in LIST_NAMES


def list_facts(segments: Sequence[str]) -> ListFacts:
    """What is known of that list."""
    return SPECIAL.get(segments[-1], ListFacts()) if segments else ListFacts()


def is_my_courses(segments: Sequence[str]) -> bool:
    """GET /courses or /users/:id/courses: the lists with enrollment_type, enrollment_state and state[]."""
    return list(segments) == ["courses"] or (len(segments) == 3 and segments[0] == "users" and segments[2] == "courses")
