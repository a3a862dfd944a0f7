"""What is known of Canvas's lists: which paths are lists, their page sizes, how they page, which filters take which words.

Source: `lib/api.rb`, `gems/bookmarked_collection`, `courses_controller.rb`, `enrollments_api_controller.rb` of instructure/canvas-lms.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from probes.calls import without_ids

DEFAULT_PER_PAGE = 10
MAX_PER_PAGE = 100
"""Caps per_page everywhere since about 2013; 50 on older installations."""

_LIST_NAMES = """
    accounts activity_stream admins appointment_groups apps assignment_groups assignment_overrides assignments calendar_events
    collaborations communication_channels content_exports content_migrations controls conversations courses discussion_topics
    enrollments entries external_feeds external_tools favorites features files folders gradebook_history group_categories groups
    history importing items logins lti_registrations lti_resource_links memberships modules notifications observees observers
    outcome_groups page_views pages planner provisional_grades questions quizzes recent_students recipients reports roles rubrics
    search_users sections sis_imports student_summaries students sub_accounts submissions tabs terms todo upcoming_events users
"""
LIST_NAMES = frozenset(_LIST_NAMES.split())
"""Last segments of paths that answer with a list."""
_SINGLE_NAMES = """
    analytics audit brand_variables custom_data front_page group_membership health late_policy permissions ping profile progress quota
    settings submission sync unread_count view
"""
SINGLE_NAMES = frozenset(_SINGLE_NAMES.split())
"""Other words of the API, whose answers are single objects or that are no last segments."""
API_NAMES = LIST_NAMES | SINGLE_NAMES
NEAR, NEAR_WORD = 0.85, 0.75
"""How alike (difflib's ratio) a slip is: of a name of the API, whose names are not all known here; of a word of a closed list."""


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
STUDENT_VIEW = "student_view"
"""A type of lists of users only."""
OTHER_WORDS = {"published": "available", "concluded": "completed", "invited": "invited_or_pending", "pending": "invited_or_pending"}
"""Words that people use -> the one of Canvas, where a filter knows that."""
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
_INCLUDES = {
    "courses": """
        account account_name all_courses banner_image concluded course_image course_progress current_grading_period_scores favorites
        grading_periods lti_context_id needs_grading_count observed_users passback_status permissions post_manually public_description
        sections storage_quota_used_mb syllabus_body tabs teachers term total_scores total_students
    """,
    "users": """
        avatar_url bio can_be_removed current_grading_period_scores custom_links email enrollments group_ids last_login locked
        observed_users test_student time_zone ui_invoked uuid
    """,
    "enrollments": "avatar_url can_be_removed current_points group_ids locked observed_users user uuid",
}
INCLUDES = {name: tuple(words.split()) for name, words in _INCLUDES.items()}
"""What include[] of a list, and of one of its items, is known to take."""
SIZE_NAMES = ("limit", "page_size", "pagesize", "perpage", "per-page", "size", "count", "rows", "max_results")
"""What other APIs call per_page; Canvas ignores them here."""


def is_list(segments: Sequence[str]) -> bool:
    """Whether the path (parts behind /api/v1) answers with a list in pages, as far as its name tells; of analytics one does."""
    return bool(segments) and segments[-1] in LIST_NAMES and (segments[-1] == "student_summaries" or "analytics" not in segments)


def is_id(segment: str) -> bool:
    """Whether a part of a path names one thing: an id of any kind, self, or what stands for an id."""
    return segment in ("self", "default") or segment[:1] in (":", "{", "<", "$", "%") or without_ids(segment) == ":id"


def is_single(segments: Sequence[str]) -> bool:
    """Whether the path answers with a single object, as far as its name tells."""
    return not segments or is_id(segments[-1]) or segments[-1] in SINGLE_NAMES


def is_known(segments: Sequence[str]) -> bool:
    """Whether the path's first name and its last are of the API; behind pages stands a title."""
    names = [segment for before, segment in pairwise(["", *segments]) if before != "pages" and not is_id(segment)]
    return bool(names) and {names[0], names[-1]} <= API_NAMES


def nearest_name(word: str) -> str | None:
    """The name of a list that `word`, no name of the API, nearly is; None where there is none."""
    small = word.lower()
    if word in API_NAMES or not re.fullmatch(r"[a-z_]{4,}", small):
        return None
    plural = next((name for name in (small, small + "s") if name in LIST_NAMES), None)
    return plural or next(iter(difflib.get_close_matches(small, sorted(LIST_NAMES), 1, NEAR)), None)


def nearest_word(word: str, known: Iterable[str], near: float = NEAR_WORD) -> str | None:
    """The word of a closed list that is meant by `word`; None where that is not plain."""
    meant = {**{ours: theirs for ours, theirs in OTHER_WORDS.items() if theirs in known}, **{one: one for one in known}}
    found = difflib.get_close_matches(word.lower().strip(), sorted(meant), 1, near)
    return meant[found[0]] if found else None


def list_facts(segments: Sequence[str]) -> ListFacts:
    """What is known of that list."""
    return SPECIAL.get(segments[-1], ListFacts()) if segments else ListFacts()


def is_my_courses(segments: Sequence[str]) -> bool:
    """GET /courses or /users/:id/courses: the lists with enrollment_type, enrollment_state and state[]."""
    return list(segments) == ["courses"] or (len(segments) == 3 and segments[0] == "users" and segments[2] == "courses")
